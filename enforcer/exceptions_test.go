package enforcer_test

import (
	"strings"
	"testing"
	"time"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

var telnet = enforcer.Permit{Direction: "out", Proto: "tcp", Remote: "203.0.113.66", Port: 23}

// TestException: what the administrator allows for a while is open as long, survives a restart, and the preview opens nothing.
func TestException(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	v, err := w.e.Allow(d, telnet, time.Hour, "for the update", "root", true)
	if err != nil || !strings.Contains(v.Text, "may open port 23/tcp to 203.0.113.66") || !strings.Contains(v.Text, "beyond its manufacturer's policy") {
		t.Fatalf("%+v, %v", v, err)
	}
	w.sync()
	if w.can("lamp", "evil", "tcp", 23) || len(w.e.Exceptions(d)) != 0 {
		t.Error("the preview opened it")
	}
	if v, err = w.e.Allow(d, telnet, time.Hour, "for the update", "root", false); err != nil {
		t.Fatal(err)
	}
	w.sync()
	if !w.can("lamp", "evil", "tcp", 23) || w.can("lamp", "evil", "tcp", 24) || w.can("cam", "evil", "tcp", 23) != true {
		t.Error("not exactly what was asked for is open")
	}
	w.now = w.now.Add(30 * time.Minute)
	w.start()
	d, _ = w.e.Device(d.MAC)
	if !w.can("lamp", "evil", "tcp", 23) {
		t.Error("lost at the restart")
	}
	if list := w.e.Exceptions(d); len(list) != 1 || list[0].ID != v.ID || !list[0].Active || list[0].Note != "for the update" || list[0].By != "root" {
		t.Errorf("%+v", list)
	}
	w.now = w.now.Add(30 * time.Minute)
	w.e.Tick()
	w.sync()
	if w.can("lamp", "evil", "tcp", 23) || len(w.e.Exceptions(d)) != 0 {
		t.Error("it did not end")
	}
}

// TestExceptionRevoked: it can be taken away, and one that is for always stays until then, whatever the clock says.
func TestExceptionRevoked(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	v, err := w.e.Allow(d, telnet, 0, "", "root", false)
	if err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.now = w.now.Add(-10 * 365 * 24 * time.Hour)
	w.start()
	d, _ = w.e.Device(d.MAC)
	if !w.can("lamp", "evil", "tcp", 23) {
		t.Error("an exception for always ended")
	}
	if err := w.e.Revoke(d, "other"); err == nil {
		t.Error("an exception that is not there was removed")
	}
	if err := w.e.Revoke(d, v.ID); err != nil {
		t.Fatal(err)
	}
	w.sync()
	if w.can("lamp", "evil", "tcp", 23) {
		t.Error("still open")
	}
}

// TestExceptionDirections: one for what others open lets nobody else in and nothing out, names stand for their addresses, and an
// exception does not count while the clock shows a time before it was made.
func TestExceptionDirections(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	for _, p := range []enforcer.Permit{{Direction: "in", Proto: "tcp", Remote: "192.168.77.50", Port: 80},
		{Direction: "out", Proto: "udp", Remote: "Evil.Example.", Port: 53}} {
		if _, err := w.e.Allow(d, p, time.Hour, "", "root", false); err != nil {
			t.Fatal(err)
		}
	}
	w.sync()
	evil := enforcertest.HostNamed("evil")
	w.resolve("evil.example", evil.V4)
	for _, c := range []struct {
		from, to, proto string
		port            uint16
		want            bool
	}{{"neighbour", "lamp", "tcp", 80, true}, {"neighbour", "lamp", "tcp", 81, false}, {"hub", "lamp", "tcp", 80, false},
		{"lamp", "neighbour", "tcp", 80, false}, {"lamp", "evil", "udp", 53, true}, {"lamp", "evil", "tcp", 53, false}} {
		if got := w.can(c.from, c.to, c.proto, c.port); got != c.want {
			t.Errorf("%s to %s %s/%d: %v", c.from, c.to, c.proto, c.port, got)
		}
	}
	w.now = w.now.Add(-time.Minute)
	w.e.Tick()
	w.sync()
	if w.can("neighbour", "lamp", "tcp", 80) {
		t.Error("open before its time")
	}
	w.now = w.now.Add(2 * time.Minute)
	w.e.Tick()
	w.sync()
	if !w.can("neighbour", "lamp", "tcp", 80) {
		t.Error("not open again")
	}
}

// TestExceptionRefused lists what opens nothing.
func TestExceptionRefused(t *testing.T) {
	w := newWorld(t).start()
	free, d := w.sight("cam", ""), w.enforced("lamp", lampURL)
	for _, p := range []enforcer.Permit{{}, {Direction: "both", Proto: "tcp", Remote: "a.example"}, {Direction: "out", Proto: "tcpp", Remote: "a.example"},
		{Direction: "out", Proto: "tcp", Remote: ""}, {Direction: "out", Proto: "tcp", Remote: "0.0.0.0"}, {Direction: "out", Proto: "tcp", Remote: "10.0.0.0/8"},
		{Direction: "out", Proto: "tcp", Remote: "a b"}, {Direction: "out", Proto: "tcp", Remote: "<b>.example"}, {Direction: "out", Proto: "icmp", Remote: "2001:db8::1"},
		{Direction: "out", Proto: "icmp", Remote: "192.0.2.1", Port: 8}, {Direction: "out", Proto: "tcp", Remote: strings.Repeat("a.", 200) + "example"},
		{Direction: "out", Proto: "tcp", Remote: "fe80::1%eth0"}} {
		if v, err := w.e.Allow(d, p, time.Hour, "", "root", false); err == nil {
			t.Errorf("%+v was taken: %s", p, v.Text)
		}
	}
	if _, err := w.e.Allow(free, telnet, time.Hour, "", "root", false); err == nil {
		t.Error("an exception of no policy")
	}
	for _, length := range []time.Duration{-1, time.Second, 9000 * time.Hour} {
		if _, err := w.e.Allow(d, telnet, length, "", "root", false); err == nil {
			t.Errorf("for %s", length)
		}
	}
	if len(w.e.Exceptions(d)) != 0 {
		t.Error("something was kept")
	}
	for range 64 {
		if _, err := w.e.Allow(d, telnet, time.Hour, strings.Repeat("n", 1000), "root", false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.e.Allow(d, telnet, time.Hour, "", "root", false); err == nil {
		t.Error("no bound")
	}
}
