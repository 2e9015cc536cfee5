package enforcer_test

import (
	"slices"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

var bridgeModes = []enforcer.BridgeMode{enforcer.BridgeConntrack, enforcer.BridgeMark, enforcer.BridgeStateless, enforcer.BridgeNone}

// TestScenario runs the table on Memory, in every way in which a gateway can tell replies on its bridge.
func TestScenario(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			for _, c := range enforcertest.Scenario() {
				if c.Fits(mode) {
					t.Run(c.Name, func(t *testing.T) { runCase(t, c, mode) })
				}
			}
		})
	}
}

// TestScenarioAfterPause: a policy that was paused says the same once the pause is over. Until we look, it says less where a
// drop is about what only the first packet of a flow has, or only its frames in one direction.
func TestScenarioAfterPause(t *testing.T) {
	less := map[string]bool{"LX-ACE T-01 an accept is judged on the packet that opens a flow": true, "R8520-2-d LX-ACE frames to another": true,
		"R8520-2-d LX-ACE frames from another": true}
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			for _, c := range enforcertest.Scenario() {
				if c.Fits(mode) {
					t.Run(c.Name, func(t *testing.T) {
						c := c.AfterPause()
						if less[c.Name] {
							c.Probes = slices.DeleteFunc(slices.Clone(c.Probes), func(p enforcertest.Probe) bool { return p.Want })
						}
						runCase(t, c, mode)
					})
				}
			}
		})
	}
}

func runCase(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode) {
	s, err := c.Setup(mode)
	if err != nil {
		t.Fatal(err)
	}
	var m enforcer.Memory
	if err := m.Apply(enforcer.Diff(enforcer.Ruleset{}, s.Ruleset)); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Probes {
		if p.Known(mode) {
			probe(t, &m, &s.Site, p, mode)
		}
	}
}

func probe(t *testing.T, m *enforcer.Memory, site *enforcer.Site, p enforcertest.Probe, mode enforcer.BridgeMode) {
	t.Helper()
	res := m.Send(site, p.Packet())
	if res.Accept != p.Want {
		t.Errorf("%s: allowed %v, want %v; rules %v", p.Name, res.Accept, p.Want, res.Steps)
		return
	}
	if p.Log != "" && res.Logged != p.Log {
		t.Errorf("%s: logged as %q, want %q", p.Name, res.Logged, p.Log)
	}
	if !res.Accept && res.Logged == "" && p.Proto != "tcp" && !p.Silent {
		t.Errorf("%s: denied without a word; rules %v", p.Name, res.Steps)
	}
	if !p.Want || p.Proto != "tcp" && p.Proto != "udp" {
		return
	}
	if back := m.Send(site, p.Reply()); !back.Accept {
		t.Errorf("%s: the reply is denied; rules %v", p.Name, back.Steps)
	}
	if p.Late != "" && p.Tracked(mode) {
		if _, err := m.Cut(p.Packet().Src, nil); err != nil {
			t.Fatal(err)
		}
		if res := m.Send(site, p.Reply()); res.Accept != (p.Late == "pass") {
			t.Errorf("%s: the reply when the flow is forgotten: allowed %v, want %s; rules %v", p.Name, res.Accept, p.Late, res.Steps)
		}
	}
	for i, l := range p.Later {
		if res := m.Send(site, l.Packet(p)); res.Accept != l.Want {
			t.Errorf("%s: later packet %d: allowed %v, want %v; rules %v", p.Name, i, res.Accept, l.Want, res.Steps)
		}
	}
}
