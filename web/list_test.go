package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"mudguard/enforcer"
)

// walk follows the links of a list from target on, and gives what its items are called.
func walk[T any](b *bench, target string, name func(T) string) (names []string, parts int) {
	b.t.Helper()
	for target != "" {
		var list []T
		b.ask("GET", target, "", 200, &list)
		for _, x := range list {
			names = append(names, name(x))
		}
		r := httptest.NewRequestWithContext(b.t.Context(), "GET", target, nil)
		w := httptest.NewRecorder()
		b.http.ServeHTTP(w, r)
		link := w.Header().Get("Link")
		target, _ = strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if parts++; parts > 10 || link != "" && !strings.HasPrefix(link, "</api/v1/") {
			b.t.Fatalf("part %d, link %q", parts, link)
		}
	}
	return names, parts
}

// TestParts: a list that comes in parts is the whole list, with its filter.
func TestParts(t *testing.T) {
	b := newBench(t)
	mac := func(d enforcer.DeviceView) string { return d.MAC.String() }
	for target, want := range map[string][]string{
		"/devices":                             {lampMAC, plugMAC, adminPC},
		"/devices?limit=3":                     {lampMAC, plugMAC, adminPC},
		"/devices?limit=1":                     {lampMAC, plugMAC, adminPC},
		"/devices?limit=1&state=trusted":       {adminPC},
		"/devices?q=LAMP":                      {lampMAC},
		"/devices?q=192.168.1.50+enforced":     {lampMAC},
		"/devices?q=plug&limit=1":              {plugMAC},
		"/devices?q=nothing":                   nil,
		"/devices?cursor=" + lampMAC:           {plugMAC, adminPC},
		"/devices?limit=1&cursor=" + lampMAC:   {plugMAC, adminPC},
		"/devices?limit=100&state=quarantined": nil,
	} {
		got, _ := walk(b, prefix+target, mac)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
	for port := range 7 {
		b.denied(uint16(port + 1))
	}
	port := func(d enforcer.Denial) string { return fmt.Sprint(d.Dport) }
	if got, parts := walk(b, prefix+"/denials?limit=3", port); strings.Join(got, "") != "7654321" || parts != 3 {
		t.Errorf("denials %v in %d parts", got, parts)
	}
	if got, _ := walk(b, prefix+"/denials?after=5", port); strings.Join(got, "") != "67" {
		t.Errorf("denials after the fifth: %v", got)
	}
	if got, _ := walk(b, prefix+"/denials?since=2999-01-01T00:00:00Z", port); len(got) != 0 {
		t.Errorf("denials of the future: %v", got)
	}
	if got, _ := walk(b, prefix+"/denials?until=2999-01-01T00:00:00Z&device="+lampMAC, port); len(got) != 7 {
		t.Errorf("denials of the past: %v", got)
	}
	for _, bad := range []string{"/devices?limit=0", "/devices?limit=1001", "/devices?limit=x", "/denials?cursor=x", "/denials?since=now"} {
		b.ask("GET", prefix+bad, "", http.StatusBadRequest, &Problem{})
	}
}
