package fetch

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"time"

	"github.com/smallstep/pkcs7"
)

// maxSkew is how far a signing time may be ahead of our clock.
const maxSkew = 24 * time.Hour

// maxCertificates bounds what is parsed out of one signature.
const maxCertificates = 16

// Signature is a signature that was found good, or good but for a certificate that expired since.
type Signature struct {
	Signer   string    // subject of the signer's certificate, cleaned
	Name     []byte    // the same as DER
	SKI      string    // key identifier of the CA that issued it (RAU-5-e), lower-case hex
	Chain    []string  // subjects from the signer to the trust anchor, cleaned
	SignedAt time.Time // claimed by the signer; zero where the signature states no time
}

// Verify checks a detached CMS signature (RFC 5652, DER) over exactly raw, as of the moment at, which must not
// be zero: one signer, SHA-256 or better, RSA of 2048 bits or more or a NIST curve, Key Usage digitalSignature,
// and a chain to roots that was valid when the file was signed (RFC 8520 section 13, erratum 7819). Every
// error is an *Error of KindSignature, or of KindExpired where only the certificate expired between signing
// and at; in that case the Signature is returned too.
//
// The extended key usage does not matter: RFC 8520 says nothing of it (T-27).
func Verify(raw, sig []byte, roots *x509.CertPool, at time.Time) (Signature, error) {
	return verify(raw, sig, roots, at, false)
}

// verify is Verify; behind says that at is surely before now, so that what begins or was signed later is no reason to refuse
// (hardening 3.3).
func verify(raw, sig []byte, roots *x509.CertPool, at time.Time, behind bool) (s Signature, err error) {
	defer func() { // the parser behind is fed with whatever a server sends
		if p := recover(); p != nil {
			s, err = Signature{}, bad("it can't be read: %v", p)
		}
	}()
	if err := checkForm(sig); err != nil {
		return Signature{}, err
	}
	m, err := parseCMS(sig)
	if err != nil {
		return Signature{}, err
	}
	if behind {
		at = m.earliest(at)
	}
	signer, signedAt, err := m.check(raw, at)
	if err != nil {
		return Signature{}, err
	}
	return chainOf(m, signer, roots, signedAt, at)
}

func bad(format string, args ...any) *Error {
	return fail(KindSignature, "the signature is refused: "+format, args...)
}

// message is a parsed CMS SignedData with one signer.
type message struct {
	p7          *pkcs7.PKCS7
	contentType asn1.ObjectIdentifier
}

// parseCMS reads a signature that passed checkForm.
func parseCMS(sig []byte) (message, error) {
	contentType, attached, err := encapsulated(sig)
	if err != nil {
		return message{}, err
	}
	if attached {
		return message{}, bad("it carries a content of its own; RFC 8520 wants it detached (openssl cms -sign without -nodetach)")
	}
	if !contentType.Equal(pkcs7.OIDData) && !contentType.Equal(oidMUD()) {
		return message{}, bad("it is about content of type %s, not about a file", contentType) // R8520-11-f
	}
	p7, err := pkcs7.Parse(sig)
	if err != nil {
		return message{}, bad("it can't be read: %v", err)
	}
	switch {
	case len(p7.Signers) == 0:
		return message{}, bad("it has no signer named by issuer and serial number")
	case len(p7.Signers) > 1:
		return message{}, bad("it has %d signers; one is expected", len(p7.Signers))
	case len(p7.Certificates) > maxCertificates:
		return message{}, bad("it carries more than %d certificates", maxCertificates)
	case p7.GetOnlySigner() == nil:
		return message{}, bad("the signer's certificate is not in it")
	}
	return message{p7: p7, contentType: contentType}, nil
}

// earliest is the earliest moment from at on at which m can have been here: it was signed by then, and if it does not say
// when, its certificates were valid.
func (m message) earliest(at time.Time) time.Time {
	signedAt, err := m.attributes()
	switch {
	case err != nil || signedAt.IsZero():
		return latestStart(at, m.p7.Certificates)
	case signedAt.After(at):
		return signedAt
	}
	return at
}

// oidMUD is id-ct-mudtype (RFC 8520 section 11).
func oidMUD() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 41}
}

// encapsulated returns the content type, and whether the content itself is there. pkcs7 tells neither.
func encapsulated(sig []byte) (asn1.ObjectIdentifier, bool, error) {
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	var data struct {
		Version int
		Digests asn1.RawValue
		Encap   asn1.RawValue
	}
	var contentType asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(sig, &info); err != nil {
		return nil, false, bad("it is no CMS message: %v", err)
	}
	if !info.Type.Equal(pkcs7.OIDSignedData) {
		return nil, false, bad("it is CMS of type %s, not signed data", info.Type)
	}
	if _, err := asn1.Unmarshal(info.Content.Bytes, &data); err != nil {
		return nil, false, bad("it is no CMS signed data: %v", err)
	}
	rest, err := asn1.Unmarshal(data.Encap.Bytes, &contentType)
	if err != nil {
		return nil, false, bad("it is no CMS signed data: %v", err)
	}
	return contentType, len(rest) > 0, nil
}

// check verifies the signature itself, and says who signed when. A time that the signer does not state is
// taken to be at.
func (m message) check(raw []byte, at time.Time) (*x509.Certificate, time.Time, error) {
	cert := m.p7.GetOnlySigner()
	if err := m.checkAlgorithms(cert); err != nil {
		return nil, time.Time{}, err
	}
	if cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 { // R8520-13.2-c; an absent extension reads as 0
		return nil, time.Time{}, bad("the certificate of %s is not for digital signatures (Key Usage)", cert.Subject)
	}
	signedAt, err := m.attributes()
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := checkTime(cert, signedAt, at); err != nil {
		return nil, time.Time{}, err
	}
	if err := m.checkContent(raw); err != nil {
		return nil, time.Time{}, err
	}
	return cert, signedAt, nil
}

// checkAlgorithms applies the floor of R8520-13-b. It must come before checkContent: crypto/x509 still takes
// SHA-1 in CheckSignature.
func (m message) checkAlgorithms(cert *x509.Certificate) error {
	info := m.p7.Signers[0]
	digest, scheme := info.DigestAlgorithm.Algorithm, info.DigestEncryptionAlgorithm.Algorithm
	switch {
	case digest.Equal(pkcs7.OIDDigestAlgorithmSHA256), digest.Equal(pkcs7.OIDDigestAlgorithmSHA384),
		digest.Equal(pkcs7.OIDDigestAlgorithmSHA512):
	default:
		return bad("weak or unknown digest algorithm %s; SHA-256, SHA-384 and SHA-512 are accepted", digest)
	}
	switch {
	case scheme.Equal(pkcs7.OIDDigestAlgorithmECDSASHA1), scheme.Equal(pkcs7.OIDEncryptionAlgorithmRSASHA1),
		scheme.Equal(pkcs7.OIDEncryptionAlgorithmRSAMD5):
		return bad("weak signature algorithm %s", scheme)
	}
	return checkKey(cert)
}

func checkKey(cert *x509.Certificate) error {
	switch k := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return bad("weak key: %s has an RSA key of %d bits; 2048 are the least", cert.Subject, k.N.BitLen())
		}
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
	}
	return bad("%s has a key of a kind that is not accepted; RSA and the curves P-256, P-384 and P-521 are", cert.Subject)
}

// attributes checks the signed attributes and returns the signing time, zero where there is none.
func (m message) attributes() (time.Time, error) {
	signed := m.p7.Signers[0].AuthenticatedAttributes
	if len(signed) == 0 {
		return time.Time{}, nil
	}
	var contentType asn1.ObjectIdentifier
	err := m.p7.UnmarshalSignedAttribute(pkcs7.OIDAttributeContentType, &contentType)
	if err != nil || !contentType.Equal(m.contentType) { // RFC 5652 section 11.1
		return time.Time{}, bad("its signed content type is missing or differs from the message's")
	}
	for _, a := range signed {
		if !a.Type.Equal(pkcs7.OIDAttributeSigningTime) {
			continue
		}
		var t time.Time
		if err := m.p7.UnmarshalSignedAttribute(pkcs7.OIDAttributeSigningTime, &t); err != nil || t.IsZero() {
			return time.Time{}, bad("its signing time can't be read")
		}
		return t, nil
	}
	return time.Time{}, nil
}

// checkTime compares the claimed signing time with the clock and with the signer's certificate.
func checkTime(cert *x509.Certificate, signedAt, at time.Time) error {
	switch {
	case signedAt.IsZero():
		return nil // chainOf judges the certificate as of at
	case signedAt.After(at.Add(maxSkew)):
		e := bad("it was signed in the future, at %s; this host's clock says %s", stamp(signedAt), stamp(at))
		e.Temporary = true // a gateway's clock may be far behind until it is set (T-35)
		return e
	case signedAt.After(cert.NotAfter):
		return bad("the certificate of %s was expired at signing: it ended %s, the file was signed %s",
			cert.Subject, stamp(cert.NotAfter), stamp(signedAt))
	case signedAt.Before(cert.NotBefore):
		return bad("the certificate of %s was not yet valid at signing: it begins %s, the file was signed %s",
			cert.Subject, stamp(cert.NotBefore), stamp(signedAt))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkContent verifies the signature over raw. It says nothing about who the signer is: chainOf does.
func (m message) checkContent(raw []byte) error {
	m.p7.Content = raw
	err := m.p7.Verify()
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*pkcs7.MessageDigestMismatchError](err); !ok {
		return bad("it is not the signer's over this file: %v", err)
	}
	text := bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	for _, c := range []struct{ eol, hint string }{
		{"\r\n", ": it is over the file with CRLF line ends; was it made without openssl's -binary?"},
		{"\n", ": it is over the file with LF line ends, so something on the way changed them"},
	} {
		if m.p7.Content = bytes.ReplaceAll(text, []byte("\n"), []byte(c.eol)); m.p7.Verify() == nil {
			return bad("it is over other bytes than this file%s", c.hint) // T-37
		}
	}
	return bad("it is over other bytes than this file: the file was changed, or the signature is another file's")
}

// chainOf builds the chain to a trust anchor as of signing, and says whether it still holds at at.
func chainOf(m message, signer *x509.Certificate, roots *x509.CertPool, signedAt, at time.Time) (Signature, error) {
	if roots == nil {
		return Signature{}, bad("no trust anchors for MUD signers are configured: list them in signatures.ca_files")
	}
	asOf := signedAt
	if asOf.IsZero() {
		asOf = at
	}
	between := x509.NewCertPool()
	for _, c := range m.p7.Certificates {
		between.AddCert(c)
	}
	chains, err := signer.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: asOf,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Signature{}, explainChain(signer, err)
	}
	chain, err := bestChain(chains, at)
	if chain == nil {
		return Signature{}, err
	}
	return describe(chain, signedAt), err
}

// bestChain returns a chain of strong keys that is still valid at at, or one that expired since with an error
// that says so.
func bestChain(chains [][]*x509.Certificate, at time.Time) ([]*x509.Certificate, error) {
	var expired []*x509.Certificate
	var why, weak error
	for _, chain := range chains {
		if err := checkKeys(chain); err != nil {
			weak = err
			continue
		}
		end := ended(chain, at)
		if end == nil {
			return chain, nil
		}
		expired = chain
		why = fail(KindExpired, "the file was signed while the certificate of %s was valid, but that expired since, on %s: "+
			"the manufacturer has to sign it again", end.Subject, stamp(end.NotAfter))
	}
	if expired != nil {
		return expired, why
	}
	return nil, weak
}

func checkKeys(chain []*x509.Certificate) error {
	for _, c := range chain {
		if err := checkKey(c); err != nil {
			return err
		}
	}
	return nil
}

// ended returns the certificate of a chain that is expired at at, nil if none is.
func ended(chain []*x509.Certificate, at time.Time) *x509.Certificate {
	for _, c := range chain {
		if at.After(c.NotAfter) {
			return c
		}
	}
	return nil
}

func explainChain(signer *x509.Certificate, err error) *Error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return bad("the signer %s (issued by %s) is not known: no chain leads to a trust anchor in signatures.ca_files",
			signer.Subject, signer.Issuer)
	}
	if inv, ok := errors.AsType[x509.CertificateInvalidError](err); ok && inv.Reason == x509.Expired {
		return bad("the certificate of %s was expired or not yet valid at signing: %s", inv.Cert.Subject, inv.Detail)
	}
	return bad("the certificate of %s can't be traced to a trust anchor: %v", signer.Subject, err)
}

func describe(chain []*x509.Certificate, signedAt time.Time) Signature {
	s := Signature{Signer: clean(chain[0].Subject.String()), Name: chain[0].RawSubject, SignedAt: signedAt}
	for _, c := range chain {
		s.Chain = append(s.Chain, clean(c.Subject.String()))
	}
	issuer := chain[min(1, len(chain)-1)]
	id := issuer.SubjectKeyId
	if len(id) == 0 { // RFC 7093 section 2, method 1
		sum := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
		id = sum[:20]
	}
	s.SKI = hex.EncodeToString(id)
	return s
}
