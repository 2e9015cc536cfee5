package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mudguard/mud"
)

const (
	lampFile  = "../../mud/testdata/lamp.json"
	brokenMUD = `{"ietf-mud:mud":{"mud-version":1,"mud-url":"http://a.example/b","last-update":"x"}}`
	fineMUD   = `{"ietf-mud:mud":{"mud-version":1,"mud-url":"https://a.example/b","mud-signature":"https://a.example/b.p7s",` +
		`"last-update":"2026-02-01T10:00:00Z","cache-validity":48,"is-supported":true,"systeminfo":"x","mfg-name":"A","model-name":"B"}}`
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{nil, 2, "", "quarantine  cut a device off"},
		{[]string{"help"}, 0, "quarantine  cut a device off", ""},
		{[]string{"-h"}, 0, "quarantine  cut a device off", ""},
		{[]string{"--help"}, 0, "Exit codes: 0 fine", ""},
		{[]string{"help", "explain"}, 0, "usage: mudguard explain MAC out|in", ""},
		{[]string{"explain", "-h"}, 0, "usage: mudguard explain MAC out|in", ""},
		{[]string{"device", lamp, "--help"}, 0, "usage: mudguard device MAC", ""},
		{[]string{"run", "-h"}, 0, "usage: mudguard run --config FILE", ""},
		{[]string{"help", "devcie"}, 2, "", "mudguard devic"},
		{[]string{"quarentine"}, 2, "", "Did you mean: mudguard quarantine"},
		{[]string{"quara"}, 2, "", "Did you mean: mudguard quarantine"},
		{[]string{"x\x1b[31m\n"}, 2, "", "mudguard help lists the commands"},
		{[]string{"--json"}, 2, "", "there is no command"},
		{[]string{"version"}, 0, version + "\n", ""},
		{[]string{"--version"}, 0, version + "\n", ""},
		{[]string{"version", "1"}, 2, "", "too much"},
		{[]string{"convert"}, 2, "", "usage: mudguard convert FILE"},
		{[]string{"convert", "x", "y"}, 2, "", "too much"},
	} {
		got := invoke("", tc.args...)
		if got.code != tc.code || !strings.Contains(got.out, tc.out) || !strings.Contains(got.err, tc.err) ||
			(tc.out == "" && got.out != "") || (tc.err == "" && got.err != "") {
			t.Errorf("%q: %+v", tc.args, got)
		}
		harmless(t, "usage", got.err)
	}
}

func TestConvert(t *testing.T) {
	old := strings.NewReplacer("https:", "http:", `"x"`, `"\u001b[31m\nroot: ok"`).Replace(fineMUD)
	fine, legacy, not := write(t, "fine.json", fineMUD), write(t, "old.json", old), write(t, "not.json", "{")
	for _, tc := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{[]string{fine}, 0, `"mud-url": "https://a.example/b"`, ""},
		{[]string{legacy}, 0, `"mud-url": "https://a.example/b"`, "old.json: ietf-mud:mud.mud-url: "},
		{[]string{not}, 1, "", "can't be converted"},
		{[]string{fine + ".none"}, 2, "", "no such file"},
	} {
		got := invoke("", append([]string{"convert"}, tc.args...)...)
		if got.code != tc.code || !strings.Contains(got.out, tc.out) || (tc.out == "") != (got.out == "") ||
			!strings.Contains(got.err, tc.err) || (tc.err == "") != (got.err == "") {
			t.Errorf("convert %v: %+v", tc.args, got)
		}
		harmless(t, "convert", got.err)
		if code := invokeWith("", got.out, false, "lint", "-").code; tc.code == 0 && code != 0 {
			t.Errorf("lint of what %v becomes: %d", tc.args, code)
		}
	}
}

func TestLint(t *testing.T) {
	fine, broken, not := write(t, "fine.json", fineMUD), write(t, "broken.json", brokenMUD), write(t, "not.json", "{")
	evilFile := write(t, "evil.json", strings.Replace(fineMUD, `"systeminfo":"x"`, `"x\u001b[31m\u202e:y":1,"systeminfo":"x"`, 1))
	for _, tc := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{fine}, 0, "fine.json: "},
		{[]string{lampFile}, 0, "warning: ietf-access-control-list:acls"},
		{[]string{lampFile, "--strict"}, 1, "warning"},
		{[]string{"--strict", lampFile}, 1, "warning"},
		{[]string{broken}, 1, "error: ietf-mud:mud.mud-url: "},
		{[]string{not}, 1, "error"},
		{[]string{fine, broken}, 1, "fine.json: "},
		{[]string{broken, fine + ".none"}, 2, "broken.json: error"},
		{[]string{filepath.Dir(fine)}, 2, ""},
		{[]string{evilFile}, 1, "evil.json: error: "},
		{nil, 2, ""},
	} {
		got := invoke("", append([]string{"lint"}, tc.args...)...)
		if got.code != tc.code || !strings.Contains(got.out, tc.out) || (tc.code == 2) != (got.err != "") {
			t.Errorf("lint %v: %+v", tc.args, got)
		}
		harmless(t, "lint", got.out+got.err)
	}
	var out bytes.Buffer
	(&cli{out: &out}).printProblems("a.json", []mud.Problem{
		{Path: "ietf-mud:mud", Row: "X8520-2-f", Severity: mud.SeverityError, Message: "it is wrong" + evil, Mend: `"a": 1` + evil},
		{Row: "X-14", Severity: mud.SeverityNote, Message: "it is odd"}})
	golden(t, "lint", out.String())
}

func TestLintJSON(t *testing.T) {
	broken := write(t, "broken.json", brokenMUD)
	got := invokeWith("", fineMUD, false, "lint", "--json", broken, "-")
	var list []map[string]string
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || got.code != 1 || len(list) == 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	for _, field := range []string{"file", "path", "row", "severity", "message"} {
		if _, ok := list[0][field]; !ok {
			t.Errorf("a problem has no %s: %v", field, list[0])
		}
	}
	if list[0]["file"] != broken {
		t.Errorf("file: %v", list[0])
	}
	if none := invokeWith("", `{`, false, "lint", "--json", broken+".none"); strings.TrimSpace(none.out) != "[]" || none.code != 2 {
		t.Errorf("no file: %+v", none)
	}
}

func TestVerify(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test signs with the openssl command, which is not installed")
		}
		t.Skip("this test signs with the openssl command: apt-get install openssl")
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	openssl := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	for _, name := range []string{"signer", "other"} {
		openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj", "/CN="+name,
			"-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-keyout", in(name+".key"), "-out", in(name+".pem"))
	}
	openssl("cms", "-sign", "-binary", "-outform", "DER", "-in", lampFile, "-out", in("sig"), "-signer", in("signer.pem"), "-inkey", in("signer.key"))
	for _, tc := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{lampFile, in("sig"), "--ca", in("signer.pem")}, 0, "signer     CN=signer"},
		{[]string{"--ca", in("other.pem"), lampFile, "--ca", in("signer.pem"), in("sig")}, 0, "The signature is good."},
		{[]string{lampFile, in("sig"), "--ca", in("other.pem") + "," + in("signer.pem")}, 0, "signed     20"},
		{[]string{lampFile, in("sig"), "--ca", in("other.pem")}, 1, "mudguard: the signature is refused"},
		{[]string{in("signer.pem"), in("sig"), "--ca", in("signer.pem")}, 1, "refused"},
		{[]string{lampFile, lampFile, "--ca", in("signer.pem")}, 1, "refused"},
		{[]string{lampFile, in("sig"), "--ca", in("signer.pem"), "--at", "2001-01-01"}, 1, "refused"},
		{[]string{lampFile, in("sig"), "--ca", in("signer.pem"), "--at", "2099-01-01T00:00:00Z"}, 1, "CN=signer"},
		{[]string{lampFile, in("sig"), "--ca", in("signer.pem"), "--at", "soon"}, 2, "2026-01-31"},
		{[]string{lampFile, in("sig"), "--ca", in("none")}, 2, "reading CA file"},
		{[]string{lampFile, in("none"), "--ca", in("signer.pem")}, 2, "no such file"},
		{[]string{lampFile, in("sig")}, 2, "--ca is missing"},
		{[]string{lampFile}, 2, "missing"},
	} {
		got := invoke("", append([]string{"verify"}, tc.args...)...)
		if got.code != tc.code || !strings.Contains(got.out+got.err, tc.text) {
			t.Errorf("verify %v: %+v", tc.args, got)
		}
	}
}

// R8520-1.6-d.
func TestLanguage(t *testing.T) {
	for locale, want := range map[string]string{"": "", "C": "", "C.UTF-8": "", "POSIX": "", "de": "de", "de_DE.UTF-8": "de-DE", "de_AT@euro": "de-AT",
		"en_US": "en-US", "en\r\nHost: x": "", "../etc": ""} {
		if got := language(locale); got != want {
			t.Errorf("%q: %q, want %q", locale, got, want)
		}
	}
}
