package enforcer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Sighted takes what a frame on the LAN told about a device. A message without a URL says nothing about the URL (T-05).
func (e *Engine) Sighted(s dhcp.Sighting) {
	if !e.hasRoom(s) {
		return
	}
	d := e.meet(s.MAC)
	if d == nil {
		return
	}
	e.heardBy(s.Source)
	e.note(d, &d.Hostname, s.Hostname)
	e.note(d, &d.Vendor, s.Vendor)
	e.note(d, &d.ClientID, s.ClientID)
	e.note(d, &d.Interface, s.Interface)
	switch s.Kind {
	case dhcp.Bound:
		e.lease(d, s.Addr, s.Lease)
		e.handOut(ClassDNS, s.DNS)
		e.handOut(ClassNTP, s.NTP)
	case dhcp.Uses:
		e.uses(d, s.Addr)
	case dhcp.Gone:
		d.fades(dhcp.SourceLLDP, e.Now())
	case dhcp.Expired:
		e.leaseOver(d, s.Addr, "its lease ended")
	case dhcp.Released:
		e.givesBack(d, s.Addr, "it gave its address back")
	case dhcp.Declined:
		e.givesBack(d, s.Addr, "it found its address in use")
	case dhcp.Refused:
		e.refusedLease(d)
	}
	e.heard(d, s)
}

// heard takes what a sighting says about a device's URL.
func (e *Engine) heard(d *Device, s dhcp.Sighting) {
	if s.Problem != "" {
		e.badURL(d, s.Problem)
		return
	}
	if s.URL == "" {
		return
	}
	u, err := mud.ParseURL(s.URL)
	if err != nil {
		e.badURL(d, err.Error())
		return
	}
	if s.Source == dhcp.SourceLLDP {
		d.fades(s.Source, e.Now().Add(s.TTL)) // IEEE 802.1AB
	}
	e.announced(d, u, string(s.Source))
}

// meet gives the device with a MAC, made if it is new. It is nil for what cannot be a device, and where the table is full of
// devices about which there is something to keep: a flood of invented MACs must neither take memory (T14) nor make us
// forget one that is restricted.
func (e *Engine) meet(mac dhcp.MAC) *Device {
	if mac.IsZero() || mac.IsMulticast() {
		return nil
	}
	d := e.devices[mac]
	if d == nil {
		if len(e.devices) >= maxDevices && !e.forgetOldest(e.passing) && !e.forgetOldest(e.stranger) {
			if e.alarmLines.add("too many devices", e.Now()) {
				e.Log.Warn("too many devices, new ones are ignored", "mac", mac.String(), "limit", maxDevices)
			}
			return nil
		}
		d = &Device{MAC: mac, FirstSeen: e.Now().UTC(), late: e.crowded()}
		e.devices[mac] = d
	}
	d.LastSeen = e.Now()
	return d
}

// forgetOldest makes room by forgetting who was silent for longest, of those that may be forgotten.
func (e *Engine) forgetOldest(may func(*Device) bool) bool {
	var oldest *Device
	for _, d := range e.devices {
		if may(d) && (oldest == nil || d.LastSeen.Before(oldest.LastSeen)) {
			oldest = d
		}
	}
	if oldest == nil {
		return false
	}
	if e.kept(oldest) {
		e.Log.Warn("forgotten to make room: it was silent, and never had a profile", "mac", oldest.MAC.String(), "url", oldest.URL.String())
		e.dirty = true
	}
	delete(e.devices, oldest.MAC)
	return true
}

// passing says that a device is under no policy and that there is nothing to keep about it.
func (e *Engine) passing(d *Device) bool { return !e.kept(d) }

// Bounds of what who announces a URL costs (T14).
const (
	maxAnnouncers   = maxDevices * 3 / 4
	strangerSilence = time.Hour
	crowdedFor      = time.Hour // after somebody was turned away
)

// stranger says that a device only announced a URL, a while ago: no profile was ever enforced for it, nobody decided about it, and
// it has no lease. Anybody can invent such.
func (e *Engine) stranger(d *Device) bool {
	heard := d.LastSeen
	if heard.Before(e.started) {
		heard = e.started
	}
	return rank(d.Source) <= 1 && !d.Trusted && d.Approval == nil && !d.Confirmed && !d.Quarantine && !d.Held && d.Mode == "" &&
		e.overlays[d.MAC.String()] == nil && len(d.Leases) == 0 && e.Now().Sub(heard) >= strangerSilence
}

// hasRoom says whether there is room for who announces a URL: announcements, which anybody can invent, must not push out all whom we
// know and leave alone. One that is turned away would have been restricted: now all newcomers are, since it cannot be told from
// them any more. It is a newcomer from then on, whatever it said before.
func (e *Engine) hasRoom(s dhcp.Sighting) bool {
	d := e.devices[s.MAC]
	if d != nil && e.kept(d) || s.URL == "" && s.Problem == "" || s.MAC.IsZero() || s.MAC.IsMulticast() {
		return true
	}
	kept := 0
	for _, other := range e.devices {
		if e.kept(other) {
			kept++
		}
	}
	if kept < maxAnnouncers || e.forgetOldest(e.stranger) {
		return true
	}
	e.stale = e.stale || d != nil || !e.crowded()
	e.turnedAway = e.Now()
	delete(e.devices, s.MAC)
	return false
}

func (e *Engine) crowded() bool {
	return !e.turnedAway.IsZero() && e.Now().Sub(e.turnedAway) < crowdedFor
}

func (e *Engine) note(d *Device, field *string, value string) {
	if value != "" && *field != value {
		*field = value
		e.dirty = e.dirty || e.kept(d)
	}
}

// handOut takes what our DHCP server hands out as this network's DNS or NTP.
func (e *Engine) handOut(class string, addrs []netip.Addr) {
	const most = 8
	for _, a := range addrs {
		h := Host{Addr: a}
		if !a.IsValid() || a.IsUnspecified() || e.site.OwnAddr(a) || slices.Contains(e.handed[class], h) || len(e.handed[class]) >= most {
			continue
		}
		e.handed[class], e.dirty = append(e.handed[class], h), true
		if _, said := e.configured[class]; !said && !slices.Contains(e.site.Controllers[class], h) {
			e.site.Controllers[class] = append(e.site.Controllers[class], h)
		}
	}
}

// Neighbour takes an address that the kernel saw a host on the LAN use: now, or some time ago where stale.
func (e *Engine) Neighbour(mac dhcp.MAC, iface string, a netip.Addr, stale bool) {
	d := e.devices[mac]
	if d == nil || stale && (d.Away != "" || slices.Contains(d.Addrs, a)) {
		return
	}
	if !stale {
		d.LastSeen = e.Now()
		e.note(d, &d.Interface, iface)
	}
	e.uses(d, a)
}

// Hold keeps a device to infrastructure until it is approved or released.
func (e *Engine) Hold(d *Device) { d.Held, e.dirty = true, true }

// Quarantine cuts a device off, but for DHCP.
func (e *Engine) Quarantine(d *Device) { d.Quarantine, e.dirty = true, true }

// Release ends a quarantine or a hold.
func (e *Engine) Release(d *Device) { d.Quarantine, d.Held, e.dirty = false, false, true }

// SetMode makes a device observed or enforced, whatever the default.
func (e *Engine) SetMode(d *Device, mode string) { d.Mode, e.dirty = mode, true }

// SetName gives a device a name; "" takes it away.
func (e *Engine) SetName(d *Device, name string) error {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName || mud.Clean(name, maxName) != name {
		return fmt.Errorf("a name has at most %d characters, and none that cannot be shown", maxName)
	}
	d.Name, e.dirty = strings.TrimSpace(name), true
	return nil
}

// maxName bounds the names of devices, in characters.
const maxName = 64

// Forget removes all we know about a device. If it speaks again, it is new.
func (e *Engine) Forget(d *Device) {
	delete(e.devices, d.MAC)
	e.attempts.forget(d.MAC)
	e.dirty = true
	e.withdraw(d)
	if e.site.BlockUnmanaged {
		for _, a := range d.Addrs {
			e.cutAll(d, a)
		}
	}
}

// Assign binds a URL by hand; the zero URL takes it away. The device need not have been seen.
func (e *Engine) Assign(mac dhcp.MAC, u mud.URL) error {
	return e.AssignAs(mac, Announcement{URL: u})
}

// AssignAs binds a URL that came by another way than a frame: an administrator's word, a QR code, a certificate.
func (e *Engine) AssignAs(mac dhcp.MAC, a Announcement) error {
	d := e.meet(mac)
	if d == nil {
		return fmt.Errorf("%s cannot be a device's MAC", mac)
	}
	if a.Source == "" {
		a.Source = SourceAdmin
	}
	if a.Source == SourceX509 && d.URL == a.URL && d.Source == SourceX509 && string(d.Mudsigner) == string(a.Mudsigner) {
		return nil // a RADIUS server tells it with every log-in
	}
	e.bind(d, a.URL, a.Source)
	d.Mudsigner, d.QRCompany, d.QRModel = a.Mudsigner, a.Company, a.Model
	if a.URL.IsZero() {
		d.Source = ""
	}
	return nil
}
