package kernel

import (
	"fmt"
	"time"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

// Offsets into headers (RFC 791, RFC 8200, RFC 9293, RFC 768, IEEE 802.3).
const (
	offEtherDst, offEtherSrc, offEtherType = 0, 6, 12
	offIP4Src, offIP4Dst                   = 12, 16
	offIP6Src, offIP6Dst                   = 8, 24
	offTCPFlags                            = 13
	offARPSender                           = 14 // RFC 826
	offNDTarget                            = 8  // RFC 4861 section 4.4
)

const (
	reg          = 1 // the one register that our rules use (NFT_REG_1)
	arphrdEther  = 1 // ARPHRD_ETHER
	logSnapLen   = 128
	dynsetUpdate = 1 // NFT_DYNSET_OP_UPDATE

	statusConfirmed = 1 << 3 // IPS_CONFIRMED: set once the flow's first packet has left
)

// l3 is what a rule knows about the network layer so far.
type l3 uint8

const (
	l3None l3 = iota
	l3IPv4
	l3IPv6
	l3ARP
	l3Other
)

// encoder turns one rule into expressions. It tracks what the rule established already and adds the same implicit
// dependencies, at the same places, as nft does when it loads enforcer.Text; so both list alike.
type encoder struct {
	family enforcer.TableFamily
	out    []expr.Any
	ether  bool // the link layer is known to be Ethernet by a dependency of this rule
	l3     l3
	l4     int // protocol number, -1 while unknown
}

func encodeRule(f enforcer.TableFamily, r enforcer.Rule) ([]expr.Any, error) {
	e := &encoder{family: f, l4: -1}
	for i := 0; i < len(r.Exprs); i++ {
		x := r.Exprs[i]
		if i+1 < len(r.Exprs) {
			next := r.Exprs[i+1]
			if impliedL4(x, next) {
				continue
			}
			if both, ok := bothPorts(x, next); ok {
				e.ports(both)
				i++
				continue
			}
		}
		if err := e.add(x); err != nil {
			return nil, err
		}
	}
	return e.out, nil
}

// portPair is a source and a destination port that one load compares.
type portPair struct {
	proto    uint8
	src, dst uint16
}

// bothPorts joins two single ports of a rule, whichever comes first, as nft does.
func bothPorts(x, next enforcer.Expr) (portPair, bool) {
	a, ok1 := x.(enforcer.Port)
	b, ok2 := next.(enforcer.Port)
	if !ok1 || !ok2 || a.Dst == b.Dst || a.Proto != b.Proto || a.Not || b.Not || a.Lo != a.Hi || b.Lo != b.Hi {
		return portPair{}, false
	}
	if a.Dst {
		a, b = b, a
	}
	return portPair{proto: a.Proto, src: a.Lo, dst: b.Lo}, true
}

func (e *encoder) ports(p portPair) {
	e.needL4(p.proto)
	e.payload(expr.PayloadBaseTransportHeader, 0, 4)
	e.cmp(expr.CmpOpEq, append(big16(p.src), big16(p.dst)...))
}

// impliedL4 says that x is an L4 which next brings along itself, as enforcer.Text leaves it out.
func impliedL4(x, next enforcer.Expr) bool {
	if _, ok := x.(enforcer.L4); !ok {
		return false
	}
	switch next.(type) {
	case enforcer.Port, enforcer.TCPFlags, enforcer.ICMPField:
		return true
	}
	return false
}

func ruleComment(comment string) []byte {
	if comment == "" {
		return nil
	}
	return userdata.AppendString(nil, userdata.TypeComment, comment)
}

func (e *encoder) put(x ...expr.Any) { e.out = append(e.out, x...) }

// add encodes a match or hands on to concatenation.
func (e *encoder) add(x enforcer.Expr) error {
	switch x := x.(type) {
	case enforcer.IfIn:
		key := expr.MetaKeyIIFNAME
		if x.Out {
			key = expr.MetaKeyOIFNAME
		}
		e.meta(key)
		e.put(&expr.Lookup{SourceRegister: reg, SetName: x.Set, Invert: x.Not})
	case enforcer.EtherIn:
		e.etherAddr(x.Dst)
		e.put(&expr.Lookup{SourceRegister: reg, SetName: x.Set, Invert: x.Not})
	case enforcer.EtherMap:
		e.etherAddr(x.Dst)
		e.put(&expr.Lookup{SourceRegister: reg, SetName: x.Map, IsDestRegSet: true})
	case enforcer.EtherAddr:
		e.etherAddr(x.Dst)
		e.masked(x.Mask[:], x.Addr[:])
	case enforcer.EtherType:
		e.etherType(x.Type)
		e.l3 = l3Other
		if x.Type == unix.ETH_P_ARP {
			e.l3 = l3ARP
		}
	case enforcer.IPVersion:
		e.ipVersion(x.V6)
	case enforcer.L4:
		e.l4proto(x.Proto)
	case enforcer.AddrIn:
		e.address(x.V6, x.Dst)
		e.put(&expr.Lookup{SourceRegister: reg, SetName: x.Set})
	case enforcer.AddrMap:
		e.address(x.V6, x.Dst)
		e.put(&expr.Lookup{SourceRegister: reg, SetName: x.Map, IsDestRegSet: true})
	case enforcer.AddrPrefix:
		e.prefix(x)
	case enforcer.Port:
		e.port(x)
	case enforcer.ICMPField:
		e.icmp(x)
	case enforcer.TCPFlags:
		e.needL4(unix.IPPROTO_TCP)
		e.payload(expr.PayloadBaseTransportHeader, offTCPFlags, 1)
		e.mask([]byte{x.Mask}, []byte{0})
		e.cmp(eqOr(x.Not), []byte{x.Value})
	case enforcer.HeaderField:
		return e.field(x)
	case enforcer.HeaderBytes:
		e.payload(expr.PayloadBaseTransportHeader, uint32(x.At), uint32(len(x.Value)))
		e.cmp(expr.CmpOpEq, []byte(x.Value))
	default:
		return e.concatenation(x)
	}
	return nil
}

// concatenation encodes what looks up several fields together or puts them into a set, or hands on to statement.
func (e *encoder) concatenation(x enforcer.Expr) error {
	switch x := x.(type) {
	case enforcer.Claim:
		e.claim(x.Of, x.Pair)
		e.put(&expr.Lookup{SourceRegister: reg, SetName: x.Set, Invert: x.Not})
	case enforcer.NoteClaim:
		e.claim(x.Of, true)
		e.put(&expr.Dynset{SrcRegKey: reg, SetName: x.Set, Operation: dynsetUpdate})
	case enforcer.Answer:
		e.asked(x.By, true)
		e.put(&expr.Lookup{SourceRegister: reg, SetName: x.Set})
	case enforcer.Ask:
		e.asked(x.By, false)
		e.put(&expr.Dynset{SrcRegKey: reg, SetName: x.Set, Operation: dynsetUpdate})
	default:
		return e.statement(x)
	}
	return nil
}

func (e *encoder) statement(x enforcer.Expr) error {
	switch x := x.(type) {
	case enforcer.CtState:
		return e.ctState(x.State)
	case enforcer.CtFresh:
		e.put(&expr.Ct{Register: reg, Key: expr.CtKeySTATUS})
		e.mask(native32(statusConfirmed), native32(0))
		e.cmp(expr.CmpOpEq, native32(0))
	case enforcer.CtReply:
		e.put(&expr.Ct{Register: reg, Key: expr.CtKeyDIRECTION})
		e.cmp(expr.CmpOpEq, []byte{byte(boolInt(!x.Not))})
	case enforcer.NoRouteBack:
		e.put(&expr.Fib{Register: reg, ResultOIF: true, FlagSADDR: true, FlagIIF: true, FlagPRESENT: true})
		e.cmp(expr.CmpOpEq, native32(0)) // the kernel stores a whole register, also for present
	case enforcer.MarkHas:
		e.meta(expr.MetaKeyMARK)
		e.mask(native32(x.Bit), native32(0))
		e.cmp(expr.CmpOpEq, native32(x.Bit))
	case enforcer.MarkSet:
		e.markSet(x)
	case enforcer.UpdateAddr:
		e.address(x.V6, false)
		e.put(&expr.Dynset{SrcRegKey: reg, SetName: x.Set, Operation: dynsetUpdate})
	case enforcer.Limit:
		return e.limit(x)
	case enforcer.Log:
		e.put(logExpr(x))
	case enforcer.Queue:
		e.put(queueExpr(x))
	case enforcer.Counter:
		e.put(&expr.Counter{})
	case enforcer.Verdict:
		v, err := verdictExpr(x)
		if err != nil {
			return err
		}
		e.put(v)
	default:
		return fmt.Errorf("kernel: no encoding for %T", x)
	}
	return nil
}

func (e *encoder) meta(key expr.MetaKey) { e.put(&expr.Meta{Key: key, Register: reg}) }

func (e *encoder) cmp(op expr.CmpOp, data []byte) {
	e.put(&expr.Cmp{Op: op, Register: reg, Data: data})
}

func (e *encoder) mask(and, xor []byte) {
	e.put(&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: uint32(len(and)), Mask: and, Xor: xor})
}

func (e *encoder) payload(base expr.PayloadBase, offset, length uint32) {
	e.put(&expr.Payload{DestRegister: reg, Base: base, Offset: offset, Len: length})
}

// etherAddr loads a MAC. In the inet family the packet may come from something that is not Ethernet: nft checks first.
func (e *encoder) etherAddr(dst bool) {
	e.needEther()
	off := uint32(offEtherSrc)
	if dst {
		off = offEtherDst
	}
	e.payload(expr.PayloadBaseLLHeader, off, 6)
}

func (e *encoder) needEther() {
	if e.family == enforcer.Inet && !e.ether {
		e.meta(expr.MetaKeyIIFTYPE)
		e.cmp(expr.CmpOpEq, native16(arphrdEther))
		e.ether = true
	}
}

// ipVersion is the explicit match, needL3 the implicit one.
func (e *encoder) ipVersion(v6 bool) {
	e.l3 = l3Of(v6)
	if e.family == enforcer.Bridge {
		e.etherType(etherTypeOf(v6))
		return
	}
	e.meta(expr.MetaKeyNFPROTO)
	e.cmp(expr.CmpOpEq, []byte{nfprotoOf(v6)})
}

// etherType matches what nft calls meta protocol.
func (e *encoder) etherType(t uint16) {
	e.meta(expr.MetaKeyPROTOCOL)
	e.cmp(expr.CmpOpEq, big16(t))
}

// headerEtherType matches the type in the Ethernet header itself, as nft does where it counts on such a header.
func (e *encoder) headerEtherType(v6 bool) {
	e.headerType(etherTypeOf(v6))
}

func (e *encoder) headerType(t uint16) {
	e.payload(expr.PayloadBaseLLHeader, offEtherType, 2)
	e.cmp(expr.CmpOpEq, big16(t))
}

func (e *encoder) needL3(v6 bool) {
	if e.l3 == l3Of(v6) {
		return
	}
	if e.family == enforcer.Inet && e.ether {
		e.l3 = l3Of(v6)
		e.headerEtherType(v6)
		return
	}
	e.ipVersion(v6)
}

func (e *encoder) l4proto(proto uint8) {
	e.meta(expr.MetaKeyL4PROTO)
	e.cmp(expr.CmpOpEq, []byte{proto})
	e.l4 = int(proto)
}

func (e *encoder) needL4(proto uint8) {
	if e.l4 != int(proto) {
		e.l4proto(proto)
	}
}

func (e *encoder) address(v6, dst bool) {
	off, length := addrField(v6, dst)
	e.needL3(v6)
	e.payload(expr.PayloadBaseNetworkHeader, off, length)
}

// prefix compares whole bytes where it can, and masks where it cannot, as nft does.
func (e *encoder) prefix(x enforcer.AddrPrefix) {
	p := x.Prefix.Masked()
	v6 := p.Addr().Is6()
	off, length := addrField(v6, x.Dst)
	addr, bits := p.Addr().AsSlice(), p.Bits()
	e.needL3(v6)
	if bits > 0 && bits%8 == 0 {
		e.payload(expr.PayloadBaseNetworkHeader, off, uint32(bits/8))
		e.cmp(expr.CmpOpEq, addr[:bits/8])
		return
	}
	e.payload(expr.PayloadBaseNetworkHeader, off, length)
	e.mask(maskBytes(int(length), bits), make([]byte, length))
	e.cmp(expr.CmpOpEq, addr)
}

func (e *encoder) port(x enforcer.Port) {
	e.needL4(x.Proto)
	off := uint32(0)
	if x.Dst {
		off = 2
	}
	e.payload(expr.PayloadBaseTransportHeader, off, 2)
	switch {
	case x.Lo == x.Hi:
		e.cmp(eqOr(x.Not), big16(x.Lo))
	case x.Not:
		e.put(&expr.Range{Op: expr.CmpOpNeq, Register: reg, FromData: big16(x.Lo), ToData: big16(x.Hi)})
	default:
		e.cmp(expr.CmpOpGte, big16(x.Lo))
		e.cmp(expr.CmpOpLte, big16(x.Hi))
	}
}

// icmp matches a field of ICMP. nft ties ICMP to IPv4 and ICMPv6 to IPv6 unless the transport is known already.
func (e *encoder) icmp(x enforcer.ICMPField) {
	proto := uint8(unix.IPPROTO_ICMP)
	if x.V6 {
		proto = unix.IPPROTO_ICMPV6
	}
	if e.l4 != int(proto) && e.l3 != l3Of(x.V6) {
		e.icmpL3(x.V6)
	}
	e.needL4(proto)
	off := uint32(0)
	if x.Code {
		off = 1
	}
	e.payload(expr.PayloadBaseTransportHeader, off, 1)
	e.cmp(expr.CmpOpEq, []byte{x.Value})
}

func (e *encoder) icmpL3(v6 bool) {
	if e.family == enforcer.Bridge {
		e.headerEtherType(v6)
		e.l3 = l3Of(v6)
		return
	}
	e.needL3(v6)
}

func (e *encoder) ctState(state string) error {
	bits := map[string]uint32{
		"invalid": expr.CtStateBitINVALID, "established": expr.CtStateBitESTABLISHED,
		"related": expr.CtStateBitRELATED, "new": expr.CtStateBitNEW, "untracked": expr.CtStateBitUNTRACKED,
	}
	bit, ok := bits[state]
	if !ok {
		return fmt.Errorf("kernel: unknown conntrack state %q", state)
	}
	e.put(&expr.Ct{Register: reg, Key: expr.CtKeySTATE})
	e.mask(native32(bit), native32(0))
	e.cmp(expr.CmpOpNeq, native32(0))
	return nil
}

// markSet leaves the other bits alone: mark = mark & ^Bit, then ^ Bit to set it.
func (e *encoder) markSet(x enforcer.MarkSet) {
	xor := x.Bit
	if x.Clear {
		xor = 0
	}
	e.meta(expr.MetaKeyMARK)
	e.mask(native32(^x.Bit), native32(xor))
	e.put(&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg})
}

func (e *encoder) limit(x enforcer.Limit) error {
	switch x.By {
	case enforcer.ByEtherSrc:
		e.etherAddr(false)
	case enforcer.ByEtherDst:
		e.etherAddr(true)
	case enforcer.ByIPv4Dst:
		e.address(false, true)
	case enforcer.ByIPv6Dst:
		e.address(true, true)
	default:
		return fmt.Errorf("kernel: unknown limit key %q", x.By)
	}
	unit := expr.LimitTimeSecond
	switch x.Per {
	case time.Minute:
		unit = expr.LimitTimeMinute
	case time.Hour:
		unit = expr.LimitTimeHour
	}
	l := &expr.Limit{Type: expr.LimitTypePkts, Rate: x.Count, Unit: unit, Burst: x.Burst, Over: x.Over}
	e.put(&expr.Dynset{SrcRegKey: reg, SetName: x.Set, Operation: dynsetUpdate, Exprs: []expr.Any{l}})
	return nil
}
