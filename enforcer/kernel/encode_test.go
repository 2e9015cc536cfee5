package kernel

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func rangeKey(lo, hi string) enforcer.Key { return enforcer.Key{Addr: addr(lo), End: addr(hi)} }

func macKey(n byte) enforcer.Key { return enforcer.Key{MAC: dhcp.MAC{2, 0, 0, 0, 0, n}} }

// allSets has a set of every form.
func allSets() map[string]*enforcer.Set {
	none := enforcer.Element{}
	sets := []*enforcer.Set{
		{Name: "lan", Key: enforcer.TypeIfname, Elements: map[enforcer.Key]enforcer.Element{{Name: "br-lan"}: none, {Name: "wlan0"}: none}},
		{Name: "macs", Key: enforcer.TypeMAC, Comment: "the site's machines", Elements: map[enforcer.Key]enforcer.Element{
			macKey(1): {Comment: "lamp"}, macKey(2): none}},
		{Name: "from_device", Key: enforcer.TypeMAC, Map: true, Elements: map[enforcer.Key]enforcer.Element{
			macKey(1): {Verdict: enforcer.Verdict{Kind: enforcer.VerdictGoto, Chain: "p_1_out"}, Comment: "kitchen"},
			macKey(2): {Verdict: enforcer.Verdict{Kind: enforcer.VerdictJump, Chain: "p_1_in"}},
			macKey(3): {Verdict: enforcer.Verdict{Kind: enforcer.VerdictDrop}},
			macKey(4): {Verdict: enforcer.Verdict{Kind: enforcer.VerdictAccept}},
			macKey(5): {Verdict: enforcer.Verdict{Kind: enforcer.VerdictReturn}}}},
		{Name: "to4", Key: enforcer.TypeIPv4, Map: true, Elements: map[enforcer.Key]enforcer.Element{
			{Addr: addr("192.0.2.7")}: {Verdict: enforcer.Verdict{Kind: enforcer.VerdictJump, Chain: "p_1_in"}}}},
		{Name: "to6", Key: enforcer.TypeIPv6, Map: true},
		{Name: "n4", Key: enforcer.TypeIPv4, HasTTL: true, Timeout: 5 * time.Minute, Size: 100, Learned: true, Comment: "example.com"},
		{Name: "n6", Key: enforcer.TypeIPv6, HasTTL: true, Size: 100, Learned: true},
		{Name: "s4", Key: enforcer.TypeIPv4, Elements: map[enforcer.Key]enforcer.Element{{Addr: addr("192.0.2.1")}: {Comment: "one"}}},
		{Name: "s6", Key: enforcer.TypeIPv6, Elements: map[enforcer.Key]enforcer.Element{{Addr: addr("2001:db8::1")}: none}},
		{Name: "i4", Key: enforcer.TypeIPv4, Interval: true, Elements: map[enforcer.Key]enforcer.Element{
			rangeKey("0.0.0.0", "0.255.255.255"): none, rangeKey("10.0.0.0", "10.255.255.255"): {Comment: "ten"},
			rangeKey("192.168.1.3", "192.168.1.7"): none, rangeKey("192.168.1.8", "192.168.1.8"): {Comment: "next to it"},
			rangeKey("240.0.0.0", "255.255.255.255"): none}},
		{Name: "i6", Key: enforcer.TypeIPv6, Interval: true, Elements: map[enforcer.Key]enforcer.Element{
			rangeKey("2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff"): none, rangeKey("fe80::1", "fe80::1"): none,
			rangeKey("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"): none}},
		{Name: "seen4", Key: enforcer.TypeIPv4, Dynamic: true, HasTTL: true, Timeout: time.Minute, Size: 1000, Learned: true},
		{Name: "seen6", Key: enforcer.TypeIPv6, Dynamic: true, HasTTL: true, Timeout: time.Minute, Size: 1000, Learned: true},
		{Name: "rmac", Key: enforcer.TypeMAC, Dynamic: true, HasTTL: true, Timeout: time.Minute, Size: 1000, Learned: true},
		{Name: "rip4", Key: enforcer.TypeIPv4, Dynamic: true, HasTTL: true, Timeout: time.Hour, Size: 1000, Learned: true},
		{Name: "rip6", Key: enforcer.TypeIPv6, Dynamic: true, HasTTL: true, Timeout: time.Hour, Size: 1000, Learned: true},
		{Name: "askm", Key: enforcer.TypeMACPorts, Dynamic: true, HasTTL: true, Timeout: 10 * time.Second, Size: 1000, Learned: true},
		{Name: "ask4", Key: enforcer.TypeIPv4Ports, Dynamic: true, HasTTL: true, Timeout: 10 * time.Second, Size: 1000, Learned: true},
		{Name: "ask6", Key: enforcer.TypeIPv6Ports, Dynamic: true, HasTTL: true, Timeout: 10 * time.Second, Size: 1000, Learned: true},
		{Name: "pair4", Key: enforcer.TypeMACIPv4, Elements: map[enforcer.Key]enforcer.Element{
			{MAC: macKey(1).MAC, Addr: addr("192.0.2.1")}: {Comment: "lamp"}, {MAC: macKey(1).MAC, Addr: addr("0.0.0.0")}: none}},
		{Name: "pair6", Key: enforcer.TypeMACIPv6, Elements: map[enforcer.Key]enforcer.Element{
			{MAC: macKey(1).MAC, Addr: addr("2001:db8::1")}: {Comment: "lamp"}, {MAC: macKey(1).MAC, Addr: addr("::")}: none}},
		{Name: "heard4", Key: enforcer.TypeMACIPv4, Dynamic: true, HasTTL: true, Timeout: time.Hour, Size: 1000, Learned: true},
		{Name: "heard6", Key: enforcer.TypeMACIPv6, Dynamic: true, HasTTL: true, Timeout: time.Hour, Size: 1000, Learned: true},
		{Name: "whom", Key: enforcer.TypeMACPorts, Elements: map[enforcer.Key]enforcer.Element{
			{MAC: dhcp.MAC{2, 5: 0}, Sport: 5353, Dport: 1}: {Comment: "ends in zeros"}, {MAC: macKey(2).MAC, Sport: 65535}: none}},
		{Name: "who4", Key: enforcer.TypeIPv4Ports, Elements: map[enforcer.Key]enforcer.Element{
			{Addr: addr("192.0.2.1"), Sport: 5353, Dport: 53}: none, {Addr: addr("192.0.2.1"), Sport: 5353, Dport: 54}: none}},
		{Name: "who6", Key: enforcer.TypeIPv6Ports, Elements: map[enforcer.Key]enforcer.Element{
			{Addr: addr("2001:db8::1"), Sport: 5353, Dport: 53}: none}},
	}
	out := map[string]*enforcer.Set{}
	for _, s := range sets {
		out[s.Name] = s
	}
	return out
}

func rule(x ...enforcer.Expr) enforcer.Rule { return enforcer.Rule{Exprs: x} }

func matchRules() []enforcer.Rule {
	n := enforcer.Counter{}
	return []enforcer.Rule{
		rule(enforcer.IfIn{Set: "lan"}, n), rule(enforcer.IfIn{Set: "lan", Out: true, Not: true}, n),
		rule(enforcer.EtherIn{Set: "macs"}, n), rule(enforcer.EtherIn{Set: "macs", Dst: true}, n),
		rule(enforcer.EtherIn{Set: "macs"}, enforcer.EtherIn{Set: "macs", Dst: true}, n),
		rule(enforcer.EtherMap{Map: "from_device"}), rule(enforcer.EtherMap{Map: "from_device", Dst: true}),
		rule(enforcer.EtherAddr{Dst: true, Mask: dhcp.MAC{1}}, n), rule(enforcer.EtherAddr{Addr: macKey(1).MAC, Mask: wholeMAC}, n),
		rule(enforcer.EtherAddr{Addr: dhcp.MAC{2, 0x11}, Mask: dhcp.MAC{0xff, 0xff}}, enforcer.IPVersion{}, n),
		// nft loads both at once, and lists the destination first.
		rule(enforcer.EtherAddr{Dst: true, Addr: macKey(2).MAC, Mask: wholeMAC}, enforcer.EtherAddr{Addr: macKey(1).MAC, Mask: wholeMAC},
			enforcer.AddrIn{Set: "s4"}, enforcer.L4{Proto: 6}, enforcer.Port{Proto: 6, Dst: true, Lo: 443, Hi: 443}, n),
		rule(enforcer.IPVersion{}, n), rule(enforcer.IPVersion{V6: true}, n),
		rule(enforcer.L4{Proto: 6}, n), rule(enforcer.L4{Proto: 2}, n), rule(enforcer.L4{Proto: 132}, n), rule(enforcer.L4{Proto: 253}, n),
		rule(enforcer.AddrIn{Set: "s4"}, n), rule(enforcer.AddrIn{Set: "n4", Dst: true}, n),
		rule(enforcer.AddrIn{V6: true, Set: "s6"}, n), rule(enforcer.AddrIn{V6: true, Set: "n6", Dst: true}, n),
		rule(enforcer.AddrIn{Set: "i4"}, enforcer.AddrIn{Set: "i4", Dst: true}, n), rule(enforcer.AddrIn{V6: true, Set: "i6"}, n),
		rule(enforcer.IPVersion{}, enforcer.AddrIn{Set: "s4"}, n), rule(enforcer.IPVersion{V6: true}, enforcer.AddrIn{V6: true, Set: "s6"}, n),
		rule(enforcer.EtherIn{Set: "macs"}, enforcer.AddrIn{Set: "s4"}, n), rule(enforcer.EtherIn{Set: "macs"}, enforcer.AddrIn{V6: true, Set: "s6"}, n),
		rule(enforcer.EtherIn{Set: "macs"}, enforcer.IPVersion{}, n), rule(enforcer.EtherIn{Set: "macs"}, enforcer.IPVersion{V6: true}, enforcer.AddrIn{V6: true, Set: "s6"}, n),
		rule(enforcer.EtherIn{Set: "macs", Not: true}, n), rule(enforcer.Claim{Of: enforcer.ClaimIPv4, Set: "s4"}, n),
		rule(enforcer.IPVersion{}, enforcer.IfIn{Set: "lan"}, enforcer.Claim{Of: enforcer.ClaimIPv4, Pair: true, Not: true, Set: "pair4"}, n),
		rule(enforcer.Claim{Of: enforcer.ClaimIPv6, Pair: true, Set: "pair6"}, n), rule(enforcer.NoteClaim{Of: enforcer.ClaimIPv6, Set: "heard6"}),
		rule(enforcer.NoteClaim{Of: enforcer.ClaimIPv4, Set: "heard4"}),
		rule(enforcer.AddrMap{Map: "to4"}), rule(enforcer.AddrMap{V6: true, Dst: true, Map: "to6"}),
	}
}

// arpRules are for the bridge family only.
func arpRules() []enforcer.Rule {
	arp := func(pair, not bool, set string) enforcer.Claim {
		return enforcer.Claim{Of: enforcer.ClaimARP, Pair: pair, Not: not, Set: set}
	}
	return []enforcer.Rule{
		rule(enforcer.EtherType{Type: 0x0806}, arp(true, true, "pair4"), enforcer.Counter{}), rule(arp(false, false, "s4"), enforcer.Counter{}),
		rule(arp(true, false, "pair4"), enforcer.Counter{}), rule(enforcer.NoteClaim{Of: enforcer.ClaimARP, Set: "heard4"}),
	}
}

func prefixRules() (out []enforcer.Rule) {
	for _, p := range []string{"0.0.0.0/0", "10.0.0.0/8", "10.128.0.0/9", "172.16.0.0/12", "192.168.0.0/16", "192.0.2.0/24", "192.0.2.128/25",
		"192.0.2.1/32", "::/0", "2000::/3", "fc00::/7", "fe80::/10", "2001:db8::/32", "2001:db8::/33", "2001:db8::/64", "2001:db8::1/128"} {
		out = append(out, rule(enforcer.AddrPrefix{Prefix: netip.MustParsePrefix(p)}, enforcer.Counter{}),
			rule(enforcer.AddrPrefix{Prefix: netip.MustParsePrefix(p), Dst: true}, enforcer.Counter{}))
	}
	return out
}

func portRules() []enforcer.Rule {
	n, tcp, udp := enforcer.Counter{}, enforcer.L4{Proto: 6}, enforcer.L4{Proto: 17}
	icmp, icmp6 := enforcer.L4{Proto: 1}, enforcer.L4{Proto: 58}
	return []enforcer.Rule{
		rule(tcp, enforcer.Port{Proto: 6, Dst: true, Lo: 443, Hi: 443}, n), rule(udp, enforcer.Port{Proto: 17, Lo: 53, Hi: 53}, n),
		rule(tcp, enforcer.Port{Proto: 6, Dst: true, Lo: 8000, Hi: 8080}, n), rule(tcp, enforcer.Port{Proto: 6, Lo: 1, Hi: 1023, Not: true}, n),
		rule(udp, enforcer.Port{Proto: 17, Dst: true, Lo: 123, Hi: 123, Not: true}, n),
		rule(udp, enforcer.Port{Proto: 17, Dst: true, Lo: 67, Hi: 67}, enforcer.Port{Proto: 17, Lo: 68, Hi: 68}, n),
		rule(enforcer.AddrIn{Set: "n4", Dst: true}, tcp, enforcer.Port{Proto: 6, Dst: true, Lo: 443, Hi: 443}, n),
		rule(enforcer.EtherIn{Set: "macs"}, enforcer.AddrIn{Set: "n4"}, tcp, enforcer.Port{Proto: 6, Dst: true, Lo: 443, Hi: 443}, n),
		rule(enforcer.IPVersion{V6: true}, udp, enforcer.Port{Proto: 17, Dst: true, Lo: 547, Hi: 547}, n),
		rule(icmp, enforcer.ICMPField{Value: 8}, n), rule(icmp6, enforcer.ICMPField{V6: true, Value: 135}, n),
		rule(icmp, enforcer.ICMPField{Value: 3}, enforcer.ICMPField{Code: true, Value: 1}, n),
		rule(icmp6, enforcer.ICMPField{V6: true, Value: 1}, enforcer.ICMPField{V6: true, Code: true, Value: 4}, n),
		rule(enforcer.AddrIn{Set: "s4"}, icmp, enforcer.ICMPField{Value: 8}, n),
		rule(enforcer.IPVersion{}, icmp, enforcer.ICMPField{Value: 0}, n), rule(enforcer.IPVersion{V6: true}, icmp6, enforcer.ICMPField{V6: true, Value: 133}, n),
		rule(enforcer.EtherIn{Set: "macs"}, icmp, enforcer.ICMPField{Value: 8}, n), rule(icmp, enforcer.ICMPField{Code: true, Value: 7}, n),
		rule(tcp, enforcer.TCPFlags{Mask: 0x12, Value: 0x02}, n), rule(tcp, enforcer.TCPFlags{Mask: 0x10, Value: 0x10}, n),
		rule(tcp, enforcer.TCPFlags{Mask: 0x17, Value: 0x02, Not: true}, n), rule(tcp, enforcer.TCPFlags{Mask: 0x10, Value: 0, Not: true}, n),
		rule(tcp, enforcer.Port{Proto: 6, Lo: 80, Hi: 80}, enforcer.TCPFlags{Mask: 0x10, Value: 0x10}, n),
		rule(tcp, enforcer.TCPFlags{Mask: 0x10, Value: 0x10}, enforcer.Port{Proto: 6, Lo: 80, Hi: 80}, n),
	}
}

var wholeMAC = dhcp.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// headRules compare each field of every header, whole and in part.
func headRules() (out []enforcer.Rule) {
	n := enforcer.Counter{}
	field := func(header, name string, at, bits uint16, value uint32) {
		h := enforcer.HeaderField{Header: header, Name: name, At: at, Bits: bits, Mask: uint32(1<<bits - 1), Value: value}
		out = append(out, rule(h, n), rule(enforcer.EtherIn{Set: "macs"}, h, n))
		for _, l4 := range []uint8{6, 17} {
			out = append(out, rule(enforcer.L4{Proto: l4}, enforcer.Port{Proto: l4, Dst: true, Lo: 443, Hi: 443}, h, n))
		}
		h.Mask, h.Value = 1<<(bits-1), 1<<(bits-1)
		out = append(out, rule(enforcer.IPVersion{V6: header == enforcer.HeaderIPv6}, h, n))
	}
	four, six := enforcer.HeaderIPv4, enforcer.HeaderIPv6
	field(four, "hdrlength", 4, 4, 6)
	field(four, "dscp", 8, 6, 46)
	field(four, "ecn", 14, 2, 1)
	field(four, "length", 16, 16, 60)
	field(four, "id", 32, 16, 7)
	field(four, "frag-off", 48, 16, 0x4000)
	field(four, "ttl", 64, 8, 64)
	field(six, "dscp", 4, 6, 46)
	field(six, "ecn", 10, 2, 1)
	field(six, "flowlabel", 12, 20, 0xabcde)
	field(six, "length", 32, 16, 60)
	field(six, "hoplimit", 56, 8, 64)
	return out
}

// transportRules do so for the headers behind that of IP.
func transportRules() []enforcer.Rule {
	n, tcp, icmp := enforcer.Counter{}, enforcer.L4{Proto: 6}, enforcer.L4{Proto: 1}
	field := func(header, name string, at, bits uint16, value uint32) enforcer.Expr {
		return enforcer.HeaderField{Header: header, Name: name, At: at, Bits: bits, Mask: uint32(1<<bits - 1), Value: value}
	}
	doff := field(enforcer.HeaderTCP, "doff", 96, 4, 10)
	return []enforcer.Rule{
		rule(tcp, field(enforcer.HeaderTCP, "sequence", 32, 32, 0xdeadbeef), n), rule(field(enforcer.HeaderTCP, "ackseq", 64, 32, 1), n),
		rule(enforcer.IPVersion{}, tcp, doff, n), rule(tcp, field(enforcer.HeaderTCP, "reserved", 100, 4, 1), n),
		rule(enforcer.AddrIn{Set: "s4"}, tcp, field(enforcer.HeaderTCP, "window", 112, 16, 1000), n), rule(field(enforcer.HeaderTCP, "urgptr", 144, 16, 1), n),
		rule(enforcer.L4{Proto: 17}, field(enforcer.HeaderUDP, "length", 32, 16, 30), n),
		rule(tcp, enforcer.TCPFlags{Mask: 0xff, Value: 0x02}, n),
		rule(enforcer.IPVersion{V6: true}, tcp, enforcer.Port{Proto: 6, Dst: true, Lo: 443, Hi: 443}, doff,
			enforcer.HeaderBytes{At: 20, Value: "0123456789abcdef"}, enforcer.HeaderBytes{At: 36, Value: "\x00\x01\x02\xff"}, n),
		rule(tcp, enforcer.HeaderBytes{At: 20, Value: "\x02\x04\x05\xb4"}, n),
		rule(enforcer.IPVersion{}, icmp, enforcer.ICMPField{Value: 8}, enforcer.HeaderBytes{At: 4, Value: "\x12\x34\x00\x01\x05"}, n),
		rule(enforcer.IPVersion{V6: true}, enforcer.L4{Proto: 58}, enforcer.HeaderBytes{At: 4, Value: "\x01"}, n),
	}
}

func statementRules(f enforcer.TableFamily) []enforcer.Rule {
	n := enforcer.Counter{}
	lim := func(by enforcer.LimitKey, set string, per time.Duration, over bool) enforcer.Rule {
		return rule(enforcer.Limit{By: by, Set: set, Count: 10, Per: per, Burst: 20, Over: over}, n, enforcer.Verdict{Kind: enforcer.VerdictDrop})
	}
	out := []enforcer.Rule{
		rule(enforcer.MarkHas{Bit: 0x10}, n), rule(enforcer.MarkHas{Bit: 1 << 31}, n),
		rule(enforcer.MarkSet{Bit: 0x10}), rule(enforcer.MarkSet{Bit: 0x10, Clear: true}),
		rule(enforcer.UpdateAddr{Set: "seen4"}), rule(enforcer.UpdateAddr{V6: true, Set: "seen6"}),
		lim(enforcer.ByEtherSrc, "rmac", time.Second, false), lim(enforcer.ByEtherDst, "rmac", time.Minute, true),
		lim(enforcer.ByIPv4Dst, "rip4", time.Hour, true), lim(enforcer.ByIPv6Dst, "rip6", time.Second, true),
		rule(enforcer.Log{Group: 8520, Prefix: "out p_1"}), rule(enforcer.Log{Group: 1}),
		{Exprs: []enforcer.Expr{n, enforcer.Verdict{Kind: enforcer.VerdictAccept}}, Comment: "acl/ace: the lamp's cloud"},
		{Exprs: []enforcer.Expr{enforcer.Verdict{Kind: enforcer.VerdictDrop}}, Comment: strings.Repeat("x", 120)},
		rule(enforcer.Verdict{Kind: enforcer.VerdictJump, Chain: "p_1_in"}), rule(enforcer.Verdict{Kind: enforcer.VerdictReturn}),
		rule(enforcer.Verdict{Kind: enforcer.VerdictGoto, Chain: "p_1_in"}),
	}
	if f == enforcer.Bridge {
		return append(out, rule(enforcer.EtherType{Type: 0x0806}, n), rule(enforcer.EtherType{Type: 0x88b5}, n),
			rule(enforcer.EtherAddr{Dst: true, Addr: macKey(2).MAC, Mask: wholeMAC}, enforcer.EtherType{Type: 0x88b5}, n),
			rule(enforcer.EtherType{Type: 0x8100}, n), rule(enforcer.Ask{By: enforcer.TypeMACPorts, Set: "askm"}),
			rule(enforcer.IPVersion{}, enforcer.AddrIn{Set: "i4"}, enforcer.L4{Proto: 17}, enforcer.Answer{By: enforcer.TypeMACPorts, Set: "askm"}, n))
	}
	return append(out,
		rule(enforcer.CtState{State: "established"}, n), rule(enforcer.CtState{State: "related"}, n), rule(enforcer.CtState{State: "invalid"}, n),
		rule(enforcer.CtReply{}, n), rule(enforcer.CtReply{Not: true}, n),
		rule(enforcer.Ask{By: enforcer.TypeIPv4Ports, Set: "ask4"}), rule(enforcer.Ask{By: enforcer.TypeIPv6Ports, Set: "ask6"}),
		rule(enforcer.IPVersion{}, enforcer.AddrPrefix{Dst: true, Prefix: netip.MustParsePrefix("224.0.0.251/32")}, enforcer.L4{Proto: 17},
			enforcer.Port{Proto: 17, Dst: true, Lo: 5353, Hi: 5353}, enforcer.Ask{By: enforcer.TypeIPv4Ports, Set: "ask4"}),
		rule(enforcer.IPVersion{}, enforcer.L4{Proto: 17}, enforcer.Answer{By: enforcer.TypeIPv4Ports, Set: "ask4"}, n),
		rule(enforcer.IPVersion{V6: true}, enforcer.L4{Proto: 17}, enforcer.Answer{By: enforcer.TypeIPv6Ports, Set: "ask6"}, n), rule(enforcer.CtState{State: "established"}, enforcer.CtReply{}, enforcer.MarkSet{Bit: 2}),
		rule(enforcer.NoRouteBack{}, n))
}

func allTable(f enforcer.TableFamily) *enforcer.Table {
	var rules []enforcer.Rule
	for _, r := range [][]enforcer.Rule{matchRules(), prefixRules(), portRules(), headRules(), transportRules(), statementRules(f)} {
		rules = append(rules, r...)
	}
	if f == enforcer.Bridge {
		rules = append(rules, arpRules()...)
	}
	chains := []*enforcer.Chain{
		{Name: "p_1_out", Rules: append(prefixRules(), portRules()...)}, // names no map that names it
		{Name: "p_1_in", Rules: []enforcer.Rule{rule(enforcer.Verdict{Kind: enforcer.VerdictReturn})}},
		{Name: "forward", Hook: enforcer.HookForward, Priority: -110, Rules: rules},
		{Name: "input", Hook: enforcer.HookInput, Priority: -110, Rules: matchRules()},
		{Name: "output", Hook: enforcer.HookOutput, Priority: -110, Rules: matchRules()},
	}
	t := &enforcer.Table{Family: f, Sets: allSets(), Chains: map[string]*enforcer.Chain{}}
	for _, c := range chains {
		t.Chains[c.Name] = c
	}
	return t
}

func allRuleset() enforcer.Ruleset {
	return enforcer.Ruleset{Inet: allTable(enforcer.Inet), Bridge: allTable(enforcer.Bridge)}
}

// TestTextAndNetlinkAgree loads every form both ways, and nft must list the same (N8).
func TestTextAndNetlinkAgree(t *testing.T) {
	want := allRuleset()
	byText, byNetlink := newSpace(t), newSpace(t)
	byText.run(enforcer.Text(want), "nft", "-f", "-")
	n := byNetlink.open()
	if err := n.Apply(enforcer.Diff(enforcer.Ruleset{}, want)); err != nil {
		t.Fatal(err)
	}
	compareLines(t, sortedListing(byNetlink.list()), sortedListing(byText.list()))
}

// sortedListing puts sets and chains in order, which follows their creation.
func sortedListing(s string) string {
	var out []string
	for _, table := range strings.SplitAfter(s, "\n}\n") {
		parts := strings.Split(table, "\n\n")
		head, first, ok := strings.Cut(parts[0], " {\n")
		if !ok {
			continue
		}
		parts[0] = first
		parts[len(parts)-1] = strings.TrimSuffix(parts[len(parts)-1], "\n}\n")
		slices.Sort(parts)
		out = append(out, head+"\n"+strings.Join(parts, "\n"))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func compareLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Errorf("line %d:\nnetlink: %s\ntext:    %s", i, g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Errorf("netlink gives %d lines, text %d", len(g), len(w))
	}
}

// TestApplyTwice: N16. What is read back needs no second change.
func TestApplyTwice(t *testing.T) {
	want := allRuleset()
	s := newSpace(t)
	n := s.open()
	if err := n.Apply(enforcer.Diff(enforcer.Ruleset{}, want)); err != nil {
		t.Fatal(err)
	}
	have, err := n.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	if d := enforcer.Diff(have, want); !d.Empty() {
		t.Errorf("second change: %+v", d)
	}
	before := s.list()
	if err := n.Apply(enforcer.Diff(have, want)); err != nil {
		t.Fatal(err)
	}
	if after := s.list(); after != before {
		t.Errorf("changed:\n%s\nto:\n%s", before, after)
	}
	if err := n.Apply(enforcer.Diff(have, enforcer.Ruleset{})); err != nil {
		t.Fatal(err)
	}
	if left := s.list(); left != "" {
		t.Errorf("left after drop:\n%s", left)
	}
}
