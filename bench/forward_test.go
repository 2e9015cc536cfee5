package bench

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	packets = 10_000
	fresh   = 1000 // flows of a round
	rounds  = 9
	passes  = 3
	batch   = 64
	// What UDP carries in frames of 64 and 1514 bytes, the check sum that no veth has included.
	small, large = 64 - 14 - 20 - 8 - 4, 1500 - 20 - 8
)

// ways are the gateways that packets take turns through.
func ways(b *testing.B) map[string]*sender {
	out := map[string]*sender{}
	for i, way := range []struct {
		name    string
		prepare func(lab)
	}{
		{"none", func(lab) {}},
		{"tracked", func(l lab) { l.tracked(b) }},
		{"10", func(l lab) { l.enforce(b, 10) }},
		{"1000", func(l lab) { l.enforce(b, 1000) }},
		{"linear", func(l lab) { l.reload(b, linear(100, 1)) }},
	} {
		l := newLab(b, fmt.Sprint("p", i))
		way.prepare(l)
		out[way.name] = newSender(b, l)
	}
	return out
}

// packetFigures measures the whole way of a packet through the gateway: a veth runs it in the sender's system call, so the time
// per packet in one thread is the cost of the path.
func packetFigures(b *testing.B, p *page) {
	s := ways(b)
	short := race(b, s, func(s *sender) time.Duration { return s.established(b, small) })
	long := race(b, s, func(s *sender) time.Duration { return s.established(b, large) })
	first := race(b, s, func(s *sender) time.Duration { return s.first(b) })
	us := func(row, what string, times map[string]time.Duration, way, beside, base string, a aim) {
		p.add(figure{row, what, "µs", micros(times[way]), beside, micros(times[base]), a})
	}
	const gateway = "tracking, no policy"
	us("P1", "a packet of an admitted flow, 10 devices", short, "10", gateway, "tracked", aim{added, 0.6})
	us("P1", "a packet of an admitted flow, 1,000 devices", short, "1000", "10 devices", "10", aim{asRatio, 1.1})
	us("P1", "the first packet of a flow, 10 devices of 20 ACEs", first, "10", gateway, "tracked", aim{added, 0.6})
	us("P1", "the first packet of a flow, 1,000 devices", first, "1000", "10 devices", "10", aim{asRatio, 1.1})
	us("P1", "the first packet of a flow, 1,000 devices", first, "1000", "a rule per ACE and address, 100 devices", "linear", aim{})
	us("P2", "a frame of 64 bytes", short, "1000", gateway, "tracked", aim{asRatio, 1.05})
	us("P2", "a frame of 1,514 bytes", long, "1000", gateway, "tracked", aim{asRatio, 1.01})
	us("P2", "a frame of 64 bytes", short, "1000", "neither", "none", aim{})
}

// race gives, for each way, the median of the best times of some passes.
func race(b *testing.B, ways map[string]*sender, round func(*sender) time.Duration) map[string]time.Duration {
	best := map[string][]time.Duration{}
	for range passes {
		all := map[string][]time.Duration{}
		for range rounds {
			for name, s := range ways {
				all[name] = append(all[name], round(s))
			}
		}
		for name, list := range all {
			best[name] = append(best[name], slices.Min(list))
		}
	}
	out := map[string]time.Duration{}
	for name, list := range best {
		out[name] = quantile(list, 0.5)
	}
	return out
}

// sender sends datagrams from the device to the host outside.
type sender struct {
	conn  *ipv4.PacketConn
	udp   *net.UDPConn
	raw   int // packet socket on the device's interface
	frame []byte
	port  uint16
}

func newSender(b *testing.B, l lab) *sender {
	b.Helper()
	s := &sender{port: 10_000}
	sink := in(b, l.wan, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(wanAddr), cloudPort)))
	})
	_ = sink.SetReadBuffer(1) // what does not fit is dropped, at the end of the path
	s.udp = in(b, l.dev, dialUDP(devAddr+":4000"))
	b.Cleanup(func() { sink.Close(); s.udp.Close() })
	s.conn = ipv4.NewPacketConn(s.udp)
	s.answered(b, sink)
	s.raw = l.packetSocket(b)
	s.frame = datagram(mac(0), mac(gatewayMAC), netip.MustParseAddr(devAddr), netip.MustParseAddr(wanAddr), 0, cloudPort, []byte("new"))
	return s
}

// answered makes the flow established, and proves that the way is open.
func (s *sender) answered(b *testing.B, sink *net.UDPConn) {
	buf := make([]byte, 64)
	for range 5 {
		if _, err := s.udp.Write([]byte("hello")); err != nil {
			b.Fatal(err)
		}
		_ = sink.SetReadDeadline(time.Now().Add(time.Second))
		_, from, err := sink.ReadFromUDP(buf)
		if err != nil {
			continue
		}
		_, _ = sink.WriteToUDP([]byte("welcome"), from)
		_ = s.udp.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := s.udp.Read(buf); err == nil {
			return
		}
	}
	b.Fatal("the declared flow does not pass")
}

// established sends in one flow and gives the time per packet.
func (s *sender) established(b *testing.B, size int) time.Duration {
	msgs := make([]ipv4.Message, batch)
	for i := range msgs {
		msgs[i].Buffers = [][]byte{make([]byte, size)}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, sent := time.Now(), 0
	for sent < packets {
		n, err := s.conn.WriteBatch(msgs, 0)
		if err != nil {
			b.Fatal(err)
		}
		sent += n
	}
	return time.Since(start) / time.Duration(sent)
}

// first opens a flow with each packet.
func (s *sender) first(b *testing.B) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	for range fresh {
		if s.port++; s.port < 10_000 { // it went round
			s.port = 10_000
		}
		binary.BigEndian.PutUint16(s.frame[14+20:], s.port)
		if _, err := unix.Write(s.raw, s.frame); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start) / fresh
}

// packetSocket sends raw frames from the device.
func (l lab) packetSocket(b *testing.B) int {
	b.Helper()
	fd := in(b, l.dev, func() (int, error) {
		eth, err := net.InterfaceByName("eth0")
		if err != nil {
			return 0, err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: eth.Index})
	})
	b.Cleanup(func() { unix.Close(fd) })
	return fd
}

// datagram is a frame with UDP, whose check sum is left out, as it may be.
func datagram(from, to [6]byte, src, dst netip.Addr, sport, dport uint16, payload []byte) []byte {
	f := append(append(append([]byte{}, to[:]...), from[:]...), 8, 0)
	ip := make([]byte, 20, 28+len(payload))
	ip[0], ip[8], ip[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(payload)))
	copy(ip[12:], src.AsSlice())
	copy(ip[16:], dst.AsSlice())
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum>>16+sum&0xffff))
	for _, v := range []uint16{sport, dport, uint16(8 + len(payload)), 0} {
		ip = binary.BigEndian.AppendUint16(ip, v)
	}
	return append(append(f, ip...), payload...)
}

// tracked is a gateway that follows connections and has no policy.
func (l lab) tracked(b *testing.B) {
	l.reload(b, "table inet fw { chain f { type filter hook forward priority filter; ct state established accept; }; }")
}

// linear is what other MUD managers install: a rule for each device, ACE and address, one after the other.
func linear(devices, addresses int) string {
	var s []byte
	s = append(s, "table inet linear\ndelete table inet linear\ntable inet linear {\nchain f { type filter hook forward priority -60; policy accept;\nct state established accept\n"...)
	for i := devices - 1; i >= 0; i-- { // the device that sends comes last
		addr := devAddr
		if i > 0 {
			addr = fmt.Sprintf("10.7.%d.%d", i/250, i%250+1)
		}
		for j := range acesPerDevice {
			for k := range addresses {
				s = fmt.Appendf(s, "ip saddr %s ip daddr %s udp dport %d accept\n", addr, address(k), 7000+j)
			}
		}
	}
	return string(append(s, "drop\n}\n}\n"...))
}

// reload has nft load a ruleset.
func (l lab) reload(b *testing.B, ruleset string) {
	run(b, ruleset, "ip", "netns", "exec", l.gw, "nft", "-f", "-")
}
