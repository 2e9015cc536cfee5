package acceptance

import (
	"net"
	"testing"
	"time"

	"mudguard/enforcer/enforcertest"
)

// A packet from outside that is denied must not make an answer to it a reply: else a server of the attacker's could open the
// way out for a device that works for him (T19).
func TestDeniedOpensNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		bridge bool
	}{{"on a bridge", true}, {"without a bridge", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, c.bridge)
			lamp := l.device("lamp")
			l.dnsmasq()
			l.start()
			l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
			l.becomes(lamp, "enforced", "")
			// The gateway gets to know the lamp's IPv6 address by the neighbour discovery of a packet that is denied.
			_ = lamp.tcp(net.JoinHostPort(lamp.gw6, "22"))
			for _, p := range []struct{ lamp, peer string }{{lamp.addr, sinkAddr}, {lamp.addr6, sinkAddr6}} {
				for _, ports := range [][2]int{{5555, 5555}, {68, 67}, {546, 547}} { // also those of DHCP, which is always allowed
					if l.punched(lamp, p.lamp, ports[0], p.peer, ports[1]) {
						l.complain("%s, whose datagram to the lamp was denied, gets one from the lamp; flows:\n%s", p.peer,
							l.gw.in(t, "conntrack -L 2>&1; conntrack -L -f ipv6 2>&1"))
					}
				}
			}
		})
	}
}

// punched sends a datagram from peer to the lamp and then one back, and says whether that arrived.
func (l *lab) punched(d *device, lampAddr string, lampPort int, peerAddr string, peerPort int) bool {
	l.Helper()
	lamp, peer := &net.UDPAddr{IP: net.ParseIP(lampAddr), Port: lampPort}, &net.UDPAddr{IP: net.ParseIP(peerAddr), Port: peerPort}
	open := func(s *space, at *net.UDPAddr) (c *net.UDPConn) {
		if err := s.do(func() (err error) { c, err = net.ListenUDP("udp", at); return err }); err != nil {
			l.Fatal(err)
		}
		l.Cleanup(func() { c.Close() })
		return c
	}
	inside, outside := open(d.space, lamp), open(l.wan, peer)
	hears := func(c *net.UDPConn) bool {
		_ = c.SetReadDeadline(time.Now().Add(oneTry))
		_, _, err := c.ReadFrom(make([]byte, 16))
		return err == nil
	}
	if _, err := outside.WriteTo([]byte("knock"), lamp); err != nil {
		l.Fatal(err)
	}
	if hears(inside) {
		l.complain("a datagram from %s reaches the lamp", peerAddr)
	}
	if _, err := inside.WriteTo([]byte("answer"), peer); err != nil {
		l.Fatal(err)
	}
	return hears(outside)
}

// TestNameOfThisHost: T9. A name that the maker lets stand for the gateway's own address on the Internet opens nothing of the gateway.
func TestNameOfThisHost(t *testing.T) {
	l := newLab(t, true)
	lamp := l.device("lamp")
	const wanAddr = "198.51.100.1"
	l.dnsmasq("--host-record=trap.example,"+wanAddr, "--host-record=fair.example,"+sinkAddr)
	l.start()
	p := lampProfile("lamp")
	p.From, p.To = nil, nil
	for _, name := range []string{"trap.example", "fair.example"} {
		p.From = append(p.From, enforcertest.ACE{Name: name, Proto: "tcp", Remote: enforcertest.Eq(22), Initiated: "from-device"})
	}
	l.udhcpc(lamp, l.cloud.publish("lamp", p))
	l.becomes(lamp, "enforced", "")
	l.bound(lamp)
	for _, name := range []string{"trap.example", "fair.example"} {
		if _, err := lamp.resolve(gateway, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := lamp.tcp(net.JoinHostPort(wanAddr, "22")); err == nil {
		t.Error("the lamp reaches the gateway's SSH by a name")
	}
	if before := l.sunk(); lamp.tcp(net.JoinHostPort(sinkAddr, "22")) != nil && l.sunk() == before {
		t.Error("the lamp's packets to another name do not leave")
	}
}
