package enforcer_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// tried has the kernel tell of a packet that it stopped, or would have.
func (w *world) tried(from, to, proto string, dport uint16, prefix string) {
	w.t.Helper()
	p := enforcertest.Probe{From: from, To: to, Proto: proto, Sport: 50000, Dport: dport}.Packet()
	w.e.Denied(enforcer.LogEvent{Prefix: prefix, MAC: p.SrcMAC, DstMAC: p.DstMAC, Packet: p.Flow, Len: 60})
}

// TestAttempts groups denials, says why, and offers the exception that would allow each: by name where the device asked for one.
func TestAttempts(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	evil, cloud := enforcertest.HostNamed("evil"), enforcertest.HostNamed("cloud")
	w.names.Observe(enforcertest.Answer("evil.example", evil.V4), w.now)
	w.names.Observe(enforcertest.Answer("cloud.example", cloud.V4), w.now)
	for range 3 {
		w.tried("lamp", "evil", "tcp", 23, enforcer.LogOut)
		w.now = w.now.Add(time.Hour)
	}
	w.tried("lamp", "cloud", "tcp", 443, enforcer.LogOut) // the name's address has run out by now
	w.now = w.now.Add(time.Second)
	w.tried("cloud", "lamp", "tcp", 443, enforcer.LogIn)
	w.now = w.now.Add(time.Second)
	w.tried("lamp", "neighbour", "udp", 9, enforcer.LogFlood)
	list := w.e.Attempts(d.MAC, time.Time{}, time.Time{})
	if len(list) != 4 {
		t.Fatalf("%+v", list)
	}
	scan := list[3]
	if scan.Count != 3 || scan.Hours[20] != 1 || scan.Hours[21] != 1 || scan.Hours[22] != 1 || scan.Last.Sub(scan.First) != 2*time.Hour || !scan.Enforced {
		t.Errorf("%+v", scan)
	}
	if want := (enforcer.Permit{Direction: "out", Proto: "tcp", Remote: "evil.example", Port: 23}); scan.Allow != want {
		t.Errorf("to allow it: %+v", scan.Allow)
	}
	for i, want := range []string{"too many flows", "only if the other side opens it", "ran out", "no entry"} {
		if !strings.Contains(list[i].Reason, want) {
			t.Errorf("%s %s: %s, want %s", list[i].Direction, list[i].Remote, list[i].Reason, want)
		}
	}
	if flood := list[0].Allow; flood != (enforcer.Permit{}) {
		t.Errorf("an exception for a flood, which would not help: %+v", flood)
	}
	if in := list[1].Allow; in.Direction != "in" || in.Remote != cloud.V4.String() {
		t.Errorf("to let it in: %+v", in)
	}
	if n := len(w.e.Attempts(d.MAC, w.now.Add(-time.Second), time.Time{})); n != 2 {
		t.Errorf("%d since a second ago", n)
	}
	if v := w.e.View(d, false); v.Activity.Denied[23] != 3 || v.Activity.Denied[22] != 1 {
		t.Errorf("%+v", v.Activity)
	}
}

// TestAttemptsBounded: a device that scans pushes out its own attempts and nobody else's (T21).
func TestAttemptsBounded(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	cam := w.sight("cam", lampURL)
	w.tried("cam", "evil", "tcp", 23, enforcer.LogOut)
	for port := range uint16(5000) {
		w.tried("lamp", "evil", "udp", port+1, enforcer.LogOut)
	}
	if n := len(w.e.Attempts(d.MAC, time.Time{}, time.Time{})); n == 0 || n > 128 {
		t.Errorf("%d attempts of one device", n)
	}
	if n := len(w.e.Attempts(cam.MAC, time.Time{}, time.Time{})); n != 1 {
		t.Errorf("the other device has %d", n)
	}
	for i := range 50 {
		mac := dhcp.MAC{2, 1, 0, 0, 0, byte(i)}
		w.e.Sighted(dhcp.Sighting{MAC: mac, Kind: dhcp.Seen})
		for port := range uint16(100) {
			w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: mac, Packet: enforcer.Flow{Src: netip.AddrFrom4([4]byte{192, 168, 77, 200}),
				Dst: enforcertest.HostNamed("evil").V4, Proto: 17, Dport: port + 1}})
		}
	}
	if n := len(w.e.Attempts(dhcp.MAC{}, time.Time{}, time.Time{})); n > 2048 {
		t.Errorf("%d attempts", n)
	}
}

// TestReport: what enforcement would deny of an observed device, and nothing that was denied.
func TestReport(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	w.tried("lamp", "evil", "tcp", 22, enforcer.LogOut)
	w.e.SetMode(d, "observe")
	w.sync()
	for _, port := range []uint16{23, 24, 23} {
		w.tried("lamp", "evil", "tcp", port, enforcer.LogOut+" observed")
	}
	for _, mac := range []dhcp.MAC{d.MAC, {}} {
		r := w.e.Report(mac)
		if len(r.Flows) != 2 || !strings.HasPrefix(r.Text, "enforce now would have denied these 2 flows since 2026-05-01T12:00:00Z") {
			t.Errorf("%s: %+v", r.Text, r.Flows)
		}
	}
	for _, f := range w.e.Report(d.MAC).Flows { // one click each, and there is nothing left to deny
		if _, err := w.e.Allow(d, f.Allow, 0, "", "", false); err != nil {
			t.Error(err)
		}
	}
	w.e.SetMode(d, "enforce")
	w.sync()
	if !w.can("lamp", "evil", "tcp", 23) || !w.can("lamp", "evil", "tcp", 24) || w.can("lamp", "evil", "tcp", 22) {
		t.Error("not what was asked for is open")
	}
}

// TestHistoryRecalled: attempts, counters and states go to the history once an hour and come back from it (hardening.md 3.4).
func TestHistoryRecalled(t *testing.T) {
	w := newWorld(t)
	var kept []enforcer.Record
	writes := 0
	w.record = func(list []enforcer.Record) error {
		writes++
		for _, r := range list {
			r.ID = uint64(len(kept) + 1)
			kept = append(kept, r)
		}
		return nil
	}
	d := w.start().enforced("lamp", lampURL)
	for minute := range 24 * 60 {
		w.e.Tick()
		if minute%10 == 0 {
			w.tried("lamp", "evil", "tcp", 23, enforcer.LogOut)
		}
		w.sync()
		w.now = w.now.Add(time.Minute)
	}
	w.e.Tick()
	if writes > 24 {
		t.Errorf("%d writes of the history in a day", writes)
	}
	if n := len(w.saved); n > 3 {
		t.Errorf("%d writes of the state in a day on which nothing changed", n)
	}
	before := w.e.Attempts(d.MAC, time.Time{}, time.Time{})
	past := kept
	w.start()
	w.e.Recall(past)
	after := w.e.Attempts(d.MAC, time.Time{}, time.Time{})
	if len(before) != 1 || len(after) != 1 || after[0].Count != before[0].Count || after[0].Hours != before[0].Hours || !after[0].First.Equal(before[0].First) {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	d, _ = w.e.Device(d.MAC)
	if a := w.e.View(d, false).Activity; a.Denied[22] != 6 || a.Denied[1] != 6 {
		t.Errorf("%+v", a)
	}
	states := 0
	for _, r := range kept {
		if r.Kind == enforcer.RecordState {
			states++
		}
	}
	if list := w.e.Unrecorded(); states == 0 || len(list) > 1 { // the start notes each state anew; Recall comes before it
		t.Errorf("%d states kept, to be written again: %+v", states, list)
	}
}

// TestHistoryRefused: a disk that refuses is told once, and costs the hour.
func TestHistoryRefused(t *testing.T) {
	w := newWorld(t)
	w.record = func([]enforcer.Record) error { return errors.New("no space left") }
	w.start().enforced("lamp", lampURL)
	for range 3 {
		w.tried("lamp", "evil", "tcp", 23, enforcer.LogOut)
		w.now = w.now.Add(time.Hour)
		w.e.Tick()
	}
	if n := strings.Count(w.log.String(), "no space left"); n != 1 {
		t.Errorf("told %d times", n)
	}
	if list := w.e.Unrecorded(); len(list) != 0 {
		t.Errorf("still there: %v", fmt.Sprint(list))
	}
}
