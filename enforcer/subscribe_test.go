package enforcer_test

import (
	"slices"
	"testing"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// heardBy gives the kinds of the events in ch, and of the last device the state.
func heardBy(ch <-chan enforcer.Event) (kinds []enforcer.EventKind, last *enforcer.DeviceView) {
	for len(ch) > 0 {
		ev := <-ch
		kinds = append(kinds, ev.Kind)
		if ev.Device != nil {
			last = ev.Device
		}
	}
	return kinds, last
}

// TestSubscribe: who watches is told what changes, once, and nothing of what was before.
func TestSubscribe(t *testing.T) {
	w := newWorld(t).start()
	w.sight("hub", "")
	ch := make(chan enforcer.Event, 16)
	w.e.Subscribe(ch)
	told := func(state enforcer.Status, want ...enforcer.EventKind) {
		t.Helper()
		w.e.PublishChanges()
		kinds, d := heardBy(ch)
		if !slices.Equal(kinds, want) || d != nil && d.State != state {
			t.Errorf("told %v of %+v, want %v and %s", kinds, d, want, state)
		}
	}
	told("")
	d := w.sight("lamp", lampURL)
	told(enforcer.StatusFetching, enforcer.EventDevice, enforcer.EventStatus)
	w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
	told(enforcer.StatusEnforced, enforcer.EventDevice, enforcer.EventProfile)
	w.sight("lamp", "")
	told("") // heard again within the minute
	k := enforcertest.Probe{From: "lamp", To: "evil", Proto: "tcp", Sport: 1, Dport: 23}.Packet()
	w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: k.SrcMAC, Packet: k.Flow})
	told("", enforcer.EventDenial)
	w.e.Forget(d)
	told("", enforcer.EventDevice, enforcer.EventStatus)
	w.e.Unsubscribe(ch)
	if _, open := <-ch; open {
		t.Error("the channel is open after the end")
	}
}

// TestManyChanges: news of many devices comes in parts, and all of it comes.
func TestManyChanges(t *testing.T) {
	w := newWorld(t).start()
	ch := make(chan enforcer.Event, 64)
	w.e.Subscribe(ch)
	heard := map[dhcp.MAC]int{}
	for i := range 100 {
		w.e.Sighted(dhcp.Sighting{MAC: dhcp.MAC{2, 9, 5: byte(i)}, Kind: dhcp.Seen})
	}
	for range 5 {
		w.e.PublishChanges()
		if len(ch) > 40 {
			t.Errorf("%d events at once", len(ch))
		}
		for len(ch) > 0 {
			if ev := <-ch; ev.Kind == enforcer.EventDevice {
				heard[ev.MAC]++
			}
		}
	}
	if len(heard) != 100 || heard[dhcp.MAC{2, 9, 5: 99}] != 1 {
		t.Errorf("heard of %d devices, of the last %d times", len(heard), heard[dhcp.MAC{2, 9, 5: 99}])
	}
}

// TestSlowSubscriber: who does not read is dropped, and the others hear all the same.
func TestSlowSubscriber(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", "")
	slow, quick := make(chan enforcer.Event, 1), make(chan enforcer.Event, 16)
	w.e.Subscribe(slow)
	w.e.Subscribe(quick)
	k := enforcertest.Probe{From: "lamp", To: "evil", Proto: "tcp", Sport: 1, Dport: 23}.Packet()
	for range 3 {
		w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: k.SrcMAC, Packet: k.Flow})
	}
	<-slow
	if _, open := <-slow; open || len(quick) != 3 || w.e.Denials(0, d.MAC)[2].ID != 3 {
		t.Errorf("slow is still there: %v; quick has %d", open, len(quick))
	}
}
