package enforcer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

const (
	lampURL = enforcertest.LampURL
	hubURL  = enforcertest.HubURL
)

func url(t testing.TB, s string) mud.URL {
	t.Helper()
	u, err := mud.ParseURL(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestOnboarding: R8520-1.9-a. Without a URL nothing, with one restricted at once, and the profile as soon as it is there.
func TestOnboarding(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", "")
	w.want(d, enforcer.StatusUnmanaged)
	if w.chain("lamp") != "" || !w.can("lamp", "evil", "tcp", 23) {
		t.Error("a device without a URL is restricted")
	}
	w.sight("lamp", lampURL)
	w.want(d, enforcer.StatusFetching)
	if w.can("lamp", "cloud", "tcp", 443) || !w.can("lamp", "gateway", "udp", 53) {
		t.Error("while its profile is fetched it should have DNS and no more")
	}
	if len(w.fetcher.asked) != 1 || w.fetcher.asked[0] != lampURL {
		t.Errorf("asked for %v", w.fetcher.asked)
	}
	w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
	w.want(d, enforcer.StatusEnforced)
	if w.can("lamp", "cloud", "tcp", 443) {
		t.Error("nobody resolved the name yet")
	}
	w.resolve("cloud.example", enforcertest.HostNamed("cloud").V4)
	if !w.can("lamp", "cloud", "tcp", 443) || w.can("lamp", "cloud", "tcp", 80) || w.can("lamp", "evil", "tcp", 443) {
		t.Error("its profile is not what is enforced")
	}
	if !strings.Contains(w.text(), "Maker sha-1: from/from0") {
		t.Error("the ruleset does not name model and ACE")
	}
}

// TestNamesOfOthers: R9726-ours-b. The name of one device opens nothing for another.
func TestNamesOfOthers(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	w.sight("hub", hubURL)
	w.fetched(verified(t, hubURL, "sha-hub", "hub.example"), nil)
	w.resolve("hub.example", enforcertest.HostNamed("cloud").V4)
	if !w.can("hub", "cloud", "tcp", 443) || w.can("lamp", "cloud", "tcp", 443) {
		t.Error("not for whom it is")
	}
}

// TestClassIsNotAsked: R8520-4.6-b. The URL of a class of controllers is a name for it, and nothing to ask for.
func TestClassIsNotAsked(t *testing.T) {
	w := newWorld(t).start()
	w.sight("lamp", lampURL)
	p := parse(t, enforcertest.Profile{URL: lampURL,
		From: []enforcertest.ACE{{Class: enforcertest.Class("controller", "https://class.example/hub"), Proto: "tcp"}}}.JSON())
	w.fetched(enforcer.Verified{URL: p.URL, SHA256: "x", Profile: *p, NextRefresh: w.now.Add(48 * time.Hour)}, nil)
	w.e.Tick()
	if len(w.fetcher.asked) != 1 || len(w.names.Due(w.now, 10)) != 0 {
		t.Errorf("fetched %v, looks up %v", w.fetcher.asked, w.names.Due(w.now, 10))
	}
}

// TestFailed: R8520-1.6-k, R8520-15-c. No profile is no freedom, unless the administrator says so.
func TestFailed(t *testing.T) {
	for _, allow := range []bool{false, true} {
		for name, c := range map[string]struct {
			err   error
			state enforcer.Status
		}{
			"failed": {errors.New("no such host"), enforcer.StatusFailed},
			"held":   {heldErr("sha-1"), enforcer.StatusHeld},
		} {
			w := newWorld(t)
			w.cfg.FailedAllow = allow
			w.start()
			d := w.sight("lamp", lampURL)
			w.fetched(enforcer.Verified{URL: url(t, lampURL)}, c.err)
			w.want(d, c.state)
			if w.can("lamp", "evil", "tcp", 23) != allow || w.can("lamp", "gateway", "tcp", 22) != allow || !w.can("lamp", "gateway", "udp", 53) {
				t.Errorf("%s, failed allow %v: not as configured", name, allow)
			}
			if j := w.e.Judge(d); !strings.Contains(j.Reason, c.err.Error()) {
				t.Errorf("reason %q does not say %q", j.Reason, c.err)
			}
		}
	}
}

// TestBackoff: R8520-1.6-k. A failed fetch is tried again, ever more rarely, and then heals.
func TestBackoff(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", lampURL)
	for answered := 0; w.now.Before(time.Date(2026, 5, 1, 15, 20, 0, 0, time.UTC)); {
		if len(w.fetcher.asked) > answered {
			answered = len(w.fetcher.asked)
			w.fetched(enforcer.Verified{URL: url(t, lampURL)}, errors.New("no route"))
		}
		w.now = w.now.Add(time.Minute)
		w.e.Tick()
	}
	if n := len(w.fetcher.asked); n < 5 || n > 20 {
		t.Errorf("%d fetches in 200 minutes", n)
	}
	w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
	w.want(d, enforcer.StatusEnforced)
}

// TestBadURL: R8520-1.5-a, T-04. A device that announces nonsense is no device without a URL.
func TestBadURL(t *testing.T) {
	for name, s := range map[string]dhcp.Sighting{
		"http":               {URL: "http://mud.lamps.example/lamp"},
		"300 octets":         {URL: "https://mud.lamps.example/" + strings.Repeat("a", 275)},
		"user information":   {URL: "https://a@mud.lamps.example/lamp"},
		"control characters": {Problem: "the URL has the control character \x1b[31m at octet 3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start()
			h := enforcertest.HostNamed("lamp")
			s.MAC, s.Kind, s.Addr = h.MAC, dhcp.Bound, h.V4
			d := w.hear(s)
			w.want(d, enforcer.StatusFailed)
			if w.can("lamp", "evil", "tcp", 23) {
				t.Error("it is not restricted")
			}
			if j := w.e.Judge(d); strings.ContainsAny(j.Reason, "\x1b\n") {
				t.Errorf("reason %q", j.Reason)
			}
			if len(w.fetcher.asked) > 0 {
				t.Errorf("fetched %v", w.fetcher.asked)
			}
			w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Seen}) // T-05
			w.want(d, enforcer.StatusFailed)
			w.sight("lamp", lampURL)
			w.want(d, enforcer.StatusFetching)
			w.enforced("lamp", lampURL)
			w.hear(s)
			w.want(d, enforcer.StatusEnforced) // what it was bound to stays
		})
	}
}

// TestNoURLIsNoNews: T-05, R8520-10-e.
func TestNoURLIsNoNews(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	before, applied, saved := w.text(), len(w.applied), len(w.saved)
	for _, kind := range []dhcp.Kind{dhcp.Seen, dhcp.Bound} {
		h := enforcertest.HostNamed("lamp")
		w.hear(dhcp.Sighting{MAC: h.MAC, Kind: kind, Addr: h.V4})
	}
	w.sight("lamp", lampURL)
	w.want(d, enforcer.StatusEnforced)
	if w.text() != before || len(w.applied) != applied || len(w.saved) != saved {
		t.Errorf("a renewal changed something: %d changes, %d writes", len(w.applied)-applied, len(w.saved)-saved)
	}
}

// TestSecondURLWaits: T1. What a device wishes later waits for the administrator.
func TestSecondURLWaits(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	before := w.text()
	w.sight("lamp", hubURL)
	w.want(d, enforcer.StatusEnforced)
	if w.text() != before || d.Pending.String() != hubURL || d.URL.String() != lampURL {
		t.Errorf("bound to %s, pending %s", d.URL, d.Pending)
	}
	if j := w.e.Judge(d); !strings.Contains(j.Reason, hubURL) {
		t.Errorf("reason %q does not tell of it", j.Reason)
	}
	if len(w.fetcher.asked) != 2 { // to be able to say what it would allow
		t.Errorf("fetched %v", w.fetcher.asked)
	}
	w.sight("lamp", lampURL) // it thinks better of it
	if !d.Pending.IsZero() {
		t.Errorf("still pending: %s", d.Pending)
	}
	w.sight("lamp", hubURL)
	if err := w.e.Approve(d, "test"); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.want(d, enforcer.StatusFetching)
	w.fetched(verified(t, hubURL, "sha-hub", "hub.example"), nil)
	w.want(d, enforcer.StatusEnforced)
	if !strings.Contains(w.text(), "hub.example") || strings.Contains(w.text(), "cloud.example") {
		t.Error("the old policy is still there, or the new one is not")
	}
}

// TestSecondURLBeforeEnforcement: nothing is pinned before a profile was enforced.
func TestSecondURLBeforeEnforcement(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", lampURL)
	w.fetched(enforcer.Verified{URL: url(t, lampURL)}, errors.New("404"))
	w.sight("lamp", hubURL)
	if d.URL.String() != hubURL {
		t.Errorf("bound to %s", d.URL)
	}
	w.want(d, enforcer.StatusFetching)
}

// TestPinSurvivesRestart: T1 over a restart.
func TestPinSurvivesRestart(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	w.start()
	if d := w.sight("lamp", hubURL); d.URL.String() != lampURL || d.Pending.String() != hubURL {
		t.Errorf("bound to %s, pending %s", d.URL, d.Pending)
	}
}

// TestActions: hold, quarantine, release, observe, forget, assign.
func TestActions(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	w.resolve("cloud.example", enforcertest.HostNamed("cloud").V4)
	profile := w.chain("lamp")
	step := func(name string, do func(), s enforcer.Status, cloud, dns bool) {
		t.Helper()
		do()
		w.sync()
		w.want(d, s)
		if w.can("lamp", "cloud", "tcp", 443) != cloud || w.can("lamp", "gateway", "udp", 53) != dns || !w.can("lamp", "gateway", "udp", 53) == dns {
			t.Errorf("%s: cloud %v, dns %v", name, w.can("lamp", "cloud", "tcp", 443), w.can("lamp", "gateway", "udp", 53))
		}
	}
	step("quarantine", func() { w.e.Quarantine(d) }, enforcer.StatusQuarantined, false, false)
	step("release", func() { w.e.Release(d) }, enforcer.StatusEnforced, false, true)
	w.resolve("cloud.example", enforcertest.HostNamed("cloud").V4)
	step("hold", func() { w.e.Hold(d) }, enforcer.StatusHeld, false, true)
	step("approve", func() {
		if err := w.e.Approve(d, "test"); err != nil {
			t.Fatal(err)
		}
	}, enforcer.StatusEnforced, false, true)
	if w.chain("lamp") != profile {
		t.Error("approved, and another policy than before")
	}
	step("observe", func() { w.e.SetMode(d, "observe") }, enforcer.StatusObserved, true, true)
	step("enforce", func() { w.e.SetMode(d, "enforce") }, enforcer.StatusEnforced, false, true)
	step("both", func() { w.e.Hold(d); w.e.Quarantine(d) }, enforcer.StatusQuarantined, false, false)
	step("release of both", func() { w.e.Release(d) }, enforcer.StatusEnforced, false, true)
	w.e.Forget(d)
	w.sync()
	if w.e.Known() != 0 || w.chain("lamp") != "" || strings.Contains(w.text(), "p_") {
		t.Error("something of it is left")
	}
}

// TestAssign: R8520-1.8-a. What the administrator says of a device is as good as what it says itself.
func TestAssign(t *testing.T) {
	w := newWorld(t).start()
	lamp := enforcertest.HostNamed("lamp").MAC
	if err := w.e.Assign(lamp, url(t, lampURL)); err != nil {
		t.Fatal(err)
	}
	w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
	d, _ := w.e.Device(lamp)
	w.want(d, enforcer.StatusEnforced)
	w.sight("cam", lampURL)
	if w.chain("lamp") == "" || w.chain("lamp") != w.chain("cam") {
		t.Error("another policy than that of a device which announces the URL")
	}
	w.sight("lamp", hubURL) // what the administrator said stays
	if d.URL.String() != lampURL || d.Source != "admin" {
		t.Errorf("bound to %s by %s", d.URL, d.Source)
	}
	if err := w.e.Assign(lamp, mud.URL{}); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.want(d, enforcer.StatusUnmanaged)
	for _, bad := range []dhcp.MAC{{}, {1, 0, 0x5e, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		if w.e.Assign(bad, url(t, lampURL)) == nil {
			t.Errorf("%s got a URL", bad)
		}
	}
}

// TestApprovalIsOfOneFile: onboarding approve, and the approval is bound to the hash.
func TestApprovalIsOfOneFile(t *testing.T) {
	w := newWorld(t)
	w.cfg.Onboarding = "approve"
	w.start()
	d := w.sight("lamp", lampURL)
	if w.e.Approve(d, "test") == nil {
		t.Error("approved what is not there yet")
	}
	w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
	w.want(d, enforcer.StatusHeld)
	if err := w.e.Approve(d, "test"); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.want(d, enforcer.StatusEnforced)
	other := w.sight("hub", lampURL)
	w.want(other, enforcer.StatusHeld) // an approval is of one device
	next := verified(t, lampURL, "sha-2", "wider.example")
	w.fetched(next, nil)
	w.want(d, enforcer.StatusEnforced) // by the file that was approved
	if strings.Contains(w.text(), "wider.example") {
		t.Error("a file that nobody approved is enforced")
	}
	if err := w.e.Approve(d, "test"); err != nil {
		t.Fatal(err)
	}
	w.sync()
	if !strings.Contains(w.text(), "wider.example") {
		t.Error("the approved file is not enforced")
	}
}

// TestFailedApprovalChangesNothing: an error of an action leaves all as it was.
func TestFailedApprovalChangesNothing(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", lampURL)
	w.e.Hold(d)
	w.sync()
	if w.e.Approve(d, "test") == nil {
		t.Error("approved what is not there yet")
	}
	w.want(d, enforcer.StatusHeld)
}

// TestHeldFileIsApproved: the file is fetched once more, and taken if it is still that one.
func TestHeldFileIsApproved(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", lampURL)
	w.fetched(enforcer.Verified{URL: url(t, lampURL)}, heldErr("sha-1"))
	w.want(d, enforcer.StatusHeld)
	if err := w.e.Approve(d, "test"); err != nil {
		t.Fatal(err)
	}
	if !w.fetcher.approved["sha-1"] || len(w.fetcher.asked) != 2 {
		t.Errorf("approved %v, asked %v", w.fetcher.approved, w.fetcher.asked)
	}
	w.fetched(enforcer.Verified{URL: url(t, lampURL)}, heldErr("sha-other"))
	w.want(d, enforcer.StatusHeld)
	w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
	w.want(d, enforcer.StatusEnforced)
}

// TestNoPolicyStated: T-12, R9472-5-a.
func TestNoPolicyStated(t *testing.T) {
	for _, block := range []bool{false, true} {
		w := newWorld(t)
		w.site.BlockUnmanaged = block
		w.start()
		d := w.sight("lamp", lampURL)
		p := parse(t, enforcertest.Profile{URL: lampURL, NoFrom: true, NoTo: true}.JSON())
		w.fetched(enforcer.Verified{URL: p.URL, SHA256: "x", Profile: *p}, nil)
		w.want(d, enforcer.StatusUnmanaged)
		if w.can("lamp", "evil", "tcp", 1) == block {
			t.Errorf("unmanaged block %v is not what it gets", block)
		}
	}
}

// TestTrusted: R8520-10-f. lan.trusted is beyond every policy.
func TestTrusted(t *testing.T) {
	w := newWorld(t)
	w.site.Trusted, w.site.BlockUnmanaged = []dhcp.MAC{enforcertest.HostNamed("lamp").MAC}, true
	w.start()
	d := w.sight("lamp", lampURL)
	w.want(d, enforcer.StatusTrusted)
	w.e.Quarantine(d)
	w.sync()
	if !w.can("lamp", "gateway", "tcp", 22) || w.can("hub", "gateway", "tcp", 22) {
		t.Error("the administrator's machine is restricted, or another is not")
	}
}

// TestSetSite: R8520-15-c. A new configuration is taken while running, and equal ones change nothing.
func TestSetSite(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	n := len(w.applied)
	w.e.SetSite(w.cfg, w.site)
	w.sync()
	if len(w.applied) != n {
		t.Error("the same site is a change")
	}
	site := w.site
	site.BlockUnmanaged = true
	w.e.SetSite(w.cfg, site)
	w.sync()
	if w.can("neighbour", "evil", "tcp", 1) || !w.can("neighbour", "gateway", "udp", 53) {
		t.Error("unmanaged devices are not blocked")
	}
	w.e.SetSite(w.cfg, w.site)
	w.sync()
	if !w.can("neighbour", "evil", "tcp", 1) {
		t.Error("unmanaged devices are still blocked")
	}
}

// TestQuarantinedMemberLeavesItsClass: R8520-4.2-a, R8520-16-i, R8520-16-k. Who is cut off is nobody's peer.
func TestQuarantinedMemberLeavesItsClass(t *testing.T) {
	w := newWorld(t).start()
	peer := func(host, url, sha string) *enforcer.Device {
		d := w.sight(host, url)
		p := parse(t, enforcertest.Profile{URL: url, Mfg: sha,
			From: []enforcertest.ACE{{Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Remote: enforcertest.Eq(8080)}},
			To:   []enforcertest.ACE{{Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Local: enforcertest.Eq(8080)}}}.JSON())
		w.fetched(enforcer.Verified{URL: p.URL, SHA256: sha, Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}, nil)
		return d
	}
	peer("lamp", lampURL, "one")
	if w.can("lamp", "hub", "tcp", 8080) {
		t.Error("a device without a URL is in a class")
	}
	hub := peer("hub", hubURL, "two")
	if w.can("lamp", "hub", "tcp", 8080) || w.can("hub", "lamp", "tcp", 8080) {
		t.Error("anybody can announce a URL by DHCP, and is in a class by that")
	}
	for _, d := range []*enforcer.Device{w.sight("lamp", ""), hub} {
		if !strings.Contains(w.e.Judge(d).Reason, "mudguard approve") {
			t.Errorf("nobody is told what to do: %s", w.e.Judge(d).Reason)
		}
		if err := w.e.Approve(d, "test"); err != nil {
			t.Fatal(err)
		}
	}
	w.sync()
	if !w.can("lamp", "hub", "tcp", 8080) || !w.can("hub", "lamp", "tcp", 8080) {
		t.Error("both are there and do not reach each other")
	}
	w.e.Quarantine(hub)
	w.sync()
	if w.can("lamp", "hub", "tcp", 8080) {
		t.Error("still a member")
	}
	w.e.Release(hub)
	w.e.Forget(hub)
	w.sync()
	if w.can("lamp", "hub", "tcp", 8080) {
		t.Error("forgotten, and still a member")
	}
}

// TestLostStateStaysRestricted: F10. Devices that the kernel has under policy and the state does not know are not let go.
func TestLostStateStaysRestricted(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", lampURL)
	w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
	w.want(d, enforcer.StatusEnforced)
	w.saved = nil
	w.start()
	again, ok := w.e.Device(d.MAC)
	if !ok {
		t.Fatal("the device is let go")
	}
	if v := w.e.View(again, false); v.State != enforcer.StatusFailed || v.Policy == "" {
		t.Errorf("state %s, chains %q: %s", v.State, v.Policy, v.Reason)
	}
}

// TestStrangersAreNotWritten: T14, a MAC that passes costs no flash.
func TestStrangersAreNotWritten(t *testing.T) {
	w := newWorld(t).start()
	w.sight("neighbour", "")
	if len(w.saved) > 0 {
		t.Errorf("saved %d times for a device without a URL", len(w.saved))
	}
}
