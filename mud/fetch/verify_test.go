package fetch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func pool(ids ...*identity) *x509.CertPool {
	p := x509.NewCertPool()
	for _, id := range ids {
		p.AddCert(id.cert)
	}
	return p
}

// RFC 8520 section 13: R8520-13-a, R8520-13-b, R8520-13.1-a, R8520-13.1-b, R8520-13.2-c, R8520-13.2-e, R8520-11-f, T-36, T-37, T5.
func TestVerifyRefuses(t *testing.T) {
	raw := mudFile("https://lamp.example/lamp", "https://lamp.example/lamp.p7s")
	ca, rogue := makeCA(t, "Maker CA"), makeCA(t, "Maker CA")
	inter := makeCert(t, spec{name: "Intermediate", by: ca, ca: true, usage: x509.KeyUsageCertSign})
	good := makeSigner(t, ca)
	under := makeSigner(t, inter)
	now := time.Now()
	old := makeCert(t, spec{name: "Old", by: ca, usage: x509.KeyUsageDigitalSignature, from: now.AddDate(-3, 0, 0), to: now.AddDate(-2, 0, 0)})
	early := makeCert(t, spec{name: "Early", by: ca, usage: x509.KeyUsageDigitalSignature, from: now.Add(time.Hour)})
	nousage := makeCert(t, spec{name: "No usage", by: ca})
	wrongusage := makeCert(t, spec{name: "Wrong usage", by: ca, usage: x509.KeyUsageCertSign | x509.KeyUsageKeyEncipherment})
	weak := makeCert(t, spec{name: "Weak", by: ca, usage: x509.KeyUsageDigitalSignature, key: rsaKey(t, 1024)})
	weakCA := makeCert(t, spec{name: "Weak CA", ca: true, usage: x509.KeyUsageCertSign, key: rsaKey(t, 1024)})
	p224 := makeCert(t, spec{name: "P-224", by: ca, usage: x509.KeyUsageDigitalSignature, key: ecKey(t, elliptic.P224())})
	anonymous := []string{"-binary", "-signer", good.certFile, "-inkey", good.keyFile}
	der := []string{"-signer", good.certFile, "-inkey", good.keyFile, "-outform", "DER"}
	needOpenSSL(t)

	for _, c := range []struct {
		name  string
		raw   []byte
		sig   []byte
		roots *x509.CertPool
		at    time.Time
		kind  Kind
		text  string
	}{
		{name: "tampered", raw: bytes.Replace(raw, []byte("443"), []byte("444"), 1), sig: sign(t, raw, good), text: "the file was changed"},
		{name: "trailing newline", raw: append(bytes.Clone(raw), '\n'), sig: sign(t, raw, good), text: "other bytes"},
		{name: "another file's", sig: sign(t, []byte("{}"), good), text: "another file's"},
		{name: "rogue signer with the same names", sig: sign(t, raw, makeSigner(t, rogue)), text: "is not known"},
		{name: "self-signed", sig: sign(t, raw, makeCert(t, spec{name: "Self", usage: x509.KeyUsageDigitalSignature})), text: "is not known"},
		{name: "no trust anchors", sig: sign(t, raw, good), roots: nil, text: "no trust anchors"},
		{name: "expired at signing", sig: sign(t, raw, old), text: "expired at signing"},
		{name: "not yet valid at signing", sig: sign(t, raw, early), text: "not yet valid at signing"},
		{name: "expired since", sig: sign(t, raw, good), at: now.AddDate(0, 1, 0), kind: KindExpired, text: "expired since"},
		{name: "no signing time, expired", sig: sign(t, raw, good, "-noattr"), at: now.AddDate(0, 1, 0), text: "expired"},
		{name: "signed in the future", sig: sign(t, raw, good), at: now.AddDate(0, 0, -2), text: "in the future"},
		{name: "no key usage", sig: sign(t, raw, nousage), text: "Key Usage"},
		{name: "wrong key usage", sig: sign(t, raw, wrongusage), text: "Key Usage"},
		{name: "attached", sig: sign(t, raw, good, "-nodetach"), text: "detached"},
		{name: "PEM", sig: signWith(t, raw, append(anonymous, "-outform", "PEM")), text: "PEM"},
		{name: "S/MIME", sig: signWith(t, raw, anonymous), text: "S/MIME"},
		{name: "without -binary", sig: signWith(t, raw, der), text: "-binary"},
		{name: "CRLF on the way", raw: bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")), sig: sign(t, raw, good), text: "LF line ends"},
		{name: "SHA-1", sig: sign(t, raw, good, "-md", "sha1"), text: "weak or unknown digest"},
		{name: "MD5", sig: sign(t, raw, weak, "-md", "md5"), text: "weak or unknown digest"},
		{name: "RSA-1024", sig: sign(t, raw, weak), text: "weak key"},
		{name: "RSA-1024 anchor", sig: sign(t, raw, makeSigner(t, weakCA)), roots: pool(weakCA), text: "weak key"},
		{name: "P-224", sig: sign(t, raw, p224), text: "not accepted"},
		{name: "intermediate missing", sig: sign(t, raw, under), text: "is not known"},
		{name: "leaf as CA", sig: sign(t, raw, makeSigner(t, good), "-certfile", good.certFile), text: "is not known"},
		{name: "signer's certificate left out", sig: sign(t, raw, good, "-nocerts"), text: "not in it"},
		{name: "two signers", sig: sign(t, raw, good, "-signer", under.certFile, "-inkey", under.keyFile), text: "2 signers"},
		{name: "signer by key identifier", sig: sign(t, raw, makeCA(t, "x"), "-keyid"), text: "no signer named by issuer"},
		{name: "indefinite length", sig: sign(t, raw, good, "-stream"), text: "not DER"},
		{name: "foreign content type", sig: sign(t, raw, good, "-econtent_type", "1.2.3.4"), text: "content of type"},
		{name: "encrypted", sig: encrypted(t, raw, good), text: "not signed data"},
		{name: "trailing bytes", sig: append(sign(t, raw, good), 0), text: "follow after"},
		{name: "cut short", sig: sign(t, raw, good)[:200], text: "not DER"},
		{name: "empty", sig: []byte{}, text: "empty"},
		{name: "a web page", sig: []byte("<html>not found</html>"), text: "not DER"},
		{name: "huge", sig: make([]byte, MaxSignatureSize+1), text: "larger"},
		{name: "deep", sig: deep(), text: "nested"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.raw == nil {
				c.raw = raw
			}
			if c.roots == nil && c.name != "no trust anchors" {
				c.roots = pool(ca)
			}
			if c.at.IsZero() {
				c.at = time.Now()
			}
			if c.kind == "" {
				c.kind = KindSignature
			}
			s, err := Verify(c.raw, c.sig, c.roots, c.at)
			wantError(t, err, c.kind, c.text)
			if (s.Signer != "") != (c.kind == KindExpired) {
				t.Errorf("got signature %+v with that error", s)
			}
		})
	}
}

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	must(t, err)
	return k
}

// deep is a small file that costs a recursive reader much.
func deep() []byte {
	b := []byte{5, 0}
	for len(b) < 30000 {
		n := len(b)
		b = append([]byte{0x30, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}, b...)
	}
	return b
}

func encrypted(t testing.TB, raw []byte, to *identity) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	must(t, os.WriteFile(in, raw, 0o600))
	openssl(t, "cms", "-encrypt", "-aes256", "-outform", "DER", "-in", in, "-out", out, to.certFile)
	sig, err := os.ReadFile(out)
	must(t, err)
	return sig
}

// R8520-13.1-b, R8520-13-b, R8520-11-f; no certificate here has an extended key usage (T-27).
func TestVerifyAccepts(t *testing.T) {
	raw := mudFile("https://lamp.example/lamp", "https://lamp.example/lamp.p7s")
	ca := makeCA(t, "Maker CA")
	inter := makeCert(t, spec{name: "Intermediate", by: ca, ca: true, usage: x509.KeyUsageCertSign})
	good, under := makeSigner(t, ca), makeSigner(t, inter)
	with := func(key any) *identity {
		s := spec{name: "MUD signer", by: ca, usage: x509.KeyUsageDigitalSignature}
		switch k := key.(type) {
		case int:
			s.key = rsaKey(t, k)
		case elliptic.Curve:
			s.key = ecKey(t, k)
		}
		return makeCert(t, s)
	}
	for _, c := range []struct {
		name string
		sig  []byte
		by   *identity
		at   time.Time
	}{
		{name: "P-256", sig: sign(t, raw, good)},
		{name: "P-384, SHA-384", sig: sign(t, raw, with(elliptic.P384()), "-md", "sha384")},
		{name: "P-521, SHA-512", sig: sign(t, raw, with(elliptic.P521()), "-md", "sha512")},
		{name: "RSA-2048", sig: sign(t, raw, with(2048))},
		{name: "no signed attributes", sig: sign(t, raw, good, "-noattr")},
		{name: "content type of RFC 8520", sig: sign(t, raw, good, "-econtent_type", oidMUD().String())},
		{name: "intermediate only in the CMS", sig: sign(t, raw, under, "-certfile", inter.certFile), by: inter},
		{name: "clock an hour behind", sig: sign(t, raw, good), at: time.Now().Add(-30 * time.Minute)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.at.IsZero() {
				c.at = time.Now()
			}
			if c.by == nil {
				c.by = ca
			}
			s, err := Verify(raw, c.sig, pool(ca), c.at)
			must(t, err)
			if s.Signer != "CN=MUD signer,O=Maker" || len(s.SKI) != 2*len(c.by.cert.SubjectKeyId) {
				t.Errorf("got %+v", s)
			}
			if hasTime := !s.SignedAt.IsZero(); hasTime != (c.name != "no signed attributes") {
				t.Errorf("signing time is %v", s.SignedAt)
			}
		})
	}
	t.Run("pinned signer", func(t *testing.T) {
		_, err := Verify(raw, sign(t, raw, good), pool(good), time.Now())
		must(t, err)
	})
}

// A signature by a new certificate of the same CA has the same key identifier to pin (RAU-5-e).
func TestVerifyPin(t *testing.T) {
	raw := []byte("{}")
	ca := makeCA(t, "Maker CA")
	a, err := Verify(raw, sign(t, raw, makeSigner(t, ca)), pool(ca), time.Now())
	must(t, err)
	b, err := Verify(raw, sign(t, raw, makeSigner(t, ca)), pool(ca), time.Now())
	must(t, err)
	if a.SKI != b.SKI || a.Signer != b.Signer {
		t.Errorf("pins differ: %+v and %+v", a, b)
	}
	other := makeCA(t, "Maker CA")
	c, err := Verify(raw, sign(t, raw, makeSigner(t, other)), pool(other), time.Now())
	must(t, err)
	if c.SKI == a.SKI {
		t.Error("another CA has the same pin")
	}
}

// No key of a kind that the library behind can't check may slip through as "unknown, so fine".
func TestCheckKeyKinds(t *testing.T) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	id := makeCert(t, spec{name: "Ed25519", usage: x509.KeyUsageDigitalSignature, key: k})
	if checkKey(id.cert) == nil {
		t.Error("Ed25519 is accepted; then it needs a test of its signatures")
	}
}

// corpus is next to the repository, where the project is developed.
const corpus = "../../../shared/corpus/signed"

// Signatures found in the wild, by other people's tools.
func TestVerifyCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("the corpus of published signatures is not at %s", corpus)
	}
	luminaire := []string{"luminaire-cacert.pem"}
	year := func(y int, m time.Month) time.Time { return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		dir, file, sig string
		ca             []string
		at             time.Time
		kind           Kind
		text           string
	}{
		{dir: "cisco-luminaire", file: "Luminaire_150.json", sig: "Luminaire_150.p7s", ca: luminaire, at: year(2018, 10)},
		{dir: "cisco-luminaire-c0167aa", file: "Luminaire_150.json", sig: "Luminaire_150.p7s", ca: luminaire, at: year(2018, 8)},
		{dir: "cisco-luminaire-4887f9c", file: "Luminaire_150.json", sig: "Luminaire_150.p7s", ca: luminaire, at: year(2018, 8)},
		{dir: "cisco-luminaire", file: "Luminaire_150.json", sig: "Luminaire_150.p7s", ca: luminaire, at: year(2026, 1),
			kind: KindExpired, text: "expired since"},
		{dir: "stef-a99", file: "pi4.json", sig: "pi4.p7s", at: year(2025, 2), kind: KindSignature, text: "signature is refused"},
		{dir: "animagus", file: "toaster_mud.json", sig: "toaster_mud.json.sig", at: year(2018, 9), kind: KindSignature, text: "signature is refused"},
	} {
		t.Run(c.dir, func(t *testing.T) {
			read := func(name string) []byte {
				b, err := os.ReadFile(filepath.Join(corpus, c.dir, name))
				must(t, err)
				return b
			}
			roots := x509.NewCertPool()
			for _, f := range c.ca {
				roots.AppendCertsFromPEM(read(f))
			}
			s, err := Verify(read(c.file), read(c.sig), roots, c.at)
			if c.kind == "" {
				must(t, err)
				t.Logf("%+v", s)
				return
			}
			t.Log(wantError(t, err, c.kind, c.text))
		})
	}
}

// FuzzVerify: whatever a server sends as a signature, Verify answers, and accepts none but the good one's.
func FuzzVerify(f *testing.F) {
	raw := []byte("{}")
	ca := makeCA(f, "Maker CA")
	good := makeSigner(f, ca)
	f.Add(sign(f, raw, good))
	f.Add(sign(f, raw, good, "-noattr"))
	f.Add(sign(f, raw, good, "-nodetach"))
	f.Add(sign(f, raw, good, "-stream"))
	f.Add(deep())
	roots, other := pool(ca), pool(makeCA(f, "Other"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		_, err := Verify(raw, sig, roots, time.Now())
		if err != nil {
			if e := explain(err); !e.Held() || e.Reason == "" {
				t.Fatalf("an error that is none of ours: %#v", err)
			}
		}
		if _, err := Verify(raw, sig, other, time.Now()); err == nil {
			t.Fatal("accepted by a CA that never signed")
		}
	})
}
