package enforcer_test

import (
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
		if judged(p, mode) {
			probe(t, &m, &s.Site, p)
		}
	}
}

// judged says whether the gateway sees a probe in a mode, and can tell it from a reply.
func judged(p enforcertest.Probe, mode enforcer.BridgeMode) bool {
	switch {
	case p.Direction() != "lateral":
		return true
	case mode == enforcer.BridgeStateless:
		reply := p.Stateful() || p.Proto == "udp" && (p.Sport == 443 || p.Dport == 443) // known by its ports only
		return !reply || p.Want
	}
	return mode != enforcer.BridgeNone
}

func probe(t *testing.T, m *enforcer.Memory, site *enforcer.Site, p enforcertest.Probe) {
	t.Helper()
	res := m.Send(site, p.Packet())
	if res.Accept != p.Want {
		t.Errorf("%s: allowed %v, want %v; rules %v", p.Name, res.Accept, p.Want, res.Steps)
		return
	}
	if p.Log != "" && res.Logged != p.Log {
		t.Errorf("%s: logged as %q, want %q", p.Name, res.Logged, p.Log)
	}
	if !res.Accept && res.Logged == "" && p.Proto != "tcp" {
		t.Errorf("%s: denied without a word; rules %v", p.Name, res.Steps)
	}
	if !p.Want || p.Proto != "tcp" && p.Proto != "udp" {
		return
	}
	if back := m.Send(site, p.Reply()); !back.Accept {
		t.Errorf("%s: the reply is denied; rules %v", p.Name, back.Steps)
	}
	for i, l := range p.Later {
		if res := m.Send(site, l.Packet(p)); res.Accept != l.Want {
			t.Errorf("%s: later packet %d: allowed %v, want %v; rules %v", p.Name, i, res.Accept, l.Want, res.Steps)
		}
	}
}
