package enforcer

import (
	"fmt"
	"net/netip"
	"slices"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Sighted takes what a frame on the LAN told about a device. A message without a URL says nothing about the URL (T-05).
func (e *Engine) Sighted(s dhcp.Sighting) {
	d := e.meet(s.MAC)
	if d == nil {
		return
	}
	e.note(d, &d.Hostname, s.Hostname)
	e.note(d, &d.Vendor, s.Vendor)
	e.note(d, &d.Interface, s.Interface)
	switch s.Kind {
	case dhcp.Bound:
		e.addAddr(d, s.Addr)
		e.handOut(ClassDNS, s.DNS)
		e.handOut(ClassNTP, s.NTP)
	case dhcp.Released, dhcp.Declined:
		if slices.Contains(d.Addrs, s.Addr) {
			e.dropAddr(d, s.Addr)
			e.cutAll(d, s.Addr)
		}
	}
	switch {
	case s.Problem != "":
		e.badURL(d, s.Problem)
	case s.URL != "":
		u, err := mud.ParseURL(s.URL)
		if err != nil {
			e.badURL(d, err.Error())
			return
		}
		e.announced(d, u, string(s.Source))
	}
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
		if len(e.devices) >= maxDevices && !e.forgetOldest() {
			e.Log.Warn("too many devices, a new one is ignored", "mac", mac.String(), "limit", maxDevices)
			return nil
		}
		d = &Device{MAC: mac, FirstSeen: e.Now().UTC()}
		e.devices[mac] = d
	}
	d.LastSeen = e.Now()
	return d
}

// forgetOldest makes room by forgetting the device that was silent for longest, of those that are under no policy and about
// which there is nothing to keep.
func (e *Engine) forgetOldest() bool {
	var oldest *Device
	for _, d := range e.devices {
		if !d.kept() && (oldest == nil || d.LastSeen.Before(oldest.LastSeen)) {
			oldest = d
		}
	}
	if oldest == nil {
		return false
	}
	delete(e.devices, oldest.MAC)
	return true
}

func (e *Engine) note(d *Device, field *string, value string) {
	if value != "" && *field != value {
		*field = value
		e.dirty = e.dirty || d.kept()
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

// badURL remembers an announcement that is no MUD URL: the device is not one without a URL, and what it was bound to
// before stays.
func (e *Engine) badURL(d *Device, why string) {
	why = mud.Clean(why, 200)
	if d.BadURL != why {
		e.Log.Warn("announced MUD URL not usable", "mac", d.MAC.String(), "device", e.label(d), "why", why)
		d.BadURL, e.dirty = why, true
	}
}

// announced binds a URL to a device. The first binding behind which a profile was enforced is pinned: another URL, which
// may be a compromised device's wish for more, waits for the administrator (T1, T2, R8520-16-j).
func (e *Engine) announced(d *Device, u mud.URL, source string) {
	switch {
	case d.URL == u:
		if !d.Pending.IsZero() {
			d.Pending, e.dirty = mud.URL{}, true
		}
	case d.Pending == u:
	case d.URL.IsZero() || !d.Trusted && !brought(d.Source):
		e.bind(d, u, source)
	default:
		e.Log.Warn("device announced another MUD URL; the old profile stays", "mac", d.MAC.String(), "url", d.URL.String(),
			"announced", u.String())
		d.Pending, e.dirty = u, true
	}
}

// Sources of a URL that somebody brought. What a device announces itself doesn't replace such a URL.
const (
	SourceAdmin = "admin"
	SourceQR    = "qr"
	SourceX509  = "x509"
)

func brought(source string) bool {
	return source == SourceAdmin || source == SourceQR || source == SourceX509
}

func (e *Engine) bind(d *Device, u mud.URL, source string) {
	e.Log.Info("MUD URL", "mac", d.MAC.String(), "url", u.String(), "source", source)
	e.withdraw(d)
	d.URL, d.Source, d.Pending, d.BadURL, d.Trusted, d.Approved = u, source, mud.URL{}, "", false, ""
	e.dirty = true
	e.Tick() // the fetch starts now; until it ends the device is restricted
}

// Neighbour takes an address that the kernel saw a host on the LAN use.
func (e *Engine) Neighbour(mac dhcp.MAC, iface string, a netip.Addr) {
	if d := e.devices[mac]; d != nil {
		d.LastSeen = e.Now()
		e.note(d, &d.Interface, iface)
		e.addAddr(d, a)
	}
}

// Approve lets the administrator accept what waits: another URL, or the file as it is now.
func (e *Engine) Approve(d *Device) error {
	if !d.Pending.IsZero() {
		e.bind(d, d.Pending, d.Source)
		return nil
	}
	p := e.profiles[d.URL]
	switch {
	case d.URL.IsZero():
		return fmt.Errorf("device %s has no MUD URL; give it one with: mudguard assign %s URL", d.MAC, d.MAC)
	case p != nil && p.held != "": // also one that would replace the one in force
		// The file is fetched once more and taken if it is still that very one.
		d.Approved, p.next = p.held, e.Now()
		e.Fetcher.Approve(d.URL, p.held, true)
		e.Tick()
	case p != nil && p.waiting != nil:
		d.Approved, p.doc, p.waiting = p.waiting.SHA256, p.waiting, nil
	case p != nil && p.doc != nil:
		d.Approved = p.doc.SHA256
	default:
		return fmt.Errorf("there is no profile for %s yet, so nothing to approve", d.MAC)
	}
	d.Held, e.dirty = false, true
	return nil
}

// Hold keeps a device to infrastructure until it is approved or released.
func (e *Engine) Hold(d *Device) { d.Held, e.dirty = true, true }

// withdraw takes a device's approval back, and with the last one of a file the file: it is judged anew.
func (e *Engine) withdraw(d *Device) {
	if d.Approved == "" {
		return
	}
	for _, other := range e.devices {
		if other != d && other.URL == d.URL && other.Approved == d.Approved {
			return
		}
	}
	e.Fetcher.Approve(d.URL, d.Approved, false)
	delete(e.profiles, d.URL)
}

// Quarantine cuts a device off, but for DHCP.
func (e *Engine) Quarantine(d *Device) { d.Quarantine, e.dirty = true, true }

// Release ends a quarantine or a hold.
func (e *Engine) Release(d *Device) { d.Quarantine, d.Held, e.dirty = false, false, true }

// SetMode makes a device observed or enforced, whatever the default.
func (e *Engine) SetMode(d *Device, mode string) { d.Mode, e.dirty = mode, true }

// Forget removes all we know about a device. If it speaks again, it is new.
func (e *Engine) Forget(d *Device) {
	delete(e.devices, d.MAC)
	e.dirty = true
	e.withdraw(d)
	if e.site.BlockUnmanaged {
		for _, a := range d.Addrs {
			e.cutAll(d, a)
		}
	}
}

// Announcement is a MUD URL that somebody else than the device brings, and how he came by it.
type Announcement struct {
	URL            mud.URL // the zero URL takes the device's away
	Source         string  // SourceAdmin, SourceQR or SourceX509
	Mudsigner      []byte  // of X509: the DER Name that the file's signer must have (R8520-13.2-d); nil: any
	Company, Model string  // of QR, to compare with the file's (R9238-3.2.1-a, R9238-3.2.3-a)
}

// Assign binds a URL by hand; the zero URL takes it away. The device need not have been seen.
func (e *Engine) Assign(mac dhcp.MAC, u mud.URL) error {
	return e.AssignAs(mac, Announcement{URL: u, Source: SourceAdmin})
}

// AssignAs is Assign for a URL that the administrator, or who acts for him, has from a QR code or a certificate.
func (e *Engine) AssignAs(mac dhcp.MAC, a Announcement) error {
	d := e.meet(mac)
	if d == nil {
		return fmt.Errorf("%s cannot be a device's MAC", mac)
	}
	if a.Source == SourceQR {
		e.Log.Info("QR code", "mac", mac.String(), "company", a.Company, "model", a.Model)
	}
	e.bind(d, a.URL, a.Source)
	if a.URL.IsZero() {
		d.Source = ""
	}
	return nil
}
