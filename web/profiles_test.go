package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"mudguard/enforcer"
	"mudguard/mud"
)

// heldFile is a file that only the administrator may let in.
type heldFile struct{ error }

func (heldFile) Held() (string, bool) { return "a5", true }

// TestImport: R8520-1.6-g, T-29, T27. A file is judged, and said to be used or why not.
func TestImport(t *testing.T) {
	b := newBench(t)
	var approved []string
	judge := func(file, sig []byte) (enforcer.Verified, error) {
		p, _, err := mud.Parse(file)
		doc := enforcer.Verified{URL: p.URL, Named: p.URL, SHA256: "a5", Profile: p}
		switch {
		case err != nil:
			return enforcer.Verified{SHA256: "a5"}, heldFile{err}
		case string(sig) == "good":
			doc.Signer = "CN=House"
		case len(approved) == 0:
			return doc, heldFile{errors.New("not signed")}
		}
		return doc, nil
	}
	b.http = Handler(Options{Engine: b.engine, Host: func() HostStatus { return HostStatus{} }, Judge: judge})
	file := strings.Replace(minimal, "NAME", "https://import.example/x", 1)
	send := func(in Import, code int) Imported {
		t.Helper()
		var out Imported
		b.ask("POST", "/api/v1/profiles", toJSON(t, in), code, &out)
		return out
	}
	if out := send(Import{File: []byte(file), Signature: []byte("good")}, http.StatusOK); !out.Used || out.URL != "https://import.example/x" || out.Signer != "CN=House" {
		t.Errorf("signed: %+v", out)
	}
	other := strings.Replace(minimal, "NAME", "https://import.example/y", 1)
	if out := send(Import{File: []byte(other)}, http.StatusOK); out.Used || out.Reason != "not signed" {
		t.Errorf("unsigned: %+v", out)
	}
	approved = append(approved, "y")
	if out := send(Import{File: []byte(other), Approve: true}, http.StatusOK); !out.Used {
		t.Errorf("approved: %+v", out)
	}
	if out := send(Import{File: []byte("{"), Approve: true}, http.StatusOK); out.Used || out.Reason == "" {
		t.Errorf("no MUD file: %+v", out)
	}
	var e Problem
	b.ask("POST", "/api/v1/profiles", `{"file":"=="}`, http.StatusBadRequest, &e)
	b.ask("POST", "/api/v1/profiles", `{"fil":""}`, http.StatusBadRequest, &e)
}

// minimal is a MUD file with an empty policy.
const minimal = `{"ietf-mud:mud":{"mud-version":1,"mud-url":"NAME","last-update":"2026-01-01T00:00:00Z","is-supported":true,
"from-device-policy":{"access-lists":{"access-list":[]}},"to-device-policy":{"access-lists":{"access-list":[]}}}}`

func TestOverlays(t *testing.T) {
	b := newBench(t)
	var all map[string]any
	b.ask("GET", "/api/v1/overlays", "", http.StatusOK, &all)
	if len(all) != 0 {
		t.Errorf("overlays %v", all)
	}
	var out Overlay
	b.ask("POST", "/api/v1/overlays", `{"target":"`+lampMAC+`","file":`+strings.Replace(minimal, "NAME", lampURL, 1)+`}`, http.StatusOK, &out)
	b.ask("GET", "/api/v1/overlays", "", http.StatusOK, &all)
	if len(all) != 1 || all[lampMAC] == nil {
		t.Errorf("overlays %v", all)
	}
	var e Problem
	for _, bad := range []string{`{"target":"x","file":{}}`, `{"target":"` + lampURL + `","file":{}}`, `{"target":"` + plugMAC + `","file":null}`, `{"target":1}`} {
		if b.ask("POST", "/api/v1/overlays", bad, http.StatusBadRequest, &e); e.Detail == "" {
			t.Errorf("%s: no word why", bad)
		}
	}
	all = nil
	b.ask("POST", "/api/v1/overlays", `{"target":"`+lampMAC+`","file":null}`, http.StatusOK, &out)
	b.ask("GET", "/api/v1/overlays", "", http.StatusOK, &all)
	if len(all) != 0 {
		t.Errorf("overlays %v", all)
	}
}
