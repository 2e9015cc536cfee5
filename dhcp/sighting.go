// Package dhcp turns frames heard on the LAN into sightings of devices: who spoke, which address a server acknowledged,
// and which Manufacturer Usage Description (MUD) URL the device announced (RFC 8520 section 10).
//
// The package is pure: bytes in, values out. It must not open sockets, read clocks, know trusted servers or judge a
// URL's scheme; dhcp/listen brings the frames and decides whose answers count, mud.ParseURL judges the URL.
package dhcp

import (
	"fmt"
	"net/netip"
	"time"
)

// MAC is an Ethernet address; comparable, so it can key maps.
type MAC [6]byte

// Kind is what a DHCP message means for the binding of its client (RFC 2131 section 3).
type Kind uint8

// Kinds of sightings. Only Bound gives an address; only Released and Declined take one away.
// Nothing here ever takes away a MUD URL (T-05).
const (
	Seen     Kind = iota // the client spoke (DISCOVER, REQUEST, INFORM), or its INFORM was answered
	Bound                // the server acknowledged Addr for Lease
	Refused              // the server said NAK
	Released             // the client gave Addr back
	Declined             // the client found Addr in use
)

// Source names the announcer of a MUD URL.
type Source string

// Sources of sightings.
const (
	SourceDHCPv4 Source = "dhcpv4"
	// Hooks of DHCP servers, which tell what the server knows.
	SourceDnsmasq Source = "dnsmasq"
	SourceKea     Source = "kea"
)

// String names the kind in the words of standards.md 9.2.
func (k Kind) String() string {
	switch k {
	case Seen:
		return "seen"
	case Bound:
		return "bound"
	case Refused:
		return "refused"
	case Released:
		return "released"
	case Declined:
		return "declined"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Sighting is what one frame on the LAN told us about one device. All text in it is hostile.
type Sighting struct {
	MAC       MAC
	Kind      Kind
	Source    Source
	Interface string        // LAN interface on which it was heard
	Addr      netip.Addr    // acknowledged, released or declined address; in a Seen, the requested one
	Lease     time.Duration // of a Bound; the maximum Duration for an infinite lease
	Hostname  string
	Vendor    string // vendor class
	// URL is the MUD URL as announced, the reserved part after a space cut off; "" is no news (T-05).
	URL string
	// Problem says what was wrong with an announced URL that was not taken ("" if nothing was);
	// the device did announce one, so it is not a device without a URL.
	Problem string
	// DNS and NTP are the servers that a Bound handed out (options 6 and 42).
	// An acknowledged INFORM, which is a Seen, carries them too.
	DNS, NTP []netip.Addr
	// Remark says what was odd about a URL that was taken all the same ("" if nothing was): a reserved part that
	// was ignored (R8520-10-b), or a length over the strict limit (R8520-10-c).
	Remark string
	// ServerMAC is the Ethernet source of a server's message, zero in a client's. What a server says counts only
	// if the server is trusted; the listener decides that.
	ServerMAC MAC
	// Relay is the relay agent that a message passed (giaddr, RFC 2131 section 2), else the zero Addr. The Ethernet
	// source of a relayed message can't be checked against its client, so whoever hears it must trust the relay.
	Relay netip.Addr
}
