package web

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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
)

const (
	lampURL = "https://mud.lamp.example/lamp/v1"
	lampMAC = "02:00:5e:10:00:01"
	plugMAC = "02:00:5e:10:00:02" // announces no URL
	adminPC = "02:00:5e:10:00:99" // listed as trusted
)

// bench is an API over an engine on a kernel in memory.
type bench struct {
	t      testing.TB
	engine *enforcer.Engine
	kernel *enforcer.Memory
	refuse atomic.Bool // the kernel refuses changes
	auth   *Auth
	now    atomic.Int64 // what was added to the clock of auth
	http   http.Handler
	doc    *document
}

// fetcher has one profile on its disk.
type fetcher struct{ doc enforcer.Verified }

func (f *fetcher) Submit(mud.URL) bool  { return false }
func (f *fetcher) Keep(mud.URL, string) {}
func (f *fetcher) Load(u mud.URL, _ bool) (enforcer.Verified, error) {
	if u != f.doc.URL {
		return enforcer.Verified{}, errors.New("not in the cache")
	}
	return f.doc, nil
}
func (f *fetcher) Approve(mud.URL, string, bool) {}

func newBench(t testing.TB) *bench {
	t.Helper()
	raw, err := os.ReadFile("../mud/testdata/lamp.json")
	must(t, err)
	profile, problems, err := mud.Parse(raw)
	must(t, err)
	doc := enforcer.Verified{URL: profile.URL, SHA256: "5a", Profile: profile, Problems: problems, Signer: "CN=Lamp",
		NextRefresh: time.Now().Add(time.Hour)}
	b := &bench{t: t, kernel: &enforcer.Memory{}, doc: readDocument(t)}
	b.kernel.Fail = func(enforcer.Delta) error {
		if b.refuse.Load() {
			return errors.New("no buffer space")
		}
		return nil
	}
	trusted, _ := dhcp.ParseMAC(adminPC)
	site := enforcer.Site{Mark: 1, NewFlows: enforcer.Rate{Count: 100, Per: time.Second}, NewFlowsBurst: 200,
		DenialRate: enforcer.Rate{Count: 10, Per: time.Second}, NFLOGGroup: 8520, QueueNum: 8520, Queue: enforcer.QueueNone,
		Bridge: enforcer.BridgeConntrack, Trusted: []dhcp.MAC{trusted},
		LAN: []enforcer.LANInterface{{Name: "br-lan", Bridge: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.1.1/24")}}}}
	b.engine = enforcer.New(enforcer.Config{AcceptAddresses: []string{"global"}}, site, enforcer.State{}, enforcer.Deps{Kernel: b.kernel, Fetcher: &fetcher{doc},
		Save: func(enforcer.State) error { return nil }, Now: time.Now, Log: slog.New(slog.DiscardHandler), Names: enforcer.NewNames(),
		Backoff: func(int) time.Duration { return time.Hour }})
	must(t, b.engine.Start())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.engine.Run(ctx) }()
	t.Cleanup(func() { stop(); must(t, <-done) })
	b.auth, err = NewAuth(AuthConfig{Dir: t.TempDir(), Hosts: []string{"router.home.arpa"}, MetricsToken: "0123456789abcdef",
		Write: func(name string, data []byte) error { return os.WriteFile(name, data, 0o600) },
		Now:   func() time.Time { return time.Now().Add(time.Duration(b.now.Load())) }}, true)
	must(t, err)
	b.http = Handler(Options{Engine: b.engine, Host: func() HostStatus {
		return HostStatus{Version: "1.2.3", Kernel: Kernel{Queue: "none", Bridge: "conntrack", Replies: "conntrack"}, Tables: []string{"inet mudguard"},
			Gaps:     []enforcer.Gap{{What: "of the host", Why: "a test"}},
			Counters: HostCounters{Notified: []Notified{{Target: "mqtt", Sent: 7}}}}
	}, Auth: b.auth})
	b.sighted(dhcp.Sighting{MAC: mac(t, lampMAC), Kind: dhcp.Bound, Source: dhcp.SourceDHCPv4, Addr: netip.MustParseAddr("192.168.1.50"), URL: lampURL})
	b.sighted(dhcp.Sighting{MAC: mac(t, plugMAC), Kind: dhcp.Seen, Hostname: "plug\x1b[31m\nroot"})
	b.sighted(dhcp.Sighting{MAC: trusted, Kind: dhcp.Seen})
	for b.inKernel(lampMAC) == "" { // Do is answered ahead of the kernel's change
		time.Sleep(time.Millisecond)
	}
	return b
}

func (b *bench) sighted(s dhcp.Sighting) {
	must(b.t, b.engine.Do(b.t.Context(), func(e *enforcer.Engine) { e.Sighted(s) }))
}

// ask makes a request, and reads the answer, which must have that code, into v.
func (b *bench) ask(method, target, body string, code int, v any) {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(body))
	w := httptest.NewRecorder()
	b.http.ServeHTTP(w, r)
	raw, _ := io.ReadAll(w.Body)
	if w.Code != code {
		b.t.Fatalf("%s %s: code %d, want %d: %s", method, target, w.Code, code, raw)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" && (code < 400 || ct != "application/problem+json") {
		b.t.Errorf("%s %s: Content-Type %q", method, target, ct)
	}
	b.described(method, target, code, raw)
	if err := json.Unmarshal(raw, v); err != nil {
		b.t.Fatalf("%s %s: %v: %s", method, target, err, raw)
	}
}

// inKernel is the policy that the kernel has for a device: the chain for what leaves it.
func (b *bench) inKernel(m string) string {
	b.t.Helper()
	rules, err := b.kernel.Ruleset()
	must(b.t, err)
	for name, s := range rules.Inet.Sets {
		if strings.HasPrefix(name, "from_device") {
			return s.Elements[enforcer.Key{MAC: mac(b.t, m)}].Verdict.Chain
		}
	}
	b.t.Fatal("there is no map from_device")
	return ""
}

func mac(t testing.TB, s string) dhcp.MAC {
	t.Helper()
	m, err := dhcp.ParseMAC(s)
	must(t, err)
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	must(t, err)
	return string(raw)
}
