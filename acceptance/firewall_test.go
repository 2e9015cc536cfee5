package acceptance

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mudguard/enforcer/enforcertest"
)

// Whatever somebody does to our tables is undone (T-45, N11, R1, F5, F6).
func TestFirewallFlush(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	policy := l.becomes(lamp, "enforced", "").Policy
	open := l.rotating(lamp, 3)
	want := comparable(l.gw.in(t, "nft -s list ruleset"))
	rule := regexp.MustCompile(`tcp dport 8883 .*# handle (\d+)`).FindStringSubmatch(
		l.gw.in(t, "nft -a list chain inet mudguard "+policy+"_out"))
	if rule == nil {
		l.fatal("no rule for port 8883 in %s_out", policy)
	}
	for i, harm := range []string{
		"delete rule inet mudguard " + policy + "_out handle " + rule[1],
		"insert rule inet mudguard " + policy + "_out accept",
		"delete element inet mudguard from_device { " + lamp.mac + " }",
		"add element inet mudguard resolvers_4 { 203.0.113.53 }",
		"flush chain inet mudguard forward_from",
		"delete table bridge mudguard",
		"delete table inet mudguard",
		"flush ruleset",
	} {
		l.gw.in(t, "nft '"+harm+"'")
		var now string
		if why := awaited(2*time.Second, func() string {
			now = comparable(l.gw.in(t, "nft -s list ruleset"))
			return pickText(now == want, "", "not yet")
		}); why != "" {
			l.complain("%s: not repaired: %s", harm, difference(want, now))
			continue
		}
		l.try(harm, []probe{
			{"lamp -> cloud at an address that was open", func() error { return lamp.tcp(open + ":8883") }, true},
			{"lamp -> another host", func() error { return lamp.tcp(evilAddr + ":8883") }, false}})
		l.rotating(lamp, 2)
		if got := l.repairs(); got <= i {
			l.complain("%s: status counts %d repairs after %d changes", harm, got, i+1)
		}
	}
}

func (l *lab) repairs() int { return l.status().Repairs }

// standing is what status says of repairs and gaps.
type standing struct {
	Repairs    int
	LastRepair *struct {
		At   time.Time
		What string
	} `json:"last_repair"`
	Gaps []struct{ What, Why string }
}

func (l *lab) status() (s standing) {
	l.Helper()
	if err := json.Unmarshal([]byte(l.order("status", "--json")), &s); err != nil {
		l.fatal("status --json: %v", err)
	}
	return s
}

func (s standing) gap(what string) bool {
	return slices.ContainsFunc(s.Gaps, func(g struct{ What, Why string }) bool { return g.What == what })
}

// A device can neither lie about its address nor open more flows than limits.new_flows says, whatever its profile allows
// (R8520-16-r, R6092-5/6, T15, T18).
func TestSpoofAndFlood(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	p := lampProfile("lamp")
	p.From = []enforcertest.ACE{{Net: sinkAddr + "/32", Proto: "udp", Remote: enforcertest.Eq(8883)}}
	p.To = nil
	l.config["limits"] = map[string]any{"new_flows": "10/second", "burst": 20}
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", p))
	l.becomes(lamp, "enforced", "")

	l.spoof(lamp, lamp.addr)
	await(t, "a packet with the true address arrives", patience, func() string { return pickText(l.sunk() == 1, "", "not yet") })
	for _, lie := range []string{"203.0.113.7", "198.51.100.2", "10.9.9.9", "192.168.9.9", "127.0.0.1", "224.0.0.1",
		"255.255.255.255", gateway} {
		l.spoof(lamp, lie)
	}
	l.denial(lamp, func(d denial) bool {
		return strings.Contains(d.Explanation, "source address that is not of this network")
	})
	if n := l.sunk(); n != 1 {
		l.complain("%d packets with false source addresses reached the Internet", n-1)
	}

	const flows, sender = 400, 20
	began := time.Now()
	var wg sync.WaitGroup
	for range sender {
		wg.Go(func() {
			_ = lamp.do(func() error {
				for range flows / sender {
					if err := (&noise{}).send(unix.AF_INET, &unix.SockaddrInet4{Port: 8883, Addr: [4]byte{203, 0, 113, 99}}, false); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	wg.Wait()
	l.denial(lamp, func(d denial) bool { return strings.Contains(d.Explanation, "more than 10 new flows in a second") })
	most := 1 + 21 + int(10*time.Since(began).Seconds()+1)
	if n := l.sunk(); n > most || n < 10 {
		l.complain("%d of %d flows got through, and not between 10 and %d", n-1, flows, most)
	}
}

// spoof sends one datagram to the sink that claims to come from an address.
func (l *lab) spoof(d *device, from string) {
	l.Helper()
	err := d.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		packet := []byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0} // the kernel fills in length and checksum
		packet = append(packet, net.ParseIP(from).To4()...)
		packet = append(packet, net.ParseIP(sinkAddr).To4()...)
		packet = append(packet, 0xc0, 0, 8883>>8, 8883&0xff, 0, 12, 0, 0, 'f', 'a', 'k', 'e') // a UDP checksum of 0 is none
		return unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: [4]byte{203, 0, 113, 99}})
	})
	if err != nil {
		l.Fatal(fmt.Errorf("spoofing %s: %w", from, err))
	}
}
