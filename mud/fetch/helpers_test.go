package fetch

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"mudguard/mud"
)

// identity is a certificate with its key, in memory and in PEM files for openssl.
type identity struct {
	cert              *x509.Certificate
	key               crypto.Signer
	certFile, keyFile string
}

// spec says what certificate to make.
type spec struct {
	name     string
	by       *identity // nil: self-signed
	ca       bool
	usage    x509.KeyUsage
	hosts    []string
	key      crypto.Signer // nil: P-256
	from, to time.Time     // zero: an hour ago, a day ahead
}

func makeCert(t testing.TB, s spec) *identity {
	t.Helper()
	if s.key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		s.key = k
	}
	if s.from.IsZero() {
		s.from = time.Now().Add(-time.Hour)
	}
	if s.to.IsZero() {
		s.to = time.Now().Add(24 * time.Hour)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: s.name, Organization: []string{"Maker"}},
		NotBefore: s.from, NotAfter: s.to, KeyUsage: s.usage, IsCA: s.ca, BasicConstraintsValid: s.ca, DNSNames: s.hosts,
	}
	parent, signer := tmpl, s.key
	if s.by != nil {
		parent, signer = s.by.cert, s.by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, s.key.Public(), signer)
	must(t, err)
	id := &identity{key: s.key}
	id.cert, err = x509.ParseCertificate(der)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(s.key)
	must(t, err)
	id.certFile = writePEM(t, "CERTIFICATE", der)
	id.keyFile = writePEM(t, "PRIVATE KEY", pkcs8)
	return id
}

func writePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.pem")
	must(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return name
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clockAt is a Clock that is believed.
func clockAt(now func() time.Time) *Clock { return NewClock(time.Time{}, now, nil) }

func makeCA(t testing.TB, name string) *identity {
	return makeCert(t, spec{name: name, ca: true, usage: x509.KeyUsageCertSign, to: time.Now().AddDate(5, 0, 0)})
}

func makeSigner(t testing.TB, ca *identity) *identity {
	return makeCert(t, spec{name: "MUD signer", by: ca, usage: x509.KeyUsageDigitalSignature})
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	must(t, err)
	return k
}

// needOpenSSL skips where openssl is missing, but fails in CI: a test that is silently absent proves nothing.
func needOpenSSL(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test signs with the openssl command, which is not installed")
	}
	t.Skip("this test signs with the openssl command: apt-get install openssl")
}

// sign makes a signature as manufacturers do (RFC 8520 section 13.1), with more options at the end.
func sign(t testing.TB, raw []byte, by *identity, options ...string) []byte {
	t.Helper()
	needOpenSSL(t)
	return signWith(t, raw, append([]string{"-binary", "-outform", "DER", "-signer", by.certFile, "-inkey", by.keyFile}, options...))
}

func signWith(t testing.TB, raw []byte, options []string) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	must(t, os.WriteFile(in, raw, 0o600))
	openssl(t, append([]string{"cms", "-sign", "-in", in, "-out", out}, options...)...)
	sig, err := os.ReadFile(out)
	must(t, err)
	return sig
}

func openssl(t testing.TB, args ...string) {
	t.Helper()
	needOpenSSL(t)
	if text, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, text)
	}
}

// mudFile is a small valid MUD file.
func mudFile(url, signature string) []byte {
	sig := ""
	if signature != "" {
		sig = fmt.Sprintf("\n    \"mud-signature\": %q,", signature)
	}
	return fmt.Appendf(nil, `{
  "ietf-mud:mud": {
    "mud-version": 1,
    "mud-url": %q,%s
    "last-update": "2026-01-02T03:04:05Z",
    "cache-validity": 48,
    "is-supported": true,
    "systeminfo": "A lamp",
    "from-device-policy": {"access-lists": {"access-list": [{"name": "out"}]}},
    "to-device-policy": {"access-lists": {"access-list": [{"name": "in"}]}}
  },
  "ietf-access-control-list:acls": {"acl": [
    {"name": "out", "type": "ipv4-acl-type", "aces": {"ace": [{"name": "cloud",
      "matches": {"ipv4": {"ietf-acldns:dst-dnsname": "cloud.example", "protocol": 6},
                  "tcp": {"ietf-mud:direction-initiated": "from-device", "destination-port": {"operator": "eq", "port": 443}}},
      "actions": {"forwarding": "accept"}}]}},
    {"name": "in", "type": "ipv4-acl-type", "aces": {"ace": [{"name": "cloud",
      "matches": {"ipv4": {"ietf-acldns:src-dnsname": "cloud.example", "protocol": 6},
                  "tcp": {"ietf-mud:direction-initiated": "from-device", "source-port": {"operator": "eq", "port": 443}}},
      "actions": {"forwarding": "accept"}}]}}
  ]}
}
`, url, sig)
}

// site is a web server of a maker at lamp.example, with its own CA, on loopback.
type site struct {
	*httptest.Server
	web  *identity // CA of its certificate
	port string

	mu       sync.Mutex
	handlers map[string]http.HandlerFunc
	seen     []*http.Request
}

const siteHost = "lamp.example"

func newSite(t testing.TB, hosts ...string) *site {
	t.Helper()
	s := &site{web: makeCA(t, "Web CA"), handlers: map[string]http.HandlerFunc{}}
	if len(hosts) == 0 {
		hosts = []string{siteHost}
	}
	leaf := makeCert(t, spec{name: "web", by: s.web, hosts: hosts, usage: x509.KeyUsageDigitalSignature,
		to: time.Now().AddDate(0, 1, 0)})
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.cert.Raw}, PrivateKey: leaf.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	must(t, err)
	s.port = port
	return s
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen = append(s.seen, r)
	h := s.handlers[r.URL.RequestURI()]
	s.mu.Unlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h(w, r)
}

func (s *site) handle(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[path] = h
}

// put serves bytes with an ETag, as a file server does.
func (s *site) put(path string, media string, body []byte) {
	s.handle(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", media)
		w.Header().Set("ETag", `"`+digest(body)[:12]+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

// requests returns the paths asked for since the last call.
func (s *site) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

func (s *site) at(path string) string { return "https://" + siteHost + ":" + s.port + path }

// publish puts a file and its signature, made over the file, at /lamp and /lamp.p7s.
func (s *site) publish(t testing.TB, by *identity, options ...string) []byte {
	t.Helper()
	raw := mudFile(s.at("/lamp"), s.at("/lamp.p7s"))
	s.put("/lamp", mediaFile, raw)
	s.put("/lamp.p7s", mediaSignature, sign(t, raw, by, options...))
	return raw
}

// config is one that trusts the site and, if not nil, a CA of signers.
func (s *site) config(signers *identity) Config {
	cfg := Config{CAFiles: []string{s.web.certFile}, PrivateHosts: []string{siteHost}, Timeout: 5 * time.Second}
	if signers != nil {
		cfg.SignerCAFiles = []string{signers.certFile}
	}
	return cfg
}

// newClient returns a Client for which every name under .example is at 127.0.0.1.
func newClient(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	must(t, err)
	d := newDialer(c.cfg)
	d.resolvers = []*net.Resolver{fakeDNS(t, "127.0.0.1")}
	roots, err := webRoots(cfg.CAFiles)
	must(t, err)
	c.http = newHTTPClient(c.cfg, roots, d)
	return c
}

// fakeDNS returns a resolver for which every name under .example has the given addresses, and no other exists.
func fakeDNS(t testing.TB, addrs ...string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := answerDNS(buf[:n], addrs); answer != nil {
				_, _ = pc.WriteTo(answer, from)
			}
		}
	}()
	ap := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	return resolverAt(ap)
}

func answerDNS(query []byte, addrs []string) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if !strings.HasSuffix(q.Name.String(), ".example.") {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addrs {
		ip := net.ParseIP(a)
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		v4 := ip.To4()
		switch {
		case m.RCode != dnsmessage.RCodeSuccess:
		case q.Type == dnsmessage.TypeA && v4 != nil:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: [4]byte(v4)}})
		case q.Type == dnsmessage.TypeAAAA && v4 == nil:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip)}})
		}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

func mudURL(t testing.TB, s string) mud.URL {
	t.Helper()
	u, err := mud.ParseURL(s)
	must(t, err)
	return u
}

// wantError checks the kind of an error, and that its text tells what it should.
func wantError(t testing.TB, err error, kind Kind, text string) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *Error of kind %q", err, kind)
	}
	if e.Kind != kind || !strings.Contains(e.Reason, text) {
		t.Fatalf("got %s: %s\nwant %s: …%s…", e.Kind, e.Reason, kind, text)
	}
	return e
}
