package guest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	lampURL   = "https://maker.example/lamp.json"
	cloudPort = 8443
)

// lampFile lets the lamp talk to its cloud, to a port of every neighbour, and be reached by neighbours at a port.
const lampFile = `{
  "ietf-mud:mud": {
    "mud-version": 1, "mud-url": "https://maker.example/lamp.json", "last-update": "2026-01-01T00:00:00Z",
    "cache-validity": 48, "is-supported": true, "systeminfo": "A lamp", "mfg-name": "Maker", "model-name": "Lamp",
    "from-device-policy": {"access-lists": {"access-list": [{"name": "from"}]}},
    "to-device-policy": {"access-lists": {"access-list": [{"name": "to"}]}}
  },
  "ietf-access-control-list:acls": {"acl": [
    {"name": "from", "type": "ipv4-acl-type", "aces": {"ace": [
      {"name": "cloud", "matches": {
        "ipv4": {"ietf-acldns:dst-dnsname": "cloud.example", "protocol": 6},
        "tcp": {"ietf-mud:direction-initiated": "from-device", "destination-port": {"operator": "eq", "port": 8443}}},
        "actions": {"forwarding": "accept"}},
      {"name": "hub", "matches": {
        "ietf-mud:mud": {"local-networks": [null]}, "ipv4": {"protocol": 6},
        "tcp": {"ietf-mud:direction-initiated": "from-device", "destination-port": {"operator": "eq", "port": 8080}}},
        "actions": {"forwarding": "accept"}}]}},
    {"name": "to", "type": "ipv4-acl-type", "aces": {"ace": [
      {"name": "app", "matches": {
        "ietf-mud:mud": {"local-networks": [null]}, "ipv4": {"protocol": 6},
        "tcp": {"ietf-mud:direction-initiated": "to-device", "destination-port": {"operator": "eq", "port": 9999}}},
        "actions": {"forwarding": "accept"}}]}}
  ]}
}`

// zone answers for the Internet: the cloud has another address every time, unless it is told to stay.
type zone struct {
	mu    sync.Mutex
	n     int
	fixed string
}

func (z *zone) stay(addr string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.fixed = addr
}

func (z *zone) address(name string) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	switch {
	case name == "maker.example.":
		return internetAddr
	case name == "evil.example.":
		return evilAddr
	case name != "cloud.example.":
		return ""
	case z.fixed != "":
		return z.fixed
	}
	z.n++
	return fmt.Sprintf("203.0.113.%d", 10+z.n%200)
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	if q.Question[0].Qtype == dns.TypeA {
		if a := z.address(q.Question[0].Name); a != "" {
			m.Answer = append(m.Answer, &dns.A{A: net.ParseIP(a), Hdr: dns.RR_Header{
				Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}})
		}
	}
	_ = w.WriteMsg(m) // who asked asks again
}

// servers starts all that others talk to.
func (h *house) servers() error {
	err := h.wan.in(func() error {
		p, err := net.ListenPacket("udp4", internetAddr+":53")
		if err != nil {
			return err
		}
		go func() { fmt.Println("FAIL dns:", (&dns.Server{PacketConn: p, Handler: &h.zone}).ActivateAndServe()) }()
		return h.serveFiles()
	})
	for _, s := range []struct {
		at    *space
		ports []int
	}{{h.wan, []int{cloudPort, 23}}, {h.next, []int{8080, 8081}}, {h.lamp, []int{80, 9999}}, {h.gateway, []int{22}}} {
		for _, port := range s.ports {
			err = errors.Join(err, s.at.echo(port))
		}
	}
	return errors.Join(err, h.startDNSMasq())
}

// echo gives back what it gets; P is for push: from then on it sends by itself.
func (s *space) echo(port int) error {
	return s.in(func() error {
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go echo(c)
			}
		}()
		return nil
	})
}

func echo(c net.Conn) {
	defer c.Close()
	b := make([]byte, 512)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		for n == 1 && b[0] == 'P' {
			if _, err := c.Write(b[:1]); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// serveFiles is the manufacturer's server, in the namespace of the thread.
func (h *house) serveFiles() error {
	cert, ca, err := selfMade("maker.example")
	if err != nil {
		return err
	}
	h.ca = ca
	l, err := tls.Listen("tcp4", internetAddr+":443", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	go func() {
		err := http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/lamp.json" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/mud+json")
			_, _ = io.WriteString(w, lampFile) // the fetcher says so if it fails
		}))
		fmt.Println("FAIL https:", err)
	}()
	return nil
}

// selfMade is a certificate that is its own authority.
func selfMade(name string) (cert tls.Certificate, ca []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

func (h *house) startDNSMasq() error {
	if err := os.WriteFile("/etc/resolv.conf", []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		return err
	}
	cmd := exec.Command("dnsmasq", "-k", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--server="+internetAddr,
		"--cache-size=0", "--interface="+h.lan(), "--bind-interfaces", "--dhcp-range=192.168.8.100,192.168.8.150,1h",
		"--dhcp-leasefile=/run/leases", "--no-ping", "-u", "root", "--pid-file=/run/dnsmasq.pid", "--log-facility=/run/dnsmasq.log")
	return cmd.Start()
}
