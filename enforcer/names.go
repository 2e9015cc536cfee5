package enforcer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Names keeps what the names of policies stand for: it reads DNS answers, and says which addresses go into which
// sets for how long. It is the one part of the engine that other goroutines use directly, since an answer is held while
// it works; it never waits for anything but its own lock.
type Names struct {
	mu      sync.Mutex
	refs    map[string]NameRef
	private map[string]bool // names whose private addresses are taken: the administrator's
	minTTL  time.Duration
	forbid  func(netip.Addr) bool               // addresses on our own networks; like private ones
	known   map[string]map[netip.Addr]time.Time // by set
	asked   map[netip.Addr]string               // what addresses were called in answers, for explanations
	order   []netip.Addr                        // of asked, oldest first
	lookups map[string]lookup
	notes   map[string]string // by name: why addresses of it were not taken
	failed  map[string]string // by name: why it cannot be resolved
}

type lookup struct {
	next  time.Time
	tries int
}

// maxAsked bounds the names kept for explanations only.
const maxAsked = 4096

// NewNames gives an empty Names.
func NewNames() *Names {
	return &Names{refs: map[string]NameRef{}, known: map[string]map[netip.Addr]time.Time{}, asked: map[netip.Addr]string{},
		lookups: map[string]lookup{}, notes: map[string]string{}, failed: map[string]string{}}
}

// Configure says how answers are judged: addresses are kept max(TTL, minTTL); names in private, or below one of them,
// may stand for private addresses and for those that own knows to be ours.
func (n *Names) Configure(minTTL time.Duration, private []string, own func(netip.Addr) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.minTTL, n.forbid, n.private = minTTL, own, map[string]bool{}
	for _, p := range private {
		n.private[canonical(strings.TrimPrefix(p, "."))] = true
	}
}

// Use sets the names that policies refer to now. What is known of others is forgotten.
func (n *Names) Use(refs []NameRef) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refs = make(map[string]NameRef, len(refs))
	keep := map[string]bool{}
	for _, r := range refs {
		old := n.refs[r.Name]
		n.refs[r.Name] = NameRef{Name: r.Name, V4: r.V4 || old.V4, V6: r.V6 || old.V6}
		keep[nameSet(r.Name)+"_4"], keep[nameSet(r.Name)+"_6"] = true, true
	}
	maps.DeleteFunc(n.known, func(set string, _ map[netip.Addr]time.Time) bool { return !keep[set] })
	maps.DeleteFunc(n.lookups, func(name string, _ lookup) bool { _, used := n.refs[name]; return !used })
	unused := func(name string, _ string) bool { _, used := n.refs[name]; return !used }
	maps.DeleteFunc(n.notes, unused)
	maps.DeleteFunc(n.failed, unused)
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Observe reads a DNS answer and gives what it teaches about the name that was asked for: the addresses at the end of its
// chain of CNAMEs (R9726-4.2-a). Everything else in the message is ignored, also what it says of other names: whoever
// answers for one name must not open another (T8).
func (n *Names) Observe(m *dns.Msg, now time.Time) []Learned {
	if m == nil || !m.Response || m.Rcode != dns.RcodeSuccess || len(m.Question) != 1 || m.Question[0].Qclass != dns.ClassINET {
		return nil
	}
	chain := cnames(m)
	var out []Learned
	n.mu.Lock()
	defer n.mu.Unlock()
	addrs := answers(m, chain[len(chain)-1])
	for _, a := range addrs {
		n.remember(a.addr, chain[0])
	}
	ref, used := n.refs[chain[0]]
	if !used {
		return nil
	}
	if len(addrs) > 0 {
		delete(n.notes, ref.Name)
	}
	for _, a := range addrs {
		if l, ok := n.take(ref, a, now); ok {
			out = append(out, l)
		}
	}
	return out
}

// cnames gives the names from the question along the CNAMEs of the answer; a loop ends it.
func cnames(m *dns.Msg) []string {
	next := map[string]string{}
	for _, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok {
			next[canonical(c.Hdr.Name)] = canonical(c.Target)
		}
	}
	chain := []string{canonical(m.Question[0].Name)}
	for len(chain) <= 16 {
		to, ok := next[chain[len(chain)-1]]
		if !ok || slices.Contains(chain, to) {
			break
		}
		chain = append(chain, to)
	}
	return chain
}

type answer struct {
	addr netip.Addr
	ttl  time.Duration
}

func answers(m *dns.Msg, name string) []answer {
	var out []answer
	for _, rr := range m.Answer {
		if canonical(rr.Header().Name) != name || rr.Header().Class != dns.ClassINET {
			continue
		}
		var ip []byte
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A.To4()
		case *dns.AAAA:
			ip = rr.AAAA.To16()
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, answer{a, time.Duration(rr.Header().Ttl) * time.Second})
		}
	}
	return out
}

// maxTTL bounds how long one answer opens an address.
const maxTTL = 24 * time.Hour

// take judges one address of a name.
func (n *Names) take(ref NameRef, a answer, now time.Time) (Learned, bool) {
	v6 := a.addr.Is6()
	if v6 && !ref.V6 || !v6 && !ref.V4 {
		return Learned{}, false // R8520-8-b
	}
	if why := n.refuse(ref.Name, a.addr); why != "" {
		n.notes[ref.Name] = fmt.Sprintf("%s stands for %s, %s", ref.Name, a.addr, why)
		return Learned{}, false
	}
	set := nameSet(ref.Name) + suffix(v6)
	known := n.known[set]
	if known == nil {
		known = map[netip.Addr]time.Time{}
		n.known[set] = known
	}
	ttl := min(max(a.ttl, n.minTTL), maxTTL)
	if len(known) >= manyAddrs {
		maps.DeleteFunc(known, func(_ netip.Addr, until time.Time) bool { return !until.After(now) })
	}
	if _, there := known[a.addr]; !there && len(known) >= MaxAddrsPerName {
		n.notes[ref.Name] = fmt.Sprintf("%s has more than %d addresses; those beyond are not opened", ref.Name, MaxAddrsPerName)
		return Learned{}, false
	}
	known[a.addr] = now.Add(ttl)
	if len(known) >= manyAddrs {
		n.notes[ref.Name] = fmt.Sprintf("%s has %d addresses; beyond %d none would be opened", ref.Name, len(known), MaxAddrsPerName)
	}
	return Learned{Set: set, Addr: a.addr, Timeout: ttl}, true
}

// manyAddrs is from where on somebody should know that a name has very many addresses (T10).
const manyAddrs = MaxAddrsPerName * 8 / 10

// Address ranges that are private or shared (RFC 1918, 6598, 4193) and the special ones that embed such.
var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("fec0::/10"),
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291 section 2.5.5.1, of no use to anybody
)

// embedded gives the IPv4 address that a translator or a tunnel makes of an IPv6 one.
func embedded(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// refuse says why an address is not taken for a name, or "" (R9726-ours-a, T9).
func (n *Names) refuse(name string, a netip.Addr) string {
	if v4, in := embedded(a); in {
		return n.refuse(name, v4)
	}
	if compatible.Contains(a) || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.Is4In6() ||
		a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) {
		return "which is no address of a server"
	}
	private := n.forbid != nil && n.forbid(a)
	for _, p := range privateRanges {
		private = private || p.Contains(a)
	}
	if private && !n.mayBePrivate(name) {
		return "a private address or our own; put the name into dns.private_names if that is meant"
	}
	return ""
}

func (n *Names) mayBePrivate(name string) bool {
	for name != "" {
		if n.private[name] {
			return true
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return false
}

func (n *Names) remember(a netip.Addr, name string) {
	if _, there := n.asked[a]; !there {
		if len(n.order) >= maxAsked {
			delete(n.asked, n.order[0])
			n.order = n.order[1:]
		}
		n.order = append(n.order, a)
	}
	n.asked[a] = name
}

// NameOf gives what an address was called in an answer, or "".
func (n *Names) NameOf(a netip.Addr) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[a]
}

// AddrOf gives an address that a name had in an answer, also of a name in no policy.
func (n *Names) AddrOf(name string) netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.order {
		if n.asked[a] == name {
			return a
		}
	}
	return netip.Addr{}
}

// Used says whether a policy names a name.
func (n *Names) Used(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, used := n.refs[name]
	return used
}

// Has says whether an address is in a learned set now.
func (n *Names) Has(set string, a netip.Addr, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[set][a].After(now)
}

// Elements gives what a set should hold now, for a set that is made anew.
func (n *Names) Elements(set string, now time.Time) map[Key]Element {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[Key]Element{}
	for a, until := range n.known[set] {
		if left := until.Sub(now); left >= time.Second {
			out[Key{Addr: a}] = Element{Timeout: left}
		}
	}
	return out
}

// Restore takes what the kernel still holds, after a restart.
func (n *Names) Restore(r Ruleset, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range r.Tables() {
		for name, s := range t.Sets {
			if !strings.HasPrefix(name, "n_") {
				continue
			}
			for k, e := range s.Elements {
				if n.known[name] == nil {
					n.known[name] = map[netip.Addr]time.Time{}
				}
				n.known[name][k.Addr] = now.Add(e.Timeout)
			}
		}
	}
}

// Addrs gives the addresses of a name, in order, that are open now.
func (n *Names) Addrs(name string, now time.Time) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []netip.Addr
	for _, v6 := range []bool{false, true} {
		for a, until := range n.known[nameSet(canonical(name))+suffix(v6)] {
			if until.After(now) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// Until says when an address of a name runs out, if no answer renews it.
func (n *Names) Until(name string, a netip.Addr) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[nameSet(canonical(name))+suffix(a.Is6())][a]
}

// Notes gives, in order, what was wrong with the answers for names.
func (n *Names) Notes() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append(slices.Sorted(maps.Values(n.notes)), slices.Sorted(maps.Values(n.failed))...)
}

// Due gives up to limit names that should be looked up now: never asked, or about to expire. Each name given is put off,
// so that a resolver that does not answer is asked ever more rarely.
func (n *Names) Due(now time.Time, limit int) []NameRef {
	n.mu.Lock()
	defer n.mu.Unlock()
	var due []NameRef
	for _, ref := range n.refs {
		if l := n.lookups[ref.Name]; !l.next.After(now) {
			due = append(due, ref)
		}
	}
	slices.SortFunc(due, func(a, b NameRef) int {
		return cmp.Or(n.lookups[a.Name].next.Compare(n.lookups[b.Name].next), strings.Compare(a.Name, b.Name))
	})
	due = due[:min(len(due), limit)]
	for _, ref := range due {
		l := n.lookups[ref.Name]
		l.next = now.Add(min(time.Second<<min(l.tries, 6), time.Minute))
		l.tries++
		n.lookups[ref.Name] = l
	}
	return due
}

// LookedUp says that a look-up of a name ended; it is next due before what is known runs out.
func (n *Names) LookedUp(name string, err error, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ref, used := n.refs[name]
	if !used {
		return
	}
	l := n.lookups[name]
	soonest := n.soonest(ref, now)
	switch {
	case err != nil && soonest.IsZero():
		n.failed[name] = fmt.Sprintf("%s cannot be resolved: %v", name, err)
	case err == nil && !soonest.IsZero():
		delete(n.failed, name)
		l.tries = 0
		l.next = now.Add(max(soonest.Sub(now)/2, 5*time.Second))
	}
	n.lookups[name] = l
}

// soonest is when the first address of a name runs out; zero where none is known.
func (n *Names) soonest(ref NameRef, now time.Time) time.Time {
	var first time.Time
	for _, v6 := range []bool{false, true} {
		for _, until := range n.known[nameSet(ref.Name)+suffix(v6)] {
			if until.After(now) && (first.IsZero() || until.Before(first)) {
				first = until
			}
		}
	}
	return first
}
