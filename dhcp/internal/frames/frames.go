// Package frames builds Ethernet frames for the tests of dhcp and dhcp/listen. The product must not import it.
package frames

import (
	"encoding/binary"
	"net"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// UDP wraps a payload in UDP without checksum, IPv4 without options, and Ethernet. The IPv4 checksum is right: a bridge
// under br_netfilter drops the packet otherwise.
func UDP(from [6]byte, srcPort, dstPort uint16, payload []byte) []byte {
	f := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	f = append(f, from[:]...)
	f = append(f, 0x08, 0x00, 0x45, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(28+len(payload)))
	f = append(f, 0, 0, 0, 0, 64, 17, 0, 0)
	f = append(f, 0, 0, 0, 0, 255, 255, 255, 255)
	binary.BigEndian.PutUint16(f[24:], checksum(f[14:34]))
	f = binary.BigEndian.AppendUint16(f, srcPort)
	f = binary.BigEndian.AppendUint16(f, dstPort)
	f = binary.BigEndian.AppendUint16(f, uint16(8+len(payload)))
	return append(append(f, 0, 0), payload...)
}

// checksum is that of RFC 791 section 3.1 over an even number of octets.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// Client is a frame straight from a client.
func Client(mac [6]byte, kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) []byte {
	return UDP(mac, 68, 67, Message(dhcpv4.OpcodeBootRequest, mac, kind, mods...))
}

// Server is a frame straight from a server to a client.
func Server(server, client [6]byte, kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) []byte {
	return UDP(server, 67, 68, Message(dhcpv4.OpcodeBootReply, client, kind, mods...))
}

// Message is a DHCPv4 message as the library writes it.
func Message(op dhcpv4.OpcodeType, client [6]byte, kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) []byte {
	mods = append([]dhcpv4.Modifier{
		func(m *dhcpv4.DHCPv4) { m.OpCode = op },
		dhcpv4.WithHwAddr(net.HardwareAddr(client[:])),
		dhcpv4.WithMessageType(kind),
	}, mods...)
	m, err := dhcpv4.New(mods...)
	if err != nil {
		panic(err) // no random numbers
	}
	return m.ToBytes()
}

// MUD is option 161.
func MUD(mudString string) dhcpv4.Modifier {
	return dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(161), []byte(mudString))
}
