package acceptance

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// open is the probes of a device whose policy is off.
func (l *lab) open(d *device, f family) []probe {
	return []probe{l.to("T -> W1", d.space, f.host(11), 8883, true), l.to("T -> W2", d.space, f.host(12), 8883, true),
		l.to("T -> gateway's SSH", d.space, f.gateway(d), 22, true), l.to("Internet -> T", l.wan, f.of(d), 7000, true)}
}

// eachLAN runs a part with a gateway whose LAN is a bridge, and with one whose isn't.
func eachLAN(t *testing.T, part func(*lab, *device)) {
	for name, bridge := range map[string]bool{"bridge": true, "routed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, bridge)
			d := l.device("steered")
			l.dnsmasq()
			l.start()
			l.udhcpc(d, l.cloud.publish("steered", declared("steered")))
			l.becomes(d, "enforced", "its profile is enforced")
			l.declares("at first", d)
			part(l, d)
		})
	}
}

// flows opens one flow that the policy allows and one that it does not, over both families.
func (l *lab) flows(d *device) (stays, goes []*stream) {
	l.Helper()
	for _, f := range families {
		stays = append(stays, l.stream(d, hostPort(f.host(11), 8883)))
		goes = append(goes, l.stream(d, hostPort(f.host(12), 8883)))
	}
	return stays, goes
}

// flow shows that streams that nobody should have cut still flow.
func (l *lab) flow(streams []*stream) {
	l.Helper()
	for _, s := range streams {
		n := s.lines.Load()
		await(l.T, "an allowed flow goes on", patience, func() string { return pickText(s.lines.Load() > n+5, "", "it stands still") })
	}
}

// A pause opens everything, and the kernel ends it while the daemon is dead: for new flows and for those that only the pause let
// in, while those that the policy allows go on. BBF-LAN.FW.SPI.6, R2.
func TestPauseDaemonKilled(t *testing.T) {
	t.Parallel()
	eachLAN(t, func(l *lab, d *device) {
		l.order("pause", d.mac, "1m")
		l.becomes(d, "paused", "paused by the administrator")
		for _, f := range families {
			l.try("paused", l.open(d, f))
		}
		stays, goes := l.flows(d)
		l.daemon.kill()
		for _, f := range families {
			l.try("paused, and no daemon", l.open(d, f))
		}
		await(l.T, "the kernel ends the pause", time.Minute+patience, func() string {
			return pickText(d.tcp(hostPort(v4.host(12), 8883)) != nil, "", "still open")
		})
		for _, s := range goes {
			l.ended(s)
		}
		l.flow(stays)
		l.declares("the pause is over, and no daemon", d)
		l.start()
		l.becomes(d, "enforced", "its profile is enforced")
		l.declares("after the restart", d)
		l.flow(stays)
		if out := l.gw.in(l.T, "nft list ruleset"); strings.Contains(out, "paused") {
			l.complain("something is left of the pause: %s", out)
		}
	})
}

// A pause goes on where the daemon is started anew, and ends at once when it is told so; so do exceptions, which open one flow only.
func TestResumeAndExceptions(t *testing.T) {
	t.Parallel()
	eachLAN(t, func(l *lab, d *device) {
		l.order("pause", d.mac, "1h")
		l.restart()
		l.becomes(d, "paused", "paused by the administrator")
		stays, goes := l.flows(d)
		l.order("resume", d.mac)
		for i, f := range families {
			l.ended(goes[i])
			l.try("resumed", l.only(d, f, true))
		}
		l.flow(stays)
		for _, f := range families {
			l.order("allow", d.mac, "out", "tcp", f.host(12), "8883", "--for", "1h", "--note", "try", "--preview")
			l.try("previewed", l.only(d, f, true))
			l.order("allow", d.mac, "out", "tcp", f.host(12), "8883", "--for", "1h", "--note", "try")
			l.order("allow", d.mac, "in", "tcp", f.host(11), "7000", "--for", "always")
			l.try("allowed", []probe{l.to("T -> W2", d.space, f.host(12), 8883, true), l.to("T -> W2 elsewhere", d.space, f.host(12), 80, false),
				l.from(f.host(11), "W1 -> T", l.wan, f.of(d), 7000, true), l.from(f.host(12), "W2 -> T", l.wan, f.of(d), 7000, false)})
		}
		s := l.stream(d, hostPort(v4.host(12), 8883))
		var list []struct{ ID, Note string }
		l.decode(&list, "exceptions", d.mac, "--json")
		if len(list) != 4 || list[0].Note != "try" {
			l.complain("exceptions: %+v", list)
		}
		for _, x := range list {
			l.order("revoke", d.mac, x.ID)
		}
		l.ended(s)
		l.flow(stays)
		l.declares("revoked", d)
	})
}

// The way of a household: observe, read the report, allow what is wanted, enforce. The report survives a restart, as the firewall log
// does (BBF-LAN.FW.2-5).
func TestObserveReportEnforce(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	d := l.device("dares")
	l.dnsmasq()
	l.start()
	l.udhcpc(d, l.cloud.publish("dares", declared("dares")))
	l.becomes(d, "enforced", "its profile is enforced")
	l.order("name", d.mac, "Bob's lamp")
	l.order("observe", d.mac)
	l.try("observed", []probe{l.to("T -> W2", d.space, v4.host(12), 8883, true), l.to("T -> gateway's SSH", d.space, gateway, 22, true)})
	var r struct {
		Text  string
		Flows []struct {
			Device, Reason string
			Count          int
			Allow          struct {
				Direction, Proto, Remote string
				Port                     int
			}
		}
	}
	seen := func() string { l.decode(&r, "report", d.mac, "--json"); return pickText(len(r.Flows) == 2, "", r.Text) }
	await(t, "both flows are reported", patience, seen)
	l.daemon.signal(t, syscall.SIGTERM)
	<-l.daemon.done
	l.start()
	if why := seen(); why != "" || !strings.Contains(r.Text, "would have denied these 2 flows") || r.Flows[0].Device != "Bob's lamp" || r.Flows[0].Count == 0 {
		l.fatal("after the restart: %s %+v", why, r)
	}
	var log []struct{ Kind, Time string }
	l.decode(&log, "history", "--kind", "denial", "--device", d.mac, "--json")
	if len(log) < 2 || log[0].Kind != "denial" || log[0].Time == "" {
		l.complain("the firewall log: %+v", log)
	}
	for _, f := range r.Flows {
		if f.Allow.Port == 8883 {
			l.order("allow", d.mac, f.Allow.Direction, f.Allow.Proto, f.Allow.Remote, "8883", "--for", "always")
		}
	}
	l.order("enforce", d.mac)
	l.try("enforced", []probe{l.to("T -> W1", d.space, v4.host(11), 8883, true), l.to("T -> W2", d.space, v4.host(12), 8883, true),
		l.to("T -> W2 elsewhere", d.space, v4.host(12), 80, false), l.to("T -> gateway's SSH", d.space, gateway, 22, false)})
	if out, errs, code := l.cli("attempts", "--device", d.mac); code != 0 || !strings.Contains(out, "no entry of its profile allows it") {
		l.complain("attempts: exit %d, %s %s", code, out, errs)
	}
}
