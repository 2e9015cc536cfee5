package mud

import (
	"slices"
	"strings"
)

// words knows the members that an object may have, under all the spellings that were seen or are near.
type words map[string]string // squashed spelling to RFC 8520's name

// newWords reads one string for each member: its name, then other names of drafts for it.
func newWords(members ...string) words {
	w := make(words)
	for _, m := range members {
		names := strings.Fields(m)
		for _, n := range names {
			w[squash(n)] = names[0]
		}
	}
	return w
}

// find gives the member that a name stands for, "" where there is none or more than one.
func (w words) find(name string) string {
	s := squash(name)
	if s == "" || w[s] != "" {
		return w[s]
	}
	found := ""
	for have, canonical := range w {
		if oneSlip(have, s) && canonical != found {
			if found != "" {
				return ""
			}
			found = canonical
		}
	}
	return found
}

// squash drops what the spellings of a name differ in: the module's name, case, hyphens and underscores. A name of somebody
// else's module stays whole, as it means something else.
func squash(name string) string {
	if first, rest, found := strings.Cut(name, ":"); found {
		switch strings.ToLower(first) {
		case "ietf-mud", "mud", "ietf-access-control-list", "ietf-access-control-lists", "ietf-acl", "acl", "ietf-acldns", "acldns",
			"ietf-acl-dnsname", "ietf-packet-fields", "packet-fields":
			name = rest[strings.LastIndexByte(rest, ':')+1:]
		}
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == '_' || r == ' ' || r == '.':
			return -1
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

// oneSlip tells whether one letter that is wrong, too many or missing, or two that are swapped, make b of a. Short words
// don't count: ipv4 is one letter from ipv6.
func oneSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 6 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	if i == len(a) {
		return true
	}
	swapped := i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	return swapped || a[i+1:] == b[i+1:]
}

// named is a member of an object.
type named struct {
	node
	*member
}

// rename gives the members of an object their names of RFC 8520. It returns those that w doesn't know.
func (c *converter) rename(n node, w words) []named {
	if !n.exists() || n.kind() != kindObject {
		return nil
	}
	var unknown []named
	have := make(map[string]*value)
	for i := range n.v.kids {
		if m := &n.v.kids[i]; w.find(m.name) == m.name && m.kind != kindGone {
			have[m.name] = &m.value
		}
	}
	for i := range n.v.kids {
		m := &n.v.kids[i]
		canonical, child := w.find(m.name), c.child(n, i)
		switch other := have[canonical]; {
		case m.kind == kindGone:
		case canonical == "":
			unknown = append(unknown, named{child, m})
		case canonical == m.name:
		case other == nil:
			c.change(child.path, "T-14", "%s becomes %s, its name in RFC 8520", show(m.name), canonical)
			c.was[&m.value], m.name, have[canonical] = child.path, canonical, &m.value
		case same(other, &m.value):
			c.leaveOut(child, "T-14", "it repeats %s", canonical)
		default:
			c.refuse(child.path, "T-14", "it is another spelling of %s, which is there too; remove one of them", canonical)
		}
	}
	return unknown
}

// same tells whether two values are equal, members in the same order.
func same(a, b *value) bool {
	return a.kind == b.kind && a.text == b.text && slices.EqualFunc(a.kids, b.kids, func(x, y member) bool {
		return x.name == y.name && same(&x.value, &y.value)
	})
}
