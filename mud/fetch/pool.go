package fetch

import (
	"context"
	"slices"
	"sync"

	"mudguard/mud"
)

// Bounds of a Pool.
const (
	slots    = 8    // fetches at once; each is bounded by Config.Timeout, so slow servers can't keep them
	maxQueue = 1024 // URLs waiting: a LAN host can announce as many as it likes (T-34)
)

// Fetcher fetches one file; Client.Fetch is one.
type Fetcher func(context.Context, mud.URL) (Document, error)

// Pool runs fetches side by side, but one at a time for each host, so that a slow server delays no other.
type Pool struct {
	fetch  Fetcher
	done   func(mud.URL, Document, error)
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	running sync.WaitGroup
	waiting []mud.URL
	urls    map[mud.URL]bool // waiting or in flight
	hosts   map[string]bool  // in flight
}

// NewPool returns a Pool that calls done with each result, from the goroutine that fetched; done may call
// Submit. The pool works until Close or until ctx ends.
func NewPool(ctx context.Context, fetch Fetcher, done func(mud.URL, Document, error)) *Pool {
	p := &Pool{fetch: fetch, done: done, urls: map[mud.URL]bool{}, hosts: map[string]bool{}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

// Submit asks for u to be fetched. It returns at once: true if a result will come for u, because it is queued
// now or was already; false if the pool is full or closed.
func (p *Pool) Submit(u mud.URL) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return false
	}
	if p.urls[u] {
		return true
	}
	if len(p.waiting) >= maxQueue {
		return false
	}
	p.urls[u] = true
	p.waiting = append(p.waiting, u)
	p.startLocked()
	return true
}

// Close gives up what waits, ends what runs, and returns when nothing of it is left.
func (p *Pool) Close() {
	p.mu.Lock()
	p.cancel()
	p.waiting = nil
	p.mu.Unlock()
	p.running.Wait()
}

// startLocked starts what there is room for, the newest first among hosts that are free: a device that comes now does not
// wait behind the thousand slow servers that somebody announced before.
func (p *Pool) startLocked() {
	for i := len(p.waiting) - 1; i >= 0 && len(p.hosts) < slots; i-- {
		u := p.waiting[i]
		if p.hosts[u.Host()] {
			continue
		}
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.hosts[u.Host()] = true
		p.running.Go(func() { p.run(u) })
	}
}

func (p *Pool) run(u mud.URL) {
	doc, err := p.fetch(p.ctx, u)
	p.mu.Lock()
	delete(p.urls, u)
	delete(p.hosts, u.Host())
	closed := p.ctx.Err() != nil
	if !closed {
		p.startLocked()
	}
	p.mu.Unlock()
	if !closed {
		p.done(u, doc, err)
	}
}
