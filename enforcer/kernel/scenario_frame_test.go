package kernel

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

const (
	token    = "mg-probe" // in every packet of ours, followed by its number
	tokenLen = len(token) + 4
	// protoOther is a protocol without ports (RFC 3692: for experiments).
	protoOther = 253
)

// shot is one real packet: what Evaluate is asked about, and where it is sent from and awaited.
type shot struct {
	id       uint32
	k        enforcer.Packet
	from, to string // ports of the lab
	seq, ack uint32 // of TCP
	echo     uint16 // identifier of ICMP echo: a reply has that of its request
	quote    []byte // packet that an ICMP error is about
	viaGW    bool   // to the gateway's MAC although the receiver is on the same link
	// wrap makes a frame's type and content of its own around the mark; nil: as k says.
	wrap func(mark []byte) (uint16, []byte)
}

// answer turns an accepted shot round as its receiver would.
func (s shot) answer() shot {
	r := s
	r.from, r.to = s.to, s.from
	r.k.In, r.k.Out, r.k.SrcMAC, r.k.DstMAC = s.k.Out, s.k.In, s.k.DstMAC, s.k.SrcMAC
	r.k.Src, r.k.Dst, r.k.Sport, r.k.Dport = s.k.Dst, s.k.Src, s.k.Dport, s.k.Sport
	r.seq, r.ack = 5000, 1001+uint32(tokenLen)
	switch s.k.Proto {
	case unix.IPPROTO_TCP:
		r.k.TCPFlags = 0x12
	case unix.IPPROTO_ICMP:
		r.k.ICMPType = 0
	case unix.IPPROTO_ICMPV6:
		r.k.ICMPType = 129
	}
	return r
}

// next is what the opener of a flow sends after its answer.
func (s shot) next() shot {
	s.seq, s.ack = 1001+uint32(tokenLen), 5001+uint32(tokenLen)
	if s.k.Proto == unix.IPPROTO_TCP {
		s.k.TCPFlags = 0x10
	}
	return s
}

// answers says whether a flow has answers that connection tracking ties to it.
func (s shot) answers() bool {
	switch s.k.Proto {
	case unix.IPPROTO_TCP:
		return s.k.TCPFlags == 0x02
	case unix.IPPROTO_ICMP:
		return s.k.ICMPType == 8
	case unix.IPPROTO_ICMPV6:
		return s.k.ICMPType == 128
	}
	return s.k.Proto == unix.IPPROTO_UDP
}

// packet is the shot without its Ethernet header.
func (s shot) packet() []byte {
	_, b := s.content()
	return b
}

// content is the type of the frame, and what is in it.
func (s shot) content() (uint16, []byte) {
	mark := binary.BigEndian.AppendUint32([]byte(token), s.id)
	switch {
	case s.wrap != nil:
		return s.wrap(mark)
	case s.k.EtherType == unix.ETH_P_ARP:
		return unix.ETH_P_ARP, append(arp(s.k), mark...)
	}
	b := ipPacket(s.k.Src, s.k.Dst, s.k.Proto, s.transport(mark))
	if s.k.Src.Is6() {
		return unix.ETH_P_IPV6, b
	}
	return unix.ETH_P_IP, b
}

// transport is the packet's inside, with its checksum still zero.
func (s shot) transport(payload []byte) []byte {
	k := s.k
	var b []byte
	switch k.Proto {
	case unix.IPPROTO_TCP:
		b = binary.BigEndian.AppendUint16(nil, k.Sport)
		b = binary.BigEndian.AppendUint16(b, k.Dport)
		b = binary.BigEndian.AppendUint32(b, s.seq)
		b = binary.BigEndian.AppendUint32(b, s.ack)
		b = append(b, 5<<4, k.TCPFlags, 0xff, 0xff, 0, 0, 0, 0)
	case unix.IPPROTO_UDP:
		b = binary.BigEndian.AppendUint16(nil, k.Sport)
		b = binary.BigEndian.AppendUint16(b, k.Dport)
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
		b = append(b, 0, 0)
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		b = []byte{k.ICMPType, k.ICMPCode, 0, 0}
		if s.quote != nil {
			b = append(append(b, 0, 0, 0, 0), s.quote...)
			break
		}
		b = binary.BigEndian.AppendUint16(b, s.echo)
		b = append(b, 0, 1)
	}
	return append(b, payload...)
}

func ipPacket(src, dst netip.Addr, proto uint8, l4 []byte) []byte {
	pseudo := append(src.AsSlice(), dst.AsSlice()...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(l4)))
	pseudo = append(pseudo, 0, 0, 0, proto)
	if at, ok := map[uint8]int{unix.IPPROTO_TCP: 16, unix.IPPROTO_UDP: 6, unix.IPPROTO_ICMP: 2, unix.IPPROTO_ICMPV6: 2}[proto]; ok {
		if proto == unix.IPPROTO_ICMP {
			pseudo = nil
		}
		sum := checksum(append(pseudo, l4...))
		if sum == 0 && proto == unix.IPPROTO_UDP {
			sum = 0xffff // zero says that there is none
		}
		binary.BigEndian.PutUint16(l4[at:], sum)
	}
	if src.Is6() {
		h := []byte{0x60, 0, 0, 0, byte(len(l4) >> 8), byte(len(l4)), proto, 64}
		return append(append(append(h, src.AsSlice()...), dst.AsSlice()...), l4...)
	}
	n := ip4Header + len(l4)
	h := append([]byte{0x45, 0, byte(n >> 8), byte(n), 0, 1, 0, 0, 64, proto, 0, 0}, append(src.AsSlice(), dst.AsSlice()...)...)
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, l4...)
}

// checksum follows RFC 1071.
func checksum(b []byte) uint16 {
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

// arp is a query: who has Dst, tell Src (RFC 826).
func arp(k enforcer.Packet) []byte {
	b := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, k.SrcMAC[:]...)
	b = append(append(b, k.Src.AsSlice()...), 0, 0, 0, 0, 0, 0)
	return append(b, k.Dst.AsSlice()...)
}
