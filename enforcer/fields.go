package enforcer

import (
	"fmt"

	"mudguard/dhcp"
	"mudguard/mud"
)

const (
	etherARP     = 0x0806 // EtherType of ARP
	maxBytes     = 16     // octets that one register of the kernel holds
	tcpHeader    = 20     // octets before TCP options
	icmpChecked  = 4      // octets of ICMP up to its checksum
	fragOff      = 48     // where, in bits, IPv4 has flags and fragment offset together
	fragOffWidth = 16
)

var wholeMAC = dhcp.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Headers that a HeaderField may be in, as nft calls them.
const (
	HeaderIPv4 = "ip"
	HeaderIPv6 = "ip6"
	HeaderTCP  = "tcp"
	HeaderUDP  = "udp"
)

// place says where a header field is, and what nft calls it (RFC 791, RFC 8200, RFC 9293, RFC 768).
func place(f mud.Field, v6 bool) HeaderField {
	at := func(header, name string, bit, width uint16) HeaderField {
		return HeaderField{Header: header, Name: name, At: bit, Bits: width}
	}
	if v6 {
		if p, ok := map[mud.Field]HeaderField{
			mud.FieldDSCP:      at(HeaderIPv6, "dscp", 4, 6),
			mud.FieldECN:       at(HeaderIPv6, "ecn", 10, 2),
			mud.FieldFlowLabel: at(HeaderIPv6, "flowlabel", 12, 20),
			mud.FieldLength:    at(HeaderIPv6, "length", 32, 16),
			mud.FieldTTL:       at(HeaderIPv6, "hoplimit", 56, 8),
		}[f]; ok {
			return p
		}
	}
	return map[mud.Field]HeaderField{
		mud.FieldIHL:                at(HeaderIPv4, "hdrlength", 4, 4),
		mud.FieldDSCP:               at(HeaderIPv4, "dscp", 8, 6),
		mud.FieldECN:                at(HeaderIPv4, "ecn", 14, 2),
		mud.FieldLength:             at(HeaderIPv4, "length", 16, 16),
		mud.FieldIdentification:     at(HeaderIPv4, "id", 32, 16),
		mud.FieldIPFlags:            at(HeaderIPv4, "frag-off", fragOff, 3),
		mud.FieldOffset:             at(HeaderIPv4, "frag-off", fragOff+3, 13),
		mud.FieldTTL:                at(HeaderIPv4, "ttl", 64, 8),
		mud.FieldTCPSequence:        at(HeaderTCP, "sequence", 32, 32),
		mud.FieldTCPAcknowledgement: at(HeaderTCP, "ackseq", 64, 32),
		mud.FieldTCPDataOffset:      at(HeaderTCP, "doff", 96, 4),
		mud.FieldTCPReserved:        at(HeaderTCP, "reserved", 100, 4),
		mud.FieldTCPWindow:          at(HeaderTCP, "window", 112, 16),
		mud.FieldTCPUrgent:          at(HeaderTCP, "urgptr", 144, 16),
		mud.FieldUDPLength:          at(HeaderUDP, "length", 32, 16),
	}[f]
}

// whole is the mask of all bits of the field.
func (h HeaderField) whole() uint32 { return uint32(1<<h.Bits - 1) }

// Octets gives the whole octets that the field is in: from which one on, and mask and value there.
func (h HeaderField) Octets() (at int, mask, value []byte) {
	at = int(h.At / 8)
	n := int(h.At+h.Bits+7)/8 - at
	shift := 8*(at+n) - int(h.At+h.Bits)
	m, v := uint64(h.Mask)<<shift, uint64(h.Value)<<shift
	for i := n - 1; i >= 0; i-- {
		mask, value = append(mask, byte(m>>(8*i))), append(value, byte(v>>(8*i)))
	}
	return at, mask, value
}

// text is the condition as nft spells it. It has no word for a part of a field that fills no whole octets.
func (h HeaderField) text() string {
	name := h.Header + " " + h.Name
	switch {
	case h.Mask == h.whole():
		return fmt.Sprintf("%s %d", name, h.Value)
	case h.At%8 == 0 && h.Bits%8 == 0:
		return fmt.Sprintf("%s & 0x%x == 0x%x", name, h.Mask, h.Value)
	}
	at, mask, value := h.Octets()
	base := pick(h.Header == HeaderIPv4 || h.Header == HeaderIPv6, "nh", "th")
	return fmt.Sprintf("@%s,%d,%d & 0x%x == 0x%x", base, 8*at, 8*len(mask), mask, value)
}

// headExprs gives the conditions that an ACE sets on header fields. What can never hold is not ok: an accept then opens
// nothing, and a drop goes without it and drops more (T-13).
func headExprs(a *mud.ACE, v6 bool) (out []Expr, ok bool) {
	for _, m := range a.Match.Fields {
		exprs, can := fieldExprs(m, v6, a.Action == mud.Accept)
		switch {
		case can:
			out = append(out, exprs...)
		case a.Action == mud.Accept:
			return nil, false
		}
	}
	return out, true
}

func fieldExprs(m mud.FieldMatch, v6, accept bool) (out []Expr, ok bool) {
	switch m.Field {
	case mud.FieldTCPFlags:
		return []Expr{TCPFlags{Mask: uint8(m.Mask), Value: uint8(m.Value)}}, m.Value&^m.Mask == 0 && m.Value < 256
	case mud.FieldTCPOptions:
		return tcpOptions(m.Bytes, accept)
	case mud.FieldICMPRest:
		return headerBytes(icmpChecked, m.Bytes), m.Bytes != ""
	}
	h := place(m.Field, v6)
	h.Mask, h.Value = m.Mask&h.whole(), m.Value
	if m.Value&^h.Mask != 0 || m.Field == mud.FieldTTL && h.Mask != h.whole() { // hopped could not reckon with it
		return nil, false
	}
	if h.Name == "frag-off" {
		shift := fragOff + fragOffWidth - h.At - h.Bits
		h.At, h.Bits, h.Mask, h.Value = fragOff, fragOffWidth, h.Mask<<shift, h.Value<<shift
	}
	if h.Mask == 0 {
		return nil, m.Mask == 0
	}
	return []Expr{h}, true
}

// tcpOptions compares the options field, whose length the data offset gives. It is padded with zeros (RFC 9293 section
// 3.1); a drop does not look at them.
func tcpOptions(options string, accept bool) ([]Expr, bool) {
	words := (len(options) + 3) / 4
	if words == 0 || words > 10 {
		return nil, false
	}
	doff := place(mud.FieldTCPDataOffset, false)
	doff.Mask, doff.Value = doff.whole(), uint32(tcpHeader/4+words)
	if accept {
		options += "\x00\x00\x00"[:4*words-len(options)]
	}
	return append([]Expr{doff}, headerBytes(tcpHeader, options)...), true
}

// headerBytes compares octets in parts that fit the kernel's registers.
func headerBytes(at int, value string) (out []Expr) {
	for len(value) > 0 {
		n := min(len(value), maxBytes)
		out = append(out, HeaderBytes{At: uint8(at), Value: value[:n]})
		at, value = at+n, value[n:]
	}
	return out
}
