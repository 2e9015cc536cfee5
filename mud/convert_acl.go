package mud

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// aclConv is an ACL that is converted.
type aclConv struct {
	node
	name           string
	eth, v4, v6    bool // what its type says, or has to say
	fromDev, toDev bool // the policies that list it
	extra          bool // another ACL had the name first
	aces           []*aceConv
}

// family gives the one IP version that the ACL's type is about.
func (a *aclConv) family() Family {
	switch {
	case a.v4 && !a.v6:
		return IPv4
	case a.v6 && !a.v4:
		return IPv6
	}
	return FamilyAny
}

// policies converts the ACLs and the two containers that list them (RFC 8520 section 3.3).
func (c *converter) policies(root, m node) {
	acls := c.acls(c.get(root, rootACLs))
	c.directions(m, acls)
	byName := make(map[string]*aclConv)
	for _, a := range acls {
		byName[a.name] = a
	}
	policy := func(name string, lists func(*aclConv)) (there, lost bool) {
		n := c.get(m, name)
		return n.exists(), c.policy(n, byName, lists)
	}
	from, lost := policy("from-device-policy", func(a *aclConv) { a.fromDev = true })
	to, _ := policy("to-device-policy", func(a *aclConv) { a.toDev = true })
	if !from && !to && len(acls) > 0 {
		for _, name := range []string{"from-device-policy", "to-device-policy"} {
			c.add(m, name, value{kind: kindObject}, "T-12", "no policy says which ACL is for which direction, so none is used")
		}
	}
	for _, a := range acls {
		c.entries(a)
	}
	c.orphans(acls, lost)
	for _, a := range acls {
		c.aclType(a)
		for _, e := range a.aces {
			e.write()
		}
	}
}

// inside gives the member of n of that name, where n may also be what should be in it.
func (c *converter) inside(n node, member string, keep ...string) node {
	switch {
	case !n.exists():
		return n
	case n.kind() == kindArray, c.get(n, "name").exists() && !c.get(n, member).exists(): // a list without its object, or one entry without its list
		c.set(n, object(member, *n.v), "T-14", "RFC 8520 has %s around it", member)
		c.was[&n.v.kids[0].value] = n.path
	case n.kind() != kindObject:
		c.set(n, value{kind: kindObject}, "T-14", "expected an object, found %s; what is empty allows nothing", n.kind())
	}
	c.strangers(c.rename(n, newWords(append(keep, member)...)))
	return c.get(n, member)
}

// listOf makes an array of what should be one.
func (c *converter) listOf(n node) node {
	switch {
	case !n.exists() || n.kind() == kindArray:
	case n.kind() == kindObject || n.kind() == kindString:
		c.set(n, value{kind: kindArray, kids: []member{{value: *n.v}}}, "T-14", "it is a list")
		c.was[&n.v.kids[0].value] = n.path
	default:
		c.set(n, value{kind: kindArray}, "T-14", "expected a list, found %s", n.kind())
	}
	return n
}

// acls gives the ACLs of the file, each with a name of its own.
func (c *converter) acls(root node) []*aclConv {
	var all, out []*aclConv
	taken := make(map[string]bool)
	c.each(c.listOf(c.inside(root, "acl", "attachment-points")), func(_ string, n node) {
		if n.kind() != kindObject {
			c.leaveOut(n, "R8520-2-a", "expected an ACL, found %s", n.kind())
			return
		}
		c.strangers(c.rename(n, newWords("name acl-name", "type acl-type", "aces access-list-entries entries",
			"ietf-mud:direction packet-direction")))
		a := &aclConv{node: n, name: c.name(n, "acl")}
		taken[a.name] = true
		all = append(all, a)
	})
	if len(all) > MaxACEs {
		c.refuse(root.path, "R8520-16-l", "there are %d ACLs and the limit is %d", len(all), MaxACEs)
		return nil
	}
	first := make(map[string]*aclConv)
	for _, a := range all {
		if have := first[a.name]; have == nil {
			first[a.name] = a
		} else if !c.namesake(a, have, taken) {
			continue
		}
		out = append(out, a)
	}
	return out
}

// strangers leaves out members that no module can define.
func (c *converter) strangers(unknown []named) {
	for _, u := range unknown {
		if notAModules(u.member.name) {
			c.leaveOut(u.node, "R8520-2-i", "no module defines it")
		}
	}
}

// namesake handles an ACL whose name another one has (T-09). Nobody knows which of them the policies mean: the first is kept
// and the other gets a name that no policy lists, which takes away what it accepts.
func (c *converter) namesake(a, first *aclConv, taken map[string]bool) bool {
	if same(a.v, first.v) {
		c.leaveOut(a.node, "T-09", "the ACL %s is there twice", show(a.name))
		return false
	}
	fresh := another(a.name, taken)
	c.set(c.get(a.node, "name"), str(fresh), "T-09", "there are two ACLs of this name; the policies get the first, and this one is not used")
	a.name, a.extra = fresh, true
	return true
}

// name mends the key of a list entry (RFC 8519 section 4).
func (c *converter) name(entry node, what string) string {
	n := c.get(entry, "name")
	fresh := ""
	switch {
	case !n.exists():
		fresh = "unnamed " + what
		c.add(entry, "name", str(fresh), "R8519-4-b", "each has a name")
		return fresh
	case n.kind() != kindString && n.kind() != kindNumber, n.v.text == "":
		fresh = "unnamed " + what
	default:
		fresh = n.v.text
		if utf8.RuneCountInString(fresh) > 64 {
			fresh = string([]rune(fresh)[:64])
		}
	}
	if n.kind() != kindString || n.v.text != fresh {
		c.set(n, str(fresh), "R8519-4-b", "a name is a text of 1 to 64 characters")
	}
	return fresh
}

// another gives a name that isn't taken, made of one that is.
func another(name string, taken map[string]bool) string {
	if utf8.RuneCountInString(name) > 56 {
		name = string([]rune(name)[:56])
	}
	for i := 2; ; i++ {
		if fresh := fmt.Sprintf("%s-%d", name, i); !taken[fresh] {
			taken[fresh] = true
			return fresh
		}
	}
}

// directions writes the policies for drafts that had the direction in each ACL.
func (c *converter) directions(m node, acls []*aclConv) {
	for _, a := range acls {
		n := c.get(a.node, "ietf-mud:direction")
		if !n.exists() {
			continue
		}
		name := ""
		switch squash(n.v.text) {
		case "fromdevice":
			name = "from-device-policy"
		case "todevice":
			name = "to-device-policy"
		}
		c.leaveOut(n, "T-14", "the policies say which ACL is for which direction")
		if name == "" || c.listed(m, a.name) {
			continue
		}
		if !c.get(m, name).exists() {
			c.add(m, name, value{kind: kindObject}, "T-14", "the ACL %s says that it is for this direction", show(a.name))
		}
		c.addReference(c.get(m, name), a.name)
	}
}

// listed tells whether a policy lists an ACL already.
func (c *converter) listed(m node, acl string) bool {
	found := false
	for _, name := range []string{"from-device-policy", "to-device-policy"} {
		c.each(c.references(c.get(m, name)), func(_ string, e node) {
			n := c.get(e, "name")
			found = found || n.exists() && n.v.text == acl
		})
	}
	return found
}

func (c *converter) addReference(policy node, acl string) {
	if lists := c.inside(policy, "access-lists"); !lists.exists() {
		policy.v.kids = append(policy.v.kids, member{name: "access-lists", value: object("access-list", value{kind: kindArray})})
	}
	list := c.references(policy)
	if !list.exists() {
		return
	}
	list.v.kids = append(list.v.kids, member{value: object("name", str(acl))})
	c.change(policy.path, "T-14", "the ACL %s is listed", show(acl))
}

// references gives the list of a policy, its entries as objects with a name.
func (c *converter) references(policy node) node {
	list := c.listOf(c.inside(c.inside(policy, "access-lists"), "access-list"))
	c.each(list, func(_ string, e node) {
		if e.kind() == kindString {
			c.set(e, object("name", *e.v), "T-14", "an ACL is listed by an object")
		}
		c.strangers(c.rename(e, newWords("name acl-name")))
	})
	return list
}

// policy converts one policy container. lost tells that it listed what is not there.
func (c *converter) policy(n node, acls map[string]*aclConv, mark func(*aclConv)) (lost bool) {
	seen := make(map[string]bool)
	c.each(c.references(n), func(_ string, e node) {
		if e.kind() != kindObject || !c.get(e, "name").exists() {
			c.leaveOut(e, "R8520-3.3-a", "expected the name of an ACL, found %s", brief(e.v))
			lost = true
			return
		}
		name := c.name(e, "acl")
		switch a := acls[name]; {
		case a == nil:
			c.leaveOut(e, "R8520-3.3-a", "there is no ACL of the name %s", show(name))
			lost = true
		case seen[name]:
			c.leaveOut(e, "T-09", "the ACL %s is listed twice", show(name))
		default:
			mark(a)
		}
		seen[name] = true
	})
	return lost
}

// entries converts the ACEs of an ACL.
func (c *converter) entries(a *aclConv) {
	c.readType(a)
	names := make(map[string]bool)
	list := c.listOf(c.inside(c.get(a.node, "aces"), "ace"))
	if c.total += len(list.kids()); c.total > MaxACEs {
		c.refuse(list.path, "R8520-16-l", "there are more than %d ACEs", MaxACEs)
		return
	}
	c.each(list, func(_ string, n node) {
		if n.kind() != kindObject {
			c.leaveOut(n, "R8520-2-a", "expected an ACE, found %s", n.kind())
			return
		}
		e := c.readACE(n, a)
		a.aces = append(a.aces, e)
		if a.extra && e.drop {
			c.refuse(n.path, "T-09", "there are two ACLs of one name, and the second drops something; give each its own")
		}
		if e.left {
			return
		}
		if name := c.name(n, "ace"); names[name] {
			c.set(c.get(n, "name"), str(another(name, names)), "T-09", "each ACE of an ACL has a name of its own")
		} else {
			names[name] = true
		}
	})
}

// readType reads what an ACL's type says, in any of the words that were used for it.
func (c *converter) readType(a *aclConv) {
	n := c.get(a.node, "type")
	if !n.exists() {
		return
	}
	s := strings.ToLower(n.v.text)
	a.v4, a.v6 = strings.Contains(s, "4"), strings.Contains(s, "6")
	a.eth = strings.Contains(s, "eth") || strings.Contains(s, "l2") || strings.Contains(s, "mac")
}

// aclType writes the type that an ACL needs for what is in its ACEs (R8519-4-d). Where that is more than it said, the ACEs that
// relied on it say for themselves which IP version they are about.
func (c *converter) aclType(a *aclConv) {
	said, family := aclTypeName(a.eth, a.v4, a.v6), a.family()
	bare := false
	for _, e := range a.aces {
		if e.left {
			continue
		}
		has4, has6, hasEth := e.has("ipv4"), e.has("ipv6"), e.has("eth")
		a.v4, a.v6, a.eth = a.v4 || has4 || e.both, a.v6 || has6 || e.both, a.eth || hasEth
		bare = bare || !has4 && !has6 && !hasEth
	}
	if family == FamilyAny && bare && (a.v4 || a.v6) {
		a.v4, a.v6 = true, true
	}
	needed := aclTypeName(a.eth, a.v4, a.v6)
	if needed != said && family != FamilyAny {
		for _, e := range a.aces {
			e.sayFamily(family)
		}
	}
	switch n := c.get(a.node, "type"); {
	case needed == "" && n.exists():
		c.leaveOut(n, "R8519-4-d", "%s is no type that RFC 8519 has, and its ACEs need none", brief(n.v))
	case needed == "":
	case !n.exists():
		c.add(a.node, "type", str(needed), "R8519-4-d", "that is what its ACEs match on")
	case n.kind() != kindString || identity(n.v.text) != needed:
		c.set(n, str(needed), "R8519-4-d", "that is RFC 8519's name for what its ACEs match on")
	}
}

func aclTypeName(eth, v4, v6 bool) string {
	switch {
	case v4 && v6:
		return "mixed-eth-ipv4-ipv6-acl-type"
	case eth && v4:
		return "mixed-eth-ipv4-acl-type"
	case eth && v6:
		return "mixed-eth-ipv6-acl-type"
	case eth:
		return "eth-acl-type"
	case v4:
		return "ipv4-acl-type"
	case v6:
		return "ipv6-acl-type"
	}
	return ""
}

// orphans leaves out accepts of the to-device policy that described the replies to a from-device ACE which is left out: without
// it they would let others in (T-01). lost says that a whole ACL is missing, so nobody knows what it said.
func (c *converter) orphans(acls []*aclConv, lost bool) {
	kept := make(map[string]bool)
	var gone [][]string
	for _, a := range acls {
		for _, e := range a.aces {
			if a.fromDev && !e.drop && !e.left {
				kept[strings.Join(e.flow(false, true), "\n")] = true
			}
			if (a.fromDev && (e.left || e.part) || a.extra) && !e.drop {
				gone = append(gone, e.flow(true, true))
			}
		}
	}
	for _, a := range acls {
		for _, e := range a.aces {
			if !a.toDev || e.drop || e.left || e.named(initiated) != nil || kept[strings.Join(e.flow(false, false), "\n")] {
				continue
			}
			mine := e.flow(true, false)
			if lost || slices.ContainsFunc(gone, func(g []string) bool { return subset(g, mine) }) {
				c.change(e.node.path, "T-01", "it may have described the replies to an entry for the other direction that is left out or "+
					"missing, and would now open a way in; the ACE is left out")
				e.left = true
			}
		}
	}
}
