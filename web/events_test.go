package web

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"mudguard/enforcer"
)

// listener is a client of events.
type listener struct {
	t    *testing.T
	code int
	r    *bufio.Reader
	stop func()
}

// listen opens the stream over a unix socket.
func listen(t *testing.T, socket, lastID string) listener {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}
	ctx, stop := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://mudguard/api/v1/events", nil)
	must(t, err)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := hc.Do(req)
	must(t, err)
	end := func() { stop(); resp.Body.Close() }
	t.Cleanup(end)
	return listener{t, resp.StatusCode, bufio.NewReader(resp.Body), end}
}

// next reads one event as a map of its fields.
func (l listener) next() map[string]string {
	l.t.Helper()
	ev := map[string]string{}
	for {
		line, err := l.r.ReadString('\n')
		if err != nil {
			l.t.Fatalf("the stream ended: %v", err)
		}
		if line == "\n" {
			return ev
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		ev[name] = value
	}
}

func (l listener) want(kind string, parts ...string) map[string]string {
	l.t.Helper()
	for {
		ev := l.next()
		if ev["event"] == kind {
			for _, p := range parts {
				if !strings.Contains(ev["data"], p) {
					l.t.Errorf("%v does not say %s", ev, p)
				}
			}
			return ev
		}
	}
}

func (b *bench) denied(port uint16) {
	l := enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: mac(b.t, lampMAC),
		Packet: enforcer.Flow{Src: addr("192.168.1.50"), Dst: addr("203.0.113.9"), Proto: 6, Sport: 40000, Dport: port}}
	must(b.t, b.engine.Do(b.t.Context(), func(e *enforcer.Engine) { e.Denied(l) }))
}

// TestEvents: who listens hears what changes, one who comes back gets what he missed, and all streams end with the engine's.
func TestEvents(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "m.sock")
	stop := serve(t, path, b.http)
	b.denied(22)
	l := listen(t, path, "")
	if ev := l.next(); ev["retry"] != "3000" {
		t.Errorf("first: %v", ev)
	}
	l.want("status", "{}")
	b.denied(23)
	missed := l.want("denial", `"dport":23`, lampMAC)
	var d enforcer.DeviceView
	b.ask("POST", "/api/v1/devices/"+lampMAC+"/quarantine", "", 200, &d)
	l.want("device", lampMAC, `"state":"quarantined"`)
	b.ask("POST", "/api/v1/devices/"+lampMAC+"/forget", "", 200, &d)
	l.want("device", lampMAC, `"forgotten":true`)
	l.stop()
	b.ask("POST", "/api/v1/devices/"+lampMAC+"/assign", `{"url":""}`, 404, &d)
	b.denied(24) // not a device any more: no denial
	back := listen(t, path, strings.TrimSuffix(missed["id"], "2")+"1")
	back.want("denial", `"dport":23`)
	must(t, stop())
	if _, err := io.ReadAll(back.r); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("the end: %v", err)
	}
}

// TestManyListeners: there is a bound, and a place is free again once its client is gone.
func TestManyListeners(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "m.sock")
	defer serve(t, path, b.http)()
	for range 3 { // who is refused frees no place
		var p Problem
		b.ask("GET", "/api/v1/events?x=1", "", http.StatusBadRequest, &p)
	}
	var all []listener
	for range maxStreams {
		all = append(all, listen(t, path, ""))
	}
	if l := listen(t, path, ""); l.code != http.StatusServiceUnavailable {
		t.Errorf("one too many: code %d", l.code)
	}
	all[3].stop()
	for listen(t, path, "").code != http.StatusOK { // the server notices the end in its own time
	}
	for i, l := range all {
		if l.code != http.StatusOK {
			t.Errorf("listener %d: code %d", i, l.code)
		}
	}
}
