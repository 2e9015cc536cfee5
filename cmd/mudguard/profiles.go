package main

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"

	"mudguard/enforcer"
	"mudguard/mud"
	"mudguard/mud/fetch"
)

// profiles is the engine's Fetcher over package fetch.
type profiles struct {
	client *fetch.Client
	pool   *fetch.Pool
	log    *slog.Logger
	keep   chan fetch.Document // to be written: the engine does not wait for the disk

	mu      sync.Mutex
	ok      map[string]bool            // approved files, by URL and hash
	offered map[mud.URL]fetch.Document // what the engine got last and may say to keep

	fetched, heldBack, failed atomic.Uint64
}

// maxKeep bounds what waits for the disk.
const maxKeep = 1024

func newProfiles(cfg fetch.Config, log *slog.Logger) (*profiles, error) {
	p := &profiles{log: log, ok: map[string]bool{}, offered: map[mud.URL]fetch.Document{}, keep: make(chan fetch.Document, maxKeep)}
	cfg.Approved = p.approved
	client, err := fetch.New(cfg)
	p.client = client
	return p, err
}

// start begins to fetch; outcomes go to done.
func (p *profiles) start(ctx context.Context, done func(mud.URL, enforcer.Verified, error)) {
	p.pool = fetch.NewPool(ctx, p.client.Fetch, func(u mud.URL, doc fetch.Document, err error) {
		doc.URL = u // also where there was nothing to judge
		v, err := p.offer(doc, err)
		p.count(err)
		done(u, v, err)
	})
}

// count counts the outcome of a fetch.
func (p *profiles) count(err error) {
	switch _, waits := errors.AsType[heldFile](err); {
	case err == nil:
		p.fetched.Add(1)
	case waits:
		p.heldBack.Add(1)
	default:
		p.failed.Add(1)
	}
}

// write stores what is put to use, until ctx ends and nothing is left.
func (p *profiles) write(ctx context.Context) error {
	for {
		select {
		case doc := <-p.keep:
			p.store(doc)
			continue
		default:
		}
		select {
		case doc := <-p.keep:
			p.store(doc)
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *profiles) store(doc fetch.Document) {
	if err := p.client.Keep(doc); err != nil {
		p.log.Error("profile not kept; after a restart it must be fetched again", "url", doc.URL.String(), "err", err)
	}
}

// offer hands a document to the engine, and remembers it in case it is to be kept.
func (p *profiles) offer(doc fetch.Document, err error) (enforcer.Verified, error) {
	if err == nil {
		p.mu.Lock()
		p.offered[doc.URL] = doc
		p.mu.Unlock()
	}
	return outcome(doc, err)
}

func (p *profiles) Submit(u mud.URL) bool { return p.pool.Submit(u) }

func (p *profiles) Load(u mud.URL, anew bool) (enforcer.Verified, error) {
	if anew {
		return p.offer(p.client.Recheck(u))
	}
	return outcome(p.client.Load(u))
}

func (p *profiles) Keep(u mud.URL, sha256 string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	doc, ok := p.offered[u]
	if !ok || doc.SHA256 != sha256 {
		return
	}
	delete(p.offered, u)
	select {
	case p.keep <- doc:
	default:
		p.log.Error("profile not kept; the disk is too slow", "url", u.String())
	}
}

// bring judges a file that the administrator brought (mudguard import).
func (p *profiles) bring(file, signature []byte) (enforcer.Verified, error) {
	return p.offer(p.client.Import(file, signature))
}

func (p *profiles) Approve(u mud.URL, sha256 string, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if key := u.String() + " " + sha256; yes {
		p.ok[key] = true
	} else {
		delete(p.ok, key)
	}
}

func (p *profiles) approved(u mud.URL, sha256 string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ok[u.String()+" "+sha256]
}

// language is the Accept-Language of a locale as LANG has it (R8520-1.6-d): "" where that names no language.
func language(locale string) string {
	m := regexp.MustCompile(`^([a-z]{2,3})(?:_([A-Z]{2}))?(?:[.@]|$)`).FindStringSubmatch(locale)
	switch {
	case m == nil:
		return ""
	case m[2] == "":
		return m[1]
	}
	return m[1] + "-" + m[2]
}

// outcome is that of a fetch. Of a file that is held it tells what is in it, for the administrator to look at; who lets it in has it
// read once more.
func outcome(doc fetch.Document, err error) (enforcer.Verified, error) {
	v, err := verified(doc), held(doc, err)
	if _, isHeld := errors.AsType[heldFile](err); isHeld {
		if p, _, perr := mud.Parse(doc.Raw); perr == nil { // else nobody can tell
			v.Profile = p
		}
	}
	return v, err
}

func verified(d fetch.Document) enforcer.Verified {
	return enforcer.Verified{URL: d.URL, Named: d.Named, SHA256: d.SHA256, Profile: d.Profile, Problems: d.Problems, Signer: d.Signer,
		SignerSKI: d.SignerSKI, SignerName: d.SignerName, Warning: d.Warning, Provisional: d.Provisional, FetchedAt: d.FetchedAt,
		NextRefresh: d.NextRefresh}
}

// heldFile is a fetch that got a file which only the administrator may let in.
type heldFile struct {
	error
	sha256 string
}

func (h heldFile) Held() (string, bool) { return h.sha256, true }

func held(doc fetch.Document, err error) error {
	var e *fetch.Error
	if errors.As(err, &e) && e.Held() {
		return heldFile{err, doc.SHA256}
	}
	return err
}
