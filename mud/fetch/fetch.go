// Package fetch retrieves MUD files over https, checks their signatures and keeps what was accepted on disk
// (RFC 8520 sections 1.6, 3.5 and 13).
//
// A URL comes from an untrusted device and a file from an untrusted server: every size, time, redirect and
// address is bounded here, and nothing but mud-url and mud-signature of a file is read before its signature
// is known to be good (section 13.2). This package must not decide what a device may do, must not know about
// devices, and must not retry by itself: it answers, and its caller schedules.
package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"mudguard/mud"
)

// Policy says what happens to a file without a good signature.
type Policy string

// The policies of signatures.policy in the configuration.
const (
	Require Policy = "require" // held until an administrator approves that very file (section 13.2)
	Warn    Policy = "warn"    // used, and Document.Warning says why it would have been held
	Ignore  Policy = "ignore"  // signatures are not even fetched
)

// Defaults for what Config leaves zero.
const (
	DefaultTimeout   = 10 * time.Second
	MaxSignatureSize = 64 << 10
)

// Config is what New needs. The zero value fetches from public hosts with the system's roots and holds every
// file, because it trusts no signer.
type Config struct {
	CAFiles       []string         // PEM roots in addition to the system's, for https
	PrivateHosts  []string         // URL hosts allowed to resolve to private or loopback addresses
	Timeout       time.Duration    // whole retrieval of one file, and again of its signature
	MaxSize       int64            // bytes of a MUD file; 0: mud.MaxFileSize
	CacheDir      string           // "": no disk cache
	Policy        Policy           // "": Require
	SignerCAFiles []string         // PEM trust anchors of MUD signers, a separate store from the web's
	Resolvers     []netip.AddrPort // tried when the system's resolver can't resolve a host
	UserAgent     string           // "mudguard/<version>"
	Language      string           // Accept-Language; "": en
	Now           func() time.Time // nil: time.Now

	// Approved says whether an administrator approved exactly this file, by its SHA-256, although it would
	// be held (R8520-13.2-b). nil: nothing is approved. Called from the goroutines that fetch.
	Approved func(u mud.URL, sha256 string) bool
	// Head reads what is needed to check a file's signature, and nothing else. nil: mud.Head.
	Head func(raw []byte) (mud.URL, string, error)
	// Parse reads a file whose signature was checked. nil: mud.Parse. Sites that accept older dialects convert
	// here, after verification: a signature is over the bytes as they came.
	Parse func(raw []byte) (mud.Profile, []mud.Problem, error)
	// Refuse names more addresses never to connect to, such as those of the LAN. nil: none.
	Refuse func(netip.Addr) bool
}

// Client fetches and verifies MUD files. It is safe for concurrent use.
type Client struct {
	cfg     Config
	http    *http.Client
	signers *x509.CertPool // nil: no signer is trusted
	cache   cache
	now     func() time.Time
}

// Document is a MUD file that was accepted. Next to an *Error whose Held is true, URL, Raw and SHA256 are
// those of the file that was held, and Profile is empty.
type Document struct {
	URL      mud.URL
	Raw      []byte
	SHA256   string // of Raw, lower-case hex
	Profile  mud.Profile
	Problems []mud.Problem

	Signed    bool      // the signature was checked and is good
	Signer    string    // subject of the signer's certificate, cleaned
	SignerSKI string    // key identifier of the CA that issued it: what to pin, with Signer (RAU-5-e)
	SignedAt  time.Time // claimed by the signer; zero where it states no time
	Warning   string    // why it would have been held under Require
	Approved  bool      // used only because an administrator approved this very file

	FetchedAt    time.Time // when the server last confirmed it
	NextRefresh  time.Time // not to be asked for again before (section 3.5)
	FromCache    bool      // the bytes come from the disk cache
	ETag         string
	LastModified string
	CacheError   string // why it could not be stored: it will be missing after a restart
}

// New returns a Client. Unreadable or empty CA files and unknown policies are errors that say what to do.
func New(cfg Config) (*Client, error) {
	cfg = withDefaults(cfg)
	switch cfg.Policy {
	case Require, Warn, Ignore:
	default:
		return nil, fmt.Errorf("signatures.policy %q is unknown: use require, warn or ignore", cfg.Policy)
	}
	roots, err := webRoots(cfg.CAFiles)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, now: cfg.Now, cache: cache{dir: cfg.CacheDir, maxFile: cfg.MaxSize}}
	if len(cfg.SignerCAFiles) > 0 {
		if c.signers, err = LoadRoots(cfg.SignerCAFiles); err != nil {
			return nil, err
		}
	}
	c.http = newHTTPClient(cfg, roots, newDialer(cfg))
	return c, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxSize <= 0 {
		cfg.MaxSize = mud.MaxFileSize
	}
	if cfg.Policy == "" {
		cfg.Policy = Require
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "mudguard"
	}
	if cfg.Language == "" {
		cfg.Language = "en"
	}
	if cfg.Head == nil {
		cfg.Head = mud.Head
	}
	if cfg.Parse == nil {
		cfg.Parse = mud.Parse
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg
}

// Fetch asks the server for u, conditionally where the cache has it, and returns the file if it may be used.
// Errors are *Error. A file that was accepted before stays in the cache whatever happens here, so that the
// caller can go on using it (section 1.6).
func (c *Client) Fetch(ctx context.Context, u mud.URL) (Document, error) {
	if u.IsZero() {
		return Document{}, fail(KindURL, "there is no MUD URL to fetch")
	}
	old, _ := c.cache.read(u) // an entry that can't be read is fetched anew
	r, err := c.get(ctx, request{url: u.String(), accept: mediaFile, limit: c.cfg.MaxSize, known: old})
	if err != nil {
		return Document{}, err
	}
	cand := candidate{url: u, raw: r.body, at: c.now()}
	if r.notModified {
		cand.raw = old.raw
	}
	if old != nil && digest(cand.raw) == old.SHA256 {
		cand.sig, cand.accepted = old.sig, old.Signed
	}
	doc, sig, err := c.admit(ctx, cand)
	if err != nil {
		return doc, err
	}
	c.stamp(&doc, r, old)
	c.remember(&doc, sig, old)
	return doc, nil
}

// Load returns what the cache holds for u, without the network and without the clock: what was accepted once
// stays accepted in any state of the clock (hardening 3.3). It is checked again as of the moment when it was
// accepted, so that a corrupt file, a stricter policy or a trust anchor taken away still counts (R8520-16-h).
// The error wraps fs.ErrNotExist where the cache has no entry.
func (c *Client) Load(u mud.URL) (Document, error) {
	e, err := c.cache.read(u)
	if err != nil {
		return Document{}, &Error{Kind: KindCache, Reason: clean(err.Error()), cause: err}
	}
	doc, _, err := c.admit(context.Background(), candidate{
		url: u, raw: e.raw, sig: e.sig, accepted: e.Signed, at: e.AcceptedAt, offline: true,
	})
	doc.FetchedAt, doc.NextRefresh, doc.FromCache = e.FetchedAt, e.NextRefresh, true
	doc.ETag, doc.LastModified = e.ETag, e.LastModified
	return doc, err
}

// Forget removes u from the cache. Forgetting what is not there is no error.
func (c *Client) Forget(u mud.URL) error { return c.cache.remove(u) }

// stamp notes when the file was confirmed and when to ask again.
func (c *Client) stamp(doc *Document, r reply, old *entry) {
	doc.FetchedAt = c.now()
	doc.FromCache = r.notModified
	doc.ETag, doc.LastModified = r.etag, r.lastModified
	if r.notModified { // RFC 9110 15.4.5: what a 304 leaves out is as it was
		doc.ETag = either(r.etag, old.ETag)
		doc.LastModified = either(r.lastModified, old.LastModified)
	}
	doc.NextRefresh = nextRefresh(doc.FetchedAt, doc.Profile.LastUpdate, doc.Profile.CacheValidity, r.maxAge)
	doc.Problems = append(doc.Problems, r.notes...)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
