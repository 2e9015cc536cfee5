package mud

// transport reads a tcp or udp container.
func (b *aceReader) transport(n node, proto uint8) {
	b.setProtocol(n.path, proto)
	m := &b.ace.Match
	ports := map[string]*Ports{"destination-port": &m.RemotePort, "source-port": &m.LocalPort}
	if b.dir == ToDevice {
		ports = map[string]*Ports{"destination-port": &m.LocalPort, "source-port": &m.RemotePort}
	}
	n.each(func(name string, leaf node) {
		switch name {
		case "source-port", "destination-port":
			b.ports(leaf, ports[name])
		case "ietf-mud:direction-initiated":
			m.Initiated = FromDevice
			if leaf.text() == "to-device" {
				m.Initiated = ToDevice
			}
		default:
			b.field(n.name(), name, leaf)
		}
	})
}

// ports reads a port condition: a range, or an operator with a port (R8519-4-e).
func (b *aceReader) ports(n node, to *Ports) {
	lower, upper, port := n.get("lower-port"), n.get("upper-port"), n.get("port")
	lo, hi, p := uint16(lower.uint()), uint16(upper.uint()), uint16(port.uint())
	switch {
	case n.flawed(): // a part of the condition alone would be another condition
	case lower.exists() && upper.exists() && lo > hi:
		b.broken(Problem{Path: n.path, Row: "R8519-4-e", Message: "the range is upside down",
			Mend: pair("lower-port", literal(upper.v)) + ", " + pair("upper-port", literal(lower.v))})
	case lower.exists() && upper.exists():
		*to = Ports{Set: true, Lo: lo, Hi: hi}
	case port.exists():
		switch n.get("operator").text() {
		case "neq":
			*to = Ports{Set: true, Not: true, Lo: p, Hi: p}
		case "lte":
			*to = Ports{Set: true, Hi: p}
		case "gte":
			*to = Ports{Set: true, Lo: p, Hi: 65535}
		default: // eq, also where it is absent
			*to = Ports{Set: true, Lo: p, Hi: p}
		}
	case len(n.v.kids) == 0:
		b.r.warn(n.path, "R8519-4-a", "it is empty, so any port matches").mend("%s", pair(n.name(), `{"operator": "eq", "port": 443}`))
	}
}

// icmp reads an icmp container, whose numbers are those of ICMP under ipv4 and of ICMPv6 under ipv6 (T-22).
func (b *aceReader) icmp(n node) {
	m := &b.ace.Match
	switch m.Family {
	case IPv4:
		b.setProtocol(n.path, protoICMP)
	case IPv6:
		b.setProtocol(n.path, protoICMPv6)
	default:
		b.cannot(n.path, "T-22", "icmp means other messages in IPv4 and IPv6; give the ACL a type or add an ipv4 or ipv6 container").mend(
			`"type": "ipv4-acl-type"`)
		return
	}
	n.each(func(name string, leaf node) {
		x := uint8(leaf.uint())
		switch name {
		case "type":
			m.ICMPType = &x
		case "code":
			m.ICMPCode = &x
		default:
			b.field(n.name(), name, leaf)
		}
	})
}
