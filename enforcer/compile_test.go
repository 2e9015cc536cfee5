package enforcer_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s differs at line %d (run with -update if that is meant)\ngot:  %s\nwant: %s", path, i+1,
				strings.Join(g[min(i, len(g)):min(i+1, len(g))], ""), strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
		}
	}
}

func parse(t testing.TB, raw []byte) *mud.Profile {
	t.Helper()
	p, _, err := mud.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// sensor is the profile of the golden: a file in testdata, as a manufacturer would write it.
func sensor(t testing.TB) *mud.Profile {
	t.Helper()
	raw, err := os.ReadFile("testdata/sensor.json")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, raw)
}

func mac(n int) dhcp.MAC { return dhcp.MAC{2, 0x10, 0, byte(n >> 16), byte(n >> 8), byte(n)} }

func member(site *enforcer.Site, n int, p *enforcer.Compiled) enforcer.Member {
	return enforcer.Member{MAC: mac(n), Label: fmt.Sprint("device ", n), Policy: p,
		Addrs: []netip.Addr{netip.AddrFrom4([4]byte{192, 168, 77, byte(n)})}}
}

// TestGoldenText: what is denied is dropped in silence (T-43, R6092-34).
func TestGoldenText(t *testing.T) {
	for _, mode := range []enforcer.BridgeMode{enforcer.BridgeConntrack, enforcer.BridgeStateless, enforcer.BridgeNone} {
		t.Run(string(mode), func(t *testing.T) {
			site := enforcertest.Site(mode)
			c := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: sensor(t)}, &site)
			golden(t, "sensor_"+string(mode)+".nft", enforcer.Text(enforcer.Build(&site, []enforcer.Member{member(&site, 20, c)}, nil, nil)))
		})
	}
}

// eachRuleset builds every case of the table in every mode.
func eachRuleset(t *testing.T, f func(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode, r enforcer.Ruleset)) {
	t.Helper()
	for _, mode := range bridgeModes {
		for _, c := range enforcertest.Scenario() {
			s, err := c.Setup(mode)
			if err != nil {
				t.Fatal(err)
			}
			f(t, c, mode, s.Ruleset)
		}
	}
}

func TestEqualInputsGiveEqualText(t *testing.T) {
	eachRuleset(t, func(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode, r enforcer.Ruleset) {
		again, err := c.Setup(mode)
		if err != nil {
			t.Fatal(err)
		}
		if enforcer.Text(r) != enforcer.Text(again.Ruleset) {
			t.Errorf("%s, %s: two texts", mode, c.Name)
		}
		if d := enforcer.Diff(r, again.Ruleset); !d.Empty() {
			t.Errorf("%s, %s: not the same: %+v", mode, c.Name, d)
		}
	})
}

func TestDiffOfEqualsIsEmpty(t *testing.T) {
	if !enforcer.Diff(enforcer.Ruleset{}, enforcer.Ruleset{}).Empty() {
		t.Error("of nothing and nothing")
	}
	eachRuleset(t, func(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode, r enforcer.Ruleset) {
		if d := enforcer.Diff(r, r); !d.Empty() {
			t.Errorf("%s, %s: %+v", mode, c.Name, d)
		}
	})
}

// TestApplyTwice: N16.
func TestApplyTwice(t *testing.T) {
	var m enforcer.Memory
	var before enforcer.Ruleset
	eachRuleset(t, func(t *testing.T, c enforcertest.Case, mode enforcer.BridgeMode, r enforcer.Ruleset) {
		// From whatever the case before left: every change between two cases has to be one that applies.
		if err := m.Apply(enforcer.Diff(before, r)); err != nil {
			t.Fatalf("%s, %s: %v", mode, c.Name, err)
		}
		have, err := m.Ruleset()
		if err != nil {
			t.Fatal(err)
		}
		if d := enforcer.Diff(have, r); !d.Empty() {
			t.Errorf("%s, %s: a second change: %+v", mode, c.Name, d)
		}
		before = have
	})
	if err := m.Apply(enforcer.Diff(before, enforcer.Ruleset{})); err != nil {
		t.Fatal(err)
	}
	if have, _ := m.Ruleset(); enforcer.Text(have) != "" {
		t.Errorf("left: %s", enforcer.Text(have))
	}
}

func TestOrderOfDevicesDoesNotMatter(t *testing.T) {
	site := enforcertest.Site(enforcer.BridgeMark)
	var members []enforcer.Member
	for i := range 30 {
		p := parse(t, enforcertest.Profile{URL: fmt.Sprint("https://mud.example/", i%5), Mfg: fmt.Sprint("M", i%5), From: []enforcertest.ACE{
			{Name: fmt.Sprintf("n%d.example", i%5), Proto: "tcp", Remote: enforcertest.Eq(443)},
			{Both: true, Class: enforcertest.Group("same-manufacturer"), Proto: "udp"}}}.JSON())
		m := member(&site, i, enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: p}, &site))
		m.URL = p.URL
		members = append(members, m)
	}
	want := enforcer.Text(enforcer.Build(&site, members, nil, nil))
	for range 10 {
		rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		if got := enforcer.Text(enforcer.Build(&site, members, nil, nil)); got != want {
			t.Fatal("another order gives another text")
		}
	}
}

func policyChains(r enforcer.Ruleset) map[string]bool {
	out := map[string]bool{}
	for _, t := range r.Tables() {
		for name := range t.Chains {
			if strings.HasPrefix(name, "p_") {
				out[name[:strings.LastIndexByte(name, '_')]] = true
			}
		}
	}
	return out
}

func TestHundredDevicesShareOneChain(t *testing.T) {
	site := enforcertest.Site(enforcer.BridgeConntrack)
	var members []enforcer.Member
	for i := range 100 { // each parsed and compiled by itself: the name is of the content
		members = append(members, member(&site, i, enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: sensor(t)}, &site)))
	}
	r := enforcer.Build(&site, members, nil, nil)
	if got := policyChains(r); len(got) != 1 {
		t.Errorf("%d policies, want 1: %v", len(got), got)
	}
	if n := len(r.Inet.Sets["from_device"].Elements); n != 100 {
		t.Errorf("%d devices in the map, want 100", n)
	}
	one := enforcer.Build(&site, members[:1], nil, nil)
	for _, table := range enforcer.Diff(one, r).Tables {
		if len(table.AddChains)+len(table.DelChains)+len(table.AddSets)+len(table.DelSets) > 0 {
			t.Errorf("99 more devices change more than elements: %+v", table)
		}
	}
}

// TestJoiningAClass: R8520-15-b. One more member of a class changes elements of sets and maps, and no rule.
func TestJoiningAClass(t *testing.T) {
	site := enforcertest.Site(enforcer.BridgeConntrack)
	p := parse(t, enforcertest.Profile{URL: enforcertest.LampURL,
		From: []enforcertest.ACE{{Both: true, Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Remote: enforcertest.Eq(8080)}}}.JSON())
	var members []enforcer.Member
	for i := range 100 {
		m := member(&site, 20+i, enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: p}, &site))
		m.URL = p.URL
		members = append(members, m)
	}
	elements := 0
	for _, table := range enforcer.Diff(enforcer.Build(&site, members[:99], nil, nil), enforcer.Build(&site, members, nil, nil)).Tables {
		if len(table.AddChains)+len(table.DelChains)+len(table.FlushChains)+len(table.AddSets)+len(table.DelSets)+len(table.DelElements) > 0 {
			t.Errorf("changes more than elements: %+v", table)
		}
		for _, s := range table.AddElements {
			elements += len(s.Elements)
		}
	}
	if elements == 0 || elements > 20 {
		t.Errorf("%d elements for one more device", elements)
	}
}

// TestPolicyChangeIsOneTransaction: T-46, F1. New chain, moved elements, old chain gone.
func TestPolicyChangeIsOneTransaction(t *testing.T) {
	site := enforcertest.Site(enforcer.BridgeConntrack)
	build := func(name string) (enforcer.Ruleset, string) {
		p := parse(t, enforcertest.Profile{URL: enforcertest.LampURL, Mfg: "Lamps",
			From: []enforcertest.ACE{{Name: name, Proto: "tcp", Remote: enforcertest.Eq(443)}}}.JSON())
		c := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: p}, &site)
		return enforcer.Build(&site, []enforcer.Member{member(&site, 1, c), member(&site, 2, c)}, nil, nil), c.Out()
	}
	old, oldChain := build("old.example")
	next, newChain := build("new.example")
	d := enforcer.Diff(old, next)
	if len(d.Tables) != 2 {
		t.Fatalf("%d tables, want inet and bridge in one change", len(d.Tables))
	}
	for _, table := range d.Tables {
		if !namesChain(table.AddChains, newChain) || !contains(table.DelChains, oldChain) || len(table.FlushChains) > 0 {
			t.Errorf("%s: adds %v, deletes %v, flushes %v", table.Family, table.AddChains, table.DelChains, table.FlushChains)
		}
		if moved := countElements(table.AddElements, "from_device"); moved != 2 || countElements(table.DelElements, "from_device") != 2 {
			t.Errorf("%s: moves %d devices, want 2", table.Family, moved)
		}
		if len(table.AddSets) != 1 || len(table.DelSets) != 1 {
			t.Errorf("%s: adds %d sets and deletes %d, want the set of the new name for that of the old", table.Family, len(table.AddSets), len(table.DelSets))
		}
	}
	var m enforcer.Memory
	for _, change := range []enforcer.Delta{enforcer.Diff(enforcer.Ruleset{}, old), d, enforcer.Diff(next, old)} {
		if err := m.Apply(change); err != nil {
			t.Fatal(err)
		}
	}
}

func namesChain(list []*enforcer.Chain, name string) bool {
	for _, c := range list {
		if c.Name == name {
			return true
		}
	}
	return false
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func countElements(list []enforcer.SetElements, set string) int {
	n := 0
	for _, se := range list {
		if se.Set.Name == set {
			n += len(se.Elements)
		}
	}
	return n
}

// TestAnswerToWhatWasDenied: T-21. Behind a bridge a packet from outside is tracked before it is denied; the device's answer to
// an ICMP query is none to an admitted flow then, and opens none either, even where it may send its peer anything.
func TestAnswerToWhatWasDenied(t *testing.T) {
	for _, mode := range bridgeModes {
		site := enforcertest.Site(mode)
		p := parse(t, enforcertest.Profile{URL: enforcertest.LampURL, From: []enforcertest.ACE{{Net: "203.0.113.0/24"}}}.JSON())
		m := member(&site, 20, enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: p}, &site))
		rules := enforcer.Build(&site, []enforcer.Member{m}, nil, nil)
		answer := enforcer.Packet{In: enforcertest.LAN, Out: enforcertest.WAN, SrcMAC: m.MAC, State: "established", Reply: true,
			Flow: enforcer.Flow{Src: m.Addrs[0], Dst: netip.MustParseAddr("203.0.113.9"), Proto: 1}}
		query := answer
		query.State, query.Reply, query.ICMPType = "new", false, 8
		if !enforcer.Evaluate(rules, &site, query, nil).Accept || enforcer.Evaluate(rules, &site, answer, nil).Accept {
			t.Errorf("%s: its own query is stopped, or its answer to one that was denied passes", mode)
		}
	}
}
