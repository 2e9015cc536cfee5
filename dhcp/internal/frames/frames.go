// Package frames builds Ethernet frames for the tests of dhcp and dhcp/listen. The product must not import it.
package frames

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
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

// IPv6 wraps a payload in IPv6 and Ethernet.
func IPv6(from, to [6]byte, src, dst netip.Addr, next, hops uint8, payload []byte) []byte {
	f := append(append(to[:], from[:]...), 0x86, 0xdd, 0x60, 0, 0, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(len(payload)))
	f = append(f, next, hops)
	return append(append(append(f, src.AsSlice()...), dst.AsSlice()...), payload...)
}

// UDP6 wraps a payload in UDP without checksum, IPv6 and Ethernet.
func UDP6(from, to [6]byte, src, dst netip.Addr, srcPort, dstPort uint16, payload []byte) []byte {
	u := binary.BigEndian.AppendUint16(nil, srcPort)
	u = binary.BigEndian.AppendUint16(u, dstPort)
	u = binary.BigEndian.AppendUint16(u, uint16(8+len(payload)))
	return IPv6(from, to, src, dst, 17, 64, append(append(u, 0, 0), payload...))
}

// LinkLocal is the address that a host makes of its Ethernet address (RFC 4291 appendix A).
func LinkLocal(mac [6]byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
}

// Group is the Ethernet address of an IPv6 group (RFC 2464 section 7).
func Group(addr netip.Addr) [6]byte {
	b := addr.As16()
	return [6]byte{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// Client6 is a frame straight from a client to all DHCPv6 servers.
func Client6(mac [6]byte, kind dhcpv6.MessageType, mods ...dhcpv6.Modifier) []byte {
	servers := netip.MustParseAddr("ff02::1:2")
	return UDP6(mac, Group(servers), LinkLocal(mac), servers, 546, 547, Message6(kind, mods...))
}

// Server6 is a frame straight from a server to a client.
func Server6(server, client [6]byte, mods ...dhcpv6.Modifier) []byte {
	return UDP6(server, client, LinkLocal(server), LinkLocal(client), 547, 546, Message6(dhcpv6.MessageTypeReply, mods...))
}

// Message6 is a DHCPv6 message as the library writes it.
func Message6(kind dhcpv6.MessageType, mods ...dhcpv6.Modifier) []byte {
	m, err := dhcpv6.NewMessage(append([]dhcpv6.Modifier{func(m dhcpv6.DHCPv6) { m.(*dhcpv6.Message).MessageType = kind }}, mods...)...)
	if err != nil {
		panic(err) // no random numbers
	}
	return m.ToBytes()
}

// MUD6 is option 112, once more if there is one.
func MUD6(mudString string) dhcpv6.Modifier {
	return func(m dhcpv6.DHCPv6) {
		m.AddOption(&dhcpv6.OptionGeneric{OptionCode: 112, OptionData: []byte(mudString)})
	}
}

// ARP is a frame with a sender's and a target's addresses; op is 1 for a request, 2 for a reply.
func ARP(from, says [6]byte, op uint8, addr, target netip.Addr) []byte {
	f := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, from[:]...)
	f = append(f, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, op)
	f = append(append(f, says[:]...), addr.AsSlice()...)
	return append(append(f, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
}

// ND is a neighbour solicitation (135) or advertisement (136).
func ND(from [6]byte, src, dst netip.Addr, kind uint8, target netip.Addr, options ...byte) []byte {
	body := append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
	return IPv6(from, Group(dst), src, dst, 58, 255, append(body, options...))
}

// LinkOption is an Ethernet address in neighbour discovery: 1 for the source's, 2 for the target's.
func LinkOption(kind uint8, mac [6]byte) []byte { return append([]byte{kind, 1}, mac[:]...) }

// LLDP is an LLDPDU of chassis, port, time to live, and whatever TLVs come after, with an end.
func LLDP(from [6]byte, ttl uint8, tlvs ...[]byte) []byte {
	f := append([]byte{0x01, 0x80, 0xc2, 0, 0, 0x0e}, from[:]...)
	f = append(f, 0x88, 0xcc)
	f = append(f, TLV(1, append([]byte{4}, from[:]...))...)
	f = append(f, TLV(2, append([]byte{3}, from[:]...))...)
	f = append(f, TLV(3, []byte{0, ttl})...)
	for _, tlv := range tlvs {
		f = append(f, tlv...)
	}
	return append(f, 0, 0)
}

// TLV writes a type of seven bits and a length of nine before a value.
func TLV(kind uint8, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(kind)<<9|uint16(len(value))), value...)
}

// MUDTLV is the TLV of RFC 8520 section 12.
func MUDTLV(mudString string) []byte { return TLV(127, append([]byte{0, 0, 0x5e, 1}, mudString...)) }
