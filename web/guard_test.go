package web

import (
	"context"
	"crypto/tls"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mudguard/enforcer"
)

const password = "correct horse"

// site is the bench's API behind a TCP port, as a browser has it.
type site struct {
	*bench
	base   string
	client *http.Client
	cookie *http.Cookie
}

func newSite(t *testing.T, secure *tls.Config) *site {
	t.Helper()
	b := newBench(t)
	ln, err := ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"))
	must(t, err)
	s := &site{bench: b, base: "http://" + ln.Addr().String(), client: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	if secure != nil {
		ln, s.base = tls.NewListener(ln, secure), "https://"+ln.Addr().String()
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, b.auth.Guard(b.http)) }()
	t.Cleanup(func() { stop(); must(t, <-done) })
	return s
}

// send makes a request with the session's cookie, if there is one.
func (s *site) send(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(body))
	must(s.t, err)
	if s.cookie != nil {
		r.AddCookie(s.cookie)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(r)
	must(s.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(s.t, err)
	for _, c := range resp.Cookies() {
		s.cookie = c
	}
	return resp, string(raw)
}

func (s *site) want(code int, method, path, body string, headers ...string) string {
	s.t.Helper()
	resp, text := s.send(method, path, body, headers...)
	if resp.StatusCode != code {
		s.t.Errorf("%s %s %v: code %d, want %d: %s", method, path, headers, resp.StatusCode, code, text)
	}
	return text
}

// setUp sets the password as at first use, which also logs in.
func (s *site) setUp() *site {
	s.t.Helper()
	_, file := s.auth.Setup()
	token, err := os.ReadFile(file)
	must(s.t, err)
	s.want(200, "POST", "/api/v1/setup", `{"token":"`+strings.TrimSpace(string(token))+`","password":"`+password+`"}`)
	return s
}

func (s *site) state() enforcer.Status {
	s.t.Helper()
	var v enforcer.DeviceView
	s.ask("GET", "/api/v1/devices/"+lampMAC, "", 200, &v)
	return v.State
}

// TestForeignRequests: T22. What a page of another site can send changes nothing, even with a session, and neither does what
// nobody who is logged in sends.
func TestForeignRequests(t *testing.T) {
	s := newSite(t, nil).setUp()
	order := "/api/v1/devices/" + lampMAC + "/quarantine"
	host := strings.TrimPrefix(s.base, "http://")
	_, port, _ := net.SplitHostPort(host)
	for name, headers := range map[string][]string{
		"rebinding":                     {"Host", "evil.example:" + port},
		"rebinding from its own origin": {"Host", "evil.example", "Origin", "http://evil.example", "Sec-Fetch-Site", "same-origin"},
		"a name that ends like ours":    {"Host", "evil.router.home.arpa"},
		"no name":                       {"Host", "."},
		"cross-site":                    {"Sec-Fetch-Site", "cross-site"},
		"same site, another port":       {"Sec-Fetch-Site", "same-site"},
		"an old browser":                {"Origin", "http://evil.example"},
		"a sandboxed frame":             {"Origin", "null"},
	} {
		s.want(403, "POST", order, "", headers...)
		if name[:2] == "re" {
			s.want(403, "GET", "/api/v1/devices", "", headers...)
			s.want(403, "GET", "/", "", headers...)
		}
	}
	session := s.cookie
	for _, c := range []*http.Cookie{nil, {Name: session.Name, Value: ""}, {Name: session.Name, Value: session.Value[1:]}, {Name: "other", Value: session.Value}} {
		s.cookie = c
		s.want(401, "POST", order, "") // no Origin, as from a program
		s.want(401, "POST", order, "", "Origin", s.base)
		s.want(401, "GET", "/api/v1/devices", "")
		s.want(401, "GET", "/api/v1/events", "")
		s.want(401, "GET", "/metrics", "")
		s.want(401, "GET", "/metrics", "", "Authorization", "Bearer 0123456789abcdee")
		s.want(200, "GET", "/metrics", "", "Authorization", "Bearer 0123456789abcdef")
		s.want(401, "GET", "/api/v1/devices", "", "Authorization", "Bearer 0123456789abcdef")
		s.want(401, "GET", "/assets", "")
		s.want(401, "GET", "/elsewhere", "")
	}
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range []string{"/assets/../api/v1/devices", "/assets/%2e%2e/api/v1/devices", "//api/v1/devices", "/assets//../api/v1/devices"} {
		if resp, text := s.send("GET", path, ""); resp.StatusCode == 200 || strings.Contains(text, lampMAC) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
	s.cookie = session
	s.want(405, "GET", order, "")
	if got := s.state(); got != enforcer.StatusEnforced {
		t.Fatalf("the lamp is %s", got)
	}
	s.want(200, "POST", order, "", "Origin", s.base, "Sec-Fetch-Site", "same-origin", "Host", host)
	s.want(200, "POST", order, "", "Host", "ROUTER.home.arpa.:"+port)
	s.want(200, "POST", order, "", "Host", "localhost")
	s.want(200, "POST", order, "", "Host", "[fd00::1]:80")
	if got := s.state(); got != enforcer.StatusQuarantined {
		t.Errorf("the lamp is %s", got)
	}
}

// TestHeaders: T22. No answer can be put into a frame, runs a script that is not ours, or is taken for something else.
func TestHeaders(t *testing.T) {
	s := newSite(t, nil)
	for path, code := range map[string]int{"/": 200, "/api/v1/session": 200, "/api/v1/status": 401, "/assets/nothing": 404} {
		resp, _ := s.send("GET", path, "")
		h := resp.Header
		csp := h.Get("Content-Security-Policy")
		if resp.StatusCode != code || !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") ||
			strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, h)
		}
	}
	resp, body := s.send("GET", "/", "")
	if ct := resp.Header.Get("Content-Type"); ct != "text/html; charset=utf-8" || !strings.Contains(body, "<title>mudguard") {
		t.Errorf("the page: %s %q", ct, body)
	}
	for path, p := range newPages(&zipper{}) {
		if p.(asset).kind == "" {
			t.Errorf("%s has no media type", path)
		}
	}
	tag := resp.Header.Get("ETag")
	if resp, _ := s.send("GET", "/", "", "If-None-Match", tag); resp.StatusCode != http.StatusNotModified || tag == "" {
		t.Errorf("again with its tag %s: %d", tag, resp.StatusCode)
	}
}

// TestSetup: T22. There is no password that others know: the first is set by who can read the token's file, once.
func TestSetup(t *testing.T) {
	s := newSite(t, nil)
	if text := s.want(200, "GET", "/api/v1/session", ""); text != "{\"authenticated\":false,\"setup\":true}\n" {
		t.Error(text)
	}
	_, file := s.auth.Setup()
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file has mode %v", info.Mode())
	}
	s.want(409, "POST", "/api/v1/session", `{"password":""}`)
	s.want(403, "POST", "/api/v1/setup", `{"token":"","password":"`+password+`"}`)
	s.want(400, "POST", "/api/v1/setup", `{"password":1}`)
	s.setUp()
	if text := s.want(200, "GET", "/api/v1/session", ""); text != "{\"authenticated\":true,\"setup\":false}\n" {
		t.Error(text)
	}
	s.want(409, "POST", "/api/v1/setup", `{"token":"","password":"another one"}`)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the token's file is still there: %v", err)
	}
	again, err := NewAuth(s.auth.AuthConfig, true)
	must(t, err)
	if open, _ := again.Setup(); open {
		t.Error("after a restart there is no password")
	}
	if kept, err := os.ReadFile(again.path(passwordFile)); err != nil || strings.Contains(string(kept), password) || !strings.HasPrefix(string(kept), "$argon2id$v=19$m=7168,t=5,p=1$") {
		t.Errorf("kept is %q, %v", kept, err)
	}
}

// TestSession: T22. A session ends when its owner says so, with time, and with the password; with it what it has open.
func TestSession(t *testing.T) {
	s := newSite(t, nil).setUp()
	c := s.cookie
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %v", c)
	}
	s.want(200, "DELETE", "/api/v1/session", "")
	s.cookie = c
	s.want(401, "GET", "/api/v1/status", "")
	s.want(200, "POST", "/api/v1/session", `{"password":"`+password+`"}`)
	s.want(200, "GET", "/api/v1/status", "")
	s.now.Add(int64(idleTime) + 1)
	s.want(401, "GET", "/api/v1/status", "")
	s.want(200, "POST", "/api/v1/session", `{"password":"`+password+`"}`)
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.base+"/api/v1/events", nil)
	must(t, err)
	r.AddCookie(s.cookie)
	stream, err := s.client.Do(r)
	must(t, err)
	defer stream.Body.Close()
	must(t, s.auth.setPassword(t.Context(), "another password"))
	if _, err := io.ReadAll(stream.Body); err != nil { // it ends
		t.Error(err)
	}
	s.want(401, "GET", "/api/v1/status", "")
	s.want(401, "POST", "/api/v1/session", `{"password":"`+password+`"}`)
	for range maxSessions + 5 {
		s.auth.begin(netip.Addr{})
	}
	if len(s.auth.sessions) != maxSessions {
		t.Errorf("%d sessions", len(s.auth.sessions))
	}
}

// TestBruteForce: T22. Who guesses is slowed down, from one address and from many, and who knows the password gets in afterwards.
func TestBruteForce(t *testing.T) {
	s := newSite(t, nil).setUp()
	wrong, right := `{"password":"wrong password"}`, `{"password":"`+password+`"}`
	for range freeTries {
		s.want(401, "POST", "/api/v1/session", wrong)
	}
	resp, _ := s.send("POST", "/api/v1/session", right)
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("after %d tries: %d, wait %q", freeTries, resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	s.now.Add(int64(firstWait))
	s.want(200, "POST", "/api/v1/session", right)
	s.want(200, "POST", "/api/v1/session", right)
}

// TestThrottle: T22. A day of guessing from one address is a hundred tries, and from a thousand addresses not many more.
func TestThrottle(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, addrs := range map[string]int{"one": 1, "many": 1000} {
		var th throttle
		tries := 0
		for now := start; now.Before(start.Add(24 * time.Hour)); now = now.Add(time.Second) {
			for i := range addrs/100 + 1 {
				n := (int(now.Unix())*7 + i) % addrs
				if th.try(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), now) == 0 {
					tries++
				}
			}
		}
		most := map[string]int{"one": freeTries + 10 + 24*4, "many": allTries + int(24*time.Hour/allEvery) + 1}[name]
		if tries > most || tries < freeTries || len(th.by) > maxGuessers {
			t.Errorf("%s: %d tries of at most %d, %d addresses are remembered", name, tries, most, len(th.by))
		}
	}
	var th throttle
	for i := range freeTries + 1 { // one subnet, one guesser
		if wait := th.try(netip.MustParseAddr("2001:db8::1").Next(), start); (wait > 0) != (i == freeTries) {
			t.Errorf("try %d waits %v", i, wait)
		}
	}
}

// TestOwnerIsNotKeptOut: T22. Guessing from many addresses keeps out newcomers, but not who knew the password before: he has the tries of
// his address.
func TestOwnerIsNotKeptOut(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var th throttle
	owner := netip.MustParseAddr("192.168.1.9")
	for range 2 * maxOwners {
		owner = owner.Next()
		now = now.Add(allEvery)
		if th.try(owner, now) > 0 {
			t.Fatal("the owner has to wait")
		}
		th.right(owner)
	}
	for i := range 250 {
		th.try(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), now)
	}
	if th.try(netip.MustParseAddr("10.1.0.1"), now) == 0 {
		t.Error("all that guess are not bounded")
	}
	tries := 0
	for range 2 * freeTries {
		if th.try(owner, now) == 0 {
			tries++
		}
	}
	if tries != freeTries || len(th.owners) > maxOwners {
		t.Errorf("the owner has %d tries, want %d; %d owners are remembered", tries, freeTries, len(th.owners))
	}
}

// TestLocalSetup: T23. Who may use the unix socket may set the password, and needs no other.
func TestLocalSetup(t *testing.T) {
	b := newBench(t)
	path := t.TempDir() + "/m.sock"
	defer serve(t, path, b.http)()
	c := NewClient(path)
	if _, err := c.Post(t.Context(), "/api/v1/setup", Credentials{Password: "short"}); err == nil {
		t.Error("a short password is taken")
	}
	_, err := c.Post(t.Context(), "/api/v1/setup", Credentials{Password: password})
	must(t, err)
	if ok, err := b.auth.hash.matches(t.Context(), password, b.auth.kept); !ok || err != nil {
		t.Error("it is not the password", err)
	}
	must(t, b.auth.setPassword(t.Context(), password+"2")) // again
	b.auth.kept = "$argon2id$v=19$m=99999999,t=5,p=1$AAAA$AAAA"
	if _, err := b.auth.logIn(t.Context(), netip.Addr{}, password); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a file that is not ours: %v", err)
	}
}

// TestOwnCertificate: https with a certificate of our own, which stays the same until a name is missing or its time comes.
func TestOwnCertificate(t *testing.T) {
	now, writes := time.Now(), 0
	own := &OwnCertificate{Path: t.TempDir() + "/web.pem", Names: []string{"router.home.arpa", "127.0.0.1"}, Now: func() time.Time { return now },
		Write: func(name string, data []byte) error { writes++; return os.WriteFile(name, data, 0o600) }}
	s := newSite(t, own.Config()).setUp()
	if s.cookie.Name != "__Host-mudguard" || !s.cookie.Secure {
		t.Errorf("cookie %v", s.cookie)
	}
	s.want(200, "GET", "/api/v1/status", "")
	step := func(what string, want int) {
		t.Helper()
		other := &OwnCertificate{Path: own.Path, Names: own.Names, Now: own.Now, Write: own.Write}
		if _, err := other.get(); err != nil || writes != want {
			t.Errorf("%s: %d certificates, want %d, %v", what, writes, want, err)
		}
	}
	step("after a restart", 1)
	now = now.Add(-50 * 365 * 24 * time.Hour)
	step("with a clock that is not set", 1)
	now = time.Now().Add(ownLife - renewAhead + 1)
	step("at the end of its time", 2)
	own.Names = append(own.Names, "fd00::1")
	step("with another address", 3)
	must(t, os.WriteFile(own.Path, []byte("damaged"), 0o600))
	step("with a damaged file", 4)
}

// TestConnections: nobody keeps others out by opening many connections.
func TestConnections(t *testing.T) {
	ln, err := ListenTCP(netip.MustParseAddrPort("127.0.0.1:0"))
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, ok()) }()
	defer func() { stop(); must(t, <-done) }()
	from := func(addr string) error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
		c, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
		must(t, err)
		t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = c.Read(make([]byte, 1))
		return err
	}
	for i := range maxConnsEach {
		if err := from("127.0.0.1"); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if from("127.0.0.1") == nil {
		t.Error("one too many is answered")
	}
	if err := from("127.0.0.2"); err != nil {
		t.Errorf("another host: %v", err)
	}
}

// Every module of the pages is named in index.html, so that the browser asks for all at once and not for one after the other.
func TestModulesArePreloaded(t *testing.T) {
	index, err := pages.ReadFile("pages/index.html")
	must(t, err)
	modules, err := fs.Glob(pages, "pages/*.js")
	must(t, err)
	for _, m := range modules {
		if at := "/assets" + strings.TrimPrefix(m, "pages"); !strings.Contains(string(index), `"`+at+`"`) {
			t.Errorf("%s is not preloaded", at)
		}
	}
}
