package mud

import (
	"slices"
	"strings"
)

// aceConv is an ACE that is converted.
type aceConv struct {
	c     *converter
	node  node
	acl   *aclConv
	items []item
	drop  bool // it surely drops: what isn't understood of its condition is left out, so it drops more (T-13)
	left  bool // it is left out: it may accept, and isn't understood
	part  bool // some of what it accepts is left out
	both  bool // a drop whose IP version isn't understood, so it is about both
}

// maxConditions bounds those of an ACE; RFC 8519 and 8520 have fewer.
const maxConditions = 64

// item is one condition of an ACE.
type item struct {
	in   string // container; "" for a member of matches itself
	name string // "" for the container as such, which may be empty
	node node
}

// readACE reads an ACE in any of the forms that drafts and files had, and finds for each condition its place in RFC 8519.
func (c *converter) readACE(n node, acl *aclConv) *aceConv {
	e := &aceConv{c: c, node: n, acl: acl}
	defer func() { c.quiet = false }()
	for _, u := range c.rename(n, newWords("name rule-name ace-name", "matches match", "actions action", "statistics")) {
		if notAModules(u.member.name) {
			e.unknown(u.node)
			u.v.kind = kindGone
		}
	}
	e.hoist()
	e.action()
	m := c.get(n, "matches")
	if m.exists() && m.kind() != kindObject {
		e.cannot(m.path, "R8520-2-a", "expected an object, found %s", m.kind())
		c.set(m, value{kind: kindObject}, "R8520-2-a", "expected an object")
	}
	e.collect(m)
	e.transport()
	e.family()
	e.values()
	e.ethernet()
	return e
}

// cannot notes that a part of the condition isn't understood. Whoever calls it takes the part out.
func (e *aceConv) cannot(path, row, format string, args ...any) {
	if e.drop {
		e.c.change(path, row, format+"; this condition is left out, so the ACE drops more than written", args...)
		return
	}
	e.c.change(path, row, format+"; the ACE is left out", args...)
	e.left, e.c.quiet = true, true
}

func (e *aceConv) unknown(n node) {
	e.cannot(n.path, "T-13", "this part of the ACE is not understood, and without it the ACE would match more")
}

// hoist takes actions out of matches.
func (e *aceConv) hoist() {
	if e.c.get(e.node, "actions").exists() {
		return
	}
	e.c.each(e.c.get(e.node, "matches"), func(name string, n node) {
		v := *n.v
		switch squash(name) {
		case "actions", "action":
		case "forwarding":
			v = object("forwarding", v)
		default:
			return
		}
		if e.c.get(e.node, "actions").exists() {
			return
		}
		n.v.kind = kindGone
		e.c.add(e.node, "actions", v, "T-14", "actions stand beside matches and not inside")
	})
}

// action reads what the ACE does. Nothing is taken for accept but the words that mean it (R8519-4-f).
func (e *aceConv) action() {
	n := e.c.get(e.node, "actions")
	verdict, v := e.forwarding(n)
	e.drop = verdict == "drop" || verdict == "reject"
	switch {
	case verdict == "" && n.exists():
		e.cannot(n.path, "R8520-2-f", "%s is no action that is known, and what is not known is never taken for accept", brief(n.v))
	case verdict == "":
		e.cannot(n.path, "R8519-4-f", "it is missing, and a missing action is never taken for accept")
	case !same(&v, n.v):
		e.c.set(n, v, "R8519-4-f", "that is RFC 8519's way to say it")
	}
}

// forwarding gives the identity that actions mean, "" where that is in doubt, and how RFC 8519 writes it.
func (e *aceConv) forwarding(n node) (string, value) {
	if !n.exists() || n.kind() == kindString {
		verdict := ""
		if n.exists() {
			verdict = actionWord(n.v.text)
		}
		return verdict, object("forwarding", str(verdict))
	}
	out := value{kind: kindObject, kids: []member{{name: "forwarding"}}}
	var verdicts []string
	e.c.each(n, func(name string, leaf node) {
		said := ""
		switch word := actionWord(name); {
		case squash(name) == "forwarding" || squash(name) == "packethandling":
			if leaf.kind() == kindString {
				said = actionWord(leaf.v.text)
				out.kids[0].value = str(leaf.v.text)
			}
		case word != "" && isSet(leaf.v):
			said = word
		case name == "logging" && leaf.kind() == kindString && strings.HasPrefix(identity(leaf.v.text), "log-"), !notAModules(name):
			out.kids = append(out.kids, member{name: name, value: *leaf.v})
			return
		case name == "logging":
			return // it is the administrator's choice anyway
		}
		verdicts = append(verdicts, said)
	})
	verdict := ""
	switch {
	case slices.Contains(verdicts, "drop"):
		verdict = "drop"
	case slices.Contains(verdicts, "reject"):
		verdict = "reject"
	case len(verdicts) > 0 && !slices.Contains(verdicts, ""):
		verdict = "accept"
	}
	if identity(out.kids[0].text) != verdict {
		out.kids[0].value = str(verdict)
	}
	return verdict, out
}

// actionWord gives the identity of RFC 8519 that a word means.
func actionWord(s string) string {
	switch squash(s) {
	case "accept", "permit", "allow":
		return "accept"
	case "drop", "deny", "discard", "block":
		return "drop"
	case "reject":
		return "reject"
	}
	return ""
}

// isSet tells whether a leaf that says something by being there does so.
func isSet(v *value) bool {
	switch v.String() {
	case "[null]", "null", "true", `"true"`, `""`, "[]", "{}":
		return true
	}
	return false
}

// collect reads the conditions in matches, in order.
func (e *aceConv) collect(m node) {
	e.c.each(m, func(name string, n node) {
		container := e.c.ace.containers.find(name)
		switch {
		case container == "":
			e.leaf("", name, n)
			return
		case n.kind() != kindObject:
			e.cannot(n.path, "R8520-2-a", "expected an object, found %s", n.kind())
			return
		case container != name:
			e.c.change(n.path, "T-14", "%s becomes %s, its name in RFC 8519", show(name), container)
		}
		if strings.HasPrefix(container, "l") { // l2, l3, l4: layers, which are only choices of the model
			e.c.change(n.path, "T-14", "it is no container; what is in it stands in matches")
			e.collect(n)
			return
		}
		e.items = append(e.items, item{in: container})
		e.c.each(n, func(name string, leaf node) { e.leaf(container, name, leaf) })
	})
}

// leaf finds the name and the container of a condition.
func (e *aceConv) leaf(container, name string, n node) {
	w := &e.c.ace
	found, in := w.leaves[container].find(name), container
	if found == "" {
		if found = w.stray.find(name); found != "" {
			in = w.home[found]
		}
	}
	switch {
	case found == "" && notAModules(name) && !isInterface(name):
		e.unknown(n)
		return
	case found == "": // of an extension, which Parse knows or not
		found = name
	case found != name:
		e.c.change(n.path, "T-14", "%s becomes %s, its name in RFC 8519", show(name), found)
	}
	if i := slices.IndexFunc(e.items, func(it item) bool { return it.in == in && it.name == found }); i >= 0 {
		if !same(e.items[i].node.v, n.v) {
			e.cannot(n.path, "T-14", "%s is there twice", found)
			e.items = slices.Delete(e.items, i, i+1)
		}
		return
	}
	if len(e.items) == maxConditions {
		e.cannot(n.path, "R8520-16-l", "there are more than %d conditions", maxConditions)
		return
	}
	e.items = append(e.items, item{in, found, n})
	if in != container {
		e.c.change(n.path, "T-14", "it is moved into %s, where RFC 8519 has it", w.place(in))
	}
}

func isInterface(name string) bool { return name == "egress-interface" || name == "ingress-interface" }

// has tells whether there is a condition in a container, or the container itself.
func (e *aceConv) has(in string) bool {
	return slices.ContainsFunc(e.items, func(it item) bool { return it.in == in })
}

// named gives the first condition of a name.
func (e *aceConv) named(name string) *item {
	if i := slices.IndexFunc(e.items, func(it item) bool { return it.name == name }); i >= 0 {
		return &e.items[i]
	}
	return nil
}

// remove takes out the conditions of which f is true.
func (e *aceConv) remove(f func(item) bool) { e.items = slices.DeleteFunc(e.items, f) }

func among(in ...string) func(item) bool {
	return func(it item) bool { return slices.Contains(in, it.in) }
}

// move puts conditions that wait for a container into it.
func (e *aceConv) move(from, to string) {
	for i := range e.items {
		if e.items[i].in == from {
			e.items[i].in = to
		}
	}
}

const initiated = "ietf-mud:direction-initiated"

// transport finds the container for ports that stood elsewhere, and contradictions of the transport layer.
func (e *aceConv) transport() {
	var have []string
	for _, in := range []string{"tcp", "udp", "icmp"} {
		if slices.ContainsFunc(e.items, func(it item) bool { return it.in == in && it.name != initiated }) {
			have = append(have, in)
		}
	}
	proto := ""
	if p := e.named("protocol"); p != nil {
		v := *p.node.v
		_ = protocolLeaf(&v)
		proto = map[string]string{"6": "tcp", "17": "udp"}[v.text]
	}
	if len(have) == 0 && proto != "" && (e.has("l4") || proto == "udp" && e.has("tcp")) {
		have = []string{proto}
	} else if len(have) == 0 && e.has("tcp") {
		have = []string{"tcp"} // for the direction
	}
	switch {
	case len(have) > 1:
		e.cannot(e.node.path, "R8519-4-i", "it is about %s at once, and no packet is", strings.Join(have, " and "))
		e.remove(func(it item) bool { return among("tcp", "udp", "icmp", "l4")(it) || it.name == "protocol" })
	case e.has("l4") && (len(have) == 0 || have[0] == "icmp"):
		e.cannot(e.node.path, "T-14", "it has ports and doesn't say whether of TCP or UDP")
		e.remove(among("l4"))
	case e.has("l4"):
		e.move("l4", have[0])
	}
	if len(have) == 1 && have[0] != "tcp" {
		e.direction(have[0])
	}
}

// direction takes out a direction-initiated that isn't about TCP (R8520-4.8-a). That changes nothing where it only says which
// side the policy is for.
func (e *aceConv) direction(transport string) {
	it := e.named(initiated)
	if it == nil {
		return
	}
	v := *it.node.v
	_ = directionLeaf(&v)
	plain := v.text == "from-device" && !e.acl.toDev || v.text == "to-device" && !e.acl.fromDev
	if plain && !e.drop {
		e.c.change(it.node.path, "R8520-4.8-a", "direction-initiated is for TCP only, and the policy says as much; it is left out")
	} else {
		e.cannot(it.node.path, "R8520-4.8-a", "direction-initiated is for TCP only and this is about %s", transport)
	}
	e.remove(func(it item) bool { return it.name == initiated })
}

// family finds the container for conditions on IP that stood elsewhere, and contradictions of IP versions.
func (e *aceConv) family() {
	said := e.acl.family()
	has4, has6 := e.has("ipv4"), e.has("ipv6")
	switch {
	case !e.has("l3"):
	case has4 && !has6 || !has4 && !has6 && said == IPv4:
		e.move("l3", "ipv4")
		has4 = true
	case has6 && !has4 || !has4 && !has6 && said == IPv6:
		e.move("l3", "ipv6")
		has6 = true
	default:
		e.cannot(e.node.path, "T-14", "it has conditions on IP and doesn't say of which version")
		e.remove(among("l3"))
	}
	switch {
	case has4 && has6 && said != FamilyAny && !e.drop && slices.Equal(e.under("ipv4"), e.under("ipv6")):
		e.c.change(e.node.path, "R8519-4-d", "it says the same of IPv4 and IPv6 at once, and its ACL is about %s; only that stays", said)
		e.remove(among(map[Family]string{IPv4: "ipv6", IPv6: "ipv4"}[said]))
		e.part = true
	case has4 && has6, has4 && said == IPv6, has6 && said == IPv4:
		e.cannot(e.node.path, "R8519-4-d", "its IP versions contradict each other or the type of its ACL")
		e.remove(among("ipv4", "ipv6", "icmp"))
		e.both = true
	}
}

// under gives what a container says.
func (e *aceConv) under(in string) []string {
	var out []string
	for _, it := range e.items {
		if it.in == in && it.name != "" {
			out = append(out, it.name+" "+it.node.v.String())
		}
	}
	slices.Sort(out)
	return out
}

// values converts the value of each condition.
func (e *aceConv) values() {
	e.remove(func(it item) bool {
		l, known := e.c.ace.read[it.name]
		if !known || it.name == "" {
			return false
		}
		before := brief(it.node.v)
		old := it.node.v.String()
		if err := l.read(it.node.v); err != nil {
			e.cannot(it.node.path, l.row, "%v", err)
			return true
		}
		if it.node.v.String() != old {
			e.c.change(it.node.path, l.row, "%s becomes %s, as RFC 8519 and 8520 write it", before, brief(it.node.v))
		}
		return false
	})
}

// ethernet leaves out an eth container that only repeats the IP version, which an ACL for one IP version can't have (R8519-4-d).
func (e *aceConv) ethernet() {
	n := 0
	for _, it := range e.items {
		if it.in == "eth" && it.name != "" {
			n++
		}
	}
	et := e.named("ethertype")
	if n != 1 || et == nil || e.acl.eth {
		return
	}
	for f, is := range map[Family]string{IPv4: "2048 ipv4", IPv6: "34525 ipv6"} {
		container := strings.ToLower(f.String())
		if slices.Contains(strings.Fields(is), et.node.v.text) && (e.has(container) || e.acl.family() == f) {
			e.c.change(et.node.path, "R8519-4-d", "it only says %s, as the rest of the ACE or the type of the ACL does; eth is left out", f)
			e.remove(among("eth"))
			return
		}
	}
}

// sayFamily gives the ACE a container for the IP version that the type of its ACL doesn't say any more.
func (e *aceConv) sayFamily(f Family) {
	if e.left || e.both || e.has("ipv4") || e.has("ipv6") || e.named("ethertype") != nil {
		return
	}
	e.c.change(e.node.path, "R8519-4-d", "it says that it is about %s, as the type of the ACL doesn't any more", f)
	e.items = append(e.items, item{in: strings.ToLower(f.String())})
}

// write puts the conditions into the file.
func (e *aceConv) write() {
	if e.left {
		e.node.v.kind = kindGone
		return
	}
	m := e.c.get(e.node, "matches")
	if !m.exists() && len(e.items) > 0 {
		e.node.v.kids = append(e.node.v.kids, member{name: "matches", value: value{kind: kindObject}})
		m = e.c.get(e.node, "matches")
	}
	if !m.exists() {
		return
	}
	var out []member
	for _, it := range e.items {
		if it.in == "" {
			out = append(out, member{name: it.name, value: *it.node.v})
			continue
		}
		i := slices.IndexFunc(out, func(m member) bool { return m.name == it.in })
		if i < 0 {
			i, out = len(out), append(out, member{name: it.in, value: value{kind: kindObject}})
		}
		if it.name != "" {
			out[i].kids = append(out[i].kids, member{name: it.name, value: *it.node.v})
		}
	}
	m.v.kids = out
}
