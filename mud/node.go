package mud

import (
	"encoding/base64"
	"strings"
)

// node is a JSON value with its path. The nil value stands for a member that isn't there.
type node struct {
	v    *value
	path string
}

func (n node) exists() bool { return n.v != nil }

func (n node) kind() kind { return n.v.kind }

// name gives the last member name of the path.
func (n node) name() string { return n.path[strings.LastIndexByte(n.path, '.')+1:] }

// flawed tells whether a member is bad.
func (n node) flawed() bool {
	found := false
	n.all(func(m *member, _ node) { found = found || m.bad })
	return found
}

// child gives the place of the member of that name.
func (n node) child(name string) node {
	if n.path == "" {
		return node{path: strings.TrimPrefix(step(name), ".")}
	}
	return node{path: n.path + step(name)}
}

// get gives the member of that exact name, unless check found it bad.
func (n node) get(name string) node {
	child := n.child(name)
	if n.v == nil || n.v.kind != kindObject {
		return child
	}
	for i := range n.v.kids {
		if m := &n.v.kids[i]; m.meant() == name && !m.bad {
			return node{&m.value, n.child(m.name).path}
		}
	}
	return child
}

// has tells whether there is a member of that name, bad or not.
func (n node) has(name string) bool {
	found := false
	n.all(func(m *member, _ node) { found = found || m.name == name })
	return found
}

// each calls f for every member or element that isn't bad.
func (n node) each(f func(name string, child node)) {
	n.all(func(m *member, child node) {
		if !m.bad {
			f(m.meant(), child)
		}
	})
}

// all calls f for every member or element.
func (n node) all(f func(m *member, child node)) {
	if n.v == nil {
		return
	}
	for i := range n.v.kids {
		m := &n.v.kids[i]
		at := n.path + index(i)
		if n.v.kind == kindObject {
			at = n.child(m.name).path
		}
		f(m, node{&m.value, at})
	}
}

// text, uint, words and octets read a leaf that check found right; where there is none they give the zero value.
func (n node) text() string {
	if n.v == nil {
		return ""
	}
	return n.v.text
}

func (n node) uint() uint64 {
	x, _ := n.v.uint()
	return x
}

func (n node) words() []string { return bitNames(n.text()) }

func (n node) octets() []byte {
	b, _ := base64.StdEncoding.DecodeString(n.text())
	return b
}

// texts and uints read a leaf-list or the values of one leaf in all entries.
func (n node) texts() []string {
	var out []string
	n.each(func(_ string, e node) { out = append(out, Clean(e.text(), maxText)) })
	return out
}
