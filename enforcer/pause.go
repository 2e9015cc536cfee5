package enforcer

import (
	"fmt"
	"slices"
	"time"
)

// A pause takes a device's policy off for a while, and the kernel ends it: what the policy does not allow goes to chains that let
// it pass only as long as the device is in a set whose elements time out. So nothing stays open where the daemon is dead. The
// packets of its admitted flows are judged each in the meantime, so that flows which only the pause let in end with it, too.

// Sets of who is paused, and the chains that ask them.
const (
	setPaused    = "paused"
	chainPausing = "paused_"
)

// Bounds of a pause.
const (
	MinPause = time.Minute
	MaxPause = 24 * time.Hour
)

// Pause is until when a device's policy is off.
type Pause struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// holds says that a time that was set is not over. The clock may be wrong after a restart: before it began, nobody knows.
func holds(since, until, now time.Time) bool { return !now.Before(since) && now.Before(until) }

// paused says that a device's policy is off now.
func (d *Device) paused(now time.Time) bool {
	return d.Pause != nil && holds(d.Pause.Since, d.Pause.Until, now)
}

// PauseFor takes a device's policy off for a while; a second pause takes the place of the first.
func (e *Engine) PauseFor(d *Device, length time.Duration) error {
	j := e.judgeAlways(d)
	switch {
	case length < MinPause || length > MaxPause:
		return fmt.Errorf("a pause lasts from 1m to 24h, not %s", length)
	case j.Policy == nil:
		return fmt.Errorf("%s is not restricted, so there is nothing to pause: %s", d.MAC, j.Reason)
	case j.Policy.Kind == PolicyQuarantine:
		return fmt.Errorf("%s is cut off (%s), and a pause does not change that; see: mudguard release %s", d.MAC, j.Reason, d.MAC)
	case j.Policy.Observe:
		return fmt.Errorf("%s is only observed, so nothing is denied that a pause could allow", d.MAC)
	}
	now := e.Now().UTC() // with the monotonic clock: setting the other one does not make the pause longer
	d.Pause, e.dirty = &Pause{now, now.Add(length)}, true
	return nil
}

// Resume ends a pause before its time.
func (e *Engine) Resume(d *Device) error {
	if d.Pause == nil {
		return fmt.Errorf("%s is not paused", d.MAC)
	}
	d.Pause, e.dirty = nil, true
	return nil
}

// lapse ends what the administrator allowed for a while only.
func (e *Engine) lapse(now time.Time) {
	for _, d := range e.devices {
		if d.Pause != nil && !d.paused(now) {
			e.Log.Info("pause over", "mac", d.MAC.String(), "device", e.label(d))
			d.Pause, e.dirty, e.stale = nil, true, true
		}
		gone, changed := d.lapseExceptions(now)
		e.dirty, e.stale = e.dirty || gone, e.stale || gone || changed
	}
}

// withPause takes a policy off as long as the device is paused. Who is cut off stays so.
func (e *Engine) withPause(d *Device, j Judgement) Judgement {
	if !d.paused(e.Now()) || j.Policy == nil || j.Policy.Kind == PolicyQuarantine || j.Policy.Observe {
		return j
	}
	pol := *j.Policy
	pol.Paused = true
	return Judgement{StatusPaused, "paused by the administrator until " + d.Pause.Until.UTC().Format(time.RFC3339) +
		": nothing is denied, what would be is listed; then: " + j.Reason, &pol}
}

// pausing adds what the policies of paused devices need: who is paused, as long as it is, and the chains that ask.
func (b *builder) pausing() {
	if !slices.ContainsFunc(b.members, func(m Member) bool { return m.paused() }) {
		return
	}
	for _, t := range []*Table{b.inet, b.bridge} {
		if t == nil {
			continue
		}
		t.set(Set{Name: setPaused, Key: TypeMAC, HasTTL: true, Comment: "whose policy is off"})
		t.pausing("out", []Expr{EtherIn{Set: setPaused}})
	}
	if b.bridge != nil {
		b.bridge.pausing("in", []Expr{EtherIn{Dst: true, Set: setPaused}})
	}
	if b.site.routed() {
		b.inet.set(Set{Name: setPaused + "_4", Key: TypeIPv4, HasTTL: true, Comment: "addresses of whose policy is off"})
		b.inet.set(Set{Name: setPaused + "_6", Key: TypeIPv6, HasTTL: true, Comment: "addresses of whose policy is off"})
		b.inet.pausing("in", []Expr{AddrIn{Dst: true, Set: setPaused + "_4"}}, []Expr{AddrIn{V6: true, Dst: true, Set: setPaused + "_6"}})
	}
	for _, m := range b.members {
		if m.paused() && m.Pause > 0 {
			b.pause(m)
		}
	}
}

func (m Member) paused() bool { return m.Policy != nil && m.Policy.Paused && !m.Trusted }

// pausing makes the chain for what the policies of paused devices do not allow.
func (t *Table) pausing(base string, who ...[]Expr) {
	c := Chain{Name: chainPausing + base}
	for _, exprs := range who {
		c.Rules = append(c.Rules, Rule{Exprs: append(exprs, goTo("observed_"+base)), Comment: "its policy is off for a while"})
	}
	c.Rules = append(c.Rules, Rule{Exprs: []Expr{goTo("denied_" + base)}})
	t.chain(c)
}

// pause puts a device into the sets, until its pause ends. The comment tells one pause from another: what is left of it does not.
func (b *builder) pause(m Member) {
	el := Element{Timeout: max(m.Pause, time.Millisecond), Comment: comment(m.PauseUntil.UTC().Format(time.RFC3339Nano) + " " + m.Label)}
	b.inet.Sets[setPaused].Elements[Key{MAC: m.MAC}] = el
	if b.bridge != nil {
		b.bridge.Sets[setPaused].Elements[Key{MAC: m.MAC}] = el
	}
	for _, a := range m.Addrs {
		if b.site.routed() {
			b.inet.Sets[setPaused+suffix(a.Is6())].Elements[Key{Addr: a}] = el
		}
	}
}

// answersInPause lets a paused device answer those whom the pause let in.
func (c *compiler) answersInPause() []Rule {
	if !c.p.Paused {
		return nil
	}
	return []Rule{{Exprs: []Expr{EtherIn{Set: setPaused}, accept}, Comment: "its policy is off for a while"}}
}

// whilePaused are the rules by which a paused device's packets leave a chain that would judge them each.
func (c *compiler) whilePaused(list *[]*Chain, name string) []Rule {
	const why = "its policy is off for a while"
	back := Verdict{Kind: VerdictReturn}
	switch {
	case name != checkIn:
		return []Rule{{Exprs: []Expr{EtherIn{Set: setPaused}, back}, Comment: why}}
	case list == &c.out.Bridge:
		return []Rule{{Exprs: []Expr{EtherIn{Dst: true, Set: setPaused}, back}, Comment: why}}
	}
	return []Rule{{Exprs: []Expr{AddrIn{Dst: true, Set: setPaused + "_4"}, back}, Comment: why},
		{Exprs: []Expr{AddrIn{V6: true, Dst: true, Set: setPaused + "_6"}, back}, Comment: why}}
}

// afterPause makes the chain for packets of admitted flows once a pause is over and we have not cut them yet: of these flows only
// those go on that the policy allows. What a device answers to others is judged elsewhere.
func (c *compiler) afterPause(list *[]*Chain, name string, flows []flowRule, render func(flowRule) Rule) []Rule {
	var tail []Rule
	if name != checkIn {
		tail = []Rule{{Exprs: []Expr{CtReply{}, Verdict{Kind: VerdictReturn}}, Comment: "an answer"}}
	}
	flows = withLater(filter(flows, func(f flowRule) bool { return f.asks == nil }))
	c.add(list, name+"a", nil, c.tail(pick(name == checkIn, "in", "out")), flows, func(f flowRule) Rule { return returning(render(f)) })
	return append(tail, Rule{Exprs: []Expr{goTo(placeholder + name + "a")}, Comment: "a flow that the policy may not allow"})
}
