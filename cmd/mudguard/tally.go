package main

import (
	"net/netip"
	"sync"

	"mudguard/enforcer"
)

// tally counts the flows that hosts on the LAN open, for the engine to fetch: it must not be woken for each.
type tally struct {
	mu sync.Mutex
	n  map[netip.Addr]uint32
}

// maxTallied bounds the addresses that are counted between two fetches.
const maxTallied = 8192

func (t *tally) add(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[netip.Addr]uint32{}
	}
	if _, known := t.n[a]; known || len(t.n) < maxTallied {
		t.n[a]++
	}
}

// take gives what was counted since the last time.
func (t *tally) take() map[netip.Addr]uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.n
	t.n = nil
	return n
}

// opened counts a flow that the kernel began to track.
func (d *daemon) opened(f enforcer.Flow) {
	if d.onLAN(f.Src) {
		d.flows.add(f.Src)
	}
}
