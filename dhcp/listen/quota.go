package listen

import (
	"net/netip"
	"time"

	"mudguard/dhcp"
)

// What one socket for ARP, neighbour discovery or LLDP may cost us in a window: a LAN of hundreds of devices sends less.
const (
	quotaWindow = time.Second
	quotaFrames = 500
)

// quota bounds what a flood costs: what is beyond it stays in the kernel, which drops it. What was told in this window
// is not told again.
type quota struct {
	now    func() time.Time
	end    time.Time
	frames int
	told   map[news]struct{} // no more than there are frames, since none of these tells two things
}

// news is what makes a sighting one that was not told yet.
type news struct {
	mac  dhcp.MAC
	kind dhcp.Kind
	addr netip.Addr
	url  string
}

// spend counts a frame, and says how long to wait before it is looked at.
func (q *quota) spend() (wait time.Duration) {
	now := q.now()
	if left := q.end.Sub(now); left > 0 && q.frames >= quotaFrames {
		wait, now = left, q.end
	}
	if !now.Before(q.end) {
		q.end, q.frames, q.told = now.Add(quotaWindow), 0, map[news]struct{}{}
	}
	q.frames++
	return wait
}

// repeats reports whether a sighting was told in this window.
func (q *quota) repeats(s dhcp.Sighting) bool {
	n := news{s.MAC, s.Kind, s.Addr, s.URL}
	_, known := q.told[n]
	q.told[n] = struct{}{}
	return known
}

// What the DHCP of one host may come to in a window, and the hosts that are counted.
const (
	hostFrames = 20
	maxHosts   = 4096
)

// fair keeps one host's DHCP from drowning that of others: what is beyond its part is not passed on.
type fair struct {
	now    func() time.Time
	end    time.Time
	frames map[dhcp.MAC]int
}

// admits counts a frame of or to a host.
func (f *fair) admits(mac dhcp.MAC) bool {
	if now := f.now(); !now.Before(f.end) {
		f.end, f.frames = now.Add(quotaWindow), map[dhcp.MAC]int{}
	}
	if f.frames[mac] == 0 && len(f.frames) >= maxHosts {
		return true // more are no host's doing that speaks for itself
	}
	f.frames[mac]++
	return f.frames[mac] <= hostFrames
}
