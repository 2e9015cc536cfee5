package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

func unzip(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	must(t, err)
	raw, err := io.ReadAll(r)
	must(t, err)
	return string(raw)
}

// Whoever takes gzip gets it, also many at once; everybody gets the same.
func TestZipped(t *testing.T) {
	s := newSite(t, nil)
	s.setUp()
	for _, path := range []string{"/assets/app.js", "/assets/vendor/uPlot.min.js", "/api/v1/openapi.json", "/metrics", "/api/v1/devices"} {
		plain, want := s.send("GET", path, "", "Accept-Encoding", "gzip;q=0, br")
		if plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s plain: %v", path, plain.Header)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				resp, body := s.send("GET", path, "", "Accept-Encoding", "br, GZIP;q=0.5")
				h := resp.Header
				if h.Get("Content-Encoding") != "gzip" || h.Get("Content-Type") != plain.Header.Get("Content-Type") || h.Get("Vary") != "Accept-Encoding" {
					t.Errorf("%s: %v", path, h)
					return
				}
				// The numbers of the process change.
				if got := unzip(t, body); got != want && path != "/metrics" || len(body) > len(want)/2 {
					t.Errorf("%s: %d bytes for %d, or others than these", path, len(body), len(want))
				}
				if tag := h.Get("ETag"); tag != "" && tag == plain.Header.Get("ETag") {
					t.Errorf("%s: two bodies have the tag %s", path, tag)
				}
			})
		}
		all.Wait()
	}
}

// A body that was kept is asked for by its own tag; small answers, changes and errors are not worth it; events must not wait.
func TestNotZipped(t *testing.T) {
	s := newSite(t, nil)
	resp, _ := s.send("GET", "/", "", "Accept-Encoding", "gzip")
	again, body := s.send("GET", "/", "", "Accept-Encoding", "gzip", "If-None-Match", resp.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("again: %d %q", again.StatusCode, body)
	}
	s.setUp()
	for _, path := range []string{"/api/v1/session", "/api/v1/nothing", "/api/v1/denials"} {
		if resp, body := s.send("GET", path, "", "Accept-Encoding", "gzip"); resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %q", path, body)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.base+"/api/v1/events", nil)
	must(t, err)
	r.AddCookie(s.cookie)
	r.Header.Set("Accept-Encoding", "gzip")
	events, err := s.client.Do(r)
	must(t, err)
	defer events.Body.Close()
	if events.StatusCode != http.StatusOK || events.Header.Get("Content-Encoding") != "" {
		t.Errorf("events: %v", events)
	}
}
