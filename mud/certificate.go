package mud

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxCertificate bounds a certificate in octets; those of devices have one or two thousand.
const maxCertificate = 64 << 10

// CertificateInfo is what a device's certificate (IDevID or LDevID) says about its MUD file (RFC 8520 section 11). Its text is
// fit for display.
type CertificateInfo struct {
	URL        URL    // id-pe-mud-url; the zero URL where there is none, which is no news (R8520-11-d)
	Signer     []byte // id-pe-mudsigner, the DER Name that the file's signer must have (SameName); nil where there is none
	SignerText string
	Subject    string
	Serial     string // of the certificate, hexadecimal
	Remarks    []string
}

// ParseCertificate reads a certificate in PEM or DER. It verifies nothing: that the certificate is genuine and the device has its
// key is for whoever authenticated the device, such as a RADIUS server, before it hands the certificate over.
func ParseCertificate(pemOrDER []byte) (CertificateInfo, error) {
	var info CertificateInfo
	der, err := certificateDER(pemOrDER, &info)
	if err != nil {
		return CertificateInfo{}, err
	}
	cert, err := x509.ParseCertificate(der) // which refuses an extension that is there twice
	if err != nil {
		return CertificateInfo{}, fmt.Errorf("reading the certificate: %s", Clean(err.Error(), 200))
	}
	info.Subject, info.Serial = Clean(cert.Subject.String(), 255), Clean(cert.SerialNumber.Text(16), 80)
	for _, ext := range cert.Extensions {
		switch ext.Id.String() {
		case "1.3.6.1.5.5.7.1.25":
			err = info.readURL(ext)
		case "1.3.6.1.5.5.7.1.30":
			err = info.readSigner(ext)
		}
		if err != nil {
			return CertificateInfo{}, err
		}
	}
	return info, nil
}

// certificateDER gives the first certificate of a PEM file, which is the device's own, or DER as it is.
func certificateDER(raw []byte, info *CertificateInfo) ([]byte, error) {
	if len(raw) > maxCertificate {
		return nil, fmt.Errorf("the certificate has %d octets and the limit is %d", len(raw), maxCertificate)
	}
	if !bytes.Contains(raw, []byte("-----BEGIN")) {
		return raw, nil
	}
	for {
		block, rest := pem.Decode(raw)
		switch {
		case block == nil:
			return nil, errors.New("there is no certificate in the file; it has a line -----BEGIN CERTIFICATE-----")
		case block.Type == "CERTIFICATE":
			if bytes.Contains(rest, []byte("-----BEGIN CERTIFICATE")) {
				info.remark("there are more certificates in the file; the first one is taken for the device's")
			}
			return block.Bytes, nil
		}
		raw = rest
	}
}

func (info *CertificateInfo) remark(format string, args ...any) {
	info.Remarks = append(info.Remarks, fmt.Sprintf(format, args...))
}

// readURL reads id-pe-mud-url: one URL as an IA5String, not critical (R8520-11-a). Tools write other string types (T-25).
func (info *CertificateInfo) readURL(ext pkix.Extension) error {
	if ext.Critical {
		info.remark("its extension with the MUD URL is marked critical, which RFC 8520 forbids")
	}
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(ext.Value, &v)
	if err != nil || len(rest) > 0 {
		return errors.New("the certificate's MUD URL is not one ASN.1 string")
	}
	switch {
	case v.Class == asn1.ClassUniversal && !v.IsCompound && v.Tag == asn1.TagIA5String:
	case v.Class == asn1.ClassUniversal && !v.IsCompound && (v.Tag == asn1.TagPrintableString || v.Tag == asn1.TagUTF8String):
		info.remark("its MUD URL has another string type than the IA5String of RFC 8520")
	default:
		return fmt.Errorf("the certificate's MUD URL has the ASN.1 tag %d, and an IA5String is wanted", v.Tag)
	}
	if info.URL, err = ParseURL(string(v.Bytes)); err != nil { // refuses what isn't ASCII (R8520-11-b)
		return fmt.Errorf("the certificate's %w", err)
	}
	return nil
}

// readSigner reads id-pe-mudsigner: the subject of the certificate that signs the MUD file (R8520-11-e). One that can't be read
// refuses the certificate: without it, any signer would do (R8520-13.2-d).
func (info *CertificateInfo) readSigner(ext pkix.Extension) error {
	if ext.Critical {
		info.remark("its extension with the signer of MUD files is marked critical, which RFC 8520 forbids")
	}
	var seq pkix.RDNSequence
	rest, err := asn1.Unmarshal(ext.Value, &seq)
	if names, ok := readName(ext.Value); err != nil || len(rest) > 0 || !ok || len(names) == 0 {
		return errors.New("the certificate's signer of MUD files (id-pe-mudsigner) is no distinguished name")
	}
	var name pkix.Name
	name.FillFromRDNSequence(&seq)
	info.Signer, info.SignerText = bytes.Clone(ext.Value), Clean(name.String(), 255)
	return nil
}
