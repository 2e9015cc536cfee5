package web

import (
	"net/netip"
	"slices"
	"time"
)

// Bounds of guessing (T22). A person who mistypes notices nothing; who guesses gets a few tries an hour, from however many addresses.
const (
	freeTries   = 5               // of one address
	firstWait   = 2 * time.Second // doubles with every further try
	longestWait = 15 * time.Minute
	allTries    = 20 // of all addresses, and then one each
	allEvery    = 30 * time.Second
	maxGuessers = 256 // addresses that are remembered
	maxOwners   = 32  // of those that were right
)

// throttle says who may try a password now. It is not safe for use from several goroutines.
type throttle struct {
	by    map[netip.Prefix]guesser
	spent time.Time // when all that was tried will be forgotten, one try each allEvery
	// owners were right before, the latest last: guessing from other addresses does not keep them out.
	owners []netip.Prefix
}

// guesser is an address that was wrong before.
type guesser struct {
	tries int
	until time.Time // no try before
	last  time.Time
}

// network is whose tries count together: one IPv4 address, or one IPv6 subnet.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero one for no address
	return p
}

// try counts a try by an address, and gives how long it has to wait instead.
func (t *throttle) try(from netip.Addr, now time.Time) (wait time.Duration) {
	who := network(from)
	g := t.by[who]
	if wait = g.until.Sub(now); wait > 0 {
		return wait
	}
	if !slices.Contains(t.owners, who) {
		if wait = t.spend(now); wait > 0 {
			return wait
		}
	}
	if now.Sub(g.last) > 2*longestWait {
		g.tries = 0
	}
	g.tries, g.last = g.tries+1, now
	if over := g.tries - freeTries; over >= 0 {
		g.until = now.Add(min(firstWait<<min(over, 16), longestWait))
	}
	t.remember(who, g)
	return 0
}

// spend counts a try among those of all addresses.
func (t *throttle) spend(now time.Time) (wait time.Duration) {
	if t.spent.Before(now) {
		t.spent = now
	}
	if wait = t.spent.Sub(now) - (allTries-1)*allEvery; wait <= 0 {
		t.spent = t.spent.Add(allEvery)
	}
	return wait
}

// right forgets what an address tried before it was right.
func (t *throttle) right(from netip.Addr) {
	who := network(from)
	delete(t.by, who)
	if i := slices.Index(t.owners, who); i >= 0 {
		t.owners = slices.Delete(t.owners, i, i+1)
	} else {
		t.spent = t.spent.Add(-allEvery)
	}
	t.owners = append(t.owners[max(0, len(t.owners)+1-maxOwners):], who)
}

// remember forgets who tried longest ago, where there are too many: the bound on all of them holds for newcomers too.
func (t *throttle) remember(who netip.Prefix, g guesser) {
	if t.by == nil {
		t.by = map[netip.Prefix]guesser{}
	}
	t.by[who] = g
	if len(t.by) <= maxGuessers {
		return
	}
	oldest := who
	for other, o := range t.by {
		if o.last.Before(t.by[oldest].last) {
			oldest = other
		}
	}
	delete(t.by, oldest)
}
