package enforcer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// TestBaseChainsStay: R3. Whatever becomes of devices and policies, no base chain and no table goes: that drops what is held
// in any queue.
func TestBaseChainsStay(t *testing.T) {
	before := map[enforcer.BridgeMode]enforcer.Ruleset{}
	eachRuleset(t, func(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode, r enforcer.Ruleset) {
		if c.Site != nil {
			return // another configuration
		}
		old := map[string]bool{}
		for _, table := range before[mode].Tables() {
			for _, chain := range table.Chains {
				old[fmt.Sprint(table.Family, chain.Name)] = chain.Hook != ""
			}
		}
		for _, d := range enforcer.Diff(before[mode], r).Tables {
			base := func(name string) bool { return old[fmt.Sprint(d.Family, name)] }
			if d.Drop || slices.ContainsFunc(d.DelChains, base) {
				t.Errorf("%s, %s: deletes of %v", mode, c.Name, d.DelChains)
			}
		}
		before[mode] = r
	})
}

// TestPriorities: N17. No base chain has the priority of another at its hook, nor one that other firewalls use by default.
func TestPriorities(t *testing.T) {
	usual := []int32{-300, -225, -200, -150, -100, 0, 50, 100, 225, 300}
	eachRuleset(t, func(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode, r enforcer.Ruleset) {
		for _, table := range r.Tables() {
			seen := map[string]string{}
			for _, chain := range table.Chains {
				if chain.Hook == "" {
					continue
				}
				at := fmt.Sprint(chain.Hook, chain.Priority)
				if other := seen[at]; other != "" || slices.Contains(usual, chain.Priority) {
					t.Errorf("%s, %s: %s has priority %d, as %q", mode, c.Name, chain.Name, chain.Priority, other)
				}
				seen[at] = chain.Name
			}
		}
	})
}

// TestLogsAreLimited: N18. Every rule that logs is limited first, and another counts what is denied.
func TestLogsAreLimited(t *testing.T) {
	logs := 0
	eachRuleset(t, func(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode, r enforcer.Ruleset) {
		for _, table := range r.Tables() {
			for _, chain := range table.Chains {
				for _, rule := range chain.Rules {
					at := slices.IndexFunc(rule.Exprs, func(e enforcer.Expr) bool { _, is := e.(enforcer.Log); return is })
					if at < 0 {
						continue
					}
					logs++
					l, limited := rule.Exprs[max(0, at-1)].(enforcer.Limit)
					_, counted := chain.Rules[len(chain.Rules)-1].Exprs[0].(enforcer.Counter)
					if !limited || l.Set == "" || l.Over || !counted {
						t.Errorf("%s, %s: %s logs without a limit or a counter", mode, c.Name, chain.Name)
					}
				}
			}
		}
	})
	if logs == 0 {
		t.Error("nothing is logged")
	}
}

// TestNoAutoMerge: N8. Sets with timeouts hold single addresses, and no set merges ranges by itself.
func TestNoAutoMerge(t *testing.T) {
	eachRuleset(t, func(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode, r enforcer.Ruleset) {
		for _, table := range r.Tables() {
			for _, s := range table.Sets {
				if s.HasTTL && s.Interval {
					t.Errorf("%s, %s: %s has ranges and timeouts", mode, c.Name, s.Name)
				}
			}
		}
		if strings.Contains(enforcer.Text(r), "auto-merge") {
			t.Errorf("%s, %s: a set merges by itself", mode, c.Name)
		}
	})
}
