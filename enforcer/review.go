package enforcer

import (
	"net/netip"
	"slices"
	"strings"

	"mudguard/mud"
)

// review says what of a profile an administrator has to look at before it is used, although its signature is good: "" for
// nothing. Addresses where names or classes should be (R8520-2-b, T-11, T-44), unless their kind is accepted, and entries that
// allow everything (R8519-4-a).
func review(p *mud.Profile, accepted []string) string {
	var odd []string
	add := func(s string) {
		if !slices.Contains(odd, s) {
			odd = append(odd, s)
		}
	}
	for _, pol := range []*mud.Policy{p.FromDevice, p.ToDevice} {
		for _, a := range aces(pol) {
			if a.Action != mud.Accept {
				continue
			}
			if overbroad(a.Match) {
				add("everything (" + clean(a.Name) + ")")
			}
			for _, r := range a.Match.Remotes {
				if kind := literalKind(r); kind != "" && !slices.Contains(accepted, kind) {
					add(describeRemote(r) + " (" + kind + ")")
				}
			}
		}
	}
	const most = 8
	if len(odd) > most {
		odd = append(odd[:most:most], "and more")
	}
	return strings.Join(odd, ", ")
}

// overbroad says that an entry has no condition but an IP version.
func overbroad(m mud.Match) bool {
	for _, r := range m.Remotes {
		if r.Kind != mud.RemotePrefix || r.Prefix.Bits() > 0 {
			return false
		}
	}
	return m.Protocol == nil && m.EtherType == nil && m.ICMPType == nil && !m.RemotePort.Set && !m.LocalPort.Set && len(m.Fields) == 0 &&
		m.RemoteMAC == mud.MACMatch{} && m.LocalMAC == mud.MACMatch{}
}

// carrierGrade is shared address space (RFC 6598).
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// literalKind is what kind of address a remote is written as: private, multicast or global; "" where it is none.
func literalKind(r mud.Remote) string {
	if r.Kind != mud.RemotePrefix {
		return ""
	}
	switch a := r.Prefix.Addr(); {
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "multicast"
	case r.Prefix.Bits() == 0:
		return "global" // with nothing beside it the entry is overbroad
	case a.IsPrivate(), a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsUnspecified(), carrierGrade.Overlaps(r.Prefix):
		return "private"
	}
	return "global"
}
