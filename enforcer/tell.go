package enforcer

import (
	"sync/atomic"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// NewsKind is a kind of news.
type NewsKind string

// Kinds of news.
const (
	NewsDevice   NewsKind = "new_device"
	NewsHold     NewsKind = "hold"     // a device, or a newer file of it, waits for the administrator
	NewsDenial   NewsKind = "denial"   // every one; who passes them on tells what is new
	NewsRepaired NewsKind = "repaired" // somebody else's change of our tables was undone
)

// News is something that people may want to be told of, wherever they are. Its texts are clean.
type News struct {
	Kind   NewsKind  `json:"event_type"`
	Time   time.Time `json:"time"`
	MAC    dhcp.MAC  `json:"mac,omitzero"`
	Device string    `json:"device,omitempty"`
	State  Status    `json:"state,omitempty"`
	Text   string    `json:"text"`
	Denial *Denial   `json:"denial,omitempty"`
}

// quietStart is how long devices that merely speak are not news after a start: nothing is kept of them, so nobody can tell
// which of them are new.
const quietStart = 10 * time.Minute

// told is what was said of a device: whether it is known, and if so without a word, and for what it waited then.
type told struct {
	met, quietly bool
	waiting      string
}

// tell passes news on.
func (e *Engine) tell(kind NewsKind, d *Device, text string) {
	ev := News{Kind: kind, Time: e.Now().UTC(), Text: mud.Clean(text, 500)}
	if d != nil {
		ev.MAC, ev.Device, ev.State = d.MAC, e.label(d), e.judge(d).Status
	}
	e.Tell(ev)
}

// tellChanges tells of devices that are new, and of what began to wait for the administrator. What was so at the start is no
// news.
func (e *Engine) tellChanges() {
	if e.Tell == nil {
		return
	}
	start := e.toldOf == nil
	before := e.toldOf
	e.toldOf = make(map[dhcp.MAC]told, len(e.devices))
	for mac, d := range e.devices {
		was := before[mac]
		j := e.judge(d)
		now := was
		if start {
			now.met = true
		} else if j.Status != StatusFetching {
			now = e.introduce(d, j, was)
		}
		now.waiting = e.waitsFor(d, j)
		if now.waiting != "" && now.waiting != was.waiting && !start {
			e.tell(NewsHold, d, e.label(d)+" ("+mac.String()+") waits for you: "+now.waiting)
		}
		e.toldOf[mac] = now
	}
}

// introduce tells of a device that is new.
func (e *Engine) introduce(d *Device, j Judgement, was told) told {
	late, named := e.Now().Sub(e.started) >= quietStart, !d.URL.IsZero()
	switch {
	case was.met && !(was.quietly && named && !late):
		return was
	case !named && !late:
		return told{met: true, quietly: true}
	}
	e.tell(NewsDevice, d, "New device "+e.label(d)+" ("+d.MAC.String()+"): "+j.Reason)
	return told{met: true}
}

// waitsFor says why a device waits for the administrator, "" where it does not.
func (e *Engine) waitsFor(d *Device, j Judgement) string {
	if j.Status == StatusHeld {
		return j.Reason
	}
	if p := e.profiles[d.URL]; p != nil && p.waiting != nil {
		return p.why
	}
	return ""
}

// counters count since the start.
type counters struct {
	transactions, refusals uint64
	last                   time.Time         // transaction that was done
	sightings              map[string]uint64 // by source
	denied, observed       uint64
	dropped                atomic.Uint64
}

// Totals are the engine's numbers for metrics.
type Totals struct {
	Started                time.Time
	Repairs                int
	Transactions, Refusals uint64            // of the kernel
	LastTransaction        time.Time         // that was done; zero: none
	Sightings              map[string]uint64 // by who heard them
	EventsDropped          uint64            // as the loop was too busy
	Denied, Observed       uint64
	Names                  int // that policies refer to
	Full                   int // how many devices the table holds
	Devices                []DeviceTotals
}

// DeviceTotals are the numbers of one device.
type DeviceTotals struct {
	MAC              dhcp.MAC
	Label            string
	State            Status
	Restricted       bool
	Denied, Observed uint64
	LastSeen         time.Time
}

// Totals gives the numbers.
func (e *Engine) Totals() Totals {
	t := Totals{Started: e.started, Repairs: e.repairs, Transactions: e.count.transactions, Refusals: e.count.refusals, LastTransaction: e.count.last,
		Sightings: map[string]uint64{}, EventsDropped: e.count.dropped.Load(), Denied: e.count.denied, Observed: e.count.observed,
		Names: len(names(e.inForce)), Full: maxDevices}
	for source, n := range e.count.sightings {
		t.Sightings[source] = n
	}
	for _, mac := range e.macs() {
		d := e.devices[mac]
		t.Devices = append(t.Devices, DeviceTotals{MAC: mac, Label: e.label(d), State: e.judge(d).Status, Restricted: e.inForce[mac] != nil,
			Denied: d.denials, Observed: d.wouldDeny, LastSeen: d.LastSeen})
	}
	return t
}

// heardBy counts a sighting.
func (e *Engine) heardBy(s dhcp.Source) {
	if e.count.sightings == nil {
		e.count.sightings = map[string]uint64{}
	}
	e.count.sightings[string(s)]++
}
