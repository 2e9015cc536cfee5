package enforcer

import (
	"net/netip"
	"time"

	"mudguard/dhcp"
)

// TableName is the name of both of our tables; we touch no other.
const TableName = "mudguard"

// TableFamily is the nftables family of a table.
type TableFamily string

// The two tables: inet sees routed packets and those to and from this host, bridge sees frames.
const (
	Inet   TableFamily = "inet"
	Bridge TableFamily = "bridge"
)

// Ruleset is everything that should be in the kernel: a pure value, equal inputs give equal rulesets.
// A nil table is not there.
type Ruleset struct {
	Inet, Bridge *Table
}

// Tables lists the tables that exist, in a fixed order.
func (r Ruleset) Tables() []*Table {
	var out []*Table
	for _, t := range []*Table{r.Inet, r.Bridge} {
		if t != nil {
			out = append(out, t)
		}
	}
	return out
}

// Table is one nftables table named TableName.
type Table struct {
	Family TableFamily
	Sets   map[string]*Set
	Chains map[string]*Chain
}

// KeyType is the type of a set's keys.
type KeyType string

// Key types, spelled as nft does.
const (
	TypeMAC    KeyType = "ether_addr"
	TypeIPv4   KeyType = "ipv4_addr"
	TypeIPv6   KeyType = "ipv6_addr"
	TypeIfname KeyType = "ifname"
	// Whose address it is: a concatenation.
	TypeMACIPv4 KeyType = TypeMAC + ofMAC + TypeIPv4
	TypeMACIPv6 KeyType = TypeMAC + ofMAC + TypeIPv6
	// Who asked a group, and the two UDP ports: a concatenation.
	TypeMACPorts  KeyType = TypeMAC + portsOf
	TypeIPv4Ports KeyType = TypeIPv4 + portsOf
	TypeIPv6Ports KeyType = TypeIPv6 + portsOf

	ofMAC   = " . "
	portsOf = " . inet_service . inet_service"
)

// Set is a named set, or a verdict map where Map is true.
type Set struct {
	Name     string
	Key      KeyType
	Map      bool
	Interval bool          // elements are ranges Key..End
	Dynamic  bool          // filled by rules in the kernel (update @set)
	HasTTL   bool          // elements carry timeouts
	Timeout  time.Duration // default timeout of elements; 0: none
	Size     uint32        // most elements; 0: the kernel's default
	Comment  string
	// Learned sets hold what was learned while running (DNS answers, the kernel's own updates): their elements
	// are no part of the policy, so Diff leaves them alone in a set that stays.
	Learned  bool
	Elements map[Key]Element
}

// Key is the key of a set element; the fields that its set's type needs are set.
type Key struct {
	MAC  dhcp.MAC
	Addr netip.Addr // first address of the range in an interval set
	End  netip.Addr // last address of the range, inclusive; only in interval sets
	Name string     // interface name
	// Source and destination port of the question, in sets of who asked a group.
	Sport, Dport uint16
}

// Element is what a set or map holds for a Key.
type Element struct {
	Verdict Verdict       // of maps
	Timeout time.Duration // time left; 0: the set's default, or none
	Comment string
}

// VerdictKind is what happens to a packet.
type VerdictKind string

// Verdicts, spelled as nft does.
const (
	VerdictAccept VerdictKind = "accept"
	VerdictDrop   VerdictKind = "drop"
	VerdictReturn VerdictKind = "return"
	VerdictJump   VerdictKind = "jump"
	VerdictGoto   VerdictKind = "goto"
)

// Verdict ends a rule, or is the value of a verdict map's element.
type Verdict struct {
	Kind  VerdictKind
	Chain string // of jump and goto
}

// Hook is a point in the packet's way where a base chain looks.
type Hook string

// Hooks that we use.
const (
	HookInput   Hook = "input"
	HookForward Hook = "forward"
	HookOutput  Hook = "output"
)

// Chain is an ordered list of rules. A chain without a Hook never changes after it was made: its name says
// what is in it. Base chains are made once and never deleted while we run, since deleting any base chain
// drops what NFQUEUE holds (hardening.md R3); their rules may be replaced.
type Chain struct {
	Name     string
	Hook     Hook // "" for a chain that is only jumped to
	Priority int32
	Rules    []Rule
}

// Rule is one rule: every Expr must hold, in order.
type Rule struct {
	Exprs   []Expr
	Comment string // at most 120 bytes of printable ASCII without quotes
}

// Expr is one part of a rule. The set of implementations is closed: text, netlink and the packet evaluator
// each switch over all of them.
type Expr interface{ isExpr() }

// The matches and statements of which rules are made.
type (
	// IfIn holds for packets from (or to, where Out) an interface in Set.
	IfIn struct {
		Out bool
		Not bool
		Set string
	}
	// EtherIn holds when the frame's source (or destination) is in Set, or is not where Not.
	EtherIn struct {
		Dst bool
		Not bool
		Set string
	}
	// EtherMap goes where Map says for the frame's source (or destination).
	EtherMap struct {
		Dst bool
		Map string
	}
	// EtherAddr holds when the bits in Mask of the frame's source (or destination) are those of Addr.
	EtherAddr struct {
		Dst        bool
		Addr, Mask dhcp.MAC
	}
	// EtherType holds for frames that carry Type, behind VLAN tags; only in the bridge family.
	EtherType struct{ Type uint16 }
	// IPVersion holds for packets of IPv4 (4) or IPv6 (6).
	IPVersion struct{ V6 bool }
	// L4 holds for packets whose transport protocol is Proto, after IPv6 extension headers.
	L4 struct{ Proto uint8 }
	// AddrIn holds when the source (or destination) address is in Set.
	AddrIn struct {
		V6  bool
		Dst bool
		Set string
	}
	// Claim holds when the address that a packet says is its sender's is in Set, or is not where Not. Where Pair, the keys of
	// Set have the frame's source before it.
	Claim struct {
		Of   ClaimKind
		Pair bool
		Not  bool
		Set  string
	}
	// NoteClaim puts the frame's source and the address that it claims into the dynamic Set.
	NoteClaim struct {
		Of  ClaimKind
		Set string
	}
	// AddrMap goes where Map says for the source (or destination) address.
	AddrMap struct {
		V6  bool
		Dst bool
		Map string
	}
	// AddrPrefix holds when the source (or destination) address is in Prefix.
	AddrPrefix struct {
		Dst    bool
		Prefix netip.Prefix
	}
	// Port holds when the source (or destination) port of Proto (6 or 17) is in Lo..Hi, or is not where Not.
	// It follows an L4 of the same protocol.
	Port struct {
		Proto  uint8
		Dst    bool
		Not    bool
		Lo, Hi uint16
	}
	// ICMPField holds when the ICMP (or ICMPv6) type, or code where Code, equals Value. It follows an L4.
	ICMPField struct {
		V6    bool
		Code  bool
		Value uint8
	}
	// TCPFlags holds when flags & Mask == Value (or != where Not). It follows an L4 of TCP.
	TCPFlags struct {
		Mask, Value uint8
		Not         bool
	}
	// HeaderField holds when the bits in Mask of a header field are those of Value. Header (ip, ip6, tcp or udp) and Name are
	// nft's words; At and Bits say where the field is, in bits. It follows an IPVersion or an L4 of that header.
	HeaderField struct {
		Header, Name string
		At, Bits     uint16
		Mask, Value  uint32
	}
	// HeaderBytes holds when Value, at most 16 octets, is what the transport header has from the octet At on. It follows an L4.
	HeaderBytes struct {
		At    uint8
		Value string
	}
	// CtState holds when the packet's connection tracking state is State.
	CtState struct{ State string } // established, related, invalid
	// CtFresh holds for the packet that opens a flow, and not for those that follow before somebody answered.
	CtFresh struct{}
	// CtReply holds for packets in the reply direction of their flow, or in the other where Not.
	CtReply struct{ Not bool }
	// NoRouteBack holds when the source address is not routed back to the interface the packet came from.
	NoRouteBack struct{}
	// MarkHas holds when the packet mark has Bit.
	MarkHas struct{ Bit uint32 }
	// MarkSet sets (or clears, where Clear) Bit in the packet mark and leaves the others.
	MarkSet struct {
		Bit   uint32
		Clear bool
	}
	// UpdateAddr puts the source address into the dynamic Set, or renews it there.
	UpdateAddr struct {
		V6  bool
		Set string
	}
	// Ask puts who sends a UDP packet, with its ports, into the dynamic Set: its keys name the sender by By, a MAC or an
	// address.
	Ask struct {
		By  KeyType
		Set string
	}
	// Answer holds for a UDP packet to somebody who asked, from the port that was asked to the one that asked.
	Answer struct {
		By  KeyType
		Set string
	}
	// Limit holds while the rate of packets per key (in the dynamic Set) is within Count per Per with Burst; where
	// Over, it holds for those above.
	Limit struct {
		By    LimitKey
		Set   string
		Count uint64
		Per   time.Duration // a second, a minute or an hour
		Burst uint32
		Over  bool
	}
	// Log copies the head of the packet to an NFLOG group.
	Log struct {
		Group  uint16
		Prefix string
	}
	// Queue hands the packet to userspace, or lets it pass when nobody listens (bypass).
	Queue struct {
		Num uint16
		XT  bool // spelled as the xt target NFQUEUE, where the kernel has no nft_queue
	}
	// Counter counts packets and bytes.
	Counter struct{}
)

// LimitKey is by what a Limit counts.
type LimitKey string

// Limit keys, spelled as nft does.
const (
	ByEtherSrc LimitKey = "ether saddr"
	ByEtherDst LimitKey = "ether daddr"
	ByIPv4Dst  LimitKey = "ip daddr"
	ByIPv6Dst  LimitKey = "ip6 daddr"
)

// ClaimKind is where a packet says which address its sender has.
type ClaimKind string

// Kinds of claims, spelled as nft does: source addresses, the sender of ARP, and the target of a neighbour advertisement.
const (
	ClaimIPv4 ClaimKind = "ip saddr"
	ClaimIPv6 ClaimKind = "ip6 saddr"
	ClaimARP  ClaimKind = "arp saddr ip"
	ClaimND   ClaimKind = "icmpv6 taddr"
)

func (IfIn) isExpr()        {}
func (Claim) isExpr()       {}
func (NoteClaim) isExpr()   {}
func (EtherIn) isExpr()     {}
func (EtherMap) isExpr()    {}
func (EtherAddr) isExpr()   {}
func (EtherType) isExpr()   {}
func (IPVersion) isExpr()   {}
func (L4) isExpr()          {}
func (AddrIn) isExpr()      {}
func (AddrMap) isExpr()     {}
func (AddrPrefix) isExpr()  {}
func (Port) isExpr()        {}
func (ICMPField) isExpr()   {}
func (TCPFlags) isExpr()    {}
func (HeaderField) isExpr() {}
func (HeaderBytes) isExpr() {}
func (CtState) isExpr()     {}
func (CtFresh) isExpr()     {}
func (CtReply) isExpr()     {}
func (NoRouteBack) isExpr() {}
func (MarkHas) isExpr()     {}
func (MarkSet) isExpr()     {}
func (UpdateAddr) isExpr()  {}
func (Ask) isExpr()         {}
func (Answer) isExpr()      {}
func (Limit) isExpr()       {}
func (Log) isExpr()         {}
func (Queue) isExpr()       {}
func (Counter) isExpr()     {}
func (Verdict) isExpr()     {}
