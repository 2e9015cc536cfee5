package main

import (
	"context"
	"errors"
	"sync"

	"mudguard/enforcer"
	"mudguard/mud"
	"mudguard/mud/fetch"
)

// profiles is the engine's Fetcher over package fetch.
type profiles struct {
	client *fetch.Client
	pool   *fetch.Pool
	mu     sync.Mutex
	ok     map[string]bool // approved files, by URL and hash
}

func newProfiles(cfg fetch.Config) (*profiles, error) {
	p := &profiles{ok: map[string]bool{}}
	cfg.Approved = p.approved
	client, err := fetch.New(cfg)
	p.client = client
	return p, err
}

// start begins to fetch; outcomes go to done.
func (p *profiles) start(ctx context.Context, done func(mud.URL, enforcer.Verified, error)) {
	p.pool = fetch.NewPool(ctx, p.client.Fetch, func(u mud.URL, doc fetch.Document, err error) {
		done(u, verified(doc), held(doc, err))
	})
}

func (p *profiles) Submit(u mud.URL) bool { return p.pool.Submit(u) }

func (p *profiles) Load(u mud.URL) (enforcer.Verified, error) {
	doc, err := p.client.Load(u)
	return verified(doc), held(doc, err)
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

func verified(d fetch.Document) enforcer.Verified {
	return enforcer.Verified{URL: d.URL, SHA256: d.SHA256, Profile: d.Profile, Problems: d.Problems, Signer: d.Signer,
		Warning: d.Warning, NextRefresh: d.NextRefresh}
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
