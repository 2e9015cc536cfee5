package enforcer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Attempt is what a device tried, or others tried with it, and was denied: equal denials together. Count and Hours are of the
// packets that the kernel told of, which it does not do for each packet of a flood.
type Attempt struct {
	AttemptKey
	Device string     `json:"device"`
	Count  uint64     `json:"count"`
	First  time.Time  `json:"first"`
	Last   time.Time  `json:"last"`
	Hours  [24]uint32 `json:"hours"`          // the oldest first
	Allow  Permit     `json:"allow,omitzero"` // the exception that would allow it; zero: none would
}

// AttemptKey is what equal denials have in common.
type AttemptKey struct {
	MAC       dhcp.MAC   `json:"mac"`
	Direction string     `json:"direction"` // out, in or lateral
	In        bool       `json:"in"`        // somebody else opened it, towards the device
	Proto     string     `json:"proto"`
	Remote    netip.Addr `json:"remote"` // with a name: the last address of it
	Name      string     `json:"name"`
	Port      uint16     `json:"port"`
	Reason    string     `json:"reason"`
	Enforced  bool       `json:"enforced"`
}

// Bounds of attempts. A device that scans pushes out its own.
const (
	maxAttempts         = 2048
	maxAttemptsOfDevice = 128
)

// attempts keeps grouped denials.
type attempts struct {
	list map[AttemptKey]*attempt
	of   map[dhcp.MAC]int
}

type attempt struct {
	remote      netip.Addr
	device      string
	count       uint64
	first, last time.Time
	hours       hours
	written     uint64    // of count, what is in the history
	fresh       time.Time // the first that is not
}

func newAttempts() attempts {
	return attempts{list: map[AttemptKey]*attempt{}, of: map[dhcp.MAC]int{}}
}

// add counts n denials at a time. Where the other side has a name its addresses are the same to us.
func (s *attempts) add(k AttemptKey, device string, n uint64, at time.Time) *attempt {
	remote := k.Remote
	if k.Name != "" {
		k.Remote = netip.Addr{}
	}
	a := s.list[k]
	if a == nil {
		if s.of[k.MAC] >= maxAttemptsOfDevice {
			s.dropOldest(func(o AttemptKey) bool { return o.MAC == k.MAC })
		} else if len(s.list) >= maxAttempts {
			s.dropOldest(func(AttemptKey) bool { return true })
		}
		a = &attempt{first: at}
		s.list[k] = a
		s.of[k.MAC]++
	}
	a.remote, a.device, a.count = remote, device, a.count+n
	if a.fresh.IsZero() {
		a.fresh = at
	}
	if at.After(a.last) {
		a.last = at
	}
	a.hours.add(at, uint32(min(n, 1<<31)))
	return a
}

func (s *attempts) dropOldest(of func(AttemptKey) bool) {
	var oldest AttemptKey
	var last time.Time
	found := false
	for k, a := range s.list {
		if of(k) && (!found || a.last.Before(last)) {
			oldest, last, found = k, a.last, true
		}
	}
	s.drop(oldest)
}

func (s *attempts) drop(k AttemptKey) {
	if _, there := s.list[k]; !there {
		return
	}
	delete(s.list, k)
	if s.of[k.MAC]--; s.of[k.MAC] <= 0 {
		delete(s.of, k.MAC)
	}
}

func (s *attempts) forget(mac dhcp.MAC) {
	maps.DeleteFunc(s.list, func(k AttemptKey, _ *attempt) bool { return k.MAC == mac })
	delete(s.of, mac)
}

// view shows one.
func (a *attempt) view(k AttemptKey, now time.Time) Attempt {
	k.Remote = a.remote
	return Attempt{AttemptKey: k, Device: a.device, Count: a.count, First: a.first, Last: a.last, Hours: a.hours.at(now), Allow: k.permit()}
}

// permit is the exception that would allow it: by name where the device asked for one, since addresses change.
func (k AttemptKey) permit() Permit {
	switch k.Reason {
	case reasonSpoof, reasonFlood, reasonCut: // before any policy
		return Permit{}
	}
	p := Permit{Direction: pick(k.In, "in", "out"), Proto: k.Proto, Remote: k.Name, Port: k.Port}
	if k.In || !hostName(k.Name) {
		p.Remote = k.Remote.String()
	}
	return p
}

// Attempts gives what was denied in a time, the last first: of one device, or of all (the zero MAC). A zero time is no bound.
func (e *Engine) Attempts(mac dhcp.MAC, since, until time.Time) []Attempt {
	out := []Attempt{}
	for k, a := range e.attempts.list {
		if (mac.IsZero() || k.MAC == mac) && !a.last.Before(since) && (until.IsZero() || !a.first.After(until)) {
			out = append(out, a.view(k, e.Now()))
		}
	}
	sortBy(out, func(a, b *Attempt) int {
		return cmp.Or(b.Last.Compare(a.Last), slices.Compare(a.MAC[:], b.MAC[:]), cmp.Compare(a.Name, b.Name), a.Remote.Compare(b.Remote),
			cmp.Compare(a.Port, b.Port), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Direction, b.Direction))
	})
	return out
}

// sortBy sorts large values by pointers to them: all kinds of pointers share one sort in the program, which must stay small.
func sortBy[T any](list []T, order func(a, b *T) int) {
	sorted := make([]*T, len(list))
	for i, v := range list {
		sorted[i] = &v
	}
	slices.SortStableFunc(sorted, order)
	for i, p := range sorted {
		list[i] = *p
	}
}

// attempted counts a denial among those that are like it.
func (e *Engine) attempted(d *Device, den *Denial, in bool) {
	k := AttemptKey{MAC: den.MAC, Direction: den.Direction, In: in, Proto: den.Proto, Remote: den.Dst, Name: den.Name, Port: den.Dport,
		Reason: den.Reason, Enforced: den.Enforced}
	if in {
		k.Remote = den.Src
	}
	e.attempts.add(k, den.Device, 1, den.Time)
	d.denied.add(den.Time, 1)
}

// Report says what enforcement would have denied where it was only observed, or paused.
type Report struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	Flows []Attempt `json:"flows"`
	Text  string    `json:"text"`
}

// Report gives the report of one device, or of all (the zero MAC).
func (e *Engine) Report(mac dhcp.MAC) Report {
	r := Report{Since: e.started.UTC(), Until: e.Now().UTC(), Flows: []Attempt{}}
	for _, a := range e.Attempts(mac, time.Time{}, time.Time{}) {
		if !a.Enforced {
			r.Flows = append(r.Flows, a)
		}
		if a.First.Before(r.Since) {
			r.Since = a.First
		}
	}
	since := " since " + r.Since.Format(time.RFC3339)
	switch n := len(r.Flows); n {
	case 0:
		r.Text = "enforce now would have denied nothing" + since
	case 1:
		r.Text = "enforce now would have denied this flow" + since
	default:
		r.Text = fmt.Sprintf("enforce now would have denied these %d flows%s", n, since)
	}
	return r
}

// Reasons of denials.
const (
	reasonSpoof    = "its source address is not of this network"
	reasonFlood    = "it opened too many flows"
	reasonCut      = "the device is cut off"
	reasonWaits    = "the device is kept to DHCP, DNS and NTP"
	reasonDropped  = "its profile drops it"
	reasonHeader   = "its profile drops such header fields"
	reasonTooEarly = "it was not allowed at that moment, and is now"
	reasonExpired  = "its profile allows the name, but no DNS answer opened that address or it ran out"
	reasonTurned   = "its profile allows it only if the other side opens it"
	reasonGroup    = "the other side is in no group of devices that its profile allows"
	reasonNone     = "no entry of its profile allows it"
)

// reason says in a few fixed words why a packet was stopped.
func (e *Engine) reason(d *Device, l LogEvent, in bool, name string) string {
	switch prefix := l.Prefix; {
	case prefix == LogSpoof:
		return reasonSpoof
	case prefix == LogFlood:
		return reasonFlood
	}
	j, pol := e.judge(d), e.inForce[d.MAC]
	switch {
	case j.Policy != nil && j.Policy.Kind == PolicyQuarantine:
		return reasonCut
	case pol == nil || j.Policy == nil || j.Policy.Kind != PolicyProfile:
		return reasonWaits
	}
	res := e.evaluate(e.packet(d, l.Packet, in))
	switch ace := pol.decided(res); {
	case ace != nil && ace.Action == mud.Drop:
		return reasonDropped
	case res.Accept && isObserved(res.Logged):
	case res.Accept && (in && pol.checksIn || !in && pol.checksOut):
		return reasonHeader
	case res.Accept:
		return reasonTooEarly
	}
	return e.missing(d, j.Policy.Profile, l.Packet, in, name)
}

// missing says what of a profile comes closest to a flow that it does not allow.
func (e *Engine) missing(d *Device, p *mud.Profile, f Flow, in bool, name string) string {
	other := f.Dst
	if in {
		other = f.Src
	}
	turned := Flow{Src: f.Dst, Dst: f.Src, Proto: f.Proto, Sport: f.Sport, Dport: f.Dport}
	switch {
	case name != "" && e.admits(d, f, in, name):
		return reasonExpired
	case f.Dport != 0 && e.admits(d, turned, !in, name):
		return reasonTurned
	case e.site.OnLAN(other) && !e.site.OwnAddr(other) && grouped(p):
		return reasonGroup
	}
	return reasonNone
}

// admits says that an entry of a device's policy allows a flow, or would if the other side's address were open as a name's.
func (e *Engine) admits(d *Device, f Flow, in bool, name string) bool {
	open := nameSet(canonical(name))
	res := Evaluate(e.have, &e.site, e.packet(d, f, in), func(set string, a netip.Addr) bool {
		return name != "" && (set == open+"_4" || set == open+"_6") || e.Names.Has(set, a, e.Now())
	})
	return res.Accept && !isObserved(res.Logged) && e.inForce[d.MAC].decided(res) != nil
}

// decided is the entry of a policy by which a packet was judged last; nil where none matched.
func (c *Compiled) decided(res Result) *mud.ACE {
	for i := len(res.Steps) - 1; i >= 0 && c != nil; i-- {
		s := res.Steps[i]
		if o := c.Origins[string(s.Family)+" "+s.Chain]; s.Rule < len(o) && o[s.Rule] != nil {
			return o[s.Rule]
		}
	}
	return nil
}
