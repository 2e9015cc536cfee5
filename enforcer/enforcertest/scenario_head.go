package enforcertest

import (
	"fmt"
	"slices"

	"mudguard/mud"
)

// headField is a condition on a header field, and what packets meet it. All values are written out here, so that they prove
// where the field is.
type headField struct {
	name      string
	six, four bool // IPv6, IPv4
	proto     string
	cond      mud.FieldMatch
	hit, miss []Head
	once      bool // cannot be tried on later packets of a flow
	only      string
}

func exact(f mud.Field, value uint32) mud.FieldMatch { return Field(f, value)[0] }

func headFields() []headField {
	ip := func(name string, cond mud.FieldMatch, hit, miss []Head) headField {
		return headField{name: name, four: true, six: true, proto: "tcp", cond: cond, hit: hit, miss: miss}
	}
	four := func(h headField) headField { h.six = false; return h }
	six := func(h headField) headField { h.four = false; return h }
	proto := func(h headField, proto string) headField { h.proto = proto; return h }
	once := func(h headField) headField { h.once = true; return h }
	only := func(what string, h headField) headField { h.only = what; return h }
	rest := "\x12\x34\x00\x07 and more than a register"
	mss := "\x02\x04\x05\xb4"
	long := mss + "\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07" // what Linux says in a SYN
	return []headField{
		ip("dscp", exact(mud.FieldDSCP, 46), []Head{{TOS: 0xb8}, {TOS: 0xbb}}, []Head{{}, {TOS: 0xb4}, {TOS: 46}}),
		proto(ip("dscp of datagrams", exact(mud.FieldDSCP, 8), []Head{{TOS: 0x20}}, []Head{{}, {TOS: 0x24}}), "udp"),
		ip("ecn", exact(mud.FieldECN, 1), []Head{{TOS: 1}, {TOS: 0xfd}}, []Head{{}, {TOS: 2}, {TOS: 3}}),
		four(ip("length", exact(mud.FieldLength, 60), []Head{{Pad: 8}}, []Head{{}, {Pad: 7}, {Pad: 9}})),
		six(ip("length", exact(mud.FieldLength, 40), []Head{{Pad: 8}}, []Head{{}, {Pad: 7}, {Pad: 9}})),
		ip("ttl", exact(mud.FieldTTL, 77), []Head{{TTL: 77}}, []Head{{TTL: 76}, {TTL: 78}, {}}),
		four(ip("ihl", exact(mud.FieldIHL, 6), []Head{{IPOptions: 1}}, []Head{{}, {IPOptions: 2}})),
		four(ip("identification", exact(mud.FieldIdentification, 4711), []Head{{ID: 4711}}, []Head{{ID: 4710}, {ID: 0x6712}})),
		four(ip("no offset", exact(mud.FieldOffset, 0), []Head{{}, {Frag: 0x4000}}, nil)),
		six(ip("flow label", exact(mud.FieldFlowLabel, 0xabcde), []Head{{Label: 0xabcde}, {Label: 0xabcde, TOS: 0xff}},
			[]Head{{}, {Label: 0xabcdf}, {Label: 0xbcde}})),
		once(ip("sequence number", exact(mud.FieldTCPSequence, 0xdeadbeef), []Head{{Seq: 0xdeadbeef}}, []Head{{Seq: 0xdeadbeee}, {Seq: 0xbeef}})),
		once(ip("acknowledgement number", exact(mud.FieldTCPAcknowledgement, 99), []Head{{Ack: 99}}, []Head{{}, {Ack: 98}})),
		ip("data offset", exact(mud.FieldTCPDataOffset, 6), []Head{{Options: mss}}, []Head{{}, {Options: mss + mss}}),
		ip("reserved bits", exact(mud.FieldTCPReserved, 1), []Head{{Reserved: 1}}, []Head{{}, {Reserved: 9}}),
		ip("window", exact(mud.FieldTCPWindow, 1000), []Head{{Window: 1000}}, []Head{{Window: 1001}, {Window: 0xe803}}),
		ip("urgent pointer", exact(mud.FieldTCPUrgent, 5), []Head{{Urgent: 5}}, []Head{{}, {Urgent: 4}}),
		ip("tcp options", mud.FieldMatch{Field: mud.FieldTCPOptions, Bytes: mss}, []Head{{Options: mss}},
			[]Head{{}, {Options: "\x02\x04\x05\xb5"}, {Options: mss + "\x01\x01\x01\x01"}}),
		ip("long tcp options", mud.FieldMatch{Field: mud.FieldTCPOptions, Bytes: long}, []Head{{Options: long}},
			[]Head{{Options: long[:16]}, {Options: long[:19] + "\x08"}}),
		ip("tcp options without their padding", mud.FieldMatch{Field: mud.FieldTCPOptions, Bytes: "\x04\x02"},
			[]Head{{Options: "\x04\x02\x00\x00"}}, []Head{{}, {Options: "\x04\x03\x00\x00"}}),
		proto(ip("udp length", exact(mud.FieldUDPLength, 30), []Head{{Pad: 10}}, []Head{{}, {Pad: 9}}), "udp"),
		once(proto(four(ip("icmp rest", mud.FieldMatch{Field: mud.FieldICMPRest, Bytes: rest}, []Head{{Rest: rest}, {Rest: rest + "more"}},
			[]Head{{Rest: rest[:16] + "and a bit less.."}, {Rest: "\x12\x34\x00\x08"}})), "icmp")),
		once(proto(six(ip("icmp rest", mud.FieldMatch{Field: mud.FieldICMPRest, Bytes: "\x12\x34"}, []Head{{Rest: "\x12\x34\x00\x01"}}, []Head{{Rest: "\x12\x35\x00\x01"}})),
			"icmpv6")),
		four(only("accept", ip("exact flags", mud.FieldMatch{Field: mud.FieldIPFlags, Value: mud.IPFlagDontFragment, Mask: 7},
			[]Head{{Frag: 0x4000}}, []Head{{}, {Frag: 0xc000}, {Frag: 0x8000}}))),
		four(only("drop", ip("flags at least", mud.FieldMatch{Field: mud.FieldIPFlags, Value: mud.IPFlagDontFragment, Mask: mud.IPFlagDontFragment},
			[]Head{{Frag: 0x4000}, {Frag: 0xc000}}, []Head{{}, {Frag: 0x8000}}))),
	}
}

// headCases try every field in an accept and in a drop, with a peer that is routed.
func headCases() []Case {
	var out []Case
	for _, h := range headFields() {
		for _, six := range []bool{false, true} {
			if six && h.six || !six && h.four {
				out = append(out, h.cases(six)...)
			}
		}
	}
	return append(out, flagCases()...)
}

func (h headField) cases(six bool) []Case {
	plain := ACE{Name: "cloud.example", V6: six, Proto: h.proto}
	if h.proto == "icmp" || h.proto == "icmpv6" {
		plain.Proto, plain.ICMP = "", map[string]any{"type": echo(six)}
	}
	matching, dropped := plain, plain
	matching.Fields = []mud.FieldMatch{h.cond}
	dropped.Fields, dropped.Drop, dropped.Name = matching.Fields, true, ""
	family := map[bool]string{false: "IPv4", true: "IPv6"}[six]
	var out []Case
	if h.only != "drop" {
		out = append(out, lampWith(fmt.Sprintf("R8520-2-e LX-ACE %s of %s accepted", h.name, family), named(matching),
			slices.Concat(h.probes(h.miss, six, false), h.probes(h.hit, six, true))...))
	}
	if h.only != "accept" {
		passed := h.probes(h.miss, six, true)
		if !h.once && len(passed) > 0 {
			passed[0].Later = []Later{{Head: h.miss[0], Want: true}, {Head: h.hit[0]}, {Head: h.hit[0], Reply: true, Want: true},
				{Head: h.miss[0], Want: true}}
		}
		out = append(out, lampWith(fmt.Sprintf("R8520-2-e LX-ACE R8519-3-a %s of %s dropped, the rest accepted", h.name, family), named(dropped, plain),
			slices.Concat(h.probes(h.hit, six, false), passed)...))
	}
	return out
}

func echo(six bool) uint8 {
	if six {
		return 128
	}
	return 8
}

func (h headField) probes(heads []Head, six, want bool) []Probe {
	var out []Probe
	for i, head := range heads {
		p := Probe{Name: fmt.Sprintf("%s %d, %v", h.name, i, want), From: "lamp", To: "cloud", V6: six, Proto: h.proto, Dport: 443, Head: head, Want: want}
		if h.proto == "icmp" || h.proto == "icmpv6" {
			p.Dport, p.ICMPType = 0, echo(six)
		}
		out = append(out, p)
	}
	return out
}

// flagCases are about TCP flags: an accept wants exactly these, a drop at least.
func flagCases() []Case {
	const ece, cwr, psh = 0x40, 0x80, 0x08
	syn := func(flags uint8, want bool) Probe {
		return Probe{Name: fmt.Sprintf("flags %02x", flags), From: "lamp", To: "cloud", Proto: "tcp", Dport: 443, Flags: flags, Want: want}
	}
	cloud := ACE{Name: "cloud.example", Proto: "tcp"}
	exactly, atLeast := cloud, cloud
	exactly.Fields = []mud.FieldMatch{{Field: mud.FieldTCPFlags, Value: uint32(SYN), Mask: 0xff}}
	atLeast.Drop, atLeast.Fields = true, []mud.FieldMatch{{Field: mud.FieldTCPFlags, Value: psh, Mask: psh}}
	opened := syn(SYN, true)
	opened.Later = []Later{{Flags: ACK, Want: true}, {Flags: ACK | psh}, {Flags: ACK | psh, Reply: true, Want: true}}
	noECN := cloud
	noECN.Drop, noECN.Fields = true, []mud.FieldMatch{{Field: mud.FieldTCPFlags, Value: ece | cwr, Mask: ece | cwr}}
	return []Case{
		lampWith("LX-ACE tcp flags accepted are exactly those", named(exactly), syn(SYN, true), syn(SYN|ece|cwr, false), syn(SYN|ece, false)),
		lampWith("LX-ACE R8519-3-a tcp flags dropped are at least those, in an open flow too", named(atLeast, cloud), opened),
		lampWith("LX-ACE tcp flags dropped have to be there all", named(noECN, cloud), syn(SYN, true), syn(SYN|ece|cwr, false), syn(SYN|ece, true)),
	}
}
