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
	AllowHosts    []string         // if any, no other host is asked; each with all names below it (R8520-16-m)
	DenyHosts     []string         // never asked; each with all names below it
	Timeout       time.Duration    // whole retrieval of one file, and again of its signature
	MaxSize       int64            // bytes of a MUD file; 0: mud.MaxFileSize
	CacheDir      string           // "": no disk cache
	Policy        Policy           // "": Require
	SignerCAFiles []string         // PEM trust anchors of MUD signers, a separate store from the web's
	Resolvers     []netip.AddrPort // tried when the system's resolver can't resolve a host
	UserAgent     string           // "mudguard/<version>"
	Language      string           // Accept-Language; "": en
	Clock         *Clock           // nil: this host's, which is right

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
	clock   *Clock
}

// Document is a MUD file that was accepted. Next to an *Error whose Held is true, URL, Raw and SHA256 are those of the file
// that was held, Profile is empty, and with KindMismatch Named and the signer are told too.
type Document struct {
	URL      mud.URL
	Named    mud.URL // mud-url in the file
	Raw      []byte
	SHA256   string // of Raw, lower-case hex
	Profile  mud.Profile
	Problems []mud.Problem

	Signed     bool      // the signature was checked and is good
	Signature  []byte    // that signature
	Signer     string    // subject of the signer's certificate, cleaned
	SignerName []byte    // the same as DER, to compare with a device's id-pe-mudsigner (R8520-13.2-d)
	SignerSKI  string    // key identifier of the CA that issued it: what to pin, with Signer (RAU-5-e)
	SignedAt   time.Time // claimed by the signer; zero where it states no time
	Warning    string    // why it would have been held under Require
	Approved   bool      // used only because an administrator approved this very file

	// Provisional says that the file was judged by a clock that nobody had set: judge it again with Recheck once it is.
	Provisional bool

	FetchedAt    time.Time // when the server last confirmed it
	NextRefresh  time.Time // not to be asked for again before (section 3.5)
	FromCache    bool      // the bytes come from the disk cache
	ETag         string
	LastModified string
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
	c := &Client{cfg: cfg, clock: cfg.Clock, cache: cache{dir: cfg.CacheDir, maxFile: cfg.MaxSize}}
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
	if cfg.Clock == nil {
		cfg.Clock = NewClock(time.Time{}, nil, nil)
	}
	return cfg
}

// Fetch asks the server for u, conditionally where the cache has it, and returns the file if it may be used.
// Errors are *Error. The cache stays as it is whatever happens here, so that the caller can go on using what it has
// (section 1.6): only Keep changes it.
func (c *Client) Fetch(ctx context.Context, u mud.URL) (Document, error) {
	if u.IsZero() {
		return Document{}, fail(KindURL, "there is no MUD URL to fetch")
	}
	old, _ := c.cache.read(u) // an entry that can't be read is fetched anew
	r, err := c.get(ctx, request{url: u.String(), accept: mediaFile, limit: c.cfg.MaxSize, known: old})
	if err != nil {
		return Document{}, err
	}
	cand := c.candidate(u, r.body)
	if r.notModified {
		cand.raw = old.raw
	}
	if old != nil && digest(cand.raw) == old.SHA256 {
		cand.sig, cand.accepted = old.sig, old.Signed
	}
	doc, err := c.admit(ctx, cand)
	if err != nil {
		return doc, err
	}
	c.stamp(&doc, r, old)
	return doc, nil
}

// Import judges a file that came by other means, with its detached signature or none (section 1.6, R8520-1.6-g). It is the
// file of its own mud-url.
func (c *Client) Import(raw, sig []byte) (Document, error) {
	u, _, err := c.readHead(raw)
	if err != nil {
		return Document{Raw: raw, SHA256: digest(raw)}, err
	}
	cand := c.candidate(u, raw)
	cand.sig, cand.offline = sig, true
	doc, err := c.admit(context.Background(), cand)
	if err != nil {
		return doc, err
	}
	old, _ := c.cache.read(u)
	c.stamp(&doc, reply{}, old)
	return doc, nil
}

// candidate is a file to be judged as of now.
func (c *Client) candidate(u mud.URL, raw []byte) candidate {
	now, state := c.clock.read()
	return candidate{url: u, raw: raw, at: now, behind: state == ClockFloored, provisional: state != ClockSynced}
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
	doc, err := c.admit(context.Background(), candidate{
		url: u, raw: e.raw, sig: e.sig, accepted: e.Signed, at: e.AcceptedAt, behind: e.Provisional, provisional: e.Provisional,
		offline: true,
	})
	doc.FetchedAt, doc.NextRefresh, doc.FromCache = e.FetchedAt, e.NextRefresh, true
	doc.ETag, doc.LastModified = e.ETag, e.LastModified
	if err == nil && !doc.Provisional {
		c.clock.Raise(doc.SignedAt)
	}
	return doc, err
}

// Recheck judges what the cache holds for u as of now, without the network: for a file that was accepted while nobody knew
// the time (hardening 3.3).
func (c *Client) Recheck(u mud.URL) (Document, error) {
	e, err := c.cache.read(u)
	if err != nil {
		return Document{}, &Error{Kind: KindCache, Reason: clean(err.Error()), cause: err}
	}
	cand := c.candidate(u, e.raw)
	cand.sig, cand.offline = e.sig, true
	doc, err := c.admit(context.Background(), cand)
	c.stamp(&doc, reply{notModified: true}, e) // the times that the entry has are those of the wrong clock
	return doc, err
}

// Forget removes u from the cache. Forgetting what is not there is no error.
func (c *Client) Forget(u mud.URL) error { return c.cache.remove(u) }

// stamp notes when the file was confirmed and when to ask again.
func (c *Client) stamp(doc *Document, r reply, old *entry) {
	doc.FetchedAt = c.clock.Now()
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
