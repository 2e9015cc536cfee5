package enforcer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Verified is a profile as the fetcher hands it over: parsed, and its signature judged. Next to an error that holds the
// file, the Profile is empty.
type Verified struct {
	URL         mud.URL
	Named       mud.URL // mud-url in the file
	SHA256      string
	Profile     mud.Profile
	Problems    []mud.Problem
	Signer      string // "" where nobody signed the file
	SignerSKI   string // key identifier of the CA that vouches for the signer
	SignerName  []byte // DER Name of the signer
	Warning     string // why it would have been held under another signature policy
	Provisional bool   // judged while nobody knew the time
	FetchedAt   time.Time
	NextRefresh time.Time
}

// Fetcher gets and verifies profiles. It never blocks: the outcome of Submit comes to Engine.Fetched.
type Fetcher interface {
	// Submit asks for the profile behind u from the network, and says whether an outcome will come.
	Submit(u mud.URL) bool
	// Load gives what was kept before, from the disk: as it was judged then, or anew.
	Load(u mud.URL, anew bool) (Verified, error)
	// Keep makes the outcome with this hash what Load gives.
	Keep(u mud.URL, sha256 string)
	// Approve makes the file with this hash behind u acceptable although it would be held, as the administrator said, or
	// takes that back.
	Approve(u mud.URL, sha256 string, yes bool)
}

// HeldError is an outcome of a fetch where a file is there, and only the administrator may let it be used.
type HeldError interface {
	error
	Held() (sha256 string, held bool)
}

// profileState is what we know about the profile behind one URL.
type profileState struct {
	doc      *Verified
	waiting  *Verified // a newer file that the administrator has to look at
	why      string    // it waits
	flag     string    // what was odd about a file that is used all the same
	err      error     // of the last try, also where doc is there
	held     string    // SHA-256 of the file that err holds
	heldFile *Verified // what is in it, where that is known: for who decides, never to be put to use
	failing  time.Time // since when
	warned   bool      // that it cannot be refreshed
	imported bool      // by hand: perhaps no server can be asked
	fetching bool
	tries    int
	next     time.Time // when to try again or refresh
}

// load gets a profile from the cache, and plans its refresh.
func (e *Engine) load(u mud.URL) *profileState {
	p := e.profiles[u]
	if p != nil {
		return p
	}
	p = &profileState{} // due now
	e.stale = true
	e.profiles[u] = p
	if doc, err := e.Fetcher.Load(u, false); err == nil {
		p.doc, p.next = &doc, doc.NextRefresh
	}
	return p
}

// maxWait is longer than any wait that is planned: what is due later was planned by a clock that was set back since.
const maxWait = 40 * 24 * time.Hour

// Tick asks for what is due: profiles to fetch or to refresh. It ends leases and announcements that are over.
func (e *Engine) Tick() {
	now := e.Now()
	e.age(now)
	e.lapse(now)
	e.record(now)
	used := e.urlsInUse()
	for u := range used {
		p := e.load(u)
		if due := !p.next.After(now) || p.next.Sub(now) > maxWait; due && !p.fetching {
			p.fetching = e.Fetcher.Submit(u)
		}
		e.warnOfAge(u, p, now)
	}
	maps.DeleteFunc(e.profiles, func(u mud.URL, _ *profileState) bool { return !used[u] })
}

func (e *Engine) urlsInUse() map[mud.URL]bool {
	used := map[mud.URL]bool{}
	for _, d := range e.devices {
		if !d.URL.IsZero() {
			used[d.URL] = true
		}
		if !d.Pending.IsZero() && !d.conflicting() && d.foreign() == "" {
			used[d.Pending] = true
		}
	}
	return used
}

// warnOfAge tells once that a profile was not refreshed for most of its cache-validity, and that this failed or may be up to the
// administrator (R8520-1.6-h). It stays in force all the same.
func (e *Engine) warnOfAge(u mud.URL, p *profileState, now time.Time) {
	if p.doc == nil || p.err == nil && !p.imported || p.warned {
		return
	}
	if validity := p.doc.Profile.CacheValidity; now.Sub(p.doc.FetchedAt) > validity*9/10 {
		p.warned = true
		e.Log.Warn("profile is about to be out of date and was not refreshed; it stays in force", "url", u.String(),
			"fetched", p.doc.FetchedAt, "cache_validity", validity.String(), "err", p.err)
	}
}

// outdated gives the profiles whose refresh fails for longer than twice their cache-validity (R8520-1.6-j).
func (e *Engine) outdated() []string {
	var out []string
	for u, p := range e.profiles {
		if p.doc != nil && p.err != nil && !p.failing.IsZero() && e.Now().Sub(p.failing) > 2*p.doc.Profile.CacheValidity {
			out = append(out, fmt.Sprintf("%s could not be refreshed since %s: %v", u, p.failing.UTC().Format(time.DateOnly), p.err))
		}
	}
	slices.Sort(out)
	return out
}

// Fetched takes the outcome of a fetch.
func (e *Engine) Fetched(u mud.URL, doc Verified, err error) {
	p := e.profiles[u]
	if p == nil {
		return // nobody wants it any more
	}
	p.fetching = false
	if err != nil {
		e.fetchFailed(u, p, doc, err)
	} else {
		p.imported = false
		e.offer(u, p, doc)
	}
	e.reconsider()
}

// Imported takes a file that the administrator brought, by the same rules; it need not be any device's yet. What keeps it
// from being used is an error, so that nothing waits unseen.
func (e *Engine) Imported(doc Verified) error {
	p := e.load(doc.URL)
	e.offer(doc.URL, p, doc)
	p.imported = true
	e.reconsider()
	switch {
	case p.waiting != nil:
		return fmt.Errorf("it waits for approval, since %s: mudguard approve MAC, of a device that has this URL", p.why)
	case p.err != nil:
		return p.err
	}
	return nil
}

// offer puts a file to use, unless there is one already and the administrator has to look at the change.
func (e *Engine) offer(u mud.URL, p *profileState, doc Verified) {
	if p.doc != nil && p.doc.SHA256 != doc.SHA256 && doc.Profile.LastUpdate.Before(p.doc.Profile.LastUpdate) {
		e.fetchFailed(u, p, doc, errors.New("the file offered is older than the one in force (R8520-3.4-a)"))
		return
	}
	p.err, p.held, p.heldFile, p.tries, p.next, p.failing, p.warned = nil, "", nil, 0, doc.NextRefresh, time.Time{}, false
	switch why := e.mustWait(u, p, &doc); {
	case p.doc != nil && p.doc.SHA256 == doc.SHA256:
		e.confirmed(p, doc)
	case why != "":
		e.Log.Warn("a changed profile waits for the administrator; the old one stays", "url", u.String(), "why", why)
		p.waiting, p.why = &doc, why
	default:
		e.take(u, p, &doc)
	}
}

// confirmed notes that the file in force is still the one to use.
func (e *Engine) confirmed(p *profileState, doc Verified) {
	p.waiting, p.why = nil, ""
	if doc.Signer != "" && p.doc.Signer != "" && (doc.Signer != p.doc.Signer || doc.SignerSKI != p.doc.SignerSKI) {
		p.flag = "the same file is now signed by " + doc.Signer + " and not by " + p.doc.Signer + " (R8520-16-f)"
		return // what is pinned stays pinned
	}
	p.doc.FetchedAt, p.doc.NextRefresh, p.doc.Provisional = doc.FetchedAt, doc.NextRefresh, doc.Provisional
	e.Fetcher.Keep(doc.URL, doc.SHA256)
}

func (e *Engine) take(u mud.URL, p *profileState, doc *Verified) {
	e.Log.Info("profile accepted", "url", u.String(), "signer", doc.Signer, "sha256", doc.SHA256)
	p.doc, p.waiting, p.why, p.flag = doc, nil, "", ""
	e.stale = true
	e.Fetcher.Keep(u, doc.SHA256)
}

// mustWait says why the administrator has to look at a file before it takes the place of another: "" where it may at once.
// A file may allow less, or the same, if who signed the old one signed it (RFC 8520 section 16).
func (e *Engine) mustWait(u mud.URL, p *profileState, doc *Verified) string {
	switch old := p.doc; {
	case old == nil || e.fileApproved(u, doc.SHA256):
		return ""
	case old.Signer != "" && doc.Signer == "":
		return "the one in force is signed by " + old.Signer + ", and this one by nobody"
	case old.Signer != "" && (old.Signer != doc.Signer || old.SignerSKI != doc.SignerSKI):
		return "it is signed by " + doc.Signer + ", and the one in force by " + old.Signer + pick(old.Signer == doc.Signer, " under another CA", "")
	case e.eachApproved(u, old.SHA256):
		return "each file waits (onboarding: approve)" + wouldAllow(e.newlyAllowed(&old.Profile, &doc.Profile), "; it ")
	default:
		return wouldAllow(e.newlyAllowed(&old.Profile, &doc.Profile), "it ")
	}
}

func wouldAllow(list []string, begin string) string {
	const most = 8
	if len(list) == 0 {
		return ""
	}
	if len(list) > most {
		list = append(list[:most:most], fmt.Sprintf("and %d more", len(list)-most))
	}
	return begin + "would newly allow: " + strings.Join(list, "; ")
}

// eachApproved says that files wait for approval here, and that this one was approved for some device.
func (e *Engine) eachApproved(u mud.URL, sha256 string) bool {
	return e.cfg.Onboarding == "approve" && e.fileApproved(u, sha256)
}

// fileApproved says that the administrator approved this very file.
func (e *Engine) fileApproved(u mud.URL, sha256 string) bool {
	if _, ok := e.approvals[approvalKey(u, sha256)]; ok {
		return true
	}
	for _, d := range e.devices {
		if d.URL == u && d.Approved == sha256 {
			return true
		}
	}
	return false
}

// fetchFailed keeps what is in force (R8520-1.6-i) and plans another try.
func (e *Engine) fetchFailed(u mud.URL, p *profileState, doc Verified, err error) {
	if p.err == nil || p.err.Error() != err.Error() {
		e.Log.Warn("profile not usable", "url", u.String(), "err", err)
	}
	if p.failing.IsZero() {
		p.failing = e.Now()
	}
	p.err, p.held, p.heldFile = err, "", nil
	var held HeldError
	if errors.As(err, &held) {
		p.held, _ = held.Held()
	}
	if p.held != "" && p.held == doc.SHA256 && !doc.Profile.URL.IsZero() {
		p.heldFile = &doc
	}
	p.next = e.Now().Add(e.Backoff(p.tries))
	p.tries++
	e.moved(u, p, doc)
}

// moved follows a profile that names another URL, if who signed it signed the one in force (RAU-5-c): for devices that are
// pinned to that, the other URL is one to consider.
func (e *Engine) moved(u mud.URL, p *profileState, doc Verified) {
	if doc.Named.IsZero() || doc.Named == u || p.doc == nil || doc.Signer == "" ||
		doc.Signer != p.doc.Signer || doc.SignerSKI != p.doc.SignerSKI {
		return
	}
	for _, d := range e.devices {
		if d.URL == u && d.Pending.IsZero() && d.Signer == doc.Signer && d.SignerSKI == doc.SignerSKI {
			d.Pending, d.PendingSource, e.dirty = doc.Named, sourceFile, true
		}
	}
	e.load(doc.Named)
}

// ClockSet judges again what was accepted while nobody knew the time (hardening.md 3.3).
func (e *Engine) ClockSet() {
	for u, p := range e.profiles {
		if p.doc == nil || !p.doc.Provisional {
			continue
		}
		doc, err := e.Fetcher.Load(u, true)
		if err != nil {
			p.doc, e.stale = nil, true
			e.fetchFailed(u, p, doc, err)
			continue
		}
		e.confirmed(p, doc)
	}
}

// Fetching says whether the profile of a device is being fetched.
func (e *Engine) Fetching(mac dhcp.MAC) bool {
	d := e.devices[mac]
	p := (*profileState)(nil)
	if d != nil {
		p = e.profiles[d.URL]
	}
	return p != nil && p.fetching
}

func approvalKey(u mud.URL, sha256 string) string { return sha256 + " " + u.String() }

// maxApprovals bounds the approvals of files that no device has.
const maxApprovals = 256

// ApproveFile lets a file in by its hash, whoever will have its URL (T-29).
func (e *Engine) ApproveFile(u mud.URL, sha256 string, a Approval) error {
	if len(e.approvals) >= maxApprovals {
		return fmt.Errorf("there are %d approvals of files already", maxApprovals)
	}
	e.approvals[approvalKey(u, sha256)], e.dirty = a, true
	e.Fetcher.Approve(u, sha256, true)
	return nil
}

// Approve lets the administrator accept what waits: another URL, or the file as it is now. It also confirms that the device
// is what it says, so that it may join classes (R8520-16-i).
func (e *Engine) Approve(d *Device, by string) error {
	p := e.profiles[d.URL]
	reason := e.judge(d).Reason
	switch {
	case !d.Pending.IsZero():
		e.bind(d, d.Pending, d.PendingSource)
		if next := e.profiles[d.URL]; next != nil && next.doc != nil {
			d.Approved = next.doc.SHA256
		}
	case d.URL.IsZero():
		return fmt.Errorf("device %s has no MUD URL; give it one with: mudguard assign %s URL", d.MAC, d.MAC)
	case p != nil && p.held != "": // also one that would replace the one in force
		// The file is judged once more and taken if it is still that very one.
		d.Approved, p.next = p.held, e.Now()
		e.Fetcher.Approve(d.URL, p.held, true)
		e.Tick()
	case p != nil && p.waiting != nil:
		e.approveWaiting(d, p)
	case p != nil && p.doc != nil:
		d.Approved = p.doc.SHA256
	default:
		return fmt.Errorf("there is no profile for %s yet, so nothing to approve", d.MAC)
	}
	d.Held, d.Confirmed, e.dirty = false, true, true
	d.Approval = &Approval{Time: e.Now().UTC(), By: by, Reason: mud.Clean(reason, 500)}
	return nil
}

// approveWaiting takes the file that waits, for all devices that had the one before: they go on with it, and with who signed
// it.
func (e *Engine) approveWaiting(d *Device, p *profileState) {
	old := p.doc.SHA256
	doc := p.waiting
	e.take(d.URL, p, doc)
	for _, other := range e.devices {
		if other.URL == d.URL && (other == d || other.Approved == old || other.Approved == "") {
			if other == d || other.Approved == old {
				other.Approved = doc.SHA256
			}
			other.Signer, other.SignerSKI = doc.Signer, doc.SignerSKI
		}
	}
	if doc.Signer == "" || doc.Warning != "" {
		e.Fetcher.Approve(d.URL, doc.SHA256, true)
	}
}

// withdraw takes a device's approval back, and with the last one of a file the file: it is judged anew.
func (e *Engine) withdraw(d *Device) {
	if d.Approved == "" {
		return
	}
	sha256 := d.Approved
	d.Approved, d.Approval = "", nil
	if e.fileApproved(d.URL, sha256) {
		return
	}
	e.Fetcher.Approve(d.URL, sha256, false)
	delete(e.profiles, d.URL)
}
