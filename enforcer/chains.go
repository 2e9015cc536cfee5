package enforcer

import (
	"slices"

	"mudguard/mud"
)

// TCP flag bits.
const (
	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// Names of the parts that all policies share.
const (
	setLAN        = "lan"
	setDevices    = "under_policy"
	mapFrom       = "from_device"
	mapGateway    = "to_gateway"
	mapTo         = "to_device"
	mapReplies    = "replies_of"
	setDNSClients = "dns_clients"
	setResolvers  = "resolvers"
	setFar        = "far_resolvers"
	setLink       = "link"
	setNets       = "lan_nets"
	setNewFlows   = "new_flows"
	setQuestions  = "questions" // to DNS
	setLimited    = "limited"   // devices under policy that are not only observed
	setDenials    = "denials"
	setOwn        = "own_addresses"
	mapChecked    = "checked"         // whose packets are judged also in flows that were admitted
	mapCheckedGW  = "checked_gateway" // of these, what goes to the gateway
	mapCheckedTo  = "checked_to"      // whom such packets go to, where the LAN is no bridge
	setAsked      = "asked"           // who asked a group
	chainGuard    = "guard"
)

// Suffixes of a policy's chains for packets of admitted flows.
const (
	checkOut     = "_pkt"
	checkGateway = "_pktgw"
	checkIn      = "_pktin"
)

// Prefixes of logged packets, which say what the log rule saw.
const (
	LogOut   = "mudguard out"
	LogIn    = "mudguard in"
	LogSpoof = "mudguard spoof"
	LogFlood = "mudguard flood"
	logWould = " observed" // appended where the packet was let pass
)

var (
	accept = Verdict{Kind: VerdictAccept}
	drop   = Verdict{Kind: VerdictDrop}
)

func jump(chain string) Verdict { return Verdict{Kind: VerdictJump, Chain: chain} }
func goTo(chain string) Verdict { return Verdict{Kind: VerdictGoto, Chain: chain} }

// end names the chain that takes what a policy does not allow.
func (c *compiler) end(base string) string {
	switch {
	case c.p.Observe:
		return "observed_" + base
	case c.p.Paused:
		return chainPausing + base
	}
	return "denied_" + base
}

// add makes a chain of a policy, remembering which rule came from which ACE.
func (c *compiler) add(list *[]*Chain, name string, head, tail []Rule, flows []flowRule, render func(flowRule) Rule) {
	ch := &Chain{Name: placeholder + name, Rules: slices.Clone(head)}
	origins := make([]*mud.ACE, len(head), len(head)+len(flows)+len(tail))
	for _, f := range flows {
		ch.Rules = append(ch.Rules, render(f))
		origins = append(origins, f.ace)
	}
	ch.Rules = append(ch.Rules, tail...)
	*list = append(*list, ch)
	// Both families have chains of the same name whose ACE rules may stand at other places: keep them apart.
	c.out.Origins[c.originKey(list)+ch.Name] = origins
}

func (c *compiler) originKey(list *[]*Chain) string {
	if list == &c.out.Bridge {
		return string(Bridge) + " "
	}
	return string(Inet) + " "
}

// inet makes the chains of the inet table: out for routed packets, gw for those to this host, and in where a
// LAN interface is no bridge.
func (c *compiler) inet(out, in direction) {
	list := &c.out.Inet
	var guard []Rule
	if !c.p.Observe {
		guard = []Rule{{Exprs: []Expr{jump(chainGuard)}}}
	}
	head := append(slices.Clone(guard), c.replyCheck(list, "outr", out.replies, c.sent)...)
	toHere := filter(ofIP(out.rules), func(f flowRule) bool { return !f.accept || f.specific })
	flows, link := c.hopped(ofIP(out.rules)), []Rule(nil)
	if c.site.bridged() { // br_netfilter shows what a device sends to its link here too; both tables must agree
		link = onLink(infraToGateway())
		for _, f := range c.broadcast() {
			f.onLAN = new(true)
			flows = append(flows, f)
		}
	}
	c.add(list, "_out", append(slices.Clone(link), head...), c.tail("out"), flows, c.sent)
	c.add(list, "_gw", append(infraToGateway(), head...), append(c.unheard(), c.tail("out")...), c.withAsking(Inet, toHere), c.sent)
	c.add(list, "_back", c.answersInPause(), nil, turned(in.rules), c.sent)
	c.checks(list, checkOut, link, c.hopped(out.packets), flows, c.sent)
	c.checks(list, checkGateway, infraToGateway(), out.packets, toHere, c.sent)
	if c.site.routed() {
		in.rules, in.replies, in.packets = blind(in.rules), blind(in.replies), blind(in.packets)
		c.checks(list, checkIn, c.infraToDevice(false), in.packets, turned(anyMAC(out.rules)), c.received)
		c.in(list, in, nil)
	}
}

// sent and received render rules for what the device sends and what reaches it.
func (c *compiler) sent(f flowRule) Rule     { return f.rule(true, c.end("out")) }
func (c *compiler) received(f flowRule) Rule { return f.rule(false, c.end("in")) }

// tail ends a chain: nothing of the policy allowed the packet.
func (c *compiler) tail(base string) []Rule { return []Rule{{Exprs: []Expr{goTo(c.end(base))}}} }

// unheard keeps the broadcasts that local policy allows from the gateway's own services: it is no host of the segment. They
// were not for it alone, so nobody has to know.
func (c *compiler) unheard() []Rule {
	var rules []Rule
	for _, f := range c.broadcast() {
		r := f.rule(true, "")
		if !c.p.Observe {
			r.Exprs[len(r.Exprs)-1] = drop
		}
		r.Comment += "; this gateway does not listen"
		rules = append(rules, r)
	}
	return rules
}

// checks makes the chain that judges the packets of flows that were admitted, where the profile drops some of them by their
// header fields. What it does not drop goes on as before. Where the policy may be paused, it also judges the flows that were
// admitted meanwhile, by those that it allows.
func (c *compiler) checks(list *[]*Chain, name string, infra []Rule, flows, allowed []flowRule, render func(flowRule) Rule) {
	if len(flows) == 0 && !c.p.Paused {
		return
	}
	c.out.checksIn = c.out.checksIn || name == checkIn
	c.out.checksOut = c.out.checksOut || name != checkIn
	var head, tail []Rule
	if c.p.Paused {
		head, tail = c.whilePaused(list, name), c.afterPause(list, name, allowed, render)
	}
	for _, r := range infra {
		head = append(head, returning(r))
	}
	c.add(list, name, head, tail, flows, func(f flowRule) Rule {
		r := returning(render(f))
		if name != checkIn && f.opener != mud.DirectionAny { // what reaches the device here are replies only
			r.Exprs = slices.Insert(r.Exprs, 0, Expr(CtReply{Not: f.opener == mud.FromDevice}))
		}
		return r
	})
}

// returning makes a rule leave its chain where it accepted, and count nothing: the flow is counted elsewhere.
func returning(r Rule) Rule {
	if n := len(r.Exprs); r.Exprs[n-1] == Expr(accept) {
		r.Exprs = slices.DeleteFunc(slices.Clone(r.Exprs), func(x Expr) bool { return x == Counter{} })
		r.Exprs[len(r.Exprs)-1] = Verdict{Kind: VerdictReturn}
	}
	return r
}

// bridge makes the chains of the bridge table: out for frames to other hosts on the bridge, in for frames to the device
// from anywhere.
func (c *compiler) bridge(out, in direction) {
	list := &c.out.Bridge
	flows := append(slices.Clone(out.rules), c.broadcast()...)
	if c.site.Bridge == BridgeConntrack {
		c.checks(list, checkOut, infraLateral(), out.packets, flows, c.sent)
	} else { // it sees every packet of a flow
		flows = c.withReplies(withLater(flows), in.rules, in.replies)
	}
	c.checks(list, checkIn, c.infraToDevice(true), in.packets, turned(out.rules), c.received)
	head := append(c.bridgeReplies(false), infraLateral()...)
	head = append(append(head, c.strays(list)...), c.lateralGuard()...)
	head = append(head, c.replyCheck(list, "outr", out.replies, c.sent)...)
	c.add(list, "_out", head, c.tail("out"), c.withAsking(Bridge, flows), c.sent)
	c.in(list, in, append(c.bridgeReplies(true), c.fromLink(in, out)...))
}

// fromLink makes the chain for what hosts on the link send, where replies are known by their ports only, and gives the
// rules that lead there. What is routed is tracked: a reply has a mark, and what only looks like one must not pass.
func (c *compiler) fromLink(in, out direction) []Rule {
	if c.site.Bridge != BridgeStateless {
		return nil
	}
	list := &c.out.Bridge
	head := append(c.infraToDevice(true), c.replyCheck(list, "lanr", in.replies, c.received)...)
	flows := c.withReplies(withLater(in.rules), out.rules, out.replies)
	c.add(list, "_lan", head, append(c.answered(), c.tail("in")...), flows, c.received)
	var rules []Rule
	for _, v6 := range []bool{false, true} {
		set := setLink + suffix(v6)
		c.sets[set] = &Set{Name: set, Key: addrType(v6), Interval: true, Comment: "hosts on the link"}
		rules = append(rules, Rule{Exprs: []Expr{IPVersion{v6}, AddrIn{V6: v6, Set: set}, goTo(placeholder + "_lan")},
			Comment: "from a host on the link"})
	}
	return rules
}

func (c *compiler) in(list *[]*Chain, in direction, replies []Rule) {
	bridge := list == &c.out.Bridge
	head := append(slices.Clone(replies), c.infraToDevice(bridge)...)
	tail := c.tail("in")
	if bridge {
		tail = append(c.answered(), tail...)
	}
	head = append(head, c.strays(list)...)
	head = append(head, c.replyCheck(list, "inr", in.replies, c.received)...)
	c.add(list, "_in", head, tail, withLater(in.rules), c.received)
}

// strays drops packets of no flow where connection tracking knows them; in the other bridge modes the inet table sees to what
// is routed. It spares frames that are not IP where the profile speaks of such: to connection tracking they are invalid.
func (c *compiler) strays(list *[]*Chain) []Rule {
	switch {
	case c.p.Observe || list == &c.out.Bridge && c.site.Bridge != BridgeConntrack:
		return nil
	case c.frames:
		return append(strays(IPVersion{false}), strays(IPVersion{true})...)
	}
	return strays()
}

// lateralGuard limits the flows that a device opens to hosts on its link. Where the inet table sees them too, its guard does; where
// replies are told by their ports only, what opens a flow can be told for TCP alone.
func (c *compiler) lateralGuard() []Rule {
	if c.p.Observe || c.site.Bridge == BridgeMark {
		return nil
	}
	if c.site.Bridge == BridgeConntrack {
		return []Rule{c.site.tooManyFlows()}
	}
	r := c.site.tooMany(setNewFlows)
	r.Exprs = append([]Expr{L4{protoTCP}, TCPFlags{Mask: tcpSYN | tcpACK, Value: tcpSYN}}, r.Exprs...)
	return []Rule{r}
}

// answered accepts what hosts of this network answer to a question to a group, a moment ago (T-17).
func (c *compiler) answered() []Rule {
	if !c.out.asks {
		return nil
	}
	var rules []Rule
	for _, v6 := range []bool{false, true} {
		rules = append(rules, Rule{Exprs: []Expr{IPVersion{v6}, AddrIn{V6: v6, Set: setNets + suffix(v6)}, L4{protoUDP},
			Answer{By: TypeMACPorts, Set: setAsked + suffix(v6)}, accept}, Comment: "answer to a question to a group"})
	}
	return rules
}

// replyCheck denies a flow whose replies the profile drops in the other direction.
func (c *compiler) replyCheck(list *[]*Chain, name string, replies []flowRule, render func(flowRule) Rule) []Rule {
	replies = plain(replies)
	if len(replies) == 0 {
		return nil
	}
	c.add(list, "_"+name, nil, nil, replies, func(f flowRule) Rule { return returning(render(f)) })
	return []Rule{{Exprs: []Expr{jump(placeholder + "_" + name)}, Comment: "replies that the profile drops"}}
}

// bridgeReplies accepts replies to flows that were admitted, as far as the bridge family can know them. To a device only
// replies to flows that it opened count: that a flow from outside is tracked, even answered, says nothing, since a
// routed packet is tracked before the bridge table denies it.
func (c *compiler) bridgeReplies(toDevice bool) []Rule {
	known := [][]Expr{{MarkHas{c.site.Mark}}}
	if c.site.Bridge == BridgeConntrack {
		exprs := []Expr{CtState{"established"}}
		if toDevice {
			exprs = append(exprs, CtReply{})
		}
		known = append(known, exprs)
	}
	check := toDevice && c.out.checksIn || !toDevice && c.out.checksOut && c.site.Bridge == BridgeConntrack
	var rules []Rule
	for _, exprs := range known {
		if check {
			chain := placeholder + pick(toDevice, checkIn, checkOut)
			rules = append(rules, Rule{Exprs: append(slices.Clone(exprs), jump(chain)), Comment: "packets that the profile drops"})
		}
		rules = append(rules, Rule{Exprs: append(exprs, accept), Comment: "flow that was admitted"})
	}
	return rules
}

func udp(v6 bool, sport, dport uint16, comment string) Rule {
	return Rule{Exprs: []Expr{IPVersion{v6}, L4{protoUDP}, Port{Proto: protoUDP, Lo: sport, Hi: sport},
		Port{Proto: protoUDP, Dst: true, Lo: dport, Hi: dport}, accept}, Comment: comment}
}

func icmp6(comment string, types ...uint8) []Rule {
	var out []Rule
	for _, t := range types {
		out = append(out, Rule{Exprs: []Expr{IPVersion{true}, L4{protoICMPv6}, ICMPField{V6: true, Value: t}, accept}, Comment: comment})
	}
	return out
}

// infraToGateway is what every device may send to this host whatever its policy (T-22, T-23).
func infraToGateway() []Rule {
	rules := []Rule{
		udp(false, 68, 67, "infrastructure: DHCP"),
		udp(true, 546, 547, "infrastructure: DHCPv6"),
		{Exprs: []Expr{IPVersion{false}, L4{protoIGMP}, accept}, Comment: "infrastructure: IGMP"},
	}
	return append(rules, icmp6("infrastructure: neighbour discovery, MLD", 133, 135, 136, 131, 132, 143)...)
}

// onLink narrows rules to what stays on the LAN.
func onLink(rules []Rule) []Rule {
	for i, r := range rules {
		rules[i].Exprs = append([]Expr{IfIn{Out: true, Set: setLAN}}, r.Exprs...)
	}
	return rules
}

// infraLateral is what a device may send to the whole link. Router advertisements and DHCP answers are not in it (T15).
func infraLateral() []Rule {
	return append([]Rule{{Exprs: []Expr{EtherType{etherARP}, accept}, Comment: "infrastructure: ARP"}}, infraToGateway()...)
}

// infraToDevice is what may reach every device from this network: from outside nobody has business with its DHCP port.
func (c *compiler) infraToDevice(bridge bool) []Rule {
	rules := []Rule{udp(false, 67, 68, "infrastructure: DHCP"), udp(true, 547, 546, "infrastructure: DHCPv6")}
	rules = append(rules, icmp6("infrastructure: neighbour discovery, MLD", 134, 135, 136, 130)...)
	for i, r := range rules {
		v6 := r.Exprs[0].(IPVersion).V6
		set := setNets + suffix(v6)
		c.sets[set] = &Set{Name: set, Key: addrType(v6), Interval: true, Comment: "this network"}
		rules[i].Exprs = slices.Insert(r.Exprs, 1, Expr(AddrIn{V6: v6, Set: set}))
	}
	if bridge {
		rules = append(rules, Rule{Exprs: []Expr{EtherType{etherARP}, accept}, Comment: "infrastructure: ARP"})
	}
	return rules
}
