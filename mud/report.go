package mud

import (
	"fmt"
	"strconv"
)

// maxProblems bounds the list that Parse gives; a file can hold more nodes that nobody understands.
const maxProblems = 1000

// maxText is the longest description in a Profile, in characters (R8520-3.7-a asks for 60).
const maxText = 1024

// report collects what is found in one file.
type report struct {
	problems []Problem
	seen     map[Problem]struct{} // an ACL listed in both directions is read twice
	dropped  int
	fatal    int
	first    Problem // the first fatal one
}

func (r *report) add(sev Severity, path, row, format string, args ...any) Problem {
	p := Problem{Path: Clean(path, 1000), Row: row, Severity: sev, Message: Clean(fmt.Sprintf(format, args...), 1000)}
	if _, dup := r.seen[p]; dup {
		return p
	}
	if len(r.problems) >= maxProblems {
		r.dropped++
		return p
	}
	if r.seen == nil {
		r.seen = make(map[Problem]struct{})
	}
	r.seen[p] = struct{}{}
	r.problems = append(r.problems, p)
	return p
}

// refuse notes what makes the whole file unusable.
func (r *report) refuse(path, row, format string, args ...any) {
	p := r.add(SeverityError, path, row, format, args...)
	if r.fatal == 0 {
		r.first = p
	}
	r.fatal++
}

func (r *report) warn(path, row, format string, args ...any) {
	r.add(SeverityWarning, path, row, format, args...)
}

func (r *report) note(path, row, format string, args ...any) {
	r.add(SeverityNote, path, row, format, args...)
}

// err gives what Parse returns: the first reason to refuse the file and how many more there are.
func (r *report) err() error {
	if r.fatal == 0 {
		return nil
	}
	more := ""
	if r.fatal > 1 {
		more = fmt.Sprintf("; and %d more", r.fatal-1)
	}
	where := ""
	if r.first.Path != "" {
		where = " at " + r.first.Path
	}
	return fmt.Errorf("MUD file refused%s: %s (%s)%s", where, r.first.Message, r.first.Row, more)
}

// list gives the problems, with a last one that says how many more there are.
func (r *report) list() []Problem {
	if r.dropped == 0 {
		return r.problems
	}
	sev := SeverityWarning
	if r.fatal > 0 {
		sev = SeverityError
	}
	return append(r.problems, Problem{Row: "R8520-16-l", Severity: sev,
		Message: "there are " + strconv.Itoa(r.dropped) + " more problems; correct these first"})
}

// node is a JSON value with its path. The nil value stands for a member that isn't there.
type node struct {
	v    *value
	path string
}

func (n node) exists() bool { return n.v != nil }

func (n node) kind() kind { return n.v.kind }

// get gives the member of that exact name.
func (n node) get(name string) node {
	child := node{path: n.path + step(name)}
	if n.path == "" {
		child.path = name
	}
	if n.v == nil || n.v.kind != kindObject {
		return child
	}
	for i := range n.v.kids {
		if n.v.kids[i].name == name {
			child.v = &n.v.kids[i].value
			break
		}
	}
	return child
}

// each calls f for every member or element.
func (n node) each(f func(name string, child node)) {
	if n.v == nil {
		return
	}
	for i := range n.v.kids {
		m := &n.v.kids[i]
		at := n.path + index(i)
		if n.v.kind == kindObject {
			at = n.path + step(m.name)
			if n.path == "" {
				at = at[min(1, len(at)):]
			}
		}
		f(m.name, node{&m.value, at})
	}
}

// isEmptyLeaf tells whether n is a YANG empty leaf, which JSON writes as [null] (R7951-6.9-a).
func (n node) isEmptyLeaf() bool {
	return n.v.kind == kindArray && len(n.v.kids) == 1 && n.v.kids[0].kind == kindNull
}

// uintIn reads an integer leaf of at most 32 bits: a JSON number without fraction, exponent or sign (R7951-6-b).
func (n node) uintIn(lo, hi uint64) (uint64, error) {
	if n.kind() != kindNumber {
		hint := ""
		if n.kind() == kindString {
			hint = "; write it without quotes"
		}
		return 0, fmt.Errorf("expected a number, found %s%s", n.kind(), hint)
	}
	x, err := strconv.ParseUint(n.v.text, 10, 64)
	if err != nil || x < lo || x > hi {
		return 0, fmt.Errorf("%s is not a whole number from %d to %d", Clean(n.v.text, 40), lo, hi)
	}
	return x, nil
}

// want tells whether n is of that kind, and refuses the file where it isn't.
func (r *report) want(n node, k kind) bool {
	if n.kind() == k {
		return true
	}
	r.refuse(n.path, "R8520-2-a", "expected %s, found %s", k, n.kind())
	return false
}
