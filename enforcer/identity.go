package enforcer

import (
	"net/netip"
	"slices"
	"time"

	"mudguard/dhcp"
)

// Whose address it is (T13, T15): ARCHITECTURE.md tells the idea.

// Names of what identity needs.
const (
	setGuarded    = "guarded"     // devices whose packets are judged, so that not all that they say of themselves counts
	setBound      = "bound"       // addresses of devices under policy, each with its MAC
	setOthers     = "others"      // addresses of hosts that are under no policy, and of this gateway
	setHeard      = "heard"       // what devices under policy were heard to use, and is bound in a moment
	setHere       = "here"        // IPv6 addresses of this gateway
	setNewSources = "new_sources" // counts what goes into heard
	setInside     = "inside"      // what a host of this network can have
	setTrusted    = "trusted"     // who may speak for others: say, an access point that answers for its stations
	chainRogue    = "rogue"       // what only this network's servers and routers say
	chainClaims   = "claims"
)

// Bounds of identity.
const (
	newSources = 16   // addresses an hour that a device may be heard to use without us
	mostOthers = 4096 // addresses of hosts under no policy that the kernel knows
	heardFor   = time.Hour
	// The target in neighbour discovery, from the ICMP header on (RFC 4861 section 4.4).
	ndTarget    = 8
	ndTargetEnd = ndTarget + 16
	ndAdvert    = 136
)

// LogSource marks what is no denial: the first packet of a device from an address that is not known to be its own.
const LogSource = "mudguard source"

// KeyType is the type of the keys under which a claim is noted.
func (n NoteClaim) KeyType() KeyType { return pairType(n.Of.v6()) }

func (k ClaimKind) v6() bool { return k == ClaimIPv6 || k == ClaimND }

func pairType(v6 bool) KeyType {
	if v6 {
		return TypeMACIPv6
	}
	return TypeMACIPv4
}

// chain names the chain for claims of a kind that are not bound to their sender.
func (k ClaimKind) chain() string {
	return chainClaims + map[ClaimKind]string{ClaimIPv4: "_4", ClaimIPv6: "_6", ClaimARP: "_arp", ClaimND: "_nd"}[k]
}

// unbound are the rules that lead there, for packets where the given matches hold.
func unbound(kinds []ClaimKind, where ...Expr) []Rule {
	var rules []Rule
	for _, k := range kinds {
		var exprs []Expr
		claim := []Expr{Claim{Of: k, Pair: true, Not: true, Set: setBound + suffix(k.v6())}}
		switch k {
		case ClaimARP:
			exprs = []Expr{EtherType{etherARP}}
		case ClaimND: // the chain has the condition itself: not every nft has a word for it
			exprs, claim = []Expr{IPVersion{true}, L4{protoICMPv6}, ICMPField{V6: true, Value: ndAdvert}}, nil
		default:
			exprs = []Expr{IPVersion{k.v6()}}
		}
		exprs = append(slices.Concat(exprs, where, claim), jump(k.chain()))
		rules = append(rules, Rule{Exprs: exprs, Comment: "an address that is not known to be its sender's"})
	}
	return rules
}

// identity adds what a table needs to tell whose an address is.
func (b *builder) identity(t *Table, kinds ...ClaimKind) {
	t.set(Set{Name: setGuarded, Key: TypeMAC, Comment: "devices under policy that are not only observed"})
	t.set(hourly(setNewSources, TypeMAC))
	if len(b.site.Trusted) > 0 {
		trusted := t.set(Set{Name: setTrusted, Key: TypeMAC})
		for _, mac := range b.site.Trusted {
			trusted.Elements[Key{MAC: mac}] = Element{}
		}
	}
	for _, v6 := range []bool{false, true} {
		t.set(Set{Name: setOwn + suffix(v6), Key: addrType(v6), Comment: "known addresses of devices under policy"})
		t.set(Set{Name: setBound + suffix(v6), Key: pairType(v6), Comment: "the same, each with its device"})
		t.set(Set{Name: setOthers + suffix(v6), Key: addrType(v6), Comment: "known addresses of others"})
		t.set(Set{Name: setInside + suffix(v6), Key: addrType(v6), Interval: true, Elements: b.site.insideRanges(v6)})
		t.set(hourly(setHeard+suffix(v6), pairType(v6)))
	}
	for _, k := range kinds {
		t.chain(Chain{Name: k.chain(), Rules: b.claimRules(k)})
	}
	b.end(t, "denied_spoof", LogSpoof, drop, Limit{By: ByEtherSrc, Set: setDenials})
}

func hourly(name string, key KeyType) Set {
	s := meter(name, key)
	s.Timeout = heardFor
	return s
}

// claimRules judge a claim that is not bound to its sender.
func (b *builder) claimRules(k ClaimKind) []Rule {
	in := func(pair bool, set string) Claim { return Claim{Of: k, Pair: pair, Set: set + suffix(k.v6())} }
	outside := in(false, setInside)
	outside.Not = true
	var rules []Rule
	if k == ClaimND {
		rules = append(rules, Rule{Exprs: []Expr{in(true, setBound), Verdict{Kind: VerdictReturn}}})
	}
	if len(b.site.Trusted) > 0 {
		rules = append(rules, Rule{Exprs: []Expr{EtherIn{Set: setTrusted}, Verdict{Kind: VerdictReturn}}})
	}
	return append(rules,
		Rule{Exprs: []Expr{in(false, setOwn), goTo("denied_spoof")}, Comment: "a device's address, from another host"},
		Rule{Exprs: []Expr{EtherIn{Not: true, Set: setGuarded}, Verdict{Kind: VerdictReturn}}},
		Rule{Exprs: []Expr{in(false, setOthers), goTo("denied_spoof")}, Comment: "another's address, from a device"},
		Rule{Exprs: []Expr{outside, goTo("denied_spoof")}, Comment: "no address of this network"},
		Rule{Exprs: []Expr{in(true, setHeard), Verdict{Kind: VerdictReturn}}},
		Rule{Exprs: []Expr{Limit{By: ByEtherSrc, Set: setNewSources, Count: newSources, Per: time.Hour, Burst: newSources},
			Log{Group: b.site.NFLOGGroup, Prefix: LogSource}, NoteClaim{Of: k, Set: setHeard + suffix(k.v6())}, Verdict{Kind: VerdictReturn}},
			Comment: "a new address of a device"},
		Rule{Exprs: []Expr{Counter{}, goTo("denied_spoof")}, Comment: "too many new addresses"})
}

// impostor stops what bears this gateway's own address and yet comes from the LAN, whoever sends it. Linux refuses such packets over
// IPv4; over IPv6 it sends them back to the link, where nothing tells them from what this host says itself: its DHCP server, say.
func impostor() []Rule {
	return []Rule{{Exprs: []Expr{IfIn{Set: setLAN}, AddrIn{V6: true, Set: setHere}, goTo("denied_spoof")}, Comment: "this gateway's own address"}}
}

// rogueRules stop what a device must not say whatever its profile allows (T15): it is no DHCP server and no router of this
// network.
func rogueRules() []Rule {
	denied := goTo("denied_out")
	rule := func(comment string, exprs ...Expr) Rule { return Rule{Exprs: append(exprs, denied), Comment: comment} }
	return []Rule{
		rule("a device is no DHCP server", IPVersion{false}, L4{protoUDP}, Port{Proto: protoUDP, Dst: true, Lo: 68, Hi: 68}),
		rule("a device is no DHCPv6 server", IPVersion{true}, L4{protoUDP}, Port{Proto: protoUDP, Dst: true, Lo: 546, Hi: 546}),
		rule("a device is no router", IPVersion{true}, L4{protoICMPv6}, ICMPField{V6: true, Value: 134}),
		rule("a device redirects nobody", IPVersion{true}, L4{protoICMPv6}, ICMPField{V6: true, Value: 137}),
		rule("a device redirects nobody", IPVersion{false}, L4{protoICMP}, ICMPField{Value: 5}),
	}
}

// whose fills in whose addresses are whose.
func (b *builder) whose() {
	for _, a := range b.site.ownAddrs() {
		b.inEach(setOthers+suffix(a.Is6()), Key{Addr: a}, "this gateway")
	}
	n := 0
	for _, m := range b.members {
		if b.guards(m) {
			b.bind(m)
			continue
		}
		for _, a := range m.Addrs {
			if n++; n <= mostOthers {
				b.inEach(setOthers+suffix(a.Is6()), Key{Addr: a}, m.MAC.String())
			}
		}
	}
}

// guards says that not all that a member says of itself counts.
func (b *builder) guards(m Member) bool {
	return m.Policy != nil && !m.Policy.Observe && !m.Trusted
}

// bind ties a device's addresses to its MAC. That it has none yet is no other host's address.
func (b *builder) bind(m Member) {
	b.inEach(setGuarded, Key{MAC: m.MAC}, "")
	for _, a := range m.Addrs {
		b.inEach(setOwn+suffix(a.Is6()), Key{Addr: a}, "")
		b.inEach(setBound+suffix(a.Is6()), Key{MAC: m.MAC, Addr: a}, "")
	}
	for _, none := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		b.inEach(setBound+suffix(none.Is6()), Key{MAC: m.MAC, Addr: none}, "")
	}
}

// inEach puts an element into a set of both tables.
func (b *builder) inEach(set string, k Key, comment string) {
	for _, t := range []*Table{b.inet, b.bridge} {
		if t != nil {
			t.Sets[set].Elements[k] = Element{Comment: comment}
		}
	}
}

// identityOnLink are the rules before all others for frames to other hosts of the link.
func identityOnLink() []Rule {
	rules := unbound([]ClaimKind{ClaimIPv4, ClaimIPv6, ClaimARP, ClaimND})
	return append(rules, Rule{Exprs: []Expr{EtherIn{Set: setGuarded}, jump(chainRogue)}})
}

// meetOthers takes from the kernel which addresses hosts have that are under no policy: the state does not keep them, and nobody
// shall borrow one because we were away.
func (e *Engine) meetOthers() {
	if e.have.Inet == nil {
		return
	}
	known := map[netip.Addr]bool{}
	for _, d := range e.devices {
		for _, a := range d.Addrs {
			known[a] = true
		}
	}
	for _, v6 := range []bool{false, true} {
		set := e.have.Inet.Sets[setOthers+suffix(v6)]
		if set == nil {
			continue
		}
		for _, k := range SortedElements(set.Elements) {
			mac, err := dhcp.ParseMAC(set.Elements[k].Comment)
			if err != nil {
				continue // this gateway's
			}
			if d := e.meet(mac); d != nil && !known[k.Addr] {
				e.uses(d, k.Addr)
			}
		}
	}
}

// heardAt takes the first packet of a device from an address that is not known to be its own.
func (e *Engine) heardAt(l LogEvent) {
	if d := e.devices[l.MAC]; d != nil {
		d.LastSeen = e.Now()
		e.uses(d, l.claim())
	}
}

// claim is the address that the sender of a packet said is its own.
func (l LogEvent) claim() netip.Addr {
	if l.Claims.IsValid() {
		return l.Claims
	}
	return l.Packet.Src
}

// named is a device's label, and its MAC.
func (e *Engine) named(d *Device) string {
	if label := e.label(d); label != d.MAC.String() {
		return label + " (" + d.MAC.String() + ")"
	}
	return d.MAC.String()
}

// borrowing says whose address a host used, and raises an alarm where it is somebody's.
func (e *Engine) borrowing(d *Device, l LogEvent) string {
	addr := l.claim()
	used := pick(l.Claims.IsValid(), " said that it has "+addr.String(), " used "+addr.String())
	of := e.macOf(addr)
	switch {
	case of == d.MAC: // it was heard meanwhile
		return e.label(d) + used + ", which was not known to be its own at that moment; it is now"
	case !of.IsZero():
		used += ", which is the address of " + e.named(e.devices[of])
	case e.site.OwnAddr(addr):
		used += ", which is this gateway's own address"
	case e.site.OnLAN(addr) || addr.IsLinkLocalUnicast():
		return e.label(d) + used + ", an address that is not known to be its own, after many others"
	default:
		return e.label(d) + used + ", a source address that is not of this network"
	}
	e.alarm(AlarmAddress, d.MAC, of, e.label(d)+used)
	return e.label(d) + used
}
