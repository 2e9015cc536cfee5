//go:build !mudguard_omit_demo

package main

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
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"
)

// URLs of the demo's profiles, and the one that the attacker would like the lamp to have.
const (
	demoLampURL   = "https://maker.example/lamp.json"
	demoCameraURL = "https://maker.example/camera.json"
	demoEvilURL   = "https://evil.example/anything-goes.json"
)

// demoProfile is a profile in the form of RFC 8520: one kind of flow, opened by the device, and the mirror of it that
// most manufacturers' files carry. %s are URL, signature, time, model and the name that it may talk to.
const demoProfile = `{
  "ietf-mud:mud": {
    "mud-version": 1,
    "mud-url": "%s",%s
    "last-update": "%s",
    "cache-validity": 48,
    "is-supported": true,
    "systeminfo": "A demonstration device",
    "mfg-name": "Maker",
    "model-name": "%s",
    "from-device-policy": {"access-lists": {"access-list": [{"name": "from"}]}},
    "to-device-policy": {"access-lists": {"access-list": [{"name": "to"}]}}
  },
  "ietf-access-control-list:acls": {
    "acl": [
      {"name": "from", "type": "ipv4-acl-type", "aces": {"ace": [{
        "name": "cloud",
        "matches": {
          "ipv4": {"ietf-acldns:dst-dnsname": "%[5]s", "protocol": 6},
          "tcp": {"ietf-mud:direction-initiated": "from-device", "destination-port": {"operator": "eq", "port": 443}}
        },
        "actions": {"forwarding": "accept"}
      }]}},
      {"name": "to", "type": "ipv4-acl-type", "aces": {"ace": [{
        "name": "cloud-replies",
        "matches": {
          "ipv4": {"ietf-acldns:src-dnsname": "%[5]s", "protocol": 6},
          "tcp": {"ietf-mud:direction-initiated": "from-device", "source-port": {"operator": "eq", "port": 443}}
        },
        "actions": {"forwarding": "accept"}
      }]}}
    ]
  }
}
`

// demoFiles makes what the manufacturer's server has: a signed profile for the lamp, and one for the camera that
// somebody forgot to sign.
func demoFiles(signer demoKey) (map[string][]byte, error) {
	now := time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)
	lamp := fmt.Appendf(nil, demoProfile, demoLampURL, "\n    \"mud-signature\": \"lamp.p7s\",", now, "Lamp", "cloud.lamp.example")
	camera := fmt.Appendf(nil, demoProfile, demoCameraURL, "", now, "Camera", "cloud.lamp.example")
	sig, err := signer.sign(lamp)
	return map[string][]byte{"/lamp.json": lamp, "/lamp.p7s": sig, "/camera.json": camera}, err
}

// demoKey is a certificate with its key.
type demoKey struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// demoPKI makes a web server's and a MUD signer's certificate, each of its own authority, whose certificates go to files.
func demoPKI(webCA, signerCA string) (web tls.Certificate, signer demoKey, err error) {
	webRoot, err1 := newDemoCA("Demo web CA", webCA)
	signRoot, err2 := newDemoCA("Demo MUD signing CA", signerCA)
	if err := errors.Join(err1, err2); err != nil {
		return web, signer, err
	}
	server, err1 := webRoot.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "maker.example"}, DNSNames: []string{"maker.example"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	signer, err2 = signRoot.issue(&x509.Certificate{Subject: pkix.Name{Organization: []string{"Maker"}, CommonName: "MUD signer"},
		KeyUsage: x509.KeyUsageDigitalSignature})
	if err := errors.Join(err1, err2); err != nil {
		return web, signer, err
	}
	return tls.Certificate{Certificate: [][]byte{server.cert.Raw}, PrivateKey: server.key}, signer, nil
}

func newDemoCA(name, file string) (demoKey, error) {
	ca, err := demoKey{}.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign})
	if err != nil {
		return ca, err
	}
	return ca, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o600)
}

// issue makes a certificate of this authority; the zero demoKey makes one that is its own.
func (k demoKey) issue(t *x509.Certificate) (demoKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return demoKey{}, fmt.Errorf("making a key: %w", err)
	}
	t.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return demoKey{}, fmt.Errorf("making a certificate: %w", err)
	}
	t.NotBefore, t.NotAfter = time.Now().Add(-24*time.Hour), time.Now().Add(24*time.Hour)
	if k.cert == nil {
		k = demoKey{t, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, k.cert, &key.PublicKey, k.key)
	if err != nil {
		return demoKey{}, fmt.Errorf("making the certificate of %s: %w", t.Subject, err)
	}
	cert, err := x509.ParseCertificate(der)
	return demoKey{cert, key}, err
}

// sign makes a detached CMS signature over exactly these bytes (RFC 8520 section 13.1).
func (k demoKey) sign(raw []byte) ([]byte, error) {
	s, err := pkcs7.NewSignedData(raw)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := s.AddSigner(k.cert, k.key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	s.Detach()
	return s.Finish()
}

// demoMedia is the registered media type of a file (RFC 8520 sections 17.5 and 13.1).
func demoMedia(path string) string {
	if strings.HasSuffix(path, ".p7s") {
		return "application/pkcs7-signature"
	}
	return "application/mud+json"
}
