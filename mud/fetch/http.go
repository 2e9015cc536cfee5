package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mudguard/mud"
)

const (
	mediaFile      = "application/mud+json"        // RFC 8520 section 17.5
	mediaSignature = "application/pkcs7-signature" // section 13.1

	maxRedirects   = 3
	maxHeaderBytes = 16 << 10
	maxHeaderTime  = 5 * time.Second
	maxValidator   = 256 // bytes of an ETag that are kept
)

// newHTTPClient returns a client with no cookies, no proxy from the environment, no compression and no
// connection kept: a gateway fetches a file a day, and what is not there can't be confused.
func newHTTPClient(cfg Config, roots *x509.CertPool, d *dialer) *http.Client {
	return &http.Client{
		CheckRedirect: checkRedirect,
		Transport: &http.Transport{
			DialContext:            d.DialContext,
			TLSClientConfig:        tlsConfig(roots, cfg.Clock),
			TLSHandshakeTimeout:    min(cfg.Timeout, maxHeaderTime),
			ResponseHeaderTimeout:  min(cfg.Timeout, maxHeaderTime),
			MaxResponseHeaderBytes: maxHeaderBytes,
			DisableCompression:     true,
			DisableKeepAlives:      true,
		},
	}
}

// tlsConfig has us verify servers ourselves, in the way of crypto/tls but for the moment as of which their certificates are
// judged: that depends on them where the clock is surely behind (hardening 3.3).
func tlsConfig(roots *x509.CertPool, clock *Clock) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: func(cs tls.ConnectionState) error {
		certs := cs.PeerCertificates // at least one: TLS servers send theirs
		between := x509.NewCertPool()
		for _, c := range certs[1:] {
			between.AddCert(c)
		}
		_, err := certs[0].Verify(x509.VerifyOptions{DNSName: cs.ServerName, Roots: roots, Intermediates: between,
			CurrentTime: clock.judgement(certs)})
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: certs, Err: err}
		}
		return nil
	}}
}

// checkRedirect follows a few redirects within one host and https only (section 1.6, T-33): a device's URL
// must not become a permit for another host's file.
func checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer")
	if len(via) > maxRedirects {
		return fail(KindHTTP, "the server redirects more than %d times", maxRedirects)
	}
	if req.URL.Scheme != "https" {
		return fail(KindHTTP, "the server redirects to %q, which is not https", req.URL.Redacted())
	}
	from := normalHost(via[0].URL.Hostname())
	if to := normalHost(req.URL.Hostname()); to != from {
		return fail(KindHTTP, "the server redirects from %q to another host, %q", from, to)
	}
	if req.URL.User != nil {
		return fail(KindHTTP, "the server redirects to a URL with a user name in it")
	}
	return nil
}

// request is one GET.
type request struct {
	url    string
	accept string
	limit  int64
	known  *entry // what the cache has: the request becomes conditional (RAU-6-a)
}

// reply is what a server gave.
type reply struct {
	body         []byte
	notModified  bool
	etag         string
	lastModified string
	maxAge       time.Duration
	notes        []mud.Problem
}

// get retrieves one file, within Timeout from the first packet to the last byte. Its errors are *Error.
func (c *Client) get(ctx context.Context, q request) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url, nil)
	if err != nil || req.URL.Scheme != "https" || req.URL.User != nil {
		return reply{}, fail(KindURL, "%q is not an https URL that can be fetched", q.url)
	}
	if err := c.cfg.welcome(req.URL.Hostname()); err != nil {
		return reply{}, err
	}
	req.Header.Set("Accept", q.accept)
	req.Header.Set("Accept-Language", c.cfg.Language)
	req.Header.Set("Accept-Encoding", "identity") // a signature is over these bytes and no others (T-37)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if q.known != nil {
		setIf(req.Header, "If-None-Match", q.known.ETag)
		setIf(req.Header, "If-Modified-Since", q.known.LastModified)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return reply{}, explain(err)
	}
	defer res.Body.Close()
	if err := checkStatus(res, q.known); err != nil {
		return reply{}, err
	}
	r, err := readReply(res, q)
	if err == nil && ctx.Err() != nil { // closing at the deadline can look like the end of the body
		return reply{}, explain(ctx.Err())
	}
	return r, err
}

// welcome refuses hosts that the administrator does not want asked (R8520-16-m). Redirects stay on one host.
func (cfg Config) welcome(host string) error {
	host = normalHost(host)
	below := func(name string) bool { return host == name || strings.HasSuffix(host, "."+name) }
	switch {
	case slices.ContainsFunc(cfg.DenyHosts, below):
		return fail(KindURL, "%q is listed in fetch.deny_hosts", host)
	case len(cfg.AllowHosts) > 0 && !slices.ContainsFunc(cfg.AllowHosts, below):
		return fail(KindURL, "%q is not listed in fetch.allow_hosts", host)
	}
	return nil
}

func setIf(h http.Header, key, value string) {
	if value != "" {
		h.Set(key, value)
	}
}

func checkStatus(res *http.Response, known *entry) error {
	switch {
	case res.StatusCode == http.StatusOK:
		return nil
	case res.StatusCode == http.StatusNotModified && known != nil && known.ETag+known.LastModified != "":
		return nil
	}
	e := fail(KindHTTP, "the server answered %s", statusText(res.StatusCode))
	switch {
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests,
		res.StatusCode == http.StatusRequestTimeout:
		e.Temporary = true
	}
	return e
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}

func readReply(res *http.Response, q request) (reply, error) {
	r := reply{
		notModified:  res.StatusCode == http.StatusNotModified,
		etag:         validator(res.Header.Get("ETag")),
		lastModified: validator(res.Header.Get("Last-Modified")),
		maxAge:       maxAge(res.Header.Values("Cache-Control")),
	}
	if r.notModified {
		return r, nil
	}
	if coding := strings.Join(res.Header.Values("Content-Encoding"), ", "); coding != "" &&
		!strings.EqualFold(coding, "identity") {
		return r, fail(KindHTTP, "the server sent the file with content coding %q though asked for none: "+
			"its signature is over other bytes", coding)
	}
	body, err := readBody(res, q.limit)
	if err != nil {
		return r, err
	}
	r.body = body
	r.notes = mediaNote(res.Header.Get("Content-Type"), q.accept)
	return r, nil
}

// readBody reads one byte more than allowed, to tell a file of the limit's size from a larger one.
func readBody(res *http.Response, limit int64) ([]byte, error) {
	tooLarge := fail(KindSize, "the file is larger than %d bytes", limit)
	if res.ContentLength > limit {
		return nil, tooLarge
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(res.Body, limit+1))
	if n > limit {
		return nil, tooLarge
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		e := fail(KindNetwork, "the server closed the connection in the middle of the file")
		e.Temporary = true
		return nil, e
	}
	if err != nil {
		return nil, explain(err)
	}
	return buf.Bytes(), nil
}

// mediaNote reports another media type than the registered one; it stops nothing, because many servers don't
// know it (R8520-17.5-a, R8520-13.1-c).
func mediaNote(got, want string) []mud.Problem {
	if media, _, err := mime.ParseMediaType(got); err == nil && media == want {
		return nil
	}
	row := "R8520-17.5-a"
	if want == mediaSignature {
		row = "R8520-13.1-c"
	}
	return []mud.Problem{{Row: row, Severity: mud.SeverityNote,
		Message: clean(fmt.Sprintf("the server calls it %q instead of %q", got, want))}}
}

// validator returns an ETag or a date if it is short and printable, so that it can be stored and sent back.
func validator(s string) string {
	if len(s) > maxValidator {
		return ""
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}

// maxAge returns the max-age of a Cache-Control header, 0 where there is none (RAU-6-b).
func maxAge(values []string) time.Duration {
	for d := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if err != nil {
			return 0
		}
		return time.Duration(n) * time.Second
	}
	return 0
}
