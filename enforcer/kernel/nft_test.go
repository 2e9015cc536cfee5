package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

func v4(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x0a000000+uint32(n))
	return netip.AddrFrom4(b)
}

// devices is a table of n devices with a chain of its own each, of 20 rules.
func devices(n int) *enforcer.Table {
	m := &enforcer.Set{Name: "from_device", Key: enforcer.TypeMAC, Map: true, Elements: map[enforcer.Key]enforcer.Element{}}
	t := &enforcer.Table{Family: enforcer.Inet, Sets: map[string]*enforcer.Set{m.Name: m}, Chains: map[string]*enforcer.Chain{
		"forward": {Name: "forward", Hook: enforcer.HookForward, Priority: -110, Rules: []enforcer.Rule{rule(enforcer.EtherMap{Map: m.Name})}}}}
	for i := range n {
		addDevice(t, m, i)
	}
	return t
}

func addDevice(t *enforcer.Table, m *enforcer.Set, i int) {
	c := &enforcer.Chain{Name: fmt.Sprintf("p_%08x_out", i)}
	for j := range 20 {
		c.Rules = append(c.Rules, enforcer.Rule{Comment: fmt.Sprintf("ace%d", j), Exprs: []enforcer.Expr{
			enforcer.AddrPrefix{Dst: true, Prefix: netip.PrefixFrom(v4(i*20+j), 32)}, enforcer.L4{Proto: 6},
			enforcer.Port{Proto: 6, Dst: true, Lo: 443, Hi: 443}, enforcer.Counter{}, enforcer.Verdict{Kind: enforcer.VerdictAccept}}})
	}
	t.Chains[c.Name] = c
	k := enforcer.Key{MAC: dhcp.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}}
	m.Elements[k] = enforcer.Element{Verdict: enforcer.Verdict{Kind: enforcer.VerdictJump, Chain: c.Name}}
}

// roundTrip applies want and demands that what is read back needs no change.
func roundTrip(t testing.TB, n *Nft, want enforcer.Ruleset) {
	t.Helper()
	have, err := n.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Apply(enforcer.Diff(have, want)); err != nil {
		t.Fatal(err)
	}
	have, err = n.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	if d := enforcer.Diff(have, want); !d.Empty() {
		t.Fatalf("not in place: %d tables differ", len(d.Tables))
	}
}

// TestManyElements: N1, sizes around a chunk and around the 64 KiB of one attribute.
func TestManyElements(t *testing.T) {
	n := newSpace(t).open()
	for _, count := range []int{999, 1000, 1001, 3000, 5000, 20000} {
		for _, interval := range []bool{false, true} {
			s := &enforcer.Set{Name: fmt.Sprintf("s%d%v", count, interval), Key: enforcer.TypeIPv4, Interval: interval, Elements: map[enforcer.Key]enforcer.Element{}}
			for i := range count {
				k := enforcer.Key{Addr: v4(2 * i)}
				if interval {
					k.End = k.Addr
				}
				s.Elements[k] = enforcer.Element{Comment: "a comment makes it longer"}
			}
			roundTrip(t, n, enforcer.Ruleset{Inet: &enforcer.Table{Family: enforcer.Inet, Sets: map[string]*enforcer.Set{s.Name: s}}})
			for k := range s.Elements { // and away with one, which must leave the others
				delete(s.Elements, k)
				break
			}
			roundTrip(t, n, enforcer.Ruleset{Inet: &enforcer.Table{Family: enforcer.Inet, Sets: map[string]*enforcer.Set{s.Name: s}}})
		}
	}
}

// TestManyDevices: N2, one transaction each.
func TestManyDevices(t *testing.T) {
	for _, count := range []int{100, 250, 1000} {
		roundTrip(t, newSpace(t).open(), enforcer.Ruleset{Inet: devices(count)})
	}
}

// TestMoveDevice replaces the chain of a device and moves its element in one transaction.
func TestMoveDevice(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	table := devices(3)
	roundTrip(t, n, enforcer.Ruleset{Inet: table})
	m := table.Sets["from_device"]
	for k, e := range m.Elements {
		if e.Verdict.Chain == "p_00000001_out" {
			m.Elements[k] = enforcer.Element{Verdict: enforcer.Verdict{Kind: enforcer.VerdictJump, Chain: "p_new_out"}}
		}
	}
	delete(table.Chains, "p_00000001_out")
	table.Chains["p_new_out"] = &enforcer.Chain{Name: "p_new_out", Rules: []enforcer.Rule{rule(enforcer.Verdict{Kind: enforcer.VerdictDrop})}}
	table.Chains["forward"].Rules = append(table.Chains["forward"].Rules, enforcer.Rule{Comment: "end", Exprs: []enforcer.Expr{enforcer.Counter{}}})
	roundTrip(t, n, enforcer.Ruleset{Inet: table})
	if l := s.list(); strings.Contains(l, "p_00000001_out") || strings.Count(l, "vmap @from_device") != 1 {
		t.Errorf("listing:\n%s", l)
	}
}

// TestFailedApplyChangesNothing: N4, F1, F7, invariant 6. The last rule names a set that is not there.
func TestFailedApplyChangesNothing(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	roundTrip(t, n, enforcer.Ruleset{Inet: devices(2)})
	before := s.list()
	want := devices(3)
	want.Chains["p_bad"] = &enforcer.Chain{Name: "p_bad", Rules: []enforcer.Rule{rule(enforcer.AddrIn{Set: "nowhere"})}}
	have, _ := n.Ruleset()
	err := n.Apply(enforcer.Diff(have, enforcer.Ruleset{Inet: want}))
	if !errors.Is(err, syscall.ENOENT) {
		t.Errorf("error %v", err)
	}
	if after := s.list(); after != before {
		t.Errorf("changed:\n%s", after)
	}
	roundTrip(t, n, enforcer.Ruleset{Inet: devices(4)}) // and it goes on working
}

// TestMissingExpression: F7. The error names what the kernel lacks.
func TestMissingExpression(t *testing.T) {
	n := newSpace(t).open()
	f := n.Probe()
	t.Logf("features: %+v", f)
	if f.Queue == QueueNative {
		t.Log("this kernel has nft_queue: nothing is missing")
		return
	}
	want := &enforcer.Table{Family: enforcer.Inet, Chains: map[string]*enforcer.Chain{
		"c": {Name: "c", Rules: []enforcer.Rule{rule(enforcer.Counter{}, enforcer.Queue{Num: 7})}}}}
	err := n.Apply(enforcer.Diff(enforcer.Ruleset{}, enforcer.Ruleset{Inet: want}))
	if err == nil || !strings.Contains(err.Error(), "nft_queue") {
		t.Errorf("error %v", err)
	}
}

func TestProbeLeavesNothing(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	if f := n.Probe(); f.Queue == "" || !f.Bridge {
		t.Errorf("features %+v", f)
	}
	if l := s.list(); l != "" {
		t.Errorf("left:\n%s", l)
	}
}

// TestSetTooSmall: a set that cannot hold its elements gives ErrSetFull, not ENFILE (N9).
func TestSetTooSmall(t *testing.T) {
	n := newSpace(t).open()
	s := &enforcer.Set{Name: "s", Key: enforcer.TypeIPv4, Size: 2, Elements: map[enforcer.Key]enforcer.Element{{Addr: v4(1)}: {}, {Addr: v4(2)}: {}, {Addr: v4(3)}: {}}}
	err := n.Apply(enforcer.Diff(enforcer.Ruleset{}, enforcer.Ruleset{Inet: &enforcer.Table{Family: enforcer.Inet, Sets: map[string]*enforcer.Set{"s": s}}}))
	if !errors.Is(err, ErrSetFull) {
		t.Errorf("error %v", err)
	}
}

func learnedSets(size uint32) enforcer.Ruleset {
	var rs enforcer.Ruleset
	for _, p := range []struct {
		f enforcer.TableFamily
		t **enforcer.Table
	}{{enforcer.Inet, &rs.Inet}, {enforcer.Bridge, &rs.Bridge}} {
		*p.t = &enforcer.Table{Family: p.f, Sets: map[string]*enforcer.Set{
			"n_4": {Name: "n_4", Key: enforcer.TypeIPv4, HasTTL: true, Timeout: time.Hour, Size: size, Learned: true},
			"n_6": {Name: "n_6", Key: enforcer.TypeIPv6, HasTTL: true, Timeout: time.Hour, Size: size, Learned: true}}}
	}
	return rs
}

// bothRefreshes runs a test as on a kernel that renews by adding, and as on one that does not (N7).
func bothRefreshes(t *testing.T, fn func(t *testing.T, s *space, n *Nft)) {
	for _, refresh := range []bool{true, false} {
		t.Run(fmt.Sprintf("refresh=%v", refresh), func(t *testing.T) {
			s := newSpace(t)
			n := s.open()
			if refresh && !n.refresh {
				t.Log("this kernel does not renew by adding: tested below")
				return
			}
			n.refresh = refresh
			fn(t, s, n)
		})
	}
}

func timeLeft(t *testing.T, n *Nft, set string, a netip.Addr) time.Duration {
	t.Helper()
	rs, err := n.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	in := rs.Inet.Sets[set].Elements[enforcer.Key{Addr: a}]
	br := rs.Bridge.Sets[set].Elements[enforcer.Key{Addr: a}]
	if d := in.Timeout - br.Timeout; d > time.Second || d < -time.Second {
		t.Errorf("inet has %v, bridge %v", in.Timeout, br.Timeout)
	}
	return in.Timeout
}

// TestLearn: N7.
func TestLearn(t *testing.T) {
	bothRefreshes(t, func(t *testing.T, s *space, n *Nft) {
		roundTrip(t, n, learnedSets(100))
		a, b := v4(1), netip.MustParseAddr("2001:db8::1")
		must := func(l ...enforcer.Learned) {
			t.Helper()
			if err := n.Learn(l); err != nil {
				t.Fatal(err)
			}
		}
		between := func(set string, a netip.Addr, lo, hi time.Duration) {
			t.Helper()
			if left := timeLeft(t, n, set, a); left < lo || left > hi {
				t.Errorf("%s %v has %v left, want %v to %v", set, a, left, lo, hi)
			}
		}
		must(enforcer.Learned{Set: "n_4", Addr: a, Timeout: time.Minute}, enforcer.Learned{Set: "n_6", Addr: b, Timeout: 2 * time.Minute},
			enforcer.Learned{Set: "gone", Addr: a, Timeout: time.Minute}, enforcer.Learned{Set: "n_4", Addr: b, Timeout: time.Minute})
		between("n_4", a, 50*time.Second, time.Minute)
		between("n_6", b, 110*time.Second, 2*time.Minute)
		must(enforcer.Learned{Set: "n_4", Addr: a, Timeout: 30 * time.Minute}, enforcer.Learned{Set: "n_4", Addr: a, Timeout: time.Second})
		between("n_4", a, 29*time.Minute, 30*time.Minute)
		must(enforcer.Learned{Set: "n_4", Addr: a, Timeout: 10 * time.Minute}) // shorter is taken too
		between("n_4", a, 9*time.Minute, 10*time.Minute)
		must(enforcer.Learned{Set: "n_4", Addr: v4(2), Timeout: time.Millisecond})
		for timeLeft(t, n, "n_4", v4(2)) != 0 { // expires
			time.Sleep(time.Millisecond)
		}
		must(enforcer.Learned{Set: "n_4", Addr: v4(2), Timeout: time.Minute}) // and comes back
		between("n_4", v4(2), 50*time.Second, time.Minute)
	})
}

// TestLearnFull: N7, N9.
func TestLearnFull(t *testing.T) {
	bothRefreshes(t, func(t *testing.T, s *space, n *Nft) {
		roundTrip(t, n, learnedSets(2))
		var l []enforcer.Learned
		for i := range 2 {
			l = append(l, enforcer.Learned{Set: "n_4", Addr: v4(i), Timeout: time.Minute})
		}
		if err := n.Learn(l); err != nil {
			t.Fatal(err)
		}
		if err := n.Learn(l); err != nil { // renewing in a full set
			t.Errorf("renewing: %v", err)
		}
		err := n.Learn([]enforcer.Learned{{Set: "n_4", Addr: v4(9), Timeout: time.Minute}, {Set: "n_6", Addr: netip.MustParseAddr("2001:db8::9"), Timeout: time.Minute}})
		if !errors.Is(err, ErrSetFull) {
			t.Errorf("error %v", err)
		}
		if timeLeft(t, n, "n_6", netip.MustParseAddr("2001:db8::9")) == 0 {
			t.Error("a full set kept another from learning")
		}
	})
}

// TestLearnAfterLoss: tables went and came back without Apply.
func TestLearnAfterLoss(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	one := []enforcer.Learned{{Set: "n_4", Addr: v4(1), Timeout: time.Minute}}
	if err := n.Learn(one); err != nil {
		t.Errorf("before there is a table: %v", err)
	}
	roundTrip(t, n, learnedSets(2))
	if err := n.Learn(one); err != nil {
		t.Fatal(err)
	}
	s.run("", "nft", "flush", "ruleset")
	if err := n.Learn(one); err != nil {
		t.Errorf("without a table: %v", err)
	}
	s.run("table inet mudguard { set n_4 { type ipv4_addr; flags timeout; }; }\ntable bridge mudguard { set n_4 { type ipv4_addr; flags timeout; }; }", "nft", "-f", "-")
	n.noteUnknown() // as the next Apply would
	if err := n.Learn(one); err != nil {
		t.Error(err)
	}
	if timeLeft(t, n, "n_4", v4(1)) == 0 {
		t.Error("not learned")
	}
}

// TestExpiredElement: who leaves a set that times out may have gone by himself, and may come back for another time (N7).
func TestExpiredElement(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	with := func(comment string, timeout time.Duration) enforcer.Ruleset {
		set := &enforcer.Set{Name: "paused", Key: enforcer.TypeMAC, HasTTL: true, Elements: map[enforcer.Key]enforcer.Element{}}
		if timeout > 0 {
			set.Elements[macKey(1)] = enforcer.Element{Timeout: timeout, Comment: comment}
		}
		return enforcer.Ruleset{Inet: &enforcer.Table{Family: enforcer.Inet, Sets: map[string]*enforcer.Set{"paused": set}}}
	}
	first, again, none := with("first", 50*time.Millisecond), with("again", time.Hour), with("", 0)
	roundTrip(t, n, with("other", time.Hour))
	for _, change := range []struct{ from, to enforcer.Ruleset }{{with("other", time.Hour), first}, {first, again}, {again, first}, {first, none}} {
		if change.from.Inet == first.Inet {
			eventually(t, "the element times out", func() bool { return !strings.Contains(s.list(), "timeout") || !strings.Contains(s.list(), "first") })
		}
		if err := n.Apply(enforcer.Diff(change.from, change.to)); err != nil {
			t.Fatal(err)
		}
		have, err := n.Ruleset()
		if err != nil {
			t.Fatal(err)
		}
		for k, e := range have.Inet.Sets["paused"].Elements {
			if want := change.to.Inet.Sets["paused"].Elements[k]; e.Comment != want.Comment || e.Timeout > want.Timeout || e.Timeout == 0 {
				t.Errorf("the kernel has %+v, want %+v", e, want)
			}
		}
	}
}
