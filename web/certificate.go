package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// The life of a certificate of our own: browsers take none that is longer than 825 days.
const (
	ownLife    = 820 * 24 * time.Hour
	renewAhead = 30 * 24 * time.Hour
)

// OwnCertificate makes and keeps a self-signed certificate.
type OwnCertificate struct {
	Path  string                               // of the file with certificate and key
	Write func(name string, data []byte) error // as that of AuthConfig
	Names []string                             // names and addresses that it is for
	Now   func() time.Time

	mu   sync.Mutex
	cert *tls.Certificate
}

// Config speaks https with the certificate, which is made or made anew when that is needed.
func (o *OwnCertificate) Config() *tls.Config {
	return &tls.Config{NextProtos: []string{"http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return o.get() }}
}

// FileConfig speaks https with the certificate and key in two PEM files.
func FileConfig(cert, key string) (*tls.Config, error) {
	c, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of the web server: %w", err)
	}
	return &tls.Config{NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{c}}, nil
}

func (o *OwnCertificate) get() (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cert == nil {
		if raw, err := os.ReadFile(o.Path); err == nil {
			if c, err := tls.X509KeyPair(raw, raw); err == nil {
				o.cert = &c
			}
		}
	}
	if o.cert != nil && o.fits(o.cert.Leaf) {
		return o.cert, nil
	}
	raw, err := o.issue()
	if err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return nil, err
	}
	o.cert = &c
	return o.cert, o.Write(o.Path, raw)
}

// fits says that a certificate is for all our names and has time left. One that begins later is right: the clock is not.
func (o *OwnCertificate) fits(c *x509.Certificate) bool {
	return o.Now().Before(c.NotAfter.Add(-renewAhead)) &&
		!slices.ContainsFunc(o.Names, func(name string) bool { return c.VerifyHostname(name) != nil })
}

func (o *OwnCertificate) issue() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails
	t := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: "mudguard"}, NotBefore: o.Now().Add(-24 * time.Hour),
		NotAfter: o.Now().Add(ownLife), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range o.Names {
		if a, err := netip.ParseAddr(name); err == nil {
			t.IPAddresses = append(t.IPAddresses, net.IP(a.AsSlice()))
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})     // fails only where
	_ = pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: private}) // the writer does
	return out.Bytes(), nil
}
