package enforcer

import (
	"slices"

	"mudguard/mud"
)

// newlyAllowed says in words what a profile allows that another did not: nothing where it surely allows no more. It compares
// entry by entry, and where it can't tell it says that the entry is new: an administrator then looks at it (R8520-16-g).
func (e *Engine) newlyAllowed(old, next *mud.Profile) []string {
	return newlyAllowed(e.site.Literal, old, next)
}

func newlyAllowed(literal bool, old, next *mud.Profile) []string {
	if old.FromDevice == nil && old.ToDevice == nil {
		return nil // it restricted nothing (T-12)
	}
	if next.FromDevice == nil && next.ToDevice == nil {
		return []string{"everything, since it states no policy"}
	}
	out := newly(opening(literal, old, mud.FromDevice), opening(literal, next, mud.FromDevice), "")
	return append(out, newly(opening(literal, old, mud.ToDevice), opening(literal, next, mud.ToDevice), "being reached: ")...)
}

// opening gives the entries of a profile about flows that one side opens, in order.
func opening(literal bool, p *mud.Profile, side mud.Direction) []*mud.ACE {
	from := aces(p.FromDevice)
	if side == mud.FromDevice {
		return openedBy(from, side)
	}
	to := openedBy(aces(p.ToDevice), side)
	if literal {
		return to // mirrored entries open what they say
	}
	return unmirrored(to, from)
}

func newly(old, next []*mud.ACE, begin string) []string {
	var out []string
	add := func(s string) {
		if s = begin + s; !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for i, a := range next {
		if a.Action == mud.Accept && !covered(a, old, next[:i]) {
			add(describeACE(a))
		}
	}
	for _, a := range old {
		if a.Action == mud.Drop && !slices.ContainsFunc(next, func(b *mud.ACE) bool { return b.Action == mud.Drop && contains(b.Match, a.Match) }) {
			add("what it denied before, " + describeACE(a))
		}
	}
	return out
}

// covered says that what an entry accepts was accepted before: by one entry as a whole, and with no drop before that one which
// is not before this one too.
func covered(a *mud.ACE, old, earlier []*mud.ACE) bool {
	for _, o := range old {
		if o.Action == mud.Accept && contains(o.Match, a.Match) {
			return true
		}
		if o.Action == mud.Drop && !disjoint(o.Match, a.Match) &&
			!slices.ContainsFunc(earlier, func(e *mud.ACE) bool { return e.Action == mud.Drop && contains(e.Match, o.Match) }) {
			return false
		}
	}
	return false
}

// contains says that every packet which m matches is one that outer matches; false where that can't be told.
func contains(outer, m mud.Match) bool {
	if outer.Family != mud.FamilyAny && outer.Family != m.Family || !implied(outer.Protocol, m.Protocol) ||
		!implied(outer.ICMPType, m.ICMPType) || !implied(outer.ICMPCode, m.ICMPCode) || !implied(outer.EtherType, m.EtherType) {
		return false
	}
	for _, r := range outer.Remotes {
		if !slices.ContainsFunc(m.Remotes, func(x mud.Remote) bool { return remoteContains(r, x) }) {
			return false
		}
	}
	for _, f := range outer.Fields {
		if !slices.Contains(m.Fields, f) {
			return false
		}
	}
	return portsContain(outer.RemotePort, m.RemotePort) && portsContain(outer.LocalPort, m.LocalPort) &&
		(outer.RemoteMAC == mud.MACMatch{} || outer.RemoteMAC == m.RemoteMAC) && (outer.LocalMAC == mud.MACMatch{} || outer.LocalMAC == m.LocalMAC)
}

func implied[T comparable](outer, m *T) bool { return outer == nil || m != nil && *outer == *m }

func remoteContains(outer, m mud.Remote) bool {
	if outer.Kind == mud.RemotePrefix && m.Kind == mud.RemotePrefix {
		return outer.Prefix.Bits() <= m.Prefix.Bits() && outer.Prefix.Contains(m.Prefix.Addr())
	}
	return outer == m
}

func portsContain(outer, m mud.Ports) bool {
	switch {
	case !outer.Set || outer == m:
		return true
	case !m.Set || m.Not:
		return false
	case outer.Not:
		return m.Hi < outer.Lo || outer.Hi < m.Lo
	}
	return outer.Lo <= m.Lo && m.Hi <= outer.Hi
}

// disjoint says that no packet is matched by both; false where that can't be told.
func disjoint(a, b mud.Match) bool {
	return a.Family != mud.FamilyAny && b.Family != mud.FamilyAny && a.Family != b.Family ||
		differ(a.Protocol, b.Protocol) || differ(a.ICMPType, b.ICMPType) || differ(a.ICMPCode, b.ICMPCode) || differ(a.EtherType, b.EtherType) ||
		portsDisjoint(a.RemotePort, b.RemotePort) || portsDisjoint(a.LocalPort, b.LocalPort) || prefixesDisjoint(a.Remotes, b.Remotes)
}

func differ[T comparable](a, b *T) bool { return a != nil && b != nil && *a != *b }

func portsDisjoint(a, b mud.Ports) bool {
	return a.Set && b.Set && !a.Not && !b.Not && (a.Hi < b.Lo || b.Hi < a.Lo)
}

func prefixesDisjoint(a, b []mud.Remote) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Kind == mud.RemotePrefix && y.Kind == mud.RemotePrefix && !x.Prefix.Overlaps(y.Prefix) {
				return true
			}
		}
	}
	return false
}
