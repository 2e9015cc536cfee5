package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// ARP for IPv4 on Ethernet (RFC 826): hardware and protocol type, their lengths.
const (
	arpHeader = "\x00\x01\x08\x00\x06\x04"
	arpSize   = 28
)

// Neighbour discovery (RFC 4861 section 4).
const (
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
	ndHeader               = 24
	ndHops                 = 255 // from this network: no router forwarded it
	optSourceLink          = 1
	optTargetLink          = 2
)

// parseARP reads who sends ARP, from which address. A probe has none yet (RFC 5227 section 2.1.1).
func parseARP(e ether) ([]Sighting, error) {
	b := e.body
	if len(b) < arpSize || string(b[:6]) != arpHeader {
		return nil, nil
	}
	if op := binary.BigEndian.Uint16(b[6:]); op != 1 && op != 2 {
		return nil, nil
	}
	addr := netip.AddrFrom4([4]byte(b[14:]))
	if addr.IsUnspecified() {
		return nil, nil
	}
	return uses(e.from, MAC(b[8:14]), addr)
}

// uses is a sighting of a host that says that it, with an Ethernet address of its own, uses an address.
func uses(from, says MAC, addr netip.Addr) ([]Sighting, error) {
	switch {
	case says != from:
		return nil, fmt.Errorf("%w: %s says that %s uses %s", ErrImpostor, from, says, addr)
	case !isHost(addr):
		return nil, fmt.Errorf("%s says that it uses %s, which no host can have", from, addr)
	}
	return []Sighting{{MAC: from, Kind: Uses, Source: SourceND, Addr: addr}}, nil
}

// parseND reads neighbour solicitations and advertisements. Router advertisements and redirects tell nothing of devices.
func parseND(e ether, p packet6) ([]Sighting, error) {
	b := p.payload
	if len(b) == 0 || b[0] != neighbourSolicitation && b[0] != neighbourAdvertisement {
		return nil, nil
	}
	switch {
	case !p.whole || len(b) < ndHeader:
		return nil, errTruncated
	case p.hops != ndHops || b[1] != 0: // RFC 4861 section 7.1
		return nil, fmt.Errorf("neighbour discovery from %s with hop limit %d and code %d is not of this network", p.src, p.hops, b[1])
	}
	target, options := netip.AddrFrom16([16]byte(b[8:])), b[ndHeader:]
	if b[0] == neighbourAdvertisement {
		return advertised(e, target, options)
	}
	return solicited(e, p.src, target, options)
}

// solicited takes the source of a solicitation, if it comes with its Ethernet address. Without a source the host looks
// whether the address that it wants, the target, is free (RFC 4862 section 5.4): privacy addresses are first seen so.
func solicited(e ether, src, target netip.Addr, options []byte) ([]Sighting, error) {
	link, present, err := linkOption(options, optSourceLink)
	switch {
	case err != nil:
		return nil, err
	case src.IsUnspecified() && present: // RFC 4861 section 7.1.1
		return nil, fmt.Errorf("neighbour solicitation of %s has an Ethernet address but no source", e.from)
	case src.IsUnspecified():
		return uses(e.from, e.from, target)
	case !present:
		return nil, nil
	}
	return uses(e.from, link, src)
}

// advertised takes the target, of which the sender says that it is its own.
func advertised(e ether, target netip.Addr, options []byte) ([]Sighting, error) {
	link, present, err := linkOption(options, optTargetLink)
	if err != nil {
		return nil, err
	}
	if !present {
		link = e.from
	}
	return uses(e.from, link, target)
}

// linkOption is the Ethernet address in an option of neighbour discovery. Lengths count in eight octets, and none may be
// of none (RFC 4861 section 4.6).
func linkOption(b []byte, kind byte) (mac MAC, present bool, err error) {
	for len(b) > 0 {
		if len(b) < 2 || b[1] == 0 || int(b[1])*8 > len(b) {
			return MAC{}, false, fmt.Errorf("neighbour discovery option: %w", errTruncated)
		}
		size := int(b[1]) * 8
		if b[0] == kind && size == 8 && !present {
			mac, present = MAC(b[2:8]), true
		}
		b = b[size:]
	}
	return mac, present, nil
}
