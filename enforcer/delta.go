package enforcer

import (
	"maps"
	"slices"
	"strings"
)

// Delta is one change of the kernel's ruleset, applied as one transaction: all of it or nothing.
type Delta struct {
	Tables []TableDelta
}

// TableDelta is the change of one table, in the order in which its parts must be sent: nothing is named before it is
// there, and nothing goes while something still names it.
type TableDelta struct {
	Family      TableFamily
	Create      bool // the table itself
	AddSets     []*Set
	AddChains   []*Chain      // made empty first, then filled, so that they may name each other
	FlushChains []string      // chains of AddChains that are there already: their rules go first, in the same transaction
	DelElements []SetElements // before AddElements: a moved element is deleted and added
	AddElements []SetElements //
	DelChains   []string      //
	DelSets     []string      //
	Drop        bool          // delete the whole table; all else is empty then
}

// SetElements are elements of the set named Set. For a deletion only the keys matter.
type SetElements struct {
	Set      *Set
	Elements map[Key]Element
}

// Empty says that there is nothing to do.
func (d Delta) Empty() bool { return len(d.Tables) == 0 }

// Diff gives the change from have to want. Chains are compared by name and rules (that a policy chain's name says what is
// in it holds only until somebody edits it), sets by name and, those that are not Learned, by their elements.
func Diff(have, want Ruleset) Delta {
	var d Delta
	for _, p := range [...]struct {
		f          TableFamily
		have, want *Table
	}{{Inet, have.Inet, want.Inet}, {Bridge, have.Bridge, want.Bridge}} {
		if t := diffTable(p.f, p.have, p.want); !t.empty() {
			d.Tables = append(d.Tables, t)
		}
	}
	return d
}

func (t TableDelta) empty() bool {
	return !t.Create && !t.Drop && len(t.AddSets)+len(t.AddChains)+len(t.DelElements)+len(t.AddElements)+
		len(t.DelChains)+len(t.DelSets) == 0
}

func diffTable(f TableFamily, have, want *Table) TableDelta {
	t := TableDelta{Family: f}
	switch {
	case want == nil && have == nil:
		return t
	case want == nil:
		t.Drop = true
		return t
	case have == nil:
		t.Create = true
		have = &Table{}
	}
	diffChains(&t, have, want)
	diffSets(&t, have, want)
	return t
}

func diffChains(t *TableDelta, have, want *Table) {
	for _, name := range sortedKeys(want.Chains) {
		c := want.Chains[name]
		old, there := have.Chains[name]
		if there && sameRules(old.Rules, c.Rules) {
			continue
		}
		t.AddChains = append(t.AddChains, c)
		if there {
			t.FlushChains = append(t.FlushChains, name)
		}
	}
	for _, name := range sortedKeys(have.Chains) {
		if _, keep := want.Chains[name]; !keep {
			t.DelChains = append(t.DelChains, name)
		}
	}
}

func diffSets(t *TableDelta, have, want *Table) {
	for _, name := range sortedKeys(want.Sets) {
		s := want.Sets[name]
		old, there := have.Sets[name]
		if !there {
			t.AddSets = append(t.AddSets, s)
			old = &Set{}
		} else if s.Learned {
			continue
		}
		diffElements(t, old, s)
	}
	for _, name := range sortedKeys(have.Sets) {
		if _, keep := want.Sets[name]; !keep {
			if old := have.Sets[name]; old.Map { // what it names may have to go before it
				diffElements(t, old, &Set{Name: name, Key: old.Key, Map: true})
			}
			t.DelSets = append(t.DelSets, name)
		}
	}
}

func diffElements(t *TableDelta, old, s *Set) {
	add, del := map[Key]Element{}, map[Key]Element{}
	for k, e := range s.Elements {
		o, there := old.Elements[k]
		if there && o.Verdict == e.Verdict && o.Comment == e.Comment {
			continue
		}
		if there {
			del[k] = o
		}
		add[k] = e
	}
	for k, o := range old.Elements {
		if _, keep := s.Elements[k]; !keep {
			del[k] = o
		}
	}
	if len(del) > 0 {
		t.DelElements = append(t.DelElements, SetElements{Set: s, Elements: del})
	}
	if len(add) > 0 {
		t.AddElements = append(t.AddElements, SetElements{Set: s, Elements: add})
	}
}

// sameRules compares by what the rules say. Rules that were read back from the kernel carry no expressions, only their
// comments; there the comments decide.
func sameRules(a, b []Rule) bool {
	if len(a) == len(b) && len(a) > 0 && &a[0] == &b[0] {
		return true // policies are compiled once: nearly always it is the same list
	}
	return slices.EqualFunc(a, b, func(x, y Rule) bool {
		if len(x.Exprs) == 0 || len(y.Exprs) == 0 {
			return x.Comment == y.Comment
		}
		return x.Comment == y.Comment && slices.Equal(x.Exprs, y.Exprs)
	})
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// isPolicyChain says that a chain's name is the hash of its content, so that it never changes.
func isPolicyChain(name string) bool { return strings.HasPrefix(name, "p_") }
