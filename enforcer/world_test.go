package enforcer_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

// fakeFetcher notes what is asked of it; the test gives the outcomes.
type fakeFetcher struct {
	asked    []string
	given    map[string]enforcer.Verified // outcomes, by hash
	cache    map[mud.URL]enforcer.Verified
	anew     error           // why what is in the cache is refused when it is judged anew
	approved map[string]bool // needed for files of the cache that are listed in unsigned
	unsigned map[string]bool
}

func (f *fakeFetcher) Submit(u mud.URL) bool {
	f.asked = append(f.asked, u.String())
	return true
}

// Keep does as the real one: what was only offered does not come back after a restart.
func (f *fakeFetcher) Keep(u mud.URL, sha256 string) {
	if doc, ok := f.given[sha256]; ok {
		f.cache[u] = doc
	}
}

func (f *fakeFetcher) Load(u mud.URL, anew bool) (enforcer.Verified, error) {
	if anew && f.anew != nil {
		return enforcer.Verified{}, f.anew
	}
	doc, ok := f.cache[u]
	doc.Provisional = doc.Provisional && !anew
	if !ok || f.unsigned[doc.SHA256] && !f.approved[doc.SHA256] {
		return enforcer.Verified{}, errors.New("not in the cache")
	}
	return doc, nil
}

func (f *fakeFetcher) Approve(_ mud.URL, sha256 string, yes bool) { f.approved[sha256] = yes }

// heldErr is a file that only the administrator may let be used.
type heldErr string

func (h heldErr) Error() string        { return "the file is not signed" }
func (h heldErr) Held() (string, bool) { return string(h), true }

// world is an engine with everything around it.
type world struct {
	t       *testing.T
	now     time.Time
	kernel  *enforcer.Memory
	applied []enforcer.Delta
	refuse  error // of the kernel
	fetcher *fakeFetcher
	saved   [][]byte
	log     strings.Builder
	counts  func(enforcer.TableFamily, string) ([]enforcer.Count, error)
	diskErr error
	record  func([]enforcer.Record) error
	names   *enforcer.Names
	news    []enforcer.News
	cfg     enforcer.Config
	site    enforcer.Site
	e       *enforcer.Engine
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), kernel: &enforcer.Memory{}, site: enforcertest.Site(enforcer.BridgeMark),
		fetcher: &fakeFetcher{given: map[string]enforcer.Verified{}, cache: map[mud.URL]enforcer.Verified{}, approved: map[string]bool{}, unsigned: map[string]bool{}}}
	w.site.Controllers = nil // the engine's own defaults
	w.kernel.Fail = func(d enforcer.Delta) error {
		w.applied = append(w.applied, d)
		return w.refuse
	}
	return w
}

// start makes the engine, from what was saved last.
func (w *world) start() *world {
	w.t.Helper()
	s := enforcer.State{Lost: len(w.saved) == 0}
	if len(w.saved) > 0 {
		if err := json.Unmarshal(w.saved[len(w.saved)-1], &s); err != nil {
			w.t.Fatal(err)
		}
	}
	w.names = enforcer.NewNames()
	w.names.Configure(time.Minute, nil, w.site.OnLAN)
	w.e = enforcer.New(w.cfg, w.site, s, enforcer.Deps{Kernel: w.kernel, Fetcher: w.fetcher, Save: w.save, Names: w.names,
		Now: func() time.Time { return w.now }, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Counts: w.counts, Record: w.record,
		Tell:    func(n enforcer.News) { w.news = append(w.news, n) },
		Backoff: func(try int) time.Duration { return time.Minute << min(try, 5) }})
	if err := w.e.Start(); err != nil {
		w.t.Fatal(err)
	}
	return w
}

func (w *world) save(s enforcer.State) error {
	if w.diskErr != nil {
		return w.diskErr
	}
	b, err := json.Marshal(s)
	w.saved = append(w.saved, b)
	return err
}

func (w *world) sync() {
	w.t.Helper()
	if err := w.e.Sync(); err != nil {
		w.t.Fatal(err)
	}
}

// sight is a device that announces a URL ("" for none) and has its lease.
func (w *world) sight(host, url string) *enforcer.Device {
	w.t.Helper()
	h := enforcertest.HostNamed(host)
	return w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Source: dhcp.SourceDHCPv4, Interface: enforcertest.LAN, Addr: h.V4, Hostname: host, URL: url})
}

func (w *world) hear(s dhcp.Sighting) *enforcer.Device {
	w.t.Helper()
	w.e.Sighted(s)
	w.sync()
	d, _ := w.e.Device(s.MAC)
	return d
}

// verified is a profile with one declared name, as the fetcher hands it over.
func verified(t testing.TB, url, sha, name string) enforcer.Verified {
	t.Helper()
	p := parse(t, enforcertest.Profile{URL: url, Mfg: "Maker", Model: sha,
		From: []enforcertest.ACE{{Name: name, Proto: "tcp", Remote: enforcertest.Eq(443)}}}.JSON())
	return enforcer.Verified{URL: p.URL, SHA256: sha, Profile: *p, NextRefresh: time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC)}
}

// fetched gives the outcome of a fetch.
func (w *world) fetched(doc enforcer.Verified, err error) {
	w.t.Helper()
	if err == nil {
		w.fetcher.given[doc.SHA256] = doc
	}
	w.e.Fetched(doc.URL, doc, err)
	w.sync()
}

// enforced is a device whose profile is in force.
func (w *world) enforced(host, url string) *enforcer.Device {
	w.t.Helper()
	d := w.sight(host, url)
	w.fetched(verified(w.t, url, "sha-1", "cloud.example"), nil)
	w.want(d, enforcer.StatusEnforced)
	return d
}

func (w *world) want(d *enforcer.Device, s enforcer.Status) {
	w.t.Helper()
	if d == nil {
		w.t.Fatal("there is no such device")
	}
	if got := w.e.Judge(d); got.Status != s {
		w.t.Errorf("state %s (%s), want %s", got.Status, got.Reason, s)
	}
}

func (w *world) text() string {
	w.t.Helper()
	r, err := w.kernel.Ruleset()
	if err != nil {
		w.t.Fatal(err)
	}
	return enforcer.Text(r)
}

// chain is where the kernel sends what comes from a host; "" where it is under no policy.
func (w *world) chain(host string) string {
	w.t.Helper()
	r, err := w.kernel.Ruleset()
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Inet.Sets["from_device"].Elements[enforcer.Key{MAC: enforcertest.HostNamed(host).MAC}].Verdict.Chain
}

// can says whether the kernel lets a packet of a new flow out.
func (w *world) can(host, to, proto string, dport uint16) bool {
	w.t.Helper()
	r, err := w.kernel.Ruleset()
	if err != nil {
		w.t.Fatal(err)
	}
	k := enforcertest.Probe{From: host, To: to, Proto: proto, Sport: 50000, Dport: dport}.Packet()
	k.State = "new"
	return enforcer.Evaluate(r, &w.site, k, nil).Accept
}

// resolve has the device hear the address of a name.
func (w *world) resolve(name string, addrs ...netip.Addr) {
	w.t.Helper()
	if err := w.kernel.Learn(w.names.Observe(enforcertest.Answer(name, addrs...), w.now)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) gap(what string) string {
	for _, g := range w.e.Summary().Gaps {
		if g.What == what {
			return g.Why
		}
	}
	return ""
}
