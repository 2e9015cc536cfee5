package mud

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// schema is one node of the YANG modules that a MUD file is an instance of: RFC 8520, RFC 8519 and known extensions
// (schema_mud.go, schema_acl.go). Types are those of RFC 9911, which replaced RFC 6991.
type schema struct {
	name        string
	kind        schemaKind
	typ         leafType // of a leaf or leaf-list
	key         string   // of a list
	row         string   // of the standards checklist, for flaws of the node and what is in it
	must        bool     // mandatory
	choice, cas string   // the choice that the node belongs to, and the case
	alias       string   // what published files call it
	aliasRow    string
	part        part
	kids        []schema
}

type schemaKind uint8

const (
	aContainer schemaKind = iota
	aList
	aLeaf
	aLeafList
)

// part says who answers for a flaw.
type part uint8

const (
	wholeFile part = iota // the file is refused
	ownPart               // the reader of this node, which finds it in report.flaws
	aside                 // what is ignored anyway or only shown: all of the node is ignored
)

func container(name string, kids ...schema) schema { return schema{name: name, kids: kids} }

func list(name, key string, kids ...schema) schema {
	return schema{name: name, kind: aList, key: key, kids: kids}
}

func leaf(name string, t leafType) schema { return schema{name: name, kind: aLeaf, typ: t} }

func leafList(name string, t leafType) schema { return schema{name: name, kind: aLeafList, typ: t} }

func (s schema) of(row string) schema { s.row = row; return s }

func (s schema) mandatory() schema { s.must = true; return s }

func (s schema) in(choice, cas string) schema { s.choice, s.cas = choice, cas; return s }

func (s schema) called(alias, row string) schema { s.alias, s.aliasRow = alias, row; return s }

func (s schema) answeredBy(p part) schema { s.part = p; return s }

// find gives the node that a member's name means, and whether the name is one that only published files use.
func (s *schema) find(name string) (kid *schema, alias bool) {
	for i := range s.kids {
		if k := &s.kids[i]; k.name == name || k.alias == name && name != "" {
			return k, k.name != name
		}
	}
	return nil, false
}

// flaw is what the YANG modules have against a value.
type flaw struct {
	row, msg string
	mend     string // a JSON value to write instead
	soft     bool   // the value's reader decides what becomes of it
}

// checker compares a file with the schema. What it finds wrong it marks bad, so that no reader sees it.
type checker struct {
	r       *report
	tell    func(Problem)
	row     string
	module  string   // that the parent is of
	ace     bool     // inside an ACE or its ACL's type
	strange bool     // the file declares an extension that isn't known
	modules []string // those that the schema is made of
}

// check compares a file with the schema.
func (r *report) check(root node) {
	c := &checker{r: r, row: "R8520-2-a", strange: declaresUnknown(root), modules: modules()}
	c.tell = func(p Problem) { r.refuse(p.Path, p.Row, "%s", p.Message).Mend = p.Mend }
	s := fileSchema()
	c.object(root, &s)
}

// node checks n, whose flaws are told to whoever answers for it.
func (c *checker) node(n node, s *schema) bool {
	saved := *c
	defer func() { *c = saved }()
	if s.row != "" {
		c.row = s.row
	}
	if module, _, prefixed := strings.Cut(s.name, ":"); prefixed {
		c.module = module
	}
	fine := true
	switch {
	case s.part == ownPart && s.kind != aList:
		c.own(n.v)
	case s.part == aside:
		c.ace = false
		c.tell = func(p Problem) {
			fine = false
			c.r.fail(p.Path, p.Row, "%s; because of that %s is ignored", p.Message, s.name).Mend = p.Mend
		}
	}
	return c.value(n, s) && fine
}

// own has flaws collected for the reader of v.
func (c *checker) own(v *value) {
	c.ace = true
	c.tell = func(p Problem) {
		if c.r.flaws == nil {
			c.r.flaws = make(map[*value][]Problem)
		}
		c.r.flaws[v] = append(c.r.flaws[v], p)
	}
}

func (c *checker) value(n node, s *schema) bool {
	switch s.kind {
	case aContainer:
		return c.kind(n, kindObject) && c.object(n, s)
	case aList:
		return c.kind(n, kindArray) && c.list(n, s)
	case aLeafList:
		return c.kind(n, kindArray) && c.leafList(n, s)
	}
	return c.leaf(n, s.name, s.typ)
}

func (c *checker) kind(n node, k kind) bool {
	if n.kind() == k {
		return true
	}
	p := c.problem(n, "expected %s, found %s", k, n.kind())
	if n.kind() == kindNull || k == kindArray {
		p.mend("%s", map[kind]string{kindObject: "{}", kindArray: "[" + literal(n.v) + "]"}[k])
	}
	c.tell(p)
	return false
}

func (c *checker) problem(n node, format string, args ...any) Problem {
	return Problem{Path: n.path, Row: c.row, Message: fmt.Sprintf(format, args...)}
}

// leaf checks a leaf, or an element of a leaf-list, which has no name.
func (c *checker) leaf(n node, name string, t leafType) bool {
	f := t(n.v)
	if f == nil {
		return true
	}
	p := c.problem(n, "%s", f.msg)
	if f.row != "" {
		p.Row = f.row
	}
	if p.Mend = f.mend; f.mend != "" && name != "" {
		p.Mend = pair(name, f.mend)
	}
	if f.soft {
		c.r.soft = append(c.r.soft, p)
		return true
	}
	c.tell(p)
	return false
}

// pair writes a member as a person would.
func pair(name, value string) string { return `"` + name + `": ` + value }

func (c *checker) leafList(n node, s *schema) bool {
	seen := make(map[string]struct{})
	n.all(func(m *member, e node) {
		if !c.leaf(e, "", s.typ) {
			m.bad = true
			return
		}
		if _, dup := seen[m.text]; dup {
			c.tell(c.problem(e, "%s is there twice; remove one", literal(e.v)))
			m.bad = true
		}
		seen[m.text] = struct{}{}
	})
	return true
}

func (c *checker) list(n node, s *schema) bool {
	seen := make(map[string]struct{})
	entry := *s
	entry.kind, entry.row = aContainer, ""
	n.all(func(m *member, e node) {
		m.bad = !c.kind(e, kindObject) || !c.key(e, s, seen) || !c.node(e, &entry)
	})
	return true
}

// key checks the key of a list entry. A file with wrong ones is refused whoever answers for the rest of the entry
// (R8519-4-b, T-09).
func (c *checker) key(e node, s *schema, seen map[string]struct{}) bool {
	n := e.get(s.key)
	kid, _ := s.find(s.key)
	saved := c.row
	defer func() { c.row = saved }()
	if kid.row != "" {
		c.row = kid.row
	}
	if !n.exists() {
		p := c.problem(n, "it is missing, and names the entry")
		if e.has(c.module + ":" + s.key) {
			p.Row = "R7951-4-a"
		}
		c.tell(p)
		return false
	}
	if !c.leaf(n, s.key, kid.typ) {
		return false
	}
	if _, dup := seen[n.text()]; dup {
		p := c.problem(n, "there are two entries named %s in one list; give each its own name", show(n.text()))
		if c.row == "R8519-4-b" {
			p.Row = "T-09"
		}
		p.mend("%s", pair(s.key, literal(&value{kind: kindString, text: n.text() + "-2"})))
		c.tell(p)
		return false
	}
	seen[n.text()] = struct{}{}
	return true
}

func (c *checker) object(n node, s *schema) bool {
	taken := make(map[string]*schema) // the first node of each choice
	there := make(map[string]*member)
	n.all(func(m *member, child node) {
		kid, alias := s.find(m.name)
		if kid == nil {
			m.bad = true
			c.unknown(child, m.name, s)
			return
		}
		if alias {
			c.renamed(m, child, kid)
		}
		if there[kid.name] = m; kid.name == s.key {
			return // key has checked it
		}
		m.bad = !c.node(child, kid)
		switch other := taken[kid.choice]; {
		case kid.choice == "":
		case other == nil:
			taken[kid.choice] = kid
		case other.cas != kid.cas:
			p := c.problem(child, "%s and %s exclude each other; keep one of them", there[other.name].name, m.name)
			p.Row = choiceRow(kid.choice, c.row)
			c.tell(p)
			m.bad, there[other.name].bad = true, true
		}
	})
	c.missing(n, s, there, taken)
	return true
}

// choiceRow is the row that a violated choice of RFC 8519 section 4 is of.
func choiceRow(choice, row string) string {
	switch choice {
	case "l3":
		return "R8519-4-d"
	case "l4":
		return "R8519-4-i"
	}
	return row
}

// missing tells which mandatory nodes aren't there; those of a case have to be where the case is chosen.
func (c *checker) missing(n node, s *schema, there map[string]*member, taken map[string]*schema) {
	for i := range s.kids {
		kid := &s.kids[i]
		if kid.kind == aContainer && kid.choice == "" && there[kid.name] == nil {
			c.missing(n.child(kid.name), kid, nil, nil)
		}
		if !kid.must || there[kid.name] != nil || kid.choice != "" && (taken[kid.choice] == nil || taken[kid.choice].cas != kid.cas) {
			continue
		}
		p := c.problem(n.child(kid.name), "it is missing; write it")
		p.Row = cmp.Or(kid.row, p.Row)
		if f := kid.typ(&value{}); f.mend != "" {
			p.mend("%s", pair(kid.name, f.mend))
		}
		c.tell(p)
	}
}

// renamed notes a name that only published files use, and has the member read as what it means.
func (c *checker) renamed(m *member, n node, kid *schema) {
	m.as = kid.name
	p := c.problem(n, "the YANG module calls this %s; it is read as that", kid.name)
	p.Row = kid.aliasRow
	p.mend("%s", pair(kid.name, "…"))
	c.r.soft = append(c.r.soft, p)
}

// unknown is for a member that no module defines at its place. Outside of ACEs it is ignored (R8520-3.9-b); inside it
// could be a condition, and without it the ACE would match more (T-13).
func (c *checker) unknown(n node, name string, s *schema) {
	p := c.problem(n, "this part is not understood and is ignored")
	p.Row = "R8520-14-b"
	if c.ace {
		p.Row, p.Message = "T-13", "this part of the ACE is not understood, and without it the ACE would match more"
	}
	if name == "actions" {
		p.Message += "; actions stand beside matches, not inside"
	}
	if meant := s.meant(name); meant != "" {
		p.Message += "; it is called " + meant + " here"
		if name == c.module+":"+meant {
			p.Row = "R7951-4-a"
		}
		p.mend("%s", pair(meant, literal(n.v)))
	}
	switch module, _, prefixed := strings.Cut(name, ":"); {
	case c.ace:
		c.tell(p)
	case prefixed && c.strange && !slices.Contains(c.modules, module):
		// It may be of an extension that the file declares, so nobody can call it wrong.
		c.r.warn(p.Path, p.Row, "%s", p.Message)
	default:
		c.r.fail(p.Path, p.Row, "%s", p.Message).Mend = p.Mend
	}
}

// meant gives the node whose name somebody probably had in mind: with another prefix or none, in other letters, or as
// drafts before RFC 8519 have it; "" where there is none.
func (s *schema) meant(name string) string {
	plain := func(name string) string {
		name = name[strings.LastIndexByte(name, ':')+1:]
		return strings.ReplaceAll(strings.ToLower(name), "_", "-")
	}
	want := plain(name)
	switch {
	case s.key == "name" && slices.Contains([]string{"acl-name", "rule-name"}, want):
		return "name"
	case want == "acl-type":
		want = "type"
	}
	want = strings.TrimSuffix(want, "-range-or-operator")
	for i := range s.kids {
		if plain(s.kids[i].name) == want {
			return s.kids[i].name
		}
	}
	return ""
}
