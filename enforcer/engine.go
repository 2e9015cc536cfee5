package enforcer

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Config is what the administrator says about policies.
type Config struct {
	FailedAllow bool   // failed: allow
	Onboarding  string // auto or approve
	Observe     bool   // mode: observe, the default of devices
	// WeakMembers says whether devices whose URL came by a way that others can forge may be in classes of devices: approve
	// (or ""), once the administrator confirmed them; allow; deny (R8520-16-a).
	WeakMembers string
	// AcceptAddresses are the kinds of addresses that a signed profile may name without an administrator's look: global, multicast.
	AcceptAddresses []string
}

// Limits of the engine (invariant 7).
const (
	maxDevices = 4096
	maxDenials = 1000
	eventQueue = 1024
)

// State is what survives a restart.
type State struct {
	Version int `json:"version"`
	// Oldest is the oldest version whose readers understand it, so that an older program can follow a newer one; 0: Version alone.
	Oldest  int       `json:"oldest,omitempty"`
	Devices []*Device `json:"devices"`
	// Handed is what DHCP handed out as members of a class: kept, so that a restart takes nobody's DNS away.
	Handed map[string][]netip.Addr `json:"handed_out,omitempty"`
	// Overlays are MUD files that the administrator laid over others, by MUD URL or MAC.
	Overlays map[string]json.RawMessage `json:"overlays,omitempty"`
	// Approvals are of files that need not be any device's, by hash and URL.
	Approvals map[string]Approval `json:"approvals,omitempty"`
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
	// Record writes to the history, once an hour; nil where nobody keeps one.
	Record func([]Record) error
	// Counts reads the counters of a chain's rules, in their order; nil where nobody counts.
	Counts func(TableFamily, string) ([]Count, error)
	// Tell is told of news, in the loop: it must not wait. nil where nobody wants to know.
	Tell func(News)
}

// Engine is the loop that owns all state: events come in one at a time, and after each the kernel has what they ask for.
type Engine struct {
	Deps
	cfg              Config
	site             Site
	trusted          map[dhcp.MAC]bool
	devices          map[dhcp.MAC]*Device
	profiles         map[mud.URL]*profileState
	compiled         map[*mud.Profile]map[variant]*Compiled
	overlays         map[string]*Overlay
	approvals        map[string]Approval
	plain            map[plainPolicy]*Compiled
	inForce          map[dhcp.MAC]*Compiled
	have             Ruleset
	overlaidProfiles map[stack]*mud.Profile
	degraded         string             // why the kernel does not have what it should
	failures         int                // changes that the kernel refused in a row
	refused          map[string]refusal // policies that the kernel did not take, by name
	fresh            []owned            // addresses that became known since the last sync
	denialLines      lines              // apart from the others: who is denied much must not hide that he forges
	alarmLines       lines
	toldOf           map[dhcp.MAC]told // news of devices; nil until the start is over
	count            counters
	repairs          int
	repaired         *Repair // the last one
	suspect          bool    // somebody else may have changed our tables
	lost             bool    // the state was
	readOnce         bool    // what the kernel has is known
	stale            bool    // something happened since the last sync, or not all of it worked
	dirty            bool    // state to save
	unsaved          string
	written          writes
	handed           map[string][]Host // classes as DHCP handed them out
	configured       map[string][]Host // classes as the administrator said
	denials          ring
	attempts         attempts
	journal          journal
	unrecorded       string // why the history was not written
	watch            watchers
	alarms           []Alarm // the latest last
	places           map[dhcp.MAC]spot
	turnedAway       time.Time // when somebody who announced a URL did not fit into the table
	started          time.Time
	events           chan func()
	waiting          []chan<- error // for the next sync
}

// New makes an engine with what was saved before; Start then brings the kernel in line.
func New(cfg Config, site Site, saved State, deps Deps) *Engine {
	e := &Engine{Deps: deps, cfg: cfg, devices: map[dhcp.MAC]*Device{}, profiles: map[mud.URL]*profileState{},
		inForce: map[dhcp.MAC]*Compiled{}, refused: map[string]refusal{}, handed: map[string][]Host{},
		overlays: map[string]*Overlay{}, overlaidProfiles: map[stack]*mud.Profile{}, approvals: map[string]Approval{},
		attempts: newAttempts(), places: map[dhcp.MAC]spot{}, started: deps.Now(), events: make(chan func(), eventQueue)}
	for _, d := range saved.Devices {
		e.devices[d.MAC] = d
		d.restoreAddrs(e.started)
	}
	maps.Copy(e.approvals, saved.Approvals)
	e.restoreOverlays(saved.Overlays)
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
	e.compiled, e.plain = map[*mud.Profile]map[variant]*Compiled{}, map[plainPolicy]*Compiled{}
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
	for key := range e.approvals {
		if sha256, u, ok := strings.Cut(key, " "); ok {
			if u, err := mud.ParseURL(u); err == nil {
				e.Fetcher.Approve(u, sha256, true)
			}
		}
	}
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
	e.reconsider()
	if e.lost {
		e.remember()
	}
	e.meetOthers()
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

// Run handles events until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer e.unwatch()
	e.Tick()
	for {
		select {
		case <-ctx.Done():
			e.drain() // what was heard already must not be lost
			e.keepRecords()
			_ = e.write() // what waits for its turn; a refusal is logged
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
			e.publishChanges()
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
	return e.await(ctx, done, func() {
		if err := f(e); err != nil {
			done <- err
			return
		}
		e.waiting = append(e.waiting, done)
	})
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

// Do runs f in the loop and returns when the kernel has what f saw, or could not take it: nobody is told that a device is
// restricted before it is. It is how everything outside reads the state.
func (e *Engine) Do(ctx context.Context, f func(*Engine)) error {
	done := make(chan error, 1)
	_ = e.await(ctx, done, func() {
		f(e)
		e.waiting = append(e.waiting, done)
	})
	return ctx.Err()
}

// await queues f, and waits for what done says.
func (e *Engine) await(ctx context.Context, done <-chan error, f func()) error {
	select {
	case e.events <- f:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Post runs f in the loop later, or drops it where the queue is full: sources of events repeat themselves.
func (e *Engine) Post(f func(*Engine)) {
	select {
	case e.events <- func() { f(e) }:
	default:
		e.count.dropped.Add(1)
	}
}

// PostWait is Post for a source that can wait until there is room: what comes meanwhile stays in its socket.
func (e *Engine) PostWait(ctx context.Context, f func(*Engine)) {
	select {
	case e.events <- func() { f(e) }:
	case <-ctx.Done():
	}
}

// compile gives the chains of a policy, made once.
func (e *Engine) compile(p *Policy) *Compiled {
	switch {
	case p == nil:
		return nil
	case p.Kind != PolicyProfile:
		own := plainPolicy{p.Kind, p.Paused}
		if e.plain[own] == nil {
			e.plain[own] = Compile(*p, &e.site)
		}
		return e.plain[own]
	}
	variants, v := e.compiled[p.Profile], variant{p.Observe, p.Strong, p.Paused}
	if variants == nil {
		variants = map[variant]*Compiled{}
		e.compiled[p.Profile] = variants
	}
	if variants[v] == nil {
		variants[v] = Compile(*p, &e.site)
	}
	return variants[v]
}

// variant is one of the ways to compile a profile.
type variant struct{ observe, strong, paused bool }

// plainPolicy is one of our own policies, and whether it is paused.
type plainPolicy struct {
	kind   PolicyKind
	paused bool
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
