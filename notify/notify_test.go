package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mudguard/configs"
	"mudguard/dhcp"
	"mudguard/enforcer"
)

var gateway = Gateway{Name: "router", Version: "1.2.3"}

func news(kind enforcer.NewsKind, text string) enforcer.News {
	return enforcer.News{Kind: kind, Time: time.Now(), MAC: dhcp.MAC{2, 0, 0x5e, 0x10, 0, 1}, Device: "Lamp", State: enforcer.StatusHeld, Text: text}
}

func denialOf(dst string, port uint16) enforcer.News {
	ev := news(enforcer.NewsDenial, "Lamp tried "+dst)
	ev.Denial = &enforcer.Denial{MAC: ev.MAC, Direction: "out", Dst: netip.MustParseAddr(dst), Proto: "tcp", Dport: port}
	return ev
}

// logBook is a log that tests read while it is written.
type logBook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running starts a Notifier that does not wait between tries, and gives its log.
func running(t *testing.T, cfg configs.Notify) (*Notifier, *logBook) {
	t.Helper()
	log := &logBook{}
	n := New(cfg, gateway, slog.New(slog.NewTextHandler(log, nil)))
	for _, s := range n.sinks {
		s.backoff = func(int) time.Duration { return 10 * time.Millisecond }
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.Run(ctx); close(done) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Error("it does not stop")
		}
	})
	return n, log
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

// hook is a webhook that answers with codes, the last one for ever.
type hook struct {
	*httptest.Server
	got   chan *http.Request
	body  chan []byte
	codes []int
	n     atomic.Int32
}

func newHook(t *testing.T, codes ...int) *hook {
	h := &hook{got: make(chan *http.Request, 100), body: make(chan []byte, 100), codes: codes}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		i := min(int(h.n.Add(1))-1, len(h.codes)-1)
		h.got <- r
		h.body <- body
		w.Header().Set("Location", "http://192.0.2.1/")
		w.WriteHeader(h.codes[i])
	}))
	t.Cleanup(h.Close)
	return h
}

func TestWebhook(t *testing.T) {
	h := newHook(t, 500, 429, 204)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, log := running(t, configs.Notify{Webhooks: []configs.Webhook{{URL: h.URL + "/in?key=s3cret-key", TokenFile: token}}})
	n.Tell(news(enforcer.NewsHold, `Lamp <b>waits</b> "for" you`))
	eventually(t, "delivery after two refusals", func() bool { return n.Counts()[0].Sent == 1 })
	r, body := <-h.got, <-h.body
	if r.Method != "POST" || r.Header.Get("Authorization") != "Bearer s3cret-token" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", r.Method, r.Header)
	}
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil || m["event_type"] != "hold" || m["gateway"] != "router" || m["device"] != "Lamp" ||
		m["text"] != `Lamp <b>waits</b> "for" you` || m["mac"] != "02:00:5e:10:00:01" || m["state"] != "held" {
		t.Errorf("%v: %s", err, body)
	}
	if strings.Contains(string(body), "<b>") {
		t.Error("markup is not escaped")
	}
	if s := log.String(); strings.Contains(s, "s3cret") || strings.Count(s, "not delivered") != 1 || !strings.Contains(s, "delivered again") {
		t.Errorf("log: %s", s)
	}
}

// Who does not want it is not asked again, and sends us nowhere else.
func TestWebhookRefuses(t *testing.T) {
	for _, code := range []int{302, 307, 400, 404, 410} {
		h := newHook(t, code)
		n, log := running(t, configs.Notify{Webhooks: []configs.Webhook{{URL: h.URL}}})
		n.Tell(news(enforcer.NewsHold, "x"))
		eventually(t, "giving up", func() bool { return n.Counts()[0].Failed == 1 })
		if h.n.Load() != 1 || !strings.Contains(log.String(), "it answered 3") && !strings.Contains(log.String(), "it answered 4") {
			t.Errorf("%d: asked %d times: %s", code, h.n.Load(), log)
		}
	}
}

// A receiver that hangs takes no news from another, and never makes the engine wait.
func TestSlowReceiver(t *testing.T) {
	hang := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(hang)
	quick := newHook(t, 200)
	n, _ := running(t, configs.Notify{Webhooks: []configs.Webhook{{URL: slow.URL}, {URL: quick.URL}}})
	for range 10_000 {
		n.Tell(news(enforcer.NewsHold, "x"))
		n.Tell(news(enforcer.NewsRepaired, "y"))
	}
	eventually(t, "the quick one", func() bool { return n.Counts()[1].Sent == 2*burst })
	if c := n.Counts()[0]; c.Sent != 0 || c.Dropped != 20_000-2*burst {
		t.Errorf("%+v", c)
	}
}

// After a flood the next message says how many were left out.
func TestLeftOut(t *testing.T) {
	h := newHook(t, 200)
	n, _ := running(t, configs.Notify{Webhooks: []configs.Webhook{{URL: h.URL, Events: []configs.News{configs.Hold}}}})
	n.Tell(news(enforcer.NewsRepaired, "not asked for"))
	late := news(enforcer.NewsHold, "x")
	for range burst + 5 {
		n.Tell(late)
	}
	eventually(t, "the burst", func() bool { return n.Counts()[0].Sent == burst })
	late.Time = late.Time.Add(refill)
	n.Tell(late)
	eventually(t, "one more", func() bool { return n.Counts()[0].Sent == burst+1 })
	sum := uint64(0)
	for range burst + 1 {
		var m message
		if err := json.Unmarshal(<-h.body, &m); err != nil {
			t.Fatal(err)
		}
		sum += m.LeftOut
	}
	if sum != 5 || n.Counts()[0].Dropped != 5 {
		t.Errorf("left out: %d, %+v", sum, n.Counts())
	}
}

func TestFirstDenialOfADestination(t *testing.T) {
	n := New(configs.Notify{Webhooks: []configs.Webhook{{URL: "http://192.0.2.1/"}}}, gateway, slog.New(slog.DiscardHandler))
	for _, ev := range []enforcer.News{denialOf("203.0.113.9", 23), denialOf("203.0.113.9", 23), denialOf("203.0.113.9", 80), denialOf("203.0.113.10", 23)} {
		n.Tell(ev)
	}
	if got := len(n.sinks[0].queue); got != 3 {
		t.Errorf("%d denials told, want 3", got)
	}
	for i := range 3 * maxSeen {
		n.first(&enforcer.Denial{Direction: "out", Dst: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})})
		if len(n.seen) > maxSeen {
			t.Fatal("it grows without bound")
		}
	}
}

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p")
	for content, ok := range map[string]bool{"pw\n": true, "": false, "a\nb": false, strings.Repeat("x", maxSecret+1): false} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := secret(path)
		if (err == nil) != ok || ok && got != strings.TrimSpace(content) || err != nil && content != "" && strings.Contains(err.Error(), content) {
			t.Errorf("%.10q: %q %v", content, got, err)
		}
	}
	if _, err := secret(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
