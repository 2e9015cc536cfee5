package mud

import "slices"

// fieldSpec is a leaf that compares a header field with a number.
type fieldSpec struct {
	container, leaf string // the container ip stands for ipv4 and ipv6
	field           Field
	mask            uint32 // the width of the field
}

func fieldSpecs() []fieldSpec {
	return []fieldSpec{
		{"ip", "dscp", FieldDSCP, 0x3f},
		{"ip", "ecn", FieldECN, 3},
		{"ip", "length", FieldLength, 0xffff},
		{"ip", "ttl", FieldTTL, 0xff},
		{"ipv4", "ihl", FieldIHL, 0xf},
		{"ipv4", "flags", FieldIPFlags, 7},
		{"ipv4", "offset", FieldOffset, 0x1fff},
		{"ipv4", "identification", FieldIdentification, 0xffff},
		{"ipv6", "flow-label", FieldFlowLabel, 0xfffff},
		{"tcp", "sequence-number", FieldTCPSequence, 0xffffffff},
		{"tcp", "acknowledgement-number", FieldTCPAcknowledgement, 0xffffffff},
		{"tcp", "data-offset", FieldTCPDataOffset, 0xf},
		{"tcp", "reserved", FieldTCPReserved, 0xf},
		{"tcp", "flags", FieldTCPFlags, 0xff},
		{"tcp", "window-size", FieldTCPWindow, 0xffff},
		{"tcp", "urgent-pointer", FieldTCPUrgent, 0xffff},
		{"tcp", "options", FieldTCPOptions, 0},
		{"udp", "length", FieldUDPLength, 0xffff},
		{"icmp", "rest-of-header", FieldICMPRest, 0},
	}
}

// flagNames are the bits of a flags leaf, from bit 0 on.
func flagNames(f Field) []string {
	if f == FieldIPFlags {
		return []string{"more", "fragment", "reserved"}
	}
	return []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}
}

// maxICMPRest is how many octets after an ICMP header's first four can be compared.
const maxICMPRest = 64

// field reads a leaf that compares a header field.
func (b *aceReader) field(container, name string, n node) {
	specs := fieldSpecs()
	i := slices.IndexFunc(specs, func(s fieldSpec) bool {
		return s.leaf == name && (s.container == container || s.container == "ip" && container[:2] == "ip")
	})
	if i < 0 {
		return
	}
	s := specs[i]
	switch s.field {
	case FieldIPFlags, FieldTCPFlags:
		b.flags(n, s)
	case FieldTCPOptions, FieldICMPRest:
		b.bytes(n, s.field)
	default:
		b.compare(n, s)
	}
}

// compare reads a number. The YANG module allows some that are larger than their field, which no packet has: ihl counts
// words, and offset has 13 bits, reserved 4.
func (b *aceReader) compare(n node, s fieldSpec) {
	x := n.uint()
	switch {
	case x > uint64(s.mask):
		b.cannot(n.path, "R8520-2-e", "no packet has %d there: the largest value is %d", x, s.mask)
		return
	case s.field == FieldOffset && b.drop:
		b.defragmented(n, "offset")
		return
	case s.field == FieldOffset:
		b.neverHolds(n)
	}
	b.beyond(n)
	b.addField(FieldMatch{Field: s.field, Value: uint32(x), Mask: s.mask})
}

// flags reads a bits leaf: the very bits in an accept, at least these in a drop.
func (b *aceReader) flags(n node, s fieldSpec) {
	var bits uint32
	for i, name := range flagNames(s.field) {
		if slices.Contains(n.words(), name) {
			bits |= 1 << i
		}
	}
	b.beyond(n)
	if more := s.field == FieldIPFlags && bits&IPFlagMoreFragments != 0; more && b.drop {
		b.defragmented(n, "more")
		bits &^= IPFlagMoreFragments
	} else if more {
		b.neverHolds(n)
	}
	mask := s.mask
	if b.drop {
		mask = bits
	}
	if mask != 0 {
		b.addField(FieldMatch{Field: s.field, Value: bits, Mask: mask})
	}
}

// bytes reads a base64 leaf.
func (b *aceReader) bytes(n node, f Field) {
	switch octets := n.octets(); {
	case len(octets) > maxICMPRest:
		b.cannot(n.path, "T-13", "it has %d octets, and only %d can be compared", len(octets), maxICMPRest)
	case len(octets) > 0:
		b.beyond(n)
		b.addField(FieldMatch{Field: f, Bytes: string(octets)})
	}
}

func (b *aceReader) addField(f FieldMatch) { b.ace.Match.Fields = append(b.ace.Match.Fields, f) }

// beyond notes a condition that RFC 8520 section 2 asks publishers to leave out.
func (b *aceReader) beyond(n node) {
	b.r.note(n.path, "R8520-2-e", "a MUD file should not match on %s; other MUD managers may ignore the ACE", n.name())
}

// neverHolds warns of a condition on fragments in an accept: packets are put together before they are judged.
func (b *aceReader) neverHolds(n node) {
	b.r.warn(n.path, "R8520-2-e", "it is about fragments, which are put together before they are judged, so it never holds and the ACE "+
		"allows nothing")
}

// defragmented leaves a condition on fragments out of a drop, which would never happen with it.
func (b *aceReader) defragmented(n node, what string) {
	b.cannot(n.path, "T-13", "fragments are put together before they are judged, so %s can't be seen", what)
}
