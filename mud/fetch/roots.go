package fetch

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

// LoadRoots reads PEM files of trust anchors. A file that can't be read, holds no certificate or a broken one
// is an error that says what to do: a trust anchor that is silently missing shows only when a device fails.
func LoadRoots(files []string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	return pool, addRoots(pool, files)
}

// webRoots returns the system's roots and more. A router without a CA bundle has only those of files.
func webRoots(files []string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	return pool, addRoots(pool, files)
}

func addRoots(pool *x509.CertPool, files []string) error {
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading CA file: %w", err)
		}
		certs, err := parsePEM(data)
		if err != nil {
			return fmt.Errorf("CA file %q: %w", name, err)
		}
		for _, c := range certs {
			pool.AddCert(c)
		}
	}
	return nil
}

func parsePEM(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it is broken: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) > 0 {
		return certs, nil
	}
	if _, err := x509.ParseCertificate(bytes.TrimSpace(data)); err == nil {
		return nil, fmt.Errorf("it is DER, and PEM is needed: openssl x509 -inform DER -in FILE -out FILE.pem")
	}
	return nil, fmt.Errorf("no certificate in it: put PEM certificates (-----BEGIN CERTIFICATE-----) there or remove it from the list")
}
