package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mudguard/mud"
)

// TestFetchSigned: T25.
func TestFetchSigned(t *testing.T) {
	s, maker := newSite(t), makeCA(t, "Maker CA")
	raw := s.publish(t, makeSigner(t, maker))
	cfg := s.config(maker)
	cfg.UserAgent, cfg.Language = "mudguard/1.2", "de"
	doc, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
	must(t, err)
	if !bytes.Equal(doc.Raw, raw) || doc.SHA256 != digest(raw) || !doc.Signed || doc.Signer != "CN=MUD signer,O=Maker" ||
		doc.Profile.SystemInfo != "A lamp" || doc.Warning != "" || doc.Approved || doc.SignedAt.IsZero() || doc.ETag == "" {
		t.Errorf("got %+v", doc)
	}
	seen := s.requests()
	if len(seen) != 2 {
		t.Fatalf("%d requests, want the file and its signature", len(seen))
	}
	for i, accept := range []string{mediaFile, mediaSignature} { // R8520-1.6-a, R8520-1.6-c, R8520-1.6-d, R8520-1.6-e, R8520-16-o, T-37
		h := seen[i].Header
		if seen[i].Method != "GET" || h.Get("Accept") != accept || h.Get("Accept-Language") != "de" ||
			h.Get("Accept-Encoding") != "identity" || h.Get("User-Agent") != "mudguard/1.2" || len(h) != 5 || h.Get("Connection") != "close" {
			t.Errorf("%s %s with %v", seen[i].Method, seen[i].URL, h)
		}
	}
}

// What a maker, a mirror or an attacker can do to a signature, under each policy (R8520-13.2-a to f, T4).
func TestFetchSignaturePolicies(t *testing.T) {
	maker, rogue := makeCA(t, "Maker CA"), makeCA(t, "Rogue CA")
	good := makeSigner(t, maker)
	for _, c := range []struct {
		name string
		make func(t *testing.T, s *site) // publishes /lamp
		text string
		soon bool
	}{
		{name: "unsigned", text: "names no mud-signature", make: func(t *testing.T, s *site) {
			s.put("/lamp", mediaFile, mudFile(s.at("/lamp"), ""))
		}},
		{name: "tampered", text: "the file was changed", make: func(t *testing.T, s *site) {
			s.put("/lamp", mediaFile, bytes.Replace(s.publish(t, good), []byte("A lamp"), []byte("A l4mp"), 1))
		}},
		{name: "rogue", text: "is not known", make: func(t *testing.T, s *site) { s.publish(t, makeSigner(t, rogue)) }},
		{name: "signature 404", text: "404 Not Found", make: func(t *testing.T, s *site) {
			s.put("/lamp", mediaFile, mudFile(s.at("/lamp"), s.at("/gone")))
		}},
		{name: "signature 503", text: "503 Service", soon: true, make: func(t *testing.T, s *site) {
			s.publish(t, good)
			s.handle("/lamp.p7s", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		}},
		{name: "signature in the LAN", text: "127.0.0.1", make: func(t *testing.T, s *site) {
			s.put("/lamp", mediaFile, mudFile(s.at("/lamp"), "https://router.example:"+s.port+"/lamp.p7s"))
		}},
		{name: "signature huge", text: "larger than", make: func(t *testing.T, s *site) {
			s.publish(t, good)
			s.put("/lamp.p7s", mediaSignature, make([]byte, MaxSignatureSize+1))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.make(t, s)
			u := mudURL(t, s.at("/lamp"))
			cfg := s.config(maker)
			doc, err := newClient(t, cfg).Fetch(t.Context(), u)
			e := wantError(t, err, KindSignature, c.text)
			if !e.Held() || e.Temporary != c.soon || doc.SHA256 == "" || doc.Profile.SystemInfo != "" {
				t.Errorf("held %v, temporary %v, document %+v", e.Held(), e.Temporary, doc)
			}
			cfg.Policy = Warn
			doc, err = newClient(t, cfg).Fetch(t.Context(), u)
			must(t, err)
			if doc.Signed || doc.Profile.SystemInfo == "" || !strings.Contains(doc.Warning, c.text) {
				t.Errorf("under warn: %+v", doc)
			}
			s.requests()
			cfg.Policy = Ignore
			doc, err = newClient(t, cfg).Fetch(t.Context(), u)
			must(t, err)
			if doc.Signed || doc.Warning != "" || len(s.requests()) != 1 {
				t.Errorf("under ignore: %+v", doc)
			}
		})
	}
}

// An approval is for one file, by its hash (R8520-13.2-b), and needs no lax policy.
func TestFetchApproved(t *testing.T) {
	s := newSite(t)
	raw := mudFile(s.at("/lamp"), "")
	s.put("/lamp", mediaFile, raw)
	cfg := s.config(nil)
	cfg.Approved = func(_ mud.URL, sum string) bool { return sum == digest(raw) }
	c := newClient(t, cfg)
	doc, err := c.Fetch(t.Context(), mudURL(t, s.at("/lamp")))
	must(t, err)
	if !doc.Approved || doc.Signed || !strings.Contains(doc.Warning, "names no mud-signature") {
		t.Errorf("got %+v", doc)
	}
	s.put("/lamp", mediaFile, append(raw, '\n'))
	_, err = c.Fetch(t.Context(), mudURL(t, s.at("/lamp")))
	wantError(t, err, KindSignature, "names no mud-signature")
}

// A signed file of another device of the same maker is held, whatever the policy (T-31).
func TestFetchMismatch(t *testing.T) {
	s, maker := newSite(t), makeCA(t, "Maker CA")
	raw := s.publish(t, makeSigner(t, maker))
	s.put("/camera", mediaFile, raw)
	for _, p := range []Policy{Require, Warn, Ignore} {
		cfg := s.config(maker)
		cfg.Policy = p
		_, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/camera")))
		if e := wantError(t, err, KindMismatch, "/lamp"); !e.Held() {
			t.Errorf("under %s: not held", p)
		}
	}
	_, err := newClient(t, s.config(maker)).Fetch(t.Context(), mudURL(t, "https://LAMP.Example:"+s.port+"/./%6camp"))
	must(t, err) // equal once normalised
}

// What a server can do with a file: R8520-1.6-l, RAU-5.3.2-a, T-33, F8, T6, T7. None of it is held: no file was had, except where
// it is none that can be read.
func TestFetchHostileServer(t *testing.T) {
	body := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	to := func(where string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.ReplaceAll(where, "HOST", r.Host), http.StatusFound)
		}
	}
	deepJSON := strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000)
	for _, c := range []struct {
		name   string
		handle http.HandlerFunc
		kind   Kind
		text   string
		soon   bool
	}{
		{"not found", status(404), KindHTTP, "404 Not Found", false},
		{"gone", status(410), KindHTTP, "410 Gone", false},
		{"server error", status(500), KindHTTP, "500", true},
		{"too many", status(429), KindHTTP, "429", true},
		{"partial", status(206), KindHTTP, "206", false},
		{"not modified, unasked", status(304), KindHTTP, "304", false},
		{"redirect without a target", status(302), KindHTTP, "302 Found", false},
		{"redirect loop", to("/lamp"), KindHTTP, "more than 3 times", false},
		{"redirect to http", to("http://HOST/x"), KindHTTP, "not https", false},
		{"redirect to another host", to("https://evil.example/x"), KindHTTP, "another host", false},
		{"redirect to a local file", to("file:///etc/passwd"), KindHTTP, "not https", false},
		{"redirect with a user", to("https://u:p@HOST/x"), KindHTTP, "user name", false},
		{"too large", body(make([]byte, 100001)), KindSize, "100000 bytes", false},
		{"endless", endless, KindSize, "100000 bytes", false},
		{"64 MiB announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "67108864")
			w.WriteHeader(200)
		},
			KindSize, "100000 bytes", false},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
		},
			KindNetwork, "in the middle", true},
		{"dripping", drip, KindTimeout, "too long", true},
		{"silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, KindTimeout, "too long", true},
		{"gzip", zipped, KindHTTP, "gzip", false},
		{"headers without end", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<17)) },
			KindNetwork, "header", true},
		{"empty", body(nil), KindFile, "no MUD file", false},
		{"a web page", body([]byte("<html>")), KindFile, "no MUD file", false},
		{"truncated", body([]byte(`{"ietf-mud:mud": {"mud-url": "https://lamp.`)), KindFile, "no MUD file", false},
		{"BOM", body(append([]byte("\xef\xbb\xbf"), mudFile("https://lamp.example/lamp", "")...)), KindFile, "no MUD file", false},
		{"deep", body([]byte(deepJSON)), KindFile, "no MUD file", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.handle("/lamp", c.handle)
			cfg := s.config(nil)
			cfg.MaxSize = 100000
			if c.kind == KindTimeout {
				cfg.Timeout = 300 * time.Millisecond
			}
			_, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
			e := wantError(t, err, c.kind, c.text)
			if e.Held() != (c.kind == KindFile) || e.Temporary != c.soon {
				t.Errorf("held %v, temporary %v: %v", e.Held(), e.Temporary, e)
			}
			for _, r := range s.requests() {
				if r.Referer() != "" {
					t.Errorf("%s tells the referer %s", r.URL, r.Referer())
				}
			}
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for chunk := make([]byte, 1<<16); r.Context().Err() == nil; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		_, _ = w.Write([]byte(" "))
		_ = http.NewResponseController(w).Flush()
		time.Sleep(10 * time.Millisecond)
	}
}

func zipped(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = z.Write(make([]byte, 1<<24))
	_ = z.Close()
}

// Redirects within the host are followed (R8520-1.6-f), three of them.
func TestFetchRedirects(t *testing.T) {
	s := newSite(t)
	s.put("/end", mediaFile, mudFile(s.at("/1"), ""))
	for i, next := range []string{"/2", "/3", "/end"} {
		s.handle(fmt.Sprintf("/%d", i+1), func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, next, []int{301, 303, 308}[i])
		})
	}
	cfg := s.config(nil)
	cfg.Policy = Ignore
	doc, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/1")))
	must(t, err)
	if doc.URL.String() != s.at("/1") {
		t.Errorf("the URL became %s", doc.URL)
	}
}

// R8520-1.6-b, R8520-10.2-b: each way in which a web server's certificate can be wrong.
func TestFetchTLS(t *testing.T) {
	for _, c := range []struct {
		name   string
		hosts  []string
		change func(*Config)
		text   string
		soon   bool
	}{
		{name: "wrong name", hosts: []string{"other.example"}, text: `not for "lamp.example"`},
		{name: "unknown authority", change: func(c *Config) { c.CAFiles = nil }, text: "not trusted here"},
		{name: "expired", change: func(c *Config) { c.Clock = clockAt(func() time.Time { return time.Now().AddDate(1, 0, 0) }) }, text: "clock", soon: true},
		{name: "clock at 1970", change: func(c *Config) { c.Clock = clockAt(func() time.Time { return time.Unix(60, 0) }) }, text: "clock", soon: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.hosts...)
			s.put("/lamp", mediaFile, mudFile(s.at("/lamp"), ""))
			cfg := s.config(nil)
			if c.change != nil {
				c.change(&cfg)
			}
			_, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
			if e := wantError(t, err, KindTLS, c.text); e.Held() || e.Temporary != c.soon {
				t.Errorf("held %v, temporary %v", e.Held(), e.Temporary)
			}
			if n := len(s.requests()); n != 0 {
				t.Errorf("%d requests got through", n)
			}
		})
	}
	t.Run("plain http", func(t *testing.T) {
		s := httptest.NewServer(http.NotFoundHandler())
		defer s.Close()
		cfg := Config{PrivateHosts: []string{siteHost}}
		_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		_, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, "https://"+siteHost+":"+port+"/"))
		wantError(t, err, KindNetwork, "HTTPS client")
	})
	t.Run("name only in CN", func(t *testing.T) {
		id := makeCert(t, spec{name: siteHost, usage: x509.KeyUsageDigitalSignature})
		if id.cert.VerifyHostname(siteHost) == nil {
			t.Error("the common name counts")
		}
	})
}

// R8520-16-m: hosts that the administrator does not want asked are not.
func TestFetchWelcome(t *testing.T) {
	s := newSite(t)
	s.put("/lamp", mediaFile, mudFile(s.at("/lamp"), ""))
	for _, c := range []struct {
		allow, deny []string
		why         string
	}{
		{nil, nil, ""}, {[]string{"example"}, nil, ""}, {[]string{siteHost}, []string{"other.example"}, ""},
		{[]string{"other.example"}, nil, "allow_hosts"}, {[]string{"amp.example"}, nil, "allow_hosts"},
		{nil, []string{"example"}, "deny_hosts"}, {[]string{siteHost}, []string{siteHost}, "deny_hosts"},
	} {
		cfg := s.config(nil)
		cfg.Policy, cfg.AllowHosts, cfg.DenyHosts = Ignore, c.allow, c.deny
		_, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
		if asked := len(s.requests()) > 0; asked != (c.why == "") {
			t.Errorf("%v, %v: asked %v", c.allow, c.deny, asked)
		}
		if c.why == "" {
			must(t, err)
		} else {
			wantError(t, err, KindURL, c.why)
		}
	}
}

func TestFetchNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	must(t, l.Close())
	c := newClient(t, Config{PrivateHosts: []string{siteHost}})
	_, err = c.Fetch(t.Context(), mudURL(t, "https://lamp.example:"+port+"/"))
	if e := wantError(t, err, KindNetwork, "refused"); !e.Temporary {
		t.Error("not temporary")
	}
	_, err = c.Fetch(t.Context(), mudURL(t, "https://nowhere.invalid/"))
	if e := wantError(t, err, KindNetwork, "can't be resolved"); !e.Temporary {
		t.Error("not temporary")
	}
	_, err = c.Fetch(t.Context(), mud.URL{})
	wantError(t, err, KindURL, "no MUD URL")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.Fetch(ctx, mudURL(t, "https://lamp.example/")); err == nil {
		t.Error("a cancelled fetch succeeded")
	}
}

// The daemon must not be led to LAN hosts by a device (R8520-1.6-l, T-34, T6).
func TestFetchPrivateAddress(t *testing.T) {
	s := newSite(t)
	s.put("/lamp", mediaFile, mudFile(s.at("/lamp"), ""))
	cfg := s.config(nil)
	cfg.PrivateHosts = []string{"other.example"}
	c := newClient(t, cfg)
	_, err := c.Fetch(t.Context(), mudURL(t, s.at("/lamp")))
	wantError(t, err, KindAddress, "a loopback address")
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "203.0.113.1"} {
		u, err := mud.ParseURL("https://" + host + ":" + s.port + "/lamp")
		if err != nil {
			continue // the mud package already refuses it
		}
		_, err = c.Fetch(t.Context(), u)
		wantError(t, err, KindAddress, "names an address")
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests got through", n)
	}
}

// The signature is where the file says, whatever that is called and however it is served (R8520-13.1-c).
func TestFetchSignaturePlace(t *testing.T) {
	s, maker := newSite(t), makeCA(t, "Maker CA")
	raw := mudFile(s.at("/lamp"), s.at("/signatures/1.bin"))
	s.put("/lamp", mediaFile, raw)
	s.put("/signatures/1.bin", "text/plain", sign(t, raw, makeSigner(t, maker)))
	doc, err := newClient(t, s.config(maker)).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
	must(t, err)
	if seen := s.requests(); !doc.Signed || len(seen) != 2 || seen[1].URL.Path != "/signatures/1.bin" {
		t.Errorf("signed %v, asked %d times", doc.Signed, len(seen))
	}
	if !slices.ContainsFunc(doc.Problems, func(p mud.Problem) bool { return p.Row == "R8520-13.1-c" && p.Severity == mud.SeverityNote }) {
		t.Errorf("no note about the media type in %+v", doc.Problems)
	}
}

func TestFetchMediaTypeNote(t *testing.T) {
	s := newSite(t)
	s.put("/lamp", "text/plain; charset=\"\u202e\"", mudFile(s.at("/lamp"), ""))
	cfg := s.config(nil)
	cfg.Policy = Ignore
	doc, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
	must(t, err)
	for _, p := range doc.Problems {
		if p.Row == "R8520-17.5-a" && p.Severity == mud.SeverityNote && !strings.Contains(p.Message, "\u202e") {
			return
		}
	}
	t.Errorf("no note about the media type in %+v", doc.Problems)
}

// A parser that panics over one file is a file that can't be read.
func TestFetchParserPanic(t *testing.T) {
	s := newSite(t)
	s.put("/lamp", mediaFile, mudFile(s.at("/lamp"), ""))
	cfg := s.config(nil)
	cfg.Policy = Ignore
	cfg.Parse = func([]byte) (mud.Profile, []mud.Problem, error) { panic("oops") }
	_, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
	wantError(t, err, KindFile, "oops")
}

// Nothing but mud-url and mud-signature is read before the signature is good (R8520-13.2-a).
func TestFetchParsesAfterVerification(t *testing.T) {
	s := newSite(t)
	s.publish(t, makeSigner(t, makeCA(t, "Rogue")))
	cfg := s.config(makeCA(t, "Maker"))
	cfg.Parse = func([]byte) (mud.Profile, []mud.Problem, error) {
		t.Error("the parser saw an unverified file")
		return mud.Profile{}, nil, io.EOF
	}
	_, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
	wantError(t, err, KindSignature, "")
}

// A file of an older dialect is converted after its signature was checked over the octets as they came (T-14, R8520-13.1-a).
func TestFetchLegacy(t *testing.T) {
	for _, twice := range []bool{false, true} {
		s, maker := newSite(t), makeCA(t, "Maker CA")
		raw := bytes.Replace(mudFile(s.at("/lamp"), s.at("/lamp.p7s")), []byte("list:acls"), []byte("list:access-lists"), 1)
		if twice { // JSON in a JSON string
			raw, _ = json.Marshal(string(raw))
		}
		s.put("/lamp", mediaFile, raw)
		s.put("/lamp.p7s", mediaSignature, sign(t, raw, makeSigner(t, maker)))
		cfg := s.config(maker)
		_, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
		wantError(t, err, KindFile, "")
		cfg.Head, cfg.Parse = mud.HeadLegacy, mud.ParseLegacy
		doc, err := newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
		must(t, err)
		if !doc.Signed || !bytes.Equal(doc.Raw, raw) || len(doc.Profile.FromDevice.ACEs) != 1 || doc.Problems[0].Row != "T-14" {
			t.Errorf("got %+v", doc)
		}
		s.put("/lamp", mediaFile, append(raw, ' '))
		_, err = newClient(t, cfg).Fetch(t.Context(), mudURL(t, s.at("/lamp")))
		wantError(t, err, KindSignature, "the file was changed")
	}
}

func TestNewRefuses(t *testing.T) {
	empty := writePEM(t, "PRIVATE KEY", []byte("x"))
	broken := writePEM(t, "CERTIFICATE", []byte("x"))
	for _, c := range []struct {
		cfg  Config
		text []string
	}{
		{Config{Policy: "lax"}, []string{"lax", "require"}},
		{Config{CAFiles: []string{"/nonexistent/ca.pem"}}, []string{"/nonexistent/ca.pem"}},
		{Config{SignerCAFiles: []string{"/nonexistent/ca.pem"}}, []string{"/nonexistent/ca.pem"}},
		{Config{CAFiles: []string{empty}}, []string{empty, "BEGIN CERTIFICATE"}},
		{Config{SignerCAFiles: []string{broken}}, []string{broken, "broken"}},
	} {
		_, err := New(c.cfg)
		for _, want := range c.text {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("New(%+v) = %v, want …%s…", c.cfg, err, want)
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	e := fail(KindHTTP, "%s", "a\nb\x1b[31m\u202e"+strings.Repeat("é", 5000)+"\xff")
	if strings.ContainsAny(e.Error(), "\n\x1b\u202e") || len([]rune(e.Error())) > maxText+1 {
		t.Errorf("got %q", e)
	}
	if !errors.Is(&Error{cause: io.EOF}, io.EOF) {
		t.Error("the cause is lost")
	}
}

// TestSpecial: T6.
func TestSpecial(t *testing.T) {
	for _, a := range strings.Fields(`0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.0.1 169.254.169.254
		172.16.0.1 172.31.255.255 192.0.0.8 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 224.0.0.1 239.1.1.1 240.0.0.1
		255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1
		64:ff9b:1::1 100::1 2001::1 2001:10::1 2002:7f00:1:: 2002:c0a8:101::1 2002:e000:1:: fc00::1 fd12::1 fe80::1 febf::1 fec0::1
		ff02::1 ff0e::1 4000::1 5f00::1`) {
		if special(netip.MustParseAddr(a)) == "" {
			t.Errorf("%s is taken for public", a)
		}
	}
	for _, a := range strings.Fields(`1.1.1.1 9.255.255.255 11.0.0.1 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.0.2.1 192.167.1.1
		198.17.0.1 198.20.0.1 198.51.100.1 203.0.113.1 223.255.255.255 2001:200::1 2001:db8::1 2606:4700::1111 2a00::1 3fff::1
		64:ff9b::101:101 2002:101:101::1 ::ffff:8.8.8.8`) {
		if why := special(netip.MustParseAddr(a)); why != "" {
			t.Errorf("%s is refused as %s", a, why)
		}
	}
}

// TestForbiddenHere: T6.
func TestForbiddenHere(t *testing.T) {
	lan := netip.MustParsePrefix("2001:db8:1::/64")
	d := newDialer(Config{Refuse: lan.Contains})
	d.own = func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(203, 0, 113, 9), Mask: net.CIDRMask(24, 32)}}, nil
	}
	for a, want := range map[string]bool{"203.0.113.9": true, "::ffff:203.0.113.9": true, "203.0.113.10": false,
		"2001:db8:1::5": true, "2001:db8:2::5": false} {
		if why := d.forbidden(netip.MustParseAddr(a)); (why != "") != want {
			t.Errorf("%s: %q", a, why)
		}
	}
}

// A host with a forbidden and an allowed address is reached at the allowed one only; the next resolver is asked
// when one does not know the name (T6).
func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	d := newDialer(Config{Timeout: 5 * time.Second, PrivateHosts: []string{"Free.Example."}})
	d.resolvers = []*net.Resolver{fakeDNS(t), fakeDNS(t, "10.0.0.1", "127.0.0.1", "fe80::1")}
	conn, err := d.DialContext(t.Context(), "tcp", "bound.example:"+port)
	if err == nil {
		_ = conn.Close()
		t.Fatal("connected to a loopback address")
	}
	wantError(t, err, KindAddress, "list it in fetch.private_hosts")
	d.resolvers[1] = fakeDNS(t, "127.0.0.1")
	conn, err = d.DialContext(t.Context(), "tcp", "FREE.example:"+port)
	must(t, err)
	_ = conn.Close()
	if _, err = d.DialContext(t.Context(), "tcp", "nowhere.invalid:"+port); err == nil {
		t.Error("a name that nobody knows was reached")
	}
}
