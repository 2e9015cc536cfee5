package mud

import (
	"net/netip"
	"strings"
)

// network reads an ipv4 or ipv6 container (RFC 8519 ietf-packet-fields, RFC 8520 section 8).
func (b *aceReader) network(n node, f Family) {
	b.setFamily(n.path, f)
	local, remote := b.sides()
	word := map[Family]string{IPv4: "-ipv4-network", IPv6: "-ipv6-network"}[f]
	dns := map[string]string{"source": "ietf-acldns:src-dnsname", "destination": "ietf-acldns:dst-dnsname"}
	n.each(func(name string, leaf node) {
		switch name {
		case "protocol":
			b.protocol(leaf)
		case dns[remote]:
			b.dnsname(leaf, f)
		case remote + word:
			b.prefix(leaf, f)
		case dns[local]:
			b.cannot(leaf.path, "R8520-8.2-a", "it names the device's own side by a domain name; use %s", dns[remote])
		case local + word:
			b.cannot(leaf.path, "R8520-2-c", "it names the device's own side by address, and that side is always the device "+
				"itself; use %s", remote+word)
		case "dscp", "ecn", "length", "ttl", "ihl", "flags", "offset", "identification", "flow-label":
			b.cannot(leaf.path, "R8520-2-e", "matching on %s is not supported", name)
		default:
			b.unknown(name, leaf)
		}
	})
}

// sides gives the RFC 8519 words for the device's side and the peer's (RFC 8520 section 2).
func (b *aceReader) sides() (local, remote string) {
	if b.dir == FromDevice {
		return "source", "destination"
	}
	return "destination", "source"
}

func (b *aceReader) protocol(n node) {
	x, ok := b.number(n, 255)
	switch {
	case !ok:
	case x == 0:
		b.cannot(n.path, "T-30", "protocol 0 is HOPOPT and not any protocol; leave it out to mean any")
	default:
		b.setProtocol(n.path, uint8(x))
	}
}

// dnsname reads an inet:host (R8520-8.1-a). An address that hides in it is an address (T-11).
func (b *aceReader) dnsname(n node, f Family) {
	if !b.want(n, kindString) {
		return
	}
	name, addr, err := parseHost(n.v.text)
	switch {
	case err != nil:
		b.cannot(n.path, "R8520-8.1-a", "%v", err)
	case !addr.IsValid():
		b.addRemote(Remote{Kind: RemoteName, Value: name})
	case familyOf(addr) != f:
		b.cannot(n.path, "T-11", "%s is an address and not of the family %s", addr, f)
	default:
		b.r.warn(n.path, "T-11", "%s is an address and not a name; %s", addr, literal(addr))
		b.addRemote(Remote{Kind: RemotePrefix, Prefix: netip.PrefixFrom(addr, addr.BitLen())})
	}
}

// prefix reads an IPv4 or IPv6 network; bits of the host part are masked, as RFC 6991 wants.
func (b *aceReader) prefix(n node, f Family) {
	if !b.want(n, kindString) {
		return
	}
	p, err := netip.ParsePrefix(n.v.text)
	if err != nil || familyOf(p.Addr()) != f || p.Addr().Is4In6() {
		b.cannot(n.path, "R8520-2-a", "%s is no %s network; write address/length", show(n.v.text), f)
		return
	}
	if p != p.Masked() {
		b.r.note(n.path, "R8520-2-b", "the host part of %s is ignored: it is read as %s", p, p.Masked())
	}
	p = p.Masked()
	if p.Bits() == 0 {
		b.r.warn(n.path, "R8520-2-b", "%s is every address there is; an administrator has to look at it", p)
	} else {
		b.r.warn(n.path, "R8520-2-b", "%s is written as an address; %s", p, literal(p.Addr()))
	}
	b.addRemote(Remote{Kind: RemotePrefix, Prefix: p})
}

// literal says what kind of address a file holds, as that decides who may approve it (T-44).
func literal(a netip.Addr) string {
	what := "it may belong to somebody else tomorrow"
	switch {
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		what = "it is the broadcast address"
	case a.IsMulticast():
		what = "it is a multicast group"
	case a.IsPrivate(), a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsUnspecified():
		what = "it means something else in every network"
	}
	return what + ". An administrator has to look at it; the manufacturer should use a name or a class"
}

func familyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

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
			b.initiated(leaf, proto)
		case "length", "sequence-number", "acknowledgement-number", "data-offset", "reserved", "flags", "window-size",
			"urgent-pointer", "options":
			b.cannot(leaf.path, "R8520-2-e", "matching on %s is not supported", name)
		default:
			b.unknown(name, leaf)
		}
	})
}

// initiated reads direction-initiated (RFC 8520 section 4.8).
func (b *aceReader) initiated(n node, proto uint8) {
	if proto != protoTCP {
		b.cannot(n.path, "R8520-4.8-a", "direction-initiated is for TCP only; remove it or match on tcp")
		return
	}
	if !b.want(n, kindString) {
		return
	}
	switch n.v.text {
	case "from-device":
		b.ace.Match.Initiated = FromDevice
	case "to-device":
		b.ace.Match.Initiated = ToDevice
	default:
		b.cannot(n.path, "R8520-4.8-b", "%s is no direction; write from-device or to-device", show(n.v.text))
	}
}

// ports reads a port condition: a range, or an operator with a port (R8519-4-e).
func (b *aceReader) ports(n node, to *Ports) {
	if !b.want(n, kindObject) {
		return
	}
	ok := true
	n.each(func(name string, leaf node) {
		switch name {
		case "operator", "port", "lower-port", "upper-port":
		default:
			b.unknown(name, leaf)
			ok = false
		}
	})
	lower, upper, op, port := n.get("lower-port"), n.get("upper-port"), n.get("operator"), n.get("port")
	isRange, isOp := lower.exists() || upper.exists(), op.exists() || port.exists()
	switch {
	case isRange && isOp:
		b.cannot(n.path, "R8519-4-e", "it has a range and an operator; keep one of them")
	case isRange && !(lower.exists() && upper.exists()):
		b.cannot(n.path, "R8519-4-e", "a range needs both lower-port and upper-port")
	case isRange:
		if p, good := b.portRange(n, lower, upper); good && ok {
			*to = p
		}
	case isOp && !port.exists():
		b.cannot(n.path, "R8519-4-e", "the operator has no port")
	case isOp:
		if p, good := b.portOperator(op, port); good && ok {
			*to = p
		}
	default:
		b.r.warn(n.path, "R8519-4-a", "it is empty, so any port matches")
	}
}

func (b *aceReader) portRange(n, lower, upper node) (Ports, bool) {
	lo, ok := b.number(lower, 65535)
	hi, ok2 := b.number(upper, 65535)
	if ok && ok2 && lo > hi {
		b.cannot(n.path, "R8519-4-e", "the range %d to %d is upside down", lo, hi)
		return Ports{}, false
	}
	return Ports{Set: true, Lo: uint16(lo), Hi: uint16(hi)}, ok && ok2
}

func (b *aceReader) portOperator(op, port node) (Ports, bool) {
	x, ok := b.number(port, 65535)
	p := uint16(x)
	name := "eq" // the default
	if op.exists() {
		ok = b.want(op, kindString) && ok
		name = op.v.text
	}
	switch {
	case !ok:
		return Ports{}, false
	case name == "eq":
		return Ports{Set: true, Lo: p, Hi: p}, true
	case name == "neq":
		return Ports{Set: true, Not: true, Lo: p, Hi: p}, true
	case name == "lte":
		return Ports{Set: true, Hi: p}, true
	case name == "gte":
		return Ports{Set: true, Lo: p, Hi: 65535}, true
	}
	b.cannot(op.path, "R8519-4-e", "%s is no operator; write eq, neq, lte or gte", show(name))
	return Ports{}, false
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
		b.cannot(n.path, "T-22", "icmp means other messages in IPv4 and IPv6; give the ACL a type or add an ipv4 or ipv6 container")
		return
	}
	n.each(func(name string, leaf node) {
		var to **uint8
		switch name {
		case "type":
			to = &m.ICMPType
		case "code":
			to = &m.ICMPCode
		case "rest-of-header":
			b.cannot(leaf.path, "R8520-2-e", "matching on %s is not supported", name)
			return
		default:
			b.unknown(name, leaf)
			return
		}
		if x, ok := b.number(leaf, 255); ok {
			*to = new(uint8)
			**to = uint8(x)
		}
	})
}

// abstractions reads RFC 8520's own conditions (section 4.1 to 4.7).
func (b *aceReader) abstractions(n node) {
	empty := map[string]RemoteKind{"same-manufacturer": RemoteSameManufacturer, "local-networks": RemoteLocalNetworks,
		"my-controller": RemoteMyController}
	n.each(func(name string, leaf node) {
		switch name {
		case "same-manufacturer", "local-networks", "my-controller":
			if !leaf.isEmptyLeaf() {
				b.cannot(leaf.path, "R7951-6.9-a", "an empty leaf is written [null], found %s", leaf.kind())
				return
			}
			b.addRemote(Remote{Kind: empty[name]})
		case "manufacturer":
			b.valued(leaf, RemoteManufacturer, "R8520-4.1-a", b.manufacturer)
		case "model":
			b.valued(leaf, RemoteModel, "R8520-4.4-a", func(n node) (string, error) {
				u, err := ParseURL(n.v.text)
				return u.s, err
			})
		case "controller":
			b.valued(leaf, RemoteController, "R8520-4.6-a", b.class)
		default:
			b.unknown(name, leaf)
		}
	})
}

// valued reads a condition on the peer that has a string value.
func (b *aceReader) valued(n node, k RemoteKind, row string, read func(node) (string, error)) {
	if !b.want(n, kindString) {
		return
	}
	v, err := read(n)
	if err != nil {
		b.cannot(n.path, row, "%v", err)
		return
	}
	b.addRemote(Remote{Kind: k, Value: v})
}

// manufacturer gives the host to compare with that of MUD URLs (RFC 8520 section 4.1, T-10).
func (b *aceReader) manufacturer(n node) (string, error) {
	name, addr, err := parseHost(n.v.text)
	if err != nil || !addr.IsValid() {
		return name, err
	}
	b.r.warn(n.path, "T-11", "%s is an address and not a name; %s", addr, literal(addr))
	return addr.String(), nil
}

func (b *aceReader) class(n node) (string, error) {
	c, err := ParseClass(n.v.text)
	if err == nil && strings.HasPrefix(c, mudURN) && c != ClassDNS && c != ClassNTP {
		b.r.warn(n.path, "T-15", "the class %s is not registered; nothing matches until the administrator says which hosts it "+
			"means", show(c))
	}
	return c, err
}
