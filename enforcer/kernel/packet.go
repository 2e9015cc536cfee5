package kernel

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

const (
	ip4Header, ip6Header = 20, 40
	maxExtHeaders        = 8
)

// parseIP reads the head of an IP packet, which may be cut off anywhere after the IP header: what is missing stays
// zero. It says how long the packet is on the wire, and whether it is one at all.
func parseIP(b []byte) (f enforcer.Flow, length int, ok bool) {
	if len(b) == 0 {
		return f, 0, false
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return f, 0, false
}

// parseIPv4 follows RFC 791 section 3.1.
func parseIPv4(b []byte) (f enforcer.Flow, length int, ok bool) {
	header := int(b[0]&0x0f) * 4
	if len(b) < ip4Header || header < ip4Header {
		return f, 0, false
	}
	f.Src = netip.AddrFrom4([4]byte(b[12:16]))
	f.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	f.Proto = b[9]
	length = int(binary.BigEndian.Uint16(b[2:]))
	firstFragment := binary.BigEndian.Uint16(b[6:])&0x1fff == 0
	if firstFragment && len(b) > header {
		parseL4(&f, b[header:])
	}
	return f, length, true
}

// parseIPv6 follows RFC 8200 section 4 through the extension headers.
func parseIPv6(b []byte) (f enforcer.Flow, length int, ok bool) {
	if len(b) < ip6Header {
		return f, 0, false
	}
	f.Src = netip.AddrFrom16([16]byte(b[8:24]))
	f.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	f.Proto = b[6]
	length = ip6Header + int(binary.BigEndian.Uint16(b[4:]))
	b = b[ip6Header:]
	for range maxExtHeaders {
		size, isExt := extHeader(f.Proto, b)
		if !isExt {
			parseL4(&f, b)
			break
		}
		if size > len(b) {
			break
		}
		laterFragment := f.Proto == unix.IPPROTO_FRAGMENT && binary.BigEndian.Uint16(b[2:])&0xfff8 != 0
		f.Proto = b[0]
		b = b[size:]
		if laterFragment {
			break
		}
	}
	return f, length, true
}

// extHeader gives the size of the extension header at b; one that is cut off is larger than b.
func extHeader(proto uint8, b []byte) (size int, ok bool) {
	switch proto {
	case unix.IPPROTO_FRAGMENT:
		return 8, true
	case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS, unix.IPPROTO_AH, unix.IPPROTO_MH:
		if len(b) < 2 {
			return 2, true
		}
		if proto == unix.IPPROTO_AH { // RFC 4302 section 2.2: in words, less two
			return (int(b[1]) + 2) * 4, true
		}
		return (int(b[1]) + 1) * 8, true
	}
	return 0, false
}

func parseL4(f *enforcer.Flow, b []byte) {
	switch f.Proto {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
		if len(b) >= 4 {
			f.Sport, f.Dport = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		}
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		if len(b) >= 2 {
			f.ICMPType, f.ICMPCode = b[0], b[1]
		}
	}
}

// claims is the address that ARP (RFC 826) or a neighbour advertisement (RFC 4861 section 4.4) says is its sender's.
func claims(proto uint16, b []byte) netip.Addr {
	switch {
	case proto == unix.ETH_P_ARP && len(b) >= offARPSender+4:
		return netip.AddrFrom4([4]byte(b[offARPSender:]))
	case proto == unix.ETH_P_IPV6 && len(b) >= ip6Header+offNDTarget+16 && b[6] == unix.IPPROTO_ICMPV6 && b[ip6Header] == 136:
		return netip.AddrFrom16([16]byte(b[ip6Header+offNDTarget:]))
	}
	return netip.Addr{}
}
