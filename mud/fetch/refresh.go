package fetch

import (
	"math/rand/v2"
	"time"
)

// Bounds on when a file is asked for again (RAU-6-b).
const (
	minRefresh = time.Hour
	maxRefresh = 31 * 24 * time.Hour
)

// nextRefresh returns when to ask again: the latest of the three times that the standards name (T-06), within
// bounds, and spread so that the devices of one maker don't ask together (RAU-6-c). A time is spread later,
// never earlier than cache-validity allows, but for the upper bound.
func nextRefresh(fetched, lastUpdate time.Time, validity, fresh time.Duration) time.Time {
	wait := max(validity, fresh, minRefresh)
	if !lastUpdate.IsZero() {
		wait = max(wait, lastUpdate.Add(validity).Sub(fetched)) // Sub saturates where a clock is absurd
	}
	wait = min(wait, maxRefresh)
	jitter := spread(wait / 10)
	if wait+jitter > maxRefresh {
		jitter = -jitter
	}
	return fetched.Add(wait + jitter)
}

// Bounds of Backoff.
const (
	firstRetry = 10 * time.Second
	maxRetry   = time.Hour
)

// Backoff returns how long to wait before retry number attempt, counted from 0: 10 s, 30 s, 1 min, then
// doubling to an hour, each up to a quarter more.
func Backoff(attempt int) time.Duration {
	wait := firstRetry
	switch {
	case attempt <= 0:
	case attempt == 1:
		wait = 3 * firstRetry
	case attempt < 9:
		wait = min(time.Minute<<(attempt-2), maxRetry)
	default:
		wait = maxRetry
	}
	return wait + spread(wait/4)
}

func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
