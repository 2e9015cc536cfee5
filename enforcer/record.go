package enforcer

import (
	"cmp"
	"slices"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Record is one entry of the history: a change of a device's state, what it did in an hour, or attempts that were denied.
type Record struct {
	ID       uint64         `json:"id"` // 0: not written yet
	Kind     RecordKind     `json:"kind"`
	Time     time.Time      `json:"time"`
	MAC      dhcp.MAC       `json:"mac"`
	Device   string         `json:"device"`
	State    Status         `json:"state,omitempty"`
	Why      string         `json:"why,omitempty"`
	Denial   *DenialRecord  `json:"denial,omitempty"`
	Counters *CounterRecord `json:"counters,omitempty"`
}

// RecordKind says what a record is about.
type RecordKind string

// Kinds of records.
const (
	RecordDenial   RecordKind = "denial"
	RecordState    RecordKind = "state"
	RecordCounters RecordKind = "counters"
)

// DenialRecord is equal denials of one hour.
type DenialRecord struct {
	AttemptKey
	Count uint64    `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// CounterRecord is what a device did in the hour that began at the record's time.
type CounterRecord struct {
	Allowed uint32 `json:"allowed"`
	Denied  uint32 `json:"denied"`
}

// HistoryQuery says which records are asked for: the newest first, and at most Limit.
type HistoryQuery struct {
	MAC          dhcp.MAC   // zero: of all devices
	Kind         RecordKind // "": of all kinds
	Since, Until time.Time  // zero: no bound
	Before       uint64     // only those with a smaller ID; 0: all
	Limit        int
}

// Has says that a record is one that is asked for.
func (q HistoryQuery) Has(r Record) bool {
	return (q.MAC.IsZero() || q.MAC == r.MAC) && (q.Kind == "" || q.Kind == r.Kind) && !r.Time.Before(q.Since) &&
		(q.Until.IsZero() || r.Time.Before(q.Until)) && (q.Before == 0 || r.ID < q.Before)
}

// maxStates bounds the changes of state that wait to be written.
const maxStates = 256

// journal is what is to be written to the history. It is written once an hour, since flash wears (hardening.md 3.4).
type journal struct {
	hour   int64 // that is counted now
	states []Record
}

// noteState notes that a device's state is another one than before.
func (e *Engine) noteState(d *Device, j Judgement) {
	if d.noted == j.Status {
		return
	}
	d.noted = j.Status
	if len(e.journal.states) >= maxStates {
		e.journal.states = e.journal.states[1:]
	}
	e.journal.states = append(e.journal.states, Record{Kind: RecordState, Time: e.Now().UTC(), MAC: d.MAC, Device: e.label(d), State: j.Status,
		Why: mud.Clean(j.Reason, 200)})
}

// counted is what a device did in an hour, but for what the history has of it.
func (d *Device) counted(hour int64) CounterRecord {
	c := CounterRecord{d.allowed.in(hour), d.denied.in(hour)}
	if d.countedHour == hour {
		c.Allowed -= min(c.Allowed, d.written.Allowed)
		c.Denied -= min(c.Denied, d.written.Denied)
	}
	return c
}

// wrote notes that the history has something of what a device did in an hour.
func (d *Device) wrote(hour int64, c CounterRecord) {
	if d.countedHour != hour {
		d.countedHour, d.written = hour, CounterRecord{}
	}
	d.written.Allowed += c.Allowed
	d.written.Denied += c.Denied
}

// record writes the hour that is over.
func (e *Engine) record(now time.Time) {
	hour := hourOf(now)
	if e.journal.hour == 0 {
		e.journal.hour = hour
	}
	if hour != e.journal.hour {
		e.keepRecords()
		e.journal.hour = hour
	}
}

// keepRecords writes what is not written yet. What cannot be written is not tried again, for the next hour's sake.
func (e *Engine) keepRecords() {
	list := e.Unrecorded()
	if e.Record == nil || len(list) == 0 {
		return
	}
	err := e.Record(list)
	if err != nil && e.unrecorded != err.Error() {
		e.Log.Error("history not written", "err", err)
	}
	e.unrecorded = ""
	if err != nil {
		e.unrecorded = err.Error()
	}
	e.journal.states = nil
	for _, a := range e.attempts.list {
		a.written, a.fresh = a.count, time.Time{}
	}
	for _, d := range e.devices {
		d.wrote(e.journal.hour, d.counted(e.journal.hour))
	}
}

// Unrecorded gives what is not in the history yet, in the order of its weight: where space is short, the last is left out.
func (e *Engine) Unrecorded() []Record {
	out := slices.Clone(e.journal.states)
	at := time.Unix(e.journal.hour*3600, 0).UTC()
	for _, mac := range e.macs() {
		d := e.devices[mac]
		if c := d.counted(e.journal.hour); c != (CounterRecord{}) {
			out = append(out, Record{Kind: RecordCounters, Time: at, MAC: mac, Device: e.label(d), Counters: &c})
		}
	}
	var denials []Record
	for k, a := range e.attempts.list {
		if a.count > a.written {
			v := a.view(k, e.Now())
			denials = append(denials, Record{Kind: RecordDenial, Time: a.fresh, MAC: k.MAC, Device: a.device,
				Denial: &DenialRecord{v.AttemptKey, a.count - a.written, a.fresh, a.last}})
		}
	}
	sortBy(denials, func(a, b *Record) int {
		return cmp.Or(cmp.Compare(b.Denial.Count, a.Denial.Count), a.Time.Compare(b.Time))
	})
	return append(out, denials...)
}

// Pending gives what is not in the history yet and is asked for, the newest first.
func (e *Engine) Pending(q HistoryQuery) []Record {
	list := slices.DeleteFunc(e.Unrecorded(), func(r Record) bool { return !q.Has(r) })
	sortBy(list, func(a, b *Record) int { return b.Time.Compare(a.Time) })
	return list
}

// Recall takes what the history says of the last day, the oldest first. To be called before Start.
func (e *Engine) Recall(list []Record) {
	for _, r := range list {
		d := e.devices[r.MAC]
		switch {
		case r.Denial != nil && r.Denial.MAC == r.MAC && r.Denial.Count > 0:
			e.recallDenial(r)
		case d == nil:
		case r.Kind == RecordState:
			d.noted = r.State
		case r.Counters != nil:
			d.allowed.add(r.Time, r.Counters.Allowed)
			d.denied.add(r.Time, r.Counters.Denied)
			d.wrote(hourOf(r.Time), *r.Counters)
		}
	}
}

func (e *Engine) recallDenial(r Record) {
	a := e.attempts.add(r.Denial.AttemptKey, mud.Clean(r.Device, 64), r.Denial.Count, r.Denial.Last)
	if r.Denial.First.Before(a.first) {
		a.first = r.Denial.First
	}
	a.written, a.fresh = a.count, time.Time{}
}
