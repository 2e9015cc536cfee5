package enforcer_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// claim is a host that says by ARP or neighbour discovery that it uses an address.
func (w *world) claim(host string, a netip.Addr) *enforcer.Device {
	w.t.Helper()
	return w.hear(dhcp.Sighting{MAC: enforcertest.HostNamed(host).MAC, Kind: dhcp.Uses, Source: dhcp.SourceND, Interface: enforcertest.LAN, Addr: a})
}

// TestClaimOfForeignAddress: T15, R8520-16-i. Who says that it uses an address of the Internet opens that neither to its class nor
// ends the flows that others have with it.
func TestClaimOfForeignAddress(t *testing.T) {
	w := newWorld(t)
	w.cfg.WeakMembers = "allow"
	w.start()
	for host, u := range map[string]string{"lamp": lampURL, "hub": hubURL} {
		w.sight(host, u)
		p := parse(t, enforcertest.Profile{URL: u, Mfg: host,
			From: []enforcertest.ACE{{Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Remote: enforcertest.Eq(8080)}},
			To:   []enforcertest.ACE{{Class: enforcertest.Group("same-manufacturer"), Proto: "tcp", Local: enforcertest.Eq(8080)}}}.JSON())
		w.fetched(enforcer.Verified{URL: p.URL, SHA256: host, Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}, nil)
	}
	if !w.can("lamp", "hub", "tcp", 8080) || w.can("lamp", "evil", "tcp", 8080) {
		t.Fatal("the classes are not as they should be")
	}
	flow := enforcertest.Probe{From: "neighbour", To: "evil", Proto: "tcp", Sport: 50000, Dport: 443}.Packet()
	w.kernel.Send(&w.site, flow)
	w.claim("hub", enforcertest.HostNamed("evil").V4)
	if w.can("lamp", "evil", "tcp", 8080) {
		t.Error("a member of its class opened an address of the Internet to the lamp")
	}
	if n, err := w.kernel.Cut(enforcertest.HostNamed("evil").V4, nil); err != nil || n != 1 {
		t.Errorf("%d flows of the neighbour are left (%v)", n, err)
	}
}

// TestFailedAllowIsNoWayOut: T1, R8520-10.1-b. Where devices whose profile cannot be had are not restricted, a device must not get out
// of the one that it has by announcing another URL elsewhere; nor may one be let go that the administrator holds.
func TestFailedAllowIsNoWayOut(t *testing.T) {
	for name, do := range map[string]func(*world, *enforcer.Device){
		"it contradicts itself": func(w *world, d *enforcer.Device) { w.onWire("lamp", "lldp", hubURL) },
		"the administrator":     func(w *world, d *enforcer.Device) { w.e.Hold(d); w.sync() },
	} {
		w := newWorld(t)
		w.cfg.FailedAllow = true
		d := w.start().enforced("lamp", lampURL)
		do(w, d)
		w.want(d, enforcer.StatusHeld)
		if w.can("lamp", "evil", "tcp", 23) {
			t.Errorf("%s: it is not restricted any more", name)
		}
	}
}

// TestOverlaidDeviceIsKept: T-29, T14. A device that only an overlay restricts stays restricted over a restart and under a flood of
// invented MACs, and is restricted before it is first heard.
func TestOverlaidDeviceIsKept(t *testing.T) {
	w := newWorld(t).start()
	lamp := enforcertest.HostNamed("lamp").MAC
	file := enforcertest.Profile{URL: lampURL, From: []enforcertest.ACE{{Name: "a.example", Proto: "tcp", Remote: enforcertest.Eq(443)}}}.JSON()
	if err := w.e.SetOverlay(lamp.String(), file); err != nil {
		t.Fatal(err)
	}
	w.sync()
	if w.chain("lamp") == "" {
		t.Error("not restricted before it speaks")
	}
	w.sight("lamp", "")
	w.start()
	if w.chain("lamp") == "" {
		t.Error("not restricted after a restart")
	}
	w.sight("lamp", "")
	for i := range 5000 {
		w.now = w.now.Add(time.Millisecond)
		w.e.Sighted(dhcp.Sighting{MAC: dhcp.MAC{2, 9, 9, 9, byte(i >> 8), byte(i)}, Source: dhcp.SourceND})
	}
	w.sync()
	if w.chain("lamp") == "" {
		t.Error("not restricted after a flood")
	}
}

// TestFlappingSparesTheFlash: T14, T-34. A device that announces another URL with each frame makes few writes, and what is written in
// the end is what it has.
func TestFlappingSparesTheFlash(t *testing.T) {
	w := newWorld(t).start()
	var d *enforcer.Device
	for i := range 3000 { // for five minutes
		w.now = w.now.Add(100 * time.Millisecond)
		d = w.onWire("lamp", "dhcpv4", fmt.Sprintf("https://flap.example/%d", i))
	}
	if n := len(w.saved); n > 150 {
		t.Errorf("%d writes in five minutes", n)
	}
	w.now = w.now.Add(10 * time.Second)
	w.sync()
	if last := string(w.saved[len(w.saved)-1]); !strings.Contains(last, d.URL.String()) {
		t.Errorf("not saved: %s", d.URL)
	}
}

// TestLongerURLThanTheHelpers: T-03, T1. dnsmasq cuts a URL at its first "=": only one that goes on there is the same one. Any other that
// begins alike is another URL, and waits.
func TestLongerURLThanTheHelpers(t *testing.T) {
	for longer, taken := range map[string]bool{"?v=2": true, "?v2": false, "x": false} {
		w := newWorld(t).start()
		cut := base + "v1"
		if taken {
			cut += "?v"
		}
		d := w.onWire("lamp", "dnsmasq", cut)
		w.fetched(signed(t, cut, "1", "S", "ca", "a.example"), nil)
		w.onWire("lamp", "dhcpv4", base+"v1"+longer)
		if moved := d.URL.String() != cut; moved != taken {
			t.Errorf("%s: URL %s", longer, d.URL)
		}
	}
}

// TestGroupOpensNoUnicast: RMX-2.3-a, R8520-2-c. An entry that lets a multicast group reach a device does not let hosts reach the device.
func TestGroupOpensNoUnicast(t *testing.T) {
	for _, mode := range []enforcer.BridgeMode{enforcer.BridgeNone, enforcer.BridgeMark, enforcer.BridgeStateless} {
		w := newWorld(t)
		w.site, w.cfg.AcceptAddresses = enforcertest.Site(mode), []string{"multicast"}
		d := w.start().sight("lamp", lampURL)
		p := parse(t, enforcertest.Profile{URL: lampURL, To: []enforcertest.ACE{{Proto: "udp", Local: enforcertest.Eq(5353)}}}.JSON())
		p.ToDevice.ACEs[0].Match.Group = netip.MustParsePrefix("239.1.2.3/32")
		w.fetched(enforcer.Verified{URL: p.URL, SHA256: "x", Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}, nil)
		w.want(d, enforcer.StatusEnforced)
		if w.can("hub", "lamp", "udp", 5353) || w.can("evil", "lamp", "udp", 5353) {
			t.Errorf("%s: the lamp is reached by unicast", mode)
		}
		if strings.Contains(w.text(), "sport 5353") {
			t.Errorf("%s: it may answer what others sent to it", mode)
		}
	}
}
