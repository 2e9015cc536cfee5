package mud

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func urlExtension(tag int, s string) pkix.Extension {
	v, _ := asn1.Marshal(asn1.RawValue{Tag: tag, Bytes: []byte(s)})
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 25}, Value: v}
}

func signerExtension(der []byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 30}, Value: der}
}

// deviceCert makes a certificate of a device with more extensions.
func deviceCert(t testing.TB, ext ...pkix.Extension) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(0x50), Subject: pkix.Name{CommonName: "Lamp\x1b", SerialNumber: "5000"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e10, 0), ExtraExtensions: ext}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// nameOf makes a Name: one RDN for each argument, of attributes "type=value" with the letter of a string type before the type.
func nameOf(t testing.TB, rdns ...[]string) []byte {
	tags := map[byte]int{'u': asn1.TagUTF8String, 'p': asn1.TagPrintableString, 'i': asn1.TagIA5String, 't': asn1.TagT61String, 'b': asn1.TagBMPString, 'o': asn1.TagOctetString}
	types := map[string]asn1.ObjectIdentifier{"CN": {2, 5, 4, 3}, "O": {2, 5, 4, 10}, "E": {1, 2, 840, 113549, 1, 9, 1}}
	var sets []attributeSET
	for _, rdn := range rdns {
		var set attributeSET
		for _, a := range rdn {
			typ, v, _ := strings.Cut(a[1:], "=")
			set = append(set, attribute{types[typ], asn1.RawValue{Tag: tags[a[0]], Bytes: []byte(v)}})
		}
		sets = append(sets, set)
	}
	der, err := asn1.Marshal(sets)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParseCertificate(t *testing.T) {
	const good = "https://mud.example/m1"
	critical := urlExtension(asn1.TagIA5String, good)
	critical.Critical = true
	name := nameOf(t, []string{"uO=Maker"}, []string{"uCN=MUD \x07signer"})
	for _, tc := range []struct {
		name   string
		ext    []pkix.Extension
		url    string // "" where there is none
		signer bool
		remark string // or error: a part of it
	}{
		{"R8520-11-a", []pkix.Extension{urlExtension(asn1.TagIA5String, good)}, good, false, ""},
		{"R8520-11-a critical", []pkix.Extension{critical}, good, false, "critical"},
		{"T-25 PrintableString", []pkix.Extension{urlExtension(asn1.TagPrintableString, good)}, good, false, "string type"},
		{"T-25 UTF8String", []pkix.Extension{urlExtension(asn1.TagUTF8String, good)}, good, false, "string type"},
		{"R8520-11-b not ASCII", []pkix.Extension{urlExtension(asn1.TagUTF8String, good+"ü")}, "", false, "error: octet"},
		{"R8520-11-a octets", []pkix.Extension{urlExtension(asn1.TagOctetString, good)}, "", false, "error: tag 4"},
		{"R8520-11-a more", []pkix.Extension{{Id: critical.Id, Value: append(bytes.Clone(critical.Value), 0)}}, "", false, "error: one ASN.1 string"},
		{"R8520-11-a empty", []pkix.Extension{{Id: critical.Id}}, "", false, "error: one ASN.1 string"},
		{"R8520-11-a two", []pkix.Extension{critical, urlExtension(asn1.TagIA5String, good)}, "", false, "error: duplicate"},
		{"R8520-1.5-a", []pkix.Extension{urlExtension(asn1.TagIA5String, "http://mud.example/m1")}, "", false, "error: https"},
		{"R8520-11-c", []pkix.Extension{urlExtension(asn1.TagIA5String, "HTTPS://MUD.Example:443/%7Ea")}, "https://mud.example/~a", false, ""},
		{"R8520-11-d none", nil, "", false, ""},
		{"R8520-11-e", []pkix.Extension{urlExtension(asn1.TagIA5String, good), signerExtension(name)}, good, true, ""},
		{"R8520-13.2-d no name", []pkix.Extension{urlExtension(asn1.TagIA5String, good), signerExtension([]byte("x"))}, "", false, "error: no distinguished name"},
		{"R8520-13.2-d empty name", []pkix.Extension{urlExtension(asn1.TagIA5String, good), signerExtension([]byte{0x30, 0})}, "", false, "error: no distinguished name"},
		{"R8520-13.2-d text", []pkix.Extension{signerExtension(urlExtension(asn1.TagUTF8String, "CN=Maker").Value)}, "", false, "error: no distinguished name"},
	} {
		der := deviceCert(t, tc.ext...)
		info, err := ParseCertificate(der)
		said := strings.Join(info.Remarks, "\n")
		if err != nil {
			said = "error: " + err.Error()
		}
		prefix, part, _ := strings.Cut(tc.remark, "error: ")
		if info.URL.String() != tc.url || (info.Signer != nil) != tc.signer || (err != nil) != strings.HasPrefix(tc.remark, "error: ") ||
			!strings.Contains(said, prefix+part) || tc.remark == "" && said != "" {
			t.Errorf("%s: %+v, %v", tc.name, info, err)
		}
		if err == nil && (info.Subject != "SERIALNUMBER=5000,CN=Lamp\ufffd" || info.Serial != "50") {
			t.Errorf("%s: %+v", tc.name, info)
		}
		if tc.signer && (!bytes.Equal(info.Signer, name) || info.SignerText != "CN=MUD \ufffdsigner,O=Maker") {
			t.Errorf("%s: %+v", tc.name, info)
		}
		asPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		again, err := ParseCertificate(append([]byte("Bag Attributes\n"), asPEM...))
		if (err == nil) == strings.HasPrefix(tc.remark, "error: ") || again.URL != info.URL {
			t.Errorf("%s in PEM: %+v, %v", tc.name, again, err)
		}
		if chain, err := ParseCertificate(append(bytes.Clone(asPEM), asPEM...)); err == nil && !strings.Contains(strings.Join(chain.Remarks, ""), "first") {
			t.Errorf("%s: a chain without a remark", tc.name)
		}
	}
	for _, raw := range []string{"", "x", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
		strings.Repeat("x", maxCertificate+1)} {
		if info, err := ParseCertificate([]byte(raw)); err == nil {
			t.Errorf("%.20q: %+v", raw, info)
		}
	}
}

// T-26, R8520-13.2-d: names are compared by what they mean.
func TestSameName(t *testing.T) {
	one := func(attrs ...string) []byte { return nameOf(t, attrs) }
	long := nameOf(t, []string{"uO=Maker Inc"}, []string{"uCN=Signer"})
	for _, tc := range []struct {
		name string
		a, b []byte
		want bool
	}{
		{"itself", long, long, true},
		{"string types", one("uCN=Signer"), one("pCN=Signer"), true},
		{"string types", one("iE=a@b"), one("tE=A@B"), true},
		{"BMPString", one("bCN=\x00S\x00i"), one("pCN=si"), true},
		{"odd BMPString", one("bCN=\x00S\x00"), one("bCN=\x00s\x00"), false},
		{"case", one("uCN=ΣIGNER straße"), one("uCN=ςigner Straße"), true},
		{"spaces", one("uCN= MUD   signer "), one("pCN=MUD signer"), true},
		{"no space", one("uCN=MUD signer"), one("uCN=MUDsigner"), false},
		{"other value", one("uCN=Signer"), one("uCN=Signer2"), false},
		{"other type", one("uCN=Signer"), one("uO=Signer"), false},
		{"other kinds of value", one("oCN=Signer"), one("uCN=Signer"), false},
		{"octets have case", one("oCN=Signer"), one("oCN=signer"), false},
		{"octets", one("oCN=Signer"), one("oCN=Signer"), true},
		{"text that looks like octets", one("u" + "CN=#\x04\x01x"), one("oCN=x"), false},
		{"set order", one("uCN=a", "uO=b"), one("uO=B", "uCN=A"), true},
		{"RDN order", long, nameOf(t, []string{"uCN=Signer"}, []string{"uO=Maker Inc"}), false},
		{"one RDN or two", nameOf(t, []string{"uO=a", "uCN=b"}), nameOf(t, []string{"uO=a"}, []string{"uCN=b"}), false},
		{"fewer", long, one("uO=Maker Inc"), false},
		{"twice", one("uCN=a", "uCN=a"), one("uCN=a"), false},
		{"no name", []byte("x"), []byte("x"), false},
		{"nothing", nil, nil, false},
		{"more after it", append(bytes.Clone(long), 0), append(bytes.Clone(long), 0), false},
	} {
		if SameName(tc.a, tc.b) != tc.want || SameName(tc.b, tc.a) != tc.want {
			t.Errorf("%s: want %t", tc.name, tc.want)
		}
	}
}

// TestCertificateCorpus reads an IDevID that NIST made for a demonstration.
func TestCertificateCorpus(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(corpusDir(t), "signed", "x509-mudurl", "idevid-5000.der"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := ParseCertificate(raw)
	if err != nil || info.URL.String() != "https://sensor.nist.local/nistmud1" || !strings.Contains(info.SignerText, "CN=M. Ranganathan") ||
		!strings.Contains(info.Subject, "SERIALNUMBER=5000") || len(info.Remarks) > 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

func FuzzParseCertificate(f *testing.F) {
	f.Add(deviceCert(f, urlExtension(asn1.TagIA5String, "https://mud.example/m1"), signerExtension(nameOf(f, []string{"uCN=a"}))))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: deviceCert(f, urlExtension(asn1.TagUTF8String, "https://h"))}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		info, err := ParseCertificate(raw)
		if err != nil && (!info.URL.IsZero() || info.Signer != nil || Clean(err.Error(), 5000) != err.Error()) {
			t.Errorf("%+v, %v", info, err)
		}
		if info.Signer != nil && !SameName(info.Signer, info.Signer) {
			t.Errorf("a signer that nobody can be: %x", info.Signer)
		}
		for _, s := range append(info.Remarks, info.Subject, info.SignerText, info.Serial) {
			if Clean(s, 1000) != s {
				t.Errorf("not fit for display: %q", s)
			}
		}
	})
}

func FuzzSameName(f *testing.F) {
	f.Add(nameOf(f, []string{"uCN=Signer"}), nameOf(f, []string{"pCN=signer "}))
	f.Add(nameOf(f, []string{"bCN=\x00S", "oO=b"}), nameOf(f, []string{"tO=b"}, nil))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if SameName(a, b) != SameName(b, a) || SameName(a, b) && (!SameName(a, a) || !SameName(b, b)) {
			t.Errorf("%x and %x", a, b)
		}
	})
}
