package enforcer

import (
	"reflect"
	"time"

	"mudguard/dhcp"
)

// Event is something that people watch for. What it points at must not be changed.
type Event struct {
	Kind   EventKind
	MAC    dhcp.MAC
	Device *DeviceView // of EventDevice, without details; nil: it was forgotten
	Denial *Denial     // of EventDenial
}

// EventKind says what an event tells.
type EventKind string

// Events.
const (
	EventDevice  EventKind = "device"  // a device is new, changed or forgotten
	EventProfile EventKind = "profile" // another file is in force for a device, or another one waits
	EventDenial  EventKind = "denial"
	EventStatus  EventKind = "status" // what Summary tells changed
)

// watchers are those who are told of events, and what they know.
type watchers struct {
	chans   map[chan<- Event]bool
	devices map[dhcp.MAC]DeviceView
	summary Summary
}

// Subscribe sends events to ch from now on. Where ch is full its reader is too slow: it is closed then, as when the engine stops.
// To be called in the loop, as Unsubscribe is.
func (e *Engine) Subscribe(ch chan<- Event) {
	if e.watch.chans == nil {
		e.watch.chans = map[chan<- Event]bool{}
		e.publishChanges() // what is now is no news: nobody hears it
	}
	e.watch.chans[ch] = true
}

// Unsubscribe ends that.
func (e *Engine) Unsubscribe(ch chan<- Event) {
	if e.watch.chans[ch] {
		delete(e.watch.chans, ch)
		close(ch)
	}
	if len(e.watch.chans) == 0 {
		e.watch.chans = nil
	}
}

func (e *Engine) publish(ev Event) {
	for ch := range e.watch.chans {
		select {
		case ch <- ev:
		default:
			e.Unsubscribe(ch)
		}
	}
}

// mostAtOnce bounds the devices that are told of in a second, so that who reads keeps up. The others' turn comes.
const mostAtOnce = 32

// publishChanges tells what is otherwise than when it was told last. That a device was heard again is worth telling once a minute.
func (e *Engine) publishChanges() {
	if e.watch.chans == nil { // nobody watches
		e.watch = watchers{}
		return
	}
	before, now := e.watch.devices, make(map[dhcp.MAC]DeviceView, len(e.devices))
	told := 0
	for _, v := range e.Views() {
		known := v
		known.LastSeen, known.Activity = v.LastSeen.Truncate(time.Minute), Activity{} // denials are told themselves
		old, was := before[v.MAC]
		switch changed := !reflect.DeepEqual(old, known); {
		case changed && told == mostAtOnce && len(e.watch.chans) > 0:
			if was {
				now[v.MAC] = old
			}
			continue
		case !changed:
			now[v.MAC] = old
			continue
		}
		now[v.MAC] = known
		told++
		e.publish(Event{Kind: EventDevice, MAC: v.MAC, Device: &v})
		if was && !reflect.DeepEqual(old.Profile, v.Profile) {
			e.publish(Event{Kind: EventProfile, MAC: v.MAC})
		}
	}
	for mac := range before {
		if e.devices[mac] == nil {
			e.publish(Event{Kind: EventDevice, MAC: mac})
		}
	}
	s := e.Summary()
	if !reflect.DeepEqual(s, e.watch.summary) {
		e.publish(Event{Kind: EventStatus})
	}
	e.watch.devices, e.watch.summary = now, s
}

// unwatch ends all subscriptions.
func (e *Engine) unwatch() {
	for ch := range e.watch.chans {
		e.Unsubscribe(ch)
	}
}
