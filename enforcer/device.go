package enforcer

import (
	"net/netip"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Device is what we keep about one device, by its MAC. The exported fields are written to the state file, when one of
// them changes; text in it is hostile.
type Device struct {
	MAC        dhcp.MAC `json:"mac"`
	Hostname   string   `json:"hostname,omitempty"`
	Vendor     string   `json:"vendor,omitempty"`
	ClientID   string   `json:"client_id,omitempty"` // DHCP client identifier or DUID, hex; a hint only (T-38)
	Interface  string   `json:"interface,omitempty"`
	URL        mud.URL  `json:"url,omitzero"`          // the binding, ours to keep (T-05)
	Source     string   `json:"source,omitempty"`      // who announced it
	BadURL     string   `json:"url_problem,omitempty"` // an announcement that is no MUD URL, and why
	Quarantine bool     `json:"quarantined,omitempty"` // by the administrator
	Held       bool     `json:"held,omitempty"`        // by the administrator
	Mode       string   `json:"mode,omitempty"`        // observe or enforce, where it differs from the default
	Name       string   `json:"name,omitempty"`        // given by the administrator
	Pause      *Pause   `json:"pause,omitempty"`       // an older version that does not know it enforces the policy

	// Exceptions are what it is allowed beyond its profile. An older version does not know them, and allows less.
	Exceptions []Exception `json:"exceptions,omitempty"`

	// Announced is what each announcer said last: only what changes there is news.
	Announced map[string]mud.URL `json:"announced,omitempty"`
	// Pending is a URL that was announced, or that the profile moved to, and is not accepted yet (T1, T2).
	Pending       mud.URL `json:"pending_url,omitzero"`
	PendingSource string  `json:"pending_source,omitempty"`

	// What is pinned once a profile was enforced: that it was, who signed it, and which URLs the device had before.
	Trusted   bool      `json:"pinned,omitempty"`
	Signer    string    `json:"signer,omitempty"`
	SignerSKI string    `json:"signer_ski,omitempty"`
	Former    []mud.URL `json:"former_urls,omitempty"`
	Mudsigner []byte    `json:"mudsigner,omitempty"` // id-pe-mudsigner of its certificate: the DER Name that must sign

	// What its QR code says of it, which its file should say too (R9238-3.2.1-a, R9238-3.2.3-a).
	QRCompany string `json:"qr_company,omitempty"`
	QRModel   string `json:"qr_model,omitempty"`

	Approved  string    `json:"approved,omitempty"` // SHA-256 of the file that the administrator approved
	Approval  *Approval `json:"approval,omitempty"` // when, by whom and what for
	Confirmed bool      `json:"confirmed,omitempty"`

	Addrs  []netip.Addr           `json:"addresses,omitempty"` // its own, as far as we know
	Leases map[netip.Addr]seconds `json:"leases,omitempty"`    // of these, those that a DHCP server gave, and for how long
	Away   string                 `json:"away,omitempty"`      // how its last lease ended, until it has one again

	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"-"`

	ends map[netip.Addr]time.Time // of leases
	used map[netip.Addr]time.Time // when an address was last heard of
	gone map[string]time.Time     // when an announcement ages out
	why  string                   // why Pending is not accepted

	allowed, denied hours  // flows
	noted           Status // that the history has
	countedHour     int64  // of which the history has
	written         CounterRecord

	beyondIDs string   // which exceptions hold,
	overlay   *Overlay // and what they come to

	denials, wouldDeny uint64 // packets, since the start
	back               givenBack
	late               bool // it came while announcers were turned away, and may be one of them
}

// seconds is the length of a lease; 0 is one that never ends.
type seconds int64

// Approval records who let something in (RFC 8520 section 13.2).
type Approval struct {
	Time   time.Time `json:"time"`
	By     string    `json:"by"`
	Reason string    `json:"reason"` // why it had waited
}

// kept says that there is something about the device that must survive a restart. Others come back as they speak: flash is
// not written for every MAC that passes (T14).
func (e *Engine) kept(d *Device) bool {
	return e.overlays[d.MAC.String()] != nil || d.Name != "" || d.Pause != nil || len(d.Exceptions) > 0 || !d.URL.IsZero() || d.BadURL != "" || d.Quarantine || d.Held || d.Mode != ""
}

// Status is the state of a device, as CONTRACT.md names them.
type Status string

// States of devices.
const (
	StatusUnmanaged   Status = "unmanaged"
	StatusFetching    Status = "fetching"
	StatusHeld        Status = "held"
	StatusEnforced    Status = "enforced"
	StatusObserved    Status = "observed"
	StatusFailed      Status = "failed"
	StatusQuarantined Status = "quarantined"
	StatusTrusted     Status = "trusted"
	StatusPaused      Status = "paused"
)

// Statuses are all states, for those who count them.
func Statuses() []Status {
	return []Status{StatusUnmanaged, StatusFetching, StatusHeld, StatusEnforced, StatusObserved, StatusFailed, StatusQuarantined, StatusTrusted, StatusPaused}
}

// Judgement is what is decided for a device now, and why.
type Judgement struct {
	Status Status
	Reason string
	Policy *Policy // nil: not restricted
}

// judge decides a device's policy. Every way that does not end in a verified and approved profile ends in less.
func (e *Engine) judge(d *Device) Judgement { return e.withPause(d, e.judgeAlways(d)) }

// judgeAlways decides without a look at pauses.
func (e *Engine) judgeAlways(d *Device) Judgement {
	switch {
	case e.trusted[d.MAC]:
		return Judgement{Status: StatusTrusted, Reason: "listed in lan.trusted"}
	case d.Quarantine:
		return Judgement{StatusQuarantined, "put into quarantine by the administrator", &Policy{Kind: PolicyQuarantine}}
	case d.URL.IsZero() && d.BadURL != "":
		return e.fallback(d, StatusFailed, "announced a MUD URL that cannot be used: "+d.BadURL)
	case d.URL.IsZero() && e.overlaid(d):
		return e.enforced(d, nil, "the administrator's overlay is enforced")
	case d.URL.IsZero():
		return e.unmanaged(d, "announced no MUD URL")
	case d.Held:
		return e.restricted(d, StatusHeld, "held by the administrator")
	case d.conflicting(): // whatever failed devices may do: it is a device's own doing
		return e.restricted(d, StatusHeld, "conflicting sources: "+d.Source+" says "+d.URL.String()+", "+d.PendingSource+" says "+d.Pending.String()+
			"; to take the second: mudguard approve "+d.MAC.String())
	case d.Away != "":
		return Judgement{StatusEnforced, d.Away + ": until it has an address again it may only ask for one", &Policy{Kind: PolicyQuarantine}}
	}
	return e.judgeProfile(d)
}

// judgeProfile judges by what is behind the device's URL.
func (e *Engine) judgeProfile(d *Device) Judgement {
	p := e.profiles[d.URL]
	switch {
	case p == nil || p.doc == nil && p.err == nil:
		return e.restricted(d, StatusFetching, "its profile is being fetched")
	case p.doc == nil && p.held != "":
		return e.fallback(d, StatusHeld, p.err.Error())
	case p.doc == nil:
		return e.fallback(d, StatusFailed, p.err.Error())
	}
	if why := d.distrusts(p.doc); why != "" {
		return e.fallback(d, StatusHeld, why+"; to accept it: mudguard approve "+d.MAC.String())
	}
	if odd := review(&p.doc.Profile, e.cfg.AcceptAddresses); odd != "" && !e.fileApproved(d.URL, p.doc.SHA256) {
		return e.fallback(d, StatusHeld, "its profile names what an administrator has to look at: "+odd+"; to accept it: mudguard approve "+d.MAC.String())
	}
	switch {
	case e.cfg.Onboarding == "approve" && d.Approved != p.doc.SHA256:
		return e.fallback(d, StatusHeld, "its profile waits for approval: mudguard approve "+d.MAC.String())
	case p.doc.Profile.FromDevice == nil && p.doc.Profile.ToDevice == nil && !e.overlaid(d):
		return e.unmanaged(d, "its profile states no policy (T-12)")
	}
	return e.enforced(d, &p.doc.Profile, "its profile is enforced"+e.remarks(d, p))
}

// remarks are what else is to say about a device whose profile is enforced.
func (e *Engine) remarks(d *Device, p *profileState) string {
	s := ""
	add := func(format string) { s += "; " + format }
	switch {
	case p.waiting != nil:
		add("a newer profile waits for approval, since " + p.why + ": mudguard approve " + d.MAC.String())
	case !d.Pending.IsZero():
		add("it announced another URL, " + d.Pending.String() + ", which waits for approval" + because(d.why))
	case p.doc.Warning != "":
		add(p.doc.Warning)
	case p.err != nil:
		add("the last refresh failed: " + p.err.Error())
	}
	if !p.doc.Profile.Supported {
		add("its manufacturer does not support it any more")
	}
	if pr := p.doc.Profile; (d.Source == SourceX509 || d.Source == SourceQR) && pr.FirmwareRev+pr.SoftwareRev != "" {
		add("its profile is of one firmware or software version, and its URL cannot change with that (R8520-3.8-b)")
	}
	if p.flag != "" {
		add(p.flag)
	}
	for _, c := range []struct{ what, code, file string }{
		{"company", d.QRCompany, p.doc.Profile.MfgName}, {"model", d.QRModel, p.doc.Profile.ModelName},
	} {
		if c.code != "" && !strings.EqualFold(c.code, c.file) {
			add("its QR code names the " + c.what + " " + mud.Clean(c.code, 64) + ", and its profile " + pick(c.file == "", "none", mud.Clean(c.file, 64)))
		}
	}
	if !e.inClasses(d) && grouped(&p.doc.Profile) {
		add("it is in no class of devices " + pick(e.cfg.WeakMembers == "deny", "(classes.weak_members: deny)",
			"until you confirm that it is what it says: mudguard approve "+d.MAC.String()))
	}
	return s
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ", since " + why
}

// enforced is the policy that a profile comes to, with what the administrator laid over it.
func (e *Engine) enforced(d *Device, base *mud.Profile, reason string) Judgement {
	profile, why := e.merged(d, base)
	if why != "" {
		return e.fallback(d, StatusHeld, why)
	}
	pol := &Policy{Kind: PolicyProfile, Profile: profile, Strong: d.strong()}
	if e.observes(d) {
		pol.Observe = true
		return Judgement{StatusObserved, "observed: nothing is denied, what would be is listed", pol}
	}
	if d.beyond(e.Now()) != nil {
		reason += "; exceptions of the administrator go beyond it"
	}
	return Judgement{StatusEnforced, reason, pol}
}

// fallback is the policy of failed and held devices.
func (e *Engine) fallback(d *Device, s Status, reason string) Judgement {
	if e.cfg.FailedAllow && !e.overlaid(d) { // what the administrator laid over counts all the same
		return Judgement{Status: s, Reason: reason + " (failed: allow, so it is not restricted)"}
	}
	return e.restricted(d, s, reason)
}

// restricted is the policy of devices without a profile: infrastructure, and what the administrator laid over.
func (e *Engine) restricted(d *Device, s Status, reason string) Judgement {
	if profile, why := e.merged(d, nil); profile != nil && why == "" {
		return Judgement{s, reason + "; what the administrator laid over or excepted applies", &Policy{Kind: PolicyProfile, Profile: profile, Strong: d.strong()}}
	}
	return Judgement{s, reason, &Policy{Kind: PolicyRestricted}}
}

func (e *Engine) unmanaged(d *Device, reason string) Judgement {
	if e.site.BlockUnmanaged {
		return e.restricted(d, StatusUnmanaged, reason+" (unmanaged: block)")
	}
	return Judgement{Status: StatusUnmanaged, Reason: reason}
}

func (e *Engine) observes(d *Device) bool {
	if d.Mode != "" {
		return d.Mode == "observe"
	}
	return e.cfg.Observe
}
