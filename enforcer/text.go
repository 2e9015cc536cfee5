package enforcer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Text renders a ruleset as an nft script. Loaded with nft -f it lists exactly as what package kernel programs over
// netlink; the contract test there compares the two. A Queue in the xt spelling, which nft cannot load, becomes a comment.
func Text(r Ruleset) string {
	var b strings.Builder
	for _, t := range r.Tables() {
		t.text(&b)
	}
	return b.String()
}

func (t *Table) text(b *strings.Builder) {
	fmt.Fprintf(b, "table %s %s {\n", t.Family, TableName)
	for _, name := range sortedKeys(t.Sets) {
		t.Sets[name].text(b)
	}
	// Regular chains name each other, and nft wants a chain there before it is named: all are declared first.
	var base, regular []string
	for _, name := range sortedKeys(t.Chains) {
		if t.Chains[name].Hook == "" {
			regular = append(regular, name)
			fmt.Fprintf(b, "\tchain %s {\n\t}\n", name)
		} else {
			base = append(base, name)
		}
	}
	for _, name := range append(regular, base...) {
		t.Chains[name].text(b, t.Family)
	}
	b.WriteString("}\n")
	for _, name := range sortedKeys(t.Sets) {
		t.Sets[name].elementsText(b, t.Family)
	}
}

func (s *Set) text(b *strings.Builder) {
	kind, typ := "set", string(s.Key)
	if s.Map {
		kind, typ = "map", typ+" : verdict"
	}
	fmt.Fprintf(b, "\t%s %s {\n\t\ttype %s\n", kind, s.Name, typ)
	if s.Size > 0 {
		fmt.Fprintf(b, "\t\tsize %d\n", s.Size)
	}
	var flags []string
	if s.Dynamic {
		flags = append(flags, "dynamic")
	}
	if s.Interval {
		flags = append(flags, "interval")
	}
	if s.HasTTL {
		flags = append(flags, "timeout")
	}
	if len(flags) > 0 {
		fmt.Fprintf(b, "\t\tflags %s\n", strings.Join(flags, ","))
	}
	if s.Timeout > 0 {
		fmt.Fprintf(b, "\t\ttimeout %s\n", nftDuration(s.Timeout))
	}
	if s.Comment != "" {
		fmt.Fprintf(b, "\t\tcomment %q\n", s.Comment)
	}
	b.WriteString("\t}\n")
}

// elementsText adds the elements after all chains are there, since those of a map name chains.
func (s *Set) elementsText(b *strings.Builder, f TableFamily) {
	if len(s.Elements) == 0 {
		return
	}
	fmt.Fprintf(b, "add element %s %s %s {\n", f, TableName, s.Name)
	for _, k := range SortedElements(s.Elements) {
		e := s.Elements[k]
		b.WriteString("\t" + k.Text(s.Key))
		if e.Timeout > 0 {
			fmt.Fprintf(b, " timeout %s", nftDuration(e.Timeout))
		}
		if e.Comment != "" {
			fmt.Fprintf(b, " comment %q", e.Comment)
		}
		if s.Map {
			b.WriteString(" : " + e.Verdict.String())
		}
		b.WriteString(",\n")
	}
	b.WriteString("}\n")
}

// SortedElements gives the keys of elements in a fixed order.
func SortedElements(elements map[Key]Element) []Key {
	keys := make([]Key, 0, len(elements))
	for k := range elements {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(slices.Compare(a.MAC[:], b.MAC[:]), a.Addr.Compare(b.Addr), strings.Compare(a.Name, b.Name),
			cmp.Compare(a.Sport, b.Sport), cmp.Compare(a.Dport, b.Dport))
	})
	return keys
}

// Text is the key as nft spells it in a set of type t.
func (k Key) Text(t KeyType) string {
	if who, ports := strings.CutSuffix(string(t), portsOf); ports {
		return fmt.Sprintf("%s . %d . %d", k.Text(KeyType(who)), k.Sport, k.Dport)
	}
	switch {
	case t == TypeMACIPv4 || t == TypeMACIPv6:
		return k.MAC.String() + ofMAC + k.Addr.String()
	case t == TypeMAC:
		return k.MAC.String()
	case t == TypeIfname:
		return `"` + k.Name + `"`
	case k.End.IsValid() && k.End != k.Addr:
		return k.Addr.String() + "-" + k.End.String()
	}
	return k.Addr.String()
}

func (c *Chain) text(b *strings.Builder, f TableFamily) {
	fmt.Fprintf(b, "\tchain %s {\n", c.Name)
	if c.Hook != "" {
		fmt.Fprintf(b, "\t\ttype filter hook %s priority %d; policy accept;\n", c.Hook, c.Priority)
	}
	for _, r := range c.Rules {
		b.WriteString("\t\t" + r.Text(f) + "\n")
	}
	b.WriteString("\t}\n")
}

// Text is the rule as nft spells it in a table of family f.
func (r Rule) Text(f TableFamily) string {
	parts := make([]string, 0, len(r.Exprs)+1)
	for i, e := range r.Exprs {
		if why := unspeakable(e); why != "" {
			return "# " + exprText(f, e) + ": " + why
		}
		if i+1 < len(r.Exprs) && implies(r.Exprs[i+1], e) {
			continue
		}
		parts = append(parts, exprText(f, e))
	}
	if r.Comment != "" {
		parts = append(parts, fmt.Sprintf("comment %q", r.Comment))
	}
	return strings.Join(parts, " ")
}

// unspeakable says why nft cannot load what the kernel can do: "" where it can.
func unspeakable(e Expr) string {
	switch e := e.(type) {
	case Queue:
		return pick(e.XT, "nft cannot load the xt spelling that this kernel needs", "")
	case Claim:
		return pick(e.Of == ClaimND, "nft before 1.0.8 has no word for it", "")
	case NoteClaim:
		return pick(e.Of == ClaimND, "nft before 1.0.8 has no word for it", "")
	}
	return ""
}

// implies says that nft adds e by itself before next.
func implies(next, e Expr) bool {
	switch e.(type) {
	case L4:
		switch next.(type) {
		case Port, TCPFlags, ICMPField:
			return true
		}
	case IPVersion:
		switch next.(type) {
		case AddrIn, AddrPrefix, AddrMap:
			return true
		}
	}
	return false
}

func exprText(f TableFamily, e Expr) string {
	switch e := e.(type) {
	case IfIn:
		return pick(e.Out, "oifname", "iifname") + pick(e.Not, " != @", " @") + e.Set
	case EtherIn:
		return "ether " + side(e.Dst) + "addr " + pick(e.Not, "!= @", "@") + e.Set
	case EtherMap:
		return "ether " + side(e.Dst) + "addr vmap @" + e.Map
	case EtherAddr:
		if e.Mask == wholeMAC {
			return "ether " + side(e.Dst) + "addr " + e.Addr.String()
		}
		return fmt.Sprintf("ether %saddr & %s == %s", side(e.Dst), e.Mask, e.Addr)
	case EtherType:
		return "meta protocol " + etherTypeName(e.Type)
	case IPVersion:
		if f == Bridge {
			return "meta protocol " + pick(e.V6, "ip6", "ip")
		}
		return "meta nfproto " + pick(e.V6, "ipv6", "ipv4")
	case L4:
		return "meta l4proto " + pick(e.Proto == protoICMPv6, "icmpv6", protoName(e.Proto)) // the other name is in /etc/protocols only
	case AddrIn:
		return addrField(e.V6, e.Dst) + " @" + e.Set
	case Claim:
		return pick(e.Pair, "ether saddr . ", "") + string(e.Of) + pick(e.Not, " != @", " @") + e.Set
	case AddrMap:
		return addrField(e.V6, e.Dst) + " vmap @" + e.Map
	case AddrPrefix:
		return addrField(e.Prefix.Addr().Is6(), e.Dst) + " " + prefixText(e)
	case Port:
		return fmt.Sprintf("%s %sport %s%s", protoName(e.Proto), side(e.Dst), pick(e.Not, "!= ", ""), portText(e))
	case ICMPField:
		return fmt.Sprintf("%s %s %d", pick(e.V6, "icmpv6", "icmp"), pick(e.Code, "code", "type"), e.Value)
	case TCPFlags:
		return fmt.Sprintf("tcp flags & 0x%02x %s 0x%02x", e.Mask, pick(e.Not, "!=", "=="), e.Value)
	case HeaderField:
		return e.text()
	case HeaderBytes:
		return fmt.Sprintf("@th,%d,%d 0x%x", 8*int(e.At), 8*len(e.Value), e.Value)
	}
	return stmtText(e)
}

func stmtText(e Expr) string {
	switch e := e.(type) {
	case CtState:
		return "ct state " + e.State
	case CtFresh:
		return "ct status & confirmed == 0"
	case CtReply:
		return "ct direction " + pick(e.Not, "original", "reply")
	case NoRouteBack:
		return "fib saddr . iif oif missing"
	case MarkHas:
		return fmt.Sprintf("meta mark & 0x%08x == 0x%08x", e.Bit, e.Bit)
	case MarkSet:
		if e.Clear {
			return fmt.Sprintf("meta mark set meta mark & 0x%08x", ^e.Bit)
		}
		return fmt.Sprintf("meta mark set meta mark | 0x%08x", e.Bit)
	case UpdateAddr:
		return fmt.Sprintf("update @%s { %s }", e.Set, addrField(e.V6, false))
	case NoteClaim:
		return fmt.Sprintf("update @%s { ether saddr . %s }", e.Set, e.Of)
	case Ask:
		return fmt.Sprintf("update @%s { %s . udp sport . udp dport }", e.Set, whoText(e.By, false))
	case Answer:
		return fmt.Sprintf("%s . udp dport . udp sport @%s", whoText(e.By, true), e.Set)
	case Limit:
		return fmt.Sprintf("update @%s { %s limit rate %s%d/%s burst %d packets }",
			e.Set, e.By, pick(e.Over, "over ", ""), e.Count, perText(e.Per), e.Burst)
	case Log:
		return fmt.Sprintf("log prefix %q group %d snaplen 128", e.Prefix, e.Group)
	case Queue:
		return fmt.Sprintf("queue num %d bypass", e.Num)
	case Counter:
		return "counter"
	case Verdict:
		return e.String()
	}
	panic(fmt.Sprintf("enforcer: no text for %T", e))
}

// String is the verdict as nft spells it.
func (v Verdict) String() string {
	if v.Chain != "" {
		return string(v.Kind) + " " + v.Chain
	}
	return string(v.Kind)
}

func pick(c bool, yes, no string) string {
	if c {
		return yes
	}
	return no
}

func side(dst bool) string { return pick(dst, "d", "s") }

func addrField(v6, dst bool) string { return pick(v6, "ip6 ", "ip ") + side(dst) + "addr" }

// whoText is the sender's (or receiver's) address of the kind that keys of a type begin with.
func whoText(by KeyType, dst bool) string {
	if by == TypeMACPorts {
		return "ether " + side(dst) + "addr"
	}
	return addrField(by == TypeIPv6Ports, dst)
}

func etherTypeName(t uint16) string {
	if t == etherARP {
		return "arp"
	}
	return fmt.Sprintf("0x%04x", t)
}

func prefixText(e AddrPrefix) string {
	if e.Prefix.IsSingleIP() {
		return e.Prefix.Addr().String()
	}
	return e.Prefix.String()
}

func portText(p Port) string {
	if p.Lo == p.Hi {
		return fmt.Sprint(p.Lo)
	}
	return fmt.Sprintf("%d-%d", p.Lo, p.Hi)
}

// Protocol numbers that the product names (IANA protocol numbers).
const (
	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

func protoName(p uint8) string {
	switch p {
	case protoICMP:
		return "icmp"
	case protoIGMP:
		return "igmp"
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMPv6:
		return "ipv6-icmp"
	}
	return fmt.Sprint(p)
}

func perText(d time.Duration) string {
	switch d {
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	case 24 * time.Hour:
		return "day"
	}
	return "second"
}

// nftDuration spells whole seconds as nft reads them.
func nftDuration(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }
