package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"
)

// Ports, message types and option codes of DHCPv6 (RFC 8415 sections 7.2, 7.3 and 21).
const (
	portClient6 = 546
	portServer6 = 547

	solicit            = 1
	request            = 3
	confirm            = 4
	renew              = 5
	rebind             = 6
	reply              = 7
	release            = 8
	decline            = 9
	informationRequest = 11
	relayForward       = 12
	relayReply         = 13
	addrRegInform      = 36 // RFC 9686 section 4.2

	optClientID    = 1
	optIANA        = 3
	optIAAddr      = 5
	optRelayMsg    = 9
	optStatus      = 13
	optVendorClass = 16
	optDNS         = 23
	optSNTP        = 31 // RFC 4075
	optFQDN        = 39 // RFC 4704
	optNTP         = 56 // RFC 5908
	ntpServerAddr  = 1  // its suboption of an address
	optLinkLayer   = 79 // RFC 6939
	optMUDURL6     = 112
)

// Sizes before the options, and bounds.
const (
	message6Header = 4
	relayHeader    = 34
	optionHeader6  = 4
	iaHeader       = 12
	iaAddrHeader   = 24
	maxRelays      = 8  // HOP_COUNT_LIMIT (RFC 8415 section 7.6)
	maxAddresses   = 16 // of one message; nobody leases more to one device
)

// message6 is a DHCPv6 message, not yet judged, with the relays' messages around it taken off.
type message6 struct {
	kind    uint8
	options options6
	relayed uint8  // relayForward or relayReply; 0 for a direct message
	link    []byte // option 79 of the relay next to the client: a link type of two octets, and the address
}

// decodeMessage6 takes nested relays' messages off (RDHCP-8415-c). The relay next to the client is the innermost: only it
// knows the client's Ethernet address (RFC 6939 section 5).
func decodeMessage6(b []byte) (m message6, err error) {
	for hops := 0; len(b) > relayHeader && (b[0] == relayForward || b[0] == relayReply); hops++ {
		if hops == maxRelays {
			return message6{}, fmt.Errorf("DHCPv6 message came through more than %d relays", maxRelays)
		}
		if m.relayed != 0 && m.relayed != b[0] {
			return message6{}, errors.New("DHCPv6 message is relayed both ways")
		}
		outer := options6(b[relayHeader:])
		if err := outer.check(); err != nil {
			return message6{}, err
		}
		m.relayed, m.link, b = b[0], outer.first(optLinkLayer), outer.first(optRelayMsg)
	}
	if len(b) < message6Header {
		return message6{}, errTruncated
	}
	m.kind, m.options = b[0], options6(b[message6Header:])
	return m, m.options.check()
}

// options6 are options one after the other: a code and a length of two octets each, and the value (RFC 8415 section 21.1).
type options6 []byte

// check reports whether the options can be walked.
func (o options6) check() error {
	for len(o) > 0 {
		if len(o) < optionHeader6 || len(o) < o.size() {
			return errors.New("DHCPv6 option goes past the end")
		}
		o = o[o.size():]
	}
	return nil
}

// size is that of the first option.
func (o options6) size() int { return optionHeader6 + int(binary.BigEndian.Uint16(o[2:])) }

// all walks the values of options of one code, after check.
func (o options6) all(code uint16) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for ; len(o) > 0; o = o[o.size():] {
			if binary.BigEndian.Uint16(o) == code && !yield(o[optionHeader6:o.size()]) {
				return
			}
		}
	}
}

// first is the first value of an option, or nil.
func (o options6) first(code uint16) []byte {
	for value := range o.all(code) {
		return value
	}
	return nil
}

// failed reports a status code that is not Success (RFC 8415 section 21.13).
func (o options6) failed() bool {
	status := o.first(optStatus)
	return len(status) >= 2 && binary.BigEndian.Uint16(status) != 0
}

// addresses reads options that list IPv6 addresses and leaves out those no server can have.
func (o options6) addresses(code uint16) (out []netip.Addr) {
	for b := range o.all(code) {
		for ; len(b) >= 16 && len(out) < maxServers; b = b[16:] {
			if addr := netip.AddrFrom16([16]byte(b)); isHost(addr) {
				out = append(out, addr)
			}
		}
	}
	return out
}

// timeServers are those of option 31, and those of option 56 that have an address.
func (o options6) timeServers() []netip.Addr {
	out := o.addresses(optSNTP)
	for b := range o.all(optNTP) {
		if sub := options6(b); sub.check() == nil {
			out = append(out, sub.addresses(ntpServerAddr)...)
		}
	}
	return out[:min(len(out), maxServers)]
}

// lease6 is an address in a message; no time ends its lease. A void one says nothing: the server refused it, or it would
// be preferred for longer than it is valid (RFC 8415 section 21.6).
type lease6 struct {
	addr  netip.Addr
	valid time.Duration
	void  bool
}

func decodeLease(b []byte) (lease6, error) {
	if len(b) < iaAddrHeader {
		return lease6{}, errTruncated
	}
	preferred, valid := binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])
	more := options6(b[iaAddrHeader:])
	if err := more.check(); err != nil {
		return lease6{}, err
	}
	return lease6{netip.AddrFrom16([16]byte(b)), lifetime(valid), preferred > valid || more.failed()}, nil
}

// leases reads the addresses of all IA_NA; refused tells that the server refused one. Temporary addresses (IA_TA) are no
// more in RFC 9915, prefixes (IA_PD) are no addresses of a device (RDHCP-8415-b).
func (m message6) leases() (out []lease6, refused bool, err error) {
	for b := range m.options.all(optIANA) {
		if len(b) < iaHeader {
			return nil, false, errTruncated
		}
		ia := options6(b[iaHeader:])
		if err := ia.check(); err != nil {
			return nil, false, err
		}
		if ia.failed() {
			refused = true
			continue
		}
		for b := range ia.all(optIAAddr) {
			l, err := decodeLease(b)
			if err != nil || len(out) == maxAddresses {
				return out, refused, err
			}
			out = append(out, l)
		}
	}
	return out, refused, nil
}

// DUIDs that hold a link-layer address (RFC 8415 section 11), with the Ethernet hardware type.
const (
	duidLLT = "\x00\x01\x00\x01" // then four octets of time
	duidLL  = "\x00\x03\x00\x01"
)

// duidMAC is the Ethernet address in a DUID; ok is false where there is none.
func duidMAC(duid []byte) (mac MAC, ok bool) {
	switch s := string(duid); {
	case len(s) == 14 && s[:4] == duidLLT:
		mac = MAC(duid[8:])
	case len(s) == 10 && s[:4] == duidLL:
		mac = MAC(duid[4:])
	}
	return mac, mac.isDevice()
}

// linkMAC is the Ethernet address in option 79.
func linkMAC(b []byte) (mac MAC, ok bool) {
	if len(b) == 8 && slices.Equal(b[:2], []byte{0, htypeEthernet}) {
		mac = MAC(b[2:])
	}
	return mac, mac.isDevice()
}
