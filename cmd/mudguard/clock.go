package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mudguard/mud/fetch"
)

// built is when this program was made, RFC 3339; set by the Makefile. It is a moment that has surely passed.
var built = ""

// clockFile holds the last moment that this host knew for sure, so that a gateway without a battery starts from there.
const clockFile = "clock"

// newClock returns the clock by which certificates are judged (hardening.md 3.3).
func newClock(dir string) *fetch.Clock {
	floor, _ := time.Parse(time.RFC3339, built)
	c := fetch.NewClock(floor, nil, clockSynced)
	if text, err := os.ReadFile(filepath.Join(dir, clockFile)); err == nil {
		if t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text))); err == nil {
			c.Raise(t)
		}
	}
	return c
}

// clockSynced says that somebody sets the kernel's clock: an NTP daemon clears the flag.
func clockSynced() bool {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return err == nil && t.Status&unix.STA_UNSYNC == 0
}

// keepTime has files judged again when the clock is set, and notes once a day what time it is: only what is known for sure.
func (d *daemon) keepTime(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	was := d.clock.State()
	var noted time.Time
	for {
		state := d.clock.State()
		if state == fetch.ClockSynced {
			if was != state {
				d.log.Info("the clock is set; judging again what was accepted before")
				_ = d.engine.Do(ctx, clockSet) // fails only when we stop; not said again, so not to be lost in a flood
			}
			if now := d.clock.Now(); now.Sub(noted).Abs() > 24*time.Hour {
				noted = now
				noteTime(d.cfg.StateDir, now, d.log)
			}
		}
		was = state
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// noteTime writes the time, unless what is there is younger than a day: flash is written at most daily.
func noteTime(dir string, now time.Time, log *slog.Logger) {
	name := filepath.Join(dir, clockFile)
	text, err := os.ReadFile(name)
	if err == nil {
		if t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text))); err == nil && now.Sub(t).Abs() < 24*time.Hour {
			return
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		log.Warn("time not noted", "err", err)
		return
	}
	if err := writeFile(name, []byte(now.UTC().Format(time.RFC3339)+"\n")); err != nil {
		log.Warn("time not noted", "err", err)
	}
}

// clockText says what a clock that nobody sets means.
func clockText(s fetch.ClockState) string {
	if s == fetch.ClockFloored {
		return "it shows a time that has passed long ago; profiles are judged by the last time that is known, and again once the clock is set"
	}
	return "nobody sets it (no NTP?); profiles are judged by the time it shows, and again once it is set"
}
