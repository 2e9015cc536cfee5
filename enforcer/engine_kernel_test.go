package enforcer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// TestRefresh: R8520-1.6-i, R8520-3.4-a, R8520-3.5-a, F8. What is in force stays until something better is there.
func TestRefresh(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	before := w.text()
	w.now = w.now.Add(47 * time.Hour)
	w.e.Tick()
	if len(w.fetcher.asked) != 1 {
		t.Errorf("asked %v within cache-validity", w.fetcher.asked)
	}
	w.now = w.now.Add(25 * time.Hour)
	w.e.Tick()
	if len(w.fetcher.asked) != 2 {
		t.Fatalf("asked %v, want a refresh", w.fetcher.asked)
	}
	for name, err := range map[string]error{"failed": errors.New("404"), "unsigned": heldErr("sha-2")} {
		w.fetched(enforcer.Verified{URL: d.URL}, err)
		w.want(d, enforcer.StatusEnforced)
		if w.text() != before || !strings.Contains(w.e.Judge(d).Reason, err.Error()) {
			t.Errorf("%s: policy changed, or the reason %q does not tell", name, w.e.Judge(d).Reason)
		}
	}
	old := verified(t, lampURL, "sha-0", "old.example")
	old.Profile.LastUpdate = old.Profile.LastUpdate.Add(-time.Second)
	w.fetched(old, nil)
	if w.text() != before || !strings.Contains(w.e.Judge(d).Reason, "older") {
		t.Errorf("an older file: %s", w.e.Judge(d).Reason)
	}
	n := len(w.applied)
	w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
	if len(w.applied) != n || w.e.Judge(d).Reason != "its profile is enforced" {
		t.Errorf("the same file: %d changes, %q", len(w.applied)-n, w.e.Judge(d).Reason)
	}
	w.fetched(verified(t, lampURL, "sha-2", "new.example"), nil) // it allows what the old one did not
	if len(w.applied) != n || w.e.Judge(d).Status != enforcer.StatusEnforced {
		t.Errorf("a wider file: %d changes", len(w.applied)-n)
	}
	if err := w.e.Approve(d, "test"); err != nil {
		t.Fatal(err)
	}
	w.sync()
	if len(w.applied) != n+1 || !strings.Contains(w.text(), "new.example") || strings.Contains(w.text(), "cloud.example") {
		t.Errorf("a new file: %d changes", len(w.applied)-n)
	}
}

// TestRestart: R8520-10.2-e, N16, F3, invariant 1. The same kernel needs no change, and nothing comes from the network.
func TestRestart(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	w.sight("cam", "")
	w.sight("hub", hubURL)
	w.fetched(enforcer.Verified{URL: url(t, hubURL)}, errors.New("404"))
	w.sight("hub", "http://bad.example/")
	h := enforcertest.HostNamed("neighbour")
	w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Addr: h.V4, DNS: []netip.Addr{netip.MustParseAddr("192.168.77.53")}})
	w.resolve("cloud.example", enforcertest.HostNamed("cloud").V4)
	before, applied, saved, asked := w.text(), len(w.applied), len(w.saved), len(w.fetcher.asked)
	w.start()
	if len(w.applied) != applied {
		t.Errorf("a change: %+v", w.applied[applied:])
	}
	if w.text() != before || len(w.saved) != saved || len(w.fetcher.asked) != asked {
		t.Errorf("text changed %v, %d writes, fetches %v", w.text() != before, len(w.saved)-saved, w.fetcher.asked[asked:])
	}
	if !w.can("lamp", "cloud", "tcp", 443) || !w.names.Has(enforcer.NameSet("cloud.example")+"_4", enforcertest.HostNamed("cloud").V4, w.now) {
		t.Error("the addresses of names are gone")
	}
	if !w.can("lamp", "192.168.77.53", "udp", 53) {
		t.Error("the DNS server that DHCP handed out is forgotten")
	}
}

// TestRestartWithoutKernel: R8520-10.2-e, F3. After a reboot all comes back from the disk alone.
func TestRestartWithoutKernel(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	want, asked := w.text(), len(w.fetcher.asked)
	fail := w.kernel.Fail
	w.kernel = &enforcer.Memory{Fail: fail}
	w.start()
	if w.text() != want || len(w.fetcher.asked) != asked {
		t.Error("not what was there before")
	}
}

// TestRestartWithApproval: one device's approval of a held file is enough for the cache to give it, whatever the order
// in which devices are looked at.
func TestRestartWithApproval(t *testing.T) {
	for range 20 {
		w := newWorld(t).start()
		w.fetcher.unsigned["sha-1"] = true
		w.sight("hub", lampURL)
		d := w.sight("lamp", lampURL)
		w.fetched(enforcer.Verified{URL: d.URL}, heldErr("sha-1"))
		if err := w.e.Approve(d, "test"); err != nil {
			t.Fatal(err)
		}
		w.fetched(verified(t, lampURL, "sha-1", "cloud.example"), nil)
		w.want(d, enforcer.StatusEnforced)
		w.fetcher.approved = map[string]bool{}
		before := w.text()
		w.start()
		if w.text() != before {
			t.Fatal("another policy after the restart")
		}
	}
}

// TestKernelRefuses: T-46, F7, invariant 6. The last policy stays, status says so, and it heals.
func TestKernelRefuses(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	before := w.text()
	w.refuse = errors.New("no buffer space")
	w.e.Quarantine(d)
	for range 3 {
		w.e.Tick()
		if err := w.e.Sync(); err == nil {
			t.Error("nobody is told")
		}
	}
	if w.text() != before || w.e.InForce(d.MAC).Out() != w.chain("lamp") {
		t.Error("half a change")
	}
	const what = "the kernel does not have the newest policy"
	if why := w.gap(what); why != "no buffer space" {
		t.Errorf("gap %q", why)
	}
	w.refuse = nil
	w.e.Tick()
	w.sync()
	if w.gap(what) != "" || w.can("lamp", "gateway", "udp", 53) {
		t.Error("not healed")
	}
}

// TestRepair: T-45, N11, R1, F6. Whoever deletes or changes our tables, they come back.
func TestRepair(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	before := w.text()
	gone := enforcer.Delta{Tables: []enforcer.TableDelta{{Family: enforcer.Inet, Drop: true}, {Family: enforcer.Bridge, Drop: true}}}
	less := enforcer.Delta{Tables: []enforcer.TableDelta{{Family: enforcer.Inet, DelElements: element("from_device", 1, "")}}}
	less.Tables[0].DelElements[0].Elements = map[enforcer.Key]enforcer.Element{{MAC: enforcertest.HostNamed("lamp").MAC}: {}}
	for i, d := range []enforcer.Delta{gone, less} {
		if err := w.kernel.Apply(d); err != nil {
			t.Fatal(err)
		}
		w.e.Repair()
		w.sync()
		if w.text() != before || w.e.Summary().Repairs != i+1 {
			t.Errorf("not put back, %d repairs", w.e.Summary().Repairs)
		}
	}
	n := len(w.applied)
	w.e.Repair()
	w.sync()
	if w.e.Summary().Repairs != 2 || len(w.applied) != n {
		t.Error("a repair of nothing")
	}
}

// TestManyMACs: T14, F15, T16. A flood of invented MACs takes a bounded part of memory, and nothing from devices that matter.
func TestManyMACs(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	for i := range 5000 {
		w.e.Sighted(dhcp.Sighting{MAC: mac(i), Kind: dhcp.Seen, Hostname: fmt.Sprint("x", i)})
	}
	w.sync()
	if n := w.e.Known(); n > enforcer.MaxDevices {
		t.Errorf("%d devices", n)
	}
	w.want(d, enforcer.StatusEnforced)
	if got, _ := w.e.Device(d.MAC); got != d {
		t.Error("the lamp was forgotten")
	}
	for i := range 1000 {
		a := netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 14: byte(i >> 8), 15: byte(i)})
		w.e.Neighbour(d.MAC, enforcertest.LAN, a, false)
	}
	if len(d.Addrs) > enforcer.MaxAddrsOfDevice {
		t.Errorf("%d addresses of one device", len(d.Addrs))
	}
}

// TestAddresses: an address is one device's at a time, and the gateway's are nobody's. Who says that he has another's address
// does not get it: not while that has a lease, or uses it (T15).
func TestAddresses(t *testing.T) {
	w := newWorld(t).start()
	lamp, hub := w.sight("lamp", ""), w.sight("hub", "")
	a, static := enforcertest.HostNamed("lamp").V4, netip.MustParseAddr("192.168.77.77")
	w.e.Neighbour(hub.MAC, enforcertest.LAN, a, false)
	w.now = w.now.Add(24 * time.Hour)
	w.e.Neighbour(hub.MAC, enforcertest.LAN, a, false)
	w.e.Neighbour(lamp.MAC, enforcertest.LAN, static, false)
	w.e.Neighbour(hub.MAC, enforcertest.LAN, static, false)
	if len(lamp.Addrs) != 2 || len(hub.Addrs) != 1 {
		t.Errorf("lamp %v, hub %v", lamp.Addrs, hub.Addrs)
	}
	w.now = w.now.Add(time.Hour)
	w.e.Neighbour(hub.MAC, enforcertest.LAN, static, false) // nobody used it any more
	w.hear(dhcp.Sighting{MAC: hub.MAC, Kind: dhcp.Bound, Addr: a})
	if len(lamp.Addrs) != 0 || len(hub.Addrs) != 3 {
		t.Errorf("lamp %v, hub %v", lamp.Addrs, hub.Addrs)
	}
	for _, s := range []string{"192.168.77.1", "fd77::1", "0.0.0.0", "127.0.0.1", "224.0.0.1", "::", "ff02::1"} {
		w.e.Neighbour(hub.MAC, enforcertest.LAN, netip.MustParseAddr(s), false)
	}
	if len(hub.Addrs) != 3 {
		t.Errorf("hub took %v", hub.Addrs)
	}
	w.hear(dhcp.Sighting{MAC: hub.MAC, Kind: dhcp.Released, Addr: a})
	if len(hub.Addrs) != 2 {
		t.Errorf("released, and still %v", hub.Addrs)
	}
}

// TestSaveOnlyOnChange: F10, invariant 12.
func TestSaveOnlyOnChange(t *testing.T) {
	w := newWorld(t).start()
	if len(w.saved) != 0 {
		t.Error("written without a change")
	}
	w.enforced("lamp", lampURL)
	n := len(w.saved)
	for range 100 {
		w.sight("lamp", lampURL)
		w.now = w.now.Add(time.Minute)
		w.e.Tick()
		w.sync()
	}
	if len(w.saved) != n {
		t.Errorf("%d writes of nothing", len(w.saved)-n)
	}
	w.diskErr = errors.New("read-only file system")
	w.e.SetMode(w.sight("lamp", lampURL), "observe")
	if err := w.e.Sync(); err == nil {
		t.Error("nobody is told")
	}
	if why := w.gap("state is not saved"); why != "read-only file system" {
		t.Errorf("gap %q", why)
	}
	if !w.can("lamp", "evil", "tcp", 1) {
		t.Error("the kernel does not have it")
	}
	w.diskErr = nil
	w.sync()
	if w.gap("state is not saved") != "" || len(w.saved) != n+1 {
		t.Error("not healed")
	}
	var s enforcer.State
	if err := json.Unmarshal(w.saved[n], &s); err != nil || len(s.Devices) != 1 || s.Devices[0].Mode != "observe" {
		t.Errorf("saved %s: %v", w.saved[n], err)
	}
}

// TestFlowsAreCut: T-20, T20. A policy that shrinks ends what it no longer allows, and only that.
func TestFlowsAreCut(t *testing.T) {
	w := newWorld(t).start()
	d := w.sight("lamp", "")
	open := func(to, proto string, dport uint16) enforcertest.Probe {
		p := enforcertest.Probe{From: "lamp", To: to, Proto: proto, Sport: 40000, Dport: dport}
		if !w.kernel.Send(&w.site, p.Packet()).Accept {
			t.Fatalf("%s cannot be reached", to)
		}
		return p
	}
	evil, dns := open("evil", "tcp", 23), open("gateway", "udp", 53)
	w.sight("lamp", lampURL)
	w.want(d, enforcer.StatusFetching)
	if w.kernel.Send(&w.site, evil.Reply()).Accept {
		t.Error("the flow of before lives on")
	}
	if !w.kernel.Send(&w.site, dns.Reply()).Accept {
		t.Error("a flow that the policy allows was cut")
	}
}

// TestConfiguredClassIsFinal: R8520-4.6-c, T-24. What the administrator put into a class is not widened by DHCP.
func TestConfiguredClassIsFinal(t *testing.T) {
	w := newWorld(t)
	w.site.Controllers = map[string][]enforcer.Host{enforcer.ClassDNS: {{Addr: netip.MustParseAddr("192.168.77.53")}}}
	w.start()
	w.enforced("lamp", lampURL)
	h := enforcertest.HostNamed("neighbour")
	w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Addr: h.V4, DNS: []netip.Addr{enforcertest.HostNamed("evil").V4},
		NTP: []netip.Addr{enforcertest.HostNamed("cloud").V4}})
	if w.can("lamp", "evil", "udp", 53) || !w.can("lamp", "192.168.77.53", "udp", 53) || w.can("lamp", "gateway", "udp", 53) {
		t.Error("not the DNS servers of the configuration")
	}
	if !w.can("lamp", "cloud", "udp", 123) {
		t.Error("the time server that DHCP handed out is not taken")
	}
}

// TestRun: the loop itself, in a bubble of time.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t).start()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = w.e.Run(ctx) }()
		h := enforcertest.HostNamed("lamp")
		w.e.Post(func(e *enforcer.Engine) {
			e.Sighted(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Addr: h.V4, URL: lampURL})
		})
		synctest.Wait()
		if w.chain("lamp") == "" {
			t.Error("not restricted")
		}
		doc := verified(t, lampURL, "sha-1", "cloud.example")
		if err := w.e.Do(ctx, func(e *enforcer.Engine) { e.Fetched(doc.URL, doc, nil) }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !strings.Contains(w.text(), "cloud.example") {
			t.Error("not enforced")
		}
		boom := errors.New("no")
		if err := w.e.Change(ctx, func(*enforcer.Engine) error { return boom }); err != boom {
			t.Errorf("got %v", err)
		}
		cancel()
		synctest.Wait()
		if err := w.e.Do(ctx, func(*enforcer.Engine) {}); err == nil {
			t.Error("the loop has ended")
		}
	})
}

// TestManyEvents: F15. A thousand devices that announce themselves at once cost a few changes of the kernel, not a thousand.
func TestManyEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t).start()
		n := len(w.applied)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 1000 {
			w.e.Post(func(e *enforcer.Engine) { e.Sighted(dhcp.Sighting{MAC: mac(i), Kind: dhcp.Seen, URL: lampURL}) })
		}
		go func() { _ = w.e.Run(ctx) }()
		synctest.Wait()
		for i := range 1000 {
			if w.e.InForce(mac(i)).Out() == "" {
				t.Fatalf("%s is not restricted", mac(i))
			}
		}
		if changes := len(w.applied) - n; changes > 10 {
			t.Errorf("%d changes of the kernel", changes)
		}
		cancel()
		synctest.Wait()
	})
}

// TestRevertedChangeIsNoGap: what the kernel refused and nobody wants any more is no news.
func TestRevertedChangeIsNoGap(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	w.refuse = errors.New("no buffer space")
	w.e.Quarantine(d)
	if w.e.Sync() == nil {
		t.Error("nobody is told")
	}
	w.e.Release(d)
	w.sync()
	if why := w.gap("the kernel does not have the newest policy"); why != "" {
		t.Errorf("gap %q", why)
	}
}

// TestKernelRefusesOnePolicy: F7. One profile that the kernel cannot take keeps neither the others from theirs nor its own
// device from being restricted.
func TestKernelRefusesOnePolicy(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	poison, count := true, w.kernel.Fail
	w.kernel.Fail = func(d enforcer.Delta) error {
		for _, table := range d.Tables {
			for _, s := range table.AddSets {
				if poison && s.Comment == "poison.example" {
					return errors.New("poisoned")
				}
			}
		}
		return count(d)
	}
	w.sight("hub", hubURL)
	restricted := w.chain("hub")
	hub := verified(t, hubURL, "sha-hub", "poison.example")
	w.e.Fetched(hub.URL, hub, nil)
	w.e.Sync()
	w.e.Sync()
	cam := w.sight("cam", enforcertest.CamURL)
	w.fetched(verified(t, enforcertest.CamURL, "sha-cam", "cam.example"), nil)
	w.want(cam, enforcer.StatusEnforced)
	if !strings.Contains(w.text(), "cam.example") || !strings.Contains(w.text(), "cloud.example") || strings.Contains(w.text(), "poison") {
		t.Error("the others do not have their policies")
	}
	if w.chain("hub") != restricted {
		t.Errorf("the hub is under %q, want %q", w.chain("hub"), restricted)
	}
	const what = "the kernel does not have the newest policy"
	if why := w.gap(what); why != "poisoned" {
		t.Errorf("gap %q", why)
	}
	poison = false
	w.now = w.now.Add(2 * time.Minute)
	w.sync()
	if w.gap(what) != "" || !strings.Contains(w.text(), "poison.example") {
		t.Error("not healed")
	}
}
