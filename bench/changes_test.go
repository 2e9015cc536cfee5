package bench

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netns"

	"mudguard/enforcer"
)

// changeFigures measures changes of what is in the kernel.
func changeFigures(b *testing.B, p *page) {
	learnFigures(b, p)
	alone, aloneTail := changeOne(b, "c0", 0)
	among, amongTail := changeOne(b, "c1", 1000)
	reload := reloads(b, "c2", linear(1000, 1), 3)
	p.add(figure{"P6", "a device of 20 ACEs comes, 1,000 others, p99", "ms", millis(amongTail), "no others", millis(aloneTail), aim{itself, 10}},
		figure{"P6", "the same, p50", "ms", millis(among), "no others", millis(alone), aim{}},
		figure{"P6", "the same, p50", "ms", millis(among), "delete all and reload 20,000 rules with nft", millis(reload), aim{}})
	ruleset := linear(250, 16)
	theirs := reloads(b, "c3", ruleset, 1)
	p.add(figure{"P7", "250 devices of 50 models, 20 ACEs and 16 addresses each, from nothing", "ms", millis(coldApply(b, "c4", models)),
		"80,000 rules with nft", millis(theirs), aim{itself, 500}},
		figure{"P7", "the same, all of different models", "ms", millis(coldApply(b, "c5", 250)), "80,000 rules with nft", millis(theirs), aim{itself, 500}})
	p.add(figure{"P9", "memory of the kernel for a device, 1,000 devices of 50 models", "KiB", kernelMemory(b), "", 0, aim{itself, 32}})
}

// learnFigures: one address into a set of both tables that holds 10 000, and into an interval set as others use.
func learnFigures(b *testing.B, p *page) {
	const filled, tries = 10_000, 3000
	n := newLab(b, "l").nft(b)
	if err := n.Apply(enforcer.Diff(enforcer.Ruleset{}, enforcer.Ruleset{Inet: bigSet(enforcer.Inet), Bridge: bigSet(enforcer.Bridge)})); err != nil {
		b.Fatal(err)
	}
	var all []enforcer.Learned
	for i := range filled + tries {
		all = append(all, enforcer.Learned{Set: "n_4", Addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Timeout: time.Hour})
	}
	for chunk := range slices.Chunk(all[:filled], 500) {
		if err := n.Learn(chunk); err != nil {
			b.Fatal(err)
		}
	}
	ours := timed(b, tries, func(i int) error { return n.Learn(all[filled+i : filled+i+1]) })
	theirs := intervals(b, filled, 300)
	p.add(figure{"P5", "one address into both tables, 10,000 there, p99", "ms", millis(quantile(ours, 0.99)), "an interval set", millis(quantile(theirs, 0.99)), aim{itself, 1}},
		figure{"P5", "the same, p50", "ms", millis(quantile(ours, 0.5)), "an interval set", millis(quantile(theirs, 0.5)), aim{}})
}

func bigSet(f enforcer.TableFamily) *enforcer.Table {
	return &enforcer.Table{Family: f, Sets: map[string]*enforcer.Set{"n_4": {Name: "n_4", Key: enforcer.TypeIPv4, HasTTL: true,
		Timeout: time.Hour, Size: 20_000, Learned: true}}}
}

// timed measures each of some tries.
func timed(b *testing.B, tries int, f func(int) error) []time.Duration {
	b.Helper()
	var out []time.Duration
	for i := range tries {
		start := time.Now()
		if err := f(i); err != nil {
			b.Fatal(err)
		}
		out = append(out, time.Since(start))
	}
	return out
}

// intervals adds addresses to a set of ranges, one at a time.
func intervals(b *testing.B, filled, tries int) []time.Duration {
	b.Helper()
	l := newLab(b, "i")
	ns, err := netns.GetFromName(l.gw)
	if err != nil {
		b.Fatal(err)
	}
	defer ns.Close()
	c, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(int(ns)))
	if err != nil {
		b.Fatal(err)
	}
	defer c.CloseLasting()
	set := &nftables.Set{Table: c.AddTable(&nftables.Table{Name: "t", Family: nftables.TableFamilyINet}), Name: "s", KeyType: nftables.TypeIPAddr, Interval: true}
	add := func(i int) error {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 14), byte(i >> 6), byte(i << 2)})
		return c.SetAddElements(set, []nftables.SetElement{{Key: a.AsSlice()}, {Key: a.Next().AsSlice(), IntervalEnd: true}})
	}
	if err := c.AddSet(set, nil); err != nil {
		b.Fatal(err)
	}
	for i := range filled {
		if err := add(i); err != nil {
			b.Fatal(err)
		}
		if i%200 == 199 {
			if err := c.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	return timed(b, tries, func(i int) error {
		if err := add(filled + i); err != nil {
			return err
		}
		return c.Flush()
	})
}

// changeOne adds a device of a model of its own next to others, and takes it away again, which is not measured.
func changeOne(b *testing.B, name string, others int) (p50, p99 time.Duration) {
	b.Helper()
	n, s := newLab(b, name).nft(b), site(enforcer.QueueNone)
	have := house(b, s, others, models, 1)
	if err := n.Apply(enforcer.Diff(enforcer.Ruleset{}, have)); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	want := withOneMore(b, s, others)
	for range 100 {
		took = append(took, timed(b, 1, func(int) error { return n.Apply(enforcer.Diff(have, want)) })...)
		if err := n.Apply(enforcer.Diff(want, have)); err != nil {
			b.Fatal(err)
		}
	}
	return quantile(took, 0.5), quantile(took, 0.99)
}

func withOneMore(b *testing.B, s *enforcer.Site, others int) enforcer.Ruleset {
	members := members(b, s, others, models)
	own := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: profile(b, models)}, s)
	return enforcer.Build(s, append(members, enforcer.Member{MAC: mac(others), Label: "new", Policy: own}), nil, known(1))
}

// reloads gives the best time of nft for a ruleset that replaces the one before.
func reloads(b *testing.B, name, ruleset string, times int) time.Duration {
	l := newLab(b, name)
	l.reload(b, ruleset)
	return slices.Min(timed(b, times, func(int) error { l.reload(b, ruleset); return nil }))
}

// coldApply loads everything in one transaction.
func coldApply(b *testing.B, name string, models int) time.Duration {
	n := newLab(b, name).nft(b)
	want := house(b, site(enforcer.QueueNone), 250, models, 16)
	var took []time.Duration
	for range 3 {
		took = append(took, timed(b, 1, func(int) error { return n.Apply(enforcer.Diff(enforcer.Ruleset{}, want)) })...)
		if err := n.Apply(enforcer.Diff(want, enforcer.Ruleset{})); err != nil {
			b.Fatal(err)
		}
	}
	return slices.Min(took)
}

// kernelMemory is what the kernel's own memory grows by for each of many devices, in KiB.
func kernelMemory(b *testing.B) float64 {
	l := newLab(b, "m")
	before := kernelKiB(b)
	l.enforce(b, 1000)
	return float64(kernelKiB(b)-before) / 1000
}

func kernelKiB(b *testing.B) (sum int) {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); f[0] == "Slab:" || f[0] == "Percpu:" || f[0] == "VmallocUsed:" {
			kib, err := strconv.Atoi(f[1])
			if err != nil {
				b.Fatal(fmt.Errorf("%s: %w", line, err))
			}
			sum += kib
		}
	}
	return sum
}
