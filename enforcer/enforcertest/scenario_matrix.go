package enforcertest

import (
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

// cell is a row of the direction matrix (standards.md 11.3).
type cell struct {
	container string // from-device, to-device or both
	initiated string
	out, in   bool // the device, or the peer, may open a flow
}

func tcpCells() []cell {
	return []cell{
		{"from-device", "", true, false},
		{"from-device", "from-device", true, false},
		{"from-device", "to-device", false, false},
		{"to-device", "", false, true},
		{"to-device", "from-device", false, false},
		{"to-device", "to-device", false, true},
		{"both", "from-device", true, false},
		{"both", "", true, false}, // T-01: mirrored, so it describes the replies
	}
}

// matrix is the direction matrix for TCP and its twin for UDP, for both families and both kinds of peers, and once more
// in the literal reading.
func matrix() []Case {
	var out []Case
	for _, p := range peers() {
		for _, six := range []bool{false, true} {
			for _, c := range tcpCells() {
				out = append(out, c.test(p, six, "tcp"))
				if c.initiated == "" {
					out = append(out, c.test(p, six, "udp"))
				}
			}
			for _, proto := range []string{"tcp", "udp"} {
				out = append(out, literal(p, six, proto))
			}
		}
	}
	return out
}

func (c cell) profile(p peer, six bool, proto string) *Profile {
	a := p.ace(six)
	a.Proto, a.Remote, a.Initiated = proto, Eq(443), c.initiated
	pr := &Profile{URL: LampURL, Model: "L1"}
	if c.container != "to-device" {
		pr.From = []ACE{a}
	}
	if c.container != "from-device" {
		pr.To = []ACE{a}
	}
	return pr
}

func (c cell) test(p peer, six bool, proto string) Case {
	initiated := c.initiated
	if initiated == "" {
		initiated = "absent"
	}
	row := rowName("ACE in "+c.container, initiated)
	if proto == "udp" {
		row = "T-47 ACE in " + c.container
	}
	family := "IPv4"
	if six {
		family = "IPv6"
	}
	return lampWith(row+", "+proto+" with "+p.host+" over "+family, c.profile(p, six, proto), c.probes(p.host, six, proto)...)
}

// probes open a flow from either side between the declared port of the peer and one of the device.
func (c cell) probes(host string, six bool, proto string) []Probe {
	out := []Probe{
		{Name: "the device opens", From: "lamp", To: host, V6: six, Proto: proto, Sport: 40001, Dport: 443, Want: c.out},
		{Name: "the peer opens from the port of the ACE", From: host, To: "lamp", V6: six, Proto: proto, Sport: 443, Dport: 40002, Want: c.in},
		{Name: "the peer opens from another port", From: host, To: "lamp", V6: six, Proto: proto, Sport: 444, Dport: 40003},
		{Name: "the device opens to another port", From: "lamp", To: host, V6: six, Proto: proto, Sport: 40004, Dport: 444},
		{Name: "the device opens over the other family", From: "lamp", To: host, V6: !six, Proto: proto, Sport: 40005, Dport: 443},
	}
	if proto == "tcp" {
		out = append(out, unsolicited(host, six)...)
	}
	return out
}

// literal is the lab mode, in which a mirrored to-device ACE opens what it literally says.
func literal(p peer, six bool, proto string) Case {
	c := cell{container: "both", out: true, in: true}.test(p, six, proto)
	c.Name = "T-01 literal reading: " + c.Name
	c.Site = func(s *enforcer.Site) { s.Literal = true }
	return c
}
