package enforcertest

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
)

// Device is a host of the site and the policy that it is under.
type Device struct {
	Host    string
	Kind    enforcer.PolicyKind // "" with a Profile: PolicyProfile; "" without: not restricted
	Profile *Profile
	Observe bool
	Trusted bool
	Paused  bool // its policy was off, and the time is over
}

// Case is one set of policies and the packets that it must stop or let pass. Probes run in order in one kernel; each
// uses ports of its own, so that no flow helps another but for its replies.
type Case struct {
	Name    string // starts with the rows of standards.md that it is about
	Devices []Device
	Probes  []Probe
	// Site changes the site before policies are compiled; may be nil.
	Site func(*enforcer.Site)
	LAN  string // "bridge" or "routed": only where the LAN is that
	// Block puts devices without a policy under the restricted one (unmanaged: block).
	Block bool
}

// AfterPause is the same case as it is once everybody's policy was paused and the pauses ran out in the kernel alone: nothing may
// be open that would not be otherwise.
func (c Case) AfterPause() Case {
	c.Devices = slices.Clone(c.Devices)
	for i := range c.Devices {
		c.Devices[i].Paused = true
	}
	return c
}

// Flag bits of TCP for Probe.Flags.
const (
	FIN uint8 = 0x01
	SYN uint8 = 0x02
	RST uint8 = 0x04
	ACK uint8 = 0x10
)

// Probe is one packet that opens a flow, or pretends to belong to one.
type Probe struct {
	Name     string
	From, To string // hosts of the site, or an address in To
	V6       bool
	Proto    string // tcp, udp, icmp or icmpv6
	Sport    uint16
	Dport    uint16
	ICMPType uint8
	ICMPCode uint8
	Flags    uint8      // of TCP; 0: SYN, which opens a flow
	Spoof    netip.Addr // source address to claim instead of From's
	Head     Head       // what else its headers say
	// EtherType is of a frame that is not IP, from one host of the LAN to another; Proto is "" then.
	EtherType uint16
	Want      bool   // it arrives, and so do replies to it
	Log       string // prefix of the denial that it makes; "" where the test does not care
	// Late says whether an answer arrives after the flow was forgotten: pass or stop; "" where the test does not care.
	Late string
	// Silent: it belongs to no flow, and so it is dropped without being logged, as every stray packet of TCP is.
	Silent bool
	// Later are more packets of the flow, after it was opened and answered.
	Later []Later
}

// Later is a packet of an open flow: of who opened it, or of the other side where Reply.
type Later struct {
	Reply bool
	Flags uint8 // of TCP; 0: ACK
	Head  Head
	Want  bool
}

// Direction says from where to where a probe goes: out, in, lateral, to-gateway or from-gateway.
func (p Probe) Direction() string {
	switch {
	case p.From == "gateway":
		return "from-gateway"
	case p.To == "gateway":
		return "to-gateway"
	case p.FromHost().WAN:
		return "in"
	case p.ToHost().WAN:
		return "out"
	}
	return "lateral"
}

// Stateful says that stopping the probe takes connection tracking: it looks like a reply.
func (p Probe) Stateful() bool { return p.Flags != 0 && p.Flags != SYN }

// Known says whether a gateway of a mode can tell what happens to the probe. Where it knows replies by their ports and flags
// only, it lets pass what looks like one.
func (p Probe) Known(mode enforcer.BridgeMode) bool {
	reply := p.Stateful() || p.Proto == "udp" && (p.Sport == 443 || p.Dport == 443)
	return p.Tracked(mode) || !reply || p.Want
}

// Tracked says whether a gateway of a mode tracks the flow of the probe.
func (p Probe) Tracked(mode enforcer.BridgeMode) bool {
	return p.Direction() != "lateral" || mode != enforcer.BridgeStateless
}

// FromHost is the sender.
func (p Probe) FromHost() Host { return HostNamed(p.From) }

// ToHost is the receiver. One that is only an address is on the WAN, or on the LAN where its network is there.
func (p Probe) ToHost() Host {
	a, err := netip.ParseAddr(p.To)
	if err != nil {
		return HostNamed(p.To)
	}
	site := Site(enforcer.BridgeConntrack)
	return Host{Name: p.To, V4: a, V6: a, WAN: !site.OnLAN(a)}
}

// Protocol is the number of Proto.
func (p Probe) Protocol() uint8 {
	return map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}[p.Proto]
}

// Packet is the probe as the gateway's hooks see it. What is routed has the gateway's MAC at the other end.
func (p Probe) Packet() enforcer.Packet {
	from, to := p.FromHost(), p.ToHost()
	k := enforcer.Packet{In: iface(from), Out: iface(to), SrcMAC: from.frameMAC(), DstMAC: to.frameMAC(), TCPFlags: p.Flags,
		EtherType: p.EtherType}
	if p.EtherType != 0 {
		return k
	}
	k.Flow = enforcer.Flow{Src: from.Addr(p.V6), Dst: to.Addr(p.V6), Proto: p.Protocol(), Sport: p.Sport, Dport: p.Dport,
		ICMPType: p.ICMPType, ICMPCode: p.ICMPCode}
	if p.Spoof.IsValid() {
		k.Src = p.Spoof
		site := Site(enforcer.BridgeConntrack)
		k.NoRouteBack = !site.OnLAN(p.Spoof)
	}
	if k.Proto == 6 && k.TCPFlags == 0 {
		k.TCPFlags = SYN
	}
	return p.Head.Headers(k, markLen)
}

func (h Host) frameMAC() dhcp.MAC {
	if h.WAN {
		return HostNamed("gateway").MAC
	}
	return h.MAC
}

func iface(h Host) string {
	switch {
	case h.Name == "gateway":
		return ""
	case h.WAN:
		return WAN
	}
	return LAN
}

// Reply is the packet that answers p, as the hooks see it.
func (p Probe) Reply() enforcer.Packet {
	k := p.Packet()
	k.In, k.Out, k.SrcMAC, k.DstMAC = k.Out, k.In, k.DstMAC, k.SrcMAC
	k.Src, k.Dst, k.Sport, k.Dport = k.Dst, k.Src, k.Dport, k.Sport
	if k.Proto == 6 {
		k.TCPFlags = SYN | ACK
	}
	return Head{}.Headers(k, markLen)
}

// Packet is a later packet of the flow that p opened.
func (l Later) Packet(p Probe) enforcer.Packet {
	k := p.Packet()
	if l.Reply {
		k = p.Reply()
	}
	k.TCPFlags = l.Flags
	if k.Proto == 6 && l.Flags == 0 {
		k.TCPFlags = ACK
	}
	return l.Head.Headers(k, markLen)
}

// Setup is a case made ready to run.
type Setup struct {
	Site    enforcer.Site
	Ruleset enforcer.Ruleset
	Names   []enforcer.NameRef // that the policies refer to; their addresses are in the ruleset
}

// Setup compiles a case. All its profiles have to parse.
func (c Case) Setup(mode enforcer.BridgeMode) (Setup, error) {
	s := Setup{Site: Site(mode)}
	if c.Site != nil {
		c.Site(&s.Site)
	}
	var members []enforcer.Member
	for _, d := range c.Devices {
		m, err := d.member(&s.Site)
		if err != nil {
			return Setup{}, fmt.Errorf("device %s: %w", d.Host, err)
		}
		members = append(members, m)
		if m.Policy != nil {
			s.Names = append(s.Names, m.Policy.Names...)
		}
	}
	var block *enforcer.Compiled
	if c.Block {
		block = enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyRestricted}, &s.Site)
	}
	names := Learn(s.Names)
	s.Ruleset = enforcer.Build(&s.Site, members, block, func(set string) map[enforcer.Key]enforcer.Element {
		return names.Elements(set, epoch)
	})
	return s, nil
}

func (d Device) member(site *enforcer.Site) (enforcer.Member, error) {
	h := HostNamed(d.Host)
	m := enforcer.Member{MAC: h.MAC, Label: d.Host, Addrs: []netip.Addr{h.V4, h.V6}, Trusted: d.Trusted}
	pol := enforcer.Policy{Kind: d.Kind, Observe: d.Observe, Paused: d.Paused && !d.Observe}
	if d.Profile != nil {
		p, _, err := mud.Parse(d.Profile.JSON())
		if err != nil {
			return m, err
		}
		for _, part := range []*mud.Policy{p.FromDevice, p.ToDevice} {
			if err := noneRefused(part); err != nil {
				return m, err
			}
		}
		d.Profile.complete(&p)
		m.URL = p.URL
		pol.Kind, pol.Profile = enforcer.PolicyProfile, &p
	}
	if pol.Kind != "" {
		m.Policy = enforcer.Compile(pol, site)
	}
	return m, nil
}

// noneRefused finds mistakes of the table itself: an ACE that is not applied proves nothing.
func noneRefused(p *mud.Policy) error {
	if p == nil {
		return nil
	}
	for _, a := range p.ACEs {
		if a.Refused != "" {
			return fmt.Errorf("ACE %s: %s", a.Name, a.Refused)
		}
	}
	return nil
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Learn gives Names that heard the answers for refs that the site's resolver would give.
func Learn(refs []enforcer.NameRef) *enforcer.Names {
	n := enforcer.NewNames()
	n.Configure(time.Hour, nil, nil)
	n.Use(refs)
	for _, h := range Hosts() {
		if h.DNS != "" {
			n.Observe(Answer(h.DNS, h.V4), epoch)
			n.Observe(Answer(h.DNS, h.V6), epoch)
		}
	}
	return n
}

// Answer is a DNS answer with addresses for a name, kept for an hour.
func Answer(name string, addrs ...netip.Addr) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeA)
	m.Response = true
	for _, a := range addrs {
		m.Answer = append(m.Answer, Record(name, 3600, a))
	}
	return m
}

// Record is an A or AAAA record.
func Record(name string, ttl uint32, a netip.Addr) dns.RR {
	h := dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}
	if a.Is4() {
		return &dns.A{Hdr: h, A: a.AsSlice()}
	}
	h.Rrtype = dns.TypeAAAA
	return &dns.AAAA{Hdr: h, AAAA: a.AsSlice()}
}
