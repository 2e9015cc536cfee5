package listen

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

// TestLLDP: a URL that a device announces by LLDP alone is heard on a bridge's ports, on one that came later, and without
// a bridge (R8520-12-a, R8520-12-c).
func TestLLDP(t *testing.T) {
	need(t)
	announce := func(mac dhcp.MAC) []byte { return frames.LLDP(mac, 120, frames.MUDTLV(url)) }
	check := func(t *testing.T, e *ear, l lan, host string, mac dhcp.MAC) {
		t.Helper()
		send(t, host, announce(mac))
		again := time.AfterFunc(3*time.Second, func() { send(t, host, announce(mac)) }) // LLDP is repeated
		defer again.Stop()
		s := e.await(t, "LLDP", by(dhcp.SourceLLDP, dhcp.Seen, mac))
		if s.URL != url || s.Interface != l.ifname || s.TTL != 2*time.Minute {
			t.Errorf("%+v", s)
		}
	}
	t.Run("bridge", func(t *testing.T) {
		l := newLAN(t)
		one, two := l.host(t, "lamp", lamp), l.host(t, "two", rogue)
		e := hear(t, l)
		check(t, e, l, one, lamp)
		check(t, e, l, two, rogue)
		late := dhcp.MAC{2, 0, 0x5e, 0x10, 0, 3}
		host := l.host(t, "late", late)
		check(t, e, l, host, late)
		run(t, "ip", "-n", l.gateway, "link", "del", "port-late")
		send(t, one, frames.LLDP(lamp, 0))
		e.await(t, "the end of LLDP", by(dhcp.SourceLLDP, dhcp.Gone, lamp))
	})
	t.Run("cable", func(t *testing.T) {
		l, host := newCable(t, lamp)
		e := hear(t, l)
		check(t, e, l, host, lamp)
		// veth lets everything in; a card that does not must be told to let LLDP in.
		out, err := exec.Command("ip", "-n", l.gateway, "maddress", "show", "dev", l.ifname).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "01:80:c2:00:00:0e") {
			t.Errorf("%v: %s; want 01:80:c2:00:00:0e among the groups", err, out)
		}
	})
	t.Run("other networks", func(t *testing.T) {
		l := newLAN(t)
		host := l.host(t, "lamp", lamp)
		bad := namespace(t, "wan")
		run(t, "ip", "-n", l.gateway, "link", "add", "wan0", "type", "veth", "peer", "name", "eth0", "netns", bad)
		run(t, "ip", "-n", l.gateway, "link", "set", "wan0", "up")
		run(t, "ip", "-n", bad, "link", "set", "eth0", "address", rogue.String(), "up")
		e := hear(t, l)
		send(t, bad, announce(rogue))
		send(t, host, announce(lamp))
		s := e.await(t, "LLDP", func(s dhcp.Sighting) bool { return s.Source == dhcp.SourceLLDP })
		if s.MAC != lamp {
			t.Errorf("heard on a port of no LAN: %+v", s)
		}
	})
}

// TestNeighbours: an address that a host gives itself is heard, of both versions; a forged one is not (RDHCP-static,
// hardening.md T15). The flood that comes first does not keep DHCP from being heard.
func TestNeighbours(t *testing.T) {
	need(t)
	for _, name := range []string{"bridge", "cable"} {
		t.Run(name, func(t *testing.T) {
			var l lan
			var host string
			if name == "bridge" {
				l = newLAN(t)
				host = l.host(t, "lamp", lamp)
			} else {
				l, host = newCable(t, lamp)
			}
			e := hear(t, l)
			var flood [][]byte
			for i := range 10 * quotaFrames {
				a := netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)})
				flood = append(flood, frames.ARP(rogue, rogue, 1, a, a))
			}
			flood = append(flood, frames.ARP(rogue, lamp, 1, gatewayAddr, gatewayAddr), discover())
			send(t, host, flood...)
			if s := e.await(t, "DISCOVER", by(dhcp.SourceDHCPv4, dhcp.Seen, lamp)); s.URL != url {
				t.Errorf("%+v", s)
			}
			run(t, "ip", "-n", host, "addr", "add", "fd00:77::20/64", "dev", "eth0") // the host looks whether it is free
			six := e.await(t, "IPv6 address", func(s dhcp.Sighting) bool { return s.Addr == netip.MustParseAddr("fd00:77::20") })
			run(t, "ip", "-n", host, "addr", "add", "192.168.77.20/24", "dev", "eth0")
			inside(t, host, func() error { return ask(gatewayAddr) })
			four := e.await(t, "IPv4 address", func(s dhcp.Sighting) bool { return s.Addr == netip.MustParseAddr("192.168.77.20") && s.MAC == lamp })
			for _, s := range []dhcp.Sighting{six, four} {
				if s.Kind != dhcp.Uses || s.Source != dhcp.SourceND || s.MAC != lamp || s.Interface != l.ifname {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}
