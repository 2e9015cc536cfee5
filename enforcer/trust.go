package enforcer

import (
	"slices"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Announcers that are no frames on the LAN: a person, a certificate and a QR code.
const (
	SourceAdmin = "admin"
	SourceX509  = "x509"
	SourceQR    = "qr"
	sourceFile  = "file" // the profile in force, which names another URL
)

// rank is the rung of an announcer on the trust ladder (standards.md 1.10). What a higher one says, a lower one can't unsay.
func rank(source string) int {
	switch source {
	case SourceAdmin, SourceX509:
		return 3
	case SourceQR:
		return 2
	case "":
		return 0
	}
	return 1 // DHCP and LLDP, which any host can forge
}

// helper says that a source repeats what a frame said to a DHCP server, in part: dnsmasq cuts URLs at "=" (T-03).
func helper(source string) bool { return source == "dnsmasq" || source == "kea" }

// strong says that a device's URL came by a way that others cannot forge.
func (d *Device) strong() bool { return rank(d.Source) >= 3 }

// conflicting says that two announcers of one rung name different URLs (R8520-10.1-b).
func (d *Device) conflicting() bool {
	return !d.Pending.IsZero() && d.PendingSource != d.Source && d.PendingSource != sourceFile
}

// inClasses says whether a device may be a member of classes of devices: anybody can announce a URL by DHCP, so there an
// administrator's word is needed first (R8520-16-i).
func (e *Engine) inClasses(d *Device) bool {
	switch {
	case d.strong():
		return true
	case e.cfg.WeakMembers == "allow":
		return true
	case e.cfg.WeakMembers == "deny":
		return false
	}
	return d.Confirmed
}

// grouped says that a profile refers to classes of devices.
func grouped(p *mud.Profile) bool {
	for _, list := range [][]*mud.ACE{aces(p.FromDevice), aces(p.ToDevice)} {
		for _, a := range list {
			if slices.ContainsFunc(a.Match.Remotes, func(r mud.Remote) bool {
				return r.Kind == mud.RemoteSameManufacturer || r.Kind == mud.RemoteManufacturer || r.Kind == mud.RemoteModel
			}) {
				return true
			}
		}
	}
	return false
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

// announced takes a URL that somebody announced for a device. Only what differs from what the same announcer said before is
// news: what was decided once is not asked again with every renewal.
func (e *Engine) announced(d *Device, u mud.URL, source string) {
	news := d.Announced[source] != u
	if news {
		if d.Announced == nil {
			d.Announced = map[string]mud.URL{}
		}
		d.Announced[source], e.dirty = u, true
	}
	switch {
	case d.URL == u:
		e.agreed(d, source)
	case d.URL.IsZero():
		e.bind(d, u, source)
	case !news || d.Pending == u && d.PendingSource == source:
	case helper(source) && e.heardBetter(d, u, source):
	case rank(source) > rank(d.Source):
		e.bind(d, u, source)
	case rank(source) < rank(d.Source):
		e.Log.Warn("another MUD URL was announced than a better source says; it is ignored", "mac", d.MAC.String(),
			"url", d.URL.String(), "source", d.Source, "announced", u.String(), "announcer", source)
	case !d.Trusted && (source == d.Source || helper(d.Source)), helper(d.Source) && strings.HasPrefix(u.String(), d.URL.String()+"="):
		e.bind(d, u, source)
	default:
		e.Log.Warn("another MUD URL was announced; it waits", "mac", d.MAC.String(), "url", d.URL.String(), "announced", u.String(), "announcer", source)
		d.Pending, d.PendingSource, d.why, e.dirty = u, source, "", true
		e.Tick()
		e.reconsider()
	}
}

// agreed ends what an announcer wished before it came back to the URL that counts.
func (e *Engine) agreed(d *Device, source string) {
	if d.BadURL != "" {
		d.BadURL, e.dirty = "", true
	}
	if !d.Pending.IsZero() && d.PendingSource == source {
		d.Pending, d.PendingSource, d.why, e.dirty = mud.URL{}, "", "", true
	}
}

// heardBetter says that a DHCP server's helper tells a URL that we heard ourselves, or part of it (T-03, RDHCP-3396-b).
func (e *Engine) heardBetter(d *Device, u mud.URL, source string) bool {
	for _, wire := range []dhcp.Source{dhcp.SourceDHCPv4, dhcp.SourceDHCPv6} {
		if heard, ok := d.Announced[string(wire)]; ok {
			e.Log.Warn("the DHCP server's helper tells another MUD URL than the frame had; the frame counts", "mac", d.MAC.String(),
				"announced", heard.String(), "announcer", source, "url", u.String(), "cut", strings.HasPrefix(heard.String(), u.String()))
			return true
		}
	}
	return false
}

// bind makes a URL the device's. Nothing of what was pinned or approved before counts for it.
func (e *Engine) bind(d *Device, u mud.URL, source string) {
	e.Log.Info("MUD URL", "mac", d.MAC.String(), "url", u.String(), "source", source)
	e.withdraw(d)
	if source != sourceFile { // who announced the device stays who did where its file moves
		d.Source = source
	}
	d.leave(d.URL)
	d.URL, d.BadURL, d.Trusted, d.Signer, d.SignerSKI, d.Confirmed = u, "", false, "", "", false
	d.settled()
	if source == SourceAdmin || source == SourceQR {
		d.Mudsigner, d.QRCompany, d.QRModel = nil, "", ""
	}
	e.dirty = true
	e.Tick() // the fetch starts now; until it ends the device is restricted
}

func (d *Device) settled() {
	d.Pending, d.PendingSource, d.why = mud.URL{}, "", ""
}

// maxFormer is how many URLs of a device are remembered.
const maxFormer = 16

// leave remembers a URL behind which a profile was enforced (RAU-5.1-b).
func (d *Device) leave(u mud.URL) {
	if u.IsZero() || !d.Trusted || slices.Contains(d.Former, u) {
		return
	}
	if len(d.Former) >= maxFormer {
		d.Former = slices.Delete(d.Former, 0, 1)
	}
	d.Former = append(d.Former, u)
}

// reconsider accepts other URLs of pinned devices where the acceptable-urls draft says that no administrator is needed.
func (e *Engine) reconsider() {
	for _, d := range e.devices {
		if d.Pending.IsZero() || d.conflicting() {
			continue
		}
		if d.why = d.foreign(); d.why != "" {
			continue
		}
		next := e.load(d.Pending)
		if next.doc == nil {
			if next.err != nil {
				d.why = next.err.Error()
			}
			continue
		}
		if d.why = e.unacceptable(d, next.doc); d.why == "" {
			e.move(d)
		}
	}
}

// foreign says why no file behind a device's other URL could make it acceptable: "" where one could. Such a file is not even
// fetched: a device that was taken over must not make the gateway speak to whom it likes (T-34).
func (d *Device) foreign() string {
	switch {
	case d.PendingSource != sourceFile && !sameBase(d.URL, d.Pending):
		return "it differs in more than the last part of its path"
	case slices.Contains(d.Former, d.Pending):
		return "the device had it before: that is a way back to an older profile"
	}
	return ""
}

// unacceptable says why a device's other URL is not taken by itself (RAU-5.1-a, RAU-5.1-b): "" where it is.
func (e *Engine) unacceptable(d *Device, next *Verified) string {
	p := e.profiles[d.URL]
	switch {
	case d.Signer == "" || p == nil || p.doc == nil:
		return "nobody signed the profile in force"
	case next.Signer != d.Signer || next.SignerSKI != d.SignerSKI:
		return "the profile behind it is signed by " + pick(next.Signer == "", "nobody", next.Signer) + ", and the one in force by " + d.Signer
	case next.Profile.LastUpdate.Before(p.doc.Profile.LastUpdate):
		return "the profile behind it is older than the one in force"
	}
	return wouldAllow(e.newlyAllowed(&p.doc.Profile, &next.Profile), "it ")
}

// sameBase compares two URLs without the last segment of their paths.
func sameBase(a, b mud.URL) bool {
	base := func(u mud.URL) string {
		path, _, _ := strings.Cut(u.String(), "?")
		return path[:strings.LastIndexByte(path, '/')+1]
	}
	return base(a) == base(b)
}

// move goes on with the device's other URL; what is pinned and confirmed stays so.
func (e *Engine) move(d *Device) {
	e.Log.Info("MUD URL moved", "mac", d.MAC.String(), "url", d.URL.String(), "announced", d.Pending.String(), "signer", d.Signer)
	e.withdraw(d)
	d.leave(d.URL)
	d.URL = d.Pending
	d.settled()
	e.dirty, e.stale = true, true
}

// distrusts says why a device must not have a profile although that is verified: "" where it may.
func (d *Device) distrusts(doc *Verified) string {
	switch {
	case d.Approved == doc.SHA256:
		return ""
	case len(d.Mudsigner) > 0 && !mud.SameName(d.Mudsigner, doc.SignerName):
		return "its certificate says that another signs its profile than " + pick(doc.Signer == "", "nobody", doc.Signer) + " (R8520-13.2-d)"
	case d.Signer != "" && doc.Signer == "":
		return "its profile was signed by " + d.Signer + ", and is signed by nobody now"
	case d.Signer != "" && (doc.Signer != d.Signer || doc.SignerSKI != d.SignerSKI):
		return "its profile was signed by " + d.Signer + ", and is signed by " + doc.Signer + " now"
	}
	return ""
}

// pin remembers that a profile was enforced for a device, and who signed it (T3, RAU-5-e).
func (e *Engine) pin(d *Device) {
	p := e.profiles[d.URL]
	if p == nil || p.doc == nil {
		return
	}
	if !d.Trusted {
		d.Trusted, e.dirty = true, true
	}
	if doc := p.doc; doc.Signer != "" && (d.Signer == "" || d.Approved == doc.SHA256) && (d.Signer != doc.Signer || d.SignerSKI != doc.SignerSKI) {
		d.Signer, d.SignerSKI, e.dirty = doc.Signer, doc.SignerSKI, true
	}
}

// Announcement is a MUD URL that did not come by a frame.
type Announcement struct {
	URL            mud.URL // the zero URL takes the device's away
	Source         string  // SourceAdmin, SourceQR or SourceX509; "": SourceAdmin
	Mudsigner      []byte  // of X509: the DER Name that the file's signer must have (R8520-13.2-d); nil: any
	Company, Model string  // of QR, to compare with the file's (R9238-3.2.1-a, R9238-3.2.3-a)
}

// age forgets announcements that are repeated while they hold, and are not any more (LLDP).
func (d *Device) age(now time.Time) (changed bool) {
	for source, at := range d.gone {
		if at.After(now) {
			continue
		}
		delete(d.gone, source)
		delete(d.Announced, source)
		if d.PendingSource == source {
			d.settled()
		}
		changed = true
	}
	return changed
}
