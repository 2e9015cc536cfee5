package enforcer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mudguard/mud"
)

// Exception is one flow that the administrator allows a device beyond what its manufacturer declared, for a while or always. It
// becomes an ACE before all others.
type Exception struct {
	ID string `json:"id"`
	Permit
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // zero: always
	Note  string    `json:"note"`
	By    string    `json:"by"`
}

// Permit is what an exception opens.
type Permit struct {
	Direction string `json:"direction"` // out or in: who opens the flow
	Proto     string `json:"proto"`
	Remote    string `json:"remote"`         // an address or a name
	Port      uint16 `json:"port,omitempty"` // the peer's for out, the device's for in; 0: any
}

// ExceptionView is an exception in words.
type ExceptionView struct {
	Exception
	Active bool   `json:"active"`
	Text   string `json:"text"`
}

// Bounds of exceptions, which are part of the state file.
const (
	maxExceptions   = 64 // of one device
	maxNote         = 200
	maxExceptionFor = 365 * 24 * time.Hour
	exceptionPath   = "exception " // begins the path of their ACEs, where those of files have a JSON path
)

// active says that an exception holds now. Where the clock runs before it was made nobody knows, so then it does not.
func (x Exception) active(now time.Time) bool {
	return x.Until.IsZero() || holds(x.Since, x.Until, now)
}

// over says that an exception ran out.
func (x Exception) over(now time.Time) bool { return !x.Until.IsZero() && !now.Before(x.Until) }

// ace is what an exception says as an entry of a MUD file.
func (x Exception) ace() (mud.ACE, error) {
	a := mud.ACE{ACL: "exceptions", Name: x.ID, Path: exceptionPath + x.ID, Action: mud.Accept}
	proto, err := ParseProto(x.Proto)
	if err != nil {
		return a, err
	}
	m := &a.Match
	m.Protocol = &proto
	switch proto {
	case protoICMP:
		m.Family = mud.IPv4
	case protoICMPv6:
		m.Family = mud.IPv6
	}
	remote, family, err := x.remote()
	if err != nil {
		return a, err
	}
	if m.Family != mud.FamilyAny && family != mud.FamilyAny && m.Family != family {
		return a, fmt.Errorf("%s does not go to %s", x.Proto, x.Remote)
	}
	m.Family, m.Remotes = max(m.Family, family), []mud.Remote{remote}
	ports := mud.Ports{Set: x.Port != 0, Lo: x.Port, Hi: x.Port}
	if ports.Set && proto != protoTCP && proto != protoUDP {
		return a, fmt.Errorf("%s has no ports", x.Proto)
	}
	switch x.Direction {
	case "out":
		m.Initiated, m.RemotePort = mud.FromDevice, ports
	case "in":
		m.Initiated, m.LocalPort = mud.ToDevice, ports
	default:
		return a, errors.New("direction must be out (the device opens it) or in (the other side does)")
	}
	return a, nil
}

// remote reads the other side: an address or a name, never a whole network.
func (p Permit) remote() (mud.Remote, mud.Family, error) {
	if a, err := netip.ParseAddr(p.Remote); err == nil {
		a = a.Unmap()
		if a.Zone() != "" || a.IsUnspecified() {
			return mud.Remote{}, 0, fmt.Errorf("%s names no host", p.Remote)
		}
		family := mud.IPv4
		if a.Is6() {
			family = mud.IPv6
		}
		return mud.Remote{Kind: mud.RemotePrefix, Prefix: netip.PrefixFrom(a, a.BitLen())}, family, nil
	}
	name := canonical(p.Remote)
	if !hostName(name) {
		return mud.Remote{}, 0, fmt.Errorf("%q is neither an address nor a name", mud.Clean(p.Remote, 80))
	}
	return mud.Remote{Kind: mud.RemoteName, Value: name}, mud.FamilyAny, nil
}

// hostName says that a text is a host's domain name, in lower case.
func hostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || label[0] == '-' {
			return false
		}
	}
	return true
}

// ParseProto reads the name or number of an IP protocol.
func ParseProto(s string) (uint8, error) {
	s = strings.ToLower(s)
	for _, p := range []uint8{protoICMP, protoTCP, protoUDP, protoICMPv6, protoIGMP} {
		if s == protoName(p) || s == "icmpv6" && p == protoICMPv6 {
			return p, nil
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("protocol must be tcp, udp, icmp, icmpv6 or a number up to 255, not %q", mud.Clean(s, 40))
	}
	return uint8(n), nil
}

// Allow makes an exception for a device; length 0 is always. With preview it only says what it would open.
func (e *Engine) Allow(d *Device, p Permit, length time.Duration, note, by string, preview bool) (ExceptionView, error) {
	now := e.Now().UTC()
	x := Exception{ID: strconv.FormatInt(now.UnixMilli(), 36), Permit: p, Since: now, Note: mud.Clean(note, maxNote), By: mud.Clean(by, 64)}
	if length != 0 {
		x.Until = now.Add(length)
	}
	x.Remote = canonical(p.Remote)
	if _, err := x.ace(); err != nil {
		return ExceptionView{}, err
	}
	j := e.judgeAlways(d)
	switch {
	case length < 0 || length != 0 && length < time.Minute || length > maxExceptionFor:
		return ExceptionView{}, errors.New("an exception is for a time from 1m to 8760h, or for always")
	case j.Policy == nil:
		return ExceptionView{}, fmt.Errorf("%s is not restricted, so there is nothing to except: %s", d.MAC, j.Reason)
	case len(d.Exceptions) >= maxExceptions:
		return ExceptionView{}, fmt.Errorf("%s has %d exceptions already; remove one", d.MAC, maxExceptions)
	}
	v := e.exceptionView(d, x)
	if preview {
		v.ID, v.Active, v.Text = "", false, v.Text+e.already(d, x)
		return v, nil
	}
	for slices.ContainsFunc(d.Exceptions, func(other Exception) bool { return other.ID == v.ID }) {
		v.ID += "x"
	}
	d.Exceptions, d.beyondIDs, e.dirty = append(d.Exceptions, v.Exception), "", true
	return v, nil
}

// already says in a preview that a flow needs no exception, or that one does not help.
func (e *Engine) already(d *Device, x Exception) string {
	proto, _ := ParseProto(x.Proto)
	j := e.judgeAlways(d)
	if j.Policy.Kind == PolicyQuarantine {
		return "; but it is cut off (" + j.Reason + "), and as long as it is no exception counts"
	}
	y, err := e.Explain(d, Query{In: x.Direction == "in", Proto: proto, Host: x.Remote, Port: x.Port})
	if err == nil && y.Allowed && y.Rule != nil {
		return "; it is allowed already: " + y.Reason
	}
	return ""
}

// Revoke takes an exception away.
func (e *Engine) Revoke(d *Device, id string) error {
	i := slices.IndexFunc(d.Exceptions, func(x Exception) bool { return x.ID == id })
	if i < 0 {
		return fmt.Errorf("%s has no exception %s", d.MAC, mud.Clean(id, 20))
	}
	d.Exceptions, d.beyondIDs, e.dirty = slices.Delete(slices.Clone(d.Exceptions), i, i+1), "", true
	return nil
}

// Exceptions shows what a device is allowed beyond its manufacturer's policy.
func (e *Engine) Exceptions(d *Device) []ExceptionView {
	out := []ExceptionView{}
	for _, x := range d.Exceptions {
		out = append(out, e.exceptionView(d, x))
	}
	return out
}

func (e *Engine) exceptionView(d *Device, x Exception) ExceptionView {
	until := "until you remove it"
	if !x.Until.IsZero() {
		until = "until " + x.Until.UTC().Format(time.RFC3339)
	}
	remote := x.Remote
	if a, err := netip.ParseAddr(remote); err == nil {
		remote = e.hostText(a, mud.Clean(e.Names.NameOf(a), 253))
	} else if addrs := e.Names.Addrs(remote, e.Now()); len(addrs) > 0 {
		remote += " (now " + addrs[0].String() + ")"
	} else {
		remote += ", whatever addresses it has"
	}
	what := portAndProto(Flow{Proto: protoOf(x.Proto), Dport: x.Port})
	text := fmt.Sprintf("%s may open %s to %s", e.label(d), what, remote)
	if x.Direction == "in" {
		text = fmt.Sprintf("%s may open %s to %s", remote, what, e.label(d))
	}
	return ExceptionView{x, x.active(e.Now()), text + ", " + until + ". That is beyond its manufacturer's policy"}
}

func protoOf(s string) uint8 { p, _ := ParseProto(s); return p }

// beyond is the overlay of a device's exceptions that hold now; nil where there are none. It is the same as long as they are.
func (d *Device) beyond(now time.Time) *Overlay {
	var ids []string
	for _, x := range d.Exceptions {
		if x.active(now) {
			ids = append(ids, x.ID)
		}
	}
	key := strings.Join(ids, " ")
	switch {
	case key == "":
		d.beyondIDs, d.overlay = "", nil
		return nil
	case key == d.beyondIDs:
		return d.overlay
	}
	p := mud.Profile{FromDevice: &mud.Policy{}, ToDevice: &mud.Policy{}}
	for _, x := range d.Exceptions {
		a, err := x.ace()
		if err != nil || !x.active(now) { // one that this version cannot read opens nothing
			continue
		}
		side := p.FromDevice
		if a.Match.Initiated == mud.ToDevice {
			side = p.ToDevice
		}
		side.ACEs = append(side.ACEs, a)
	}
	d.beyondIDs, d.overlay = key, &Overlay{Profile: p}
	return d.overlay
}

// lapseExceptions takes away those that ran out, and says whether another set of them holds now.
func (d *Device) lapseExceptions(now time.Time) (gone, changed bool) {
	n := len(d.Exceptions)
	d.Exceptions = slices.DeleteFunc(slices.Clone(d.Exceptions), func(x Exception) bool { return x.over(now) })
	was := d.beyondIDs
	d.beyond(now)
	return len(d.Exceptions) != n, d.beyondIDs != was
}
