package enforcer

import (
	"cmp"
	"fmt"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Waiting is something about a device that waits for the administrator's approval, and what that would allow.
type Waiting struct {
	MAC            dhcp.MAC `json:"mac"`
	Label          string   `json:"label"`
	Kind           string   `json:"kind"` // profile, url, or member of classes of devices
	Reason         string   `json:"reason"`
	Allows         string   `json:"allows"` // "" where the file is not known yet
	NewlyAllows    []string `json:"newly_allows"`
	NoLongerAllows []string `json:"no_longer_allows"`
	Signer         string   `json:"signer"`
	SHA256         string   `json:"sha256"` // of the file that would be approved, where it is known
	URL            string   `json:"url"`
}

// Kinds of what waits.
const (
	WaitingProfile = "profile"
	WaitingURL     = "url"
	WaitingMember  = "member"
)

// Waiting lists what waits, in the order of the MACs.
func (e *Engine) Waiting() []Waiting {
	out := []Waiting{}
	for _, mac := range e.macs() {
		if w, ok := e.waits(e.devices[mac]); ok {
			out = append(out, w)
		}
	}
	return out
}

// waits says what Approve would accept for a device, if anything waits.
func (e *Engine) waits(d *Device) (Waiting, bool) {
	j, p := e.judgeAlways(d), e.profiles[d.URL]
	w := Waiting{MAC: d.MAC, Label: e.label(d), Kind: WaitingProfile, Reason: mud.Clean(j.Reason, 1000), URL: d.URL.String(),
		NewlyAllows: []string{}, NoLongerAllows: []string{}}
	switch {
	case e.trusted[d.MAC] || d.Quarantine:
		return w, false
	case !d.Pending.IsZero():
		w.Kind, w.URL = WaitingURL, d.Pending.String()
		if next := e.profiles[d.Pending]; next != nil && cmp.Or(next.doc, next.heldFile) != nil {
			e.offers(&w, p, cmp.Or(next.doc, next.heldFile))
		}
		return w, true
	case d.URL.IsZero() || p == nil:
		return w, false
	case p.held != "":
		if w.SHA256 = p.held; p.heldFile != nil {
			e.offers(&w, p, p.heldFile)
		}
		return w, true
	case p.waiting != nil:
		w.Reason = mud.Clean(p.why, 1000)
		e.offers(&w, p, p.waiting)
		return w, true
	case p.doc == nil || j.Status != StatusHeld && (e.inClasses(d) || e.cfg.WeakMembers == "deny" || !grouped(&p.doc.Profile)):
		return w, false
	}
	if j.Status != StatusHeld {
		w.Kind = WaitingMember
	}
	e.offers(&w, nil, p.doc)
	return w, true
}

// offers says what a file allows, and what changes from the one in force (nil: from none).
func (e *Engine) offers(w *Waiting, now *profileState, doc *Verified) {
	w.Allows, w.Signer, w.SHA256 = describeProfile(&doc.Profile), doc.Signer, doc.SHA256
	if now == nil || now.doc == nil {
		return
	}
	w.NewlyAllows = append(w.NewlyAllows, e.newlyAllowed(&now.doc.Profile, &doc.Profile)...)
	w.NoLongerAllows = append(w.NoLongerAllows, e.newlyAllowed(&doc.Profile, &now.doc.Profile)...)
}

// ApproveThis is Approve if the file that would be accepted is the one with this hash: what somebody saw and what waits now may
// differ.
func (e *Engine) ApproveThis(d *Device, by, sha256 string) error {
	now := "nothing that is known"
	if w, ok := e.waits(d); ok && w.SHA256 != "" {
		now = w.SHA256
	} else if p := e.profiles[d.URL]; !ok && p != nil && p.doc != nil {
		now = p.doc.SHA256
	}
	if now != sha256 {
		return fmt.Errorf("what waits now is %s and not what you looked at; look again: mudguard device %s", now, d.MAC)
	}
	return e.Approve(d, by)
}
