package enforcer_test

import (
	"encoding/json"
	"strings"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// TestOverlay: T-29, R8520-1.1-a, R8520-1.5-b. The administrator adds to a manufacturer's file and takes from it, for a model or one device.
func TestOverlay(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	other := w.sight("cam", lampURL)
	w.want(other, enforcer.StatusEnforced)
	cloud, evil := enforcertest.HostNamed("cloud").V4, enforcertest.HostNamed("evil").V4
	w.resolve("cloud.example", cloud)
	without := w.text()
	overlay := func(p enforcertest.Profile) []byte { p.URL = lampURL; return p.JSON() }
	add := overlay(enforcertest.Profile{From: []enforcertest.ACE{{Net: evil.String() + "/32", Proto: "tcp", Remote: enforcertest.Eq(8443)}}})
	take := overlay(enforcertest.Profile{From: []enforcertest.ACE{{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Eq(443), Drop: true}}})
	set := func(target string, file []byte) {
		t.Helper()
		if err := w.e.SetOverlay(target, file); err != nil {
			t.Fatal(err)
		}
		w.sync()
		w.resolve("cloud.example", cloud)
	}
	check := func(host string, cloud, evil bool) {
		t.Helper()
		if w.can(host, "cloud", "tcp", 443) != cloud || w.can(host, "evil", "tcp", 8443) != evil {
			t.Errorf("%s: cloud %v, evil %v", host, !cloud, !evil)
		}
	}
	set(d.MAC.String(), add)
	check("lamp", true, true)
	check("cam", true, false)
	set(lampURL, take)
	check("lamp", false, true)
	check("cam", false, false)
	v := w.e.View(d, true)
	if !strings.Contains(v.Profile.Allows, "8443") || len(v.ACEs) < 2 || !strings.HasPrefix(v.ACEs[0].ACL, "overlay/") {
		t.Errorf("view %+v", v.ACEs)
	}
	w.start() // kept
	w.resolve("cloud.example", cloud)
	check("lamp", false, true)
	set(lampURL, add) // in place of the other
	check("cam", true, true)
	for _, target := range []string{d.MAC.String(), lampURL} {
		if err := w.e.RemoveOverlay(target); err != nil {
			t.Fatal(err)
		}
	}
	w.sync()
	if w.text() != without {
		t.Error("removed, and not as it was")
	}
	if w.e.RemoveOverlay(lampURL) == nil {
		t.Error("removed twice")
	}
}

// TestOverlayAlone: a local file is enough for a device that has none of its manufacturer, or an unsigned one (T-29, R8520-10-f).
func TestOverlayAlone(t *testing.T) {
	file := enforcertest.Profile{URL: lampURL, From: []enforcertest.ACE{{Net: enforcertest.HostNamed("evil").V4.String() + "/32", Proto: "tcp", Remote: enforcertest.Eq(8443)}}}.JSON()
	w := newWorld(t).start()
	d := w.sight("lamp", "")
	if err := w.e.SetOverlay(d.MAC.String(), file); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.want(d, enforcer.StatusEnforced)
	if !w.can("lamp", "evil", "tcp", 8443) || w.can("lamp", "evil", "tcp", 23) {
		t.Error("the overlay is not what is enforced")
	}
	w.sight("lamp", lampURL)
	w.fetched(enforcer.Verified{URL: url(t, lampURL)}, heldErr("sha-1"))
	w.want(d, enforcer.StatusHeld)
	if !w.can("lamp", "evil", "tcp", 8443) || w.can("lamp", "evil", "tcp", 23) {
		t.Error("held, and the overlay does not apply")
	}
	w.start()
	if !w.can("lamp", "evil", "tcp", 8443) || w.can("lamp", "evil", "tcp", 23) {
		t.Error("not kept")
	}
}

// TestOverlayRefused: what is not understood is no overlay, and one that cannot be read any more holds its devices.
func TestOverlayRefused(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	good := enforcertest.Profile{URL: lampURL}
	for name, c := range map[string]struct{ target, file, why string }{
		"target":        {"lamp", string(good.JSON()), "neither"},
		"no JSON":       {lampURL, "{", "double quotes"},
		"another model": {hubURL, string(good.JSON()), "mud-url"},
		"no policy":     {lampURL, string(enforcertest.Profile{URL: lampURL, NoFrom: true, NoTo: true}.JSON()), "neither"},
		"too large":     {lampURL, strings.Repeat(" ", 65<<10), "64 KiB"},
		"not understood": {lampURL, strings.Replace(string(enforcertest.Profile{URL: lampURL, From: []enforcertest.ACE{{Name: "a.example", Proto: "tcp"}}}.JSON()),
			`"forwarding":"accept"`, `"forwarding":"maybe"`, 1), "maybe"},
	} {
		if err := w.e.SetOverlay(c.target, []byte(c.file)); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.e.Overlays()) != 0 {
		t.Error("one was taken")
	}
	if err := w.e.SetOverlay(lampURL, good.JSON()); err != nil {
		t.Fatal(err)
	}
	w.sync()
	var state map[string]any
	if err := json.Unmarshal(w.saved[len(w.saved)-1], &state); err != nil {
		t.Fatal(err)
	}
	state["overlays"].(map[string]any)[lampURL] = map[string]any{"what": "is this"}
	w.saved[len(w.saved)-1], _ = json.Marshal(state)
	w.start()
	d, _ = w.e.Device(d.MAC)
	w.want(d, enforcer.StatusHeld)
	if strings.Contains(w.text(), "cloud.example") {
		t.Error("what the overlay may have taken away is back")
	}
}
