package enforcer_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

const cloud = "cloud.example"

// use gives Names for the given references; cloud.example in both families where there are none.
func use(refs ...enforcer.NameRef) *enforcer.Names {
	n := enforcer.NewNames()
	site := enforcertest.Site(enforcer.BridgeMark)
	n.Configure(time.Minute, []string{"home.example", ".lan.example"}, site.OnLAN)
	if len(refs) == 0 {
		refs = []enforcer.NameRef{{Name: cloud, V4: true, V6: true}}
	}
	n.Use(refs)
	return n
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// message is an answer to a question for name, with records as text.
func message(t testing.TB, name string, records ...string) *dns.Msg {
	t.Helper()
	m := enforcertest.Answer(name)
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func learned(list []enforcer.Learned) string {
	var out []string
	for _, l := range list {
		out = append(out, l.Addr.String())
	}
	return strings.Join(out, " ")
}

// TestObserve: R9726-4.2-a, R8520-8-b, T8: only what the question leads to.
func TestObserve(t *testing.T) {
	a := cloud + ". 300 IN A 203.0.113.10"
	for _, c := range []struct {
		name, question string
		records        []string
		want           string
	}{
		{"an address", cloud, []string{a}, "203.0.113.10"},
		{"both families", cloud, []string{a, cloud + ". 300 IN AAAA 2001:db8::1"}, "203.0.113.10 2001:db8::1"},
		{"another case, as resolvers with 0x20 send it", "cLoUd.ExAmPlE", []string{"ClOuD.example. 300 IN A 203.0.113.10"}, "203.0.113.10"},
		{"another name", "other.example", []string{"other.example. 300 IN A 203.0.113.10"}, ""},
		{"the name in an answer to another question", "other.example", []string{a}, ""},
		{"another name in an answer", cloud, []string{a, "evil.example. 300 IN A 203.0.113.66"}, "203.0.113.10"},
		{"a subdomain", "x." + cloud, []string{"x.cloud.example. 300 IN A 203.0.113.66"}, ""},
		{"a chain of CNAMEs", cloud, []string{cloud + ". 300 IN CNAME a.cdn.example.", "A.cdn.example. 300 IN CNAME b.cdn.example.",
			"b.cdn.example. 300 IN A 203.0.113.20"}, "203.0.113.20"},
		{"a chain in another order", cloud, []string{"b.cdn.example. 300 IN A 203.0.113.20", "a.cdn.example. 300 IN CNAME b.cdn.example.",
			cloud + ". 300 IN CNAME a.cdn.example."}, "203.0.113.20"},
		{"an address in the middle of a chain", cloud, []string{cloud + ". 300 IN CNAME a.cdn.example.", a,
			"a.cdn.example. 300 IN A 203.0.113.20"}, "203.0.113.20"},
		{"T8 a chain that another name's owner makes", "evil.example", []string{"evil.example. 300 IN CNAME cloud.example.",
			"cloud.example. 300 IN A 203.0.113.66"}, ""},
		{"a loop of two", cloud, []string{cloud + ". 300 IN CNAME a.example.", "a.example. 300 IN CNAME cloud.example."}, ""},
		{"a loop of one", cloud, []string{cloud + ". 300 IN CNAME cloud.example.", a}, "203.0.113.10"},
		{"a chain that leads nowhere", cloud, []string{cloud + ". 300 IN CNAME a.example."}, ""},
		{"another class", cloud, []string{cloud + ". 300 CH A 203.0.113.10"}, ""},
		{"another type", cloud, []string{cloud + `. 300 IN TXT "203.0.113.10"`}, ""},
		{"a name with a dot in a label", `cloud\.example`, []string{`cloud\.example. 300 IN A 203.0.113.66`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := learned(use().Observe(message(t, c.question, c.records...), noon)); got != c.want {
				t.Errorf("learned %q, want %q", got, c.want)
			}
		})
	}
}

func TestLongChainEnds(t *testing.T) {
	m := message(t, cloud, cloud+". 300 IN CNAME c0.example.")
	for i := range 1000 {
		m.Answer = append(m.Answer, message(t, cloud, fmt.Sprintf("c%d.example. 300 IN CNAME c%d.example.", i, i+1)).Answer...)
	}
	m.Answer = append(m.Answer, enforcertest.Record("c1000.example", 300, addr("203.0.113.20")))
	if got := learned(use().Observe(m, noon)); got != "" {
		t.Errorf("learned %q at the end of a thousand CNAMEs", got)
	}
}

// TestFamilies: R8520-8-b. A name that a profile has under IPv4 only opens no IPv6, and the other way round.
func TestFamilies(t *testing.T) {
	m := message(t, cloud, cloud+". 300 IN A 203.0.113.10", cloud+". 300 IN AAAA 2001:db8::1")
	if got := learned(use(enforcer.NameRef{Name: cloud, V4: true}).Observe(m, noon)); got != "203.0.113.10" {
		t.Errorf("IPv4 only: %q", got)
	}
	if got := learned(use(enforcer.NameRef{Name: cloud, V6: true}).Observe(m, noon)); got != "2001:db8::1" {
		t.Errorf("IPv6 only: %q", got)
	}
	both := use(enforcer.NameRef{Name: cloud, V4: true}, enforcer.NameRef{Name: cloud, V6: true}) // of two policies
	if got := learned(both.Observe(m, noon)); got != "203.0.113.10 2001:db8::1" {
		t.Errorf("of two policies: %q", got)
	}
}

// TestMessagesThatTeachNothing: T8.
func TestMessagesThatTeachNothing(t *testing.T) {
	for name, change := range map[string]func(*dns.Msg){
		"a question":      func(m *dns.Msg) { m.Response = false },
		"no question":     func(m *dns.Msg) { m.Question = nil },
		"two questions":   func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) },
		"no such name":    func(m *dns.Msg) { m.Rcode = dns.RcodeNameError },
		"server failure":  func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure },
		"another class":   func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS },
		"additional only": func(m *dns.Msg) { m.Extra, m.Answer = m.Answer, nil },
		"authority only":  func(m *dns.Msg) { m.Ns, m.Answer = m.Answer, nil },
	} {
		m := enforcertest.Answer(cloud, addr("203.0.113.10"))
		change(m)
		if got := use().Observe(m, noon); len(got) > 0 {
			t.Errorf("%s: learned %v", name, got)
		}
	}
	if got := use().Observe(nil, noon); len(got) > 0 {
		t.Error("learned from nothing")
	}
}

// badAddrs are addresses that no public name may open (T9, R9726-ours-a).
func badAddrs() []string {
	return []string{"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.168.77.50",
		"169.254.169.254", "100.64.0.1", "224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fe80::1", "fc00::1", "fd77::1", "fd77::50", "ff02::fb", "::ffff:203.0.113.10", "::ffff:192.168.1.1",
		"64:ff9b:1::1", "64:ff9b::c0a8:101", "64:ff9b::7f00:1", "2002:c0a8:101::1", "fec0::1", "::192.168.1.1"}
}

// TestRebinding: T9, T-40. Names of the Internet never open what is near.
func TestRebinding(t *testing.T) {
	for _, s := range badAddrs() {
		n := use()
		if got := n.Observe(enforcertest.Answer(cloud, addr(s), addr("203.0.113.10")), noon); learned(got) != "203.0.113.10" {
			t.Errorf("%s: learned %q", s, learned(got))
		}
		if notes := n.Notes(); len(notes) != 1 || !strings.Contains(notes[0], cloud) || !strings.Contains(notes[0], addr(s).String()) {
			t.Errorf("%s: notes %q", s, notes)
		}
		if n.Has(enforcer.NameSet(cloud)+"_4", addr(s), noon) {
			t.Errorf("%s is open", s)
		}
	}
	n := use()
	n.Observe(enforcertest.Answer(cloud, addr("192.168.1.1")), noon)
	want := "cloud.example stands for 192.168.1.1, a private address or our own; put the name into dns.private_names if that is meant"
	if got := n.Notes(); len(got) != 1 || got[0] != want {
		t.Errorf("note %q, want %q", got, want)
	}
}

// TestPrivateNames: dns.private_names are for private addresses, and for nothing worse.
func TestPrivateNames(t *testing.T) {
	var refs []enforcer.NameRef
	names := []string{"home.example", "nas.home.example", "a.b.lan.example", "lan.example", "nothome.example", "home.example.evil.example"}
	for _, name := range names {
		refs = append(refs, enforcer.NameRef{Name: name, V4: true, V6: true})
	}
	n := use(refs...)
	for i, name := range names {
		got := learned(n.Observe(enforcertest.Answer(name, addr("10.0.0.1"), addr("192.168.77.50"), addr("fd77::50")), noon))
		want := ""
		if i < 4 {
			want = "10.0.0.1 192.168.77.50 fd77::50"
		}
		if got != want {
			t.Errorf("%s: learned %q, want %q", name, got, want)
		}
		if got := learned(n.Observe(enforcertest.Answer(name, addr("127.0.0.1"), addr("::1"), addr("224.0.0.1"), addr("169.254.1.1")), noon)); got != "" {
			t.Errorf("%s: learned %q", name, got)
		}
	}
}

// TestTTL: R9726-3.1-e. An address is open for max(TTL, min_ttl), and never for more than a day.
func TestTTL(t *testing.T) {
	for ttl, want := range map[uint32]time.Duration{0: time.Minute, 59: time.Minute, 60: time.Minute, 300: 5 * time.Minute,
		86400: 24 * time.Hour, 1 << 31: 24 * time.Hour} {
		n := use()
		m := enforcertest.Answer(cloud)
		m.Answer = append(m.Answer, enforcertest.Record(cloud, ttl, addr("203.0.113.10")))
		got := n.Observe(m, noon)
		if len(got) != 1 || got[0].Timeout != want {
			t.Fatalf("TTL %d: %v, want %s", ttl, got, want)
		}
		set := got[0].Set
		if !n.Has(set, got[0].Addr, noon.Add(want-time.Second)) || n.Has(set, got[0].Addr, noon.Add(want)) {
			t.Errorf("TTL %d: not open for %s", ttl, want)
		}
		left := n.Elements(set, noon.Add(10*time.Second))
		if left[enforcer.Key{Addr: got[0].Addr}].Timeout != want-10*time.Second {
			t.Errorf("TTL %d: %v left after ten seconds", ttl, left)
		}
		if len(n.Elements(set, noon.Add(want))) != 0 || len(n.Addrs(cloud, noon.Add(want))) != 0 {
			t.Errorf("TTL %d: still there at its end", ttl)
		}
	}
}

// TestManyAddresses: T10, R9726-3.1-d: what several answers say adds up. A name with thousands of addresses is bounded, and said to be.
func TestManyAddresses(t *testing.T) {
	n := use()
	total := 0
	for i := range 5000 {
		if notes := strings.Join(n.Notes(), " "); i == 200 && notes != "" || i == 210 && !strings.Contains(notes, "cloud.example has 210 addresses; beyond 256") {
			t.Errorf("after %d addresses: %q", i, notes)
		}
		total += len(n.Observe(enforcertest.Answer(cloud, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})), noon))
	}
	if got := len(n.Addrs(cloud, noon)); total != enforcer.MaxAddrsPerName || got != enforcer.MaxAddrsPerName {
		t.Errorf("learned %d, %d open, want %d", total, got, enforcer.MaxAddrsPerName)
	}
	want := "cloud.example has more than 256 addresses; those beyond are not opened"
	if notes := n.Notes(); len(notes) != 1 || notes[0] != want {
		t.Errorf("notes %q", notes)
	}
	if got := n.Observe(enforcertest.Answer(cloud, addr("203.0.0.1")), noon); len(got) != 1 {
		t.Error("an address that is open already is not renewed")
	}
	later := noon.Add(2 * time.Hour)
	if got := n.Observe(enforcertest.Answer(cloud, addr("198.51.100.1")), later); len(got) != 1 {
		t.Error("no room once the others ran out")
	}
}

// TestNamesForExplanations: what is kept to explain denials is bounded too.
func TestNamesForExplanations(t *testing.T) {
	n := use()
	for i := range enforcer.MaxAsked + 10 {
		n.Observe(enforcertest.Answer(fmt.Sprintf("n%d.example", i), netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})), noon)
	}
	if got := n.NameOf(addr("198.51.0.0")); got != "" {
		t.Errorf("the oldest is still known as %q", got)
	}
	if got := n.NameOf(addr("198.51.0.255")); got != "n255.example" {
		t.Errorf("a younger one is %q", got)
	}
}

// TestUseForgets: what no policy refers to any more is gone.
func TestUseForgets(t *testing.T) {
	n := use()
	n.Observe(enforcertest.Answer(cloud, addr("203.0.113.10"), addr("192.168.1.1")), noon)
	n.LookedUp(cloud, errors.New("timeout"), noon)
	n.Use(nil)
	if len(n.Addrs(cloud, noon))+len(n.Notes())+len(n.Due(noon, 10)) > 0 {
		t.Error("something of it is left")
	}
}

// TestDue: R9726-3.1-b. Look-ups repeat before addresses run out, and a dead resolver is asked ever more rarely.
func TestDue(t *testing.T) {
	n := use(enforcer.NameRef{Name: "b.example", V4: true}, enforcer.NameRef{Name: "a.example", V4: true}, enforcer.NameRef{Name: "c.example", V4: true})
	if got := n.Due(noon, 2); len(got) != 2 || got[0].Name != "a.example" || got[1].Name != "b.example" {
		t.Errorf("due %v", got)
	}
	if got := n.Due(noon, 2); len(got) != 1 || got[0].Name != "c.example" {
		t.Errorf("then %v", got)
	}
	n.Observe(enforcertest.Answer("a.example", addr("203.0.113.10")), noon) // for an hour
	n.LookedUp("a.example", nil, noon)
	n.LookedUp("nobody.example", nil, noon)
	count := map[string]int{}
	for at := noon; at.Before(noon.Add(50 * time.Minute)); at = at.Add(time.Second) {
		for _, ref := range n.Due(at, 10) {
			count[ref.Name]++
			if ref.Name != "a.example" {
				n.LookedUp(ref.Name, errors.New("timeout"), at)
			} else {
				n.Observe(enforcertest.Answer("a.example", addr("203.0.113.10")), at)
				n.LookedUp(ref.Name, nil, at)
			}
		}
	}
	if count["a.example"] != 1 {
		t.Errorf("a name with an hour to live was looked up %d times in 50 minutes", count["a.example"])
	}
	if b := count["b.example"]; b < 45 || b > 60 {
		t.Errorf("a name that cannot be resolved was looked up %d times in 50 minutes", b)
	}
	if notes := strings.Join(n.Notes(), "\n"); notes != "b.example cannot be resolved: timeout\nc.example cannot be resolved: timeout" {
		t.Errorf("notes %q", notes)
	}
}

// TestFailedLookUpClosesNothing: F9. While the resolver is dead, what was learned stays open for its time.
func TestFailedLookUpClosesNothing(t *testing.T) {
	n := use()
	learned := n.Observe(enforcertest.Answer(cloud, addr("203.0.113.10")), noon)
	if len(learned) != 1 {
		t.Fatalf("learned %v", learned)
	}
	end := noon.Add(learned[0].Timeout)
	for at := noon; at.Before(end); at = at.Add(time.Minute) {
		n.LookedUp(cloud, errors.New("timeout"), at)
		if !n.Has(learned[0].Set, learned[0].Addr, at) {
			t.Fatalf("closed after %s", at.Sub(noon))
		}
	}
}

// TestShortTTL: a name whose addresses live for a moment is not looked up without pause.
func TestShortTTL(t *testing.T) {
	n := enforcer.NewNames()
	n.Use([]enforcer.NameRef{{Name: cloud, V4: true}})
	lookups := 0
	for at := noon; at.Before(noon.Add(time.Minute)); at = at.Add(100 * time.Millisecond) {
		for range n.Due(at, 1) {
			lookups++
			m := enforcertest.Answer(cloud)
			m.Answer = append(m.Answer, enforcertest.Record(cloud, 1, addr("203.0.113.10")))
			n.Observe(m, at)
			n.LookedUp(cloud, nil, at)
		}
	}
	if lookups > 13 {
		t.Errorf("%d look-ups in a minute", lookups)
	}
}

// FuzzObserve: no message makes it panic, and what it learns is always acceptable.
func FuzzObserve(f *testing.F) {
	for _, records := range [][]string{{cloud + ". 300 IN A 203.0.113.10"}, {cloud + ". 1 IN CNAME a.example.", "a.example. 2 IN AAAA 2001:db8::1"},
		{cloud + ". 300 IN A 192.168.1.1"}, {cloud + ". 300 IN CNAME cloud.example."}, {cloud + ". 300 IN AAAA ::ffff:127.0.0.1"}} {
		b, err := message(f, cloud, records...).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m dns.Msg
		if m.Unpack(b) != nil {
			return
		}
		n := use()
		for _, l := range n.Observe(&m, noon) {
			if l.Timeout < time.Minute || l.Timeout > 24*time.Hour || !strings.HasPrefix(l.Set, enforcer.NameSet(cloud)) {
				t.Errorf("learned %+v", l)
			}
			a := l.Addr
			if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is4In6() || a.Is6() != strings.HasSuffix(l.Set, "_6") {
				t.Errorf("learned %s", a)
			}
		}
	})
}
