package fetch

import (
	"testing"
	"time"
)

// T-06, R8520-3.5-a, R8520-3.5-c, R8520-7-a, RAU-6-b, RAU-6-c, R8520-16-p, T25: three baselines, the latest counts,
// within an hour and a month, spread by a tenth.
func TestNextRefresh(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		name            string
		updated         time.Time
		validity, fresh time.Duration
		want            time.Duration
	}{
		{"cache-validity", now.AddDate(-1, 0, 0), 2 * day, 0, 2 * day},
		{"no last-update", time.Time{}, 2 * day, 0, 2 * day},
		{"updated in the future", now.Add(3 * day), 2 * day, 0, 5 * day},
		{"max-age", now, 2 * day, 6 * day, 6 * day},
		{"an hour at least", time.Time{}, 0, 0, time.Hour},
		{"a month at most", now, 2 * day, 365 * day, 31 * day},
		{"clock at 1970", now.AddDate(200, 0, 0), 2 * day, 0, 31 * day},
		{"last-update absurd", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), 2 * day, 0, 31 * day},
	} {
		lo, hi := c.want, c.want+c.want/10
		if c.want == 31*day {
			lo, hi = c.want-c.want/10, c.want
		}
		distinct := map[time.Duration]bool{}
		for range 200 {
			wait := nextRefresh(now, c.updated, c.validity, c.fresh).Sub(now)
			if wait < lo || wait > hi {
				t.Errorf("%s: %v, want %v to %v", c.name, wait, lo, hi)
			}
			distinct[wait] = true
		}
		if len(distinct) < 2 {
			t.Errorf("%s: no spread", c.name)
		}
	}
}

func TestBackoff(t *testing.T) {
	want := []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute,
		8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour}
	for attempt, w := range want {
		if got := Backoff(attempt); got < w || got > w+w/4 {
			t.Errorf("attempt %d: %v, want %v", attempt, got, w)
		}
	}
	for _, attempt := range []int{-1, 1 << 30} {
		if got := Backoff(attempt); got < firstRetry || got > maxRetry+maxRetry/4 {
			t.Errorf("attempt %d: %v", attempt, got)
		}
	}
}

// RAU-6-b.
func TestMaxAge(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "no-cache": 0, "max-age=60": time.Minute, "public, Max-Age=\"60\"": time.Minute, "max-age=-1": 0,
		"max-age=99999999999999999999": 0, "max-age": 0, "s-maxage=5, max-age=60": time.Minute,
	} {
		if got := maxAge([]string{header}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}
