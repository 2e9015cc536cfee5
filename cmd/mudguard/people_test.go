package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mudguard/web"
)

// program builds the program, for what needs a real one.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mudguard")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

func TestWords(t *testing.T) {
	_, socket := start(t, canned(evil))
	for typed, want := range map[string]string{
		"app":                  "approve",
		"help qua":             "quarantine",
		"device 02-00":         "02-00-5e-10-00-01 02-00-5e-10-00-02",
		"device 02:":           "02:00:5e:10:00:01 02:00:5e:10:00:02",
		"denials --device ":    "02-00-5e-10-00-01 02-00-5e-10-00-02",
		"denials --f":          "--follow",
		"denials --w":          "--watch",
		"explain x ":           "out in",
		"explain x out ":       "tcp udp icmp icmpv6",
		"verify --ca ":         "",
		"lint ":                "",
		"completion ":          "bash zsh fish",
		"status --color=":      "--color=always --color=never",
		"status --so":          "--socket",
		"status --socket ":     "",
		"devices --json --w":   "--watch",
		"explain --json a out": "out",
		"nonsense ":            "",
	} {
		got := invoke(socket, append([]string{"completion", "words", "--"}, strings.Split(typed, " ")...)...)
		var words []string
		for line := range strings.Lines(got.out) {
			w, _, _ := strings.Cut(line, "\t")
			words = append(words, w)
		}
		if got.code != 0 || strings.Join(words, " ") != want {
			t.Errorf("%q: %d %q, want %q", typed, got.code, words, want)
		}
		harmless(t, typed, strings.ReplaceAll(got.out, "\t", " "))
	}
	if got := invoke(socket+".none", "completion", "words", "--", "device", ""); got.code != 0 || got.out != "" || got.err != "" {
		t.Errorf("without a daemon: %+v", got)
	}
}

// Real shells complete by the scripts, whatever a device calls itself.
func TestShells(t *testing.T) {
	_, socket := start(t, canned(`$(touch owned) `+"`touch owned`"+`; touch owned`))
	dir := filepath.Dir(program(t))
	for shell, script := range map[string]string{
		"bash": `source <(mudguard completion bash)
			COMP_WORDS=(mudguard device ""); COMP_CWORD=2; _mudguard; echo "${COMPREPLY[@]}"
			COMP_WORDS=(mudguard quar); COMP_CWORD=1; _mudguard; echo "${COMPREPLY[@]}"`,
		"zsh": `compdef() { :; }; compadd() { echo $texts }; source <(mudguard completion zsh)
			words=(mudguard device ""); CURRENT=3; _mudguard
			words=(mudguard quar); CURRENT=2; _mudguard`,
		"fish": `mudguard completion fish | source
			string join " " (complete -C "mudguard device 02" | string split -f1 \t)
			complete -C "mudguard quar" | string split -f1 \t`,
	} {
		cmd := exec.Command(shell, "-c", script)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MUDGUARD_SOCKET="+socket, "HOME="+cmd.Dir)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "02-00-5e-10-00-01 02-00-5e-10-00-02\nquarantine\n" {
			t.Errorf("%s: %v: %q", shell, err, out)
		}
		if _, err := os.Stat(filepath.Join(cmd.Dir, "owned")); err == nil {
			t.Errorf("%s ran what a device is called", shell)
		}
	}
}

// Every flag of a synopsis is understood: help, completion and manual pages are made of it.
func TestSynopsesAreTrue(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, cmd := range commands() {
		for _, f := range flagsOf(cmd) {
			args := []string{cmd.name, f}
			if takesValue(cmd, f) {
				args = append(args, none)
			}
			if cmd.name == "run" || cmd.name == "plan" || cmd.name == "demo" {
				continue // they speak to the real standard error, or begin for good, and are tested elsewhere
			}
			if got := invoke(none, args...); strings.Contains(got.err, "not defined") {
				t.Errorf("%v: %s", args, got.err)
			}
		}
	}
}

// Every command that asks the daemon prints JSON if told so, and says so in its synopsis.
func TestJSONEverywhere(t *testing.T) {
	_, socket := start(t, canned(""))
	for name, c := range daemonCommands() {
		got := invoke(socket, append(slices.Clone(c.args), "--json")...)
		if !json.Valid([]byte(got.out)) {
			t.Errorf("%s: %s", name, got.out)
		}
		if cmd, _ := find(name); !strings.Contains(cmd.args, "--json") {
			t.Errorf("the synopsis of %s has no --json", name)
		}
	}
	var v map[string]string
	if got := invoke("", "version", "--json"); json.Unmarshal([]byte(got.out), &v) != nil || v["version"] != version {
		t.Error(got.out)
	}
}

func TestManualPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	if got := invoke("", "man", dir); got.code != 0 || got.err != "" {
		t.Fatalf("%+v", got)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) != len(commands())+1 {
		t.Fatalf("%v: %d pages", err, len(pages))
	}
	if out, err := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	out, err := exec.Command("mandoc", "-T", "ascii", filepath.Join(dir, "mudguard-explain.1")).CombinedOutput()
	plain := string(out)
	for i := strings.IndexByte(plain, '\b'); i > 0; i = strings.IndexByte(plain, '\b') {
		plain = plain[:i-1] + plain[i+1:] // overstrikes
	}
	for _, want := range []string{"mudguard explain MAC out|in PROTO", "Exit code 0: allowed, 1: denied.", "--socket PATH"} {
		if !strings.Contains(plain, want) {
			t.Errorf("%v: no %q in\n%s", err, want, plain)
		}
	}
}

func TestColorFlag(t *testing.T) {
	_, socket := start(t, canned(""))
	for flag, want := range map[string]bool{"--color=always": true, "--color=never": false, "--color=auto": false} {
		for _, args := range [][]string{{flag, "devices"}, {"devices", flag}} {
			if got := invoke(socket, args...); strings.Contains(got.out, "\x1b[32m") != want || got.code != 0 {
				t.Errorf("%v: %+v", args, got)
			}
		}
	}
	if got := invoke(socket, "devices", "--color=red"); got.code != exitUsage || !strings.Contains(got.err, "auto, always or never") {
		t.Errorf("%+v", got)
	}
	if got := invoke(socket, "devices", "--jsno"); !strings.Contains(got.err, "did you mean --json?") {
		t.Errorf("%+v", got)
	}
}

// lines is a terminal that counts what is written to it, and stops a call after so many writes.
type lines struct {
	bytes.Buffer
	left int
	stop func()
}

func (l *lines) Write(p []byte) (int, error) {
	if l.left--; l.left == 0 {
		l.stop()
	}
	return l.Buffer.Write(p)
}

func TestWatch(t *testing.T) {
	_, socket := start(t, canned(evil))
	for _, args := range [][]string{{"status", "--watch"}, {"devices", "--watch"}, {"device", lamp, "--watch"}, {"denials", "--watch"}} {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		out := &lines{left: 2, stop: stop}
		c := &cli{ctx: ctx, out: out, err: &bytes.Buffer{}, zone: time.UTC, terminal: true, env: func(string) string { return socket }}
		if code := c.dispatch(args); code != exitOK {
			t.Errorf("%v: exit code %d: %s", args, code, c.err)
		}
		screens := strings.Split(out.String(), clearScreen)
		once := invoke(socket, args[:len(args)-1]...).out
		if len(screens) != 3 || screens[0] != "" || screens[1] != once || screens[2] != once {
			t.Errorf("%v: %q", args, screens)
		}
		harmless(t, args[0], strings.ReplaceAll(out.String(), clearScreen, ""))
	}
	if got := invoke(socket+".none", "devices", "--watch"); got.code != exitUnreachable {
		t.Errorf("without a daemon: %+v", got)
	}
}

// Where all is well doctor says so; else each line that is not says what to do.
func TestDoctor(t *testing.T) {
	config := write(t, "m.yaml", "lan: {interfaces: [br-lan]}\n")
	fit := web.Status{Version: "1", Kernel: web.Kernel{Queue: "native", Bridge: "conntrack", Replies: "conntrack", Fib: true},
		Sources: []web.Source{{Name: "dhcpv4 on br-lan", State: "listening", LastSeen: testTime()}}}
	_, socket := start(t, map[string]any{"GET /api/v1/status": fit})
	if got := invoke(socket, "doctor", "--config", config); got.code != 0 || !strings.Contains(got.out, "All is as it should be.") {
		t.Errorf("%+v", got)
	}
	_, socket = start(t, canned(evil))
	got := invoke(socket, "doctor", "--json", "--config", write(t, "bad.yaml", "mode: observ\n"))
	var checks []check
	if err := json.Unmarshal([]byte(got.out), &checks); err != nil || got.code != exitNo || len(checks) < 6 {
		t.Fatalf("%v: %+v", err, got)
	}
	states := map[string]health{}
	for _, x := range checks {
		states[x.Name] = x.State
		if (x.State != fine) != (x.Do != "") || x.Found == "" {
			t.Errorf("%+v", x)
		}
	}
	if states["configuration"] != broken || states["daemon"] != fine || states["other programs"] != warning || states["dhcpv4 on br-iot"] != warning ||
		states["waiting devices"] != warning || states["DNS answers"] != fine {
		t.Errorf("%v", states)
	}
}

func TestWideLetters(t *testing.T) {
	for text, want := range map[string]int{"abc": 3, "プラグ": 6, "é": 1, "e\u0301": 1, "🔥": 2, "ＡＢ": 4, "한국": 4, "שלום": 4, "…": 1, "㊙": 2} {
		if got := columns(text); got != want {
			t.Errorf("%q: %d columns, want %d", text, got, want)
		}
	}
}
