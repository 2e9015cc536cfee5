package kernel

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

// oddProfile lets the lamp speak to the cloud and to the web servers of its LAN.
func oddProfile() enforcertest.Case {
	type ace = enforcertest.ACE
	cloud := ace{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Eq(443)}
	local := ace{Both: true, Class: enforcertest.Group("local-networks"), Proto: "tcp", Remote: enforcertest.Eq(80)}
	return enforcertest.Case{Name: "odd", Devices: []enforcertest.Device{{Host: "lamp", Profile: &enforcertest.Profile{
		URL: enforcertest.LampURL, Model: "L1", From: []ace{cloud, cloud.Twin(), local}}}}}
}

// odd is a packet that the table has no words for.
type odd struct {
	name string
	shot shot
	want bool
	also string // another port where it must arrive, or must not
}

// TestScenarioOdd sends what a device may try beside plain packets: frames of other kinds, VLAN tags, fragments, extension
// headers, packets to its own link by way of the gateway (T-18, T17).
func TestScenarioOdd(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			l.load(t, oddProfile())
			list := slices.Concat(l.hairpins(), l.headers(), l.toGateway())
			if mode != enforcer.BridgeNone {
				list = slices.Concat(list, l.frames(), l.toLink())
			}
			l.try(t, list)
		})
	}
}

func (l *lab) try(t *testing.T, list []odd) {
	shots := make([]shot, len(list))
	for i, o := range list {
		shots[i] = o.shot
	}
	arrived := l.fire(shots)
	for i, o := range list {
		for _, port := range []string{o.shot.to, o.also} {
			if at := arrived[shots[i].id]; port != "" && slices.Contains(at, port) != o.want {
				t.Errorf("%s: %s: arrived at %v, want %v\n%s", o.name, o.shot, at, o.want, l.gw.list())
			}
		}
	}
}

// syn opens a TCP connection from a LAN host.
func (l *lab) syn(from, to string, six bool, sport, dport uint16) shot {
	p := enforcertest.Probe{From: from, To: to, V6: six, Proto: "tcp", Sport: sport, Dport: dport}
	return shot{k: p.Packet(), from: l.port(p.FromHost()), to: l.port(p.ToHost()), head: enforcertest.Head{Seq: 1000}}
}

// hairpins go to hosts of the same link through the gateway, as behind an access point that isolates its clients.
func (l *lab) hairpins() []odd {
	var out []odd
	for i, six := range []bool{false, true} {
		for j, o := range []odd{
			{name: "hairpin that the profile allows", shot: l.syn("lamp", "neighbour", six, 0, 80), want: true},
			{name: "hairpin that it does not", shot: l.syn("lamp", "neighbour", six, 0, 22)},
			{name: "hairpin to the device", shot: l.syn("neighbour", "lamp", six, 0, 80)},
			{name: "hairpin between others", shot: l.syn("neighbour", "hub", six, 0, 22), want: true},
		} {
			o.shot.viaGW, o.shot.k.Sport = true, uint16(30000+10*i+j)
			out = append(out, o)
		}
	}
	return out
}

// headers hide the TCP header behind others.
func (l *lab) headers() []odd {
	six := func(sport, dport uint16, next uint8, head ...byte) shot {
		s := l.syn("lamp", "cloud", true, sport, dport)
		s.wrap = func(mark []byte) (uint16, []byte) {
			b := s.ip(mark)
			b = append(append(b[:ip6Header:ip6Header], head...), b[ip6Header:]...)
			binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ip6Header))
			b[6] = next
			return unix.ETH_P_IPV6, b
		}
		return s
	}
	fragment := func(sport, dport uint16, at uint16) shot {
		s := l.syn("lamp", "cloud", false, sport, dport)
		s.wrap = func(mark []byte) (uint16, []byte) { return unix.ETH_P_IP, s.fragment(mark, at) }
		return s
	}
	options := []byte{unix.IPPROTO_TCP, 0, 1, 4, 0, 0, 0, 0} // PadN
	whole := []byte{unix.IPPROTO_TCP, 0, 0, 0, 0, 0, 0, 7}   // a fragment that is all there is
	later := []byte{unix.IPPROTO_TCP, 0, 0x05, 0x01, 0, 0, 0, 8}
	return []odd{
		{name: "destination options before an allowed SYN", shot: six(31001, 443, unix.IPPROTO_DSTOPTS, options...), want: true},
		{name: "destination options before another", shot: six(31002, 23, unix.IPPROTO_DSTOPTS, options...)},
		{name: "atomic fragment of an allowed SYN", shot: six(31003, 443, unix.IPPROTO_FRAGMENT, whole...), want: true},
		{name: "atomic fragment of another", shot: six(31004, 23, unix.IPPROTO_FRAGMENT, whole...)},
		{name: "later IPv6 fragment that looks like an allowed SYN", shot: six(31005, 443, unix.IPPROTO_FRAGMENT, later...)},
		{name: "first IPv4 fragment and no more", shot: fragment(31006, 443, 0x2000)},
		{name: "later IPv4 fragment that looks like an allowed SYN", shot: fragment(31007, 443, 0x2010)},
	}
}

// fragment is the IPv4 packet with other flags and offset.
func (s shot) fragment(mark []byte, at uint16) []byte {
	s.head.Frag = at
	return s.ip(mark)
}

// frames go from the device to its neighbour on the bridge.
func (l *lab) frames() []odd {
	lateral := func(sport, dport uint16, wrap func(s shot, mark []byte) (uint16, []byte)) shot {
		s := l.syn("lamp", "neighbour", false, sport, dport)
		s.wrap = func(mark []byte) (uint16, []byte) { return wrap(s, mark) }
		return s
	}
	tagged := func(vid byte) func(shot, []byte) (uint16, []byte) {
		return func(s shot, mark []byte) (uint16, []byte) {
			b := s.ip(mark)
			return unix.ETH_P_8021Q, append([]byte{0, vid, 8, 0}, b...)
		}
	}
	kind := func(etype uint16, head ...byte) func(shot, []byte) (uint16, []byte) {
		return func(s shot, mark []byte) (uint16, []byte) {
			return etype, append(append([]byte{}, head...), mark...)
		}
	}
	pppoe := func(s shot, mark []byte) (uint16, []byte) {
		b := s.ip(mark)
		n := len(b) + 2
		return unix.ETH_P_PPP_SES, append([]byte{0x11, 0, 0, 1, byte(n >> 8), byte(n), 0, 0x21}, b...)
	}
	fragment := func(s shot, mark []byte) (uint16, []byte) { return unix.ETH_P_IP, s.fragment(mark, 0x2010) }
	first := func(s shot, mark []byte) (uint16, []byte) { return unix.ETH_P_IP, s.fragment(mark, 0x2000) }
	list := []odd{
		{name: "an unknown kind of frame", shot: lateral(32001, 80, kind(0x88b5))},
		{name: "LLC", shot: lateral(32002, 80, kind(15, 0x42, 0x42, 3))},
		{name: "VLAN 0 around a SYN that is not allowed", shot: lateral(32003, 22, tagged(0))},
		{name: "VLAN 5 around a SYN that is not allowed", shot: lateral(32004, 22, tagged(5))},
		{name: "PPPoE around a SYN that is not allowed", shot: lateral(32005, 22, pppoe)},
	}
	// Without connection tracking nobody puts fragments together, and nft reads ports from where they would be (its fast path
	// does not look at the offset, Linux 6.18). The first fragment is judged by its real ports, so the whole never passes.
	if l.mode != enforcer.BridgeStateless {
		list = append(list, odd{name: "later fragment that looks like an allowed SYN", shot: lateral(32006, 80, fragment)})
	}
	return append(list, odd{name: "first fragment of a SYN that is not allowed", shot: lateral(32007, 22, first)})
}

// TestScenarioFragments: T17. Where nobody puts fragments together they are judged one by one, so an ACE can be about them.
func TestScenarioFragments(t *testing.T) {
	l := newLab(t, enforcer.BridgeStateless)
	local := enforcertest.ACE{Class: enforcertest.Group("local-networks")}
	at := func(a enforcertest.ACE, offset uint32) enforcertest.ACE {
		a.Fields = enforcertest.Field(mud.FieldOffset, offset)
		return a
	}
	not := at(local, 186)
	not.Drop = true
	load := func(from ...enforcertest.ACE) {
		l.load(t, enforcertest.Case{Name: "fragments", Devices: []enforcertest.Device{{Host: "lamp", Profile: &enforcertest.Profile{
			URL: enforcertest.LampURL, Model: "L1", From: from}}}})
	}
	piece := func(frag uint16) shot {
		s := l.syn("lamp", "neighbour", false, 0, 0)
		s.k.Proto, s.head.Frag = protoOther, frag
		return s
	}
	load(at(local, 185))
	l.try(t, []odd{{name: "the offset", shot: piece(185), want: true}, {name: "the offset, and more fragments", shot: piece(0x2000 | 185), want: true},
		{name: "another offset", shot: piece(186)}, {name: "no fragment", shot: piece(0)}})
	load(not, local)
	l.try(t, []odd{{name: "the offset dropped", shot: piece(186)}, {name: "another offset let pass", shot: piece(185), want: true},
		{name: "no fragment let pass", shot: piece(0), want: true}})
}

// group is a packet from a host of the LAN to a group, or to all.
func (l *lab) group(from string, mac dhcp.MAC, src, dst string, f enforcer.Flow) shot {
	h := enforcertest.HostNamed(from)
	s := shot{from: l.port(h), to: "neighbour", k: enforcer.Packet{Flow: f, SrcMAC: h.MAC, DstMAC: mac}}
	s.k.Src, s.k.Dst = netip.MustParseAddr(src), netip.MustParseAddr(dst)
	return s
}

func icmp6(kind uint8) enforcer.Flow {
	return enforcer.Flow{Proto: unix.IPPROTO_ICMPV6, ICMPType: kind}
}

var (
	everybody = dhcp.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	discover  = enforcer.Flow{Proto: unix.IPPROTO_UDP, Sport: 68, Dport: 67}
)

// toGateway is what the gateway must hear of a device that has no address yet, or a link-local one.
func (l *lab) toGateway() []odd {
	list := []odd{
		{name: "DHCP discover", shot: l.group("lamp", everybody, "0.0.0.0", "255.255.255.255", discover), want: true},
		{name: "router solicitation", want: true,
			shot: l.group("lamp", dhcp.MAC{0x33, 0x33, 5: 2}, "fe80::77ff:fe00:10", "ff02::2", icmp6(133))},
		{name: "SSH from a link-local address", shot: l.group("lamp", enforcertest.HostNamed(portGateway).MAC, "fe80::77ff:fe00:10",
			"fd77::1", enforcer.Flow{Proto: unix.IPPROTO_TCP, Sport: 34001, Dport: 22})},
	}
	for i := range list {
		list[i].shot.to, list[i].shot.k.TCPFlags = portGateway, 2
	}
	return list
}

// toLink is what a device may and may not say to its whole link.
func (l *lab) toLink() []odd {
	all6, node := dhcp.MAC{0x33, 0x33, 5: 1}, dhcp.MAC{0x33, 0x33, 0xff, 0, 0, 0x32}
	report := l.group("lamp", dhcp.MAC{0x33, 0x33, 5: 0x16}, "fe80::77ff:fe00:10", "ff02::16", icmp6(143))
	report.wrap = func(mark []byte) (uint16, []byte) { // RFC 3810 section 5: behind a hop-by-hop header
		b := report.ip(mark)
		b = append(append(b[:ip6Header:ip6Header], unix.IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0), b[ip6Header:]...)
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ip6Header))
		b[6] = unix.IPPROTO_HOPOPTS
		return unix.ETH_P_IPV6, b
	}
	untargeted := l.group("lamp", all6, "fd77::a", "ff02::1", icmp6(136))
	untargeted.head.Rest = "\x20\x00\x00\x00"
	query := l.group("lamp", everybody, "192.168.77.10", "192.168.77.50", enforcer.Flow{})
	query.k.EtherType = unix.ETH_P_ARP
	mdns := enforcer.Flow{Proto: unix.IPPROTO_UDP, Sport: 5353, Dport: 5353}
	return []odd{
		{name: "ARP query", shot: query, want: true},
		{name: "neighbour solicitation", shot: l.group("lamp", node, "fd77::a", "ff02::1:ff00:32", icmp6(135)), want: true},
		{name: "duplicate address detection", shot: l.group("lamp", node, "::", "ff02::1:ff00:32", icmp6(135)), want: true},
		{name: "unsolicited advertisement", shot: l.announcement(enforcertest.HostNamed("lamp"), netip.MustParseAddr("fd77::a")), want: true},
		{name: "advertisement without a target", shot: untargeted},
		{name: "MLDv2 report", shot: report, want: true},
		{name: "DHCP discover to everybody", shot: l.group("lamp", everybody, "0.0.0.0", "255.255.255.255", discover), want: true,
			also: portGateway},
		{name: "rogue router advertisement", shot: l.group("lamp", all6, "fe80::77ff:fe00:10", "ff02::1", icmp6(134)), also: "hub"},
		{name: "mDNS that no ACE allows", shot: l.group("lamp", dhcp.MAC{1, 0, 0x5e, 5: 0xfb}, "192.168.77.10", "224.0.0.251", mdns),
			also: "hub"},
		{name: "mDNS of a host that nobody restricts", shot: l.group("hub", dhcp.MAC{1, 0, 0x5e, 5: 0xfb}, "192.168.77.12", "224.0.0.251",
			mdns), want: true},
	}
}

// TestScenarioErrors: an ICMP error about a tracked flow reaches the device, one about no flow does not (T-22, T-48, R6092-10/18/36).
func TestScenarioErrors(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			r := l.load(t, oddProfile())
			for _, six := range []bool{false, true} {
				l.errorsAbout(t, r, six)
			}
		})
	}
}

func (l *lab) errorsAbout(t *testing.T, r *table, six bool) {
	flow := l.syn("lamp", "cloud", six, 33000, 443)
	if at := l.fire([]shot{flow}); len(at) != 1 {
		t.Fatal("the flow itself is denied")
	}
	known, unknown := flow.unreachable("evil"), l.syn("lamp", "cloud", six, 33001, 443).unreachable("evil")
	known.k.State, unknown.k.State = "related", "invalid"
	shots := []shot{known, unknown}
	arrived := l.fire(shots)
	rules, _ := r.mem.Ruleset()
	for i, want := range []bool{true, false} {
		res := enforcer.Evaluate(rules, &r.setup.Site, shots[i].k, nil)
		l.compare(t, "error: "+shots[i].String(), shots[i], arrived[shots[i].id], res, want)
	}
}

// unreachable is what a router on the WAN says of a shot.
func (s shot) unreachable(router string) shot {
	quoted := s.packet()
	e := s.answer()
	e.k.TCPFlags, e.k.Sport, e.k.Dport = 0, 0, 0
	e.k.Src = enforcertest.HostNamed(router).Addr(s.k.Src.Is6())
	e.k.Proto, e.k.ICMPType, e.k.ICMPCode = unix.IPPROTO_ICMP, 3, 1
	if e.k.Src.Is6() {
		e.k.Proto, e.k.ICMPType = unix.IPPROTO_ICMPV6, 1
	}
	e.head = enforcertest.Head{Rest: "\x00\x00\x00\x00" + string(quoted)}
	return e
}
