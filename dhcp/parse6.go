package dhcp

import (
	"encoding/binary"
	"fmt"
	"slices"
)

func parseIPv6(e ether) ([]Sighting, error) {
	p, ok := decodeIPv6(e.body)
	if !ok {
		return nil, nil
	}
	switch p.next {
	case protoUDP:
		return parseDHCPv6(e, p)
	case protoICMPv6:
		return parseND(e, p)
	}
	return nil, nil
}

func parseDHCPv6(e ether, p packet6) ([]Sighting, error) {
	d, ok, err := decodeUDP(p.payload, p.whole, []uint16{portServer6, portClient6})
	if !ok || err != nil {
		return nil, err
	}
	m, err := decodeMessage6(d.payload)
	if err != nil {
		return nil, err
	}
	switch {
	case m.fromClient() && d.dstPort == portServer6:
		s, err := m.sighting(e.from, p)
		if err != nil {
			return nil, err
		}
		return fromClient6(m, s, p)
	case m.fromServer(d.dstPort):
		s, err := m.sighting(e.to, p)
		if err != nil {
			return nil, err
		}
		s.ServerMAC = e.from
		return fromServer6(m, s)
	}
	return nil, nil
}

func (m message6) fromClient() bool {
	switch m.kind {
	case solicit, request, confirm, renew, rebind, release, decline, informationRequest, addrRegInform:
		return m.relayed != relayReply
	}
	return false
}

// fromServer reports a Reply, to a client or to a relay. An Advertise binds nothing, a Reconfigure is only a wish.
func (m message6) fromServer(dstPort uint16) bool {
	return m.kind == reply && (m.relayed == 0 && dstPort == portClient6 || m.relayed == relayReply && dstPort == portServer6)
}

// sighting is what all messages have; link is the Ethernet address of a client that is no relay away. Such a client's
// DUID may name another address, as it does when the client has several interfaces: it does not count.
func (m message6) sighting(link MAC, p packet6) (Sighting, error) {
	duid := m.options.first(optClientID)
	s := Sighting{MAC: link, Source: SourceDHCPv6, ClientID: identity(duid)}
	if m.relayed == 0 {
		// A router forwards neither from nor to such addresses to another network, so both ends are on this one.
		if !p.src.IsLinkLocalUnicast() && !p.dst.IsLinkLocalUnicast() && !p.dst.IsLinkLocalMulticast() {
			return Sighting{}, fmt.Errorf("DHCPv6 message from %s to %s may come from another network", p.src, p.dst)
		}
		if !link.isDevice() {
			return Sighting{}, fmt.Errorf("DHCPv6 client address %s is none that a device can have", link)
		}
		return s, nil
	}
	if s.Relay = p.src; m.relayed == relayReply {
		s.Relay = p.dst
	}
	var ok bool
	if s.MAC, ok = linkMAC(m.link); ok {
		return s, nil
	}
	if s.MAC, ok = duidMAC(duid); !ok {
		return Sighting{}, fmt.Errorf("DHCPv6 message through %s does not tell the client's Ethernet address", s.Relay)
	}
	s.Remark = "the Ethernet address is that of the client's DUID, which the relay did not confirm"
	return s, nil
}

// fromClient6 judges the messages of a client. Option 112 is read where RDHCP-8415-a has it.
func fromClient6(m message6, s Sighting, p packet6) ([]Sighting, error) {
	leases, _, err := m.leases()
	if err != nil {
		return nil, err
	}
	m.describe(&s)
	switch m.kind {
	case addrRegInform:
		return registered(m, s, p)
	case release:
		return givenBack(s, Released, leases)
	case decline:
		return givenBack(s, Declined, leases)
	case confirm:
	default:
		s.announce(slices.Collect(m.options.all(optMUDURL6))...)
	}
	if len(leases) > 0 && isHost(leases[0].addr) {
		s.Addr = leases[0].addr
	}
	return []Sighting{s}, nil
}

func givenBack(s Sighting, kind Kind, leases []lease6) (out []Sighting, err error) {
	for _, l := range leases {
		if s.Kind, s.Addr = kind, l.addr; !isHost(l.addr) {
			return nil, fmt.Errorf("%s %s %s, which no host can have", s.MAC, kind, l.addr)
		}
		out = append(out, s)
	}
	return out, nil
}

// registered reads an address that a client made up itself and registers; it is sent from that address, else it is
// discarded (RFC 9686 section 4.2.1; RDHCP-9686).
func registered(m message6, s Sighting, p packet6) ([]Sighting, error) {
	l, err := decodeLease(m.options.first(optIAAddr))
	switch {
	case err != nil:
		return nil, err
	case !isHost(l.addr) || m.relayed == 0 && l.addr != p.src:
		return nil, fmt.Errorf("%s at %s registers the address %s", s.MAC, p.src, l.addr)
	}
	if s.Kind, s.Addr = Uses, l.addr; l.valid == 0 {
		s.Kind = Released
	}
	return []Sighting{s}, nil
}

// describe fills in what the client says of itself.
func (m message6) describe(s *Sighting) {
	// RFC 8415 section 21.16: an enterprise number, then strings with a length each; the first will do.
	if class := m.options.first(optVendorClass); len(class) >= 6 {
		size := int(binary.BigEndian.Uint16(class[4:]))
		s.Vendor = cleanText(class[6:min(6+size, len(class))])
	}
	if name := m.options.first(optFQDN); len(name) > 1 { // RFC 4704 section 4: flags before the name
		s.Hostname = cleanText(joinLabels(name[1:]))
	}
}

// fromServer6 judges a Reply, which is the truth about a binding as an ACK is (RDHCP-8415-b). One without addresses
// answers a question for settings, or tells that all is well.
func fromServer6(m message6, s Sighting) ([]Sighting, error) {
	leases, refused, err := m.leases()
	if err != nil {
		return nil, err
	}
	if m.options.failed() || refused && len(leases) == 0 {
		s.Kind = Refused
		return []Sighting{s}, nil
	}
	s.DNS, s.NTP = m.options.addresses(optDNS), m.options.timeServers()
	var out []Sighting
	for _, l := range leases {
		s.Kind, s.Addr, s.Lease = Bound, l.addr, l.valid
		switch {
		case !isHost(l.addr):
			return nil, fmt.Errorf("server %s gives %s the address %s, which no host can have", s.ServerMAC, s.MAC, l.addr)
		case l.void:
			continue
		case l.valid == 0:
			s.Kind = Released
		}
		out = append(out, s)
	}
	if len(leases) == 0 {
		return []Sighting{s}, nil
	}
	return out, nil
}
