package enforcer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

// signed is a profile that a signer under a CA signed.
func signed(t testing.TB, url, sha, signer, ca string, names ...string) enforcer.Verified {
	t.Helper()
	p := enforcertest.Profile{URL: url, Mfg: "Maker", Model: "One"}
	for _, n := range names {
		p.From = append(p.From, enforcertest.ACE{Name: n, Proto: "tcp", Remote: enforcertest.Eq(443)})
	}
	parsed := parse(t, p.JSON())
	return enforcer.Verified{URL: parsed.URL, Named: parsed.URL, SHA256: sha, Profile: *parsed, Signer: signer, SignerSKI: ca,
		SignerName: nameOf(signer), NextRefresh: time.Date(2026, 5, 3, 12, 0, 0, 0, time.UTC)}
}

// onWire is what one announcer says of a host's URL.
func (w *world) onWire(host, source, url string) *enforcer.Device {
	w.t.Helper()
	return w.hear(dhcp.Sighting{MAC: enforcertest.HostNamed(host).MAC, Kind: dhcp.Seen, Source: dhcp.Source(source), Interface: enforcertest.LAN, URL: url, TTL: time.Minute})
}

const base = "https://mud.lamps.example/a/b/"

// TestURLChanges is the table of the acceptable-urls draft: RAU-5-e, RAU-5.1-a, RAU-5.1-b, RAU-1-a, T-32, T1, T2, T3, R8520-16-j.
func TestURLChanges(t *testing.T) {
	const (
		v1, v2    = base + "v1", base + "v2"
		elsewhere = "https://mud.lamps.example/a/c/v2"
		foreign   = "https://mud.other.example/a/b/v2"
	)
	for name, c := range map[string]struct {
		old, next enforcer.Verified
		moves     bool
		why       string
	}{
		"same base, same signer":       {signed(t, v1, "1", "S", "ca", "a.example"), signed(t, v2, "2", "S", "ca", "a.example"), true, ""},
		"it allows less":               {signed(t, v1, "1", "S", "ca", "a.example", "b.example"), signed(t, v2, "2", "S", "ca", "b.example"), true, ""},
		"it allows more":               {signed(t, v1, "1", "S", "ca", "a.example"), signed(t, v2, "2", "S", "ca", "a.example", "b.example"), false, "newly allow: tcp/443 over IPv4 with b.example"},
		"another signer":               {signed(t, v1, "1", "S", "ca", "a.example"), signed(t, v2, "2", "X", "ca", "a.example"), false, "signed by X"},
		"the name under another CA":    {signed(t, v1, "1", "S", "ca", "a.example"), signed(t, v2, "2", "S", "rogue", "a.example"), false, "signed by S"},
		"signed by nobody":             {signed(t, v1, "1", "S", "ca", "a.example"), signed(t, v2, "2", "", "", "a.example"), false, "signed by nobody"},
		"the old one signed by nobody": {signed(t, v1, "1", "", "", "a.example"), signed(t, v2, "2", "S", "ca", "a.example"), false, "nobody signed"},
		"another path":                 {signed(t, v1, "1", "S", "ca", "a.example"), signed(t, elsewhere, "2", "S", "ca", "a.example"), false, "last part"},
		"another authority":            {signed(t, v1, "1", "S", "ca", "a.example"), signed(t, foreign, "2", "S", "ca", "a.example"), false, "last part"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start()
			d := w.onWire("lamp", "dhcpv4", c.old.URL.String())
			w.fetched(c.old, nil)
			w.want(d, enforcer.StatusEnforced)
			before := w.chain("lamp")
			w.onWire("lamp", "dhcpv4", c.next.URL.String())
			if d.URL != c.old.URL || w.chain("lamp") != before {
				t.Fatal("moved before the profile behind it was seen")
			}
			if asked := slices.Contains(w.fetcher.asked, c.next.URL.String()); asked != (c.why != "last part") {
				t.Errorf("asked for the file behind it: %v", asked) // T-34
			}
			w.fetched(c.next, nil)
			w.want(d, enforcer.StatusEnforced)
			if moved := d.URL == c.next.URL; moved != c.moves || d.Pending.IsZero() != c.moves {
				t.Errorf("URL %s, pending %s", d.URL, d.Pending)
			}
			if j := w.e.Judge(d); !strings.Contains(j.Reason, c.why) {
				t.Errorf("reason %q does not say %q", j.Reason, c.why)
			}
			if !c.moves && w.chain("lamp") != before {
				t.Error("it has another policy")
			}
		})
	}
	t.Run("and back", func(t *testing.T) {
		w := newWorld(t).start()
		d := w.onWire("lamp", "dhcpv4", v1)
		w.fetched(signed(t, v1, "1", "S", "ca", "a.example"), nil)
		w.onWire("lamp", "dhcpv4", v2)
		w.fetched(signed(t, v2, "2", "S", "ca", "a.example"), nil)
		if d.URL.String() != v2 {
			t.Fatalf("URL %s", d.URL)
		}
		w.start() // it is remembered
		d = w.onWire("lamp", "dhcpv4", v1)
		w.fetched(signed(t, v1, "1", "S", "ca", "a.example"), nil)
		if d.URL.String() != v2 || !strings.Contains(w.e.Judge(d).Reason, "had it before") {
			t.Errorf("URL %s: %s", d.URL, w.e.Judge(d).Reason)
		}
	})
}

// TestFileMoves: RAU-5-c. The signed profile in force may say that it moved; one that nobody vouches for may not.
func TestFileMoves(t *testing.T) {
	for name, signer := range map[string]string{"same signer": "S", "another": "X", "nobody": ""} {
		w := newWorld(t).start()
		d := w.onWire("lamp", "dhcpv4", base+"v1")
		w.fetched(signed(t, base+"v1", "1", "S", "ca", "a.example"), nil)
		w.fetched(enforcer.Verified{URL: url(t, base+"v1"), Named: url(t, "https://new.example/x"), Signer: signer, SignerSKI: "ca"}, heldErr("2"))
		w.fetched(signed(t, "https://new.example/x", "2", "S", "ca", "a.example"), nil)
		if moved := d.URL.String() == "https://new.example/x"; moved != (signer == "S") {
			t.Errorf("%s: URL %s", name, d.URL)
		}
		w.want(d, enforcer.StatusEnforced)
		w.onWire("lamp", "dhcpv4", base+"v1") // what it always says is no news
		if !d.Pending.IsZero() {
			t.Errorf("%s: pending %s", name, d.Pending)
		}
	}
}

// TestFileChanges: what a changed file behind the same URL may do by itself. R8520-1.8-b, R8520-16-f, R8520-16-g, R8520-3.4-a, T3, T4,
// R8520-13.2-f.
func TestFileChanges(t *testing.T) {
	older := signed(t, lampURL, "2", "S", "ca", "a.example")
	older.Profile.LastUpdate = older.Profile.LastUpdate.Add(-time.Hour)
	none := signed(t, lampURL, "2", "S", "ca")
	none.Profile.FromDevice, none.Profile.ToDevice = nil, nil
	for name, c := range map[string]struct {
		next  enforcer.Verified
		taken bool
		why   string
	}{
		"narrower":             {signed(t, lampURL, "2", "S", "ca", "a.example"), true, ""},
		"wider":                {signed(t, lampURL, "2", "S", "ca", "a.example", "b.example", "c.example"), false, "newly allow: tcp/443 over IPv4 with c.example"},
		"no policy any more":   {none, false, "everything"},
		"another signer":       {signed(t, lampURL, "2", "X", "ca", "a.example"), false, "signed by X, and the one in force by S"},
		"another CA":           {signed(t, lampURL, "2", "S", "rogue", "a.example"), false, "under another CA"},
		"signed once, not now": {signed(t, lampURL, "2", "", "", "a.example"), false, "by nobody"},
		"older":                {older, false, "older than the one in force"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start()
			d := w.sight("lamp", lampURL)
			w.fetched(signed(t, lampURL, "1", "S", "ca", "a.example", "b.example"), nil)
			before := w.chain("lamp")
			w.fetched(c.next, nil)
			w.want(d, enforcer.StatusEnforced)
			if taken := w.chain("lamp") != before; taken != c.taken || !strings.Contains(w.e.Judge(d).Reason, c.why) {
				t.Errorf("taken %v: %s", taken, w.e.Judge(d).Reason)
			}
			w.start() // what waits does not slip in with a restart
			if taken := w.chain("lamp") != before; taken != c.taken {
				t.Errorf("after a restart taken %v", taken)
			}
			if c.taken || name == "older" {
				return
			}
			w.fetched(c.next, nil)
			d, _ = w.e.Device(d.MAC)
			if v := w.e.View(d, true).Profile.Waiting; v == nil || !strings.Contains(v.Reason, c.why) {
				t.Errorf("waiting %+v", v)
			}
			if err := w.e.Approve(d, "uid 0"); err != nil {
				t.Fatal(err)
			}
			w.sync()
			if w.chain("lamp") == before || d.Approval == nil || d.Approval.By != "uid 0" || d.Approval.Reason == "" {
				t.Errorf("approved, and %+v", d.Approval)
			}
			w.fetched(signed(t, lampURL, "3", "S", "ca", "a.example", "d.example"), nil) // an approval is of one file
			if strings.Contains(w.text(), "d.example") && c.next.Profile.FromDevice != nil {
				t.Error("another file came in by it")
			}
		})
	}
	t.Run("the same file signed by another", func(t *testing.T) { // R8520-16-f
		w := newWorld(t).start()
		d := w.sight("lamp", lampURL)
		w.fetched(signed(t, lampURL, "1", "S", "ca", "a.example"), nil)
		w.fetched(signed(t, lampURL, "1", "X", "ca", "a.example"), nil)
		w.want(d, enforcer.StatusEnforced)
		if d.Signer != "S" || !strings.Contains(w.e.Judge(d).Reason, "now signed by X") {
			t.Errorf("signer %s: %s", d.Signer, w.e.Judge(d).Reason)
		}
		w.fetched(signed(t, lampURL, "2", "X", "ca", "a.example"), nil)
		if w.e.View(d, false).Profile.Waiting == nil {
			t.Error("its next file is taken")
		}
	})
}

// TestSignerIsPinned: T5, RAU-5-a, RAU-5-e. Who signed is remembered with the device, also where the cache is lost.
func TestSignerIsPinned(t *testing.T) {
	w := newWorld(t).start()
	w.sight("lamp", lampURL)
	w.fetched(signed(t, lampURL, "1", "S", "ca", "a.example"), nil)
	w.fetcher.cache = map[mud.URL]enforcer.Verified{}
	w.start()
	d := w.sight("lamp", "")
	w.fetched(signed(t, lampURL, "2", "X", "ca", "a.example"), nil)
	w.want(d, enforcer.StatusHeld)
	if j := w.e.Judge(d); !strings.Contains(j.Reason, "was signed by S, and is signed by X now") || strings.Contains(w.text(), "a.example") {
		t.Errorf("%s", j.Reason)
	}
	if err := w.e.Approve(d, "test"); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.want(d, enforcer.StatusEnforced)
	if d.Signer != "X" {
		t.Errorf("pinned to %s", d.Signer)
	}
}

// TestLadder: standards.md 1.10, T1, R8520-10.1-b. What a better source says, a worse one can't unsay; two of one rung must agree.
func TestLadder(t *testing.T) {
	w := newWorld(t).start()
	d := w.onWire("lamp", "dhcpv4", lampURL)
	w.fetched(signed(t, lampURL, "1", "S", "ca", "a.example"), nil)
	w.want(d, enforcer.StatusEnforced)
	for _, other := range []string{"dhcpv6", "lldp"} {
		w.onWire("lamp", other, hubURL)
		w.want(d, enforcer.StatusHeld)
		j := w.e.Judge(d)
		for _, s := range []string{"conflicting sources", "dhcpv4 says " + lampURL, other + " says " + hubURL} {
			if !strings.Contains(j.Reason, s) {
				t.Errorf("reason %q does not say %q", j.Reason, s)
			}
		}
		if strings.Contains(w.text(), "a.example") {
			t.Error("it has a profile meanwhile")
		}
		w.onWire("lamp", other, lampURL)
		w.want(d, enforcer.StatusEnforced)
	}
	w.onWire("lamp", "lldp", hubURL)
	if err := w.e.Approve(d, "test"); err != nil { // the administrator takes the second
		t.Fatal(err)
	}
	w.fetched(signed(t, hubURL, "2", "S", "ca", "hub.example"), nil)
	w.want(d, enforcer.StatusEnforced)
	w.onWire("lamp", "dhcpv4", lampURL) // that was decided
	w.want(d, enforcer.StatusEnforced)
	if err := w.e.AssignAs(d.MAC, enforcer.Announcement{URL: url(t, lampURL), Source: "x509"}); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.onWire("lamp", "dhcpv6", "https://third.example/")
	if d.URL.String() != lampURL || d.Source != "x509" || !d.Pending.IsZero() {
		t.Errorf("URL %s by %s, pending %s", d.URL, d.Source, d.Pending)
	}
}

// TestHelpers: T-03, RDHCP-3396-b. A helper's word is the frame's, cut at the first "=".
func TestHelpers(t *testing.T) {
	const whole, cut = "https://mud.lamps.example/q?m=1", "https://mud.lamps.example/q?m"
	for name, order := range map[string][2]string{"frame first": {"dhcpv4", "dnsmasq"}, "helper first": {"dnsmasq", "dhcpv4"}} {
		w := newWorld(t).start()
		says := map[string]string{"dhcpv4": whole, "dnsmasq": cut}
		w.onWire("lamp", order[0], says[order[0]])
		d := w.onWire("lamp", order[1], says[order[1]])
		if d.URL.String() != whole || !d.Pending.IsZero() {
			t.Errorf("%s: URL %s, pending %s", name, d.URL, d.Pending)
		}
	}
	w := newWorld(t).start()
	d := w.onWire("lamp", "dnsmasq", lampURL)
	w.fetched(signed(t, lampURL, "1", "S", "ca", "a.example"), nil)
	w.want(d, enforcer.StatusEnforced)
	w.hear(dhcp.Sighting{MAC: d.MAC, Kind: dhcp.Seen, Source: "dnsmasq"}) // T-05: after dnsmasq's restart it knows no URL
	w.want(d, enforcer.StatusEnforced)
}

// TestPartitions: T-39, R8520-16-b, R8520-16-c, R8520-16-d. Devices whose URLs came by strong and by weak means are in classes of their own.
func TestPartitions(t *testing.T) {
	w := newWorld(t).start()
	group := func(url, sha string) enforcer.Verified {
		p := parse(t, enforcertest.Profile{URL: url, Mfg: sha,
			From: []enforcertest.ACE{{Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Remote: enforcertest.Eq(8080)}},
			To:   []enforcertest.ACE{{Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Local: enforcertest.Eq(8080)}}}.JSON())
		return enforcer.Verified{URL: p.URL, SHA256: sha, Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}
	}
	assign := func(host, url, source string) {
		t.Helper()
		w.sight(host, "")
		if err := w.e.AssignAs(enforcertest.HostNamed(host).MAC, enforcer.Announcement{URL: mustURL(t, url), Source: source}); err != nil {
			t.Fatal(err)
		}
		w.sync()
	}
	assign("lamp", lampURL, "x509")
	w.fetched(group(lampURL, "one"), nil)
	spoof := w.sight("cam", lampURL) // says by DHCP that it is the same model
	hub := w.sight("hub", hubURL)
	w.fetched(group(hubURL, "two"), nil)
	for _, d := range []*enforcer.Device{spoof, hub} {
		if err := w.e.Approve(d, "test"); err != nil {
			t.Fatal(err)
		}
	}
	w.sync()
	for _, c := range []struct {
		from, to string
		can      bool
	}{{"cam", "hub", true}, {"hub", "cam", true}, {"cam", "lamp", false}, {"lamp", "cam", false}, {"hub", "lamp", false}, {"lamp", "hub", false}} {
		if w.can(c.from, c.to, "tcp", 8080) != c.can {
			t.Errorf("%s to %s: %v", c.from, c.to, !c.can)
		}
	}
	assign("hub", hubURL, "admin")
	if !w.can("lamp", "hub", "tcp", 8080) || w.can("cam", "hub", "tcp", 8080) {
		t.Error("what the administrator assigned is not among the strong")
	}
	w.cfg.WeakMembers = "deny"
	assign("hub", "", "admin")
	hub = w.sight("hub", hubURL)
	if err := w.e.Approve(hub, "test"); err != nil {
		t.Fatal(err)
	}
	w.e.SetSite(w.cfg, w.site)
	w.sync()
	if w.can("cam", "hub", "tcp", 8080) {
		t.Error("weak_members: deny, and there are members") // R8520-16-a
	}
	w.cfg.WeakMembers = "allow"
	w.e.SetSite(w.cfg, w.site)
	w.sync()
	if !w.can("cam", "hub", "tcp", 8080) {
		t.Error("weak_members: allow, and there are none")
	}
}

func mustURL(t testing.TB, s string) mud.URL {
	t.Helper()
	if s == "" {
		return mud.URL{}
	}
	return url(t, s)
}

// TestLeases: NIST IoT-7 and IoT-8, R8520-1.9-b, R8520-10.2-c, R8520-10.2-f, R8520-16-e, RDHCP-2131-c. Who gave its address
// back, or whose lease ended, may nothing until it has one again; that its URL is known does not change.
func TestLeases(t *testing.T) {
	h := enforcertest.HostNamed("lamp")
	for name, c := range map[string]struct {
		leave func(*world)
		gone  bool
	}{
		"release":         {func(w *world) { w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Released, Addr: h.V4}) }, true},
		"decline":         {func(w *world) { w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Declined, Addr: h.V4}) }, true},
		"NAK":             {func(w *world) { w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Refused}) }, true},
		"expiry":          {func(w *world) { w.now = w.now.Add(time.Hour) }, true},
		"a minute before": {func(w *world) { w.now = w.now.Add(59 * time.Minute) }, false},
		"of another address": {func(w *world) {
			w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Released, Addr: enforcertest.HostNamed("hub").V4})
		}, false},
		"restart": {func(w *world) { // nobody heard what happened meanwhile
			w.now = w.now.Add(50 * time.Minute)
			w.start()
			w.now = w.now.Add(50 * time.Minute)
		}, false},
		"expiry after a restart": {func(w *world) { w.start(); w.now = w.now.Add(time.Hour) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).start()
			bound := dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Source: dhcp.SourceDHCPv4, Interface: enforcertest.LAN, Addr: h.V4, Lease: time.Hour, URL: lampURL}
			w.hear(bound)
			w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
			w.resolve("cloud.example", enforcertest.HostNamed("cloud").V4)
			if !w.can("lamp", "cloud", "tcp", 443) {
				t.Fatal("its profile is not in force")
			}
			c.leave(w)
			w.e.Tick()
			w.sync()
			d, _ := w.e.Device(h.MAC)
			if w.can("lamp", "cloud", "tcp", 443) == c.gone || strings.Contains(w.text(), "cloud.example") == c.gone {
				t.Errorf("gone %v: %+v", c.gone, w.e.Judge(d))
			}
			if !c.gone {
				return
			}
			if w.can("lamp", "evil", "tcp", 23) || w.can("lamp", "gateway", "udp", 53) || d.URL.String() != lampURL {
				t.Error("who left may do more than who is there, or is forgotten")
			}
			w.e.Neighbour(h.MAC, enforcertest.LAN, h.V4, false) // that it uses the address all the same changes nothing
			w.sync()
			if strings.Contains(w.text(), "cloud.example") {
				t.Error("back without a lease")
			}
			w.start()
			if strings.Contains(w.text(), "cloud.example") {
				t.Error("back after a restart")
			}
			w.hear(bound)
			if !strings.Contains(w.text(), "cloud.example") {
				t.Error("not back with a lease")
			}
		})
	}
	t.Run("infinite", func(t *testing.T) { // RDHCP-2131-e
		w := newWorld(t).start()
		w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Addr: h.V4, Lease: 1<<63 - 1, URL: lampURL})
		w.now = w.now.AddDate(1, 0, 0)
		w.e.Tick()
		if d, _ := w.e.Device(h.MAC); d.Away != "" || len(d.Addrs) != 1 {
			t.Errorf("%+v", d)
		}
	})
	t.Run("one of two", func(t *testing.T) {
		w := newWorld(t).start()
		d := w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Addr: h.V4, Lease: time.Minute, URL: lampURL})
		w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Addr: h.V6, Lease: time.Hour})
		w.now = w.now.Add(2 * time.Minute)
		w.e.Tick()
		if d.Away != "" || len(d.Addrs) != 1 {
			t.Errorf("%+v", d)
		}
	})
}

// TestRecheck: hardening.md 3.3, F12. What was accepted while nobody knew the time is judged again, and goes if it does not stand.
func TestRecheck(t *testing.T) {
	for _, bad := range []error{nil, heldErr("1")} {
		w := newWorld(t).start()
		d := w.sight("lamp", lampURL)
		doc := signed(t, lampURL, "1", "S", "ca", "a.example")
		doc.Provisional = true
		w.fetched(doc, nil)
		w.want(d, enforcer.StatusEnforced)
		w.fetcher.anew = bad
		w.e.ClockSet()
		w.sync()
		if bad == nil {
			w.want(d, enforcer.StatusEnforced)
			if w.e.View(d, false).Profile.Provisional {
				t.Error("still provisional")
			}
			continue
		}
		w.want(d, enforcer.StatusHeld)
		if strings.Contains(w.text(), "a.example") {
			t.Error("still in force")
		}
	}
}

// TestClockSetBack: F12. What was planned by a clock that ran ten years ahead is due now.
func TestClockSetBack(t *testing.T) {
	w := newWorld(t)
	w.now = w.now.AddDate(10, 0, 0)
	w.start()
	w.sight("lamp", lampURL)
	doc := signed(t, lampURL, "1", "S", "ca", "a.example")
	doc.NextRefresh = w.now.Add(48 * time.Hour)
	w.fetched(doc, nil)
	n := len(w.fetcher.asked)
	w.now = w.now.AddDate(-10, 0, 0)
	w.e.Tick()
	if len(w.fetcher.asked) != n+1 {
		t.Error("no refresh for ten years")
	}
}

// TestOutOfDate: R8520-1.6-i, R8520-1.6-j, R8520-3.5-d, F8. A profile that cannot be refreshed stays, and after a time one is told.
func TestOutOfDate(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", lampURL)
	w.fetched(signed(t, lampURL, "1", "S", "ca", "a.example"), nil)
	for range 10 {
		w.now = w.now.Add(24 * time.Hour)
		w.e.Tick()
		w.fetched(enforcer.Verified{URL: d.URL}, errors.New("404"))
		w.want(d, enforcer.StatusEnforced)
	}
	if why := w.gap("a profile is out of date"); !strings.Contains(why, "404") {
		t.Errorf("gap %q", why)
	}
	w.fetched(signed(t, lampURL, "1", "S", "ca", "a.example"), nil)
	if why := w.gap("a profile is out of date"); why != "" {
		t.Errorf("gap %q after a refresh", why)
	}
}
