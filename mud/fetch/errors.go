package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"unicode"
)

// Kind says which step failed.
type Kind string

// Kinds of Error. The first group are failures of retrieval; those from KindFile on are about a file that was
// had but must not be used without an administrator (RFC 8520 section 13.2).
const (
	KindURL     Kind = "url"     // nothing that may be fetched
	KindAddress Kind = "address" // the host is at an address that a device must not make us connect to
	KindNetwork Kind = "network" // name not resolved, connection refused or cut
	KindTimeout Kind = "timeout" //
	KindTLS     Kind = "tls"     // the web server's certificate or its TLS
	KindHTTP    Kind = "http"    // status, redirect or content coding
	KindSize    Kind = "size"    // larger than the limit
	KindCache   Kind = "cache"   // nothing usable in the disk cache (Load)

	KindFile      Kind = "file"      // not a MUD file that can be read
	KindMismatch  Kind = "mismatch"  // the file is about another URL (T-31)
	KindSignature Kind = "signature" // no good signature
	KindExpired   Kind = "expired"   // good when it was signed, but the signer's certificate expired since
)

// Error is why a file can't be used, in words for the person who owns the house.
type Error struct {
	Kind   Kind
	Reason string
	// Temporary says that the same attempt may succeed soon with nobody doing anything. A held file can be
	// temporary too: its signature could not be fetched just now.
	Temporary bool
	cause     error
}

// Error returns the reason in plain words, on one line.
func (e *Error) Error() string { return e.Reason }

// Unwrap returns the error behind, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Held reports whether a file was had, but must not be used until an administrator approves it; false means
// that retrieval failed.
func (e *Error) Held() bool {
	switch e.Kind {
	case KindFile, KindMismatch, KindSignature, KindExpired:
		return true
	}
	return false
}

func fail(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Reason: clean(fmt.Sprintf(format, args...))}
}

// maxText bounds what servers and certificates can put into our messages.
const maxText = 500

// clean makes one printable line out of hostile text.
func clean(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return s
}

// explain turns an error of net/http into one of ours.
func explain(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok { // from our own dialer or redirect check
		return e
	}
	if e := explainTLS(err); e != nil {
		e.cause = err
		return e
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		e := fail(KindNetwork, "the name %q can't be resolved: %s", dns.Name, dns.Err)
		e.Temporary, e.cause = true, err
		return e
	}
	if isTimeout(err) {
		e := fail(KindTimeout, "the server took too long to answer")
		e.Temporary, e.cause = true, err
		return e
	}
	e := fail(KindNetwork, "the server can't be reached: %v", innermost(err))
	e.Temporary, e.cause = !errors.Is(err, context.Canceled), err
	return e
}

// isOwn reports whether an error is one of ours and not the network's.
func isOwn(err error) bool {
	_, ok := errors.AsType[*Error](err)
	return ok
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &n) && n.Timeout()
}

// explainTLS returns nil for what is no TLS error. R8520-1.6-b wants the reason on record.
func explainTLS(err error) *Error {
	if h, ok := errors.AsType[x509.HostnameError](err); ok {
		return fail(KindTLS, "the web server's certificate is not for %q", h.Host)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fail(KindTLS, "the web server's certificate is signed by an authority that is not trusted here: "+
			"add its root to fetch.ca_files if it should be")
	}
	if inv, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if inv.Reason != x509.Expired {
			return fail(KindTLS, "the web server's certificate is not valid: %v", inv)
		}
		// A gateway that boots in 1970 sees every certificate as not yet valid (T-35).
		e := fail(KindTLS, "the web server's certificate is expired or not yet valid by this host's clock: %s", inv.Detail)
		e.Temporary = true
		return e
	}
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	if verification || record || alert {
		return fail(KindTLS, "no secure connection to the server: %v", innermost(err))
	}
	return nil
}

// innermost drops the layers "Get URL: dial tcp: …", which repeat what the caller knows.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
