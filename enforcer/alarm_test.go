package enforcer_test

import (
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// alarmed lists the kinds of the alarms about a device.
func (w *world) alarmed(mac dhcp.MAC) string {
	var out []string
	for _, a := range w.e.Alarms(mac) {
		out = append(out, a.What)
	}
	return strings.Join(out, ", ")
}

// TestForgedRelease: T13. Another host with the device's Ethernet address gives its lease back: the move to that host's port tells,
// whichever is heard first.
func TestForgedRelease(t *testing.T) {
	for _, moveFirst := range []bool{false, true} {
		w := newWorld(t).start()
		d := w.enforced("lamp", lampURL)
		a := enforcertest.HostNamed("lamp").V4
		release := func() { w.hear(dhcp.Sighting{MAC: d.MAC, Kind: dhcp.Released, Source: dhcp.SourceDHCPv4, Addr: a}) }
		w.e.HeardOn(d.MAC, "p1")
		w.now = w.now.Add(time.Hour)
		if !moveFirst {
			release()
		}
		w.e.HeardOn(d.MAC, "p2")
		if moveFirst {
			release()
		}
		w.sync()
		w.want(d, enforcer.StatusEnforced)
		if len(d.Leases) != 1 || d.Away != "" || !strings.Contains(w.alarmed(d.MAC), enforcer.AlarmLease) {
			t.Errorf("move first %v: leases %v, away %q, alarms %s", moveFirst, d.Leases, d.Away, w.alarmed(d.MAC))
		}
		w.now = w.now.Add(time.Hour) // its own, where it is plugged now
		release()
		if len(d.Leases) != 0 || d.Away == "" {
			t.Errorf("move first %v: its own release is not believed", moveFirst)
		}
	}
}

// TestDouble: T13. Who moves once is told; who is heard here and there by turns has a double. A day later it is forgotten.
func TestDouble(t *testing.T) {
	w := newWorld(t)
	w.start()
	mac := enforcertest.HostNamed("lamp").MAC
	w.e.HeardOn(mac, "p1") // the bridge may know it before we do
	w.enforced("lamp", lampURL)
	w.e.HeardOn(mac, "p1")
	if got := w.alarmed(mac); got != "" {
		t.Errorf("alarms %q", got)
	}
	w.e.HeardOn(mac, "p2")
	if got := w.alarmed(mac); got != enforcer.AlarmMoved {
		t.Errorf("alarms %q after a move", got)
	}
	w.now = w.now.Add(2 * time.Minute)
	w.e.HeardOn(mac, "p1")
	w.e.HeardOn(mac, "p2")
	if got := w.alarmed(mac); got != enforcer.AlarmMoved+", "+enforcer.AlarmClone {
		t.Errorf("alarms %q after turns", got)
	}
	if s := w.e.Summary(); len(s.Alarms) != 2 {
		t.Errorf("status has %v", s.Alarms)
	}
	w.now = w.now.Add(25 * time.Hour)
	w.e.Tick()
	if got := w.alarmed(mac); got != "" {
		t.Errorf("alarms %q a day later", got)
	}
}

// TestAlarmsAreBounded: T14, T15. A host may invent as many others as it likes.
func TestAlarmsAreBounded(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	for i := range 1000 {
		w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogSpoof, MAC: mac(i), Packet: enforcer.Flow{Src: d.Addrs[0]}})
		w.e.HeardOn(mac(i), "p1")
	}
	if n := len(w.e.Alarms(dhcp.MAC{})); n > 300 || n < 100 {
		t.Errorf("%d alarms", n)
	}
	w.want(d, enforcer.StatusEnforced)
}

// TestHeardSource: T15, T16. What the kernel heard a device use becomes its own, unless it is another's; and a silent device under
// policy keeps what is its own, whoever else wants it.
func TestHeardSource(t *testing.T) {
	w := newWorld(t).start()
	lamp := w.enforced("lamp", lampURL)
	w.sight("neighbour", "")
	free, other := enforcertest.HostNamed("cam").V6, enforcertest.HostNamed("neighbour").V4
	for _, l := range []enforcer.LogEvent{{Packet: enforcer.Flow{Src: free}}, {Packet: enforcer.Flow{Src: enforcertest.HostNamed("lamp").V6}, Claims: other}} {
		l.Prefix, l.MAC = enforcer.LogSource, lamp.MAC
		w.e.Denied(l)
	}
	w.sync()
	if len(lamp.Addrs) != 2 || lamp.Addrs[1] != free || len(w.e.Denials(0, dhcp.MAC{})) != 0 {
		t.Errorf("addresses %v, denials %v", lamp.Addrs, w.e.Denials(0, dhcp.MAC{}))
	}
	if got := w.alarmed(lamp.MAC); got != enforcer.AlarmAddress {
		t.Errorf("alarms %q", got)
	}
	w.now = w.now.Add(12 * time.Hour)
	w.claim("hub", free)
	if len(lamp.Addrs) != 2 {
		t.Errorf("a silent device lost an address to who claimed it: %v", lamp.Addrs)
	}
	w.start() // who had which address comes back from the kernel
	if d, ok := w.e.Device(enforcertest.HostNamed("neighbour").MAC); !ok || len(d.Addrs) != 1 || d.Addrs[0] != other {
		t.Errorf("after a restart the neighbour is %+v", d)
	}
}

// TestForgersDoNotFloodTheLog: T14, T21. Invented hosts that use a device's address are so many lines of the log and no more, and what
// was denied does not keep alarms out of it.
func TestForgersDoNotFloodTheLog(t *testing.T) {
	w := newWorld(t).start()
	w.enforced("lamp", lampURL)
	before := strings.Count(w.log.String(), "\n")
	forge := func(i int) {
		w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogSpoof, MAC: mac(i), Packet: enforcer.Flow{Src: enforcertest.HostNamed("lamp").V4,
			Dst: enforcertest.HostNamed("cloud").V4, Proto: 6, Sport: 40000, Dport: 443}})
	}
	for i := range 3000 {
		forge(i)
	}
	if n := strings.Count(w.log.String(), "\n") - before; n > 2100 || n < 1000 {
		t.Errorf("%d lines", n)
	}
	w.now = w.now.Add(10 * time.Minute)
	forge(5000)
	if s := w.log.String(); !strings.Contains(s, "what=\"address of another\" mac="+mac(5000).String()) {
		t.Error("later nothing is told any more")
	}
}

// TestSleeperLosesItsAddress: T15. Who takes the address of a host that is only asleep is told of, before that one is stopped for it.
func TestSleeperLosesItsAddress(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	printer := enforcertest.HostNamed("neighbour")
	w.hear(dhcp.Sighting{MAC: printer.MAC, Kind: dhcp.Uses, Source: dhcp.SourceND, Addr: printer.V4})
	w.now = w.now.Add(11 * time.Minute)
	w.hear(dhcp.Sighting{MAC: d.MAC, Kind: dhcp.Uses, Source: dhcp.SourceND, Addr: printer.V4})
	list := w.e.Alarms(printer.MAC)
	if len(list) != 1 || list[0].MAC != d.MAC || !strings.Contains(list[0].Text, "took "+printer.V4.String()) {
		t.Errorf("alarms %+v", list)
	}
}
