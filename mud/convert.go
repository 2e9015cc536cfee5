package mud

import (
	"fmt"
	"slices"
	"strings"
)

// Change is one thing that [Convert] did to a file.
type Change struct {
	Path    string `json:"path"`    // JSON path in the file as it was
	Row     string `json:"row"`     // row of the standards checklist
	Message string `json:"message"` // what became what and why, in plain words
}

// String gives c as one line.
func (c Change) String() string {
	if c.Path == "" {
		return fmt.Sprintf("%s (%s)", c.Message, c.Row)
	}
	return fmt.Sprintf("%s: %s (%s)", c.Path, c.Message, c.Row)
}

// Convert rewrites a MUD file of the forms that were written before RFC 8520, or wrongly since, into one that [Parse] takes,
// and says what it changed (T-14). What it finds right stays as it is, and what it made it leaves alone. It never decides in
// favour of the device: an accept that can't be understood is left out, a drop drops more.
//
// It needs no signature and checks none: that is over the octets as they came, and has to be checked over these first.
func Convert(raw []byte) ([]byte, []Change, error) {
	out, changes, _, _, err := convert(raw)
	return out, changes, err
}

// ParseLegacy is [Parse] of what [Convert] makes of a file. Each change is one more Problem.
func ParseLegacy(raw []byte) (Profile, []Problem, error) {
	_, changes, p, problems, err := convert(raw)
	all := make([]Problem, 0, len(changes)+len(problems)+1)
	for _, c := range changes {
		all = append(all, Problem{Path: c.Path, Row: "T-14", Severity: SeverityWarning, Message: Clean("converted: "+c.Message+
			" ("+c.Row+")", 1000)})
	}
	all = append(all, problems...)
	if err != nil {
		return Profile{}, append(all, Problem{Row: "T-14", Severity: SeverityError, Message: Clean(err.Error(), 1000)}), err
	}
	return p, all, nil
}

// HeadLegacy is [Head] for a file that is to be converted; it too reads nothing else.
func HeadLegacy(raw []byte) (URL, string, error) {
	c := newConverter()
	m := c.get(c.roots(c.scan(raw)), rootMUD)
	c.rename(m, c.mudWords)
	u := c.mudURL(m)
	sig := c.signature(m, u)
	if err := c.err(); err != nil {
		return URL{}, "", err
	}
	return u, sig, nil
}

func convert(raw []byte) (out []byte, changes []Change, p Profile, problems []Problem, err error) {
	c := newConverter()
	root := c.scan(raw)
	c.file(c.roots(root))
	if err = c.err(); err == nil {
		root.v.prune()
		out = write(root.v)
		if p, problems, err = Parse(out); err != nil {
			err = fmt.Errorf("what the file becomes can't be used either: %w", err)
		}
	}
	for _, pr := range c.list() {
		if pr.Severity != SeverityError {
			changes = append(changes, Change{pr.Path, pr.Row, pr.Message})
		}
	}
	if err != nil {
		return nil, changes, Profile{}, problems, err
	}
	return out, changes, p, problems, nil
}

// converter rewrites the tree of one file in place. Members that are left out are marked and pruned at the end, so that nodes
// and their paths stay good meanwhile.
type converter struct {
	report
	quiet bool              // inside an ACE that is left out
	was   map[*value]string // paths in the input of members that were renamed
	total int               // ACEs

	rootWords, mudWords, extensionWords words
	ace                                 aceWords
}

func newConverter() *converter {
	return &converter{was: make(map[*value]string), ace: newAceWords(),
		rootWords: newWords(rootMUD+" meta-info support-information mud-file", rootACLs+" access-lists access-list acl"),
		mudWords: newWords("mud-version version", "mud-url url", "mud-signature signature", "last-update", "cache-validity", "is-supported",
			"systeminfo", "mfg-name manufacturer-name", "model-name", "firmware-rev firmware-revision", "software-rev software-revision",
			"documentation", "extensions extension", "from-device-policy", "to-device-policy"),
		extensionWords: newWords("ietf-mud-transparency:transparency mudtx:transparency transparency", "ietf-ol:ol ol",
			"ietf-mud-tls:is-tls-dtls-profile-supported is-tls-dtls-profile-supported")}
}

// kindGone is a value that is left out of what is written.
const kindGone kind = 255

// change notes what is changed, and why.
func (c *converter) change(path, row, format string, args ...any) {
	switch {
	case c.quiet:
	case len(c.problems) >= maxProblems:
		c.dropped++
	default:
		c.warn(path, row, format, args...)
	}
}

// leaveOut takes a member out of its object or array.
func (c *converter) leaveOut(n node, row, format string, args ...any) {
	c.change(n.path, row, format+"; it is left out", args...)
	n.v.kind = kindGone
}

// set gives a member another value.
func (c *converter) set(n node, v value, row, format string, args ...any) {
	c.change(n.path, row, "%s becomes %s: %s", brief(n.v), brief(&v), fmt.Sprintf(format, args...))
	*n.v = v
}

// add gives an object one more member. Nodes of its other members that were got before are stale then.
func (c *converter) add(n node, name string, v value, row, format string, args ...any) {
	c.change(n.path, row, "%s: %s is added: %s", name, brief(&v), fmt.Sprintf(format, args...))
	n.v.kids = append(n.v.kids, member{name: name, value: v})
}

// child gives a member or element with its path in the input.
func (c *converter) child(n node, i int) node {
	m := &n.v.kids[i]
	at := n.path + index(i)
	if n.v.kind == kindObject {
		at = n.path + step(m.name)
		if n.path == "" {
			at = strings.TrimPrefix(at, ".")
		}
	}
	if was, ok := c.was[&m.value]; ok {
		at = was
	}
	return node{&m.value, at}
}

// get gives the member of that exact name that isn't left out.
func (c *converter) get(n node, name string) node {
	for i := range n.kids() {
		if m := &n.v.kids[i]; m.name == name && m.kind != kindGone && n.v.kind == kindObject {
			return c.child(n, i)
		}
	}
	return node{path: strings.TrimPrefix(n.path+step(name), ".")}
}

// each calls f for every member or element that isn't left out.
func (c *converter) each(n node, f func(name string, child node)) {
	for i := range n.kids() {
		if n.v.kids[i].kind != kindGone {
			f(n.v.kids[i].name, c.child(n, i))
		}
	}
}

func (n node) kids() []member {
	if n.v == nil {
		return nil
	}
	return n.v.kids
}

// prune takes out what is left out.
func (v *value) prune() {
	v.kids = slices.DeleteFunc(v.kids, func(m member) bool { return m.kind == kindGone })
	for i := range v.kids {
		v.kids[i].prune()
	}
}

func brief(v *value) string { return Clean(v.String(), 80) }

func number(s string) value { return value{kind: kindNumber, text: s} }

// scan reads a file whose text may be not quite JSON, or JSON in a JSON string.
func (c *converter) scan(raw []byte) node {
	const levels = 3
	if len(raw) > MaxFileSize {
		raw = raw[:MaxFileSize+1] // which the scanner refuses
	}
	for range levels {
		v, err := scanJSON(c.mend(raw))
		switch {
		case err != nil:
			c.refuse(err.path, err.row, "octet %d: %s", err.offset, err.msg)
			return node{}
		case v.kind == kindObject:
			return node{v: v}
		case v.kind != kindString:
			c.refuse("", "R8520-2-a", "expected an object, found %s", v.kind)
			return node{}
		}
		c.change("", "T-14", "the file is a JSON text inside a JSON string; the inner one is taken, and octets count in it")
		raw = []byte(v.text)
	}
	c.refuse("", "R8520-2-a", "the file is a JSON text inside more than %d JSON strings", levels)
	return node{}
}

// roots gives the two roots of a file their names, and leaves out what no module can define.
func (c *converter) roots(root node) node {
	if !root.exists() {
		return root
	}
	c.strangers(c.rename(root, c.rootWords))
	if m := c.get(root, rootMUD); !m.exists() {
		c.refuse("", "R8520-2.1-a", "there is no %s, so this is no MUD file", rootMUD)
	} else {
		c.want(m, kindObject)
	}
	return root
}

// notAModules tells whether a name can't be that of an extension: it has no module's name before it (R7951-4-a).
func notAModules(name string) bool {
	module, _, found := strings.Cut(name, ":")
	return !found || module == "ietf-mud" || module == "ietf-access-control-list" || module == "ietf-acldns"
}

// file converts a whole file.
func (c *converter) file(root node) {
	if c.fatal > 0 || !root.exists() {
		return
	}
	m := c.get(root, rootMUD)
	c.mud(m)
	c.policies(root, m)
}

// err gives the first reason why the file can't be converted.
func (c *converter) err() error {
	if c.fatal == 0 {
		return nil
	}
	where := ""
	if c.first.Path != "" {
		where = " at " + c.first.Path
	}
	return fmt.Errorf("MUD file can't be converted%s: %s (%s)", where, c.first.Message, c.first.Row)
}
