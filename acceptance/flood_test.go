package acceptance

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"mudguard/enforcer/enforcertest"
)

// What the devices of these tests may open: few flows, so that the difference to what they send is large.
const (
	floodRate  = 20
	floodBurst = 40
	floodSize  = 20_000
)

// TestFlood: a device whose profile is wide floods the Internet and its neighbours, by UDP, by TCP and with false sources. What
// arrives is what limits.new_flows lets pass (T18, T19, T21, R8520-16-r). It is so where the inet hooks see bridged frames, and
// where they do not.
func TestFlood(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"netfilter", "stateless"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l, lamp, hub := floodLab(t, mode, floodRate, floodBurst)
			l.run("UDP to the Internet", func() { l.bounded(lamp, l.wan, "sink", l.datagrams(lamp, sinkAddr, unix.IPPROTO_UDP)) })
			l.run("SYNs to the Internet", func() { l.bounded(lamp, l.wan, "sink", l.datagrams(lamp, sinkAddr, unix.IPPROTO_TCP)) })
			l.run("SYNs to a neighbour", func() { l.bounded(lamp, hub.space, "met", l.datagrams(lamp, hub.addr, unix.IPPROTO_TCP)) })
			if mode == "netfilter" { // else nothing tells a new flow of UDP on one bridge: docs/threats.md, T18
				l.run("UDP to a neighbour", func() { l.bounded(lamp, hub.space, "met", l.datagrams(lamp, hub.addr, unix.IPPROTO_UDP)) })
			}
			l.run("one flow that nobody answers", func() { l.streamed(lamp) })
			l.run("questions to DNS from one port", func() { l.questioned(lamp) })
			l.run("false sources", func() { l.spoofed(lamp) })
			l.run("reflection", func() { l.reflected(lamp) })
		})
	}
}

// TestDenialStorm: as many denied packets as this machine can send cost the daemon a bounded part of a processor and no memory,
// and the counters tell how many there were (T21, N18).
func TestDenialStorm(t *testing.T) {
	t.Parallel()
	l, lamp, _ := floodLab(t, "netfilter", 1_000_000, 1_000_000) // so that all is denied by the profile, and not for being too much
	storm := l.datagrams(lamp, evilAddr, unix.IPPROTO_UDP)
	l.blast(lamp, storm, floodSize) // buffers and tables have their size now
	before, cpu, start := l.resident(), l.processorTime(), time.Now()
	const packets = 300_000
	l.blast(lamp, storm, packets)
	used, took := l.processorTime()-cpu, time.Since(start)
	t.Logf("%d denials in %s: the daemon used %s, and has %d KiB more", packets, took.Round(time.Millisecond), used, l.resident()-before)
	if used > took/2 { // some hundredths, but the machine may be slow
		l.complain("the daemon used %s in %s", used, took)
	}
	if grown := l.resident() - before; grown > 6<<10 {
		l.complain("the daemon has %d KiB more than before", grown)
	}
	if n := l.dropped("denied_out"); n < packets {
		l.complain("only %d of %d denied packets are counted", n, packets)
	}
	l.denial(lamp, func(d denial) bool { return strings.Contains(d.Explanation, "its profile allows") })
}

// floodLab has a lamp that may open whatever it likes to the sink and to its neighbours, and one of these.
func floodLab(t *testing.T, mode string, rate, burst int) (l *lab, lamp, hub *device) {
	t.Helper()
	l = newLab(t, true)
	lamp, hub = l.device("lamp"), l.device("hub")
	if mode == "stateless" {
		l.gw.in(t, "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0")
	}
	p := lampProfile("lamp")
	p.From, p.To = nil, nil
	for _, proto := range []string{"tcp", "udp"} {
		p.From = append(p.From, enforcertest.ACE{Net: sinkAddr + "/32", Proto: proto}, enforcertest.ACE{Class: map[string]any{"local-networks": []any{nil}}, Proto: proto})
	}
	l.config["limits"] = map[string]any{"new_flows": fmt.Sprint(rate, "/second"), "burst": burst}
	l.dnsmasq()
	l.start()
	l.static(hub, 50)
	hub.in(t, `nft 'add table inet met; add counter inet met hits; add chain inet met pre { type filter hook prerouting priority -300; }
		add rule inet met pre meta l4proto { tcp, udp } ip saddr 192.168.8.0/24 counter name hits'`)
	l.udhcpc(lamp, l.cloud.publish("lamp", p))
	l.becomes(lamp, "enforced", "")
	var s struct{ Kernel struct{ Replies string } }
	l.decode(&s, "status", "--json")
	if s.Kernel.Replies != mode {
		l.fatal("the bridge is %q, want %q", s.Kernel.Replies, mode)
	}
	return l, lamp, hub
}

// bounded sends a flood, and looks that no more than the allowed flows of it arrive: the burst, the rate for as long as it took, and
// as much again as one more second gives.
func (l *lab) bounded(d *device, at *space, table string, flood func(i int) []byte) {
	l.Helper()
	before, start := l.counted(at, table), time.Now()
	l.blast(d, flood, floodSize)
	most := floodBurst + floodRate*int(time.Since(start).Seconds()+2)
	switch n := l.counted(at, table) - before; {
	case n > most:
		l.complain("%d of %d flows arrived, and not %d", n, floodSize, most)
	case n == 0:
		l.complain("nothing arrived: this proves nothing")
	}
}

// streamed sends more packets than flows are allowed, all of one flow: all arrive.
func (l *lab) streamed(d *device) {
	l.Helper()
	flood := l.datagrams(d, sinkAddr, unix.IPPROTO_UDP)
	await(l.T, "a packet of the flow arrives", patience, func() string { // there is a turn for it again
		n := l.sunk()
		l.blast(d, func(int) []byte { return flood(7) }, 1)
		return pickText(l.sunk() > n, "", "not yet")
	})
	const packets = 50 * floodBurst
	before := l.sunk()
	l.blast(d, func(int) []byte { return flood(7) }, packets)
	if n := l.sunk() - before; n != packets {
		l.complain("%d of %d packets of one flow arrived", n, packets)
	}
}

// questioned asks the gateway's DNS as fast as it goes, all in one flow that was answered: the resolver and the queue are for all.
func (l *lab) questioned(d *device) {
	l.Helper()
	l.gw.in(l.T, `nft 'add table inet asked; add counter inet asked hits; add chain inet asked in { type filter hook input priority 100; }
		add rule inet asked in ip saddr `+d.addr+` udp dport 53 counter name hits'`)
	var q dns.Msg
	raw, err := q.SetQuestion("maker.example.", dns.TypeA).Pack()
	if err != nil {
		l.Fatal(err)
	}
	start := time.Now()
	err = d.do(func() error {
		c, err := net.Dial("udp", gateway+":53")
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		for i := range 5000 {
			if _, err := c.Write(raw); err != nil {
				return err
			}
			if _, err := c.Read(make([]byte, 512)); i == 0 && err != nil {
				return fmt.Errorf("the first question: %w", err)
			}
			_ = c.SetReadDeadline(time.Now()) // the others' answers are not waited for
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	most := floodBurst + floodRate*int(time.Since(start).Seconds()+2)
	if n := l.counted(l.gw, "asked"); n > most || n == 0 {
		l.complain("%d questions arrived, and not %d", n, most)
	}
	l.denial(d, func(d denial) bool { return strings.Contains(d.Explanation, "asked more than") })
}

// spoofed sends with addresses of others.
func (l *lab) spoofed(d *device) {
	l.Helper()
	before, flood := l.sunk(), l.datagrams(d, sinkAddr, unix.IPPROTO_UDP)
	l.blast(d, func(i int) []byte {
		f := flood(i)
		copy(f[14+12:], []byte{203, 0, 113, byte(i)})
		seal(f)
		return f
	}, floodSize)
	if n := l.sunk() - before; n != 0 {
		l.complain("%d packets with false sources arrived", n)
	}
}

// reflected asks the device from outside, in the name of a victim: no question arrives, so none is answered.
func (l *lab) reflected(d *device) {
	l.Helper()
	d.in(l.T, `nft 'add table inet met; add counter inet met hits; add chain inet met pre { type filter hook prerouting priority -300; }
		add rule inet met pre ip saddr 203.0.113.0/24 counter name hits'`)
	l.wan.in(l.T, "ip route replace "+d.addr+" via 198.51.100.1")
	err := l.wan.do(func() error {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(sinkAddr), Port: 1900}, &net.UDPAddr{IP: net.ParseIP(d.addr), Port: 1900})
		if err != nil {
			return err
		}
		defer c.Close()
		for range 200 {
			if _, err := c.Write([]byte("M-SEARCH * HTTP/1.1\r\n\r\n")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	if n := l.counted(d.space, "met"); n != 0 {
		l.complain("%d questions from outside reached the device", n)
	}
}

// datagrams gives frames of a device, each of a flow of its own.
func (l *lab) datagrams(d *device, to string, proto byte) func(i int) []byte {
	dst, gw := netip.MustParseAddr(to), "02:00:00:00:08:01"
	if strings.HasPrefix(to, "192.168.8.") {
		gw = "02:00:00:00:aa:02"
	}
	var f []byte
	for _, mac := range []string{gw, d.mac} {
		hw, err := net.ParseMAC(mac)
		if err != nil {
			l.Fatal(err)
		}
		f = append(f, hw...)
	}
	f = append(f, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, proto, 0, 0)
	f = append(append(f, netip.MustParseAddr(d.addr).AsSlice()...), dst.AsSlice()...)
	f = append(f, make([]byte, 20)...)
	l4 := f[34:]
	if proto == unix.IPPROTO_TCP {
		l4[12], l4[13] = 5<<4, 2 // SYN
	} else {
		l4[5] = 20
	}
	return func(i int) []byte {
		binary.BigEndian.PutUint16(l4, uint16(1024+i%50_000))
		binary.BigEndian.PutUint16(l4[2:], uint16(2000+i/50_000))
		seal(f)
		return f
	}
}

// seal puts the check sums of IP and of what it carries into a frame.
func seal(f []byte) {
	ip, l4 := f[14:34], f[34:]
	at := 6 // of UDP
	if ip[9] == unix.IPPROTO_TCP {
		at = 16
	}
	copy(ip[10:], []byte{0, 0})
	copy(l4[at:], []byte{0, 0})
	binary.BigEndian.PutUint16(ip[10:], sum(0, ip))
	binary.BigEndian.PutUint16(l4[at:], sum(uint32(ip[9])+uint32(len(l4)), ip[12:], l4))
}

func sum(s uint32, parts ...[]byte) uint16 {
	for _, p := range parts {
		for i, b := range p {
			s += uint32(b) << (8 * (1 - i%2))
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// blast sends frames of a device as fast as they go. A veth runs the gateway in the call that sends, so all have been judged then.
func (l *lab) blast(d *device, frame func(i int) []byte, n int) {
	l.Helper()
	err := d.do(func() error {
		eth, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: eth.Index}); err != nil {
			return err
		}
		for i := range n {
			for {
				_, err := unix.Write(fd, frame(i))
				if err == nil {
					break
				}
				if err != unix.ENOBUFS {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
}

// dropped is what the last rule of a chain counted.
func (l *lab) dropped(chain string) (n int) {
	l.Helper()
	var list struct {
		Nftables []struct {
			Rule struct {
				Expr []struct{ Counter struct{ Packets int } }
			}
		}
	}
	if err := json.Unmarshal([]byte(l.gw.in(l.T, "nft -j list chain inet mudguard "+chain)), &list); err != nil {
		l.fatal("%v", err)
	}
	for _, r := range list.Nftables {
		for _, x := range r.Rule.Expr {
			n += x.Counter.Packets
		}
	}
	return n
}

// processorTime is what the daemon used so far, in its own code and in the kernel's.
func (l *lab) processorTime() time.Duration {
	l.Helper()
	_, rest, _ := strings.Cut(l.proc("stat"), ") ")
	f := strings.Fields(rest)
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		l.fatal("%s: %v %v", rest, err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// resident is the memory of the daemon, in KiB.
func (l *lab) resident() (kib int) {
	l.Helper()
	_, rest, _ := strings.Cut(l.proc("status"), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		l.fatal("VmRSS: %v", err)
	}
	return kib
}

func (l *lab) proc(file string) string {
	l.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", l.daemon.cmd.Process.Pid, file))
	if err != nil {
		l.fatal("%v", err)
	}
	return string(raw)
}
