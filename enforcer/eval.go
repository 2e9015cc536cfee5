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
	EtherType      uint16 // of what is not IP
	TCPFlags       uint8
	State          string // conntrack: new, established, related or invalid
	Reply          bool   // in the reply direction of its flow
	NoRouteBack    bool   // its source address does not belong behind In
	Mark           uint32
	// Network and Transport are the headers as they were sent, where they are known. A field of a header that is not known
	// has no value.
	Network, Transport []byte
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
	Asked  []Noted
}

// Noted is a key that a rule puts into a set of who asked a group.
type Noted struct {
	Family TableFamily
	Set    string
	Key    Key
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
		if at == (station{Inet, HookForward}) && !site.bridges(p) {
			e.hop()
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

type station struct {
	family TableFamily
	hook   Hook
}

// path gives the hooks that a packet passes. Frames between ports of one bridge pass inet hooks only with br_netfilter. What
// comes and goes by one interface that is no bridge is here only because it is routed.
func (s *Site) path(p Packet) []station {
	switch {
	case p.Out == "":
		return []station{{Inet, HookInput}}
	case s.bridges(p):
		if s.Bridge == BridgeMark && p.EtherType == 0 {
			return []station{{Inet, HookForward}, {Bridge, HookForward}}
		}
		return []station{{Bridge, HookForward}}
	}
	first := station{Inet, HookForward}
	if p.In == "" {
		first.hook = HookOutput
	}
	if s.isBridge(p.Out) {
		return []station{first, {Bridge, HookOutput}}
	}
	return []station{first}
}

// bridges says that a packet goes from one port of a bridge to another.
func (s *Site) bridges(p Packet) bool { return p.Out != "" && p.In == p.Out && s.isBridge(p.In) }

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
	return e.p.EtherType == 0 && e.p.Src.IsValid() && e.p.Src.Is6() == v6
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
		return in != x.Not
	case EtherAddr:
		mac := e.mac(x.Dst)
		for i := range mac {
			mac[i] &= x.Mask[i]
		}
		return mac == x.Addr
	case EtherType:
		return p.EtherType == x.Type
	case IPVersion:
		return e.is(x.V6)
	case L4:
		return p.EtherType == 0 && p.Proto == x.Proto
	case AddrIn:
		return e.is(x.V6) && e.inSet(t.Sets[x.Set], x.Dst)
	case Claim:
		k, ok := e.claim(x)
		return ok && t.Sets[x.Set].has(k) != x.Not
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
	case HeaderField:
		v, known := bitsOf(e.header(x.Header), int(x.At), int(x.Bits))
		return known && v&x.Mask == x.Value
	case HeaderBytes:
		end := int(x.At) + len(x.Value)
		return end <= len(p.Transport) && string(p.Transport[x.At:end]) == x.Value
	case Answer:
		_, asked := t.Sets[x.Set].Elements[e.asked(x.By, true)]
		return asked && p.Proto == protoUDP
	}
	return e.state(t, x)
}

func (e *evaluation) state(t *Table, x Expr) bool {
	p := &e.p
	switch x := x.(type) {
	case CtState:
		return p.State == x.State
	case CtFresh:
		return p.State == "new"
	case CtReply:
		return p.Reply != x.Not
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
	case Ask:
		e.res.Asked = append(e.res.Asked, Noted{t.Family, x.Set, e.asked(x.By, false)})
	case UpdateAddr, NoteClaim, Counter: // nothing to match; what they keep is the kernel's
	default:
		panic(fmt.Sprintf("enforcer: cannot evaluate %T", x))
	}
	return true
}

// claim is the key by which a claim is looked up.
func (e *evaluation) claim(x Claim) (k Key, ok bool) {
	switch x.Of {
	case ClaimND:
		if ok = e.is(true) && len(e.p.Transport) >= ndTargetEnd; ok {
			k.Addr = netip.AddrFrom16([16]byte(e.p.Transport[ndTarget:]))
		}
	case ClaimARP:
		k.Addr, ok = e.p.Src, e.p.EtherType == etherARP && e.p.Src.IsValid()
	default:
		k.Addr, ok = e.p.Src, e.is(x.Of == ClaimIPv6)
	}
	if x.Pair {
		k.MAC = e.p.SrcMAC
	}
	return k, ok
}

// hop is what a router does before its forward hook: it counts the hop (RFC 791 section 3.2, RFC 8200 section 3).
func (e *evaluation) hop() {
	at := map[bool]int{false: 8, true: 7}[e.is(true)]
	if at < len(e.p.Network) {
		e.p.Network = slices.Clone(e.p.Network)
		e.p.Network[at]--
	}
}

// header gives the header that nft calls name, or nothing where the packet has none.
func (e *evaluation) header(name string) []byte {
	switch {
	case name == HeaderIPv4 && e.is(false), name == HeaderIPv6 && e.is(true):
		return e.p.Network
	case name == HeaderTCP && e.p.Proto == protoTCP, name == HeaderUDP && e.p.Proto == protoUDP:
		return e.p.Transport
	}
	return nil
}

func bitsOf(b []byte, at, n int) (v uint32, known bool) {
	if n == 0 || at+n > 8*len(b) {
		return 0, false
	}
	for i := at; i < at+n; i++ {
		v = v<<1 | uint32(b[i/8]>>(7-i%8)&1)
	}
	return v, true
}

// asked is the key of a question to a group, or that which its answer is looked up by.
func (e *evaluation) asked(by KeyType, answer bool) Key {
	k := Key{Sport: e.p.Sport, Dport: e.p.Dport}
	if answer {
		k.Sport, k.Dport = k.Dport, k.Sport
	}
	if by == TypeMACPorts {
		k.MAC = e.mac(answer)
	} else {
		k.Addr = e.addr(answer)
	}
	return k
}

func (e *evaluation) inSet(s *Set, dst bool) bool {
	a := e.addr(dst)
	if s.Learned && e.learned != nil {
		return e.learned(s.Name, a)
	}
	return s.has(Key{Addr: a})
}

func (s *Set) has(k Key) bool {
	if !s.Interval {
		_, in := s.Elements[k]
		return in
	}
	for r := range s.Elements {
		if r.Addr.Compare(k.Addr) <= 0 && k.Addr.Compare(r.End) <= 0 {
			return true
		}
	}
	return false
}
