package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mudguard/enforcer"
)

const lamp = "02:00:5e:10:00:01"

// daemonCommands are all that ask the daemon, with the exit code for what the fake one answers.
func daemonCommands() map[string]struct {
	args []string
	code int
} {
	type call = struct {
		args []string
		code int
	}
	return map[string]call{
		"status": {[]string{"status"}, 0}, "devices": {[]string{"devices"}, 0}, "device": {[]string{"device", lamp}, 0},
		"denials": {[]string{"denials"}, 0}, "explain": {[]string{"explain", lamp, "out", "tcp", "203.0.113.9", "23"}, 1},
		"approve": {[]string{"approve", lamp}, 0}, "hold": {[]string{"hold", lamp}, 0}, "quarantine": {[]string{"quarantine", lamp}, 0},
		"release": {[]string{"release", lamp}, 0}, "forget": {[]string{"forget", lamp}, 0}, "observe": {[]string{"observe", lamp}, 0},
		"enforce": {[]string{"enforce", lamp}, 0}, "assign": {[]string{"assign", lamp, ""}, 0}, "doctor": {[]string{"doctor"}, 1},
		"attempts": {[]string{"attempts"}, 0}, "waiting": {[]string{"waiting"}, 0}, "history": {[]string{"history"}, 0},
		"exceptions": {[]string{"exceptions", lamp}, 0}, "report": {[]string{"report"}, 0}, "name": {[]string{"name", lamp, "x"}, 0},
		"allow": {[]string{"allow", lamp, "out", "tcp", "203.0.113.9", "23"}, 0}, "revoke": {[]string{"revoke", lamp, "x1"}, 0},
		"pause": {[]string{"pause", lamp, "1h"}, 0}, "resume": {[]string{"resume", lamp}, 0},
	}
}

func TestGoldenText(t *testing.T) {
	_, socket := start(t, canned(""))
	for _, name := range []string{"status", "devices", "device", "denials", "explain", "hold", "forget"} {
		c := daemonCommands()[name]
		got := invoke(socket, c.args...)
		if got.code != c.code || got.err != "" {
			t.Errorf("%s: exit code %d, stderr %q", name, got.code, got.err)
		}
		golden(t, name, got.out)
	}
}

func TestHostileText(t *testing.T) {
	_, socket := start(t, canned(evil+strings.Repeat("long", 2500)+"<script>"))
	for name, c := range daemonCommands() {
		for _, args := range [][]string{c.args, append(slices.Clone(c.args), "--json")} {
			got := invoke(socket, args...)
			if got.code != c.code {
				t.Errorf("%v: exit code %d, stderr %q", args, got.code, got.err)
			}
			harmless(t, name, got.out)
			harmless(t, name, got.err)
		}
	}
	got := invoke(socket, "device", "02:00:5e:10:00:0f")
	if got.code != exitUsage || !strings.HasPrefix(got.err, "mudguard: there is no device") {
		t.Errorf("unknown device: %+v", got)
	}
	harmless(t, "error", got.err)
}

// What is escaped for the terminal means the same as before.
func TestJSONKeepsValues(t *testing.T) {
	_, socket := start(t, canned(evil))
	got := invoke(socket, "devices", "--json")
	var list []enforcer.DeviceView
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list) != 2 || list[0].Hostname != evil || list[1].Label != "プラグ" {
		t.Errorf("%v: %+v", err, list)
	}
	if !strings.Contains(got.out, "プラグ") {
		t.Error("harmless letters are escaped")
	}
}

func TestRequests(t *testing.T) {
	f, socket := start(t, canned(""))
	for _, args := range [][]string{
		{"assign", "02-00-5E-10-00-01", "https://a.example/b"},
		{"assign", lamp, ""},
		{"--json", "device"}, // no command
		{"denials", "--device", "0200.5e10.0001"},
		{"explain", "--json", lamp, "in", "udp", "fd00::1", "--", "53"},
	} {
		invoke(socket, args...)
	}
	want := []string{
		`POST /api/v1/devices/02:00:5e:10:00:01/assign {"url":"https://a.example/b"}`,
		`POST /api/v1/devices/02:00:5e:10:00:01/assign {"url":""}`,
		`GET /api/v1/denials?device=02%3A00%3A5e%3A10%3A00%3A01`,
		`GET /api/v1/explain?direction=in&host=fd00%3A%3A1&mac=02%3A00%3A5e%3A10%3A00%3A01&port=53&proto=udp`,
	}
	if !slices.Equal(f.asked, want) {
		t.Errorf("asked:\n%s", strings.Join(f.asked, "\n"))
	}
}

func TestExitCodes(t *testing.T) {
	m := canned("")
	m["GET /api/v1/explain"] = enforcer.Explanation{Allowed: true, Reason: "x"}
	m["POST /api/v1/devices/"+lamp+"/approve"] = refusal{409, "there is no profile yet, so nothing to approve"}
	m["POST /api/v1/devices/"+lamp+"/hold"] = refusal{503, "the kernel refused the change"}
	_, socket := start(t, m)
	explain := []string{"explain", lamp, "out", "tcp", "a.example", "443"}
	for _, tc := range []struct {
		args []string
		code int
		err  string
	}{
		{explain, 0, ""},
		{append(slices.Clone(explain), "--json"), 0, ""},
		{[]string{"approve", lamp}, 1, "nothing to approve"},
		{[]string{"hold", lamp}, 1, "kernel refused"},
		{[]string{"hold", "02:00:5e:10:00:0f"}, 2, "no device"},
		{[]string{"hold"}, 2, "missing"},
		{[]string{"hold", "x"}, 2, "Ethernet"},
		{[]string{"hold", lamp, "now"}, 2, `"now" is too much`},
		{[]string{"assign", lamp}, 2, "missing"},
		{[]string{"assign", lamp, "http://a.example/"}, 2, "https"},
		{[]string{"devices", "--jsno"}, 2, "jsno"},
		{[]string{"denials", "--device", "x"}, 2, "Ethernet"},
		{[]string{"explain", lamp, "up", "tcp", "a.example", "1"}, 2, "DIRECTION"},
		{[]string{"explain", lamp, "out", "tpc", "a.example", "1"}, 2, "protocol"},
		{[]string{"status", "--socket", socket + ".none"}, 3, "cannot be reached"},
		{[]string{"--socket", socket + ".none", "status"}, 3, "cannot be reached"},
		{append(slices.Clone(explain), "--socket", socket+".none"), 3, "cannot be reached"},
	} {
		got := invoke(socket, tc.args...)
		if got.code != tc.code || !strings.Contains(got.err, tc.err) || (tc.err != "") != strings.HasPrefix(got.err, "mudguard: ") {
			t.Errorf("%v: %+v", tc.args, got)
		}
	}
	for name, c := range daemonCommands() {
		if got := invoke(filepath.Join(t.TempDir(), "none"), c.args...); got.code != exitUnreachable {
			t.Errorf("%s without a daemon: %+v", name, got)
		}
	}
}

// The daemon is started anew while somebody follows: IDs begin anew, and nothing is lost.
func TestFollow(t *testing.T) {
	var mu sync.Mutex
	polls := 0
	var after []string
	daemon := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		polls++
		after = append(after, r.URL.Query().Get("after"))
		life, list := "a", []enforcer.Denial{}
		switch polls {
		case 1:
			list = append(list, denial(7, evil), denial(8, ""))
		case 3:
			life = "b"
		case 4:
			life, list = "b", append(list, denial(1, ""))
		case 5:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Mudguard-Instance", life)
		_ = json.NewEncoder(w).Encode(list)
	})
	_, socket := start(t, map[string]any{"GET /api/v1/denials": daemon})
	begun := time.Now()
	got := invoke(socket, "denials", "--follow", "--json")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.code != exitNo || len(lines) != 3 || time.Since(begun) < 3*followEvery {
		t.Errorf("%+v", got)
	}
	for i, id := range []uint64{7, 8, 1} {
		var d enforcer.Denial
		if err := json.Unmarshal([]byte(lines[i]), &d); err != nil || d.ID != id {
			t.Errorf("line %d: %v: %s", i, err, lines[i])
		}
	}
	if want := []string{"0", "8", "8", "0", "1"}; !slices.Equal(after, want) {
		t.Errorf("asked after %v, want %v", after, want)
	}
	harmless(t, "follow", got.out)
}

func TestColour(t *testing.T) {
	_, socket := start(t, canned(evil))
	got := invokeWith(socket, "", true, "devices")
	if !strings.Contains(got.out, "\x1b[32menforced\x1b[0m") {
		t.Errorf("no colour: %q", got.out)
	}
	rest := strings.NewReplacer("\x1b[32m", "", "\x1b[31m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(got.out)
	harmless(t, "colour", rest)
	if plain := invoke(socket, "devices"); plain.out != rest {
		t.Errorf("colour changes the layout:\n%s\n%s", plain.out, rest)
	}
}
