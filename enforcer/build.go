package enforcer

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Member is one device as the ruleset sees it.
type Member struct {
	MAC    dhcp.MAC
	Label  string    // for comments: a name for people
	Policy *Compiled // nil: none, the device is not restricted
	// Pause is how long a Paused policy is off yet, PauseUntil the end.
	Pause      time.Duration
	PauseUntil time.Time
	Addrs      []netip.Addr // addresses that are known to be its own
	Claimed    []netip.Addr // of these, those that may be anybody's on the Internet: no others may reach them for its sake
	URL        mud.URL      // of the profile in force, for the classes of other devices; zero: in none
	Strong     bool         // which of two classes (T-39)
	Trusted    bool         // never restricted, also where devices without a URL are blocked
}

// Priorities of our base chains: unique, before every ordinary filter and after conntrack. In the bridge family they come
// after br_netfilter (0), so that the inet chains have marked replies by then.
const (
	prioDNS      = -70
	prioFrom     = -60
	prioTo       = -59
	prioFromLink = 10
	prioToLink   = 11
)

type builder struct {
	site    *Site
	block   *Compiled // policy of devices without a URL where they are blocked
	members []Member
	known   func(set string) map[Key]Element
	inet    *Table
	bridge  *Table // nil where no LAN interface is a bridge

	checksOut, checksIn, asks bool // what some policy needs
}

// Build puts together the ruleset for a site and its devices. block is the policy for devices that are no members, nil
// where those are not restricted. known gives the elements that a learned set should have when it is made; may be nil.
func Build(site *Site, members []Member, block *Compiled, known func(set string) map[Key]Element) Ruleset {
	b := &builder{site: site, block: block, members: members, known: known, inet: newTable(Inet)}
	if site.bridged() {
		b.bridge = newTable(Bridge)
	}
	for _, m := range members {
		if p := m.Policy; p != nil && !m.Trusted {
			b.checksOut, b.checksIn, b.asks = b.checksOut || p.checksOut, b.checksIn || p.checksIn, b.asks || p.asks
		}
	}
	b.commonSets()
	b.rareSets()
	b.baseChains()
	b.endChains()
	b.pausing()
	b.devices()
	b.whose()
	if block != nil {
		b.policy(block)
	}
	return Ruleset{Inet: b.inet, Bridge: b.bridge}
}

func newTable(f TableFamily) *Table {
	return &Table{Family: f, Sets: map[string]*Set{}, Chains: map[string]*Chain{}}
}

func (t *Table) set(s Set) *Set {
	if s.Elements == nil {
		s.Elements = map[Key]Element{}
	}
	t.Sets[s.Name] = &s
	return &s
}

// chain adds a chain of ours that is no policy. Its first comment carries a hash of what it says, since rules read back
// from the kernel are compared by their comments.
func (t *Table) chain(c Chain) {
	if len(c.Rules) > 0 {
		var text strings.Builder
		c.text(&text, t.Family)
		first := &c.Rules[0]
		first.Comment = comment(strings.TrimSpace(first.Comment + " #" + shortHash(text.String())[:6]))
	}
	t.Chains[c.Name] = &c
}

func (b *builder) baseChains() {
	from := func(name string, hook Hook, dispatch, checked, policy string, claims ...ClaimKind) {
		rules := append(unbound(claims, IfIn{Set: setLAN}), b.fromRules(dispatch, checked, policy)...)
		if hook == HookForward {
			rules = append(impostor(), rules...)
		}
		b.inet.chain(Chain{Name: name, Hook: hook, Priority: prioFrom, Rules: rules})
	}
	from("forward_from", HookForward, mapFrom, mapChecked, blockChain(b.block, (*Compiled).Out), ClaimIPv4, ClaimIPv6)
	from("input_from", HookInput, mapGateway, mapCheckedGW, blockChain(b.block, (*Compiled).Gateway), ClaimIPv4, ClaimIPv6, ClaimND)
	b.inet.chain(Chain{Name: "forward_to", Hook: HookForward, Priority: prioTo, Rules: b.toRules(nil)})
	b.inet.chain(Chain{Name: "output_to", Hook: HookOutput, Priority: prioTo, Rules: b.toRules(b.ownAnswers())})
	if b.site.Queue != QueueNone {
		b.inet.chain(Chain{Name: "forward_dns", Hook: HookForward, Priority: prioDNS, Rules: b.holdRules(setFar)})
		b.inet.chain(Chain{Name: "output_dns", Hook: HookOutput, Priority: prioDNS, Rules: b.holdRules(setResolvers)})
	}
	if b.bridge == nil {
		return
	}
	b.bridge.chain(Chain{Name: chainRogue, Rules: rogueRules()})
	b.bridge.chain(Chain{Name: "input_from", Hook: HookInput, Priority: prioFromLink, Rules: unbound([]ClaimKind{ClaimARP})})
	b.bridge.chain(Chain{Name: "forward_from", Hook: HookForward, Priority: prioFromLink,
		Rules: append(identityOnLink(), b.linkRules(false, blockChain(b.block, (*Compiled).Out))...)})
	b.bridge.chain(Chain{Name: "forward_to", Hook: HookForward, Priority: prioToLink,
		Rules: b.linkRules(true, blockChain(b.block, (*Compiled).In))})
	b.bridge.chain(Chain{Name: "output_to", Hook: HookOutput, Priority: prioToLink,
		Rules: b.linkRules(true, blockChain(b.block, (*Compiled).In))})
}

func blockChain(c *Compiled, name func(*Compiled) string) string {
	if c == nil {
		return ""
	}
	return name(c)
}

// fromRules judge what comes from the LAN. Established flows go first: a packet of one costs no more with a thousand
// devices than with none.
func (b *builder) fromRules(dispatch, checked, block string) []Rule {
	questions := b.site.tooMany(setQuestions)
	questions.Exprs = append([]Expr{L4{protoUDP}, Port{Proto: protoUDP, Dst: true, Lo: 53, Hi: 53}, IfIn{Set: setLAN}, EtherIn{Set: setLimited}}, questions.Exprs...)
	questions.Comment = "too many questions"
	rules := []Rule{questions}
	for _, v6 := range []bool{false, true} {
		rules = append(rules, Rule{Exprs: []Expr{IPVersion{v6}, L4{protoUDP}, Port{Proto: protoUDP, Dst: true, Lo: 53, Hi: 53},
			IfIn{Set: setLAN}, EtherIn{Set: setDevices}, UpdateAddr{V6: v6, Set: setDNSClients + suffix(v6)}},
			Comment: "a device asks: hold the answers"})
	}
	rules = append(rules, b.judged(EtherMap{Map: dispatch}, "error about a flow that others opened", CtReply{}, IfIn{Set: setLAN}, CtState{"related"})...)
	for _, r := range related() {
		rules = append(rules, Rule{Exprs: append(r, accept), Comment: "error about an admitted flow"})
	}
	if b.checksOut {
		rules = append(rules, Rule{Exprs: []Expr{IfIn{Set: setLAN}, CtState{"established"}, EtherMap{Map: checked}},
			Comment: "packets that a profile drops"})
	}
	rules = append(rules, b.answersFrom(dispatch, block)...)
	rules = append(rules, Rule{Exprs: []Expr{CtState{"established"}, accept}, Comment: "flow that was admitted"})
	rules = append(rules, b.judged(EtherMap{Map: dispatch}, "", IfIn{Set: setLAN})...)
	if block != "" {
		rules = append(rules, Rule{Exprs: []Expr{IfIn{Set: setLAN}, goTo(block)}, Comment: "devices without a MUD URL"})
	}
	return rules
}

// judged hands packets to their device's policy, which always decides. Only while the kernel takes a change, one may come out
// again: it looks up the element as it is now, but reads chains as they were when it began, and a new one was empty then; and
// before Linux 6.17 it may find no element at all. Whose policy it is has not changed, so it must not pass.
func (b *builder) judged(dispatch EtherMap, why string, where ...Expr) []Rule {
	return []Rule{{Exprs: append(slices.Clone(where), dispatch), Comment: why},
		{Exprs: append(slices.Clone(where), EtherIn{Dst: dispatch.Dst, Set: setDevices}, Counter{}, drop), Comment: "its policy is being changed"}}
}

// answersFrom judges what devices send in flows that others opened: by what may be opened towards the device, then as if it
// were new. That such a flow is tracked does not say that it was admitted: where the LAN is a bridge, a routed packet is
// tracked before the bridge table denies it, and else the address may not have been known. Without this a server outside
// could open the way out by one packet that is denied.
func (b *builder) answersFrom(dispatch, block string) []Rule {
	const comment = "answer of a device"
	where := []Expr{CtReply{}, IfIn{Set: setLAN}, CtState{"established"}}
	reply := func(x Expr) Rule { return Rule{Exprs: append(slices.Clone(where), x), Comment: comment} }
	rules := append([]Rule{reply(EtherMap{Map: mapReplies})}, b.judged(EtherMap{Map: dispatch}, comment, where...)...)
	if block != "" {
		rules = append(rules, reply(jump(b.block.Back())), reply(goTo(block)))
	}
	return rules
}

// related matches ICMP errors about a tracked flow; other related flows are flows that no ACE names (T-48).
func related() [][]Expr {
	return [][]Expr{
		{CtState{"related"}, IPVersion{false}, L4{protoICMP}},
		{CtState{"related"}, IPVersion{true}, L4{protoICMPv6}},
	}
}

// toRules mark the packets of admitted flows for the bridge table, which knows devices by MAC but flows only by this
// mark. Where a LAN interface is no bridge, what is new goes to the device's policy by its address.
// Answers are what else reaches devices.
func (b *builder) toRules(answers []Rule) []Rule {
	rules := []Rule{
		{Exprs: []Expr{IfIn{Out: true, Not: true, Set: setLAN}, accept}, Comment: "not to a device"},
		{Exprs: []Expr{MarkSet{Bit: b.site.Mark, Clear: true}}},
	}
	for _, v6 := range []bool{false, true} {
		if b.checksIn && b.site.routed() {
			rules = append(rules, Rule{Exprs: []Expr{CtState{"established"}, CtReply{}, AddrMap{V6: v6, Dst: true, Map: mapCheckedTo + suffix(v6)}},
				Comment: "packets that a profile drops"})
		}
	}
	rules = append(rules, Rule{Exprs: []Expr{CtState{"established"}, CtReply{}, MarkSet{Bit: b.site.Mark}, accept},
		Comment: "reply to a flow that was admitted"})
	for _, r := range related() {
		rules = append(rules, Rule{Exprs: append(r, MarkSet{Bit: b.site.Mark}, accept), Comment: "error about an admitted flow"})
	}
	rules = append(rules, answers...)
	for _, v6 := range []bool{false, true} {
		own := AddrIn{V6: v6, Dst: true, Set: setOwn + suffix(v6)}
		rules = append(rules, strays(own)...)
	}
	if b.site.routed() {
		for _, v6 := range []bool{false, true} {
			rules = append(rules, Rule{Exprs: []Expr{AddrMap{V6: v6, Dst: true, Map: mapTo + suffix(v6)}}},
				Rule{Exprs: []Expr{AddrIn{V6: v6, Dst: true, Set: setOwn + suffix(v6)}, Counter{}, drop}, Comment: "its policy is being changed"})
		}
	}
	return rules
}

// ownAnswers lets this host answer what devices asked a group. The inet table knows by address only who asked, which a device
// may forge; so this is for what this host says, and the answers of others are for the bridge table.
func (b *builder) ownAnswers() []Rule {
	var rules []Rule
	for _, v6 := range []bool{false, true} {
		if b.asks {
			rules = append(rules, Rule{Exprs: []Expr{IPVersion{v6}, L4{protoUDP}, Answer{By: askedBy(Inet, v6), Set: setAsked + suffix(v6)},
				MarkSet{Bit: b.site.Mark}, accept}, Comment: "answer to a question to a group"})
		}
	}
	return rules
}

// strays drops packets that are part of no flow and open none (T-21), where the given matches hold.
func strays(where ...Expr) []Rule {
	const comment = "not part of any flow"
	return []Rule{
		{Exprs: append(slices.Clone(where), CtState{"invalid"}, Counter{}, drop), Comment: comment},
		{Exprs: append(slices.Clone(where), CtState{"new"}, L4{protoTCP}, notSYN, Counter{}, drop), Comment: comment},
	}
}

// holdRules hand DNS answers to devices under policy to us before they go on, if they come from a resolver that counts.
// What is forwarded with this host's own address as its source is somebody's forgery.
func (b *builder) holdRules(from string) []Rule {
	var rules []Rule
	for _, v6 := range []bool{false, true} {
		rules = append(rules, Rule{Exprs: []Expr{IPVersion{v6}, L4{protoUDP}, Port{Proto: protoUDP, Lo: 53, Hi: 53},
			IfIn{Out: true, Set: setLAN}, CtState{"established"}, CtReply{}, AddrIn{V6: v6, Set: from + suffix(v6)},
			AddrIn{V6: v6, Dst: true, Set: setDNSClients + suffix(v6)},
			Queue{Num: b.site.QueueNum, XT: b.site.Queue == QueueXT}}, Comment: "answers wait until their addresses are in"})
	}
	return rules
}

func (b *builder) linkRules(dst bool, block string) []Rule {
	m := mapFrom
	if dst {
		m = mapTo
	}
	rules := b.judged(EtherMap{Dst: dst, Map: m}, "devices")
	if block != "" {
		exprs := []Expr{goTo(block)}
		if dst {
			exprs = []Expr{EtherAddr{Dst: true, Mask: dhcp.MAC{1}}, goTo(block)}
		}
		rules = append(rules, Rule{Exprs: exprs, Comment: "devices without a MUD URL"})
	}
	return rules
}

// endChains are where packets go that a policy does not allow, and the guard before every policy.
func (b *builder) endChains() {
	s := b.site
	guard := []Rule{
		{Exprs: []Expr{CtState{"invalid"}, Counter{}, drop}, Comment: "not part of any flow"},
		{Exprs: []Expr{L4{protoTCP}, notSYN, Counter{}, drop}, Comment: "not part of any flow"},
		{Exprs: []Expr{CtReply{}, L4{protoICMP}, Counter{}, drop}, Comment: "answer to what was denied"},
		{Exprs: []Expr{CtReply{}, L4{protoICMPv6}, Counter{}, drop}, Comment: "answer to what was denied"},
		{Exprs: []Expr{NoRouteBack{}, goTo("denied_spoof")}, Comment: "source address is not of this network"},
		s.tooManyFlows(),
	}
	if s.NoFib {
		guard = slices.Delete(guard, 4, 5)
	}
	b.inet.chain(Chain{Name: chainGuard, Rules: guard})
	b.end(b.inet, "denied_flood", LogFlood, drop, Limit{By: ByEtherSrc, Set: setDenials})
	b.ends(b.inet, "out", LogOut, Limit{By: ByEtherSrc, Set: setDenials})
	if s.routed() {
		b.ends(b.inet, "in", LogIn, Limit{By: ByIPv4Dst, Set: setDenials + "_4"}, Limit{By: ByIPv6Dst, Set: setDenials + "_6"})
	}
	if b.bridge != nil {
		b.ends(b.bridge, "out", LogOut, Limit{By: ByEtherSrc, Set: setDenials})
		b.ends(b.bridge, "in", LogIn, Limit{By: ByEtherDst, Set: setDenials + "_to"})
		if s.Bridge != BridgeMark {
			b.end(b.bridge, "denied_flood", LogFlood, drop, Limit{By: ByEtherSrc, Set: setDenials})
		}
	}
}

// tooMany denies what goes beyond the flows that a device may open in a time, whatever its policy allows. A question to DNS counts like
// a flow, also where a device asks all from one port: else one that floods would take the others' turns in the queue (T18).
func (s *Site) tooMany(meter string) Rule {
	return Rule{Exprs: []Expr{Limit{By: ByEtherSrc, Set: meter, Count: s.NewFlows.Count, Per: s.NewFlows.Per,
		Burst: s.NewFlowsBurst, Over: true}, goTo("denied_flood")}, Comment: "too many new flows"}
}

// tooManyFlows counts flows by their first packets: a camera's stream that nobody answers is one.
func (s *Site) tooManyFlows() Rule {
	r := s.tooMany(setNewFlows)
	r.Exprs = append([]Expr{CtFresh{}}, r.Exprs...)
	return r
}

func (b *builder) ends(t *Table, base, prefix string, limits ...Limit) {
	b.end(t, "denied_"+base, prefix, drop, limits...)
	b.end(t, "observed_"+base, prefix+logWould, accept, limits...)
}

func (b *builder) end(t *Table, name, prefix string, v Verdict, limits ...Limit) {
	c := Chain{Name: name}
	for _, l := range limits {
		l.Count, l.Per = b.site.DenialRate.Count, b.site.DenialRate.Per
		l.Burst = uint32(max(5, min(2*l.Count, 1000)))
		c.Rules = append(c.Rules, Rule{Exprs: []Expr{l, Log{Group: b.site.NFLOGGroup, Prefix: prefix}}})
	}
	c.Rules = append(c.Rules, Rule{Exprs: []Expr{Counter{}, v}})
	t.chain(c)
}

func (b *builder) devices() {
	for _, mac := range b.site.Trusted {
		b.verdict(mac, "trusted", nil)
	}
	for _, m := range b.members {
		switch {
		case m.Trusted:
			b.verdict(m.MAC, m.Label, nil)
		case m.Policy != nil:
			b.policy(m.Policy)
			b.verdict(m.MAC, m.Label, m.Policy)
			b.inet.Sets[setDevices].Elements[Key{MAC: m.MAC}] = Element{}
			if !m.Policy.Observe {
				b.inet.Sets[setLimited].Elements[Key{MAC: m.MAC}] = Element{}
			}
			if b.bridge != nil {
				b.bridge.Sets[setDevices].Elements[Key{MAC: m.MAC}] = Element{}
			}
			b.addresses(m)
		}
	}
}

// verdict puts a device into the maps: to its policy, or past everything where there is none.
func (b *builder) verdict(mac dhcp.MAC, label string, p *Compiled) {
	put := func(t *Table, m string, chain string) {
		v := accept
		if chain != "" {
			v = jump(chain)
		}
		t.Sets[m].Elements[Key{MAC: mac}] = Element{Verdict: v, Comment: comment(label)}
	}
	put(b.inet, mapFrom, blockChain(p, (*Compiled).Out))
	put(b.inet, mapGateway, blockChain(p, (*Compiled).Gateway))
	if p != nil && p.checksOut {
		b.inet.Sets[mapChecked].Elements[Key{MAC: mac}] = Element{Verdict: jump(p.chainOut()), Comment: comment(label)}
		b.inet.Sets[mapCheckedGW].Elements[Key{MAC: mac}] = Element{Verdict: jump(p.chainGateway()), Comment: comment(label)}
	}
	if p != nil {
		b.inet.Sets[mapReplies].Elements[Key{MAC: mac}] = Element{Verdict: jump(p.Back()), Comment: comment(label)}
	}
	if b.bridge != nil {
		put(b.bridge, mapFrom, blockChain(p, (*Compiled).Out))
		put(b.bridge, mapTo, blockChain(p, (*Compiled).In))
	}
}

func (b *builder) addresses(m Member) {
	for _, a := range m.Addrs {
		if !b.site.routed() {
			continue
		}
		b.inet.Sets[mapTo+suffix(a.Is6())].Elements[Key{Addr: a}] =
			Element{Verdict: jump(m.Policy.In()), Comment: comment(m.Label)}
		if m.Policy.checksIn {
			b.inet.Sets[mapCheckedTo+suffix(a.Is6())].Elements[Key{Addr: a}] =
				Element{Verdict: jump(m.Policy.chainIn()), Comment: comment(m.Label)}
		}
	}
}

// policy adds a policy's chains, and its sets with their members, unless they are there already.
func (b *builder) policy(p *Compiled) {
	if _, done := b.inet.Chains[p.Out()]; done {
		return
	}
	tables := []*Table{b.inet}
	for _, c := range p.Inet {
		b.inet.Chains[c.Name] = c
	}
	if b.bridge != nil {
		tables = append(tables, b.bridge)
		for _, c := range p.Bridge {
			b.bridge.Chains[c.Name] = c
		}
	}
	for _, s := range p.Sets {
		if _, done := b.inet.Sets[s.Name]; done {
			continue
		}
		elements := b.elements(p, s)
		for _, t := range tables {
			filled := *s
			filled.Elements = elements
			t.set(filled)
		}
	}
}
