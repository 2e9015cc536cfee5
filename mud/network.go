package mud

import "net/netip"

func networkWord(f Family) string {
	if f == IPv4 {
		return "-ipv4-network"
	}
	return "-ipv6-network"
}

// network reads an ipv4 or ipv6 container (RFC 8519 ietf-packet-fields, RFC 8520 section 8).
func (b *aceReader) network(n node, f Family) {
	allowed, anywhere := b.acl.typ.ipv4, b.types.ipv4
	if f == IPv6 {
		allowed, anywhere = b.acl.typ.ipv6, b.types.ipv6
	}
	if b.container(n, map[Family]string{IPv4: "ipv4", IPv6: "ipv6"}[f], allowed, anywhere) {
		b.setFamily(n.path, f)
	} else {
		b.families = true
	}
	local, remote := b.sides()
	word := networkWord(f)
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
			b.cannot(leaf.path, "R8520-8.2-a", "it names the device's own side by a domain name; use %s", dns[remote]).mend("%s",
				pair(dns[remote], literal(leaf.v)))
		case local + word:
			b.ownNetwork(leaf, f, remote+word)
		default:
			b.field(n.name(), name, leaf)
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
	if x := uint8(n.uint()); x == 0 {
		b.cannot(n.path, "T-30", "protocol 0 is HOPOPT and not any protocol; leave it out to mean any")
	} else {
		b.setProtocol(n.path, x)
	}
}

// dnsname reads an inet:host (R8520-8.1-a). An address that hides in it is an address (T-11).
func (b *aceReader) dnsname(n node, f Family) {
	name, addr, err := parseHost(n.text())
	switch {
	case err != nil:
		b.cannot(n.path, "R8520-8.1-a", "%v", err)
	case !addr.IsValid():
		b.peer(n.path, name, addr)
		b.addRemote(Remote{Kind: RemoteName, Value: name})
	case familyOf(addr) != f:
		b.cannot(n.path, "R8520-8-b", "%s is an address and not of the family %s, so it never matches", addr, f)
	default:
		b.r.warn(n.path, "T-11", "%s is an address and not a name; %s", addr, kindOf(addr))
		b.peer(n.path, "", addr)
		b.addRemote(Remote{Kind: RemotePrefix, Prefix: netip.PrefixFrom(addr, addr.BitLen())})
	}
}

// prefix reads an IPv4 or IPv6 network of the peer.
func (b *aceReader) prefix(n node, f Family) {
	p := b.masked(n, f)
	if p.Bits() == 0 {
		b.r.warn(n.path, "R8520-2-b", "%s is every address there is; an administrator has to look at it", p)
	} else {
		b.r.warn(n.path, "R8520-2-b", "%s is written as an address; %s", p, kindOf(p.Addr()))
	}
	if p.IsSingleIP() {
		b.peer(n.path, "", p.Addr())
	}
	b.addRemote(Remote{Kind: RemotePrefix, Prefix: p})
}

// masked reads a network; bits of the host part are masked, as RFC 6991 wants.
func (b *aceReader) masked(n node, f Family) netip.Prefix {
	p, _ := parsePrefix(n.text(), f)
	if p != p.Masked() {
		b.r.note(n.path, "R8520-2-b", "the host part of %s is ignored: it is read as %s", p, p.Masked()).mend("%s",
			pair(n.name(), quote(p.Masked().String())))
	}
	return p.Masked()
}

// ownNetwork reads an address on the device's side, which is the device itself (R8520-2-c). What reaches it may also be
// addressed to a multicast group (RMX-2.3-a, T-17).
func (b *aceReader) ownNetwork(n node, f Family, other string) {
	p, _ := parsePrefix(n.text(), f)
	if b.dir != ToDevice || !p.Addr().IsMulticast() || p.Bits() < map[Family]int{IPv4: 4, IPv6: 8}[f] {
		b.cannot(n.path, "R8520-2-c", "it names the device's own side by address, and that side is always the device itself; use %s",
			other).mend("%s", pair(other, literal(n.v)))
		return
	}
	p = b.masked(n, f)
	b.r.warn(n.path, "RMX-2.3-a", "%s is a multicast group, which RFC 8520 says nothing of; an administrator has to look at it", p)
	b.ace.Match.Group = p
}

// kindOf says what kind of address a file holds, as that decides who may approve it (T-44).
func kindOf(a netip.Addr) string {
	what := "it may belong to somebody else tomorrow"
	switch {
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		what = "it is the broadcast address"
	case a.IsMulticast():
		what = "it is a multicast group"
	case a.IsPrivate(), a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsUnspecified(), a.Is4In6():
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
