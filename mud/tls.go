package mud

import "strings"

// TLSProfile is how a device says that its TLS and DTLS clients behave (RFC 9761 section 5). It is read and shown; nothing
// checks handshakes against it.
type TLSProfile struct {
	Name                      string
	TLSVersions, DTLSVersions []string // tls12, tls13; dtls12, dtls13
	CipherSuites              []uint16
	ExtensionTypes            []uint16
	SupportedGroups           []uint16
	SignatureAlgorithms       []uint16
	SignatureAlgorithmsCert   []uint16
	CertCompressionAlgorithms []uint16
	PSKKeyExchangeModes       []uint8
	ApplicationProtocols      []string
	CertificateAuthorities    []string // distinguished names
	TrustAnchors              [][]byte // each a CMS SignedData
}

// profiles reads the TLS profiles of an ACE. Addresses and ports of the ACE are enforced without them (R9761-5.4-a).
func (b *aceReader) profiles(n node) {
	if !b.r.tls {
		b.r.warn(n.path, "R8520-3.9-a", "it is of the extension %q, which the file doesn't declare in extensions; it is ignored, and "+
			"the addresses and ports of the ACE are enforced", extTLS).mend(`"extensions": ["%s"]`, extTLS)
		return
	}
	b.r.warn(n.path, "R9761-5.4-a", "the TLS profile is not enforced; the addresses and ports of the ACE are")
	n.get("tls-dtls-profile").each(func(_ string, e node) {
		b.ace.TLS = append(b.ace.TLS, tlsProfile(e))
		b.grease(e)
	})
}

func tlsProfile(n node) TLSProfile {
	p := TLSProfile{
		Name:                      Clean(n.get("name").text(), maxText),
		TLSVersions:               n.get("supported-tls-version").texts(),
		DTLSVersions:              n.get("supported-dtls-version").texts(),
		CipherSuites:              numbers[uint16](n.get("cipher-suite")),
		ExtensionTypes:            numbers[uint16](n.get("extension-type")),
		SupportedGroups:           numbers[uint16](n.get("supported-group")),
		SignatureAlgorithms:       numbers[uint16](n.get("signature-algorithm")),
		SignatureAlgorithmsCert:   numbers[uint16](n.get("signature-algorithm-cert")),
		CertCompressionAlgorithms: numbers[uint16](n.get("cert-compression-algorithm")),
		PSKKeyExchangeModes:       numbers[uint8](n.get("psk-key-exchange-mode")),
		ApplicationProtocols:      n.get("application-protocol").texts(),
		CertificateAuthorities:    n.get("certificate-authorities").texts(),
	}
	n.get("accept-list-ta-cert").each(func(_ string, e node) { p.TrustAnchors = append(p.TrustAnchors, e.octets()) })
	return p
}

// numbers reads a leaf-list of integers.
func numbers[T uint8 | uint16](n node) []T {
	var out []T
	n.each(func(_ string, e node) { out = append(out, T(e.uint())) })
	return out
}

// grease finds values that clients only send to keep servers tolerant (RFC 8701), which no profile has (R9761-5-a).
func (b *aceReader) grease(profile node) {
	profile.each(func(name string, list node) {
		list.each(func(_ string, e node) {
			x := e.uint()
			grease := x>>8 == x&0xff && x&0x0f == 0x0a
			if name == "psk-key-exchange-mode" {
				grease = x >= 0x0b && (x-0x0b)%0x1f == 0
			}
			if e.kind() == kindNumber && grease && !strings.HasSuffix(name, "compression-algorithm") {
				b.r.warn(e.path, "R9761-5-a", "%d is a GREASE value, which says nothing of the device; leave it out", x)
			}
		})
	})
}
