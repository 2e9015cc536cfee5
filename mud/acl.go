package mud

import "strings"

// Limits of a file beyond its text (R8520-16-l).
const (
	MaxACEs  = 512 // ACEs in all, those of an ACL in both directions twice
	MaxNames = 256 // distinct domain names
)

// acl is one access control list of a file (RFC 8519 section 4).
type acl struct {
	name string
	typ  aclType
	aces node // the list of ACEs; may be absent
	used int  // policies that list it
}

// aclType is what an ACL's type allows in its ACEs (R8519-4-d).
type aclType struct {
	eth, ipv4, ipv6 bool // the containers that may stand in matches
	absent          bool // there is no type, so the containers of each ACE say what it is about
	refuse          *Problem
	path            string
}

// family is what an ACE without a container for IP is about.
func (t aclType) family() Family {
	switch {
	case t.ipv4 && !t.ipv6:
		return IPv4
	case t.ipv6 && !t.ipv4:
		return IPv6
	}
	return FamilyAny
}

// policies reads the ACLs and the two policy containers (RFC 8520 section 3.3).
func (r *report) policies(root, m node, hasACLs bool, p *Profile) {
	acls := r.acls(root.get(rootACLs))
	from, to := m.get("from-device-policy"), m.get("to-device-policy")
	if !hasACLs && !root.has(rootLegacy) && (names(from) || names(to)) {
		r.refuse(rootACLs, "R8520-2.1-a", "it is missing, and the policies name ACLs that should be in it").mend("%s",
			pair(rootACLs, `{"acl": […]}`))
	}
	p.FromDevice = r.policy(from, FromDevice, acls, hasACLs)
	p.ToDevice = r.policy(to, ToDevice, acls, hasACLs)
	switch mend := `"%s": {"access-lists": {"access-list": [{"name": "…"}]}}`; {
	case p.FromDevice == nil && p.ToDevice == nil && len(acls.byName) > 0:
		r.refuse(rootMUD, "T-12", "there are ACLs but no from-device-policy and no to-device-policy that would use them; "+
			"add these containers").mend(mend, "from-device-policy")
	case p.FromDevice == nil && p.ToDevice == nil:
		r.warn(rootMUD, "T-12", "the file states no policy; the device is treated like one without a MUD file").mend(mend, "from-device-policy")
	case p.FromDevice == nil:
		r.warn(from.path, "T-12", "it is missing, so the device may send only replies").mend(mend, "from-device-policy")
	case p.ToDevice == nil:
		r.warn(to.path, "T-12", "it is missing, so the device gets only replies").mend(mend, "to-device-policy")
	}
	r.unlisted(acls)
	r.totals(p)
}

// names tells whether a policy container refers to an ACL.
func names(policy node) bool {
	list := policy.get("access-lists").get("access-list")
	return list.exists() && len(list.v.kids) > 0
}

// aclSet is the ACLs of a file by name.
type aclSet struct {
	byName map[string]*acl
	order  []*acl
	types  aclType // what any of them allows, which is all that the when statements of RFC 8519 look at
}

func (r *report) acls(root node) aclSet {
	set := aclSet{byName: make(map[string]*acl)}
	r.unused(root.get("attachment-points"), "attachment points")
	total := 0
	root.get("acl").each(func(_ string, n node) {
		a := &acl{name: n.get("name").text(), typ: r.aclType(n.child("type").path, n), aces: n.get("aces").get("ace")}
		if strings.ContainsFunc(a.name, func(c rune) bool { return c <= ' ' || !displayable(c) }) {
			r.warn(n.get("name").path, "R8519-4-b", "the name %s has a space or a special character", show(a.name)).mend("%s",
				pair("name", quote(plainName(a.name))))
		}
		set.byName[a.name] = a
		set.order = append(set.order, a)
		set.types.eth = set.types.eth || a.typ.eth
		set.types.ipv4 = set.types.ipv4 || a.typ.ipv4
		set.types.ipv6 = set.types.ipv6 || a.typ.ipv6
		total += a.count()
	})
	if total > MaxACEs {
		r.refuse(rootACLs+".acl", "R8520-16-l", "there are %d ACEs and the limit is %d", total, MaxACEs)
	}
	return set
}

// plainName gives a list name without what RFC 8519 section 4 doesn't allow in one.
func plainName(s string) string {
	return strings.Map(func(c rune) rune {
		if c <= ' ' || !displayable(c) {
			return '-'
		}
		return c
	}, s)
}

func (a *acl) count() int {
	if !a.aces.exists() {
		return 0
	}
	return len(a.aces.v.kids)
}

// aclType reads an ACL's type.
func (r *report) aclType(path string, acl node) aclType {
	t := aclType{path: path}
	acl.all(func(m *member, n node) {
		if flaws := r.flaws[n.v]; m.meant() == "type" && len(flaws) > 0 {
			t.refuse = r.fail(path, flaws[0].Row, "%s; no ACE of the ACL is applied", flaws[0].Message)
			t.refuse.Mend = flaws[0].Mend
		}
	})
	n := acl.get("type")
	if t.absent = !n.exists() && t.refuse == nil; !n.exists() {
		return t
	}
	switch id := identity(n.text()); id {
	case "ipv4-acl-type":
		t.ipv4 = true
	case "ipv6-acl-type":
		t.ipv6 = true
	default:
		t.eth, t.ipv4, t.ipv6 = true, strings.Contains(id, "ipv4"), strings.Contains(id, "ipv6")
		r.warn(path, "R8520-2-d", "the profile goes beyond RFC 8520 section 2, where ACLs match on IPv4 or IPv6 and not on Ethernet; "+
			"other MUD managers may ignore the ACL")
	}
	return t
}

// policy reads one policy container and compiles the ACLs that it lists, in file order (T-08).
func (r *report) policy(n node, dir Direction, acls aclSet, hasACLs bool) *Policy {
	if !n.exists() {
		return nil
	}
	p := &Policy{}
	list := n.get("access-lists").get("access-list")
	var used []*acl
	list.each(func(_ string, e node) {
		if a := r.reference(e.get("name"), acls, hasACLs); a != nil {
			used = append(used, a)
		}
	})
	for _, a := range used {
		p.ACEs = append(p.ACEs, r.compile(a, dir, acls)...)
	}
	r.overlap(list.path, used, p)
	return p
}

// reference reads the name of an ACL of this file.
func (r *report) reference(n node, acls aclSet, hasACLs bool) *acl {
	a := acls.byName[n.text()]
	switch {
	case a == nil && hasACLs:
		p := r.refuse(n.path, "R8520-3.3-a", "there is no ACL of the name %s in the file", show(n.text()))
		for _, other := range acls.order {
			if other.used == 0 {
				p.mend("%s", pair("name", quote(other.name)))
				break
			}
		}
	case a == nil: // the missing root is reported once
	default:
		if a.used++; a.used == 2 {
			r.warn(n.path, "T-09", "the ACL %s is listed for both directions; it is read for each", show(a.name))
		}
	}
	return a
}

func (r *report) compile(a *acl, dir Direction, acls aclSet) []ACE {
	if a.count() > 0 && a.typ.absent {
		r.note(a.typ.path, "R8519-4-d", "it is missing; what each ACE is about follows from its own conditions").mend(`"type": "ipv4-acl-type"`)
	}
	var out []ACE
	a.aces.each(func(_ string, n node) {
		out = append(out, r.ace(n, a, dir, acls.types))
	})
	return out
}

// overlap warns where the order of two ACLs decides what is allowed, as RFC 8519 leaves that order open (T-08).
func (r *report) overlap(path string, used []*acl, p *Policy) {
	if len(used) < 2 || r.fatal > 0 { // too many ACEs are fatal
		return
	}
	for _, d := range p.ACEs {
		for _, a := range p.ACEs {
			if d.applied(Drop) && a.applied(Accept) && d.ACL != a.ACL && d.Match.overlaps(a.Match) {
				r.warn(path, "T-08", "one ACL drops and another accepts; they are applied in the order of this list, "+
					"which RFC 8519 leaves open")
				return
			}
		}
	}
}

func (e ACE) applied(a Action) bool { return e.Refused == "" && e.Action == a }

// overlaps tells whether two conditions can hold for one packet, as far as IP version and protocol tell.
func (m Match) overlaps(o Match) bool {
	families := m.Family == o.Family || m.Family == FamilyAny || o.Family == FamilyAny
	return families && (m.Protocol == nil || o.Protocol == nil || *m.Protocol == *o.Protocol)
}

// unlisted notes ACLs that no policy uses (R8520-3.3-a), and what is wrong in them.
func (r *report) unlisted(acls aclSet) {
	for _, a := range acls.order {
		if a.used > 0 {
			continue
		}
		r.note(a.typ.path, "R8520-3.3-a", "no policy lists the ACL %s; it is ignored", show(a.name))
		a.aces.all(func(_ *member, n node) {
			for _, f := range r.flaws[n.v] {
				r.fail(f.Path, f.Row, "%s", f.Message).Mend = f.Mend
			}
		})
	}
}

// totals checks what can only be counted at the end.
func (r *report) totals(p *Profile) {
	n := 0
	seen := make(map[string]struct{})
	var families [7]bool
	for _, pol := range []*Policy{p.FromDevice, p.ToDevice} {
		if pol == nil {
			continue
		}
		n += len(pol.ACEs)
		for _, e := range pol.ACEs {
			if e.Refused == "" {
				families[e.Match.Family] = true
			}
			for _, rem := range e.Match.Remotes {
				if rem.Kind == RemoteName {
					seen[rem.Value] = struct{}{}
				}
			}
			if len(e.TLS) > 0 && !p.TLSProfile {
				r.warn(rootMUD, "R9761-5.4-a", "there are TLS profiles, but the file doesn't say that the device supports them").mend(
					`"ietf-mud-tls:is-tls-dtls-profile-supported": true`)
			}
		}
	}
	if n > MaxACEs {
		r.refuse(rootACLs, "R8520-16-l", "the policies have %d ACEs and the limit is %d", n, MaxACEs)
	}
	if len(seen) > MaxNames {
		r.refuse(rootACLs, "R8520-16-l", "there are %d different domain names and the limit is %d", len(seen), MaxNames)
	}
	switch {
	case families[FamilyAny] || families[IPv4] == families[IPv6]:
	case families[IPv4]:
		r.note(rootACLs, "T-07", "all ACEs are about IPv4, so the device gets no IPv6 but for the defaults")
	default:
		r.note(rootACLs, "T-07", "all ACEs are about IPv6, so the device gets no IPv4 but for the defaults")
	}
}
