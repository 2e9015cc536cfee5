package mud

import "slices"

// Protocol numbers of the containers that RFC 8520 section 2 assumes.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// aceReader reads one ACE for one direction.
type aceReader struct {
	r   *report
	ace ACE
	dir Direction
	acl *acl

	// drop is set for an ACE that surely drops. What can't be used of its condition is left out and it drops more; any
	// other ACE isn't applied (T-13: both fail closed).
	drop bool

	families, protocols bool // contradictory ones
}

// ace reads one ACE (RFC 8519 section 4.1).
func (r *report) ace(n node, a *acl, dir Direction) ACE {
	b := &aceReader{r: r, dir: dir, acl: a}
	b.ace = ACE{ACL: Clean(a.name, maxText), Name: Clean(n.get("name").v.text, maxText), Path: n.path}
	b.ace.Match.Family = a.typ.family
	b.actions(n)
	if a.typ.refuse != "" {
		b.cannot(n.path, a.typ.row, "%s", a.typ.refuse)
	}
	n.each(func(name string, child node) {
		switch name {
		case "name", "matches", "actions":
		case "statistics":
			r.note(child.path, "R8520-2-g", "a MUD file needs no statistics; they are ignored")
		default:
			b.unknown(name, child)
		}
	})
	if m := n.get("matches"); m.exists() && b.want(m, kindObject) {
		b.matches(m)
	}
	b.judge(n)
	return b.ace
}

// cannot notes why a part of the ACE can't be used.
func (b *aceReader) cannot(path, row, format string, args ...any) {
	if b.drop {
		b.r.warn(path, row, format+"; this condition is left out, so the ACE drops more than written", args...)
		return
	}
	p := b.r.add(SeverityError, path, row, format+"; the ACE is not applied", args...)
	if b.ace.Refused == "" {
		b.ace.Refused = p.Message
	}
}

// unknown is for a node inside an ACE that isn't understood (T-13). Ignoring it, as RFC 8520 section 3.9 says of nodes in
// general, would widen the ACE.
func (b *aceReader) unknown(name string, n node) {
	b.cannot(n.path, "T-13", "this part of the ACE is not understood%s, and without it the ACE would match more", hint(name))
}

// hint names what was probably meant, for the mistakes that published files make.
func hint(name string) string {
	switch name {
	case "src-dnsname", "dst-dnsname":
		return " (RFC 7951 wants ietf-acldns:" + name + ")"
	case "direction-initiated":
		return " (RFC 7951 wants ietf-mud:direction-initiated)"
	case "mud":
		return " (RFC 7951 wants ietf-mud:mud)"
	case "actions":
		return " (actions stand beside matches, not inside)"
	case "source-port-range-or-operator", "destination-port-range-or-operator":
		return " (RFC 8519 has source-port and destination-port)"
	}
	return ""
}

func (b *aceReader) want(n node, k kind) bool {
	if n.kind() == k {
		return true
	}
	b.cannot(n.path, "R8520-2-a", "expected %s, found %s", k, n.kind())
	return false
}

// actions reads what the ACE does. Nothing is ever taken for an accept but the identity accept (R8519-4-f).
func (b *aceReader) actions(n node) {
	actions := n.get("actions")
	fwd := actions.get("forwarding")
	switch {
	case !actions.exists() || !fwd.exists() && actions.kind() == kindObject:
		b.cannot(fwd.path, "R8519-4-f", "there is no forwarding action; write accept or drop")
		return
	case !b.want(actions, kindObject) || !b.want(fwd, kindString):
		return
	}
	switch identity(fwd.v.text) {
	case "accept":
		b.ace.Action = Accept
	case "drop":
		b.drop = true
	case "reject":
		b.drop = true
		b.r.note(fwd.path, "R8520-2-f", "reject is applied as drop")
	default:
		b.cannot(fwd.path, "R8520-2-f", "the action %s is unknown; write accept or drop", show(fwd.v.text))
	}
	actions.each(func(name string, child node) {
		switch name {
		case "forwarding":
		case "logging":
			b.r.note(child.path, "R8520-2-f", "logging is the administrator's choice; it is ignored")
		default:
			b.unknown(name, child)
		}
	})
}

// matches reads the condition. Two containers of one layer contradict each other (RFC 8519 section 4.1), which setFamily
// and setProtocol find.
func (b *aceReader) matches(m node) {
	m.each(func(name string, n node) {
		switch name {
		case "ipv4", "ipv6", "tcp", "udp", "icmp", "ietf-mud:mud":
			if !b.want(n, kindObject) {
				return
			}
		}
		switch name {
		case "ipv4":
			b.network(n, IPv4)
		case "ipv6":
			b.network(n, IPv6)
		case "tcp":
			b.transport(n, protoTCP)
		case "udp":
			b.transport(n, protoUDP)
		case "icmp", "ietf-mud:mud": // below, as they need the rest
		case "eth":
			b.cannot(n.path, "R8520-2-d", "a MUD file can't match on Ethernet")
		case "ietf-acl-tls:client-profiles":
			b.r.warn(n.path, "R9761-5.4-a", "the TLS profile is not enforced; the addresses and ports of the ACE are")
		default:
			b.unknown(name, n)
		}
	})
	if n := m.get("icmp"); n.exists() && n.kind() == kindObject {
		b.icmp(n)
	}
	if n := m.get("ietf-mud:mud"); n.exists() && n.kind() == kindObject {
		b.abstractions(n)
	}
}

// judge looks at the ACE as a whole once it is read.
func (b *aceReader) judge(n node) {
	m := &b.ace.Match
	b.widen()
	if len(m.Remotes) > 1 {
		b.r.warn(n.path, "R8520-2.1-b", "it names the peer in %d ways, and all of them have to hold", len(m.Remotes))
	}
	open := m.Protocol == nil && len(m.Remotes) == 0 && !m.RemotePort.Set && !m.LocalPort.Set
	if b.ace.applied(Accept) && open {
		b.r.warn(n.path, "R8519-4-a", "it has no condition and allows everything; name a peer, a protocol or a port")
	}
	if b.ace.applied(Accept) && m.Initiated != DirectionAny && m.Initiated != b.dir {
		b.r.note(n.path, "T-02", "it is about replies to connections that the other side opened, and lets nobody open one")
	}
}

// setProtocol narrows the ACE to a protocol and finds contradictions (R8519-4-i).
func (b *aceReader) setProtocol(path string, proto uint8) {
	switch have := b.ace.Match.Protocol; {
	case have == nil:
		b.ace.Match.Protocol = &proto
	case *have != proto:
		b.cannot(path, "R8519-4-i", "the protocols %d and %d contradict each other", *have, proto)
		b.protocols = true
	}
}

// setFamily narrows the ACE to an IP version and finds contradictions (R8519-4-d).
func (b *aceReader) setFamily(path string, f Family) {
	switch have := b.ace.Match.Family; have {
	case FamilyAny:
		b.ace.Match.Family = f
	case f:
	default:
		b.cannot(path, "R8519-4-d", "%s contradicts %s, which the type of the ACL or another container says", f, have)
		b.families = true
	}
}

// widen leaves contradictory conditions out of a drop, and what depends on them.
func (b *aceReader) widen() {
	if !b.drop {
		return
	}
	m := &b.ace.Match
	if b.families {
		m.Family = FamilyAny
		m.Remotes = slices.DeleteFunc(m.Remotes, func(r Remote) bool { return r.Kind == RemoteName || r.Kind == RemotePrefix })
	}
	icmp := m.Protocol != nil && (*m.Protocol == protoICMP || *m.Protocol == protoICMPv6)
	if b.protocols || b.families && icmp {
		*m = Match{Family: m.Family, Remotes: m.Remotes}
	}
}

// number reads an integer leaf of 8 or 16 bits of a condition.
func (b *aceReader) number(n node, hi uint64) (uint64, bool) {
	x, err := n.uintIn(0, hi)
	if err == nil {
		return x, true
	}
	row := "R8520-2-a"
	if n.kind() != kindNumber {
		row = "R7951-6-b"
	}
	b.cannot(n.path, row, "%v", err)
	return 0, false
}

func (b *aceReader) addRemote(r Remote) {
	if !slices.Contains(b.ace.Match.Remotes, r) {
		b.ace.Match.Remotes = append(b.ace.Match.Remotes, r)
	}
}
