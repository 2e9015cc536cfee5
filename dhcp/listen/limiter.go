package listen

import (
	"fmt"
	"sync"
	"time"
)

// Reports per window: what a person can read, however fast a hostile host makes errors.
const (
	reportWindow = time.Minute
	reportBurst  = 5
)

// limiter lets a burst of errors through in each window, and tells with the first of the next how many it held back.
type limiter struct {
	now    func() time.Time
	mu     sync.Mutex
	start  time.Time
	passed int
	held   int
}

// admit gives the error to report, or nil to keep quiet.
func (l *limiter) admit(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); l.start.IsZero() || now.Sub(l.start) >= reportWindow {
		l.start, l.passed = now, 0
	}
	if l.passed >= reportBurst {
		l.held++
		return nil
	}
	l.passed++
	if l.held > 0 {
		err = fmt.Errorf("%w (%d more were not shown)", err, l.held)
		l.held = 0
	}
	return err
}
