package enforcer

import (
	"net/netip"
	"slices"
	"strings"

	"mudguard/mud"
)

// flowRule is one way to match flows of a device, without saying which side opens them: rendered as "out" the peer is
// the destination, as "in" it is the source. So replies and mirrored ACEs (T-01) are the same rule, turned round.
type flowRule struct {
	v6         bool
	remote     []remoteMatch
	specific   bool // names single hosts: may be this host itself
	proto      *uint8
	remotePort mud.Ports
	localPort  mud.Ports
	icmpType   *uint8
	icmpCode   *uint8
	remoteMAC  mud.MACMatch
	localMAC   mud.MACMatch
	etherType  *uint16
	frame      bool   // frames of etherType, or of any kind where it is nil; no flows of IP
	head       []Expr // conditions on header fields: what they say is about packets of the rule's own direction
	accept     bool
	reply      bool          // match the replies to such flows, without connection tracking
	asks       *Ask          // note who asks a group, and judge nothing
	onLAN      *bool         // goes out to the LAN, or not
	opener     mud.Direction // who opened the flow, as far as connection tracking can tell
	comment    string
	ace        *mud.ACE
}

// remoteMatch is a set or a prefix that the peer must be in.
type remoteMatch struct {
	set    string
	prefix AddrPrefix
}

type compiler struct {
	site  *Site
	p     Policy
	model string
	out   Compiled
	sets  map[string]*Set
	names map[string]NameRef
	class map[string]Class
	// frames says that the profile speaks of frames that are not IP.
	frames bool
}

// Compile resolves a policy for a site. It never fails: what cannot be expressed opens nothing.
func Compile(p Policy, site *Site) *Compiled {
	c := &compiler{site: site, p: p, model: string(p.Kind), sets: map[string]*Set{}, names: map[string]NameRef{},
		class: map[string]Class{}, out: Compiled{Observe: p.Observe, Paused: p.Paused, Origins: map[string][]*mud.ACE{}}}
	out, in := c.profileRules()
	if p.Kind != PolicyQuarantine {
		out.rules = append(out.rules, c.defaults()...)
	}
	c.inet(out, in)
	if site.bridged() {
		c.bridge(out, in)
	}
	c.finish()
	return &c.out
}

// direction is what one direction's chains are made of.
type direction struct {
	rules   []flowRule // for flows opened in this direction
	replies []flowRule // the other policy, where it drops something: replies to a flow must not be dropped there
	packets []flowRule // what each packet is judged by, also in flows that were admitted
}

// profileRules reads the profile's ACEs as flows (standards.md 11.3, T-01, T-02, T-47).
func (c *compiler) profileRules() (out, in direction) {
	pr := c.p.Profile
	if c.p.Kind != PolicyProfile || pr == nil {
		return out, in
	}
	c.model = strings.TrimSpace(pr.MfgName + " " + pr.ModelName)
	if c.model == "" {
		c.model = pr.URL.String()
	}
	from, to := aces(pr.FromDevice), aces(pr.ToDevice)
	c.frames = slices.ContainsFunc(slices.Concat(from, to), func(a *mud.ACE) bool { return a.Match.EtherType != nil })
	out.rules = c.flows(openedBy(from, mud.FromDevice))
	if c.site.Literal {
		in.rules = c.flows(openedBy(to, mud.ToDevice))
	} else {
		in.rules = c.flows(unmirrored(openedBy(to, mud.ToDevice), from))
	}
	if drops(to) {
		out.replies = c.flows(openedBy(to, mud.FromDevice))
	}
	if drops(from) {
		in.replies = c.flows(openedBy(from, mud.ToDevice))
	}
	if perPacket(from) {
		out.packets = eachPacket(c.flows(from))
	}
	if perPacket(to) {
		in.packets = eachPacket(c.flows(openedBy(to, mud.FromDevice)))
	}
	return out, in
}

// aces gives what of a policy is applied. An ACE about what reaches the device by a group (RMX-2.3-a) says nothing of what is
// sent to it alone, and only that is judged.
func aces(p *mud.Policy) []*mud.ACE {
	if p == nil {
		return nil
	}
	var out []*mud.ACE
	for i := range p.ACEs {
		if p.ACEs[i].Refused == "" && !p.ACEs[i].Match.Group.IsValid() {
			out = append(out, &p.ACEs[i])
		}
	}
	return out
}

// openedBy gives the ACEs that speak of flows which side opened: those without direction-initiated, and those that name it.
func openedBy(list []*mud.ACE, side mud.Direction) []*mud.ACE {
	return slices.DeleteFunc(slices.Clone(list), func(a *mud.ACE) bool {
		return a.Match.Initiated != mud.DirectionAny && a.Match.Initiated != side
	})
}

// unmirrored leaves out the accepts that only describe the replies to what from accepts (T-01): same peer, protocol and
// ports. An explicit direction-initiated is never taken for a mirror, and what is not IP has no replies.
func unmirrored(to, from []*mud.ACE) []*mud.ACE {
	return slices.DeleteFunc(to, func(a *mud.ACE) bool {
		if a.Action != mud.Accept || a.Match.Initiated != mud.DirectionAny || a.Match.EtherType != nil {
			return false
		}
		return slices.ContainsFunc(from, func(f *mud.ACE) bool {
			return f.Action == mud.Accept && f.Match.Initiated != mud.ToDevice && sameFlow(f.Match, a.Match)
		})
	})
}

// sameFlow says that b is about the packets of flows as a describes them, in the other direction.
func sameFlow(a, b mud.Match) bool {
	return a.Family == b.Family && equalPtr(a.Protocol, b.Protocol) && slices.Equal(a.Remotes, b.Remotes) &&
		a.RemotePort == b.RemotePort && a.LocalPort == b.LocalPort &&
		(equalPtr(a.ICMPType, b.ICMPType) || answersType(a, b)) && equalPtr(a.ICMPCode, b.ICMPCode) && equalPtr(a.EtherType, b.EtherType) &&
		a.RemoteMAC == b.RemoteMAC && a.LocalMAC == b.LocalMAC && slices.Equal(a.Fields, b.Fields)
}

// answersType says that b is about the ICMP messages that answer those of a.
func answersType(a, b mud.Match) bool {
	if a.ICMPType == nil || b.ICMPType == nil || a.Protocol == nil {
		return false
	}
	reply, ok := icmpReply(*a.Protocol == protoICMPv6, *a.ICMPType)
	return ok && reply == *b.ICMPType
}

func equalPtr[T comparable](a, b *T) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

func drops(list []*mud.ACE) bool {
	return slices.ContainsFunc(list, func(a *mud.ACE) bool { return a.Action == mud.Drop })
}

// perPacket says that packets of admitted flows have to be judged too: some are dropped by their header fields.
func perPacket(list []*mud.ACE) bool {
	return slices.ContainsFunc(list, func(a *mud.ACE) bool { return a.Action == mud.Drop && len(a.Match.Fields) > 0 })
}

func (c *compiler) flows(list []*mud.ACE) []flowRule {
	var out []flowRule
	for _, a := range list {
		if c.frames && anyFrame(a.Match) && (a.Match.EtherType != nil || a.Action == mud.Drop) {
			out = append(out, c.flow(a))
		}
		if a.Match.EtherType != nil {
			continue
		}
		for _, v6 := range []bool{false, true} {
			if a.Match.Family == mud.IPv4 && v6 || a.Match.Family == mud.IPv6 && !v6 {
				continue
			}
			out = append(out, c.aceFlows(a, v6)...)
		}
	}
	return out
}

// anyFrame says that a condition is one that frames of every kind can meet, not only those of IP.
func anyFrame(m mud.Match) bool {
	return m.Family == mud.FamilyAny && m.Protocol == nil && len(m.Remotes)+len(m.Fields) == 0
}

// flow is the rule of an ACE but for what depends on the IP version. An ACE about frames has no such part.
func (c *compiler) flow(a *mud.ACE) flowRule {
	m := a.Match
	return flowRule{frame: true, etherType: m.EtherType, proto: m.Protocol, remotePort: m.RemotePort, localPort: m.LocalPort,
		icmpType: m.ICMPType, icmpCode: m.ICMPCode, remoteMAC: m.RemoteMAC, localMAC: m.LocalMAC, opener: m.Initiated,
		accept: a.Action == mud.Accept, comment: comment(c.model + ": " + a.ACL + "/" + a.Name), ace: a}
}

// aceFlows gives one rule for each way in which an ACE's remotes can hold together.
func (c *compiler) aceFlows(a *mud.ACE, v6 bool) []flowRule {
	m := a.Match
	base := c.flow(a)
	base.frame, base.v6 = false, v6
	var ok bool
	if base.head, ok = headExprs(a, v6); !ok {
		return nil
	}
	rules := []flowRule{base}
	for _, r := range m.Remotes {
		var next []flowRule
		for _, alt := range c.remote(r, v6) {
			for _, rule := range rules {
				rule.remote = append(slices.Clone(rule.remote), alt)
				rule.specific = rule.specific || specific(r)
				next = append(next, rule)
			}
		}
		rules = next
	}
	return rules
}

// specific says that a remote names single hosts, so that it may mean this gateway. "Any address" and "my LAN" never do:
// a device has no business with the router's own services unless its profile or the administrator says so.
func specific(r mud.Remote) bool {
	switch r.Kind {
	case mud.RemoteController, mud.RemoteMyController, mud.RemoteName:
		return true
	case mud.RemotePrefix:
		return r.Prefix.IsSingleIP()
	}
	return false
}

// remote gives the alternatives by which a peer can be what r names; none: nobody is.
func (c *compiler) remote(r mud.Remote, v6 bool) []remoteMatch {
	switch r.Kind {
	case mud.RemoteName:
		return []remoteMatch{c.name(r.Value, v6)}
	case mud.RemotePrefix:
		if r.Prefix.Addr().Is6() != v6 {
			return nil
		}
		return []remoteMatch{{prefix: AddrPrefix{Prefix: r.Prefix.Masked()}}}
	case mud.RemoteLocalNetworks:
		set := "local" + suffix(v6)
		c.sets[set] = &Set{Name: set, Key: addrType(v6), Interval: true, Comment: "local-networks"}
		return []remoteMatch{{set: set}}
	case mud.RemoteController:
		return c.classWith(r.Kind, r.Value, c.site.Controllers[r.Value], v6)
	case mud.RemoteMyController:
		return c.classWith(r.Kind, c.p.Profile.URL.String(), c.site.MyControllers[c.p.Profile.URL], v6)
	case mud.RemoteSameManufacturer:
		return []remoteMatch{c.members(r.Kind, c.p.Profile.URL.Authority(), v6)}
	default: // manufacturer, model
		return []remoteMatch{c.members(r.Kind, r.Value, v6)}
	}
}

func (c *compiler) name(name string, v6 bool) remoteMatch {
	ref := c.names[name]
	ref.Name, ref.V4, ref.V6 = name, ref.V4 || !v6, ref.V6 || v6
	c.names[name] = ref
	set := nameSet(name) + suffix(v6)
	c.sets[set] = &Set{Name: set, Key: addrType(v6), HasTTL: true, Learned: true, Size: nameSetSize, Comment: comment(name)}
	return remoteMatch{set: set}
}

func (c *compiler) members(kind mud.RemoteKind, value string, v6 bool) remoteMatch {
	strong := c.p.Strong && kind != mud.RemoteController && kind != mud.RemoteMyController
	base := classSet(kind, value, strong)
	c.class[base] = Class{Set: base, Kind: kind, Value: value, Strong: strong}
	set := base + suffix(v6)
	c.sets[set] = &Set{Name: set, Key: addrType(v6), Comment: comment(kindName(kind) + " " + value)}
	return remoteMatch{set: set}
}

// classWith is members, and the names that the administrator put into the class.
func (c *compiler) classWith(kind mud.RemoteKind, value string, hosts []Host, v6 bool) []remoteMatch {
	out := []remoteMatch{c.members(kind, value, v6)}
	for _, h := range hosts {
		if h.Name != "" {
			out = append(out, c.name(h.Name, v6))
		}
	}
	return out
}

func kindName(k mud.RemoteKind) string {
	return [...]string{"", "name", "network", "controller", "my-controller", "local-networks", "same-manufacturer",
		"manufacturer", "model"}[k]
}

func addrType(v6 bool) KeyType {
	if v6 {
		return TypeIPv6
	}
	return TypeIPv4
}

// defaults are DNS and NTP of this site (RFC 8520 section 5), and DNS over TCP as infrastructure (T-23). They come
// last, so that a profile can take them away with a drop.
func (c *compiler) defaults() []flowRule {
	var out []flowRule
	for _, d := range []struct {
		class   string
		proto   uint8
		port    uint16
		comment string
	}{
		{ClassDNS, protoUDP, 53, "default: DNS of this network"},
		{ClassDNS, protoTCP, 53, "infrastructure: DNS over TCP"},
		{ClassNTP, protoUDP, 123, "default: NTP of this network"},
	} {
		for _, v6 := range []bool{false, true} {
			for _, m := range c.classWith(mud.RemoteController, d.class, c.site.Controllers[d.class], v6) {
				out = append(out, flowRule{v6: v6, remote: []remoteMatch{m}, specific: true, proto: &d.proto,
					remotePort: mud.Ports{Set: true, Lo: d.port, Hi: d.port}, accept: true, comment: d.comment})
			}
		}
	}
	return out
}

// broadcast is local policy: to all hosts of the device's own segment (RMX-2.4-a, T-17).
func (c *compiler) broadcast() []flowRule {
	if c.p.Kind != PolicyProfile || c.site.Literal {
		return nil
	}
	udp := uint8(protoUDP)
	return []flowRule{{remote: []remoteMatch{{prefix: AddrPrefix{Prefix: netip.PrefixFrom(everybody, 32)}}}, proto: &udp, accept: true,
		comment: "local policy: broadcast to the own segment"}}
}

// finish names the chains by the hash of what they say.
func (c *compiler) finish() {
	for _, name := range sortedKeys(c.names) {
		c.out.Names = append(c.out.Names, c.names[name])
	}
	for _, set := range sortedKeys(c.class) {
		c.out.Classes = append(c.out.Classes, c.class[set])
	}
	for _, set := range sortedKeys(c.sets) {
		c.out.Sets = append(c.out.Sets, c.sets[set])
	}
	var b strings.Builder
	for _, ch := range c.out.Inet {
		ch.text(&b, Inet)
	}
	for _, ch := range c.out.Bridge {
		ch.text(&b, Bridge)
	}
	c.out.Name = "p_" + shortHash(b.String())
	for _, list := range [][]*Chain{c.out.Inet, c.out.Bridge} {
		for _, ch := range list {
			c.rename(ch)
		}
	}
	for old, origins := range c.out.Origins {
		delete(c.out.Origins, old)
		c.out.Origins[strings.Replace(old, placeholder, c.out.Name, 1)] = origins
	}
}

// placeholder stands for the policy's name until its content is known.
const placeholder = "p_?"

func (c *compiler) rename(ch *Chain) {
	ch.Name = strings.Replace(ch.Name, placeholder, c.out.Name, 1)
	for _, r := range ch.Rules {
		for i, e := range r.Exprs {
			if v, ok := e.(Verdict); ok && strings.HasPrefix(v.Chain, placeholder) {
				v.Chain = strings.Replace(v.Chain, placeholder, c.out.Name, 1)
				r.Exprs[i] = v
			}
		}
	}
}
