package acceptance

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"mudguard/enforcer/enforcertest"
)

// Addresses of the small Internet. All of 203.0.113.0/24 and 2001:db8:113::/64 is local to it.
const (
	makerAddr   = "203.0.113.200"
	evilAddr    = "203.0.113.66"
	evilAddr6   = "2001:db8:113::66"
	sinkAddr    = "203.0.113.99" // packets to it are counted, and to nobody else's address
	sinkAddr6   = "2001:db8:113::99"
	foreignDNS  = "203.0.113.53"
	upstreamDNS = "198.51.100.2"
	poolFirst   = 101 // cloud.example is at 203.0.113.101 to .140, one after the other
	poolSize    = 40
)

// cloud is the Internet: a manufacturer's web server, DNS, and hosts that say "ok".
type cloud struct {
	t   *testing.T
	pki *pki

	mu       sync.Mutex
	pages    map[string]http.HandlerFunc
	requests int
	byPath   map[string]int // requests
	names    map[string][]netip.Addr
	next     int // in the pool of cloud.example
}

func newCloud(t *testing.T, in *space) *cloud {
	t.Helper()
	p, err := newPKI()
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, pki: p, pages: map[string]http.HandlerFunc{}, byPath: map[string]int{}, names: map[string][]netip.Addr{}}
	for _, host := range []string{"maker.example", "maker2.example", "other.example", "untrusted.example", "expired.example", "self.example"} {
		c.name(host, netip.MustParseAddr(makerAddr))
	}
	c.name("down.example", netip.MustParseAddr("203.0.113.201"))
	c.web(in)
	for _, addr := range []string{upstreamDNS, foreignDNS} {
		c.dns(in, addr)
	}
	for _, port := range []string{"8883", "8884", "80", "23"} {
		in.listen(t, ":"+port)
	}
	in.echoUDP(t, net.JoinHostPort(evilAddr, "9999"))
	in.echoUDP(t, net.JoinHostPort(evilAddr6, "9999"))
	return c
}

func (c *cloud) web(in *space) {
	c.t.Helper()
	var ln net.Listener
	err := in.do(func() (err error) { ln, err = net.Listen("tcp", makerAddr+":443"); return err })
	if err != nil {
		c.t.Fatal(err)
	}
	srv := &http.Server{Handler: c, ErrorLog: log.New(io.Discard, "", 0)}
	c.t.Cleanup(func() { srv.Close() })
	config := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if bad, ok := c.pki.badWeb[hello.ServerName]; ok {
			return &bad, nil
		}
		return &c.pki.web, nil
	}}
	go srv.Serve(tls.NewListener(ln, config)) //nolint:errcheck // ends when it is closed
}

// ServeHTTP serves what was published.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	page := c.pages[r.URL.Path]
	c.requests++
	c.byPath[r.URL.Path]++
	c.mu.Unlock()
	if page == nil {
		http.NotFound(w, r)
		return
	}
	page(w, r)
}

func (c *cloud) fetches() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// asked is how often one file was asked for.
func (c *cloud) asked(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byPath[path]
}

func (c *cloud) page(path string, f http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages[path] = f
}

func (c *cloud) file(path string, raw []byte) {
	c.page(path, func(w http.ResponseWriter, _ *http.Request) {
		if strings.HasSuffix(path, ".json") {
			w.Header().Set("Content-Type", "application/mud+json")
		} else {
			w.Header().Set("Content-Type", "application/pkcs7-signature")
		}
		_, _ = w.Write(raw)
	})
}

func (c *cloud) name(name string, addrs ...netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[name] = addrs
}

const site = "https://maker.example/"

// lampProfile is the device that most tests use: it declares TCP to port 8883 of cloud.example.
func lampProfile(name string) enforcertest.Profile {
	return enforcertest.Profile{URL: site + name + ".json", Mfg: "Lumen", Model: "Lamp One",
		From: []enforcertest.ACE{{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Eq(8883), Initiated: "from-device"}},
		To:   []enforcertest.ACE{{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Eq(8883), Initiated: "from-device"}},
		Extra: map[string]any{"systeminfo": "A lamp", "cache-validity": 48,
			"mud-signature": site + name + ".p7s"}}
}

// publish signs a profile and puts it on the web, and gives its URL.
func (c *cloud) publish(name string, p enforcertest.Profile) string {
	c.t.Helper()
	return c.publishBy(c.pki.signer, name, p)
}

// publishBy is publish with another signer.
func (c *cloud) publishBy(by identity, name string, p enforcertest.Profile) string {
	c.t.Helper()
	raw := p.JSON()
	c.file("/"+name+".json", raw)
	c.file("/"+name+".p7s", sign(c.t, raw, by))
	return p.URL
}

// dns answers over UDP and TCP.
func (c *cloud) dns(in *space, addr string) {
	c.t.Helper()
	var pc net.PacketConn
	var ln net.Listener
	err := in.do(func() (err error) {
		if pc, err = net.ListenPacket("udp", addr+":53"); err == nil {
			ln, err = net.Listen("tcp", addr+":53")
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: dns.HandlerFunc(c.answer)}, {Listener: ln, Handler: dns.HandlerFunc(c.answer)}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe() //nolint:errcheck // ends when it is shut down
		<-started
		c.t.Cleanup(func() { _ = s.Shutdown() })
	}
}

func (c *cloud) answer(w dns.ResponseWriter, q *dns.Msg) {
	var m dns.Msg
	m.SetReply(q)
	m.Compress = true
	question := q.Question[0]
	addrs, known := c.addrs(strings.ToLower(strings.TrimSuffix(question.Name, ".")), question.Qtype)
	if !known {
		m.Rcode = dns.RcodeNameError
	}
	for _, a := range addrs {
		h := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: 1}
		switch {
		case a.Is4() && question.Qtype == dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{Hdr: h, A: a.AsSlice()})
		case a.Is6() && question.Qtype == dns.TypeAAAA:
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: h, AAAA: a.AsSlice()})
		}
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
	}
	_ = w.WriteMsg(&m) // who asked may be gone
}

// addrs gives what a name stands for. Each question for cloud.example moves on to the next address of its pool.
func (c *cloud) addrs(name string, qtype uint16) ([]netip.Addr, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name == "cloud.example" {
		if qtype != dns.TypeA {
			return nil, true
		}
		c.next++
		return []netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, byte(poolFirst + c.next%poolSize)})}, true
	}
	a, known := c.names[name]
	return a, known
}
