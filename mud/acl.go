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

// aclType is what an ACL's type allows in its ACEs.
type aclType struct {
	family Family // FamilyAny where the type is absent
	refuse string // why none of its conditions can be used; "" where they can
	row    string
	path   string
}

// policies reads the ACLs and the two policy containers (RFC 8520 section 3.3).
func (r *report) policies(root, m node, p *Profile) {
	acls := r.acls(root.get(rootACLs))
	from, to := m.get("from-device-policy"), m.get("to-device-policy")
	hasACLs := root.get(rootACLs).exists()
	if !hasACLs && !root.get(rootLegacy).exists() && (names(from) || names(to)) {
		r.refuse(rootACLs, "R8520-2.1-a", "it is missing, and the policies name ACLs that should be in it")
	}
	p.FromDevice = r.policy(from, FromDevice, acls, hasACLs)
	p.ToDevice = r.policy(to, ToDevice, acls, hasACLs)
	switch {
	case p.FromDevice == nil && p.ToDevice == nil && len(acls.byName) > 0:
		r.refuse(rootMUD, "T-12", "there are ACLs but no from-device-policy and no to-device-policy that would use them; "+
			"add these containers")
	case p.FromDevice == nil && p.ToDevice == nil:
		r.warn(rootMUD, "T-12", "the file states no policy; the device is treated like one without a MUD file")
	case p.FromDevice == nil:
		r.warn(from.path, "T-12", "it is missing, so the device may send only replies")
	case p.ToDevice == nil:
		r.warn(to.path, "T-12", "it is missing, so the device gets only replies")
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
}

func (r *report) acls(root node) aclSet {
	set := aclSet{byName: make(map[string]*acl)}
	if !root.exists() || !r.want(root, kindObject) {
		return set
	}
	r.unknownMembers(root, "acl", "attachment-points")
	if n := root.get("attachment-points"); n.exists() {
		r.note(n.path, "R8520-2-g", "a MUD file needs no attachment points; they are ignored")
	}
	list := root.get("acl")
	if !list.exists() || !r.want(list, kindArray) {
		return set
	}
	total := 0
	list.each(func(_ string, n node) {
		if !r.want(n, kindObject) {
			return
		}
		a, ok := r.acl(n)
		if !ok {
			return
		}
		if set.byName[a.name] != nil {
			r.refuse(n.get("name").path, "T-09", "there are two ACLs of the name %s; give each its own", show(a.name))
			return
		}
		set.byName[a.name] = a
		set.order = append(set.order, a)
		total += a.count()
	})
	if total > MaxACEs {
		r.refuse(list.path, "R8520-16-l", "there are %d ACEs and the limit is %d", total, MaxACEs)
	}
	return set
}

func (a *acl) count() int {
	if !a.aces.exists() {
		return 0
	}
	return len(a.aces.v.kids)
}

// acl reads an ACL but for the content of its ACEs.
func (r *report) acl(n node) (*acl, bool) {
	name, ok := r.checkName(n, "an ACL")
	if !ok {
		return nil, false
	}
	if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || !displayable(c) }) {
		r.warn(n.get("name").path, "R8519-4-b", "the name %s has a space or a special character", show(name))
	}
	r.unknownMembers(n, "name", "type", "aces")
	a := &acl{name: name, typ: r.aclType(n.get("type"))}
	aces := n.get("aces")
	if !aces.exists() || !r.want(aces, kindObject) {
		return a, true
	}
	r.unknownMembers(aces, "ace")
	list := aces.get("ace")
	if !list.exists() || !r.want(list, kindArray) {
		return a, true
	}
	if r.aceNames(list) {
		a.aces = list
	}
	return a, true
}

// aceNames checks the keys of an ACE list.
func (r *report) aceNames(list node) bool {
	seen := make(map[string]struct{})
	ok := true
	list.each(func(_ string, e node) {
		if !r.want(e, kindObject) {
			ok = false
			return
		}
		name, named := r.checkName(e, "an ACE")
		if !named {
			ok = false
			return
		}
		if _, dup := seen[name]; dup {
			r.refuse(e.get("name").path, "T-09", "there are two ACEs of the name %s in one ACL; give each its own", show(name))
		}
		seen[name] = struct{}{}
	})
	return ok
}

// aclType reads an ACL's type (R8519-4-d); the identities come with or without their module's name (R7951-6.8-a).
func (r *report) aclType(n node) aclType {
	t := aclType{path: n.path}
	if !n.exists() {
		return t
	}
	if !r.want(n, kindString) {
		return t
	}
	switch id := identity(n.v.text); id {
	case "ipv4-acl-type":
		t.family = IPv4
	case "ipv6-acl-type":
		t.family = IPv6
	case "eth-acl-type", "mixed-eth-ipv4-acl-type", "mixed-eth-ipv6-acl-type", "mixed-eth-ipv4-ipv6-acl-type":
		t.row, t.refuse = "R8520-2-d", "the ACL has the type "+id+", and a MUD file has only ipv4-acl-type and ipv6-acl-type"
	default:
		t.row, t.refuse = "T-14", "the ACL has the type "+show(id)+", which RFC 8519 doesn't know; write ipv4-acl-type or ipv6-acl-type"
	}
	return t
}

// identity strips the module name of an identity of RFC 8519.
func identity(s string) string { return strings.TrimPrefix(s, "ietf-access-control-list:") }

// policy reads one policy container and compiles the ACLs that it lists, in file order (T-08).
func (r *report) policy(n node, dir Direction, acls aclSet, hasACLs bool) *Policy {
	if !n.exists() {
		return nil
	}
	p := &Policy{}
	lists := n.get("access-lists")
	if !r.want(n, kindObject) || !lists.exists() {
		return p
	}
	r.unknownMembers(n, "access-lists")
	list := lists.get("access-list")
	if !r.want(lists, kindObject) || !list.exists() {
		return p
	}
	r.unknownMembers(lists, "access-list")
	if !r.want(list, kindArray) {
		return p
	}
	seen := make(map[string]struct{})
	var used []*acl
	list.each(func(_ string, e node) {
		if a := r.reference(e, seen, acls, hasACLs); a != nil {
			used = append(used, a)
		}
	})
	for _, a := range used {
		p.ACEs = append(p.ACEs, r.compile(a, dir)...)
	}
	r.overlap(list.path, used, p)
	return p
}

// reference reads one entry of an access-list: the name of an ACL of this file.
func (r *report) reference(e node, seen map[string]struct{}, acls aclSet, hasACLs bool) *acl {
	if !r.want(e, kindObject) {
		return nil
	}
	name, ok := r.checkName(e, "a reference to an ACL")
	if !ok {
		return nil
	}
	r.unknownMembers(e, "name")
	at := e.get("name").path
	if _, dup := seen[name]; dup {
		r.refuse(at, "T-09", "the ACL %s is listed twice; remove one", show(name))
		return nil
	}
	seen[name] = struct{}{}
	a := acls.byName[name]
	switch {
	case a == nil && hasACLs:
		r.refuse(at, "R8520-3.3-a", "there is no ACL of the name %s in the file", show(name))
	case a == nil: // the missing root is reported once
	default:
		if a.used++; a.used == 2 {
			r.warn(at, "T-09", "the ACL %s is listed for both directions; it is read for each", show(name))
		}
	}
	return a
}

func (r *report) compile(a *acl, dir Direction) []ACE {
	if a.count() > 0 && a.typ.path != "" && a.typ.family == FamilyAny && a.typ.refuse == "" {
		r.note(a.typ.path, "R8519-4-d", "it is missing; what each ACE is about follows from its own conditions")
	}
	var out []ACE
	a.aces.each(func(_ string, n node) {
		out = append(out, r.ace(n, a, dir))
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
			if d.applied(Drop) && a.applied(Accept) && d.ACL != a.ACL && d.Match.Family.overlaps(a.Match.Family) {
				r.warn(path, "T-08", "one ACL drops and another accepts; they are applied in the order of this list, "+
					"which RFC 8519 leaves open")
				return
			}
		}
	}
}

func (e ACE) applied(a Action) bool { return e.Refused == "" && e.Action == a }

func (f Family) overlaps(g Family) bool { return f == g || f == FamilyAny || g == FamilyAny }

// unlisted notes ACLs that no policy uses (R8520-3.3-a).
func (r *report) unlisted(acls aclSet) {
	for _, a := range acls.order {
		if a.used == 0 {
			r.note(a.typ.path, "R8520-3.3-a", "no policy lists the ACL %s; it is ignored", show(a.name))
		}
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
