package dhcp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
)

// Numbers of the headers before a message.
const (
	etherHeader  = 14
	vlanTag      = 4
	etherIPv4    = 0x0800
	etherARP     = 0x0806
	etherVLAN    = 0x8100 // IEEE 802.1Q
	etherIPv6    = 0x86dd
	etherLLDP    = 0x88cc
	ipv4Header   = 20
	ipv6Header   = 40
	protoUDP     = 17
	protoICMPv6  = 58
	fragmentBits = 0x3fff // more fragments, and the offset (RFC 791 section 3.1)
	udpHeader    = 8
)

// errTruncated reports a message of which the frame holds less than its headers say.
var errTruncated = errors.New("message is cut short")

// ether is an Ethernet frame, untagged or with its one tag taken off. Its body may end in padding.
type ether struct {
	to, from MAC
	kind     uint16 // EtherType
	body     []byte
}

func decodeEther(frame []byte) (e ether, ok bool) {
	head := etherHeader
	if len(frame) >= head && binary.BigEndian.Uint16(frame[head-2:]) == etherVLAN {
		head += vlanTag
	}
	if len(frame) < head {
		return ether{}, false
	}
	return ether{MAC(frame[0:6]), MAC(frame[6:12]), binary.BigEndian.Uint16(frame[head-2:]), frame[head:]}, true
}

// datagram is a UDP datagram.
type datagram struct {
	srcPort, dstPort uint16
	payload          []byte
}

// udpOverIPv4 is the datagram in an IPv4 packet, if that is unfragmented UDP on one of some ports. Fragments are not put
// together: no DHCP client needs them, and half a message must not be believed. Checksums are not verified: a frame that
// this host sends itself is heard before its network card fills them in.
func udpOverIPv4(packet []byte, ports []uint16) (d datagram, ok bool, err error) {
	if len(packet) < ipv4Header {
		return datagram{}, false, nil
	}
	header := int(packet[0]&0x0f) * 4
	fragment := binary.BigEndian.Uint16(packet[6:])&fragmentBits != 0
	if packet[0]>>4 != 4 || header < ipv4Header || packet[9] != protoUDP || fragment || len(packet) < header {
		return datagram{}, false, nil
	}
	total := int(binary.BigEndian.Uint16(packet[2:]))
	whole := total >= header+udpHeader && total <= len(packet)
	if !whole {
		total = len(packet)
	}
	return decodeUDP(packet[header:total], whole, ports)
}

// packet6 is an IPv6 packet (RFC 8200 section 3) without padding. Extension headers are not followed: neither DHCPv6 nor
// neighbour discovery needs them (RFC 6980 section 5).
type packet6 struct {
	next, hops uint8
	src, dst   netip.Addr
	payload    []byte
	whole      bool // the frame holds all that the header says
}

func decodeIPv6(b []byte) (p packet6, ok bool) {
	if len(b) < ipv6Header || b[0]>>4 != 6 {
		return packet6{}, false
	}
	p = packet6{next: b[6], hops: b[7], payload: b[ipv6Header:],
		src: netip.AddrFrom16([16]byte(b[8:])), dst: netip.AddrFrom16([16]byte(b[24:]))}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if p.whole = length <= len(p.payload); p.whole {
		p.payload = p.payload[:length]
	}
	return p, true
}

// decodeUDP splits a UDP segment that comes from or goes to one of some ports.
func decodeUDP(segment []byte, whole bool, ports []uint16) (d datagram, ok bool, err error) {
	if len(segment) < udpHeader {
		return datagram{}, false, nil
	}
	d.srcPort, d.dstPort = binary.BigEndian.Uint16(segment), binary.BigEndian.Uint16(segment[2:])
	if !slices.Contains(ports, d.srcPort) && !slices.Contains(ports, d.dstPort) {
		return datagram{}, false, nil
	}
	length := int(binary.BigEndian.Uint16(segment[4:]))
	if !whole || length < udpHeader || length > len(segment) {
		return datagram{}, false, errTruncated
	}
	d.payload = segment[udpHeader:length]
	return d, true, nil
}

// isHost reports whether addr can be one host's on a network.
func isHost(addr netip.Addr) bool {
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() && !addr.IsLoopback() && !addr.Is4In6() && addr != broadcast
}
