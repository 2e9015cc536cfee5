package kernel

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
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
	head     enforcertest.Head
	viaGW    bool // to the gateway's MAC although the receiver is on the same link
	// wrap makes a frame's type and content of its own around the mark; nil: as k says.
	wrap func(mark []byte) (uint16, []byte)
}

// answer turns an accepted shot round as its receiver would.
func (s shot) answer() shot {
	r := s
	r.from, r.to = s.to, s.from
	r.k.In, r.k.Out, r.k.SrcMAC, r.k.DstMAC = s.k.Out, s.k.In, s.k.DstMAC, s.k.SrcMAC
	r.k.Src, r.k.Dst, r.k.Sport, r.k.Dport = s.k.Dst, s.k.Src, s.k.Dport, s.k.Sport
	r.head = enforcertest.Head{Seq: 5000, Ack: s.head.Seq + s.length(), Echo: s.head.Echo, Rest: s.head.Rest}
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

// length is how far a SYN moves the sequence number.
func (s shot) length() uint32 { return 1 + uint32(tokenLen+s.head.Pad) }

// next is what the opener of a flow sends after its answer.
func (s shot) next() shot {
	s.head = enforcertest.Head{Seq: s.head.Seq + s.length(), Ack: 5001 + uint32(tokenLen), Echo: s.head.Echo, Rest: s.head.Rest}
	if s.k.Proto == unix.IPPROTO_TCP {
		s.k.TCPFlags = 0x10
	}
	return s
}

// later makes a shot another packet of its flow.
func (s shot) later(l enforcertest.Later) shot {
	seq, ack := s.head.Seq, s.head.Ack
	s.head = l.Head
	s.head.Seq, s.head.Ack = orElse(l.Head.Seq, seq), orElse(l.Head.Ack, ack)
	if s.k.Proto == unix.IPPROTO_TCP {
		s.k.TCPFlags = orElse(l.Flags, 0x10)
	}
	return s
}

func orElse[T uint8 | uint32](x, y T) T {
	if x == 0 {
		return y
	}
	return x
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
	if s.k.EtherType != 0 {
		return s.k.EtherType, mark
	}
	if s.k.Src.Is6() {
		return unix.ETH_P_IPV6, s.ip(mark)
	}
	return unix.ETH_P_IP, s.ip(mark)
}

func (s shot) ip(mark []byte) []byte {
	network, rest := s.head.IP(s.k, mark)
	return append(network, rest...)
}

// judged is what Evaluate has to know of a shot.
func (s shot) judged() enforcer.Packet {
	if s.viaGW {
		s.k.DstMAC = enforcertest.HostNamed(portGateway).MAC
	}
	return s.head.Headers(s.k, tokenLen)
}

// arp is a query: who has Dst, tell Src (RFC 826).
func arp(k enforcer.Packet) []byte {
	b := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, k.SrcMAC[:]...)
	b = append(append(b, k.Src.AsSlice()...), 0, 0, 0, 0, 0, 0)
	return append(b, k.Dst.AsSlice()...)
}
