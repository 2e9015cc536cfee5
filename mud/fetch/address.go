package fetch

import "net/netip"

// special says why an address is no place for a public web server, from IANA's special-purpose registries;
// "" if it is one. The documentation prefixes (RFC 5737, RFC 3849) count as public: labs use them as such,
// and nothing else answers there.
func special(a netip.Addr) string {
	a = a.Unmap()
	if a.Is4() {
		return special4(a)
	}
	if v4, why := embedded(a); v4.IsValid() {
		if inner := special4(v4); inner != "" {
			return why + ", " + inner
		}
		return ""
	}
	return special6(a)
}

func special4(a netip.Addr) string {
	b := a.As4()
	switch {
	case b[0] == 0:
		return "an address of \"this network\""
	case a.IsLoopback():
		return "a loopback address"
	case a.IsPrivate():
		return "a private address"
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case b[0] == 100 && b[1]&0xc0 == 64:
		return "a carrier's private address" // RFC 6598
	case b[0] == 192 && b[1] == 0 && b[2] == 0, b[0] == 192 && b[1] == 88 && b[2] == 99:
		return "an address reserved for protocols" // RFC 6890, RFC 7526
	case b[0] == 198 && b[1]&0xfe == 18:
		return "an address for benchmarks" // RFC 2544
	case a.IsMulticast():
		return "a multicast address"
	case b[0] >= 240:
		return "a reserved or broadcast address"
	}
	return ""
}

// special6 allows global unicast only, so that what nobody thought of is refused.
func special6(a netip.Addr) string {
	b := a.As16()
	switch {
	case a.IsUnspecified():
		return "the unspecified address"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsPrivate():
		return "a private address" // RFC 4193
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case a.IsMulticast():
		return "a multicast address"
	case b[0]&0xe0 != 0x20:
		return "not a global unicast address"
	case b[0] == 0x20 && b[1] == 0x01 && b[2]&0xfe == 0:
		return "an address reserved for protocols" // 2001::/23: Teredo, ORCHID and the like
	}
	return ""
}

// embedded returns the IPv4 address that a packet to a would reach through NAT64 or 6to4.
func embedded(a netip.Addr) (netip.Addr, string) {
	b := a.As16()
	switch {
	case netip.PrefixFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b}), 96).Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), "by NAT64" // RFC 6052
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), "by 6to4" // RFC 3056
	}
	return netip.Addr{}, ""
}
