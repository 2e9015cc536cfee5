package enforcer_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// TestACEsAreShown: R8520-2-h, R8519-4-h. Each ACE is shown with what came of it and what its rules counted.
func TestACEsAreShown(t *testing.T) {
	w := newWorld(t)
	w.counts = func(enforcer.TableFamily, string) ([]enforcer.Count, error) {
		list := make([]enforcer.Count, 100)
		for i := range list {
			list[i] = enforcer.Count{Packets: 1, Bytes: 60}
		}
		return list, nil
	}
	w.start()
	d := w.sight("lamp", lampURL)
	cloud := enforcertest.ACE{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Eq(443)}
	raw := enforcertest.Profile{URL: lampURL, From: []enforcertest.ACE{cloud, cloud}, To: []enforcertest.ACE{cloud}}.JSON()
	p := parse(t, bytes.Replace(raw, []byte(`"forwarding":"accept"`), []byte(`"forwarding":"maybe"`), 1))
	w.fetched(enforcer.Verified{URL: p.URL, SHA256: "x", Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}, nil)
	w.want(d, enforcer.StatusEnforced)
	decided := map[string]bool{}
	for _, a := range w.e.View(d, true).ACEs {
		decision, _, _ := strings.Cut(a.Decision, ":")
		decided[a.Direction+" "+decision] = true
		if applied := decision == "applied"; applied != (a.Packets > 0) || a.Bytes != 60*a.Packets || a.Path == "" {
			t.Errorf("%+v", a)
		}
	}
	for _, want := range []string{"from-device refused", "from-device applied", "to-device replies only (T-01)"} {
		if !decided[want] || len(decided) != 3 {
			t.Errorf("%q is not in %v", want, decided)
		}
	}
}

// TestDeniedIsToldOnce: R9726-9-a. All denials are listed, and the log has what is new.
func TestDeniedIsToldOnce(t *testing.T) {
	w, d := explained(t)
	deny := func(dport uint16) {
		k := enforcertest.Probe{From: "lamp", To: "evil", Proto: "tcp", Sport: 1, Dport: dport}.Packet()
		w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: k.SrcMAC, Packet: k.Flow})
	}
	told := func() int { return strings.Count(w.log.String(), "msg=denied") }
	for range 100 {
		deny(23)
	}
	if len(w.e.Denials(0, d.MAC)) != 100 || told() != 1 {
		t.Errorf("%d denials are listed, and %d in the log", len(w.e.Denials(0, d.MAC)), told())
	}
	deny(24)
	w.now = w.now.Add(11 * time.Minute)
	deny(23)
	if told() != 3 {
		t.Errorf("%d in the log, want another port and what goes on", told())
	}
}

// TestWarnsBeforeOutOfDate: R8520-1.6-h. One warning when nine tenths of cache-validity are over, where nothing is refreshed.
func TestWarnsBeforeOutOfDate(t *testing.T) {
	for name, want := range map[string]int{"imported": 1, "fetched": 0} {
		w := newWorld(t).start()
		d := w.sight("lamp", lampURL)
		doc := signed(t, lampURL, "1", "S", "ca", "a.example")
		doc.FetchedAt = w.now
		if name == "fetched" {
			w.fetched(doc, nil)
		} else if err := w.e.Imported(doc); err != nil {
			t.Fatal(err)
		}
		warned := func() int { return strings.Count(w.log.String(), "about to be out of date") }
		w.now = w.now.Add(43 * time.Hour) // of 48
		w.e.Tick()
		if warned() != 0 {
			t.Errorf("%s: warned already", name)
		}
		for range 3 {
			w.now = w.now.Add(time.Hour)
			w.e.Tick()
		}
		w.want(d, enforcer.StatusEnforced)
		if warned() != want {
			t.Errorf("%s: warned %d times, want %d", name, warned(), want)
		}
	}
}

// TestOnlyDNSIsHeld: R9726-7-a. Names are learned from what is held, which mDNS is not: what it points to is judged as any address.
func TestOnlyDNSIsHeld(t *testing.T) {
	w := newWorld(t).start()
	w.sight("lamp", lampURL)
	p := parse(t, enforcertest.Profile{URL: lampURL, From: []enforcertest.ACE{{Class: enforcertest.Group("local-networks"), Proto: "udp"},
		{Name: "cloud.example", Proto: "tcp"}}}.JSON())
	w.fetched(enforcer.Verified{URL: p.URL, SHA256: "x", Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}, nil)
	r, err := w.kernel.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	asked := func(set string, _ netip.Addr) bool { return strings.HasPrefix(set, "dns_clients") } // by a rule, earlier
	for _, c := range []struct {
		to   string
		port uint16
		held bool
	}{{"gateway", 53, true}, {"neighbour", 5353, false}} {
		k := enforcertest.Probe{From: "lamp", To: c.to, Proto: "udp", Sport: 40000, Dport: c.port}.Reply()
		k.State, k.Reply = "established", true
		if res := enforcer.Evaluate(r, &w.site, k, asked); !res.Accept || res.Queued != c.held {
			t.Errorf("the answer of %s: accepted %v, held %v", c.to, res.Accept, res.Queued)
		}
	}
}

// TestPacketTooBig: R6092-10/18/36. It reaches the device where it is about a flow of its own.
func TestPacketTooBig(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	r, err := w.kernel.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]bool{"related": true, "invalid": false, "new": false} {
		k := enforcertest.Probe{From: "cloud", To: "lamp", V6: true, Proto: "icmpv6", ICMPType: 2}.Packet()
		k.State = state
		if res := enforcer.Evaluate(r, &w.site, k, nil); res.Accept != want {
			t.Errorf("%s: accepted %v; rules %v", state, res.Accept, res.Steps)
		}
	}
}
