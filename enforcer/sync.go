package enforcer

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// owned is an address and whose it is.
type owned struct {
	d    *Device
	addr netip.Addr
}

// refusal is why and until when a policy is not tried again.
type refusal struct {
	err   error
	until time.Time
}

// sync brings the kernel and the disk in line with the state: one transaction, or none where nothing changed.
func (e *Engine) sync() error {
	if err := e.check(); err != nil {
		e.degraded, e.stale = err.Error(), true
		return err
	}
	policies := e.policies()
	err := e.apply(e.build(policies))
	e.stale = err != nil || len(e.refused) > 0
	if err == nil {
		e.failures = 0
	} else if e.failures++; e.failures > 1 { // the first may be the moment's fault, and is tried again within a second
		policies, err = e.withoutNew(policies, err)
	}
	if err == nil {
		e.changed(policies)
		e.inForce = policies
		e.Names.Use(names(policies))
		e.tellChanges()
	}
	return errors.Join(err, e.save())
}

// withoutNew is tried after the kernel refused a change: one profile that it cannot take must not keep the others from
// theirs, nor a new device from being restricted. Devices whose policy is new keep what they have, or are restricted.
func (e *Engine) withoutNew(policies map[dhcp.MAC]*Compiled, cause error) (map[dhcp.MAC]*Compiled, error) {
	out := maps.Clone(policies)
	found := false
	for mac, p := range policies {
		if !e.inKernel(p) && !e.isPlain(p) {
			found = true
			e.refused[p.Name] = refusal{cause, e.Now().Add(time.Minute)}
			out[mac] = e.instead(mac)
		}
	}
	if !found {
		return nil, cause
	}
	if err := e.apply(e.build(out)); err != nil {
		return nil, err
	}
	e.degraded = cause.Error()
	return out, nil
}

// instead is the policy of a device whose own the kernel did not take.
func (e *Engine) instead(mac dhcp.MAC) *Compiled {
	if p := e.inForce[mac]; p != nil && e.inKernel(p) {
		return p
	}
	return e.compile(&Policy{Kind: PolicyRestricted})
}

func (e *Engine) inKernel(p *Compiled) bool {
	return e.have.Inet != nil && e.have.Inet.Chains[p.Out()] != nil
}

// isPlain says that a policy is one of ours, which every kernel takes.
func (e *Engine) isPlain(p *Compiled) bool {
	for _, plain := range e.plain {
		if plain == p {
			return true
		}
	}
	return false
}

// policies gives what every device should be under.
func (e *Engine) policies() map[dhcp.MAC]*Compiled {
	out := make(map[dhcp.MAC]*Compiled, len(e.devices))
	used := map[*mud.Profile]bool{}
	maps.DeleteFunc(e.refused, func(_ string, r refusal) bool { return !r.until.After(e.Now()) })
	for mac, d := range e.devices {
		j := e.judge(d)
		e.noteState(d, j)
		if c := e.compile(j.Policy); c != nil {
			if _, no := e.refused[c.Name]; no {
				c = e.instead(mac)
			}
			out[mac] = c
			used[j.Policy.Profile] = true
		}
		if j.Policy != nil && j.Policy.Kind == PolicyProfile && (j.Status == StatusEnforced || j.Status == StatusObserved) {
			e.pin(d)
		}
	}
	maps.DeleteFunc(e.compiled, func(p *mud.Profile, _ map[variant]*Compiled) bool { return !used[p] })
	e.dropMerged(used)
	return out
}

func (e *Engine) build(policies map[dhcp.MAC]*Compiled) Ruleset {
	members := make([]Member, 0, len(e.devices))
	for _, mac := range e.macs() {
		d, p := e.devices[mac], policies[mac]
		m := Member{MAC: mac, Label: e.modelOf(d), Policy: p, Addrs: d.Addrs, Claimed: e.claimed(d), Trusted: e.trusted[mac] || p == nil && e.crowded() && !d.late}
		if d.paused(e.Now()) {
			m.Pause, m.PauseUntil = d.Pause.Until.Sub(e.Now()), d.Pause.Until
		}
		if p != nil && d.Trusted && !e.isPlain(p) && e.inClasses(d) { // who is held or in quarantine is in no class
			m.URL, m.Strong = d.URL, d.strong()
		}
		members = append(members, m)
	}
	e.Names.Use(names(policies, e.inForce)) // until the kernel has what is new, the old is what counts
	var block *Compiled
	if e.site.BlockUnmanaged || e.crowded() {
		block = e.compile(&Policy{Kind: PolicyRestricted})
	}
	return Build(&e.site, members, block, func(set string) map[Key]Element { return e.Names.Elements(set, e.Now()) })
}

// names gives the names that policies refer to.
func names(policies ...map[dhcp.MAC]*Compiled) []NameRef {
	var refs []NameRef
	seen := map[*Compiled]bool{}
	for _, m := range policies {
		for _, p := range m {
			if !seen[p] {
				seen[p] = true
				refs = append(refs, p.Names...)
			}
		}
	}
	return refs
}

func (e *Engine) macs() []dhcp.MAC {
	return slices.SortedFunc(maps.Keys(e.devices), func(a, b dhcp.MAC) int { return slices.Compare(a[:], b[:]) })
}

// label is what a device is called in sentences.
func (e *Engine) label(d *Device) string {
	if d.Name != "" {
		return mud.Clean(d.Name, maxName)
	}
	return e.modelOf(d)
}

// modelOf is what a device is called where nobody gave it a name, and in the kernel's comments.
func (e *Engine) modelOf(d *Device) string {
	if p := e.profiles[d.URL]; p != nil && p.doc != nil {
		if name := strings.TrimSpace(p.doc.Profile.MfgName + " " + p.doc.Profile.ModelName); name != "" {
			return mud.Clean(name, 60)
		}
		if s := p.doc.Profile.SystemInfo; s != "" {
			return mud.Clean(s, 60)
		}
	}
	if d.Hostname != "" {
		return mud.Clean(d.Hostname, 60)
	}
	return d.MAC.String()
}

// apply sends the difference. After an error it reads back what is there, so that the next try starts from the truth (N3).
func (e *Engine) apply(want Ruleset) error {
	d := Diff(e.have, want)
	if d.Empty() {
		e.applied(want) // what was read back has comments in place of rules; from now on it can be evaluated
		return nil
	}
	e.count.transactions++
	if err := e.Kernel.Apply(d); err != nil {
		e.count.refusals++
		if e.degraded != err.Error() {
			e.Log.Error("the kernel refused a change; the last ruleset stays in force", "err", err)
		}
		e.degraded = err.Error()
		if have, rerr := e.Kernel.Ruleset(); rerr == nil {
			e.have = have
		}
		return err
	}
	e.count.last = e.Now().UTC()
	e.applied(want)
	e.relearn(d)
	return nil
}

func (e *Engine) applied(want Ruleset) {
	e.have = want
	if len(e.refused) == 0 {
		e.degraded = ""
	}
}

// relearn puts into new sets what was learned since their elements were listed.
func (e *Engine) relearn(d Delta) {
	var list []Learned
	for _, t := range d.Tables {
		for _, s := range t.AddSets {
			if !s.Learned || s.Dynamic {
				continue
			}
			for k, el := range e.Names.Elements(s.Name, e.Now()) {
				if _, in := s.Elements[k]; !in {
					list = append(list, Learned{Set: s.Name, Addr: k.Addr, Timeout: el.Timeout})
				}
			}
		}
	}
	if len(list) > 0 {
		if err := e.Kernel.Learn(list); err != nil {
			e.Log.Warn("addresses of names not put in", "err", err)
		}
	}
}

// changed cuts flows where a policy came or went, and of addresses that became known only now.
func (e *Engine) changed(policies map[dhcp.MAC]*Compiled) {
	e.replaced(policies)
	for _, o := range e.fresh {
		if policies[o.d.MAC] != nil {
			e.cut(o.d, o.addr)
		}
	}
	e.fresh = nil
}

// recheck has all known flows of devices judged again after the next change of the kernel.
func (e *Engine) recheck() {
	for _, d := range e.devices {
		for _, a := range d.Addrs {
			e.fresh = append(e.fresh, owned{d, a})
		}
	}
}

// replaced cuts the flows of devices whose policy is another one now, as far as it does not allow them (T-20).
func (e *Engine) replaced(policies map[dhcp.MAC]*Compiled) {
	for mac, d := range e.devices {
		if policies[mac] == e.inForce[mac] || policies[mac] == nil || sameName(policies[mac], e.inForce[mac]) {
			continue
		}
		e.Log.Info("policy", "mac", mac.String(), "device", e.label(d), "state", string(e.judge(d).Status), "chains", policies[mac].Name)
		for _, a := range d.Addrs {
			e.cut(d, a)
		}
	}
}

func sameName(a, b *Compiled) bool { return a != nil && b != nil && a.Name == b.Name }

func (e *Engine) cut(d *Device, a netip.Addr) {
	others := e.claims(d, a)
	n, err := e.Kernel.Cut(a, func(f Flow) bool { return others && f.Dst == a || e.allows(d, f) })
	if err != nil {
		e.Log.Warn("flows not cut", "mac", d.MAC.String(), "addr", a.String(), "err", err)
	} else if n > 0 {
		e.Log.Info("flows cut", "mac", d.MAC.String(), "addr", a.String(), "flows", n)
	}
}

// cutAll ends all flows of an address that is nobody's now.
func (e *Engine) cutAll(d *Device, a netip.Addr) {
	others := e.claims(d, a)
	if _, err := e.Kernel.Cut(a, func(f Flow) bool { return others && f.Dst == a }); err != nil {
		e.Log.Warn("flows not cut", "mac", d.MAC.String(), "addr", a.String(), "err", err)
	}
}

// allows says whether a device's policy would admit a flow that is already there.
func (e *Engine) allows(d *Device, f Flow) bool {
	p := e.packet(d, f, !slices.Contains(d.Addrs, f.Src))
	return e.evaluate(p).Accept
}

func (e *Engine) evaluate(p Packet) Result {
	return Evaluate(e.have, &e.site, p, func(set string, a netip.Addr) bool { return e.Names.Has(set, a, e.Now()) })
}

// wan stands for every interface that is not of the LAN.
const wan = "(wan)"

// packet is the first packet of a flow from a device, or to it where in.
func (e *Engine) packet(d *Device, f Flow, in bool) Packet {
	p := Packet{Flow: f, State: "new", TCPFlags: tcpSYN}
	lan := d.Interface
	if lan == "" && len(e.site.LAN) > 0 {
		lan = e.site.LAN[0].Name
	}
	peer := e.peer(lan, f.Dst)
	if in {
		peer = e.peer(lan, f.Src)
		p.In, p.Out, p.DstMAC = peer, lan, d.MAC
		p.SrcMAC = e.macOf(f.Src)
	} else {
		p.In, p.Out, p.SrcMAC = lan, peer, d.MAC
		p.DstMAC = e.macOf(f.Dst)
	}
	return p
}

// peer is the interface behind which an address is: "" for this host.
func (e *Engine) peer(lan string, a netip.Addr) string {
	if e.site.OwnAddr(a) {
		return ""
	}
	for _, l := range e.site.LAN {
		for _, p := range l.Prefixes {
			if p.Masked().Contains(a) {
				return l.Name
			}
		}
	}
	if a.IsLinkLocalUnicast() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return lan
	}
	return wan
}

func (e *Engine) macOf(a netip.Addr) dhcp.MAC {
	for mac, d := range e.devices {
		if slices.Contains(d.Addrs, a) {
			return mac
		}
	}
	return dhcp.MAC{}
}

// writes bounds how often hosts on the LAN can make us write by what they say: some devices may come at once, but one that
// announces another URL or address with each frame must not wear the flash (T14).
type writes struct {
	since, last time.Time
	n           int
}

// Bounds of writes that nobody waits for: so many in a while, and then one at a time.
const (
	writesAtOnce = 100
	writesWindow = 10 * time.Minute
	writeEvery   = 10 * time.Second
)

func (w *writes) due(now time.Time) bool {
	if now.Sub(w.since) >= writesWindow {
		w.since, w.n = now, 0
	}
	return w.n < writesAtOnce || now.Sub(w.last) >= writeEvery
}

// save writes the state where it changed, at once if it may or somebody waits for it.
func (e *Engine) save() error {
	if e.dirty && len(e.waiting) == 0 && !e.written.due(e.Now()) {
		e.stale = true
		return nil
	}
	return e.write()
}

// write writes the state where it changed. A disk that refuses is shown; the kernel has the policy all the same.
func (e *Engine) write() error {
	if !e.dirty {
		return nil
	}
	e.stale = true // until it is saved
	e.written.last = e.Now()
	e.written.n++
	s := State{Version: 1, Handed: map[string][]netip.Addr{}, Overlays: e.Overlays(), Approvals: maps.Clone(e.approvals)}
	for class, hosts := range e.handed {
		for _, h := range hosts {
			s.Handed[class] = append(s.Handed[class], h.Addr)
		}
	}
	for _, mac := range e.macs() {
		if d := e.devices[mac]; e.kept(d) {
			s.Devices = append(s.Devices, d)
		}
	}
	if err := e.Save(s); err != nil {
		if e.unsaved != err.Error() {
			e.Log.Error("state not saved; it will be lost at a restart", "err", err)
		}
		e.unsaved = err.Error()
		return err
	}
	e.dirty, e.unsaved = false, ""
	e.stale = len(e.refused) > 0 || e.degraded != ""
	return nil
}
