package kernel

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

const randomPackets = 2000

// TestScenarioRandom compares the kernel with Evaluate on packets drawn near the rules of a rich policy: two fixed seeds,
// and one that every run draws anew and names when it fails.
func TestScenarioRandom(t *testing.T) {
	seeds := []uint64{0, 3, uint64(time.Now().UnixNano())}
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			for i, seed := range seeds {
				t.Run([]string{"plain", "block", "random"}[i], func(t *testing.T) { l.random(t, seed) })
			}
		})
	}
}

func (l *lab) random(t *testing.T, seed uint64) {
	r := l.load(t, rich(seed))
	rules, err := r.mem.Ruleset() // with what was learned
	if err != nil {
		t.Fatal(err)
	}
	judge := func(s shot) enforcer.Result { return enforcer.Evaluate(rules, &r.setup.Site, s.judged(), nil) }
	d := &draw{Rand: rand.New(rand.NewPCG(seed, 0)), lab: l, seen: map[enforcer.Flow]bool{}}
	shots := make([]shot, randomPackets)
	for i := range shots {
		shots[i] = d.fresh()
		for range 3 { // most packets are denied: prefer the others a little
			if other := d.fresh(); !judge(shots[i]).Accept {
				shots[i] = other
			}
		}
	}
	arrived := l.fire(shots)
	allowed, disagreements := 0, 0
	for _, s := range shots {
		res := judge(s)
		if res.Accept {
			allowed++
		}
		l.compare(t, fmt.Sprintf("seed %d: %s", seed, s), s, arrived[s.id], res, res.Accept)
		if slices.Contains(arrived[s.id], s.to) != res.Accept {
			disagreements++
		}
		if disagreements == 10 {
			t.Fatal("ten disagreements, and perhaps more")
		}
	}
	// Packets that are all stopped, or all let through, would compare nothing.
	if allowed < randomPackets/10 || allowed > randomPackets*9/10 {
		t.Errorf("seed %d: %d of %d packets are allowed", seed, allowed, len(shots))
	}
}

// rich is a site in which many kinds of rules meet. The seed chooses how the rest of the LAN is treated, and the reading.
func rich(seed uint64) enforcertest.Case {
	type ace = enforcertest.ACE
	eq, op, span, class, group := enforcertest.Eq, enforcertest.Op, enforcertest.Range, enforcertest.Class, enforcertest.Group
	cloud := ace{Name: "cloud.example", Proto: "tcp", Remote: eq(443)}
	lamp := &enforcertest.Profile{URL: enforcertest.LampURL, Mfg: "Lamps", Model: "L1",
		From: []ace{
			{Drop: true, Both: true, Proto: "tcp", Remote: eq(23)},
			cloud,
			ace{Name: "cloud.example", Proto: "udp", Remote: span(8000, 8010)}.Twin(),
			{Net: "198.51.100.0/25", Proto: "tcp"},
			ace{Net: "2001:db8:51::/64", Proto: "udp", Local: span(5000, 5001), Remote: op("gte", 6000)}.Twin(),
			{Both: true, Class: group("local-networks"), Proto: "tcp", Remote: op("neq", 80)},
			{Both: true, Class: class("model", enforcertest.CamURL), Proto: "udp", Remote: eq(8080)},
			{Name: "cloud.example", ICMP: map[string]any{"type": 8, "code": 0}},
			ace{Name: "evil.example", ICMP: map[string]any{"type": 128}}.Twin(),
			{Name: "evil.example", Proto: "udp", Remote: op("lte", 53)},
			{Net: "192.168.77.1/32", Proto: "tcp", Remote: span(443, 444)},
			{Net: "10.0.0.0/8"},
		},
		To: []ace{
			{Drop: true, Both: true, Proto: "tcp", Local: eq(24)},
			cloud,
			{Both: true, Class: group("local-networks"), Proto: "tcp", Local: span(22, 30), Initiated: "to-device"},
			ace{Name: "evil.example", Proto: "udp", Local: op("gte", 60000)}.Twin(),
			{Net: "203.0.113.0/26", Proto: "tcp", Remote: op("gte", 8000)},
			{Both: true, Class: group("same-manufacturer"), Proto: "udp"},
		}}
	r := rand.New(rand.NewPCG(seed, 1))
	lamp.From, lamp.To = slices.Concat(drawn(r), lamp.From), slices.Concat(drawn(r), lamp.To)
	open := []ace{{Both: true, Class: group("local-networks"), Proto: "tcp", Local: eq(8080)},
		{Both: true, Proto: "udp", Local: op("lte", 123)}}
	return enforcertest.Case{Name: "rich", Block: seed&1 != 0, Devices: []enforcertest.Device{{Host: "lamp", Profile: lamp},
		{Host: "hub", Observe: seed&2 != 0, Profile: &enforcertest.Profile{URL: enforcertest.HubURL, Model: "hub", From: open, To: open}},
		{Host: "cam", Profile: &enforcertest.Profile{URL: enforcertest.CamURL, Model: "cam", To: open}}},
		Site: func(s *enforcer.Site) { s.Literal = seed&2 != 0 }}
}

// drawn are ACEs with conditions on headers and frames. Accepts come first, as the first drop may be a wide one, and are
// about some ports or peers only.
func drawn(r *rand.Rand) []enforcertest.ACE {
	var out []enforcertest.ACE
	for i := range 12 {
		a := enforcertest.ACE{Drop: i >= 8, V6: r.IntN(2) == 0, Proto: []string{"tcp", "udp", ""}[r.IntN(3)]}
		switch {
		case a.Proto != "":
			a.Remote = enforcertest.Op([]string{"lte", "gte", "eq"}[r.IntN(3)], []int{23, 443, 8080}[r.IntN(3)])
		case !a.Drop:
			a.Net = map[bool]string{false: "203.0.113.0/26", true: "2001:db8:51::/64"}[a.V6]
		}
		switch r.IntN(8) {
		case 0:
			a = enforcertest.ACE{Drop: a.Drop, Both: true, EtherType: 0x88b5}
		case 1:
			a.RemoteMAC = enforcertest.MAC(enforcertest.HostNamed([]string{"gateway", "neighbour", "hub"}[r.IntN(3)]).MAC)
		case 2:
			a.LocalMAC = mud.MACMatch{Addr: [6]byte{5: 10}, Mask: [6]byte{5: 0x0f}}
		default:
			a.Fields = drawnFields(r, a)
		}
		out = append(out, a)
	}
	return out
}

func drawnFields(r *rand.Rand, a enforcertest.ACE) []mud.FieldMatch {
	pick := func(values ...uint32) uint32 { return values[r.IntN(len(values))] }
	field := func(f mud.Field, values ...uint32) mud.FieldMatch { return enforcertest.Field(f, pick(values...))[0] }
	list := []mud.FieldMatch{field(mud.FieldDSCP, 0, 8, 46), field(mud.FieldECN, 0, 1, 3), field(mud.FieldTTL, 63, 64, 77, 78),
		field(mud.FieldLength, 40, 60, 52)}
	if a.V6 {
		list = append(list, field(mud.FieldFlowLabel, 0, 77))
	} else {
		flag := mud.FieldMatch{Field: mud.FieldIPFlags, Value: mud.IPFlagDontFragment, Mask: pick(mud.IPFlagDontFragment, 7)}
		list = append(list, field(mud.FieldIHL, 5, 6), field(mud.FieldIdentification, 1, 4711), field(mud.FieldOffset, 0), flag)
	}
	switch a.Proto {
	case "tcp":
		list = append(list, field(mud.FieldTCPSequence, 1000, 4711), field(mud.FieldTCPAcknowledgement, 0, 99), field(mud.FieldTCPDataOffset, 5, 6),
			field(mud.FieldTCPReserved, 0, 1), field(mud.FieldTCPWindow, 0xffff, 1000), field(mud.FieldTCPUrgent, 0, 5),
			mud.FieldMatch{Field: mud.FieldTCPOptions, Bytes: mss}, mud.FieldMatch{Field: mud.FieldTCPFlags, Value: 2, Mask: pick(2, 0xff)})
	case "udp":
		list = append(list, field(mud.FieldUDPLength, 20, 28))
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:1+r.IntN(2)]
}

const mss = "\x02\x04\x05\xb4" // a TCP option

// head draws what the conditions of drawnFields are about.
func (d *draw) head() enforcertest.Head {
	if d.IntN(3) == 0 {
		return enforcertest.Head{}
	}
	return enforcertest.Head{TOS: pick[uint8](d, 0, 0x20, 0xb8, 1, 3), TTL: pick[uint8](d, 0, 63, 64, 65, 77, 78, 79), ID: pick[uint16](d, 0, 4711),
		Frag: pick[uint16](d, 0, 0x4000, 0xc000), Label: pick[uint32](d, 0, 77), IPOptions: pick(d, 0, 0, 1), Ack: pick[uint32](d, 0, 99),
		Reserved: pick[uint8](d, 0, 1), Window: pick[uint16](d, 0, 1000), Urgent: pick[uint16](d, 0, 5), Options: pick(d, "", mss), Pad: pick(d, 0, 8)}
}

// draw draws packets, no two of one flow: each is then judged on its own.
type draw struct {
	*rand.Rand
	lab  *lab
	seen map[enforcer.Flow]bool
}

func pick[T any](d *draw, of ...T) T { return of[d.IntN(len(of))] }

func (d *draw) fresh() shot {
	for {
		s := d.shot()
		f := s.k.Flow
		back := f
		back.Src, back.Dst, back.Sport, back.Dport = f.Dst, f.Src, f.Dport, f.Sport
		icmp := f.Proto == unix.IPPROTO_ICMP || f.Proto == unix.IPPROTO_ICMPV6 // each has an identifier of its own
		if icmp || s.k.EtherType != 0 || !d.seen[f] && !d.seen[back] {
			d.seen[f] = true
			s.head = d.head()
			s.head.Echo, s.head.Seq = uint16(len(d.seen)), pick[uint32](d, 1000, 4711)
			s.k.State = state(s.k)
			return s
		}
	}
}

// shot draws who speaks to whom, from which address, and what.
func (d *draw) shot() shot {
	l, six, gateway := d.lab, d.IntN(2) == 0, enforcertest.HostNamed(portGateway).MAC
	a, b := d.device(), d.device()
	s := shot{from: l.port(a), to: l.port(b)}
	s.k.In, s.k.Out, s.k.SrcMAC, s.k.DstMAC = enforcertest.LAN, enforcertest.LAN, a.MAC, b.MAC
	s.k.Src, s.k.Dst = a.Addr(six), b.Addr(six)
	switch pick(d, "out", "out", "in", "to-gateway", "from-gateway", "lateral", "lateral", "lateral") {
	case "out":
		s.to, s.k.Out, s.k.DstMAC, s.k.Dst = portWAN, enforcertest.WAN, gateway, d.beyond(six)
		d.spoof(&s, six)
	case "to-gateway":
		s.to, s.k.Out, s.k.DstMAC, s.k.Dst = portGateway, "", enforcertest.HostNamed(portGateway).MAC, d.gateway(six)
		d.spoof(&s, six)
	case "in":
		s.from, s.k.In, s.k.SrcMAC, s.k.Src = portWAN, enforcertest.WAN, gateway, d.beyond(six)
		d.stranger(&s, six)
	case "from-gateway":
		s.from, s.k.In, s.k.SrcMAC, s.k.Src = portGateway, "", enforcertest.HostNamed(portGateway).MAC, d.gateway(six)
		d.stranger(&s, six)
	default:
		d.lateral(&s, a, six)
	}
	d.content(&s.k, six)
	return s
}

// lateral sends to another host of the LAN. A bridge goes by the MAC, whatever the address says.
func (d *draw) lateral(s *shot, a enforcertest.Host, six bool) {
	b := d.device()
	for b.Name == a.Name {
		b = d.device()
	}
	s.to, s.k.DstMAC, s.k.Dst = d.lab.port(b), b.MAC, b.Addr(six)
	d.spoof(s, six)
	switch {
	case d.lab.mode == enforcer.BridgeNone:
		s.viaGW = true
	case d.IntN(4) == 0:
		s.k.Dst = d.beyond(six)
	default:
		if d.IntN(8) == 0 {
			s.k.EtherType = pick[uint16](d, unix.ETH_P_ARP, 0x88b5, 0x88b5, 0x88b6)
		}
	}
}

func (d *draw) device() enforcertest.Host {
	return enforcertest.HostNamed(pick(d, "lamp", "lamp", "lamp", "hub", "cam", "neighbour"))
}

func (d *draw) gateway(six bool) netip.Addr {
	own := enforcertest.HostNamed(portGateway).Addr(six)
	return pick(d, own, own, own, either(six, "100.64.0.2", "2001:db8:ffff::2"))
}

// beyond draws an address that is routed to the WAN.
func (d *draw) beyond(six bool) netip.Addr {
	if six {
		return netip.MustParseAddr(pick(d, "2001:db8:71::a", "2001:db8:71::42", "2001:db8:51::1", "2001:db8:51:0:ffff::",
			"2001:db8:51:1::", "fd78::5"))
	}
	return netip.MustParseAddr(pick(d, "203.0.113.10", "203.0.113.66", "203.0.113.63", "203.0.113.64", "198.51.100.0",
		"198.51.100.127", "198.51.100.128", "198.51.99.255", "10.0.0.5", "11.0.0.0", "192.168.78.5"))
}

func either(six bool, a4, a6 string) netip.Addr {
	if six {
		return netip.MustParseAddr(a6)
	}
	return netip.MustParseAddr(a4)
}

// spoof gives a LAN host another source address now and then, of its own network or not.
func (d *draw) spoof(s *shot, six bool) {
	switch d.IntN(8) {
	case 0:
		s.k.Src = d.beyond(six)
		s.k.NoRouteBack = true
	case 1:
		s.k.Src = either(six, "192.168.77.49", "fd77::ffff:1")
	}
}

// stranger sends to an address on the LAN that no policy knows now and then.
func (d *draw) stranger(s *shot, six bool) {
	if d.IntN(8) > 0 {
		return
	}
	h := enforcertest.HostNamed("neighbour")
	i := slices.IndexFunc(strangers, func(a string) bool { return netip.MustParseAddr(a).Is6() == six })
	s.to, s.k.DstMAC, s.k.Dst = d.lab.port(h), h.MAC, netip.MustParseAddr(strangers[i])
}

func (d *draw) content(k *enforcer.Packet, six bool) {
	if k.EtherType != 0 {
		return
	}
	icmp := uint8(unix.IPPROTO_ICMP)
	if six {
		icmp = unix.IPPROTO_ICMPV6
	}
	k.Proto = pick(d, unix.IPPROTO_TCP, unix.IPPROTO_TCP, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDP, icmp, pick(d, icmp, protoOther, unix.IPPROTO_IGMP))
	switch k.Proto {
	case unix.IPPROTO_TCP:
		k.Sport, k.Dport = d.port(), d.port()
		k.TCPFlags = pick[uint8](d, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x10, 0x12, 0x04, 0x14, 0x11, 0x18)
	case unix.IPPROTO_UDP:
		k.Sport, k.Dport = d.port(), d.port()
		if d.IntN(8) == 0 { // DHCP, right and wrong
			k.Sport, k.Dport = pick[uint16](d, 67, 68, 546, 547), pick[uint16](d, 67, 68, 546, 547)
		}
	case unix.IPPROTO_ICMP:
		k.ICMPType, k.ICMPCode = pick[uint8](d, 8, 8, 8, 0, 3, 13), pick[uint8](d, 0, 0, 0, 1)
	case unix.IPPROTO_ICMPV6:
		k.ICMPType, k.ICMPCode = pick[uint8](d, 128, 128, 129, 1, 8, 130, 131, 132, 133, 134, 135, 136, 137, 143),
			pick[uint8](d, 0, 0, 0, 1)
	}
}

// port draws from both sides of the bounds of the rules, and from afar.
func (d *draw) port() uint16 {
	if d.IntN(3) == 0 {
		return uint16(20000 + d.IntN(45000))
	}
	return pick[uint16](d, 1, 21, 22, 23, 24, 25, 30, 31, 53, 54, 79, 80, 81, 123, 124, 442, 443, 443, 443, 444, 445, 4999, 5000, 5001, 5002,
		5999, 6000, 7999, 8000, 8010, 8011, 8080, 8081, 59999, 60000, 65535)
}

// state is what connection tracking makes of a packet of no known flow (nf_conntrack_proto_*.c): a bare ACK opens one as
// long as tcp_loose is on, any other TCP packet but a SYN is part of none.
func state(k enforcer.Packet) string {
	opens := k.EtherType == 0
	switch k.Proto {
	case unix.IPPROTO_TCP:
		opens = k.TCPFlags&0x07 == 0x02 && k.TCPFlags&0x10 == 0 || k.TCPFlags&0x17 == 0x10
	case unix.IPPROTO_ICMP:
		opens = slices.Contains([]uint8{8, 13, 15, 17}, k.ICMPType)
	case unix.IPPROTO_ICMPV6:
		if slices.Contains([]uint8{130, 131, 132, 133, 134, 135, 136, 143}, k.ICMPType) {
			return "untracked"
		}
		opens = k.ICMPType == 128 || k.ICMPType == 139
	}
	if opens {
		return "new"
	}
	return "invalid"
}
