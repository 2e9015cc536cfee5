package acceptance

import (
	"fmt"
	"strings"
	"testing"
)

// TestLongGone: F2, R2. The daemon is gone for longer than what it learned lives: flows go on, names resolve, what is denied stays
// denied, and what ran out is closed until the daemon is back.
func TestLongGone(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.config["dns"] = map[string]any{"min_ttl": "5s"}
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	open := l.rotating(lamp, 3)
	s := l.stream(lamp, open+":8883")
	l.daemon.kill()
	await(t, "what was learned runs out", 2*patience, func() string {
		out := l.gw.in(t, "nft list table inet mudguard")
		_, set, found := strings.Cut(out, "set n_")
		set, _, _ = strings.Cut(set, "\n\t}")
		return pickText(found && !strings.Contains(set, "elements"), "", set)
	})
	before := s.lines.Load()
	l.try("gone for long", []probe{{"lamp -> its cloud, anew", func() error { return lamp.tcp(open + ":8883") }, false},
		{"lamp -> another host", func() error { return lamp.tcp(evilAddr + ":8883") }, false},
		{"lamp -> DNS", func() error { _, err := lamp.resolve(gateway, "cloud.example"); return err }, true}})
	await(t, "the flow goes on", patience, func() string {
		return pickText(s.lines.Load() > before+10, "", fmt.Sprintf("%d lines, then %d", before, s.lines.Load()))
	})
	l.start()
	l.becomes(lamp, "enforced", "")
	l.rotating(lamp, 5)
	if err := s.end(); err != nil {
		l.complain("the flow ended: %v", err)
	}
}

// TestBridgeComesAgain: F14. The LAN's bridge is deleted and made anew under a running daemon, more than once: it is heard again,
// what was denied is denied from the first packet on, and names open.
func TestBridgeComesAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	denied := []probe{{"lamp -> another host", func() error { return lamp.tcp(evilAddr + ":8883") }, false},
		{"lamp -> the gateway", func() error { return lamp.tcp(gateway + ":22") }, false}}
	for i := range 3 {
		l.gw.in(t, "ip link del br-lan")
		await(t, "status says that it is missing", patience, func() string {
			out := l.order("status", "--json")
			return pickText(strings.Contains(out, "LAN interface br-lan"), "", out)
		})
		l.bridgeIn(l.gw)
		l.gw.in(t, "ip link set "+lamp.port+" master br-lan")
		l.try(fmt.Sprint("made anew, ", i), denied)
		await(t, "it is heard again", patience, func() string {
			out := strings.ReplaceAll(l.order("status", "--json"), " ", "")
			return pickText(strings.Contains(out, `"state":"listening"`) && !strings.Contains(out, "LANinterface"), "", out)
		})
		await(t, "DNS answers again", patience, func() string {
			if _, err := lamp.resolve(gateway, "maker.example"); err != nil {
				return err.Error()
			}
			return ""
		})
		l.rotating(lamp, 3)
		l.try(fmt.Sprint("heard again, ", i), denied)
	}
}
