package enforcer

import (
	"net/netip"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Device is what we keep about one device, by its MAC. These fields are written to the state file, when one of
// them changes; text in it is hostile.
type Device struct {
	MAC        dhcp.MAC     `json:"mac"`
	Hostname   string       `json:"hostname,omitempty"`
	Vendor     string       `json:"vendor,omitempty"`
	Interface  string       `json:"interface,omitempty"`
	URL        mud.URL      `json:"url,omitzero"`          // the binding, ours to keep (T-05)
	Source     string       `json:"source,omitempty"`      // who announced it: dhcpv4, admin, qr, …
	Pending    mud.URL      `json:"pending_url,omitzero"`  // announced later and not accepted (T1)
	BadURL     string       `json:"url_problem,omitempty"` // an announcement that is no MUD URL, and why
	Trusted    bool         `json:"pinned,omitempty"`      // a profile behind URL was once enforced: the binding is pinned
	Approved   string       `json:"approved,omitempty"`    // SHA-256 of the file that the administrator approved
	Held       bool         `json:"held,omitempty"`        // by the administrator
	Quarantine bool         `json:"quarantined,omitempty"` // by the administrator
	Mode       string       `json:"mode,omitempty"`        // observe or enforce, where it differs from the default
	Addrs      []netip.Addr `json:"addresses,omitempty"`   // its own, as far as we know
	FirstSeen  time.Time    `json:"first_seen"`
	LastSeen   time.Time    `json:"-"`
}

// kept says that there is something about the device that must survive a restart. Others come back as they speak: flash is
// not written for every MAC that passes (T14).
func (d *Device) kept() bool {
	return !d.URL.IsZero() || d.BadURL != "" || d.Quarantine || d.Held || d.Mode != ""
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
)

// Verified is a profile as the fetcher hands it over: parsed, and its signature judged.
type Verified struct {
	URL         mud.URL
	SHA256      string
	Profile     mud.Profile
	Problems    []mud.Problem
	Signer      string // "" where the file is not signed
	Warning     string // why it would have been held under another signature policy
	NextRefresh time.Time
}

// Fetcher gets and verifies profiles. It never blocks: the outcome of Submit comes to Engine.Fetched.
type Fetcher interface {
	// Submit asks for the profile behind u from the network, and says whether an outcome will come.
	Submit(u mud.URL) bool
	// Load gives what was accepted before, from the disk.
	Load(u mud.URL) (Verified, error)
	// Approve makes the file with this hash behind u acceptable although it would be held, as the administrator said, or
	// takes that back.
	Approve(u mud.URL, sha256 string, yes bool)
}

// HeldError is an outcome of a fetch where a file is there, and only the administrator may let it be used.
type HeldError interface {
	error
	Held() (sha256 string, held bool)
}

// Judgement is what is decided for a device now, and why.
type Judgement struct {
	Status Status
	Reason string
	Policy *Policy // nil: not restricted
}

// profileState is what we know about the profile behind one URL.
type profileState struct {
	doc      *Verified
	waiting  *Verified // a newer file, where each waits for approval
	err      error     // of the last try, also where doc is there
	held     string    // SHA-256 of the file that err holds
	fetching bool
	tries    int
	next     time.Time // when to try again or refresh
}

// judge decides a device's policy. Every way that does not end in a verified and approved profile ends in less.
func (e *Engine) judge(d *Device) Judgement {
	switch {
	case e.trusted[d.MAC]:
		return Judgement{Status: StatusTrusted, Reason: "listed in lan.trusted"}
	case d.Quarantine:
		return Judgement{StatusQuarantined, "put into quarantine by the administrator", &Policy{Kind: PolicyQuarantine}}
	case d.URL.IsZero() && d.BadURL != "":
		return e.fallback(StatusFailed, "announced a MUD URL that cannot be used: "+d.BadURL)
	case d.URL.IsZero():
		return e.unmanaged("announced no MUD URL")
	case d.Held:
		return e.fallback(StatusHeld, "held by the administrator")
	}
	p := e.profiles[d.URL]
	switch {
	case p == nil || p.doc == nil && p.err == nil:
		return Judgement{StatusFetching, "its profile is being fetched", &Policy{Kind: PolicyRestricted}}
	case p.doc == nil && p.held != "":
		return e.fallback(StatusHeld, p.err.Error())
	case p.doc == nil:
		return e.fallback(StatusFailed, p.err.Error())
	case e.cfg.Onboarding == "approve" && d.Approved != p.doc.SHA256:
		return e.fallback(StatusHeld, "its profile waits for approval: mudguard approve "+d.MAC.String())
	case p.doc.Profile.FromDevice == nil && p.doc.Profile.ToDevice == nil:
		return e.unmanaged("its profile states no policy (T-12)")
	}
	pol := &Policy{Kind: PolicyProfile, Profile: &p.doc.Profile}
	j := Judgement{StatusEnforced, "its profile is enforced", pol}
	if e.observes(d) {
		j.Status, j.Reason, pol.Observe = StatusObserved, "observed: nothing is denied, what would be is listed", true
	}
	switch {
	case p.waiting != nil:
		j.Reason += "; a newer profile waits for approval: mudguard approve " + d.MAC.String()
	case !d.Pending.IsZero():
		j.Reason += "; it announced another URL, " + d.Pending.String() + ", which waits for approval"
	case p.doc.Warning != "":
		j.Reason += "; " + p.doc.Warning
	case p.err != nil:
		j.Reason += "; the last refresh failed: " + p.err.Error()
	}
	return j
}

// fallback is the policy of failed and held devices: infrastructure only, unless the administrator said otherwise.
func (e *Engine) fallback(s Status, reason string) Judgement {
	if e.cfg.FailedAllow {
		return Judgement{Status: s, Reason: reason + " (failed: allow, so it is not restricted)"}
	}
	return Judgement{s, reason, &Policy{Kind: PolicyRestricted}}
}

func (e *Engine) unmanaged(reason string) Judgement {
	if e.site.BlockUnmanaged {
		return Judgement{StatusUnmanaged, reason + " (unmanaged: block)", &Policy{Kind: PolicyRestricted}}
	}
	return Judgement{Status: StatusUnmanaged, Reason: reason}
}

func (e *Engine) observes(d *Device) bool {
	if d.Mode != "" {
		return d.Mode == "observe"
	}
	return e.cfg.Observe
}
