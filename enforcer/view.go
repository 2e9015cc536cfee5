package enforcer

import (
	"net/netip"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// DeviceView is a device as people and scripts see it (CONTRACT.md, JSON).
type DeviceView struct {
	MAC        dhcp.MAC     `json:"mac"`
	Addresses  []netip.Addr `json:"addresses"`
	Hostname   string       `json:"hostname"`
	Vendor     string       `json:"vendor"`
	URL        string       `json:"url"`
	PendingURL string       `json:"pending_url,omitempty"`
	Source     string       `json:"source"`
	State      Status       `json:"state"`
	Policy     string       `json:"policy"` // name of its chains; "" where it is not restricted
	Reason     string       `json:"reason"`
	FirstSeen  time.Time    `json:"first_seen"`
	LastSeen   time.Time    `json:"last_seen"`
	Profile    *ProfileView `json:"profile"`
	Label      string       `json:"label"`
	Name       string       `json:"name"` // given by the administrator
	PrivateMAC bool         `json:"private_mac"`
	PausedTill *time.Time   `json:"paused_until,omitempty"`
	Activity   Activity     `json:"activity"`
	// Only where one device is asked for.
	Infrastructure []string        `json:"infrastructure,omitempty"`
	ACEs           []ACEView       `json:"aces,omitempty"`
	Names          []NameView      `json:"names,omitempty"`
	Exceptions     []ExceptionView `json:"exceptions,omitempty"`
	Problems       []mud.Problem   `json:"problems,omitempty"`
	Denials        []Denial        `json:"denials,omitempty"`
	// What each announcer said last, the URLs that the device had before, and the administrator's approval.
	Announced  map[string]mud.URL `json:"announced,omitempty"`
	FormerURLs []mud.URL          `json:"former_urls,omitempty"`
	Approval   *Approval          `json:"approval,omitempty"`
	ClientID   string             `json:"client_id,omitempty"`
	Alarms     []Alarm            `json:"alarms,omitempty"` // about it, or raised by it
}

// ProfileView is what a profile says of itself.
type ProfileView struct {
	SystemInfo  string    `json:"systeminfo"`
	MfgName     string    `json:"mfg_name"`
	ModelName   string    `json:"model_name"`
	LastUpdate  time.Time `json:"last_update"`
	NextRefresh time.Time `json:"next_refresh"`
	Signer      string    `json:"signer"`
	SHA256      string    `json:"sha256"`
	Supported   bool      `json:"supported"`
	Allows      string    `json:"allows"`
	// Provisional: it was verified while nobody knew the time, and will be again.
	Provisional bool         `json:"provisional,omitempty"`
	Waiting     *WaitingView `json:"waiting,omitempty"`
}

// WaitingView is a newer file that waits for the administrator, and what it would change.
type WaitingView struct {
	SHA256         string    `json:"sha256"`
	Signer         string    `json:"signer"`
	LastUpdate     time.Time `json:"last_update"`
	Reason         string    `json:"reason"`
	NewlyAllows    []string  `json:"newly_allows"`
	NoLongerAllows []string  `json:"no_longer_allows"`
}

// ACEView is one ACE of a device's profile: what it says in words, and what came of it.
type ACEView struct {
	Direction string `json:"direction"` // from-device or to-device
	ACL       string `json:"acl"`
	ACE       string `json:"ace"`
	Path      string `json:"path"`
	Action    string `json:"action"`
	Text      string `json:"text"`
	Decision  string `json:"decision"` // applied, replies only, or refused and why
	// What Text is made of, for who makes sentences of it.
	Proto     string   `json:"proto,omitempty"`
	Peers     []string `json:"peers,omitempty"` // the other side is all of these; none: anyone
	Port      string   `json:"port,omitempty"`  // of the other side
	LocalPort string   `json:"local_port,omitempty"`
	Family    int      `json:"family,omitempty"` // 4 or 6
	If        []string `json:"if,omitempty"`     // further conditions
	Packets   uint64   `json:"packets"`          // first packets of flows; of all devices with this policy
	Bytes     uint64   `json:"bytes"`
}

// NameView is a name of a profile and its addresses that are open now.
type NameView struct {
	Name      string       `json:"name"`
	Addresses []netip.Addr `json:"addresses"`
	Until     []time.Time  `json:"until"` // when each of them runs out, if no answer renews it
}

// View shows a device; whole adds what is only shown of one.
func (e *Engine) View(d *Device, whole bool) DeviceView {
	j := e.judge(d)
	v := DeviceView{MAC: d.MAC, Addresses: append([]netip.Addr{}, d.Addrs...), Hostname: mud.Clean(d.Hostname, 64),
		Vendor: mud.Clean(d.Vendor, 64), URL: d.URL.String(), Source: d.Source, State: j.Status, Reason: mud.Clean(j.Reason, 500),
		FirstSeen: d.FirstSeen, LastSeen: d.LastSeen.UTC(), Label: e.label(d), Name: mud.Clean(d.Name, maxName), PrivateMAC: d.MAC.LocallyAdministered(),
		Activity: e.activityOf(d)}
	if j.Status == StatusPaused {
		v.PausedTill = new(d.Pause.Until.UTC())
	}
	if !d.Pending.IsZero() {
		v.PendingURL = d.Pending.String()
	}
	if c := e.inForce[d.MAC]; c != nil {
		v.Policy = c.Name
	}
	if c := e.compile(j.Policy); c != nil && e.refused[c.Name].err != nil {
		v.State, v.Reason = StatusFailed, "the kernel does not take its policy, so it has the last one or none but DHCP, DNS and NTP: "+
			e.refused[c.Name].err.Error()
	}
	p := e.profiles[d.URL]
	if p != nil && p.doc != nil {
		v.Profile = e.profileView(p, j)
	}
	if whole {
		e.details(&v, d, j)
	}
	return v
}

// profileView shows the profile in force, and what one would change that waits.
func (e *Engine) profileView(p *profileState, j Judgement) *ProfileView {
	pr := &p.doc.Profile
	v := &ProfileView{SystemInfo: mud.Clean(pr.SystemInfo, 60), MfgName: mud.Clean(pr.MfgName, 64), ModelName: mud.Clean(pr.ModelName, 64),
		LastUpdate: pr.LastUpdate, NextRefresh: p.next.UTC(), Signer: p.doc.Signer, SHA256: p.doc.SHA256, Supported: pr.Supported,
		Provisional: p.doc.Provisional, Allows: describeProfile(pr)}
	if j.Policy != nil && j.Policy.Kind == PolicyProfile {
		v.Allows = describeProfile(j.Policy.Profile)
	}
	if w := p.waiting; w != nil {
		v.Waiting = &WaitingView{SHA256: w.SHA256, Signer: w.Signer, LastUpdate: w.Profile.LastUpdate, Reason: mud.Clean(p.why, 1000),
			NewlyAllows: e.newlyAllowed(pr, &w.Profile), NoLongerAllows: e.newlyAllowed(&w.Profile, pr)}
	}
	return v
}

// details adds what is only shown of one device.
func (e *Engine) details(v *DeviceView, d *Device, j Judgement) {
	v.Infrastructure = infrastructure(j, &e.site)
	v.Exceptions = e.Exceptions(d)
	v.Denials, v.Alarms = e.Denials(0, d.MAC), e.Alarms(d.MAC)
	v.Announced, v.FormerURLs, v.Approval, v.ClientID = d.Announced, d.Former, d.Approval, d.ClientID
	if p := e.profiles[d.URL]; p != nil && p.doc != nil {
		v.Problems = p.doc.Problems
	}
	profile := e.shown(d, j)
	if profile == nil {
		return
	}
	v.ACEs = aceViews(profile, &e.site, e.hits(e.inForce[d.MAC]))
	for _, n := range compiledNames(e.inForce[d.MAC]) {
		v.Names = append(v.Names, e.nameView(n.Name))
	}
}

func (e *Engine) nameView(name string) NameView {
	v := NameView{Name: name, Addresses: e.Names.Addrs(name, e.Now()), Until: []time.Time{}}
	for _, a := range v.Addresses {
		v.Until = append(v.Until, e.Names.Until(name, a).UTC())
	}
	return v
}

// shown is the profile whose entries are listed: what is enforced, else what would be.
func (e *Engine) shown(d *Device, j Judgement) *mud.Profile {
	if j.Policy != nil && j.Policy.Kind == PolicyProfile {
		return j.Policy.Profile
	}
	if p := e.profiles[d.URL]; p != nil && p.doc != nil {
		return &p.doc.Profile
	}
	return nil
}

// infrastructure lists what a device may do besides its profile: local policy, told apart from MUD (R8520-A-a).
func infrastructure(j Judgement, site *Site) []string {
	if j.Policy == nil {
		return nil
	}
	out := []string{"DHCP and DHCPv6 with this network", "ARP, neighbour discovery, IGMP and MLD", "ICMP errors about its own flows"}
	if j.Policy.Kind != PolicyQuarantine {
		out = append(out, "DNS (UDP by RFC 8520, TCP by us) and NTP of this network")
	}
	if j.Policy.Kind == PolicyProfile && !site.Literal {
		out = append(out, "UDP broadcast to its own network segment (255.255.255.255), which this gateway does not listen to")
	}
	return out
}

func compiledNames(c *Compiled) []NameRef {
	if c == nil {
		return nil
	}
	return c.Names
}

// hits sums, for each ACE, what the rules that came from it counted.
func (e *Engine) hits(c *Compiled) map[*mud.ACE]Count {
	out := map[*mud.ACE]Count{}
	if c == nil || e.Counts == nil {
		return out
	}
	for name, origins := range c.Origins {
		family, chain, _ := strings.Cut(name, " ")
		counts, err := e.Counts(TableFamily(family), chain)
		if err != nil || len(counts) < len(origins) { // the last rules are never from an ACE
			continue // somebody changes the chain right now; the numbers are for people
		}
		for i, ace := range origins {
			if ace != nil {
				sum := out[ace]
				out[ace] = Count{sum.Packets + counts[i].Packets, sum.Bytes + counts[i].Bytes}
			}
		}
	}
	return out
}

func aceViews(p *mud.Profile, site *Site, hits map[*mud.ACE]Count) []ACEView {
	var out []ACEView
	add := func(pol *mud.Policy, direction string, decide func(*mud.ACE) string) {
		if pol == nil {
			return
		}
		for i := range pol.ACEs {
			a := &pol.ACEs[i]
			v := ACEView{Direction: direction, ACL: clean(a.ACL), ACE: clean(a.Name), Path: a.Path, Action: "drop",
				Text: describeACE(a), Decision: decide(a), Packets: hits[a].Packets, Bytes: hits[a].Bytes}
			v.parts(a.Match)
			if a.Action == mud.Accept {
				v.Action = "accept"
			}
			if a.Match.EtherType != nil && !site.bridged() {
				v.Decision = "not applied: no LAN interface is a bridge, so no frames between hosts pass this gateway"
			}
			if a.Refused != "" {
				v.Decision = "refused: " + clean(a.Refused)
			}
			out = append(out, v)
		}
	}
	add(p.FromDevice, "from-device", func(a *mud.ACE) string {
		return pick(a.Action == mud.Accept && a.Match.Initiated == mud.ToDevice, "replies only (T-02)", "applied")
	})
	opening := map[*mud.ACE]bool{}
	for _, a := range unmirrored(openedBy(aces(p.ToDevice), mud.ToDevice), aces(p.FromDevice)) {
		opening[a] = true
	}
	add(p.ToDevice, "to-device", func(a *mud.ACE) string {
		return pick(a.Action == mud.Accept && !opening[a], "replies only (T-01)", "applied")
	})
	return out
}

// Views shows all devices, in the order of their MACs.
func (e *Engine) Views() []DeviceView {
	out := []DeviceView{}
	for _, mac := range e.macs() {
		out = append(out, e.View(e.devices[mac], false))
	}
	return out
}

// Gap is something that is not enforced, or not as well as it should be, and why.
type Gap struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Summary is the engine's part of the status.
type Summary struct {
	Started time.Time `json:"started"`
	Devices int       `json:"devices"`
	Held    int       `json:"held"`
	Repairs int       `json:"repairs"`
	Last    *Repair   `json:"last_repair,omitempty"`
	Gaps    []Gap     `json:"gaps"`
	Alarms  []Alarm   `json:"alarms"` // of the last day
}

// Summary tells how things stand.
func (e *Engine) Summary() Summary {
	s := Summary{Started: e.started.UTC(), Devices: len(e.devices), Repairs: e.repairs, Last: e.repaired, Gaps: []Gap{}, Alarms: e.Alarms(dhcp.MAC{})}
	for _, d := range e.devices {
		if e.judge(d).Status == StatusHeld {
			s.Held++
		}
	}
	gap := func(what, why string) { s.Gaps = append(s.Gaps, Gap{what, why}) }
	if e.degraded != "" {
		gap("the kernel does not have the newest policy", e.degraded)
	}
	if e.unsaved != "" {
		gap("state is not saved", e.unsaved)
	}
	if len(e.devices) >= maxDevices {
		gap("new devices", "the table of devices is full: forget some, or set unmanaged: block")
	}
	if e.crowded() && !e.site.BlockUnmanaged {
		gap("hosts that nobody restricts", "a device that announced a URL did not fit into the table of devices: for an hour all hosts that are not in it have only DHCP, DNS and NTP")
	}
	if e.site.Queue == QueueNone {
		gap("DNS answers are not held", "the kernel has neither nft_queue nor the xt target NFQUEUE; names are looked up ahead of time only")
	}
	if e.site.NoFib {
		gap("spoofed source addresses", "the kernel has no nft_fib")
	}
	if e.site.routed() {
		gap("traffic between hosts behind one interface", "a LAN interface is no bridge, so frames between them do not pass this host, and what reaches a device is judged by its known addresses")
	}
	if e.site.Bridge == BridgeStateless {
		gap("replies between LAN hosts are judged by ports and flags", "the kernel has neither bridge connection tracking (nf_conntrack_bridge) nor, for these frames, br_netfilter")
	}
	if e.site.Literal {
		gap("literal reading", "mirrored to-device entries open what they literally say (T-01)")
	}
	for _, n := range e.Names.Notes() {
		gap("a name of a profile", n)
	}
	for _, s := range e.outdated() {
		gap("a profile is out of date", s)
	}
	return s
}
