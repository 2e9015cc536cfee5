package fetch

import (
	"crypto/x509"
	"sync"
	"time"
)

// ClockState is how far the time of this host can be believed (hardening.md 3.3).
type ClockState string

// States of a Clock. A gateway without a battery boots in 1970, or at the date of its firmware.
const (
	ClockSynced   ClockState = "synchronised" // somebody sets it
	ClockUnsynced ClockState = "unsynchronised"
	ClockFloored  ClockState = "floored" // it is surely wrong: it shows a time before one that has passed
)

// Clock is the time as of which certificates and signatures are judged. It never shows a time before its floor, except
// where the host's clock is synchronised: then that is the truth, and the floor was wrong.
type Clock struct {
	wall   func() time.Time
	synced func() bool
	start  time.Time // of wall, for how long we have run

	mu    sync.Mutex
	floor time.Time
}

// NewClock returns a Clock over the host's. floor is a moment that has surely passed, such as the build date; wall nil is
// time.Now, and synced nil says that the host's clock is always right.
func NewClock(floor time.Time, wall func() time.Time, synced func() bool) *Clock {
	if wall == nil {
		wall = time.Now
	}
	if synced == nil {
		synced = func() bool { return true }
	}
	return &Clock{wall: wall, synced: synced, start: wall(), floor: floor}
}

// Now returns the time, at least the floor.
func (c *Clock) Now() time.Time {
	now, _ := c.read()
	return now
}

// State says how far Now can be believed.
func (c *Clock) State() ClockState {
	_, state := c.read()
	return state
}

func (c *Clock) read() (time.Time, ClockState) {
	now := c.wall()
	if c.synced() {
		return now, ClockSynced
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.floor) {
		return now, ClockUnsynced
	}
	return c.floor.Add(max(0, now.Sub(c.start))), ClockFloored
}

// Raise tells the Clock of a moment that has passed.
func (c *Clock) Raise(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.floor) {
		c.floor = t
	}
}

// judgement is the moment as of which certificates are judged: now, or later where the clock is surely behind and they
// begin later. So a certificate that ended before the floor is refused all the same.
func (c *Clock) judgement(certs []*x509.Certificate) time.Time {
	now, state := c.read()
	if state == ClockFloored {
		now = latestStart(now, certs)
	}
	return now
}

func latestStart(t time.Time, certs []*x509.Certificate) time.Time {
	for _, cert := range certs {
		if cert.NotBefore.After(t) {
			t = cert.NotBefore
		}
	}
	return t
}
