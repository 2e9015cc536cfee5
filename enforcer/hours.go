package enforcer

import (
	"net/netip"
	"time"
)

// hours counts something in each of the last 24 hours.
type hours struct {
	last int64 // hour of the last number, since 1970
	n    [24]uint32
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// at gives the numbers as they are at a time, the oldest first.
func (h hours) at(now time.Time) [24]uint32 {
	var out [24]uint32
	// A clock that was set back makes the last hour the present one.
	shift := min(max(hourOf(now)-h.last, 0), int64(len(out)))
	copy(out[:], h.n[shift:])
	return out
}

// add counts in the hour of a time; what is older than a day counts no more.
func (h *hours) add(at time.Time, n uint32) {
	if hour := hourOf(at); hour > h.last {
		h.n, h.last = h.at(at), hour
	}
	if i := int64(len(h.n)) - 1 - (h.last - hourOf(at)); i >= 0 {
		h.n[i] += n
	}
}

// in gives the number of one hour.
func (h hours) in(hour int64) uint32 {
	if i := int64(len(h.n)) - 1 - (h.last - hour); i >= 0 && i < int64(len(h.n)) {
		return h.n[i]
	}
	return 0
}

// Activity counts, in each of the last 24 hours and the oldest first, the flows that a device opened and was allowed, and the
// attempts that were denied or, where it is observed, would have been. The log of denials is limited per device, so of a flood
// not all are counted.
type Activity struct {
	Allowed [24]uint32 `json:"allowed"`
	Denied  [24]uint32 `json:"denied"`
}

// Opened takes how many flows hosts on the LAN opened lately, by their addresses.
func (e *Engine) Opened(flows map[netip.Addr]uint32) {
	for _, d := range e.devices {
		for _, a := range d.Addrs {
			if n := flows[a]; n > 0 {
				d.allowed.add(e.Now(), n)
			}
		}
	}
}

func (e *Engine) activityOf(d *Device) Activity {
	return Activity{d.allowed.at(e.Now()), d.denied.at(e.Now())}
}
