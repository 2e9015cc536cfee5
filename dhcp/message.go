package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// The ports of DHCPv4, the fixed part of a message (RFC 2131 section 2) and its cookie (RFC 2132 section 2).
const (
	portServer    = 67
	portClient    = 68
	messageHeader = 240
	magicCookie   = 0x63825363
	htypeEthernet = 1
	opRequest     = 1
	opReply       = 2
	overloadFile  = 1 // option 52 (RFC 2132 section 9.3): the file field holds options
	overloadSname = 2 // the sname field holds options
)

// ErrImpostor reports a message in which one host speaks for another without being a relay.
var ErrImpostor = errors.New("a host speaks for another device")

// message is a DHCPv4 message, not yet judged. The fields are those that sightings need.
type message struct {
	kind                   dhcpv4.MessageType
	op                     uint8
	client                 MAC
	ciaddr, yiaddr, giaddr netip.Addr
	options                dhcpv4.Options
}

// decodeMessage reads a message with a message type; ok is false for plain BOOTP. The library's own FromBytes is not
// used for the fixed part: it loses options in the file and sname fields, and refuses a message without an end option,
// which servers take.
func decodeMessage(b []byte) (m message, ok bool, err error) {
	if len(b) < messageHeader || binary.BigEndian.Uint32(b[236:]) != magicCookie {
		return message{}, false, nil
	}
	m = message{
		op:     b[0],
		ciaddr: netip.AddrFrom4([4]byte(b[12:])),
		yiaddr: netip.AddrFrom4([4]byte(b[16:])),
		giaddr: netip.AddrFrom4([4]byte(b[24:])),
		client: MAC(b[28:34]),
	}
	if m.options, err = decodeOptions(b); err != nil {
		return message{}, false, err
	}
	kind, present := m.options[dhcpv4.OptionDHCPMessageType.Code()]
	if !present {
		return message{}, false, nil
	}
	if len(kind) != 1 {
		return message{}, false, errors.New("DHCP message type is not one octet")
	}
	m.kind = dhcpv4.MessageType(kind[0])
	return m, true, m.checkClient(b)
}

// decodeOptions collects the options; parts of one option are put together in the order options field, file, sname
// (RFC 3396 section 5; RDHCP-3396-a).
func decodeOptions(b []byte) (dhcpv4.Options, error) {
	options := make(dhcpv4.Options)
	if err := options.FromBytes(b[messageHeader:]); err != nil {
		return nil, fmt.Errorf("reading DHCP options: %w", err)
	}
	overload := options.Get(dhcpv4.OptionOptionOverload)
	if len(overload) != 1 {
		return options, nil
	}
	if overload[0]&overloadFile != 0 {
		if err := options.FromBytes(b[108:236]); err != nil {
			return nil, fmt.Errorf("reading DHCP options in the file field: %w", err)
		}
	}
	if overload[0]&overloadSname != 0 {
		if err := options.FromBytes(b[44:108]); err != nil {
			return nil, fmt.Errorf("reading DHCP options in the sname field: %w", err)
		}
	}
	return options, nil
}

// checkClient reports a client that is no Ethernet host.
func (m message) checkClient(b []byte) error {
	if b[1] != htypeEthernet || int(b[2]) != len(MAC{}) {
		return fmt.Errorf("DHCP client has hardware type %d and address length %d, not Ethernet", b[1], b[2])
	}
	if !m.client.isDevice() {
		return fmt.Errorf("DHCP client address %s is none that a device can have", m.client)
	}
	return nil
}

// relayed reports whether a relay agent forwarded the message.
func (m message) relayed() bool { return !m.giaddr.IsUnspecified() }

// address reads an option of one IPv4 address; the zero Addr stands for an absent or malformed one.
func (m message) address(code dhcpv4.OptionCode) netip.Addr {
	b := m.options.Get(code)
	if len(b) != 4 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(b))
}

// maxServers bounds a list of servers; nobody hands out more in earnest.
const maxServers = 16

// addresses reads an option of several IPv4 addresses and leaves out those no server can have. A list that is no whole
// number of addresses gives none.
func (m message) addresses(code dhcpv4.OptionCode) []netip.Addr {
	b := m.options.Get(code)
	if len(b)%4 != 0 {
		return nil
	}
	var out []netip.Addr
	for ; len(b) > 0 && len(out) < maxServers; b = b[4:] {
		if addr := netip.AddrFrom4([4]byte(b)); isHost(addr) {
			out = append(out, addr)
		}
	}
	return out
}

// Client identifiers in option 61 (RFC 4361 section 6.1).
const (
	clientIDType = 255   // an IAID and a DUID follow
	clientIDHead = 1 + 4 // type and IAID
)

// clientID is option 61 in hex; of one that holds a DUID only that, since DHCPv6 has it too (RDHCP-4361-a).
func (m message) clientID() string {
	b := m.options.Get(dhcpv4.OptionClientIdentifier)
	if len(b) > clientIDHead && b[0] == clientIDType {
		b = b[clientIDHead:]
	}
	return identity(b)
}
