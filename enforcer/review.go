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
			if a.Match.Group.IsValid() && !slices.Contains(accepted, "multicast") {
				add(a.Match.Group.String() + " (multicast)")
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

// special are the networks of which an address means something else in every network, and groups.
func special() (private, multicast []netip.Prefix) {
	parse := func(list ...string) (out []netip.Prefix) {
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	return parse("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", // RFC 6890
		"::/127", "::ffff:0:0/96", "fc00::/7", "fe80::/10"), parse("224.0.0.0/4", "255.255.255.255/32", "ff00::/8")
}

// literalKind is what kind of address a remote is written as: private, multicast or global; "" where it is none. A network that
// holds some private ones is private.
func literalKind(r mud.Remote) string {
	private, multicast := special()
	switch {
	case r.Kind != mud.RemotePrefix:
		return ""
	case r.Prefix.Bits() == 0:
		return "global" // with nothing beside it the entry is overbroad
	case slices.ContainsFunc(private, r.Prefix.Overlaps):
		return "private"
	case slices.ContainsFunc(multicast, r.Prefix.Overlaps):
		return "multicast"
	}
	return "global"
}
