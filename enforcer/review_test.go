package enforcer_test

import (
	"strings"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// TestReview: R8520-2-b, T-44, T-11, RMX-2.1-a, R8519-4-a. Addresses in a file wait for the administrator unless their kind is
// accepted, private ones and "everything" always.
func TestReview(t *testing.T) {
	net := func(n string) enforcertest.ACE {
		return enforcertest.ACE{Net: n, Proto: "tcp", Remote: enforcertest.Eq(443)}
	}
	all := []string{"global", "multicast"}
	for name, c := range map[string]struct {
		ace    enforcertest.ACE
		accept []string
		why    string // "": used at once
	}{
		"a name":                    {enforcertest.ACE{Name: "a.example", Proto: "tcp"}, nil, ""},
		"global":                    {net("203.0.113.0/24"), nil, "203.0.113.0/24 (global)"},
		"global accepted":           {net("203.0.113.0/24"), []string{"global"}, ""},
		"a global address as name":  {enforcertest.ACE{Name: "203.0.113.5", Proto: "tcp"}, nil, "203.0.113.5"},
		"multicast":                 {net("239.1.2.3/32"), []string{"global"}, "239.1.2.3"},
		"multicast accepted":        {net("239.1.2.3/32"), all, ""},
		"private":                   {net("192.168.0.0/16"), all, "192.168.0.0/16 (private)"},
		"with private ones in it":   {net("192.0.0.0/8"), all, "192.0.0.0/8 (private)"},
		"half of everything":        {net("128.0.0.0/1"), all, "128.0.0.0/1 (private)"},
		"everything":                {enforcertest.ACE{}, all, "everything"},
		"everything, but as a drop": {enforcertest.ACE{Drop: true}, nil, ""},
	} {
		w := newWorld(t)
		w.cfg.AcceptAddresses = c.accept
		w.start()
		d := w.sight("lamp", lampURL)
		p := parse(t, enforcertest.Profile{URL: lampURL, From: []enforcertest.ACE{c.ace}}.JSON())
		w.fetched(enforcer.Verified{URL: p.URL, SHA256: "x", Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}, nil)
		if j := w.e.Judge(d); (j.Status == enforcer.StatusHeld) != (c.why != "") || !strings.Contains(j.Reason, c.why) {
			t.Errorf("%s: %s: %s", name, j.Status, j.Reason)
		}
		if err := w.e.Approve(d, "test"); err != nil {
			t.Fatal(err)
		}
		w.sync()
		w.want(d, enforcer.StatusEnforced)
	}
}

// TestSticker: R9238-8-a, R8520-3.8-b. A QR code proves nothing, so its device is in no class before it is approved; and that its
// URL cannot change with the firmware is told where the file is about one version.
func TestSticker(t *testing.T) {
	w := newWorld(t).start()
	for host, u := range map[string]string{"lamp": lampURL, "hub": hubURL} {
		p := parse(t, enforcertest.Profile{URL: u, Extra: map[string]any{"firmware-rev": "1.2"},
			From: []enforcertest.ACE{{Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Remote: enforcertest.Eq(8080)}},
			To:   []enforcertest.ACE{{Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Local: enforcertest.Eq(8080)}}}.JSON())
		w.sight(host, "")
		if err := w.e.AssignAs(enforcertest.HostNamed(host).MAC, enforcer.Announcement{URL: p.URL, Source: enforcer.SourceQR}); err != nil {
			t.Fatal(err)
		}
		w.fetched(enforcer.Verified{URL: p.URL, SHA256: host, Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}, nil)
	}
	if w.can("lamp", "hub", "tcp", 8080) {
		t.Error("a sticker is enough to be in a class")
	}
	for _, host := range []string{"lamp", "hub"} {
		d, _ := w.e.Device(enforcertest.HostNamed(host).MAC)
		if j := w.e.Judge(d); !strings.Contains(j.Reason, "R8520-3.8-b") {
			t.Errorf("%s: %s", host, j.Reason)
		}
		if err := w.e.Approve(d, "test"); err != nil {
			t.Fatal(err)
		}
	}
	w.sync()
	if !w.can("lamp", "hub", "tcp", 8080) {
		t.Error("approved, and in no class")
	}
	d := w.sight("cam", lampURL) // by DHCP: it can announce another URL with another version
	if j := w.e.Judge(d); strings.Contains(j.Reason, "R8520-3.8-b") {
		t.Errorf("%s", j.Reason)
	}
}
