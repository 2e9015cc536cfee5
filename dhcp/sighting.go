// Package dhcp turns frames heard on the LAN into sightings of devices: who spoke, which addresses it has, and which
// Manufacturer Usage Description (MUD) URL it announced (RFC 8520 sections 10 and 12). It reads DHCPv4, DHCPv6, LLDP,
// neighbour discovery and ARP.
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

// Kind is what a frame means for the addresses of a device.
type Kind uint8

// Kinds of sightings. Only Bound and Uses give an address; only Released, Expired and Declined take one away.
// Nothing here ever takes away a MUD URL (T-05).
const (
	Seen     Kind = iota // the device spoke, or its question for settings was answered
	Bound                // the server acknowledged Addr for Lease
	Refused              // the server said no
	Released             // the client gave Addr back, or the server ended its lease
	Expired              // a server's hook says that the lease of Addr ended
	Declined             // the client found Addr in use
	Uses                 // the device says that it uses Addr; weaker than Bound, since nobody else says so
	Gone                 // the device ends its LLDP (IEEE 802.1AB, TTL 0); its addresses may still be in use
)

// Source names the announcer of a MUD URL, or of an address.
type Source string

// Sources of sightings.
const (
	SourceDHCPv4 Source = "dhcpv4"
	// Hooks of DHCP servers, which tell what the server knows.
	SourceDnsmasq Source = "dnsmasq"
	SourceKea     Source = "kea"
	SourceDHCPv6  Source = "dhcpv6"
	SourceLLDP    Source = "lldp"
	SourceND      Source = "nd" // neighbour discovery, and ARP; it never announces a URL
)

// String names the kind in the words of standards.md 9.2.
func (k Kind) String() string {
	names := [...]string{Seen: "seen", Bound: "bound", Refused: "refused", Released: "released", Expired: "expired", Declined: "declined",
		Uses: "uses", Gone: "gone"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Sighting is what one frame on the LAN told us about one device and at most one of its addresses. All text in it is
// hostile.
type Sighting struct {
	MAC       MAC
	Kind      Kind
	Source    Source
	Interface string        // LAN interface on which it was heard
	Addr      netip.Addr    // acknowledged, released, declined or used address; in a Seen, the requested one
	Lease     time.Duration // of a Bound; the maximum Duration for an infinite lease
	TTL       time.Duration // in LLDP, how long what it says holds if it isn't heard again
	Hostname  string
	Vendor    string // vendor class
	// ClientID is the client identifier in hex, a DUID without what DHCPv4 puts before it: a device that has one in
	// DHCPv4 and DHCPv6 is one device (RDHCP-4361-a). Anybody can send any, so it is only a hint (T-38).
	ClientID string
	// URL is the MUD URL as announced, the reserved part after a space cut off; "" is no news (T-05).
	URL string
	// Problem says what was wrong with an announced URL that was not taken ("" if nothing was);
	// the device did announce one, so it is not a device without a URL.
	Problem string
	// DNS and NTP are the servers that a Bound handed out (DHCPv4 options 6 and 42, DHCPv6 options 23, 31 and 56).
	// An answered question for settings, which is a Seen, carries them too.
	DNS, NTP []netip.Addr
	// Remark says what was odd ("" if nothing was): about a URL that was taken all the same, a reserved part that was
	// ignored (R8520-10-b) or a length over the strict limit (R8520-10-c); about MAC, that only the client's DUID tells
	// it (RDHCP-8415-c).
	Remark string
	// ServerMAC is the Ethernet source of a server's message, zero in a client's. What a server says counts only
	// if the server is trusted; the listener decides that.
	ServerMAC MAC
	// Relay is the relay agent that a message passed (giaddr, RFC 2131 section 2; in DHCPv6 the relay next to us), else
	// the zero Addr. The Ethernet source of a relayed message can't be checked against its client, so whoever hears it
	// must trust the relay.
	Relay netip.Addr
}
