package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
	"mudguard/web"
)

// evil is what a device may call itself: it clears a terminal, adds a line, turns text around and colours by a C1 code.
const evil = "cam\x1b[2J\x1b]0;own\x07\nroot: ok\r\u202egnp\u009b31m\u2028\U000e0041"

func testTime() time.Time { return time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC) }

// fakeDaemon answers by method and path: with a value, or with a refusal.
type fakeDaemon struct {
	mu      sync.Mutex
	answers map[string]any
	asked   []string
}

type refusal struct {
	code int
	text string
}

func (f *fakeDaemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+body.String()))
	v, ok := f.answers[r.Method+" "+r.URL.Path]
	if !ok {
		v = refusal{404, "there is no device " + evil}
	}
	switch v := v.(type) {
	case refusal:
		w.WriteHeader(v.code)
		_ = json.NewEncoder(w).Encode(web.Problem{Detail: v.text})
	case http.HandlerFunc:
		v(w, r)
	default:
		_ = json.NewEncoder(w).Encode(v)
	}
}

func start(t *testing.T, answers map[string]any) (*fakeDaemon, string) {
	t.Helper()
	f := &fakeDaemon{answers: answers}
	path := filepath.Join(t.TempDir(), "m.sock")
	ln, err := web.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- web.Serve(ctx, ln, f) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f, path
}

// result is what a call of the program printed and its exit code.
type result struct {
	out, err string
	code     int
}

func invoke(socket string, args ...string) result { return invokeWith(socket, "", false, args...) }

func invokeWith(socket, stdin string, color bool, args ...string) result {
	var out, errs bytes.Buffer
	c := &cli{ctx: context.Background(), in: strings.NewReader(stdin), out: &out, err: &errs, zone: time.UTC, color: color,
		env: func(name string) string { return map[string]string{"MUDGUARD_SOCKET": socket}[name] }}
	code := c.dispatch(args)
	return result{out.String(), errs.String(), code}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		_ = os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s (UPDATE_GOLDEN=1 go test writes it anew); got:\n%s\nwant:\n%s", path, got, want)
	}
}

// harmless fails where text has a character that a terminal may obey, newlines aside.
func harmless(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if mud.Clean(line, 1<<20) != line {
			t.Errorf("%s: hostile text reached the terminal: %q", what, line)
		}
	}
	if strings.Contains(text, "\nroot: ok") {
		t.Errorf("%s: a forged line reached the terminal: %q", what, text)
	}
}

func lampView(text string) enforcer.DeviceView {
	return enforcer.DeviceView{MAC: dhcp.MAC{2, 0, 0x5e, 0x10, 0, 1}, Hostname: text, Vendor: text,
		Addresses: []netip.Addr{netip.MustParseAddr("192.168.1.50"), netip.MustParseAddr("fd00::50")},
		URL:       "https://mud.lamp.example/lamp/v1", PendingURL: "https://mud.lamp.example/lamp/v2", Source: "dhcpv4",
		State: enforcer.StatusEnforced, Policy: "p_0123456789", Reason: "its profile is enforced " + text,
		FirstSeen: testTime(), LastSeen: testTime().Add(time.Hour), Label: "Lamp L1 " + text,
		Profile: &enforcer.ProfileView{SystemInfo: "Lamp " + text, MfgName: "Lamp & Söhne", ModelName: "L1", LastUpdate: testTime(),
			NextRefresh: testTime().Add(72 * time.Hour), Signer: "CN=Lamp" + text, Supported: true, Allows: "tcp/443 with api.lamp.example"},
		Infrastructure: []string{"DHCP and DHCPv6 with this network", text},
		ACEs: []enforcer.ACEView{{Direction: "from-device", ACL: "out4", ACE: "cloud" + text, Action: "accept", Text: "tcp/443 with api.lamp.example",
			Decision: "applied", Packets: 3, Bytes: 180}, {Direction: "to-device", ACL: "in4", ACE: "cloud-in", Action: "accept", Text: "tcp", Decision: "replies only (X-01)"}},
		Names:    []enforcer.NameView{{Name: "api.lamp.example" + text, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.5")}}, {Name: "ntp.lamp.example"}},
		Problems: []mud.Problem{{Path: "ietf-mud:mud", Row: "X8520-2-f", Severity: mud.SeverityNote, Message: "reject is applied as drop" + text}},
		Denials:  []enforcer.Denial{denial(1, text)},
		Alarms:   []enforcer.Alarm{alarm(text)},
	}
}

func denial(id uint64, text string) enforcer.Denial {
	return enforcer.Denial{ID: id, Time: testTime(), MAC: dhcp.MAC{2, 0, 0x5e, 0x10, 0, 1}, Device: "Lamp L1", Direction: "out",
		Src: netip.MustParseAddr("192.168.1.50"), Dst: netip.MustParseAddr("203.0.113.9"), Proto: "tcp", Sport: 40000, Dport: 23,
		Name: text, Explanation: "Lamp L1 tried 203.0.113.9:23/tcp" + text, Enforced: id%2 == 1}
}

func alarm(text string) enforcer.Alarm {
	return enforcer.Alarm{What: enforcer.AlarmClone, MAC: dhcp.MAC{2, 0, 0x5e, 0x10, 0, 1}, First: testTime(), Last: testTime().Add(time.Hour), Count: 2,
		Text: "Lamp L1" + text + " is heard on lan1 and on lan2 by turns"}
}

func canned(text string) map[string]any {
	d := lampView(text)
	plug := enforcer.DeviceView{MAC: dhcp.MAC{2, 0, 0x5e, 0x10, 0, 2}, State: enforcer.StatusUnmanaged, Label: "プラグ", Reason: "announced no MUD URL"}
	m := map[string]any{
		"GET /api/v1/status": web.Status{Version: "1.2.3" + text, Started: testTime(), Kernel: web.Kernel{Queue: "native", Bridge: "conntrack", Replies: "conntrack"},
			Tables: []string{"inet mudguard", "bridge mudguard"}, Devices: 2, Held: 1, Repairs: 1, LastRepair: &enforcer.Repair{At: testTime(), What: "table inet mudguard was deleted" + text},
			Alarms:  []enforcer.Alarm{alarm(text)},
			Sources: []web.Source{{Name: "dhcpv4 on br-lan", State: "listening" + text, LastSeen: testTime()}, {Name: "dhcpv4 on br-iot", State: "starting"}},
			Gaps:    []enforcer.Gap{{What: "DNS answers are not held", Why: "no queue" + text}}},
		"GET /api/v1/devices":                           []enforcer.DeviceView{d, plug},
		"GET /api/v1/devices/02:00:5e:10:00:01":         d,
		"GET /api/v1/denials":                           []enforcer.Denial{denial(1, text), denial(2, text)},
		"GET /api/v1/explain":                           enforcer.Explanation{Reason: "Lamp L1 tried 203.0.113.9 tcp" + text, Rule: &enforcer.RuleRef{ACL: "out4", ACE: "no" + text, Path: "acl[0]"}},
		"POST /api/v1/devices/02:00:5e:10:00:01/assign": d,
		"POST /api/v1/devices/02:00:5e:10:00:01/forget": web.Forgotten{MAC: d.MAC, Forgotten: true},
	}
	for _, order := range []string{"approve", "hold", "quarantine", "release", "observe", "enforce", "pause", "resume"} {
		m["POST /api/v1/devices/02:00:5e:10:00:01/"+order] = d
	}
	m["PUT /api/v1/devices/02:00:5e:10:00:01/name"] = d
	maps.Copy(m, cannedSteering(text))
	return m
}

// cannedSteering answers what asks about attempts, decisions and the past.
func cannedSteering(text string) map[string]any {
	lamp := dhcp.MAC{2, 0, 0x5e, 0x10, 0, 1}
	key := enforcer.AttemptKey{MAC: lamp, Direction: "out", Proto: "tcp" + text, Remote: netip.MustParseAddr("203.0.113.9"), Name: text, Port: 23, Reason: "no entry" + text}
	tried := []enforcer.Attempt{{AttemptKey: key, Device: "Lamp" + text, Count: 3, First: testTime(), Last: testTime()}}
	permit := enforcer.ExceptionView{Exception: enforcer.Exception{ID: "x1" + text, Permit: enforcer.Permit{Direction: "out", Proto: "tcp", Remote: "a.example" + text, Port: 23},
		Note: text, By: "uid 0" + text}, Text: "opens " + text}
	record := enforcer.Record{Time: testTime(), MAC: lamp, Device: "Lamp" + text}
	denied, state, counters := record, record, record
	denied.Kind, denied.Denial = enforcer.RecordDenial, &enforcer.DenialRecord{AttemptKey: key, Count: 3}
	state.Kind, state.State, state.Why = enforcer.RecordState, enforcer.StatusHeld, "not signed"+text
	counters.Kind, counters.Counters = enforcer.RecordCounters, &enforcer.CounterRecord{Allowed: 1, Denied: 2}
	at := "/api/v1/devices/" + lamp.String() + "/exceptions"
	return map[string]any{
		"GET /api/v1/attempts": tried,
		"GET /api/v1/report":   enforcer.Report{Flows: tried, Text: "enforce now would have denied this flow" + text},
		"GET /api/v1/waiting": []enforcer.Waiting{{MAC: lamp, Label: "Lamp" + text, Kind: enforcer.WaitingProfile, Reason: "not signed" + text, Allows: text,
			NewlyAllows: []string{text, "tcp/23"}, NoLongerAllows: []string{text}, Signer: "CN=Lamp" + text, URL: "https://a.example/" + text}},
		"GET /api/v1/history":  []enforcer.Record{denied, state, counters},
		"GET " + at:            []enforcer.ExceptionView{permit},
		"POST " + at:           permit,
		"DELETE " + at + "/x1": lampView(text),
	}
}
