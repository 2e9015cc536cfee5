package acceptance

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mudguard/enforcer/enforcertest"
)

// The main job: a device announces, its profile is fetched, verified and enforced; what is declared passes and nothing
// else does, also while the daemon is dead, and after it came back. R8520-8-a, R9726-3.1-a: the name stands for another address in
// each answer. R8520-15-a, T-18: neighbours on the bridge are in the matrix. T-46: noise goes on during all changes.
// N12, N13, N14, N16, R2, F2, F3, T12, T19.
func TestMainJob(t *testing.T) {
	for _, c := range []struct {
		name   string
		bridge bool
		client func(*lab, *device, string)
	}{
		{"udhcpc on a bridge", true, (*lab).udhcpc},
		{"dhclient on a bridge", true, (*lab).dhclient},
		{"udhcpc without a bridge", false, (*lab).udhcpc},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mainJob(newLab(t, c.bridge), c.client)
		})
	}
}

func mainJob(l *lab, client func(*lab, *device, string)) {
	lamp, nb := l.device("lamp"), l.device("nb")
	l.static(nb, 50)
	l.dnsmasq()
	l.unrestricted(lamp, nb)
	// The noise must not use up the new flows that the lamp is allowed.
	l.config["limits"] = map[string]any{"new_flows": "100000/second", "burst": 100000}
	url := l.cloud.publish("lamp", lampProfile("lamp"))
	l.start()
	client(l, lamp, url)
	v := l.becomes(lamp, "enforced", "")
	if v.URL != url || v.Policy == "" {
		l.complain("an enforced device has url %q and policy %q", v.URL, v.Policy)
	}
	l.rotating(lamp, 40)

	open := l.openName(lamp)
	l.try("before", l.matrix(lamp, nb, open, true))
	l.wan.in(l.T, "nft reset counter inet sink hits") // not at once after unrestricted: its last packets may still be on their way
	s, n := l.stream(lamp, open+":8883"), l.noise(lamp)
	fetched, before := l.cloud.fetches(), handles(l)
	l.daemon.kill()
	l.try("while the daemon is dead", l.matrix(lamp, nb, open, true))
	l.start()
	if after := handles(l); after != before {
		l.complain("a restart touched rules or chains: %s", difference(before, after))
	}
	l.becomes(lamp, "enforced", "")
	l.try("after a restart", l.matrix(lamp, nb, open, true))
	l.rotating(lamp, 10)
	if got := l.cloud.fetches(); got != fetched {
		l.complain("a restart asked the manufacturer's server %d times", got-fetched)
	}
	l.update(lamp, nb, url, open)
	if err := s.end(); err != nil {
		l.complain("the allowed stream broke after %d lines: %v", s.lines.Load(), err)
	}
	l.another(lamp)
	if err := n.end(); err != nil {
		l.complain("the noise ended: %v", err)
	}
	if got := l.sunk(); got > 0 || n.sent.Load() < 100 {
		l.complain("%d of %d denied packets leaked to the Internet", got, n.sent.Load())
	}
}

// unrestricted shows that without mudguard all probes pass, so that one which fails later was denied.
func (l *lab) unrestricted(lamp, nb *device) {
	l.Helper()
	l.static(lamp, 77)
	l.try("without mudguard", l.matrix(lamp, nb, fmt.Sprintf("203.0.113.%d", poolFirst), false))
	n := l.noise(lamp)
	await(l.T, "noise reaches the Internet", patience, func() string {
		if l.sunk() < 4 {
			return "nothing"
		}
		return ""
	})
	if err := n.end(); err != nil {
		l.Fatal(err)
	}
	lamp.in(l.T, "ip -4 addr flush dev eth0")
	l.gw.in(l.T, "conntrack -F 2>/dev/null")
}

// openName resolves the name once, and gives the address.
func (l *lab) openName(d *device) string {
	l.Helper()
	addrs, err := d.resolve(d.gateway, "cloud.example")
	if err != nil {
		l.fatal("cloud.example: %v", err)
	}
	return addrs[0].String()
}

// update lets the daemon find, at a start, that the profile is due and that a new version of it is there: one port more, for
// which the administrator is asked (R8520-16-g).
func (l *lab) update(lamp, nb *device, url, open string) {
	l.Helper()
	p := lampProfile("lamp")
	p.From = append(p.From, enforcertest.ACE{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Eq(8884)})
	p.Extra["last-update"] = "2026-02-01T00:00:00Z"
	l.cloud.publish("lamp", p)
	old := l.view(lamp).Policy
	l.daemon.kill()
	l.makeDue()
	l.start()
	l.becomes(lamp, "enforced", "would newly allow: tcp/8884 over IPv4 with cloud.example")
	l.try("while a wider profile waits", append(l.matrix(lamp, nb, open, true),
		probe{"lamp -> the port that the new version would open", func() error { return lamp.tcp(open + ":8884") }, false}))
	l.order("approve", lamp.mac)
	await(l.T, "the new version of the profile", patience, func() string {
		if v := l.view(lamp); v.State != "enforced" || v.Policy == old {
			return v.State + " " + v.Reason + l.log.tail()
		}
		return ""
	})
	probes := l.matrix(lamp, nb, open, true)
	probes = append(probes, probe{"lamp -> the port that the new version opens", func() error { return lamp.tcp(open + ":8884") }, true})
	l.try("after an update of the profile", probes)
}

// another moves the device to another profile that allows the same.
func (l *lab) another(lamp *device) {
	l.Helper()
	url := l.cloud.publish("lamp2", lampProfile("lamp2"))
	fetched := l.cloud.fetches()
	l.order("assign", lamp.mac, site+"nothing.json")
	l.becomes(lamp, "failed", "404")
	l.order("assign", lamp.mac, url)
	if v := l.becomes(lamp, "enforced", ""); v.URL != url || l.cloud.fetches() == fetched {
		l.complain("another URL was assigned, but the device has %s", v.URL)
	}
}

// makeDue sets the next refresh of all cached profiles to the past, as if the gateway had been off for long.
func (l *lab) makeDue() {
	l.Helper()
	files, _ := filepath.Glob(filepath.Join(l.dir, "state/profiles/*/meta.json"))
	if len(files) == 0 {
		l.fatal("no profile is cached")
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			l.Fatal(err)
		}
		var env struct {
			Checksum string          `json:"checksum"`
			Entry    json.RawMessage `json:"entry"`
		}
		if err := json.Unmarshal(raw, &env); err != nil {
			l.Fatal(err)
		}
		due := regexp.MustCompile(`"next_refresh":"[^"]*"`)
		env.Entry = due.ReplaceAll(env.Entry, []byte(`"next_refresh":"2026-01-02T00:00:00Z"`))
		env.Checksum = fmt.Sprintf("%x", sha256.Sum256(env.Entry))
		if raw, err = json.Marshal(env); err != nil {
			l.Fatal(err)
		}
		if err := os.WriteFile(f, raw, 0o600); err != nil {
			l.Fatal(err)
		}
	}
}

// handles lists tables, chains, rules and sets of the gateway with their handles, which change when they are made anew.
func handles(l *lab) string {
	l.Helper()
	var out []string
	for line := range strings.Lines(l.gw.in(l.T, "nft -s -a list ruleset")) {
		if strings.Contains(line, "# handle") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

// difference gives the lines that only one of two texts has.
func difference(a, b string) string {
	var out []string
	only := func(mark, a, b string) {
		has := map[string]int{}
		for line := range strings.Lines(b + "\n") {
			has[strings.TrimSpace(line)]++
		}
		for line := range strings.Lines(a + "\n") {
			if line = strings.TrimSpace(line); has[line] == 0 {
				out = append(out, mark+line)
			} else {
				has[line]--
			}
		}
	}
	only("- ", a, b)
	only("+ ", b, a)
	return "\n" + strings.Join(out, "\n")
}
