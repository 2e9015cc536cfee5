package dhcp

import (
	"encoding/binary"
	"errors"
)

// Numbers of the headers before a DHCPv4 message.
const (
	etherHeader  = 14
	etherIPv4    = 0x0800
	etherVLAN    = 0x8100 // IEEE 802.1Q
	vlanTag      = 4
	ipv4Header   = 20
	protoUDP     = 17
	fragmentBits = 0x3fff // more fragments, and the offset (RFC 791 section 3.1)
	udpHeader    = 8
	portServer   = 67
	portClient   = 68
)

// errTruncated reports a DHCP datagram of which the frame holds less than its headers say.
var errTruncated = errors.New("DHCP datagram is cut short")

// datagram is a UDP datagram on the DHCP ports, and the Ethernet address that sent it.
type datagram struct {
	from             MAC
	srcPort, dstPort uint16
	payload          []byte
}

// decodeFrame finds the DHCP datagram in an Ethernet frame; ok is false for a frame of anything else. Checksums are
// not verified: a frame that this host sends itself is heard before its network card fills them in.
func decodeFrame(frame []byte) (d datagram, ok bool, err error) {
	packet, ok := ipv4Packet(frame)
	if !ok {
		return datagram{}, false, nil
	}
	segment, ok, err := udpSegment(packet)
	if !ok || err != nil {
		return datagram{}, false, err
	}
	return decodeUDP(MAC(frame[6:12]), segment)
}

// ipv4Packet is what an untagged or once tagged frame carries, padding included, if that is IPv4.
func ipv4Packet(frame []byte) ([]byte, bool) {
	offset := etherHeader
	if len(frame) >= offset && binary.BigEndian.Uint16(frame[offset-2:]) == etherVLAN {
		offset += vlanTag
	}
	if len(frame) < offset+ipv4Header || binary.BigEndian.Uint16(frame[offset-2:]) != etherIPv4 {
		return nil, false
	}
	return frame[offset:], true
}

// udpSegment is the payload of an IPv4 packet without Ethernet padding, if that is unfragmented UDP on the DHCP ports.
// Fragments are not put together: no DHCP client needs them, and half a message must not be believed.
func udpSegment(packet []byte) ([]byte, bool, error) {
	header := int(packet[0]&0x0f) * 4
	fragment := binary.BigEndian.Uint16(packet[6:])&fragmentBits != 0
	if packet[0]>>4 != 4 || header < ipv4Header || packet[9] != protoUDP || fragment || len(packet) < header+udpHeader {
		return nil, false, nil
	}
	if !isDHCPPort(packet[header:]) && !isDHCPPort(packet[header+2:]) {
		return nil, false, nil
	}
	total := int(binary.BigEndian.Uint16(packet[2:]))
	if total < header+udpHeader || total > len(packet) {
		return nil, false, errTruncated
	}
	return packet[header:total], true, nil
}

func isDHCPPort(b []byte) bool {
	port := binary.BigEndian.Uint16(b)
	return port == portServer || port == portClient
}

// decodeUDP splits a UDP segment of at least eight octets.
func decodeUDP(from MAC, segment []byte) (datagram, bool, error) {
	length := int(binary.BigEndian.Uint16(segment[4:]))
	if length < udpHeader || length > len(segment) {
		return datagram{}, false, errTruncated
	}
	return datagram{
		from:    from,
		srcPort: binary.BigEndian.Uint16(segment[0:]),
		dstPort: binary.BigEndian.Uint16(segment[2:]),
		payload: segment[udpHeader:length],
	}, true, nil
}
