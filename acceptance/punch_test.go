package acceptance

import (
	"net"
	"testing"
	"time"
)

// A packet from outside that is denied must not make an answer to it a reply: else a server of the attacker's could open the
// way out for a device that works for him.
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
				if l.punched(lamp, p.lamp, p.peer) {
					l.complain("%s, whose datagram to the lamp was denied, gets one from the lamp; flows:\n%s", p.peer,
						l.gw.in(t, "conntrack -L 2>&1; conntrack -L -f ipv6 2>&1"))
				}
			}
		})
	}
}

// punched sends a datagram from peer to the lamp and then one back, and says whether that arrived.
func (l *lab) punched(d *device, lampAddr, peerAddr string) bool {
	l.Helper()
	const port = 5555
	lamp, peer := &net.UDPAddr{IP: net.ParseIP(lampAddr), Port: port}, &net.UDPAddr{IP: net.ParseIP(peerAddr), Port: port}
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
