package enforcer_test

import (
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// crowd has invented hosts announce a URL until there is room for no more.
func (w *world) crowd() {
	w.t.Helper()
	for i := range enforcer.MaxDevices {
		w.e.Sighted(dhcp.Sighting{MAC: mac(i), Kind: dhcp.Seen, Source: dhcp.SourceDHCPv4, URL: hubURL})
	}
	w.sync()
}

// TestCrowd: T14. Invented hosts that announce a URL fill the table: then one that announces one and does not fit is restricted all
// the same, and with it all newcomers, but not those that were known.
func TestCrowd(t *testing.T) {
	w := newWorld(t).start()
	w.sight("neighbour", "")
	hub := w.enforced("hub", lampURL)
	w.crowd()
	if w.e.Known() != enforcer.MaxAnnouncers+1 {
		t.Fatalf("%d devices", w.e.Known())
	}
	w.sight("lamp", lampURL)
	if w.can("lamp", "evil", "tcp", 23) || !w.can("lamp", "gateway", "udp", 53) {
		t.Error("a device that does not fit is not restricted to DHCP, DNS and NTP")
	}
	if !w.can("neighbour", "evil", "tcp", 23) || w.can("cam", "evil", "tcp", 23) {
		t.Error("who was known is restricted, or who was not is not")
	}
	if w.gap("hosts that nobody restricts") == "" {
		t.Error("status does not tell")
	}
	w.want(hub, enforcer.StatusEnforced)
	// What it says besides its URL, as each device does, makes it no known one.
	w.sight("lamp", "")
	w.sight("cam", "")
	if w.can("lamp", "evil", "tcp", 23) || w.can("cam", "evil", "tcp", 23) {
		t.Error("a newcomer with an address is not restricted")
	}
	// An hour later those that were invented and silent make room.
	w.now = w.now.Add(time.Hour)
	w.e.Tick()
	w.want(w.sight("lamp", lampURL), enforcer.StatusEnforced)
	if w.can("lamp", "evil", "tcp", 23) || !w.can("cam", "evil", "tcp", 23) {
		t.Error("the lamp is not restricted, or others still are")
	}
	if d, _ := w.e.Device(hub.MAC); d != hub {
		t.Error("a device that had a profile was forgotten")
	}
}

// TestCrowdThatSpokeBefore: T14. Who is heard first and announces later counts as who announces at once: neither pushes out those who
// announce nothing, and one that does not fit is restricted.
func TestCrowdThatSpokeBefore(t *testing.T) {
	w := newWorld(t).start()
	w.sight("lamp", "")
	w.sight("neighbour", "")
	w.now = w.now.Add(time.Second)
	for i := range enforcer.MaxDevices {
		w.e.Sighted(dhcp.Sighting{MAC: mac(i), Kind: dhcp.Seen, Source: dhcp.SourceND})
		w.e.Sighted(dhcp.Sighting{MAC: mac(i), Kind: dhcp.Seen, Source: dhcp.SourceDHCPv4, URL: hubURL})
	}
	w.sight("lamp", lampURL)
	if w.e.Known() > enforcer.MaxAnnouncers+1 {
		t.Errorf("%d devices", w.e.Known())
	}
	if !w.can("neighbour", "evil", "tcp", 23) || w.can("lamp", "evil", "tcp", 23) {
		t.Error("who was known is restricted, or who announced a URL is not")
	}
}
