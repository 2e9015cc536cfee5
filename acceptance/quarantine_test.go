package acceptance

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"mudguard/enforcer/enforcertest"
)

// A quarantine ends what is open within a second: flows to the Internet, on the bridge and with the gateway, over both versions of IP,
// whoever opened them (T20).
func TestQuarantineCutsAll(t *testing.T) {
	t.Parallel()
	for _, bridge := range []bool{true, false} {
		t.Run(pickText(bridge, "on a bridge", "without a bridge"), func(t *testing.T) {
			l := newLab(t, bridge)
			lamp, nb := l.device("lamp"), l.device("nb")
			l.static(nb, 50)
			all := []enforcertest.ACE{{Both: true, Proto: "tcp"}, {Net: lamp.gateway + "/32", Proto: "tcp"}, {Net: lamp.gw6 + "/128", V6: true, Proto: "tcp"}}
			p := lampProfile("lamp")
			p.From, p.To = all, []enforcertest.ACE{{Both: true, Proto: "tcp", Local: enforcertest.Eq(7000), Initiated: "to-device"}}
			l.dnsmasq()
			l.start()
			l.udhcpc(lamp, l.cloud.publish("lamp", p))
			l.becomes(lamp, "held", "")
			l.order("approve", lamp.mac)
			l.becomes(lamp, "enforced", "")

			type flow struct {
				from *space
				to   string
			}
			var flows []flow
			for _, to := range [][3]string{{evilAddr, nb.addr, lamp.gateway}, {evilAddr6, nb.addr6, lamp.gw6}} {
				flows = append(flows, flow{lamp.space, net.JoinHostPort(to[0], "8883")}, flow{lamp.space, net.JoinHostPort(to[1], "7000")},
					flow{lamp.space, net.JoinHostPort(to[2], "22")})
			}
			flows = append(flows, flow{nb.space, net.JoinHostPort(lamp.addr, "7000")}, flow{nb.space, net.JoinHostPort(lamp.addr6, "7000")})
			var open []net.Conn
			for _, f := range flows {
				open = append(open, l.opened(f.from, f.to))
			}
			l.order("quarantine", lamp.mac)
			errs := make([]error, len(open))
			var wg sync.WaitGroup
			for i, c := range open {
				wg.Go(func() { errs[i] = ask(c, time.Now().Add(time.Second)) })
			}
			wg.Wait()
			for i, f := range flows {
				if errs[i] == nil {
					l.complain("%s to %s goes on in quarantine", f.from.name, f.to)
				}
			}
		})
	}
}

// opened connects, and sees that what is sent comes back.
func (l *lab) opened(from *space, to string) net.Conn {
	l.Helper()
	var c net.Conn
	await(l.T, from.name+" reaches "+to, patience, func() string {
		var err error
		if c, err = from.dial("tcp", to); err != nil {
			return err.Error()
		}
		if err = ask(c, time.Now().Add(2*time.Second)); err != nil {
			c.Close()
			return err.Error()
		}
		return ""
	})
	l.Cleanup(func() { c.Close() })
	return c
}

// ask sends a word and waits until an answer to it comes, whatever came before.
func ask(c net.Conn, until time.Time) error {
	_ = c.SetDeadline(until)
	word := []byte(fmt.Sprint("<", time.Now().UnixNano(), ">"))
	if _, err := c.Write(word); err != nil {
		return err
	}
	var got []byte
	b := make([]byte, 256)
	for {
		n, err := c.Read(b)
		if got = append(got, b[:n]...); len(got) >= len(word) && string(got[len(got)-len(word):]) == string(word) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
