package kernel

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// asking is a lamp that may ask mDNS and a discovery protocol of its maker, and a camera that may ask mDNS.
func asking(literal bool) enforcertest.Case {
	group := func(net string, port int) enforcertest.ACE {
		return enforcertest.ACE{Net: net, V6: netip.MustParsePrefix(net).Addr().Is6(), Proto: "udp", Remote: enforcertest.Eq(port)}
	}
	mdns := group("224.0.0.251/32", 5353)
	lamp := &enforcertest.Profile{URL: enforcertest.LampURL, Model: "L1", From: []enforcertest.ACE{mdns, group("ff02::fb/128", 5353),
		group("239.0.0.0/8", 1900), group("255.255.255.255/32", 6666),
		{Class: enforcertest.Group("local-networks"), Proto: "udp", Remote: enforcertest.Eq(9)}}}
	cam := &enforcertest.Profile{URL: enforcertest.CamURL, Model: "cam", From: []enforcertest.ACE{mdns}}
	return enforcertest.Case{Name: "asking", Devices: []enforcertest.Device{{Host: "lamp", Profile: lamp}, {Host: "cam", Profile: cam}},
		Site: func(s *enforcer.Site) { s.Literal = literal }}
}

// groups are where the frames of a question go.
func groupMAC(a netip.Addr) dhcp.MAC {
	b := a.AsSlice()
	switch {
	case a == netip.MustParseAddr("255.255.255.255"), a == netip.MustParseAddr("192.168.77.255"):
		return everybody
	case a.Is6():
		return dhcp.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
	}
	return dhcp.MAC{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
}

// asker tells who asks and answers what.
type asker struct {
	*table
	port uint16 // that questions come from
}

// ask sends a UDP packet to a group. Hosts of the LAN hear it, and so may the gateway.
func (a *asker) ask(from, group string, dport uint16, hosts, gateway bool) {
	a.t.Helper()
	dst := netip.MustParseAddr(group)
	h := enforcertest.HostNamed(from)
	s := a.group(from, groupMAC(dst), h.Addr(dst.Is6()).String(), group, enforcer.Flow{Proto: unix.IPPROTO_UDP, Sport: a.port, Dport: dport})
	s.k.In, s.k.Out, s.to = enforcertest.LAN, enforcertest.LAN, "neighbour"
	here := s
	here.k.Out, here.to = "", portGateway
	shots := []shot{s}
	at := a.fire(shots)[shots[0].id]
	name := fmt.Sprintf("%s asks %s:%d", from, group, dport)
	if a.mode != enforcer.BridgeNone {
		a.heard(name, s, at, hosts)
	}
	a.heard(name+", at the gateway", here, at, gateway)
}

func (a *asker) heard(name string, s shot, at []string, want bool) {
	a.t.Helper()
	k := s.judged()
	k.State = "new" // nobody replies to a group
	res := a.mem.Send(&a.setup.Site, k)
	if got := slices.Contains(at, s.to); got != want || res.Accept != want {
		a.t.Errorf("%s: let through by the kernel %v, by Evaluate %v, want %v\n%s", name, got, res.Accept, want, a.explain(res))
	}
}

// answer sends a UDP packet to a device.
func (a *asker) answer(from, to string, six bool, sport, dport uint16, want bool) {
	a.t.Helper()
	p := enforcertest.Probe{From: from, To: to, V6: six, Proto: "udp", Sport: sport, Dport: dport}
	s := shot{k: p.Packet(), from: a.lab.port(p.FromHost()), to: a.lab.port(p.ToHost())}
	if s.viaGW = p.Direction() == "lateral" && a.mode == enforcer.BridgeNone; s.viaGW {
		want = false // on a wire of their own they need no gateway
	}
	shots := []shot{s}
	at := a.fire(shots)[shots[0].id]
	a.heard(fmt.Sprintf("answer %s", s), s, at, want)
}

// TestScenarioGroups: the unicast answers to a question to a group come in, for a moment, and nothing else does (T-17).
func TestScenarioGroups(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			l.join("224.0.0.251", "239.1.2.3", "ff02::fb")
			a := &asker{table: l.load(t, asking(false)), port: 40000}
			a.mdns(false, "224.0.0.251")
			a.mdns(true, "ff02::fb")
			a.others()
			a.forged()
			if mode != enforcer.BridgeMark {
				return
			}
			eventually(t, "the moment is over", func() bool {
				s := l.group("neighbour", enforcertest.HostNamed("lamp").MAC, "192.168.77.50", "192.168.77.10",
					enforcer.Flow{Proto: unix.IPPROTO_UDP, Sport: 5353, Dport: 40000})
				shots := []shot{s}
				return len(l.fire(shots)) == 0
			})
		})
	}
}

func (a *asker) mdns(six bool, group string) {
	for _, host := range []string{"neighbour", "gateway"} { // nobody asked yet
		a.answer(host, "lamp", six, 5353, a.port, false)
	}
	a.ask("lamp", group, 5353, true, true)
	a.answer("neighbour", "lamp", six, 5353, a.port, true)
	a.answer("hub", "lamp", six, 5353, a.port, true)
	a.answer("gateway", "lamp", six, 5353, a.port, true)
	a.answer("neighbour", "lamp", six, 5354, a.port, false)
	a.answer("neighbour", "lamp", six, 5353, a.port+1, false)
	a.answer("gateway", "lamp", six, 5353, a.port+1, false)
	a.answer("neighbour", "lamp", six, a.port, 5353, false)
	a.answer("cloud", "lamp", six, 5353, a.port, false)
	a.answer("neighbour", "cam", six, 5353, a.port, false)
	a.answer("gateway", "cam", six, 5353, a.port, false)
	if !six {
		a.answer("neighbour", "lamp", true, 5353, a.port, false) // nobody asked over IPv6 yet
	}
}

// others are groups that the device may ask, and may not, and broadcast.
func (a *asker) others() {
	a.port = 41000
	a.ask("lamp", "239.1.2.3", 1900, true, false) // a network may hold the gateway, but does not mean it
	a.answer("neighbour", "lamp", false, 1900, a.port, true)
	a.ask("lamp", "224.0.0.251", 1900, false, false)
	a.port++
	a.ask("lamp", "255.255.255.255", 6666, true, true)
	a.answer("neighbour", "lamp", false, 6666, a.port, true)
	a.answer("gateway", "lamp", false, 6666, a.port, true)
	a.port++
	a.ask("lamp", "255.255.255.255", 7000, true, false) // RMX-2.4-a: local policy, and no question
	a.answer("neighbour", "lamp", false, 7000, a.port, false)
	a.ask("lamp", "192.168.77.255", 7000, false, false)
	a.ask("lamp", "192.168.77.255", 9, false, false)
}

// forged questions open nothing to whom they name.
func (a *asker) forged() {
	lamp := enforcertest.HostNamed("lamp")
	a.port = 42000
	s := a.group("cam", groupMAC(netip.MustParseAddr("224.0.0.251")), lamp.V4.String(), "224.0.0.251",
		enforcer.Flow{Proto: unix.IPPROTO_UDP, Sport: a.port, Dport: 5353})
	a.fire([]shot{s})
	s.k.In, s.k.Out = enforcertest.LAN, enforcertest.LAN
	a.mem.Send(&a.setup.Site, s.judged())
	a.answer("neighbour", "lamp", false, 5353, a.port, false)
	a.answer("hub", "lamp", false, 5353, a.port, false)
}

// TestScenarioBroadcastLiteral: in the literal reading a device may say only what its profile says (RMX-2.4-a).
func TestScenarioBroadcastLiteral(t *testing.T) {
	l := newLab(t, enforcer.BridgeStateless)
	a := &asker{table: l.load(t, asking(true)), port: 43000}
	a.ask("lamp", "255.255.255.255", 7000, false, false)
	a.ask("lamp", "255.255.255.255", 6666, true, true)
}

// TestAskedFor: ten seconds, in both tables.
func TestAskedFor(t *testing.T) {
	l := newLab(t, enforcer.BridgeStateless)
	a := &asker{table: l.load(t, asking(false)), port: 44000}
	l.join("224.0.0.251")
	a.ask("lamp", "224.0.0.251", 5353, true, true)
	have, err := l.nft.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	lamp := enforcertest.HostNamed("lamp")
	for _, table := range have.Tables() {
		k := enforcer.Key{MAC: lamp.MAC, Sport: a.port, Dport: 5353}
		if table.Family == enforcer.Inet {
			k = enforcer.Key{Addr: lamp.V4, Sport: a.port, Dport: 5353}
		}
		s := table.Sets["asked_4"]
		e, there := s.Elements[k]
		if !there || e.Timeout <= 0 || e.Timeout > 10*time.Second || s.Timeout != 10*time.Second || len(s.Elements) != 1 {
			t.Errorf("%s: %+v, %v", table.Family, s, there)
		}
	}
}

// join makes the gateway a member of groups on the LAN.
func (l *lab) join(groups ...string) {
	l.t.Helper()
	var dev *net.Interface
	var err error
	if l.gw.do(func() { dev, err = net.InterfaceByName(enforcertest.LAN) }); err != nil {
		l.t.Fatal(err)
	}
	for _, g := range groups {
		a := netip.MustParseAddr(g)
		if a.Is6() {
			l.must(unix.SetsockoptIPv6Mreq(l.out6, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: a.As16(), Interface: uint32(dev.Index)}))
		} else {
			l.must(unix.SetsockoptIPMreqn(l.out4, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: a.As4(), Ifindex: int32(dev.Index)}))
		}
	}
}
