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
	setDenials    = "denials"
	setOwn        = "own_addresses"
	chainGuard    = "guard"
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
	if c.p.Observe {
		return "observed_" + base
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
	var guard []Rule
	if !c.p.Observe {
		guard = []Rule{{Exprs: []Expr{jump(chainGuard)}}}
	}
	end := []Rule{{Exprs: []Expr{goTo(c.end("out"))}}}
	bridged := slices.ContainsFunc(c.site.LAN, func(l LANInterface) bool { return l.Bridge })
	head := append(slices.Clone(guard), c.replyCheck(&c.out.Inet, "outr", "out", true, out.replies)...)
	toHere := slices.DeleteFunc(slices.Clone(out.rules), func(f flowRule) bool { return f.accept && !f.specific })
	toLAN := head
	if bridged { // br_netfilter shows what a device sends to its link here too; both tables must agree
		toLAN = append(onLink(infraToGateway()), head...)
	}
	c.add(&c.out.Inet, "_out", toLAN, end, out.rules, func(f flowRule) Rule { return f.rule(true, c.end("out")) })
	c.add(&c.out.Inet, "_gw", append(infraToGateway(), head...), end, toHere,
		func(f flowRule) Rule { return f.rule(true, c.end("out")) })
	c.add(&c.out.Inet, "_back", nil, nil, in.rules, func(f flowRule) Rule { return f.rule(true, c.end("out")) })
	if c.site.routed() {
		c.in(&c.out.Inet, in, nil)
	}
}

// bridge makes the chains of the bridge table: out for frames to other hosts on the bridge, in for frames to the device
// from anywhere.
func (c *compiler) bridge(out, in direction) {
	head := append(c.bridgeReplies(false), infraLateral()...)
	head = append(head, c.replyCheck(&c.out.Bridge, "outr", "out", true, out.replies)...)
	flows := c.statelessReplies(out.rules, in.rules)
	end := []Rule{{Exprs: []Expr{goTo(c.end("out"))}}}
	c.add(&c.out.Bridge, "_out", head, end, flows, func(f flowRule) Rule { return f.rule(true, c.end("out")) })
	c.in(&c.out.Bridge, in, append(c.bridgeReplies(true), c.fromLink(in, out)...))
}

// fromLink makes the chain for what hosts on the link send, where replies are known by their ports only, and gives the
// rules that lead there. What is routed is tracked: a reply has a mark, and what only looks like one must not pass.
func (c *compiler) fromLink(in, out direction) []Rule {
	if c.site.Bridge != BridgeStateless {
		return nil
	}
	head := append(c.infraToDevice(true), c.replyCheck(&c.out.Bridge, "lanr", "in", false, in.replies)...)
	end := []Rule{{Exprs: []Expr{goTo(c.end("in"))}}}
	c.add(&c.out.Bridge, "_lan", head, end, c.statelessReplies(in.rules, out.rules),
		func(f flowRule) Rule { return f.rule(false, c.end("in")) })
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
	head := append(slices.Clone(replies), c.infraToDevice(list == &c.out.Bridge)...)
	if !c.p.Observe && (list == &c.out.Inet || c.site.Bridge == BridgeConntrack) { // elsewhere the inet table sees to it
		head = append(head, strays()...)
	}
	head = append(head, c.replyCheck(list, "inr", "in", false, in.replies)...)
	end := []Rule{{Exprs: []Expr{goTo(c.end("in"))}}}
	c.add(list, "_in", head, end, in.rules, func(f flowRule) Rule { return f.rule(false, c.end("in")) })
}

// replyCheck denies a flow whose replies the profile drops in the other direction.
func (c *compiler) replyCheck(list *[]*Chain, name, base string, out bool, replies []flowRule) []Rule {
	if len(replies) == 0 {
		return nil
	}
	c.add(list, "_"+name, nil, nil, replies, func(f flowRule) Rule {
		r := f.rule(out, c.end(base))
		if f.accept {
			r.Exprs[len(r.Exprs)-1] = Verdict{Kind: VerdictReturn}
		}
		return r
	})
	return []Rule{{Exprs: []Expr{jump(placeholder + "_" + name)}, Comment: "replies that the profile drops"}}
}

// bridgeReplies accepts replies to flows that were admitted, as far as the bridge family can know them. To a device only
// replies to flows that it opened count: that a flow from outside is tracked, even answered, says nothing, since a
// routed packet is tracked before the bridge table denies it.
func (c *compiler) bridgeReplies(toDevice bool) []Rule {
	rules := []Rule{{Exprs: []Expr{MarkHas{c.site.Mark}, accept}, Comment: "flow that was admitted"}}
	if c.site.Bridge == BridgeConntrack {
		exprs := []Expr{CtState{"established"}, accept}
		if toDevice {
			exprs = []Expr{CtState{"established"}, CtReply{}, accept}
		}
		rules = append(rules, Rule{Exprs: exprs, Comment: "flow that was admitted"})
	}
	return rules
}

// statelessReplies adds to the flows of one direction the replies to those of the other, where the bridge can tell them
// by their ports and the ACK flag only. Between hosts of the LAN only: everything else is tracked.
func (c *compiler) statelessReplies(flows, other []flowRule) []flowRule {
	if c.site.Bridge != BridgeStateless {
		return flows
	}
	out := slices.Clone(flows)
	for _, f := range other {
		if f.accept && f.proto != nil {
			f.reply = true
			f.comment = comment("replies: " + f.comment)
			out = append(out, f)
		}
	}
	return out
}

var notSYN = TCPFlags{Mask: tcpFIN | tcpSYN | tcpRST | tcpACK, Value: tcpSYN, Not: true}

// rule renders a flow as packets that the device sends (out) or receives. What is denied goes to the chain end.
func (f flowRule) rule(out bool, end string) Rule {
	exprs := []Expr{IPVersion{f.v6}}
	for _, r := range f.remote {
		if r.set != "" {
			exprs = append(exprs, AddrIn{V6: f.v6, Dst: out, Set: r.set})
		} else {
			exprs = append(exprs, AddrPrefix{Dst: out, Prefix: r.prefix.Prefix})
		}
	}
	if f.proto != nil {
		exprs = append(exprs, L4{*f.proto})
	}
	exprs = append(exprs, f.transport(out)...)
	exprs = append(exprs, Counter{})
	if f.accept {
		exprs = append(exprs, accept)
	} else {
		exprs = append(exprs, goTo(end))
	}
	return Rule{Exprs: exprs, Comment: f.comment}
}

func (f flowRule) transport(out bool) []Expr {
	var exprs []Expr
	for _, p := range []struct {
		ports mud.Ports
		dst   bool
	}{{f.localPort, !out}, {f.remotePort, out}} {
		if p.ports.Set {
			exprs = append(exprs, Port{Proto: *f.proto, Dst: p.dst, Not: p.ports.Not, Lo: p.ports.Lo, Hi: p.ports.Hi})
		}
	}
	if f.icmpType != nil {
		exprs = append(exprs, ICMPField{V6: f.v6, Value: *f.icmpType})
	}
	if f.icmpCode != nil {
		exprs = append(exprs, ICMPField{V6: f.v6, Code: true, Value: *f.icmpCode})
	}
	if f.reply && *f.proto == protoTCP {
		exprs = append(exprs, TCPFlags{Mask: tcpACK, Value: tcpACK})
	}
	return exprs
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
	return append([]Rule{{Exprs: []Expr{IsARP{}, accept}, Comment: "infrastructure: ARP"}}, infraToGateway()...)
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
		rules = append(rules, Rule{Exprs: []Expr{IsARP{}, accept}, Comment: "infrastructure: ARP"})
	}
	return rules
}
