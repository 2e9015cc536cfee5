package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
	"mudguard/web"
)

const (
	lampURL    = "https://mud.lamp.example/lamp/v1"
	lampNext   = "https://mud.lamp.example/lamp/v2"
	cameraURL  = "https://mud.camera.example/v1"
	hostileURL = "https://mud.hostile.example/v1"
	lampMAC    = "02:00:5e:10:00:01"
	cameraMAC  = "02:00:5e:10:00:02" // its profile is held
	plugMAC    = "02:00:5e:10:00:03" // announces no URL
	password   = "correct horse battery"
	otherHost  = "203.0.113.66"
)

// markup is what a hostile device says everywhere it can.
const markup = `<img src=x onerror="window.owned=1"><b>bold</b>` + "\u202egnp.exe\x00\x1b[31m"

// hostile is longer than any field may be, and has no place to break a line at.
var hostile = markup + strings.Repeat("W", 10<<10)

// bench is the daemon's API and pages over an engine on a kernel in memory, on a port of this host.
type bench struct {
	testing.TB
	engine *enforcer.Engine
	kernel *enforcer.Memory
	names  *enforcer.Names
	files  *files
	url    string
	cookie string // of a session
	token  string // of the first use; "" once it was used
	auth   *web.Auth
}

// files are the profiles that can be fetched.
type files struct {
	mu       sync.Mutex
	docs     map[string]enforcer.Verified
	held     map[string]bool
	approved map[string]bool
	engine   *enforcer.Engine
}

// heldError says that a file is there which the administrator has to let in.
type heldError struct{ sum string }

func (h heldError) Error() string        { return "it is not signed, and signatures.policy is require" }
func (h heldError) Held() (string, bool) { return h.sum, true }

// Submit gives the outcome at once, as a quick server would.
func (f *files) Submit(u mud.URL) bool {
	doc, err := f.Load(u, true)
	f.engine.Post(func(e *enforcer.Engine) { e.Fetched(u, doc, err) })
	return true
}
func (f *files) Keep(mud.URL, string) {}
func (f *files) Load(u mud.URL, anew bool) (enforcer.Verified, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	doc, ok := f.docs[u.String()]
	switch {
	case !ok || !anew && f.held[u.String()]:
		return enforcer.Verified{}, errors.New("no such file")
	case f.held[u.String()] && !f.approved[doc.SHA256]:
		return doc, heldError{doc.SHA256}
	}
	return doc, nil
}
func (f *files) Approve(_ mud.URL, sum string, yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.approved[sum] = yes
}

// add makes a profile of the lamp's, with other words in it.
func (f *files) add(t testing.TB, url, signer string, replace ...string) {
	raw, err := os.ReadFile("../../mud/testdata/lamp.json")
	must(t, err)
	text := strings.NewReplacer(append([]string{lampURL, url}, replace...)...).Replace(string(raw))
	p, problems, err := mud.Parse([]byte(text))
	must(t, err)
	f.docs[url] = enforcer.Verified{URL: p.URL, SHA256: fmt.Sprintf("%064x", len(f.docs)+1), Profile: p, Problems: problems, Signer: signer,
		FetchedAt: time.Now(), NextRefresh: time.Now().Add(time.Hour)}
}

// newBench starts the API with n devices: the first are the lamp, the camera and the plug.
func newBench(t testing.TB, n int) *bench {
	t.Helper()
	b := &bench{TB: t, kernel: &enforcer.Memory{}, names: enforcer.NewNames(), files: &files{docs: map[string]enforcer.Verified{}, held: map[string]bool{cameraURL: true}, approved: map[string]bool{}}}
	said, err := json.Marshal(mud.Clean(markup, 60))
	must(t, err)
	b.files.add(t, lampURL, "CN=Lamp")
	b.files.add(t, lampNext, "CN=Lamp", `"port": 443`, `"port": 8883`)
	b.files.add(t, cameraURL, "", "Lamp with a microphone", "Camera")
	b.files.add(t, hostileURL, markup, `"Lamp with a microphone"`, string(said), `"Lamp & Söhne"`, string(said), `"L1"`, string(said))
	b.start()
	b.serve()
	for i := range n {
		b.device(i)
	}
	if n > 0 {
		b.engine.Do(t.Context(), func(e *enforcer.Engine) { e.Tick() })
		b.await(lampMAC, enforcer.StatusEnforced)
		b.denied(23, "evil.example")
	}
	return b
}

func (b *bench) start() {
	site := enforcer.Site{Mark: 1, NewFlows: enforcer.Rate{Count: 100, Per: time.Second}, NewFlowsBurst: 200,
		DenialRate: enforcer.Rate{Count: 10, Per: time.Second}, NFLOGGroup: 8520, QueueNum: 8520, Queue: enforcer.QueueNone,
		Bridge: enforcer.BridgeConntrack,
		LAN:    []enforcer.LANInterface{{Name: "br-lan", Bridge: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.0.1/16")}}}}
	b.engine = enforcer.New(enforcer.Config{AcceptAddresses: []string{"global"}}, site, enforcer.State{}, enforcer.Deps{Kernel: b.kernel,
		Fetcher: b.files, Save: func(enforcer.State) error { return nil }, Now: time.Now, Log: slog.New(slog.DiscardHandler), Names: b.names,
		Backoff: func(int) time.Duration { return time.Hour }})
	b.files.engine = b.engine
	must(b, b.engine.Start())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.engine.Run(ctx) }()
	b.Cleanup(func() { stop(); must(b, <-done) })
}

// serve lets the pages be asked for, and sets the password.
func (b *bench) serve() {
	var err error
	b.auth, err = web.NewAuth(web.AuthConfig{Dir: b.TempDir(), Now: time.Now,
		Write: func(name string, data []byte) error { return os.WriteFile(name, data, 0o600) }}, true)
	must(b, err)
	_, path := b.auth.Setup()
	token, err := os.ReadFile(path)
	must(b, err)
	b.token = strings.TrimSpace(string(token))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	b.url = "http://" + ln.Addr().String()
	h := b.auth.Guard(web.Handler(web.Options{Engine: b.engine, Auth: b.auth, Host: func() web.HostStatus {
		return web.HostStatus{Version: "1.2.3", Kernel: web.Kernel{Queue: "native", Bridge: "conntrack", Fib: true}, Tables: []string{"inet mudguard"},
			Sources: []web.Source{{Name: "dhcpv4 on br-lan", State: "listening", LastSeen: time.Now()}},
			Gaps:    []enforcer.Gap{{What: "of the host", Why: "a test " + markup}}}
	}}))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- web.Serve(ctx, ln, h) }()
	b.Cleanup(func() { stop(); must(b, <-done) })
}

// open opens a tab that is signed in, or not.
func (b *bench) open(t *testing.T, s Screen, signedIn bool) *Tab {
	t.Helper()
	if signedIn {
		b.signIn()
	}
	return Open(t, s, b.url, b.cookie)
}

func TestMain(m *testing.M) { os.Exit(Run(m)) }

// signIn sets the password, and keeps the session.
func (b *bench) signIn() {
	if b.cookie != "" {
		return
	}
	resp := b.ask("POST", "/setup", map[string]string{"token": b.token, "password": password})
	for _, c := range resp.Cookies() {
		b.cookie = c.Value
	}
	if b.cookie == "" {
		b.Fatal("setup set no cookie")
	}
}

// ask makes a request of the API, which must be answered well.
func (b *bench) ask(method, path string, body any) *http.Response {
	b.Helper()
	raw, err := json.Marshal(body)
	must(b, err)
	r, err := http.NewRequestWithContext(context.Background(), method, b.url+"/api/v1"+path, bytes.NewReader(raw))
	must(b, err)
	if b.cookie != "" {
		r.AddCookie(&http.Cookie{Name: "mudguard", Value: b.cookie})
	}
	resp, err := http.DefaultClient.Do(r)
	must(b, err)
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	must(b, err)
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("%s %s: %s: %s", method, path, resp.Status, said)
	}
	return resp
}

// device lets device i be heard.
func (b *bench) device(i int) {
	s := dhcp.Sighting{MAC: dhcp.MAC{2, 0, 0x5e, 0x10, byte((i + 1) >> 8), byte(i + 1)}, Kind: dhcp.Bound, Source: dhcp.SourceDHCPv4,
		Addr: netip.AddrFrom4([4]byte{192, 168, byte(i >> 7), byte(i&127 + 20)}), Hostname: fmt.Sprintf("device-%d", i+1), URL: lampURL}
	switch i {
	case 1:
		s.Hostname, s.URL = "camera", cameraURL
	case 2:
		s.Hostname, s.URL = "plug", ""
	}
	b.sighted(s)
}

func (b *bench) sighted(s dhcp.Sighting) {
	b.Helper()
	must(b, b.engine.Do(b.Context(), func(e *enforcer.Engine) { e.Sighted(s) }))
}

// denied lets the kernel tell of packets of the lamp that it stopped, to a host that DNS gave a name.
func (b *bench) denied(port uint16, name string) {
	b.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeA)
	m.Response = true
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(otherHost)}}
	b.names.Observe(m, time.Now())
	l := enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: mac(b, lampMAC), Packet: enforcer.Flow{Src: netip.MustParseAddr("192.168.0.20"),
		Dst: netip.MustParseAddr(otherHost), Proto: 6, Sport: 40000, Dport: port}}
	must(b, b.engine.Do(b.Context(), func(e *enforcer.Engine) { e.Denied(l) }))
}

// await waits until a device has a state.
func (b *bench) await(of string, want enforcer.Status) {
	b.Helper()
	var have enforcer.Status
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if have = b.state(of); have == want {
			return
		}
	}
	b.Fatalf("%s is %s, not %s", of, have, want)
}

func (b *bench) state(of string) (s enforcer.Status) { return b.view(of).State }

func (b *bench) view(of string) (v enforcer.DeviceView) {
	b.Helper()
	must(b, b.engine.Do(b.Context(), func(e *enforcer.Engine) {
		if d, ok := e.Device(mac(b, of)); ok {
			v = e.View(d, true)
		}
	}))
	return v
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
