package enforcer

import (
	"fmt"
	"net/netip"
	"strings"

	"mudguard/mud"
)

// Explanation says what would happen to a flow, and by which rule (CONTRACT.md, explain).
type Explanation struct {
	Allowed bool     `json:"allowed"`
	Rule    *RuleRef `json:"rule"`
	Reason  string   `json:"reason"`
}

// RuleRef names the ACE that decided.
type RuleRef struct {
	ACL  string `json:"acl"`
	ACE  string `json:"ace"`
	Path string `json:"path"`
}

// Query is a flow that somebody asks about.
type Query struct {
	In    bool   // opened from outside, towards the device
	Proto uint8  //
	Host  string // the other side: an address or a name
	Port  uint16 // the port of the side that is asked: the peer's for out, the device's for in
	Sport uint16 // the port of the side that opens it; 0: any
}

// Explain runs a flow through the rules that are in the kernel.
func (e *Engine) Explain(d *Device, q Query) (Explanation, error) {
	addr, name, err := e.target(q.Host)
	if err != nil {
		return Explanation{}, err
	}
	f := Flow{Src: e.addrOf(d, addr.Is6()), Dst: addr, Proto: q.Proto, Sport: q.Sport, Dport: q.Port}
	if q.Proto == protoICMP || q.Proto == protoICMPv6 {
		f.ICMPType = map[uint8]uint8{protoICMP: 8, protoICMPv6: 128}[q.Proto]
	} else if f.Sport == 0 {
		f.Sport = 49152
	}
	if q.In {
		f.Src, f.Dst = f.Dst, f.Src
	}
	if e.judge(d).Policy == nil {
		return Explanation{Allowed: true, Reason: e.label(d) + " is not restricted: " + e.judge(d).Reason}, nil
	}
	p := e.packet(d, f, q.In)
	set := nameSet(name)
	unknown := addr == dummy
	res := Evaluate(e.have, &e.site, p, func(s string, a netip.Addr) bool {
		return unknown && (s == set+"_4" || s == set+"_6") || e.Names.Has(s, a, e.Now())
	})
	return e.explain(d, f, q.In, name, res), nil
}

// target is the address that stands for the other side. A name that no answer gave an address yet is asked about by its
// set alone.
func (e *Engine) target(host string) (netip.Addr, string, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		return a, mud.Clean(e.Names.NameOf(a), 253), nil
	}
	name := canonical(host)
	if name == "" || len(name) > 253 || strings.ContainsAny(name, " /:@") {
		return netip.Addr{}, "", fmt.Errorf("%q is neither an address nor a name", host)
	}
	if addrs := e.Names.Addrs(name, e.Now()); len(addrs) > 0 {
		return addrs[0], name, nil
	}
	if a := e.Names.AddrOf(name); a.IsValid() && !e.Names.Used(name) {
		return a, name, nil
	}
	return dummy, name, nil
}

// dummy is the IPv4 dummy address (RFC 7600): it stands for one that is not known.
var dummy = netip.AddrFrom4([4]byte{192, 0, 0, 8})

// addrOf is the device's address of a family, or one that stands for it.
func (e *Engine) addrOf(d *Device, v6 bool) netip.Addr {
	for _, a := range d.Addrs {
		if a.Is6() == v6 {
			return a
		}
	}
	for _, l := range e.site.LAN {
		for _, p := range l.Prefixes {
			if p.Addr().Is6() == v6 && !p.Addr().IsLinkLocalUnicast() {
				return p.Addr().Next()
			}
		}
	}
	if v6 {
		return netip.MustParseAddr("fe80::1")
	}
	return dummy
}

func (e *Engine) explain(d *Device, f Flow, in bool, name string, res Result) Explanation {
	ace := e.decidedBy(res)
	x := Explanation{Allowed: res.Accept}
	if ace != nil {
		x.Rule = &RuleRef{ACL: ace.ACL, ACE: ace.Name, Path: ace.Path}
	}
	what := e.flowText(d, f, in, name)
	switch {
	case res.Accept && isObserved(res.Logged):
		x.Reason = what + " is let pass and listed, since " + pick(d.paused(e.Now()), "its policy is paused; ", "the device is only observed; ") + e.allowance(d)
	case res.Accept && ace != nil:
		x.Reason = fmt.Sprintf("%s is allowed by ACE %s of ACL %s: %s", what, clean(ace.Name), clean(ace.ACL), describeACE(ace))
	case res.Accept:
		x.Reason = what + " is allowed: " + e.lastComment(res)
	case ace != nil:
		x.Reason = fmt.Sprintf("%s is dropped by ACE %s of ACL %s", what, clean(ace.Name), clean(ace.ACL))
	default:
		x.Reason = what + " is denied; " + e.allowance(d)
	}
	return x
}

// decidedBy is the ACE of the last matching rule that came from one.
func (e *Engine) decidedBy(res Result) *mud.ACE {
	origins := map[string][]*mud.ACE{}
	for _, c := range e.inForce {
		for name, o := range c.Origins {
			origins[name] = o
		}
	}
	for i := len(res.Steps) - 1; i >= 0; i-- {
		s := res.Steps[i]
		if o := origins[string(s.Family)+" "+s.Chain]; s.Rule < len(o) && o[s.Rule] != nil {
			return o[s.Rule]
		}
	}
	return nil
}

// lastComment is what the last matching rule says of itself.
func (e *Engine) lastComment(res Result) string {
	for i := len(res.Steps) - 1; i >= 0; i-- {
		s := res.Steps[i]
		t := e.have.Inet
		if s.Family == Bridge {
			t = e.have.Bridge
		}
		if c := t.Chains[s.Chain]; c != nil && s.Rule < len(c.Rules) && isPolicyChain(c.Name) && c.Rules[s.Rule].Comment != "" {
			return c.Rules[s.Rule].Comment
		}
	}
	return "no rule restricts it"
}

// sentence explains a packet that was stopped.
func (e *Engine) sentence(d *Device, l LogEvent, in bool, name string) string {
	what := e.attempt(d, l.Packet, in, name)
	switch strings.TrimSuffix(l.Prefix, logWould) {
	case LogSpoof:
		if l.Claims.IsValid() {
			return e.borrowing(d, l)
		}
		return what + ": " + e.borrowing(d, l)
	case LogFlood:
		too := "opened more than %d new flows"
		if l.Packet.Proto == protoUDP && l.Packet.Dport == 53 {
			too = "asked more than %d questions"
		}
		return fmt.Sprintf("%s while it "+too+" in a %s", what, e.site.NewFlows.Count, perText(e.site.NewFlows.Per))
	}
	res := e.evaluate(e.packet(d, l.Packet, in))
	allowed := res.Accept && !isObserved(res.Logged)
	switch pol := e.inForce[d.MAC]; {
	case allowed && pol != nil && (in && pol.checksIn || !in && pol.checksOut):
		return what + ", with header fields that its profile drops"
	case allowed:
		return what + ", which was not allowed at that moment; it is now"
	}
	return what + "; " + e.allowance(d)
}

// flowText names a flow that somebody asks about.
func (e *Engine) flowText(d *Device, f Flow, in bool, name string) string {
	unresolved := name != "" && (f.Src == dummy || f.Dst == dummy)
	switch {
	case in && unresolved:
		return fmt.Sprintf("%s (no address known yet) to %s at %s", clean(name), e.label(d), portAndProto(f))
	case in:
		return fmt.Sprintf("%s to %s at %s", e.hostText(f.Src, name), e.label(d), portAndProto(f))
	case unresolved:
		return fmt.Sprintf("%s to %s (no address known yet) at %s", e.label(d), clean(name), portAndProto(f))
	}
	return e.label(d) + " to " + e.hostPort(f, name)
}

// attempt says who tried what.
func (e *Engine) attempt(d *Device, f Flow, in bool, name string) string {
	if in {
		return fmt.Sprintf("%s tried to reach %s at %s", e.hostText(f.Src, name), e.label(d), portAndProto(f))
	}
	return fmt.Sprintf("%s tried %s", e.label(d), e.hostPort(f, name))
}

func (e *Engine) hostText(a netip.Addr, name string) string {
	if other := e.devices[e.macOf(a)]; other != nil {
		return e.label(other) + " (" + a.String() + ")"
	}
	if e.site.OwnAddr(a) {
		return "this gateway (" + a.String() + ")"
	}
	if name != "" {
		return a.String() + " (" + clean(name) + ")"
	}
	return a.String()
}

func (e *Engine) hostPort(f Flow, name string) string {
	host := f.Dst.String()
	if f.Dst.Is6() {
		host = "[" + host + "]"
	}
	s := host + " " + protoName(f.Proto)
	if f.Dport != 0 {
		s = fmt.Sprintf("%s:%d/%s", host, f.Dport, protoName(f.Proto))
	}
	switch other := e.devices[e.macOf(f.Dst)]; {
	case other != nil:
		s += " (" + e.label(other) + ")"
	case e.site.OwnAddr(f.Dst):
		s += " (this gateway)"
	case name != "":
		s += " (" + clean(name) + ")"
	}
	return s
}

func portAndProto(f Flow) string {
	if f.Dport == 0 {
		return protoName(f.Proto)
	}
	return fmt.Sprintf("port %d/%s", f.Dport, protoName(f.Proto))
}

func clean(s string) string { return mud.Clean(s, 80) }

// allowance says what a device's policy allows, in a few words.
func (e *Engine) allowance(d *Device) string {
	j := e.judge(d)
	if j.Policy != nil && j.Policy.Kind == PolicyQuarantine {
		return "it has only DHCP of this network, since: " + j.Reason
	}
	if j.Policy == nil || j.Policy.Kind != PolicyProfile {
		return "it has only DHCP, DNS and NTP of this network, since: " + j.Reason
	}
	return "its profile allows " + describeProfile(j.Policy.Profile)
}
