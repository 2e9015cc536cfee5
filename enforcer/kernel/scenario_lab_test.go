package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// Names of the lab's ports beside those of the hosts.
const (
	portGateway = "gateway"
	portWAN     = "wan"
	portLAN     = "lan" // all hosts of a LAN that is no bridge
)

var (
	wanGW   = dhcp.MAC{2, 0, 0, 0, 0x71, 0xfe}
	wanHost = dhcp.MAC{2, 0, 0, 0, 0x71, 1}
)

// strangers are addresses on the LAN that no device is known by; the neighbour answers for them.
var strangers = []string{"192.168.77.2", "192.168.77.49", "192.168.77.254", "fd77::2", "fd77::ffff:1"}

// lab is a gateway and the hosts of enforcertest on real interfaces. The hosts are the far ends of the gateway's
// cables, in a namespace without addresses: they say only what is injected there, nothing answers by itself, and what
// reaches them is read by taps.
type lab struct {
	t         *testing.T
	mode      enforcer.BridgeMode
	gw, hosts *space
	nft       *Nft
	queue     enforcer.QueueMode // as this kernel spells it
	ports     map[string]int     // packet sockets on the far ends
	inside    []int              // raw sockets of the gateway: they get what passed its input hook
	out4      int                // raw sockets by which the gateway sends
	out6      int
	fence     [2]int // both ends of a cable that leads past the gateway
	rules     enforcer.Ruleset
	last      uint32
}

// newLab skips where this kernel does not have the mode.
func newLab(t *testing.T, mode enforcer.BridgeMode) *lab {
	l := &lab{t: t, mode: mode, gw: newSpace(t), hosts: newSpace(t), ports: map[string]int{}}
	l.nft = l.gw.open()
	f := l.nft.Probe()
	l.queue = enforcer.QueueMode(f.Queue)
	switch {
	case mode == enforcer.BridgeConntrack && !f.BridgeConntrack:
		t.Skip("this kernel has no nf_conntrack_bridge")
	case mode == enforcer.BridgeMark && !f.BrNetfilter:
		t.Skip("this kernel has no br_netfilter, or it is off for new namespaces")
	}
	oneCPU(t)
	l.sysctls()
	l.cables()
	l.addresses()
	l.sockets()
	// A bridge port takes a moment to forward.
	eventually(t, "the lab forwards", func() bool { return l.alive() })
	return l
}

// oneCPU keeps the test on one processor: its frames then go through one queue of the kernel, in order.
func oneCPU(t *testing.T) {
	runtime.LockOSThread()
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	for i := range 1024 {
		if old.IsSet(i) {
			one.Set(i)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.SchedSetaffinity(0, &old) // the thread is only less quick
		runtime.UnlockOSThread()
	})
}

func (l *lab) sysctls() {
	// Spoofed sources must meet our rules, not the kernel's own check.
	set := []string{"-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0",
		"net.ipv4.conf.default.rp_filter=0"}
	if _, err := os.Stat(brNetfilterFile); err == nil {
		on := map[bool]string{true: "1", false: "0"}[l.mode == enforcer.BridgeMark]
		set = append(set, "net.bridge.bridge-nf-call-iptables="+on, "net.bridge.bridge-nf-call-ip6tables="+on)
	}
	l.gw.run("", "sysctl", set...)
	l.hosts.run("", "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
	// The gateway says only what the lab sends in its name, which has mark 1.
	l.gw.run("table inet lab { chain output { type filter hook output priority -400; meta mark != 1 drop; }; }", "nft", "-f", "-")
}

func (l *lab) lanHosts() []enforcertest.Host {
	return slices.DeleteFunc(enforcertest.Hosts(), func(h enforcertest.Host) bool { return h.WAN || h.Name == portGateway })
}

func (l *lab) cables() {
	there := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(l.hosts.ns))
	var near, far, fdb strings.Builder
	cable := func(name string, mac dhcp.MAC, host string, hostMAC dhcp.MAC) {
		fmt.Fprintf(&near, "link add %s address %s type veth peer name %s address %s netns %s\nlink set %s up\n",
			name, mac, host, hostMAC, there, name)
		fmt.Fprintf(&far, "link set %s up\n", host)
		l.ports[host] = -1
	}
	gw := enforcertest.HostNamed(portGateway)
	cable(enforcertest.WAN, wanGW, portWAN, wanHost)
	if l.mode == enforcer.BridgeNone {
		cable(enforcertest.LAN, gw.MAC, portLAN, dhcp.MAC{2, 0, 0, 0, 0x77, 2})
	} else {
		fmt.Fprintf(&near, "link add %s address %s type bridge forward_delay 0 mcast_snooping 0\nlink set %s up\n",
			enforcertest.LAN, gw.MAC, enforcertest.LAN)
		for i, h := range l.lanHosts() {
			port := "p-" + h.Name
			cable(port, dhcp.MAC{2, 0, 0, 0, 0x78, byte(i)}, h.Name, h.MAC)
			fmt.Fprintf(&near, "link set %s master %s\n", port, enforcertest.LAN)
			fmt.Fprintf(&fdb, "fdb add %s dev %s master static\n", h.MAC, port)
		}
	}
	far.WriteString("link add fence0 type veth peer name fence1\nlink set fence0 up\nlink set fence1 up\n")
	l.gw.run(near.String(), "ip", "-batch", "-")
	l.gw.run(fdb.String(), "bridge", "-batch", "-")
	l.hosts.run(far.String(), "ip", "-batch", "-")
}

// addresses gives the gateway its addresses, and the MACs of everybody: nobody has to be asked.
func (l *lab) addresses() {
	var b strings.Builder
	gw := enforcertest.HostNamed(portGateway)
	fmt.Fprintf(&b, "addr add %s/24 dev %s\naddr add %s/64 dev %s nodad\n", gw.V4, enforcertest.LAN, gw.V6, enforcertest.LAN)
	fmt.Fprintf(&b, "addr add 100.64.0.2/24 dev %s\naddr add 2001:db8:ffff::2/64 dev %s nodad\n", enforcertest.WAN, enforcertest.WAN)
	neigh := func(addr string, mac dhcp.MAC, dev string) {
		fmt.Fprintf(&b, "neigh add %s lladdr %s dev %s nud permanent\n", addr, mac, dev)
	}
	neigh("100.64.0.1", wanHost, enforcertest.WAN)
	neigh("2001:db8:ffff::1", wanHost, enforcertest.WAN)
	fmt.Fprintf(&b, "route add default via 100.64.0.1\nroute add default via 2001:db8:ffff::1\n")
	for _, h := range l.lanHosts() {
		neigh(h.V4.String(), h.MAC, enforcertest.LAN)
		neigh(h.V6.String(), h.MAC, enforcertest.LAN)
	}
	for _, a := range strangers {
		neigh(a, enforcertest.HostNamed("neighbour").MAC, enforcertest.LAN)
	}
	l.gw.run(b.String(), "ip", "-batch", "-")
}

func (l *lab) sockets() {
	l.hosts.do(func() {
		for name := range l.ports {
			l.ports[name] = l.tap(name)
		}
		l.fence = [2]int{l.tap("fence0"), l.tap("fence1")}
	})
	l.gw.do(func() {
		for _, proto := range []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_IGMP, protoOther} {
			l.inside = append(l.inside, l.socket(unix.AF_INET, proto))
		}
		for _, proto := range []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMPV6, unix.IPPROTO_IGMP, protoOther} {
			l.inside = append(l.inside, l.socket(unix.AF_INET6, proto))
		}
		l.out4, l.out6 = l.socket(unix.AF_INET, unix.IPPROTO_RAW), l.socket(unix.AF_INET6, unix.IPPROTO_RAW)
		for _, fd := range []int{l.out4, l.out6} {
			l.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 1))
		}
	})
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Error(err) // Fatal is for the test's own goroutine only, and this may be another
	}
}

func (l *lab) socket(family, proto int) int {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	l.must(err)
	l.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20))
	l.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// tap opens a packet socket on a port, which sees what the other end sends.
func (l *lab) tap(name string) int {
	fd := l.socket(unix.AF_PACKET, 0)
	l.must(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	dev, err := net.InterfaceByName(name)
	if err != nil {
		l.must(err)
		return fd
	}
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	l.must(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index}))
	return fd
}

// port is where a host is plugged in.
func (l *lab) port(h enforcertest.Host) string {
	switch {
	case h.WAN:
		return portWAN
	case h.Name == portGateway:
		return portGateway
	case l.mode == enforcer.BridgeNone:
		return portLAN
	}
	return h.Name
}

// fire sends shots and gives where each arrived. It numbers them.
func (l *lab) fire(shots []shot) map[uint32][]string {
	l.t.Helper()
	arrived := map[uint32][]string{}
	for chunk := range slices.Chunk(shots, 64) { // far fewer than the kernel's queue holds
		for i := range chunk {
			l.last++
			chunk[i].id = l.last
			if err := l.send(chunk[i]); err != nil {
				l.t.Fatalf("sending %+v: %v", chunk[i], err)
			}
		}
		l.settle()
		l.collect(arrived)
	}
	return arrived
}

func (l *lab) send(s shot) error {
	etype, b := s.content()
	if s.from != portGateway {
		src, dst := s.k.SrcMAC, s.k.DstMAC
		switch {
		case s.from == portWAN:
			src, dst = wanHost, wanGW
		case dst[0]&1 == 0 && (s.to == portGateway || s.to == portWAN || s.viaGW):
			dst = enforcertest.HostNamed(portGateway).MAC
		}
		frame := binary.BigEndian.AppendUint16(append(dst[:], src[:]...), etype)
		_, err := unix.Write(l.ports[s.from], append(frame, b...))
		return err
	}
	if s.k.Dst.Is6() {
		return ignoreDenied(unix.Sendto(l.out6, b, 0, &unix.SockaddrInet6{Addr: s.k.Dst.As16()}))
	}
	return ignoreDenied(unix.Sendto(l.out4, b, 0, &unix.SockaddrInet4{Addr: s.k.Dst.As4()}))
}

// ignoreDenied: a packet that an output hook drops is an error to its sender.
func ignoreDenied(err error) error {
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// settle returns when the kernel has dealt with every frame that was sent before. A frame passes two queues, into the
// gateway and out of it; all are the one of this processor, so each passage of the fence means that one is behind it.
func (l *lab) settle() {
	l.t.Helper()
	for range 3 {
		l.last++
		want := binary.BigEndian.AppendUint32([]byte(token), l.last)
		frame := append(append(make([]byte, 12), 0x88, 0xb5), want...)
		for end, seen := time.Now().Add(patience), false; !seen; {
			if time.Now().After(end) {
				l.t.Fatal("the fence does not come back")
			}
			if _, err := unix.Write(l.fence[0], frame); err != nil { // again: a new link may swallow what comes early
				l.t.Fatal(err)
			}
			fds := []unix.PollFd{{Fd: int32(l.fence[1]), Events: unix.POLLIN}}
			for n, _ := unix.Poll(fds, 1000); n == 1 && !seen; n, _ = unix.Poll(fds, 0) {
				id, ok := l.read(l.fence[1])
				seen = ok && id == l.last
			}
		}
	}
}

// read takes one packet from a socket without waiting: the number in it, if it is ours.
func (l *lab) read(fd int) (id uint32, ok bool) {
	b := make([]byte, 2048)
	n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
	if err != nil {
		return 0, false
	}
	at := bytes.LastIndex(b[:n], []byte(token))
	if at < 0 || at+tokenLen > n {
		return 0, true
	}
	return binary.BigEndian.Uint32(b[at+len(token):]), true
}

func (l *lab) collect(arrived map[uint32][]string) {
	drain := func(port string, fd int) {
		for id, ok := l.read(fd); ok; id, ok = l.read(fd) {
			arrived[id] = append(arrived[id], port)
		}
	}
	for port, fd := range l.ports {
		drain(port, fd)
	}
	for _, fd := range l.inside {
		drain(portGateway, fd)
	}
}

// forget empties connection tracking.
func (l *lab) forget() {
	l.t.Helper()
	c, err := conntrack.Dial(&netlink.Config{NetNS: int(l.gw.ns)})
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Flush(); err != nil {
		l.t.Fatal(err)
	}
}

// alive sends one frame each way, and one to the gateway, whose IPv6 address takes a moment to come.
func (l *lab) alive() bool {
	lamp, cloud := enforcertest.HostNamed("lamp"), enforcertest.HostNamed("cloud")
	out := enforcer.Packet{SrcMAC: lamp.MAC, Flow: enforcer.Flow{Src: lamp.V6, Dst: cloud.V6, Proto: protoOther}}
	in := enforcer.Packet{Flow: enforcer.Flow{Src: cloud.V4, Dst: lamp.V4, Proto: protoOther}}
	here := out
	here.Dst = enforcertest.HostNamed(portGateway).V6
	return len(l.fire([]shot{{k: out, from: l.port(lamp), to: portWAN}, {k: in, from: portWAN, to: l.port(lamp)},
		{k: here, from: l.port(lamp), to: portGateway}})) == 3
}
