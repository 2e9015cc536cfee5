package acceptance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// pki is what manufacturers and their web servers have, and two impostors of whom mudguard knows nothing.
type pki struct {
	webCA, signerCA string // PEM files that mudguard trusts
	web             tls.Certificate
	badWeb          map[string]tls.Certificate // by host
	signers         authority
	signer, expired identity // of signers
	stranger        identity
}

// identity is a signer's key and certificate, in files for openssl.
type identity struct{ key, cert string }

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var newPKI = sync.OnceValues(func() (p *pki, err error) {
	defer func() {
		if e, ok := recover().(error); ok {
			err = e
		}
	}()
	web, signers, unknown := newAuthority("Web CA"), newAuthority("Signer CA"), newAuthority("Unknown CA")
	return &pki{
		webCA: writePEM("webca.pem", "CERTIFICATE", web.cert.Raw), signerCA: writePEM("signerca.pem", "CERTIFICATE", signers.cert.Raw),
		web: web.tls("maker.example", "maker2.example"),
		badWeb: map[string]tls.Certificate{"untrusted.example": unknown.tls("untrusted.example"),
			"expired.example": web.tlsUntil(time.Now().Add(-time.Minute), "expired.example"), "self.example": selfSigned("self.example")},
		signers: signers, signer: signers.identity("Maker MUD signer", lasting()), expired: signers.identity("Late", time.Now().Add(-time.Minute)),
		stranger: unknown.identity("Stranger", lasting()),
	}, nil
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func lasting() time.Time { return time.Now().Add(240 * time.Hour) }

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: lasting(), BasicConstraintsValid: true}
}

func newAuthority(name string) authority {
	t := template(name)
	t.IsCA, t.KeyUsage = true, x509.KeyUsageCertSign
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return authority{must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)))), key}
}

func (a authority) issue(t *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t.KeyUsage = x509.KeyUsageDigitalSignature
	return must(x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)), key
}

func (a authority) tls(hosts ...string) tls.Certificate { return a.tlsUntil(lasting(), hosts...) }

func (a authority) tlsUntil(end time.Time, hosts ...string) tls.Certificate {
	t := template(hosts[0])
	t.DNSNames, t.ExtKeyUsage, t.NotAfter = hosts, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, end
	der, key := a.issue(t)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func selfSigned(host string) tls.Certificate {
	t, key := template(host), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t.DNSNames = []string{host}
	return tls.Certificate{Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, t, t, key.Public(), key))}, PrivateKey: key}
}

func (a authority) identity(name string, end time.Time) identity {
	t := template(name)
	t.NotAfter = end
	der, key := a.issue(t)
	return identity{writePEM(name+".key", "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key))), writePEM(name+".pem", "CERTIFICATE", der)}
}

func writePEM(name, kind string, der []byte) string {
	path := filepath.Join(scratch, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		panic(err)
	}
	return path
}

// sign makes a detached CMS signature, with openssl since mudguard's own code must not judge itself.
func sign(t *testing.T, raw []byte, by identity) []byte {
	t.Helper()
	in := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(in, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("openssl", "cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256", "-in", in,
		"-signer", by.cert, "-inkey", by.key).Output()
	if err != nil {
		t.Fatalf("openssl cms: %v", err)
	}
	return out
}
