package mud

import (
	"slices"
	"strconv"
)

// Ethertypes that RFC 8519 lets a file write as IP containers too.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// ether reads an eth container (RFC 8519 ietf-packet-fields). RFC 8520 section 2 assumes no match on Ethernet.
func (b *aceReader) ether(n node) {
	if !n.exists() || !b.container(n, "eth", b.acl.typ.eth, b.types.eth) {
		return
	}
	b.r.warn(n.path, "R8520-2-d", "the profile goes beyond RFC 8520 section 2, which has no match on Ethernet; other MUD managers may "+
		"ignore the ACE")
	local, remote := b.sides()
	b.mac(n, local+"-mac-address", &b.ace.Match.LocalMAC)
	b.mac(n, remote+"-mac-address", &b.ace.Match.RemoteMAC)
	if t := n.get("ethertype"); t.exists() {
		b.ethertype(t)
	}
}

// mac reads an address with its mask. A mask alone says nothing that could be compared.
func (b *aceReader) mac(n node, name string, to *MACMatch) {
	addr, mask := n.get(name), n.get(name+"-mask")
	if !addr.exists() || n.has(name+"-mask") && !mask.exists() {
		if mask.exists() && !n.has(name) {
			b.cannot(mask.path, "T-13", "the mask has no address to be the mask of").mend("%s", pair(name, `"…"`))
		}
		return
	}
	to.Addr, _ = parseMAC(addr.text())
	to.Mask = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	if mask.exists() {
		to.Mask, _ = parseMAC(mask.text())
	}
	for i := range to.Addr {
		to.Addr[i] &= to.Mask[i]
	}
}

// ethertype reads the protocol of the link. IP is read as the containers for IP are.
func (b *aceReader) ethertype(n node) {
	x := uint16(n.uint())
	if n.kind() == kindString {
		x, _ = ethertypeOf(n.text())
	}
	switch x {
	case etherIPv4:
		b.setFamily(n.path, IPv4)
	case etherIPv6:
		b.setFamily(n.path, IPv6)
	default:
		b.ace.Match.EtherType = &x
	}
}

// link finds conditions on IP beside an ethertype that carries none.
func (b *aceReader) link(n node) {
	m := &b.ace.Match
	ip := m.Family != FamilyAny || m.Protocol != nil || len(m.Remotes) > 0 || m.Group.IsValid()
	if m.EtherType == nil || !ip {
		return
	}
	b.cannot(n.path, "R8519-4-d", "frames of the ethertype %d carry no IP packet, and other conditions are about one", *m.EtherType)
	if b.drop {
		m.EtherType = nil
	}
}

// ethertypeType is a number, or a name of ietf-ethertypes.
func ethertypeType(v *value) *flaw {
	f := &flaw{msg: "it is neither a number from 0 to 65535 nor a name of ietf-ethertypes; write for example 2048 or \"ipv4\""}
	if v.kind == kindString {
		if _, ok := ethertypeOf(v.text); ok {
			return nil
		}
		if x, err := strconv.ParseUint(v.text, 0, 16); err == nil {
			f.mend = strconv.FormatUint(x, 10)
		}
		return f
	}
	if x, ok := v.uint(); ok && x <= 0xffff {
		return nil
	}
	return f
}

// ethertypeOf gives the number of a name of ietf-ethertypes.
func ethertypeOf(name string) (uint16, bool) {
	all := []struct {
		name string
		x    uint16
	}{
		{"ipv4", etherIPv4}, {"arp", 2054}, {"wlan", 2114}, {"trill", 8947}, {"srp", 8938}, {"decnet", 24579}, {"rarp", 32821},
		{"appletalk", 32923}, {"aarp", 33011}, {"vlan", 33024}, {"ipx", 33079}, {"qnx", 33284}, {"ipv6", etherIPv6},
		{"efc", 34824}, {"esp", 34825}, {"cobranet", 34841}, {"mpls-unicast", 34887}, {"mpls-multicast", 34888},
		{"pppoe-discovery", 34915}, {"pppoe-session", 34916}, {"intel-ans", 34925}, {"jumbo-frames", 34928},
		{"homeplug", 34939}, {"eap", 34958}, {"profinet", 34962}, {"hyperscsi", 34970}, {"aoe", 34978}, {"ethercat", 34980},
		{"provider-bridging", 34984}, {"ethernet-powerlink", 34987}, {"goose", 35000}, {"gse", 35001}, {"sv", 35002},
		{"lldp", 35020}, {"sercos", 35021}, {"wsmp", 35036}, {"homeplug-av-mme", 35041}, {"mrp", 35043}, {"macsec", 35045},
		{"pbb", 35047}, {"cfm", 35074}, {"fcoe", 35078}, {"fcoe-ip", 35092}, {"roce", 35093}, {"tte", 35101}, {"hsr", 35119},
	}
	i := slices.IndexFunc(all, func(t struct {
		name string
		x    uint16
	}) bool {
		return t.name == name
	})
	if i < 0 {
		return 0, false
	}
	return all[i].x, true
}
