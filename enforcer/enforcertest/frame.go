package enforcertest

import (
	"encoding/binary"
	"net/netip"

	"mudguard/enforcer"
)

// Head is what a packet says in its headers besides addresses, ports and flags. The zero Head is that of an ordinary packet.
type Head struct {
	TOS       uint8  // DSCP and ECN, the traffic class of IPv6
	TTL       uint8  // or hop limit; 0: 64
	ID        uint16 // 0: 1
	Frag      uint16 // IPv4 flags and fragment offset
	Label     uint32 // IPv6 flow label
	IPOptions int    // IPv4 options that do nothing, in words
	Seq, Ack  uint32
	Reserved  uint8  // bits beside the TCP data offset
	Window    uint16 // 0: 65535
	Urgent    uint16
	Options   string // of TCP, whole words
	Echo      uint16 // identifier of ICMP echo
	Rest      string // of ICMP after the checksum, instead of Echo and a sequence number
	Pad       int    // octets between the headers and the content
}

const (
	markLen   = 12 // octets of content in a probe: what the kernel tests number their packets with
	ip4Header = 20
)

// Headers gives k with its raw headers, as a packet of this head and a content of n octets has them.
func (h Head) Headers(k enforcer.Packet, n int) enforcer.Packet {
	if k.EtherType == 0 {
		k.Network, k.Transport = h.IP(k, make([]byte, n))
	}
	return k
}

// IP makes a packet: its IP header, and the rest of it.
func (h Head) IP(k enforcer.Packet, content []byte) (network, transport []byte) {
	content = append(make([]byte, h.Pad), content...)
	transport = append(h.transport(k, len(content)), content...)
	setChecksum(k.Flow, transport)
	if k.Src.Is6() {
		return h.ip6(k.Flow, len(transport)), transport
	}
	return h.ip4(k.Flow, len(transport)), transport
}

func (h Head) ip4(f enforcer.Flow, n int) []byte {
	words := ip4Header/4 + h.IPOptions
	b := []byte{0x40 | byte(words), h.TOS}
	b = binary.BigEndian.AppendUint16(b, uint16(4*words+n))
	b = binary.BigEndian.AppendUint16(b, orElse(h.ID, 1))
	b = binary.BigEndian.AppendUint16(b, h.Frag)
	b = append(b, orElse(h.TTL, 64), f.Proto, 0, 0)
	b = append(append(b, f.Src.AsSlice()...), f.Dst.AsSlice()...)
	for range 4 * h.IPOptions {
		b = append(b, 1)
	}
	binary.BigEndian.PutUint16(b[10:], Checksum(b))
	return b
}

func (h Head) ip6(f enforcer.Flow, n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, 6<<28|uint32(h.TOS)<<20|h.Label)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, f.Proto, orElse(h.TTL, 64))
	return append(append(b, f.Src.AsSlice()...), f.Dst.AsSlice()...)
}

func (h Head) transport(k enforcer.Packet, n int) (b []byte) {
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, k.Sport), k.Dport)
	switch k.Proto {
	case 6:
		b = binary.BigEndian.AppendUint32(ports, h.Seq)
		b = binary.BigEndian.AppendUint32(b, h.Ack)
		b = append(b, byte(5+len(h.Options)/4)<<4|h.Reserved, k.TCPFlags)
		b = binary.BigEndian.AppendUint16(b, orElse(h.Window, 0xffff))
		b = binary.BigEndian.AppendUint32(b, uint32(h.Urgent))
		return append(b, h.Options...)
	case 17:
		b = binary.BigEndian.AppendUint16(ports, uint16(8+n))
		return append(b, 0, 0)
	case 1, 58:
		b = []byte{k.ICMPType, k.ICMPCode, 0, 0}
		if h.Rest != "" {
			return append(b, h.Rest...)
		}
		b = append(binary.BigEndian.AppendUint16(b, h.Echo), 0, 1)
		if k.Proto == 58 && k.ICMPType == 136 { // of whom, if it does not say so itself: of its sender (RFC 4861 section 4.4)
			b = append(b, k.Src.AsSlice()...)
		}
		return b
	}
	return nil
}

func orElse[T comparable](x, y T) T {
	var zero T
	if x == zero {
		return y
	}
	return x
}

// setChecksum fills in the checksum of a transport header, where it has one.
func setChecksum(f enforcer.Flow, l4 []byte) {
	at, ok := map[uint8]int{6: 16, 17: 6, 1: 2, 58: 2}[f.Proto]
	if !ok {
		return
	}
	var pseudo []byte
	if f.Proto != 1 {
		pseudo = pseudoHeader(f.Src, f.Dst, f.Proto, len(l4))
	}
	sum := Checksum(append(pseudo, l4...))
	if sum == 0 && f.Proto == 17 {
		sum = 0xffff // zero says that there is none
	}
	binary.BigEndian.PutUint16(l4[at:], sum)
}

func pseudoHeader(src, dst netip.Addr, proto uint8, n int) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return append(b, 0, 0, 0, proto)
}

// Checksum follows RFC 1071.
func Checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
