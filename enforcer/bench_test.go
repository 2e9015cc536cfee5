package enforcer_test

import (
	"fmt"
	"net/netip"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// thousand is a site with 1 000 devices of 10 models with 20 ACEs each.
func thousand(b *testing.B) (enforcer.Site, []enforcer.Member) {
	b.Helper()
	site := enforcertest.Site(enforcer.BridgeConntrack)
	var models []*enforcer.Compiled
	for m := range 10 {
		p := enforcertest.Profile{URL: fmt.Sprint("https://mud.example/", m), Mfg: "M", Model: fmt.Sprint(m)}
		for i := range 20 {
			p.From = append(p.From, enforcertest.ACE{Name: fmt.Sprintf("n%d.m%d.example", i, m), Proto: "tcp", Remote: enforcertest.Eq(443)})
		}
		models = append(models, enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: parse(b, p.JSON())}, &site))
	}
	var members []enforcer.Member
	for i := range 1000 {
		m := member(&site, i, models[i%10])
		m.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		members = append(members, m)
	}
	return site, members
}

func BenchmarkBuild1000(b *testing.B) {
	site, members := thousand(b)
	b.ReportAllocs()
	for b.Loop() {
		enforcer.Build(&site, members, nil, nil)
	}
}

// BenchmarkDiff1000 is the change when one of a thousand devices goes to another policy.
func BenchmarkDiff1000(b *testing.B) {
	site, members := thousand(b)
	have := enforcer.Build(&site, members, nil, nil)
	members[500].Policy = members[501].Policy
	want := enforcer.Build(&site, members, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if enforcer.Diff(have, want).Empty() {
			b.Fatal("no change")
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	site := enforcertest.Site(enforcer.BridgeConntrack)
	p := sensor(b)
	b.ReportAllocs()
	for b.Loop() {
		enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: p}, &site)
	}
}

func BenchmarkObserve(b *testing.B) {
	n := use()
	m := enforcertest.Answer(cloud, addr("203.0.113.10"), addr("203.0.113.11"), addr("2001:db8::1"))
	b.ReportAllocs()
	for b.Loop() {
		if len(n.Observe(m, noon)) != 3 {
			b.Fatal("not learned")
		}
	}
}

// BenchmarkEvaluate is a packet through a thousand devices' ruleset in Memory.
func BenchmarkEvaluate(b *testing.B) {
	site, members := thousand(b)
	r := enforcer.Build(&site, members, nil, nil)
	k := fuzzPacket(6, 0xcb007142, 443, 40000, false)
	b.ReportAllocs()
	for b.Loop() {
		enforcer.Evaluate(r, &site, k, nil)
	}
}
