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

// infinite is the lease time that never ends (RFC 2131 section 3.3; RDHCP-2131-e).
const infinite = math.MaxUint32

// ParseFrame reads one whole Ethernet frame, with or without one 802.1Q tag. ok is false, with no error, for a frame
// that is no DHCPv4 message of interest: other traffic, fragments, OFFERs, plain BOOTP. An error says why a DHCP message
// was not taken; there is no sighting then.
//
// A message that comes straight from a client must come from its own Ethernet address, else it is ErrImpostor: one host
// must not announce a URL, or give back an address, for another. A relayed message can't be checked so (see
// Sighting.Relay). A client behind a repeater that rewrites Ethernet sources looks like an impostor too; nothing on such
// a network can be told apart by its address.
func ParseFrame(frame []byte) (s Sighting, ok bool, err error) {
	d, ok, err := decodeFrame(frame)
	if !ok || err != nil {
		return Sighting{}, false, err
	}
	m, ok, err := decodeMessage(d.payload)
	if !ok || err != nil {
		return Sighting{}, false, err
	}
	switch {
	case m.op == opRequest && d.dstPort == portServer:
		s, ok, err = fromClient(m, d.from)
	case m.op == opReply && d.srcPort == portServer:
		s, ok, err = fromServer(m, d.from)
	default:
		return Sighting{}, false, nil
	}
	if !ok || err != nil {
		return Sighting{}, false, err
	}
	if m.relayed() {
		s.Relay = m.giaddr
	}
	return s, true, nil
}

// fromClient judges the messages of a client (RFC 2131 section 4.4). Only here is a URL read: a server that echoes
// option 161 announces nothing.
func fromClient(m message, from MAC) (Sighting, bool, error) {
	s := Sighting{MAC: m.client, Source: SourceDHCPv4}
	switch m.kind {
	case dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeInform:
		s.Kind, s.Addr = Seen, m.requested()
	case dhcpv4.MessageTypeRelease:
		s.Kind, s.Addr = Released, m.ciaddr
	case dhcpv4.MessageTypeDecline:
		s.Kind, s.Addr = Declined, m.address(dhcpv4.OptionRequestedIPAddress)
	default:
		return Sighting{}, false, nil
	}
	if from != m.client && !m.relayed() {
		return Sighting{}, false, fmt.Errorf("%w: %s sent a DHCP message of %s", ErrImpostor, from, m.client)
	}
	if s.Kind != Seen && !isHost(s.Addr) {
		return Sighting{}, false, fmt.Errorf("%s %s no usable address", m.client, s.Kind)
	}
	m.describe(&s)
	return s, true, nil
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
	if m.options.Has(optionMUDURL) {
		s.URL, s.Problem, s.Remark = readURL(m.options.Get(optionMUDURL))
	}
	s.Vendor = cleanText(m.options.Get(dhcpv4.OptionClassIdentifier))
	s.Hostname = cleanText(m.options.Get(dhcpv4.OptionHostName))
	if s.Hostname == "" {
		s.Hostname = cleanText(readFQDN(m.options.Get(dhcpv4.OptionFQDN)))
	}
}

// fromServer judges the messages of a server: the ACK is the truth about a binding (RDHCP-2131-a). An ACK without yiaddr
// answers an INFORM, which gives no lease (RFC 2131 section 4.3.5; RDHCP-2131-d).
func fromServer(m message, from MAC) (Sighting, bool, error) {
	s := Sighting{MAC: m.client, Source: SourceDHCPv4, ServerMAC: from}
	switch m.kind {
	case dhcpv4.MessageTypeNak:
		s.Kind = Refused
		return s, true, nil
	case dhcpv4.MessageTypeAck:
	default:
		return Sighting{}, false, nil
	}
	s.DNS = m.addresses(dhcpv4.OptionDomainNameServer)
	s.NTP = m.addresses(dhcpv4.OptionNTPServers)
	if m.yiaddr.IsUnspecified() {
		return s, true, nil
	}
	if !isHost(m.yiaddr) {
		return Sighting{}, false, fmt.Errorf("server %s gives %s the address %s, which no host can have", from, m.client, m.yiaddr)
	}
	lease, err := m.lease()
	if err != nil {
		return Sighting{}, false, fmt.Errorf("server %s acknowledges %s: %w", from, m.client, err)
	}
	s.Kind, s.Addr, s.Lease = Bound, m.yiaddr, lease
	return s, true, nil
}

// lease reads option 51, which an ACK must have (RFC 2131 table 3).
func (m message) lease() (time.Duration, error) {
	b := m.options.Get(dhcpv4.OptionIPAddressLeaseTime)
	if len(b) != 4 {
		return 0, errors.New("no valid lease time")
	}
	switch seconds := binary.BigEndian.Uint32(b); seconds {
	case 0:
		return 0, errors.New("lease time of no length")
	case infinite:
		return math.MaxInt64, nil
	default:
		return time.Duration(seconds) * time.Second, nil
	}
}
