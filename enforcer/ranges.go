package enforcer

import (
	"net/netip"
	"slices"
)

type addrRange struct{ lo, hi netip.Addr }

// rangesWithout gives the union of prefixes as disjoint ranges, without the addresses in not and, for IPv4 networks of
// more than two addresses, without their network and broadcast addresses.
func rangesWithout(prefixes []netip.Prefix, not []netip.Addr) map[Key]Element {
	var ranges []addrRange
	for _, p := range prefixes {
		r := addrRange{p.Masked().Addr(), lastAddr(p)}
		if p.Addr().Is4() && p.Bits() < 31 {
			r = addrRange{r.lo.Next(), r.hi.Prev()}
		}
		ranges = append(ranges, r)
	}
	ranges = merge(ranges)
	for _, a := range not {
		ranges = cutOut(ranges, a)
	}
	out := make(map[Key]Element, len(ranges))
	for _, r := range ranges {
		out[Key{Addr: r.lo, End: r.hi}] = Element{}
	}
	return out
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// merge sorts ranges and joins those that overlap or touch: an interval set takes no overlaps.
func merge(ranges []addrRange) []addrRange {
	slices.SortFunc(ranges, func(a, b addrRange) int { return a.lo.Compare(b.lo) })
	var out []addrRange
	for _, r := range ranges {
		if n := len(out); n > 0 && out[n-1].lo.Is4() == r.lo.Is4() && r.lo.Compare(out[n-1].hi) <= 0 {
			if out[n-1].hi.Less(r.hi) {
				out[n-1].hi = r.hi
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

func cutOut(ranges []addrRange, a netip.Addr) []addrRange {
	var out []addrRange
	for _, r := range ranges {
		if a.Is4() != r.lo.Is4() || a.Less(r.lo) || r.hi.Less(a) {
			out = append(out, r)
			continue
		}
		if r.lo.Less(a) {
			out = append(out, addrRange{r.lo, a.Prev()})
		}
		if a.Less(r.hi) {
			out = append(out, addrRange{a.Next(), r.hi})
		}
	}
	return out
}
