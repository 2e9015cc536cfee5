package enforcer

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"mudguard/dhcp"
)

const (
	maxAddrsOfDevice = 16
	forgetAddrAfter  = 24 * time.Hour   // an address without a lease that nobody uses
	claimAfter       = 10 * time.Minute // so long must an address of a host under no policy be unused before another may have it
)

// lease notes that a DHCP server gave a device an address.
func (e *Engine) lease(d *Device, a netip.Addr, length time.Duration) {
	if !e.addAddr(d, a, true) {
		return
	}
	s := seconds(0)
	if length > 0 && length < math.MaxInt64 {
		s = seconds((length + time.Second - 1) / time.Second)
	}
	if had, ok := d.Leases[a]; !ok || had != s {
		if d.Leases == nil {
			d.Leases = map[netip.Addr]seconds{}
		}
		d.Leases[a] = s
		e.dirty = e.dirty || e.kept(d)
	}
	d.runs(a, e.Now())
	if d.Away != "" {
		e.Log.Info("device is back", "mac", d.MAC.String(), "addr", a.String())
		d.Away, e.dirty = "", true
	}
}

// runs lets a lease run from now on.
func (d *Device) runs(a netip.Addr, now time.Time) {
	if d.ends == nil {
		d.ends = map[netip.Addr]time.Time{}
	}
	delete(d.ends, a)
	if s := d.Leases[a]; s > 0 {
		d.ends[a] = now.Add(time.Duration(s) * time.Second)
	}
}

// leaseOver takes an address from a device. Where it was its last lease, the device has left: what it may do is over until a
// server gives it an address again (R8520-1.9-b, NIST IoT-7 and IoT-8). The binding to its URL is not.
func (e *Engine) leaseOver(d *Device, a netip.Addr, how string) {
	_, leased := d.Leases[a]
	if !leased && !slices.Contains(d.Addrs, a) {
		return
	}
	e.cutAll(d, a)
	delete(d.Leases, a)
	delete(d.ends, a)
	e.dropAddr(d, a)
	if leased && len(d.Leases) == 0 && !d.URL.IsZero() {
		d.Away = how
		e.Log.Info("device left", "mac", d.MAC.String(), "addr", a.String(), "why", how)
	}
	e.dirty = e.dirty || e.kept(d)
}

// givenBack is a lease that a device gave back.
type givenBack struct {
	addr   netip.Addr
	length seconds
	at     time.Time
}

// forged is how close to a move from port to port a message that ends a lease is not believed.
const forged = 10 * time.Second

// givesBack takes a device's word that it wants an address no more. Nobody answers such a message, so any host that uses the device's
// Ethernet address could end its lease (T13): on a bridge that moves the address to the port of the other, which is told a moment
// before or after.
func (e *Engine) givesBack(d *Device, a netip.Addr, how string) {
	if spot := e.places[d.MAC]; spot.before != "" && e.Now().Sub(spot.moved) < forged {
		e.notGiven(d, a)
		return
	}
	if length, leased := d.Leases[a]; leased {
		d.back = givenBack{a, length, e.Now()}
	}
	e.leaseOver(d, a, how)
}

// unforge gives a device the lease again that it seemed to give back a moment before it was heard on another port.
func (e *Engine) unforge(d *Device) {
	if b := d.back; b.addr.IsValid() && e.Now().Sub(b.at) < forged {
		d.back = givenBack{}
		e.lease(d, b.addr, time.Duration(b.length)*time.Second)
		e.notGiven(d, b.addr)
	}
}

func (e *Engine) notGiven(d *Device, a netip.Addr) {
	e.alarm(AlarmLease, d.MAC, dhcp.MAC{}, e.label(d)+" gave "+a.String()+" back from another port than its own: that is not believed")
}

// refusedLease ends a device's IPv4 leases: the server told it to start over (RFC 2131 section 3.2).
func (e *Engine) refusedLease(d *Device) {
	for _, a := range slices.Collect(maps.Keys(d.Leases)) {
		if a.Is4() {
			e.leaseOver(d, a, "the DHCP server refused it the address that it had")
		}
	}
}

// uses notes that a device was heard using an address (RDHCP-slaac, RDHCP-static).
func (e *Engine) uses(d *Device, a netip.Addr) { e.addAddr(d, a.Unmap().WithZone(""), false) }

// addAddr binds an address to a device, and says whether it is the device's now: it is one device's at a time. A DHCP server's
// word counts more than what hosts say of themselves, and who has an address keeps it while he uses it (T15).
func (e *Engine) addAddr(d *Device, a netip.Addr, leased bool) bool {
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || e.site.OwnAddr(a) {
		return false
	}
	now := e.Now()
	if slices.Contains(d.Addrs, a) {
		d.used[a] = now
		return true
	}
	for _, other := range e.devices {
		if !slices.Contains(other.Addrs, a) {
			continue
		}
		if !leased && e.keeps(other, a, now) {
			e.borrowing(d, LogEvent{Packet: Flow{Src: a}})
			return false
		}
		if !leased && e.kept(d) { // it may be asleep, and is stopped when it wakes up
			e.alarm(AlarmAddress, d.MAC, other.MAC, e.label(d)+" took "+a.String()+", which was the address of "+e.named(other)+" until that was silent")
		}
		delete(other.Leases, a)
		delete(other.ends, a)
		e.dropAddr(other, a)
	}
	e.makeRoom(d)
	d.Addrs = append(d.Addrs, a)
	if d.used == nil {
		d.used = map[netip.Addr]time.Time{}
	}
	d.used[a] = now
	e.fresh = append(e.fresh, owned{d, a})
	e.dirty = e.dirty || e.kept(d)
	e.stale = true
	return true
}

// keeps says that an address is still a device's own, whatever others say of themselves. That a device under policy was silent for
// a while gives its address to nobody (T15): a DHCP server does, the administrator (forget), or a day.
func (e *Engine) keeps(d *Device, a netip.Addr, now time.Time) bool {
	_, leased := d.Leases[a]
	silence := now.Sub(d.used[a])
	return leased || silence < claimAfter || e.kept(d) && silence < forgetAddrAfter
}

// claims says that nobody but a device says that an address is its own, and that it is of no network here: it may be anybody's on
// the Internet. What others do with that is not for the device to open or to end (T15).
func (e *Engine) claims(d *Device, a netip.Addr) bool {
	_, leased := d.Leases[a]
	local := slices.ContainsFunc(e.site.LocalNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
	return !leased && !local && !a.IsLinkLocalUnicast() && !e.site.OnLAN(a)
}

// claimed lists the addresses that a device only claims.
func (e *Engine) claimed(d *Device) (out []netip.Addr) {
	for _, a := range d.Addrs {
		if e.claims(d, a) {
			out = append(out, a)
		}
	}
	return out
}

// makeRoom forgets the address without a lease that was unused for longest, else any (T16).
func (e *Engine) makeRoom(d *Device) {
	if len(d.Addrs) < maxAddrsOfDevice {
		return
	}
	oldest := d.Addrs[0]
	for _, a := range d.Addrs {
		_, leased := d.Leases[a]
		_, than := d.Leases[oldest]
		if than && !leased || than == leased && d.used[a].Before(d.used[oldest]) {
			oldest = a
		}
	}
	delete(d.Leases, oldest)
	delete(d.ends, oldest)
	e.dropAddr(d, oldest)
}

func (e *Engine) dropAddr(d *Device, a netip.Addr) {
	if i := slices.Index(d.Addrs, a); i >= 0 {
		d.Addrs = slices.Delete(d.Addrs, i, i+1)
		delete(d.used, a)
		e.dirty = e.dirty || e.kept(d)
		e.stale = true
	}
}

// age ends what is over: leases, addresses that nobody uses, announcements.
func (e *Engine) age(now time.Time) {
	e.ageAlarms(now)
	over := !e.turnedAway.IsZero() && !e.crowded()
	if over {
		e.turnedAway, e.stale = time.Time{}, true
	}
	for _, d := range e.devices {
		d.late = d.late && !over
		for a, end := range d.ends {
			if !end.After(now) {
				e.leaseOver(d, a, "its lease ended")
			}
		}
		for a, at := range d.used {
			if _, leased := d.Leases[a]; !leased && now.Sub(at) > forgetAddrAfter {
				e.dropAddr(d, a)
				e.cutAll(d, a)
			}
		}
		if d.age(now) {
			e.dirty, e.stale = true, true
		}
	}
}

// restoreAddrs lets leases run anew: nobody heard what happened to them while we were away, and missing news takes nothing from
// a device (standards.md 9.2).
func (d *Device) restoreAddrs(now time.Time) {
	d.used = map[netip.Addr]time.Time{}
	for _, a := range d.Addrs {
		d.used[a] = now
	}
	for a := range d.Leases {
		d.runs(a, now)
	}
	if _, ok := d.Announced[string(dhcp.SourceLLDP)]; ok {
		d.fades(dhcp.SourceLLDP, now.Add(lldpTTL))
	}
}

const lldpTTL = 2 * time.Minute // IEEE 802.1AB's default

// fades says until when an announcement holds if it is not repeated.
func (d *Device) fades(source dhcp.Source, at time.Time) {
	if d.gone == nil {
		d.gone = map[string]time.Time{}
	}
	d.gone[string(source)] = at
}
