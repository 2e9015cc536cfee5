package enforcertest

import (
	"fmt"

	"mudguard/enforcer"
)

// peer is one of the two kinds of peers that the matrix is run for.
type peer struct {
	host string
	ace  func(six bool) ACE // an ACE that names it, without protocol
}

func peers() []peer {
	return []peer{
		{"cloud", func(six bool) ACE { return ACE{Name: "cloud.example", V6: six} }},
		{"neighbour", func(six bool) ACE { return ACE{Class: Group("local-networks"), V6: six} }},
	}
}

// cell is a row of the direction matrix (standards.md 11.3): what direction-initiated says in the ACE of each container, "-"
// where it has none, and who may then open a flow between the declared port of the peer and one of the device.
type cell struct {
	rows             string
	from, to         string
	opened, literal  string // by the device, the peer, both or nobody; in the default and in the literal reading
	beside, datagram bool   // the to-device ACE is about a port of the device instead; there is a twin for UDP
}

// directions is written out by hand from the standard and the decisions on T-01, T-02 and T-47, not from the code.
func directions() []cell {
	return []cell{
		{"R8520-4.8-b T-47", "absent", "-", "device", "device", false, true},
		{"R8520-4.8-b", "from-device", "-", "device", "device", false, false},
		{"R8520-4.8-b T-02", "to-device", "-", "nobody", "nobody", false, false},
		{"R8520-4.8-b T-47", "-", "absent", "peer", "peer", false, true},
		{"R8520-4.8-b T-02", "-", "from-device", "nobody", "nobody", false, false},
		{"R8520-4.8-b", "-", "to-device", "peer", "peer", false, false},
		{"T-01 T-47 mirrored", "absent", "absent", "device", "both", false, true},
		{"R8520-4.8-b T-02", "absent", "from-device", "device", "device", false, false},
		{"R8520-4.8-b", "absent", "to-device", "both", "both", false, false},
		{"T-01 mirrored", "from-device", "absent", "device", "both", false, false},
		{"R8520-4.8-b the example of section 9", "from-device", "from-device", "device", "device", false, false},
		{"R8520-4.8-b", "from-device", "to-device", "both", "both", false, false},
		{"T-02", "to-device", "absent", "peer", "peer", false, false},
		{"T-02", "to-device", "from-device", "nobody", "nobody", false, false},
		{"R8520-4.8-b T-02", "to-device", "to-device", "peer", "peer", false, false},
		{"T-01 T-47 no mirror", "absent", "absent", "both", "both", true, true},
	}
}

// matrix is the direction matrix for TCP and its twin for UDP, for both families, both kinds of peers and both readings.
func matrix() []Case {
	var out []Case
	for _, p := range peers() {
		for _, six := range []bool{false, true} {
			for _, literal := range []bool{false, true} {
				for _, c := range directions() {
					out = append(out, c.test(p, six, literal, "tcp"))
					if c.datagram {
						out = append(out, c.test(p, six, literal, "udp"))
					}
				}
			}
		}
	}
	return out
}

func (c cell) profile(p peer, six bool, proto string) *Profile {
	from := p.ace(six)
	from.Proto, from.Remote = proto, Eq(443)
	to := from
	if c.beside {
		to.Remote, to.Local = nil, Eq(8080)
	}
	pr := &Profile{URL: LampURL, Model: "L1"}
	for _, side := range []struct {
		initiated string
		ace       ACE
		list      *[]ACE
	}{{c.from, from, &pr.From}, {c.to, to, &pr.To}} {
		if side.initiated != "absent" {
			side.ace.Initiated = side.initiated
		}
		if side.initiated != "-" {
			*side.list = []ACE{side.ace}
		}
	}
	return pr
}

func (c cell) test(p peer, six, literal bool, proto string) Case {
	reading, opened := "default", c.opened
	if literal {
		reading, opened = "literal", c.literal
	}
	family := map[bool]string{false: "IPv4", true: "IPv6"}[six]
	out := lampWith(fmt.Sprintf("%s, from-device %s, to-device %s, %s with %s over %s, %s", c.rows, c.from, c.to, proto, p.host, family, reading),
		c.profile(p, six, proto), c.probes(p.host, six, proto, opened == "device" || opened == "both", opened == "peer" || opened == "both")...)
	out.Site = func(s *enforcer.Site) { s.Literal = literal }
	return out
}

// probes open a flow from either side between the declared port of the peer and one of the device, and pretend to.
func (c cell) probes(host string, six bool, proto string, out, in bool) []Probe {
	sport, dport := uint16(443), uint16(40002)
	late := map[bool]string{true: "pass", false: "stop"}[in && !c.beside]
	if c.beside {
		sport, dport = 444, 8080
	}
	list := []Probe{
		{Name: "the device opens", From: "lamp", To: host, V6: six, Proto: proto, Sport: 40001, Dport: 443, Want: out},
		{Name: "the peer opens from the port of the ACE", From: host, To: "lamp", V6: six, Proto: proto, Sport: sport, Dport: dport, Want: in},
		{Name: "the peer opens from another port", From: host, To: "lamp", V6: six, Proto: proto, Sport: 445, Dport: 40003},
		{Name: "the device opens to another port", From: "lamp", To: host, V6: six, Proto: proto, Sport: 40004, Dport: 444},
		{Name: "the device opens over the other family", From: "lamp", To: host, V6: !six, Proto: proto, Sport: 40005, Dport: 443},
	}
	if proto == "udp" {
		list[0].Late = late // a datagram of the peer, from the declared port, when the flow is forgotten
		return list
	}
	if !in {
		list = append(list, Probe{Name: "the device answers a SYN that was stopped", From: "lamp", To: host, V6: six, Proto: proto, Sport: dport,
			Dport: sport, Flags: SYN | ACK})
	}
	return append(list, unsolicited(host, six)...)
}
