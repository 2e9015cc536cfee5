package enforcer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"mudguard/dhcp"
)

// Packet is a packet on its way through this host, with what the kernel knows of it by then.
type Packet struct {
	Flow
	In, Out        string // interfaces; In is "" for this host's own packets, Out for packets to it
	SrcMAC, DstMAC dhcp.MAC
	ARP            bool
	TCPFlags       uint8
	State          string // conntrack: new, established, related or invalid
	Reply          bool   // in the reply direction of its flow
	NoRouteBack    bool   // its source address does not belong behind In
	Mark           uint32
}

// Step is a rule that a packet matched.
type Step struct {
	Family TableFamily
	Chain  string
	Rule   int
}

// Result is what a ruleset does with a packet.
type Result struct {
	Accept bool
	Steps  []Step // rules that matched, in order; where dropped, the last ones say by what
	Logged string // prefix of the last Log that it met
	Queued bool   // it was held for its DNS answer
}

// Evaluate walks a packet through the base chains of a ruleset as the kernel does: those of one hook by priority; an
// accept ends a base chain, a drop ends everything. It shares no code with the netlink encoder, and a contract test
// compares it with the kernel.
//
// learned says what is in learned sets; nil takes it from their elements.
func Evaluate(r Ruleset, site *Site, p Packet, learned func(set string, a netip.Addr) bool) Result {
	e := evaluation{p: p, learned: learned}
	for _, at := range site.path(p) {
		t := r.Inet
		if at.family == Bridge {
			t = r.Bridge
		}
		if t == nil {
			continue
		}
		for _, c := range baseChains(t, at.hook) {
			if v, _ := e.chain(t, c, 0); v == VerdictDrop {
				return e.res
			}
		}
	}
	e.res.Accept = true
	return e.res
}

type place struct {
	family TableFamily
	hook   Hook
}

// path gives the hooks that a packet passes. Frames between ports of one bridge pass inet hooks only with br_netfilter. What
// comes and goes by one interface that is no bridge is here only because it is routed.
func (s *Site) path(p Packet) []place {
	switch {
	case p.Out == "":
		return []place{{Inet, HookInput}}
	case p.In == p.Out && s.isBridge(p.In):
		if s.Bridge == BridgeMark && !p.ARP {
			return []place{{Inet, HookForward}, {Bridge, HookForward}}
		}
		return []place{{Bridge, HookForward}}
	}
	first := place{Inet, HookForward}
	if p.In == "" {
		first.hook = HookOutput
	}
	if s.isBridge(p.Out) {
		return []place{first, {Bridge, HookOutput}}
	}
	return []place{first}
}

func (s *Site) isBridge(name string) bool {
	return slices.ContainsFunc(s.LAN, func(l LANInterface) bool { return l.Name == name && l.Bridge })
}

func baseChains(t *Table, h Hook) []*Chain {
	var out []*Chain
	for _, name := range sortedKeys(t.Chains) {
		if c := t.Chains[name]; c.Hook == h {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b *Chain) int { return cmp.Compare(a.Priority, b.Priority) })
	return out
}

type evaluation struct {
	p       Packet
	res     Result
	learned func(set string, a netip.Addr) bool
}

const maxJumps = 16 // as in the kernel (NFT_JUMP_STACK_SIZE)

// chain gives the verdict of a chain, and whether it ends its base chain; "" falls through to the caller.
func (e *evaluation) chain(t *Table, c *Chain, depth int) (VerdictKind, bool) {
	if depth > maxJumps {
		return VerdictDrop, true
	}
	for i, r := range c.Rules {
		v, matched := e.rule(t, r)
		if matched {
			e.res.Steps = append(e.res.Steps, Step{t.Family, c.Name, i})
		}
		switch v.Kind {
		case VerdictAccept, VerdictDrop:
			return v.Kind, true
		case VerdictReturn:
			return "", false
		case VerdictJump, VerdictGoto:
			if k, final := e.chain(t, t.Chains[v.Chain], depth+1); final {
				return k, true
			}
			if v.Kind == VerdictGoto {
				return "", false
			}
		}
	}
	return "", false
}

func (e *evaluation) rule(t *Table, r Rule) (Verdict, bool) {
	var v Verdict
	for _, x := range r.Exprs {
		switch x := x.(type) {
		case Verdict:
			v = x
		case EtherMap:
			el, ok := t.Sets[x.Map].Elements[Key{MAC: e.mac(x.Dst)}]
			if !ok {
				return Verdict{}, false
			}
			v = el.Verdict
		case AddrMap:
			el, ok := t.Sets[x.Map].Elements[Key{Addr: e.addr(x.Dst)}]
			if !ok || !e.is(x.V6) {
				return Verdict{}, false
			}
			v = el.Verdict
		default:
			if !e.match(t, x) {
				return Verdict{}, false
			}
		}
	}
	return v, true
}

func (e *evaluation) addr(dst bool) netip.Addr {
	if dst {
		return e.p.Dst
	}
	return e.p.Src
}

func (e *evaluation) mac(dst bool) dhcp.MAC {
	if dst {
		return e.p.DstMAC
	}
	return e.p.SrcMAC
}

// is says whether the packet is of the IP version.
func (e *evaluation) is(v6 bool) bool {
	return !e.p.ARP && e.p.Src.IsValid() && e.p.Src.Is6() == v6
}

func (e *evaluation) match(t *Table, x Expr) bool {
	p := &e.p
	switch x := x.(type) {
	case IfIn:
		name := p.In
		if x.Out {
			name = p.Out
		}
		_, in := t.Sets[x.Set].Elements[Key{Name: name}]
		return in != x.Not
	case EtherIn:
		_, in := t.Sets[x.Set].Elements[Key{MAC: e.mac(x.Dst)}]
		return in
	case EtherUnicast:
		return p.DstMAC[0]&1 == 0
	case IsARP:
		return p.ARP
	case IPVersion:
		return e.is(x.V6)
	case L4:
		return !p.ARP && p.Proto == x.Proto
	case AddrIn:
		return e.is(x.V6) && e.inSet(t.Sets[x.Set], x.Dst)
	case AddrPrefix:
		return e.is(x.Prefix.Addr().Is6()) && x.Prefix.Contains(e.addr(x.Dst))
	case Port:
		port := p.Sport
		if x.Dst {
			port = p.Dport
		}
		return p.Proto == x.Proto && (x.Lo <= port && port <= x.Hi) != x.Not
	case ICMPField:
		if x.Code {
			return p.ICMPCode == x.Value
		}
		return p.ICMPType == x.Value
	case TCPFlags:
		return (p.TCPFlags&x.Mask == x.Value) != x.Not
	}
	return e.state(x)
}

func (e *evaluation) state(x Expr) bool {
	p := &e.p
	switch x := x.(type) {
	case CtState:
		return p.State == x.State
	case CtReply:
		return p.Reply
	case NoRouteBack:
		return p.NoRouteBack
	case MarkHas:
		return p.Mark&x.Bit != 0
	case MarkSet:
		p.Mark |= x.Bit
		if x.Clear {
			p.Mark &^= x.Bit
		}
	case Limit:
		return !x.Over // one packet is within every limit
	case Log:
		e.res.Logged = x.Prefix
	case Queue:
		e.res.Queued = true
	case UpdateAddr, Counter: // nothing to match; what they keep is the kernel's
	default:
		panic(fmt.Sprintf("enforcer: cannot evaluate %T", x))
	}
	return true
}

func (e *evaluation) inSet(s *Set, dst bool) bool {
	a := e.addr(dst)
	if s.Learned && e.learned != nil {
		return e.learned(s.Name, a)
	}
	if !s.Interval {
		_, in := s.Elements[Key{Addr: a}]
		return in
	}
	for k := range s.Elements {
		if k.Addr.Compare(a) <= 0 && a.Compare(k.End) <= 0 {
			return true
		}
	}
	return false
}
