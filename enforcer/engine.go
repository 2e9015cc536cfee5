package enforcer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Config is what the administrator says about policies.
type Config struct {
	FailedAllow bool   // failed: allow
	Onboarding  string // auto or approve
	Observe     bool   // mode: observe, the default of devices
}

// Limits of the engine (invariant 7).
const (
	maxDevices       = 4096
	maxAddrsOfDevice = 16
	maxDenials       = 1000
	eventQueue       = 1024
)

// State is what survives a restart.
type State struct {
	Version int       `json:"version"`
	Devices []*Device `json:"devices"`
	// Handed is what DHCP handed out as members of a class: kept, so that a restart takes nobody's DNS away.
	Handed map[string][]netip.Addr `json:"handed_out,omitempty"`
	// Lost says that there was none, or only an older one: it does not tell who is not under policy.
	Lost bool `json:"-"`
}

// Deps are the engine's connections to the world.
type Deps struct {
	Kernel  Kernel
	Fetcher Fetcher
	Save    func(State) error // called only on a change
	Now     func() time.Time
	Log     *slog.Logger
	Names   *Names
	Backoff func(try int) time.Duration // wait before trying a failed fetch again
	// Counts reads the counters of a chain's rules, in their order; nil where nobody counts.
	Counts func(TableFamily, string) ([]Count, error)
}

// Engine is the loop that owns all state: events come in one at a time, and after each the kernel has what they ask for.
type Engine struct {
	Deps
	cfg        Config
	site       Site
	trusted    map[dhcp.MAC]bool
	devices    map[dhcp.MAC]*Device
	profiles   map[mud.URL]*profileState
	compiled   map[*mud.Profile]map[bool]*Compiled // by profile and observe
	plain      map[PolicyKind]*Compiled
	inForce    map[dhcp.MAC]*Compiled
	have       Ruleset
	degraded   string               // why the kernel does not have what it should
	failures   int                  // changes that the kernel refused in a row
	refused    map[string]refusal   // policies that the kernel did not take, by name
	fresh      []owned              // addresses that became known since the last sync
	told       map[string]time.Time // denials that were logged, not to repeat them
	repairs    int
	lost       bool // the state was
	readOnce   bool // what the kernel has is known
	stale      bool // something happened since the last sync, or not all of it worked
	dirty      bool // state to save
	unsaved    string
	handed     map[string][]Host // classes as DHCP handed them out
	configured map[string][]Host // classes as the administrator said
	denials    ring
	started    time.Time
	events     chan func()
	waiting    []chan<- error // for the next sync
}

// New makes an engine with what was saved before; Start then brings the kernel in line.
func New(cfg Config, site Site, saved State, deps Deps) *Engine {
	e := &Engine{Deps: deps, cfg: cfg, devices: map[dhcp.MAC]*Device{}, profiles: map[mud.URL]*profileState{},
		inForce: map[dhcp.MAC]*Compiled{}, refused: map[string]refusal{}, told: map[string]time.Time{}, handed: map[string][]Host{}, started: deps.Now(), events: make(chan func(), eventQueue)}
	for _, d := range saved.Devices {
		e.devices[d.MAC] = d
	}
	e.configure(cfg, site)
	for class, addrs := range saved.Handed {
		e.handOut(class, addrs)
	}
	e.lost = saved.Lost
	e.dirty, e.stale = false, true // it came from the disk, and is not in the kernel
	return e
}

func (e *Engine) configure(cfg Config, site Site) {
	e.cfg, e.site, e.configured = cfg, site, site.Controllers
	e.site.Controllers = e.classes(site.Controllers)
	e.trusted = map[dhcp.MAC]bool{}
	for _, m := range site.Trusted {
		e.trusted[m] = true
	}
	e.compiled, e.plain = map[*mud.Profile]map[bool]*Compiled{}, map[PolicyKind]*Compiled{}
}

// classes adds the default members of the dns and ntp classes: this host and what DHCP handed out.
func (e *Engine) classes(configured map[string][]Host) map[string][]Host {
	out := maps.Clone(configured)
	if out == nil {
		out = map[string][]Host{}
	}
	var own []Host
	for _, l := range e.site.LAN {
		for _, p := range l.Prefixes {
			own = append(own, Host{Addr: p.Addr()})
		}
	}
	for _, c := range []string{ClassDNS, ClassNTP} {
		if _, set := configured[c]; !set {
			out[c] = append(slices.Clone(own), e.handed[c]...)
		}
	}
	return out
}

// Start brings policies back as they were, from the disk alone, and adopts what the kernel still has. It is called before
// the LAN is heard.
func (e *Engine) Start() error {
	if err := e.readBack(); err != nil {
		return err // the loop tries again
	}
	e.Names.Restore(e.have, e.Now())
	for _, d := range e.devices { // all of them first: devices share what is behind a URL
		if d.Approved != "" {
			e.Fetcher.Approve(d.URL, d.Approved, true)
		}
	}
	for _, d := range e.devices {
		if !d.URL.IsZero() {
			e.load(d.URL)
		}
	}
	if e.lost {
		e.remember()
	}
	e.adopt()
	return e.sync()
}

// remember takes devices from the kernel that the state does not know because it was lost: they were under a policy, so they
// stay restricted until they announce their URL again or the administrator decides.
func (e *Engine) remember() {
	if e.have.Inet == nil || e.have.Inet.Sets[mapFrom] == nil {
		return
	}
	for k, el := range e.have.Inet.Sets[mapFrom].Elements {
		blocked := e.site.BlockUnmanaged && el.Verdict.Chain == e.compile(&Policy{Kind: PolicyRestricted}).Out()
		if el.Verdict.Chain != "" && e.devices[k.MAC] == nil && !e.trusted[k.MAC] && !blocked {
			e.devices[k.MAC] = &Device{MAC: k.MAC, FirstSeen: e.Now().UTC(),
				BadURL: "which one is not known any more: the state was lost; it is restricted until it announces one again"}
			e.dirty = true
		}
	}
}

// readBack learns what the kernel has. Until that worked once nothing is sent: it would come on top of what is there.
func (e *Engine) readBack() error {
	have, err := e.Kernel.Ruleset()
	if err != nil {
		return fmt.Errorf("reading our tables back: %w", err)
	}
	e.have, e.readOnce = have, true
	return nil
}

// adopt takes the policies that the kernel has for those in force, so that flows are cut only where policies change.
func (e *Engine) adopt() {
	if e.have.Inet == nil || e.have.Inet.Sets[mapFrom] == nil {
		return
	}
	for mac, d := range e.devices {
		want := e.compile(e.judge(d).Policy)
		el, there := e.have.Inet.Sets[mapFrom].Elements[Key{MAC: mac}]
		if want != nil && there && el.Verdict.Chain == want.Out() {
			e.inForce[mac] = want
		}
	}
}

// load gets a profile from the cache, and plans its refresh.
func (e *Engine) load(u mud.URL) *profileState {
	p := e.profiles[u]
	if p != nil {
		return p
	}
	p = &profileState{} // due now
	e.stale = true
	e.profiles[u] = p
	if doc, err := e.Fetcher.Load(u); err == nil {
		p.doc, p.next = &doc, doc.NextRefresh
	}
	return p
}

// Run handles events until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	e.Tick()
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-e.events:
			f()
			e.drain()
			e.settle()
		case <-tick.C:
			e.Tick()
			if e.stale {
				e.settle()
			}
		}
	}
}

// settle brings kernel and disk in line and tells those who wait for it. What fails is logged and tried again at the
// next tick.
func (e *Engine) settle() {
	err := e.sync()
	for _, w := range e.waiting {
		w <- err
	}
	e.waiting = nil
}

// Change runs f in the loop and returns when the kernel and the disk have what came of it. An error of f, which then must
// have changed nothing, comes back as it is.
func (e *Engine) Change(ctx context.Context, f func(*Engine) error) error {
	done := make(chan error, 1)
	err := e.Do(ctx, func(e *Engine) {
		if err := f(e); err != nil {
			done <- err
			return
		}
		e.waiting = append(e.waiting, done)
	})
	if err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain handles what else is waiting, so that a thousand events make few changes of the kernel.
func (e *Engine) drain() {
	for range eventQueue {
		select {
		case f := <-e.events:
			f()
		default:
			return
		}
	}
}

// Do runs f in the loop and waits for it. It is how everything outside reads or changes the state.
func (e *Engine) Do(ctx context.Context, f func(*Engine)) error {
	done := make(chan struct{})
	select {
	case e.events <- func() { defer close(done); f(e) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Post runs f in the loop later, or drops it where the queue is full: sources of events repeat themselves.
func (e *Engine) Post(f func(*Engine)) {
	select {
	case e.events <- func() { f(e) }:
	default:
	}
}

// Tick asks for what is due: profiles to fetch or to refresh.
func (e *Engine) Tick() {
	now := e.Now()
	used := map[mud.URL]bool{}
	for _, d := range e.devices {
		if !d.URL.IsZero() {
			used[d.URL] = true
		}
	}
	for u := range used {
		if p := e.load(u); !p.fetching && !p.next.After(now) {
			p.fetching = e.Fetcher.Submit(u)
		}
	}
	for u := range e.profiles {
		if !used[u] {
			delete(e.profiles, u)
		}
	}
}

// Fetched takes the outcome of a fetch.
func (e *Engine) Fetched(u mud.URL, doc Verified, err error) {
	p := e.profiles[u]
	if p == nil {
		return // nobody wants it any more
	}
	p.fetching = false
	if err != nil {
		e.fetchFailed(u, p, err)
		return
	}
	if p.doc != nil && p.doc.SHA256 != doc.SHA256 && doc.Profile.LastUpdate.Before(p.doc.Profile.LastUpdate) {
		e.fetchFailed(u, p, errors.New("the file offered is older than the one in force (R8520-3.4-a)"))
		return
	}
	if p.doc == nil || p.doc.SHA256 != doc.SHA256 {
		e.Log.Info("profile verified", "url", u.String(), "signer", doc.Signer, "sha256", doc.SHA256)
		if p.doc != nil && e.approved(u, p.doc.SHA256) && !e.approved(u, doc.SHA256) {
			p.waiting = &doc // the approved one stays in force meanwhile
		} else {
			p.doc, p.waiting = &doc, nil
		}
	}
	p.doc.NextRefresh, p.err, p.held, p.tries, p.next = doc.NextRefresh, nil, "", 0, doc.NextRefresh
}

// approved says that files wait for approval here, and that this one was approved for some device.
func (e *Engine) approved(u mud.URL, sha256 string) bool {
	for _, d := range e.devices {
		if d.URL == u && d.Approved == sha256 && e.cfg.Onboarding == "approve" {
			return true
		}
	}
	return false
}

// fetchFailed keeps what is in force (R8520-1.6-i) and plans another try.
func (e *Engine) fetchFailed(u mud.URL, p *profileState, err error) {
	if p.err == nil || p.err.Error() != err.Error() {
		e.Log.Warn("profile not usable", "url", u.String(), "err", err)
	}
	p.err, p.held = err, ""
	var held HeldError
	if errors.As(err, &held) {
		p.held, _ = held.Held()
	}
	p.next = e.Now().Add(e.Backoff(p.tries))
	p.tries++
}

// compile gives the chains of a policy, made once.
func (e *Engine) compile(p *Policy) *Compiled {
	switch {
	case p == nil:
		return nil
	case p.Kind != PolicyProfile:
		if e.plain[p.Kind] == nil {
			e.plain[p.Kind] = Compile(*p, &e.site)
		}
		return e.plain[p.Kind]
	}
	byMode := e.compiled[p.Profile]
	if byMode == nil {
		byMode = map[bool]*Compiled{}
		e.compiled[p.Profile] = byMode
	}
	if byMode[p.Observe] == nil {
		byMode[p.Observe] = Compile(*p, &e.site)
	}
	return byMode[p.Observe]
}

// SetSite takes a new configuration, or new addresses of the LAN interfaces.
func (e *Engine) SetSite(cfg Config, site Site) {
	e.configure(cfg, site)
	e.recheck() // a class may have shrunk, under chains of the same name
}

// Device gives a device that is known.
func (e *Engine) Device(mac dhcp.MAC) (*Device, bool) {
	d, ok := e.devices[mac]
	return d, ok
}

// addAddr binds an address to a device, and takes it from any other: an address is one device's at a time.
func (e *Engine) addAddr(d *Device, a netip.Addr) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || e.site.OwnAddr(a) || slices.Contains(d.Addrs, a) {
		return
	}
	for _, other := range e.devices {
		e.dropAddr(other, a)
	}
	if len(d.Addrs) >= maxAddrsOfDevice {
		d.Addrs = slices.Delete(d.Addrs, 0, 1)
	}
	d.Addrs = append(d.Addrs, a)
	e.fresh = append(e.fresh, owned{d, a})
	e.dirty = e.dirty || d.kept()
}

func (e *Engine) dropAddr(d *Device, a netip.Addr) {
	if i := slices.Index(d.Addrs, a); i >= 0 {
		d.Addrs = slices.Delete(d.Addrs, i, i+1)
		e.dirty = e.dirty || d.kept()
	}
}
