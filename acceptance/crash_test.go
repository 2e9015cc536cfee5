//go:build linux && amd64

package acceptance

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mudguard/enforcer/enforcertest"
	"mudguard/internal/steps"
)

// crashes is at how many points the daemon is killed; MUDGUARD_CRASHES changes it.
const crashes = 56

// TestCrash: F1, F3, N3. The daemon is killed at each of many of its steps: before and after each message to and from the kernel,
// each write, sync, rename, and each step of fetching a file, while it starts, takes a new version of a profile, a quarantine and
// its end, a device that comes, and one that is forgotten. Each time the kernel has whole policies, old or new and never parts of
// both, and the file of the state is whole. The next start, which is the next to be killed, goes on from there. What is denied
// never passes.
func TestCrash(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.config["limits"] = map[string]any{"new_flows": "100000/second", "burst": 100000}
	c := &crash{lab: l, lamp: lamp, bodies: map[string]string{}, at: map[string]int{}}
	c.publish()
	l.start()
	l.udhcpc(lamp, site+"lamp.json")
	l.becomes(lamp, "enforced", "")
	l.daemon.kill()
	l.wan.in(t, "nft reset counter inet sink hits")
	n := l.noise(lamp)
	there := c.once(point{})
	want := number("MUDGUARD_CRASHES", crashes)
	for i := 0; c.killed < want && i < 2*want; i++ {
		c.once(spread(there, i, want))
	}
	if err := n.end(); err != nil {
		l.complain("the noise ended: %v", err)
	}
	if got := l.sunk(); got > 0 || n.sent.Load() < 1000 {
		l.complain("%d of %d denied packets leaked", got, n.sent.Load())
	}
	if c.killed < want {
		l.complain("killed at %d points of %d", c.killed, want)
	}
	c.once(point{})
	for _, kind := range []string{"send netfilter", "receive netfilter", "send tcp", "receive tcp", "connect tcp", "create", "write", "fsync", "rename", "link"} {
		if c.at[kind] == 0 {
			l.complain("never killed at a %q, but at %v of %v", kind, c.at, there)
		}
	}
	t.Logf("killed at %d points, by kind %v of %v; of %d denied packets that were sent meanwhile none passed", c.killed, c.at, there, n.sent.Load())
}

// point is the nth step of a kind.
type point struct {
	kind string
	n    int
}

// spread gives the ith of so many points: kinds take turns, and each is tried all over.
func spread(there map[string]int, i, of int) point {
	kinds := slices.Sorted(maps.Keys(there))
	kind := kinds[i%len(kinds)]
	rounds := max(of/len(kinds), 1)
	return point{kind, 1 + (i/len(kinds))*there[kind]/rounds%there[kind]}
}

// crash kills a daemon again and again.
type crash struct {
	*lab
	lamp    *device
	version int
	killed  int
	at      map[string]int    // how often, by kind of step
	bodies  map[string]string // of chains, by name
}

// publish puts a new version of the lamp's file on the web, which allows one port less than the one before.
func (c *crash) publish() {
	c.version++
	p := lampProfile("lamp")
	p.From[0].Remote = enforcertest.Range(8883, 20000-c.version)
	p.To[0].Remote = p.From[0].Remote
	p.Extra["last-update"] = time.Date(2026, 1, 1, 0, 0, c.version, 0, time.UTC).Format(time.RFC3339)
	c.cloud.publish("lamp", p)
}

// once starts the daemon, has it do all that it does, and kills it at a point, or else at the end; it gives the steps by kind.
func (c *crash) once(nth point) map[string]int {
	c.Helper()
	c.makeDue()
	c.publish()
	count := map[string]int{} // of the tracer while the daemon lives
	var kinds steps.Kinds
	p := c.trace(func(call *steps.Call) {
		kind := kinds.Of(call)
		if count[kind]++; kind == nth.kind && count[kind] == nth.n {
			call.Kill()
			c.at[kind]++
			c.killed++
		}
	})
	c.change(p)
	if nth.n == 0 && p.ended() {
		c.Fatalf("the daemon ended: %v\n%s", p.end, c.logged())
	}
	p.kill()
	c.whole(nth)
	delete(count, "")
	return count
}

// change is the steps that everything is about. Where the daemon is killed, the rest fails, as it must.
func (c *crash) change(p *traced) {
	c.Helper()
	if !c.answers(p) {
		return
	}
	const plug = "02:00:00:00:dd:01"
	for _, ask := range [][2]string{
		{"devices/" + c.lamp.mac + "/quarantine", ""}, {"devices/" + c.lamp.mac + "/release", ""},
		{"sightings", `{"source":"dnsmasq","events":[{"kind":"bound","mac":"` + plug + `","addr":"192.168.8.77","interface":"br-lan","url":"` + site + `lamp.json"}]}`},
		{"devices/" + plug + "/forget", ""},
	} {
		if err := c.api("POST", ask[0], ask[1]); err != nil && !p.ended() {
			<-time.After(time.Second)
			if !p.ended() {
				c.Fatalf("%v\n%s", err, c.logged())
			}
		}
		if p.ended() {
			return
		}
	}
	wanted := fmt.Sprintf("8883-%d", 20000-c.version)
	if why := awaited(patience, func() string {
		if p.ended() || strings.Contains(c.gw.in(c.T, "nft list table inet mudguard"), wanted) {
			return ""
		}
		return "not yet"
	}); why != "" {
		c.Fatalf("the newest file did not come into force\n%s", c.logged())
	}
}

// jump matches an element of a map by MAC.
var jump = regexp.MustCompile(`(02:00:00:00:[0-9a-f:]{5})(?: comment "[^"]*")? : (?:jump|goto) (\w+)`)

// whole looks at what a crash left.
func (c *crash) whole(nth point) {
	c.Helper()
	listing := c.gw.in(c.T, "nft -s list ruleset")
	for _, m := range regexp.MustCompile(`(?ms)^\tchain (\w+) \{\n(.*?)^\t\}`).FindAllStringSubmatchIndex(listing, -1) {
		table := listing[strings.LastIndex(listing[:m[0]], "table "):m[0]]
		table = table[:strings.Index(table, " {")]
		name, body := table+" "+listing[m[2]:m[3]], regexp.MustCompile(` packets \d+ bytes \d+`).ReplaceAllString(listing[m[4]:m[5]], "")
		if had, known := c.bodies[name]; known && had != body {
			c.Fatalf("killed at %v: chain %s is neither the old one nor the new one:%s", nth, name, difference(had, body))
		}
		c.bodies[name] = body
	}
	policies := map[string][]string{}
	for _, m := range jump.FindAllStringSubmatch(listing, -1) {
		policies[m[1]] = append(policies[m[1]], m[2])
	}
	if len(policies[c.lamp.mac]) == 0 {
		c.Fatalf("killed at %v: the lamp is under no policy:\n%s", nth, listing)
	}
	for mac, chains := range policies {
		if len(chains) != len(policies[c.lamp.mac]) {
			c.Fatalf("killed at %v: %s is in %v, the lamp in %v", nth, mac, chains, policies[c.lamp.mac])
		}
		hash := func(chain string) string { return chain[:strings.LastIndex(chain, "_")] }
		for _, chain := range chains {
			if hash(chain) != hash(chains[0]) {
				c.Fatalf("killed at %v: %s is under parts of two policies: %v", nth, mac, chains)
			}
		}
	}
	c.stateWhole(nth)
}

// stateWhole reads the state by itself, without the daemon's code.
func (c *crash) stateWhole(nth point) {
	c.Helper()
	raw, err := os.ReadFile(filepath.Join(c.dir, "state/state.json"))
	if err != nil {
		c.Fatalf("killed at %v: %v", nth, err)
	}
	var file struct {
		Checksum string
		State    json.RawMessage
	}
	if err := json.Unmarshal(raw, &file); err != nil || file.Checksum != fmt.Sprintf("%x", sha256.Sum256(file.State)) {
		c.Fatalf("killed at %v: the state is damaged: %v\n%s", nth, err, raw)
	}
	if !strings.Contains(string(file.State), c.lamp.mac) {
		c.Fatalf("killed at %v: the state has lost the lamp:\n%s", nth, raw)
	}
}
