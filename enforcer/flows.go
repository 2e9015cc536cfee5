package enforcer

import (
	"net/netip"
	"slices"

	"mudguard/mud"
)

// What follows makes of the rules for flows those that fit one chain: what it sees of a packet differs.

// filter keeps the rules that ok wants, in a list of its own.
func filter(flows []flowRule, ok func(flowRule) bool) []flowRule {
	return slices.DeleteFunc(slices.Clone(flows), func(f flowRule) bool { return !ok(f) })
}

// ofIP leaves out what is not IP, for the inet table.
func ofIP(flows []flowRule) []flowRule {
	return filter(flows, func(f flowRule) bool { return !f.frame })
}

// plain are the rules that say the same of a flow's replies as of the flow: what header fields a reply has nobody knows
// beforehand, and what is not IP has no replies. Where this leaves out an accept the flow is denied; a drop is not lost, it
// meets the packets it is about one by one.
func plain(flows []flowRule) []flowRule {
	var out []flowRule
	for _, f := range flows {
		request, ok := otherType(f, func(t uint8) (uint8, bool) { return icmpRequest(f.v6, t) })
		if f.icmpType = request; ok && !f.frame && f.head == nil {
			out = append(out, f)
		}
	}
	return out
}

// turned are the rules for replies to flows that were admitted, whatever the header fields of the replies. What comes to a group
// has none.
func turned(flows []flowRule) []flowRule {
	var out []flowRule
	for _, f := range flows {
		reply, ok := otherType(f, func(t uint8) (uint8, bool) { return icmpReply(f.v6, t) })
		toGroup := f.ace != nil && f.ace.Match.Group.IsValid()
		if ok && !toGroup && !f.frame && (f.accept || f.head == nil) {
			f.icmpType, f.head = reply, nil
			out = append(out, f)
		}
	}
	return out
}

// otherType is the ICMP type at the other end of a flow; not ok where no messages of the rule's have one.
func otherType(f flowRule, other func(uint8) (uint8, bool)) (*uint8, bool) {
	if f.icmpType == nil {
		return nil, true
	}
	t, ok := other(*f.icmpType)
	return &t, ok
}

// icmpReply is the type of message that answers one of type t (RFC 792, RFC 950, RFC 4443, RFC 4620).
func icmpReply(v6 bool, t uint8) (uint8, bool) {
	switch {
	case !v6 && t == 8:
		return 0, true
	case !v6 && (t == 13 || t == 15 || t == 17), v6 && (t == 128 || t == 139):
		return t + 1, true
	}
	return 0, false
}

// icmpRequest is the type of message that one of type t answers.
func icmpRequest(v6 bool, t uint8) (uint8, bool) {
	for _, request := range []uint8{8, 13, 15, 17, 128, 139} {
		if reply, ok := icmpReply(v6, request); ok && reply == t {
			return request, true
		}
	}
	return 0, false
}

// eachPacket are the rules that packets of admitted flows meet too: drops with conditions on header fields, and the accepts
// before them, which shield what they match. nil where there is no such drop.
func eachPacket(flows []flowRule) []flowRule {
	out, last := []flowRule(nil), 0
	for _, f := range ofIP(flows) {
		if f.accept || f.head != nil {
			out = append(out, f)
		}
		if !f.accept && f.head != nil {
			last = len(out)
		}
	}
	return out[:last]
}

// withLater adds, for chains that see every packet of a flow, the later packets of TCP flows whose first one had to have
// certain header fields: they are known by the ACK flag. They come after all drops. Of other protocols every packet has to
// have them.
func withLater(flows []flowRule) []flowRule {
	out := slices.Clone(flows)
	for _, f := range flows {
		if f.accept && f.head != nil && f.proto != nil && *f.proto == protoTCP {
			f.head, f.reply, f.comment = nil, true, comment("later packets: "+f.comment)
			out = append(out, f)
		}
	}
	return out
}

// withReplies adds to the flows of one direction the replies to those of the other, where the bridge can tell them
// by their ports and the ACK flag only. Between hosts of the LAN only: everything else is tracked. Of the packets that are
// about such replies only, dropped are those that the profile drops.
func (c *compiler) withReplies(flows, other, dropped []flowRule) []flowRule {
	if c.site.Bridge != BridgeStateless {
		return flows
	}
	out := append(slices.Clone(flows), filter(dropped, func(f flowRule) bool {
		return !f.accept && f.head != nil && f.opener != mud.DirectionAny
	})...)
	for _, f := range turned(other) {
		if f.accept && f.proto != nil {
			f.reply = true
			f.comment = comment("replies: " + f.comment)
			out = append(out, f)
		}
	}
	return out
}

// blind leaves out conditions on a frame that is not made yet: a drop drops more without them, an accept is not applied.
func blind(flows []flowRule) []flowRule {
	none := mud.MACMatch{}
	return anyMAC(filter(flows, func(f flowRule) bool { return !f.accept || f.remoteMAC == none && f.localMAC == none }))
}

// anyMAC leaves out conditions on Ethernet addresses, for replies to flows whose packets met them.
func anyMAC(flows []flowRule) []flowRule {
	out := slices.Clone(flows)
	for i := range out {
		out[i].remoteMAC, out[i].localMAC = mud.MACMatch{}, mud.MACMatch{}
	}
	return out
}

// hopped reckons with the hop that the router has counted before its forward hook sees what the device sent. Where
// br_netfilter shows frames between ports of the bridge there too, those still have theirs; a frame that goes back to the
// LAN may be either.
func (c *compiler) hopped(flows []flowRule) []flowRule {
	var out []flowRule
	for _, f := range flows {
		i := slices.IndexFunc(f.head, func(x Expr) bool { h, ok := x.(HeaderField); return ok && (h.Name == "ttl" || h.Name == "hoplimit") })
		if i < 0 {
			out = append(out, f)
			continue
		}
		hop := f
		if hop.head = oneLess(f.head, i); hop.head != nil {
			if f.accept && c.site.Bridge == BridgeMark {
				hop.onLAN = new(false)
			}
			out = append(out, hop)
		}
		if c.site.Bridge == BridgeMark {
			f.onLAN = new(true)
			out = append(out, f)
		}
	}
	return out
}

// oneLess is head with the hop limit at i one less; nil where no packet with it is ever forwarded.
func oneLess(head []Expr, i int) []Expr {
	h := head[i].(HeaderField)
	if h.Value == 0 {
		return nil
	}
	h.Value--
	out := slices.Clone(head)
	out[i] = h
	return out
}

// withAsking notes, before an accept of UDP to a group, who asks it: the answers come from hosts that no flow names (T-17).
// That is a rule of its own, since one that cannot note does not hold.
func (c *compiler) withAsking(f TableFamily, flows []flowRule) []flowRule {
	var out []flowRule
	for _, r := range flows {
		if r.ace != nil && r.accept && !r.reply && r.proto != nil && *r.proto == protoUDP && slices.ContainsFunc(r.remote, isGroup) {
			c.out.asks = true
			q := r
			q.ace, q.comment = nil, "answers may come for a moment"
			q.asks = &Ask{By: askedBy(f, r.v6), Set: setAsked + suffix(r.v6)}
			out = append(out, q)
		}
		out = append(out, r)
	}
	return out
}

// askedBy is how a table names who asked a group: by MAC, which cannot be forged on a bridge, where it knows it.
func askedBy(f TableFamily, v6 bool) KeyType {
	switch {
	case f == Bridge:
		return TypeMACPorts
	case v6:
		return TypeIPv6Ports
	}
	return TypeIPv4Ports
}

var everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// isGroup says that a peer is a multicast group, or all hosts of the link.
func isGroup(r remoteMatch) bool {
	p := r.prefix.Prefix
	if r.set != "" || !p.IsValid() {
		return false
	}
	return p.Addr() == everybody && p.IsSingleIP() || p.Addr().IsMulticast() && p.Bits() >= map[bool]int{false: 4, true: 8}[p.Addr().Is6()]
}

var notSYN = TCPFlags{Mask: tcpFIN | tcpSYN | tcpRST | tcpACK, Value: tcpSYN, Not: true}

// rule renders a flow as packets that the device sends (out) or receives. What is denied goes to the chain end.
func (f flowRule) rule(out bool, end string) Rule {
	exprs := append(f.link(out), f.network(out)...)
	if f.proto != nil {
		exprs = append(exprs, L4{*f.proto})
	}
	exprs = append(append(exprs, f.transport(out)...), f.head...)
	switch {
	case f.asks != nil:
		exprs = append(exprs, *f.asks)
	case f.accept:
		exprs = append(exprs, Counter{}, accept)
	default:
		exprs = append(exprs, Counter{}, goTo(end))
	}
	return Rule{Exprs: exprs, Comment: f.comment}
}

// link is the part of the frame around a packet.
func (f flowRule) link(out bool) []Expr {
	var exprs []Expr
	if f.onLAN != nil {
		exprs = append(exprs, IfIn{Out: true, Not: !*f.onLAN, Set: setLAN})
	}
	src, dst := f.localMAC, f.remoteMAC
	if !out {
		src, dst = dst, src
	}
	if dst != (mud.MACMatch{}) { // in the order in which nft lists them
		exprs = append(exprs, EtherAddr{Dst: true, Addr: dst.Addr, Mask: dst.Mask})
	}
	if src != (mud.MACMatch{}) {
		exprs = append(exprs, EtherAddr{Addr: src.Addr, Mask: src.Mask})
	}
	if f.etherType != nil {
		exprs = append(exprs, EtherType{*f.etherType})
	}
	return exprs
}

func (f flowRule) network(out bool) []Expr {
	if f.frame {
		return nil
	}
	exprs := []Expr{IPVersion{f.v6}}
	for _, r := range f.remote {
		if r.set != "" {
			exprs = append(exprs, AddrIn{V6: f.v6, Dst: out, Set: r.set})
		} else {
			exprs = append(exprs, AddrPrefix{Dst: out, Prefix: r.prefix.Prefix})
		}
	}
	return exprs
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
