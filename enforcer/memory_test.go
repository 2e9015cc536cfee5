package enforcer_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// small is a table with one of everything.
func small() enforcer.TableDelta {
	set := &enforcer.Set{Name: "s", Key: enforcer.TypeMAC, Map: true}
	return enforcer.TableDelta{Family: enforcer.Inet, Create: true, AddSets: []*enforcer.Set{set},
		AddChains: []*enforcer.Chain{{Name: "c", Rules: []enforcer.Rule{{Exprs: []enforcer.Expr{enforcer.EtherMap{Map: "s"}}}}}, {Name: "d"}},
		AddElements: []enforcer.SetElements{{Set: set, Elements: map[enforcer.Key]enforcer.Element{
			{MAC: mac(1)}: {Verdict: enforcer.Verdict{Kind: enforcer.VerdictGoto, Chain: "d"}}}}}}
}

func delta(t enforcer.TableDelta) enforcer.Delta {
	t.Family = enforcer.Inet
	return enforcer.Delta{Tables: []enforcer.TableDelta{t}}
}

func element(set string, n int, chain string) []enforcer.SetElements {
	return []enforcer.SetElements{{Set: &enforcer.Set{Name: set, Key: enforcer.TypeMAC}, Elements: map[enforcer.Key]enforcer.Element{
		{MAC: mac(n)}: {Verdict: enforcer.Verdict{Kind: enforcer.VerdictGoto, Chain: chain}}}}}
}

func chains(exprs ...enforcer.Expr) []*enforcer.Chain {
	return []*enforcer.Chain{{Name: "x", Rules: []enforcer.Rule{{Exprs: exprs}}}}
}

// TestMemoryRefuses: what the kernel would refuse, and nothing of such a change stays.
func TestMemoryRefuses(t *testing.T) {
	jump := enforcer.Verdict{Kind: enforcer.VerdictJump, Chain: "nowhere"}
	for name, bad := range map[string]enforcer.TableDelta{
		"a jump to no chain":                {AddChains: chains(jump)},
		"an element to no chain":            {AddElements: element("s", 2, "nowhere")},
		"a rule with no set":                {AddChains: chains(enforcer.IfIn{Set: "nothing"})},
		"a rule with no map":                {AddChains: chains(enforcer.EtherMap{Map: "nothing"})},
		"a limit with no set":               {AddChains: chains(enforcer.Limit{Set: "nothing"})},
		"an update of no set":               {AddChains: chains(enforcer.UpdateAddr{Set: "nothing"})},
		"elements for no set":               {AddElements: element("nothing", 1, "d")},
		"elements out of no set":            {DelElements: element("nothing", 1, "d")},
		"an element that is not there":      {DelElements: element("s", 9, "d")},
		"a chain that elements name":        {DelChains: []string{"d"}},
		"a set that rules name":             {DelSets: []string{"s"}},
		"a chain that is not there":         {DelChains: []string{"nowhere"}},
		"a set that is not there":           {DelSets: []string{"nothing"}},
		"a set that is there":               {AddSets: []*enforcer.Set{{Name: "s"}}},
		"a chain that is there":             {AddChains: []*enforcer.Chain{{Name: "c"}}},
		"emptying a chain that isn't there": {FlushChains: []string{"nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			var m enforcer.Memory
			if err := m.Apply(delta(small())); err != nil {
				t.Fatal(err)
			}
			before, _ := m.Ruleset()
			bad.AddSets = append(bad.AddSets, &enforcer.Set{Name: "along", Key: enforcer.TypeMAC})
			if err := m.Apply(delta(bad)); err == nil {
				t.Error("applied")
			}
			if after, _ := m.Ruleset(); enforcer.Text(after) != enforcer.Text(before) {
				t.Errorf("a part of it stayed:\n%s", enforcer.Text(after))
			}
		})
	}
}

func TestMemoryTables(t *testing.T) {
	var m enforcer.Memory
	if err := m.Apply(delta(enforcer.TableDelta{DelSets: []string{"s"}})); err == nil {
		t.Error("a change of a table that is not there")
	}
	if err := m.Apply(delta(enforcer.TableDelta{Drop: true})); err == nil {
		t.Error("no table to delete")
	}
	if err := m.Apply(delta(small())); err != nil {
		t.Fatal(err)
	}
	m.Fail = func(enforcer.Delta) error { return errors.New("no") }
	if err := m.Apply(delta(enforcer.TableDelta{Drop: true})); err == nil || err.Error() != "no" {
		t.Errorf("got %v", err)
	}
	m.Fail = nil
	if err := m.Apply(delta(enforcer.TableDelta{Drop: true})); err != nil {
		t.Error(err)
	}
}

// TestMemoryCut: T-20, only what the policy no longer wants goes.
func TestMemoryCut(t *testing.T) {
	var m enforcer.Memory
	site := enforcertest.Site(enforcer.BridgeMark)
	for _, p := range []enforcertest.Probe{{From: "lamp", To: "cloud", Proto: "tcp", Sport: 1, Dport: 443},
		{From: "lamp", To: "evil", Proto: "tcp", Sport: 2, Dport: 443}, {From: "hub", To: "evil", Proto: "tcp", Sport: 3, Dport: 443}} {
		if !m.Send(&site, p.Packet()).Accept {
			t.Fatal("an empty ruleset stops nothing")
		}
	}
	lamp, cloud := enforcertest.HostNamed("lamp"), enforcertest.HostNamed("cloud")
	n, err := m.Cut(lamp.V4, func(f enforcer.Flow) bool { return f.Dst == cloud.V4 })
	if n != 1 || err != nil {
		t.Errorf("cut %d flows, %v; want 1", n, err)
	}
	if n, _ := m.Cut(netip.MustParseAddr("192.0.2.1"), nil); n != 0 {
		t.Errorf("cut %d flows of somebody else", n)
	}
}

// TestMemoryLearn: sets that are not there are skipped, in both tables.
func TestMemoryLearn(t *testing.T) {
	var m enforcer.Memory
	s, err := enforcertest.Scenario()[0].Setup(enforcer.BridgeMark)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(enforcer.Diff(enforcer.Ruleset{}, s.Ruleset)); err != nil {
		t.Fatal(err)
	}
	set, a := enforcer.NameSet("cloud.example")+"_4", netip.MustParseAddr("203.0.113.99")
	if err := m.Learn([]enforcer.Learned{{Set: "n_nothing_4", Addr: a}, {Set: set, Addr: a, Timeout: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	have, _ := m.Ruleset()
	for _, table := range have.Tables() {
		if _, in := table.Sets[set].Elements[enforcer.Key{Addr: a}]; !in {
			t.Errorf("%s: not learned", table.Family)
		}
	}
	if !enforcer.Diff(have, s.Ruleset).Empty() {
		t.Error("what was learned counts as a difference")
	}
	if strings.Contains(enforcer.Text(have), "n_nothing") {
		t.Error("a set was made")
	}
}
