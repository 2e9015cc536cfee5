package mud

import (
	"cmp"
	"net/netip"
	"slices"
)

// Protocol numbers of the containers that RFC 8520 section 2 assumes.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// aceReader reads one ACE for one direction.
type aceReader struct {
	r     *report
	ace   ACE
	dir   Direction
	acl   *acl
	types aclType // what some ACL of the file allows

	// drop is set for an ACE that surely drops. What can't be used of its condition is left out and it drops more; any
	// other ACE isn't applied (T-13: both fail closed).
	drop bool

	families, protocols bool // contradictory ones
}

// ace reads one ACE (RFC 8519 section 4.1).
func (r *report) ace(n node, a *acl, dir Direction, types aclType) ACE {
	b := &aceReader{r: r, dir: dir, acl: a, types: types}
	b.ace = ACE{ACL: Clean(a.name, maxText), Name: Clean(n.get("name").text(), maxText), Path: n.path}
	b.actions(n.get("actions"))
	if t := a.typ.refuse; t != nil && !b.drop {
		b.ace.Refused = t.Message
	}
	for _, f := range r.flaws[n.v] {
		b.broken(f)
	}
	r.unused(n.get("statistics"), "statistics")
	b.matches(n.get("matches"))
	b.judge(n)
	return b.ace
}

// cannot notes why a part of the ACE can't be used.
func (b *aceReader) cannot(path, row, format string, args ...any) *Problem {
	if b.drop {
		return b.r.warn(path, row, format+"; this condition is left out, so the ACE drops more than written", args...)
	}
	p := b.r.fail(path, row, format+"; the ACE is not applied", args...)
	b.ace.Refused = cmp.Or(b.ace.Refused, p.Message)
	return p
}

// broken notes a part of the ACE that can't be used because the YANG modules don't allow it: the file is wrong even where
// the ACE is applied.
func (b *aceReader) broken(f Problem) {
	p := b.cannot(f.Path, f.Row, "%s", f.Message)
	p.Severity, p.Mend = SeverityError, f.Mend
}

// actions reads what the ACE does. Nothing is ever taken for an accept but the identity accept (R8519-4-f).
func (b *aceReader) actions(n node) {
	fwd := n.get("forwarding")
	switch identity(fwd.text()) {
	case "accept":
		b.ace.Action = Accept
	case "drop":
		b.drop = true
	case "reject":
		b.drop = true
		b.r.note(fwd.path, "R8520-2-f", "reject is applied as drop").mend(`"forwarding": "drop"`)
	}
	if log := n.get("logging"); log.exists() {
		b.ace.Log = identity(log.text()) == "log-syslog"
		b.r.note(log.path, "R8519-4-g", "what is logged is the administrator's choice; the file can only ask for it")
	}
}

// matches reads the condition. Two containers of one layer exclude each other (RFC 8519 section 4.1); that a container
// contradicts the ACL's type or a protocol number, setFamily and setProtocol find.
func (b *aceReader) matches(m node) {
	b.ether(m.get("eth"))
	b.ofType(m)
	m.each(func(name string, n node) {
		switch name {
		case "ipv4":
			b.network(n, IPv4)
		case "ipv6":
			b.network(n, IPv6)
		case "tcp":
			b.transport(n, protoTCP)
		case "udp":
			b.transport(n, protoUDP)
		case "ietf-acl-tls:client-profiles":
			b.profiles(n)
		}
	})
	if n := m.get("icmp"); n.exists() { // its family is known now
		b.icmp(n)
	}
	if n := m.get("ietf-mud:mud"); n.exists() {
		b.abstractions(n)
	}
}

// ofType narrows the ACE to the IP version that its ACL's type names. Where the type is of Ethernet too, a drop may be about
// other frames.
func (b *aceReader) ofType(m node) {
	t := b.acl.typ
	if b.ace.Match.Family == FamilyAny && b.ace.Match.EtherType == nil && (!t.eth || !b.drop || m.has("icmp")) {
		b.ace.Match.Family = t.family()
	}
}

// judge looks at the ACE as a whole once it is read.
func (b *aceReader) judge(n node) {
	m := &b.ace.Match
	b.link(n)
	b.widen()
	slices.SortFunc(m.Fields, func(f, g FieldMatch) int { return cmp.Compare(f.Field, g.Field) })
	if len(m.Remotes) > 1 {
		b.r.warn(n.path, "R8520-2.1-b", "it names the peer in %d ways, and all of them have to hold", len(m.Remotes))
	}
	if b.ace.applied(Accept) && m.open() {
		b.r.warn(n.path, "R8519-4-a", "it has no condition and allows everything; name a peer, a protocol or a port").mend(
			`"matches": {"ietf-mud:mud": {"my-controller": [null]}}`)
	}
	if b.ace.applied(Accept) && m.Initiated != DirectionAny && m.Initiated != b.dir {
		b.r.note(n.path, "T-02", "it is about replies to connections that the other side opened, and lets nobody open one")
	}
}

// open tells whether the condition holds for all packets of a family.
func (m *Match) open() bool {
	return m.Protocol == nil && len(m.Remotes) == 0 && !m.RemotePort.Set && !m.LocalPort.Set && m.EtherType == nil &&
		m.RemoteMAC == MACMatch{} && m.LocalMAC == MACMatch{} && len(m.Fields) == 0 && !m.Group.IsValid()
}

// setProtocol narrows the ACE to a protocol and finds contradictions (R8519-4-i).
func (b *aceReader) setProtocol(path string, proto uint8) {
	switch have := b.ace.Match.Protocol; {
	case have == nil:
		b.ace.Match.Protocol = &proto
	case *have != proto:
		b.cannot(path, "R8519-4-i", "the protocols %d and %d contradict each other", *have, proto).mend(`"protocol": %d`, proto)
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
		b.cannot(path, "R8519-4-d", "%s contradicts %s, which another part of the ACE says", f, have)
		b.families = true
	}
}

// container checks that an ipv4, ipv6 or eth container may stand in an ACL of its type (the when statements of RFC 8519).
// Where no ACL of the file has such a type, the file is no instance of the YANG module; where only this ACL hasn't, RFC
// 8519 section 4.1 says what the type means. An absent type is inferred (R8519-4-d).
func (b *aceReader) container(n node, word string, allowed, anywhere bool) bool {
	t := b.acl.typ
	switch mend := `"type": "` + word + `-acl-type"`; {
	case allowed, t.refuse != nil:
	case t.absent && anywhere:
	case t.absent:
		b.r.fail(t.path, "R8519-4-d", "it is missing, and without it an ACE can't have the container %s; the ACL is read as if it "+
			"had one that fits", word).mend("%s", mend)
	default:
		f := Problem{Path: n.path, Row: "R8519-4-d", Mend: mend, Message: "the container " + word + " contradicts the type of the ACL"}
		if anywhere {
			b.cannot(f.Path, f.Row, "%s", f.Message).Mend = f.Mend
		} else {
			b.broken(f)
		}
		return false
	}
	return true
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
		m.Fields = slices.DeleteFunc(m.Fields, func(f FieldMatch) bool { return f.Field < FieldTCPSequence })
		m.Group = netip.Prefix{}
	}
	icmp := m.Protocol != nil && (*m.Protocol == protoICMP || *m.Protocol == protoICMPv6)
	if b.protocols || b.families && icmp {
		*m = Match{Family: m.Family, Remotes: m.Remotes, RemoteMAC: m.RemoteMAC, LocalMAC: m.LocalMAC}
	}
}

func (b *aceReader) addRemote(r Remote) {
	if !slices.Contains(b.ace.Match.Remotes, r) {
		b.ace.Match.Remotes = append(b.ace.Match.Remotes, r)
	}
}
