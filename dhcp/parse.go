package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// infinite is the lease time that never ends (RFC 2131 section 3.3, RFC 8415 section 7.7; RDHCP-2131-e).
const infinite = math.MaxUint32

// ParseFrame reads one whole Ethernet frame, with or without one 802.1Q tag. It gives nothing, and no error, for a frame
// that tells nothing of interest: other traffic, fragments, OFFERs, plain BOOTP. An error says why a frame that might have
// told something was not taken; there is no sighting then. Only a DHCPv6 message can tell several things.
//
// What comes straight from a device must come from its own Ethernet address, else it is ErrImpostor: one host must not
// announce a URL, or take or give back an address, for another. A relayed message can't be checked so (see
// Sighting.Relay). A client behind a repeater that rewrites Ethernet sources looks like an impostor too; nothing on such
// a network can be told apart by its address.
func ParseFrame(frame []byte) ([]Sighting, error) {
	e, ok := decodeEther(frame)
	switch {
	case !ok:
		return nil, nil
	case !e.from.isDevice(): // 00:… would also make a server's message look like a client's: Sighting.ServerMAC
		return nil, fmt.Errorf("frame comes from %s, an address that no device can have", e.from)
	}
	switch e.kind {
	case etherIPv4:
		return parseDHCPv4(e)
	case etherIPv6:
		return parseIPv6(e)
	case etherARP:
		return parseARP(e)
	case etherLLDP:
		return parseLLDP(e)
	}
	return nil, nil
}

func parseDHCPv4(e ether) ([]Sighting, error) {
	d, ok, err := udpOverIPv4(e.body, []uint16{portServer, portClient})
	if !ok || err != nil {
		return nil, err
	}
	m, ok, err := decodeMessage(d.payload)
	if !ok || err != nil {
		return nil, err
	}
	switch {
	case m.op == opRequest && d.dstPort == portServer:
		return fromClient(m, e.from)
	case m.op == opReply && d.srcPort == portServer:
		return fromServer(m, e.from)
	}
	return nil, nil
}

// sighting is what all messages have.
func (m message) sighting() Sighting {
	s := Sighting{MAC: m.client, Source: SourceDHCPv4, ClientID: m.clientID()}
	if m.relayed() {
		s.Relay = m.giaddr
	}
	return s
}

// fromClient judges the messages of a client (RFC 2131 section 4.4). Only here is a URL read: a server that echoes
// option 161 announces nothing.
func fromClient(m message, from MAC) ([]Sighting, error) {
	s := m.sighting()
	switch m.kind {
	case dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeInform:
		s.Kind, s.Addr = Seen, m.requested()
	case dhcpv4.MessageTypeRelease:
		s.Kind, s.Addr = Released, m.ciaddr
	case dhcpv4.MessageTypeDecline:
		s.Kind, s.Addr = Declined, m.address(dhcpv4.OptionRequestedIPAddress)
	default:
		return nil, nil
	}
	if from != m.client && !m.relayed() {
		return nil, fmt.Errorf("%w: %s sent a DHCP message of %s", ErrImpostor, from, m.client)
	}
	if s.Kind != Seen && !isHost(s.Addr) {
		return nil, fmt.Errorf("%s %s no usable address", m.client, s.Kind)
	}
	m.describe(&s)
	return []Sighting{s}, nil
}

// requested is the address that a client asks for: option 50, or the one it has (RFC 2131 table 5).
func (m message) requested() netip.Addr {
	for _, addr := range []netip.Addr{m.address(dhcpv4.OptionRequestedIPAddress), m.ciaddr} {
		if isHost(addr) {
			return addr
		}
	}
	return netip.Addr{}
}

// describe fills in what the client says of itself.
func (m message) describe(s *Sighting) {
	if s.Kind == Seen && m.options.Has(optionMUDURL) { // RDHCP-2131-b
		s.announce(m.options.Get(optionMUDURL))
	}
	s.Vendor = cleanText(m.options.Get(dhcpv4.OptionClassIdentifier))
	s.Hostname = cleanText(m.options.Get(dhcpv4.OptionHostName))
	if s.Hostname == "" {
		s.Hostname = cleanText(readFQDN(m.options.Get(dhcpv4.OptionFQDN)))
	}
}

// fromServer judges the messages of a server: the ACK is the truth about a binding (RDHCP-2131-a). An ACK without yiaddr
// answers an INFORM, which gives no lease (RFC 2131 section 4.3.5; RDHCP-2131-d).
func fromServer(m message, from MAC) ([]Sighting, error) {
	s := m.sighting()
	s.ServerMAC = from
	switch m.kind {
	case dhcpv4.MessageTypeNak:
		s.Kind = Refused
		return []Sighting{s}, nil
	case dhcpv4.MessageTypeAck:
	default:
		return nil, nil
	}
	s.DNS = m.addresses(dhcpv4.OptionDomainNameServer)
	s.NTP = m.addresses(dhcpv4.OptionNTPServers)
	if m.yiaddr.IsUnspecified() {
		return []Sighting{s}, nil
	}
	if !isHost(m.yiaddr) {
		return nil, fmt.Errorf("server %s gives %s the address %s, which no host can have", from, m.client, m.yiaddr)
	}
	lease, err := m.lease()
	if err != nil {
		return nil, fmt.Errorf("server %s acknowledges %s: %w", from, m.client, err)
	}
	s.Kind, s.Addr, s.Lease = Bound, m.yiaddr, lease
	return []Sighting{s}, nil
}

// lease reads option 51, which an ACK must have (RFC 2131 table 3).
func (m message) lease() (time.Duration, error) {
	b := m.options.Get(dhcpv4.OptionIPAddressLeaseTime)
	if len(b) != 4 {
		return 0, errors.New("no valid lease time")
	}
	seconds := binary.BigEndian.Uint32(b)
	if seconds == 0 {
		return 0, errors.New("lease time of no length")
	}
	return lifetime(seconds), nil
}

// lifetime is a time in seconds as both versions of DHCP write it.
func lifetime(seconds uint32) time.Duration {
	if seconds == infinite {
		return math.MaxInt64
	}
	return time.Duration(seconds) * time.Second
}
