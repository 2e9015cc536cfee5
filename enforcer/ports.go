package enforcer

import (
	"net/netip"
	"time"

	"mudguard/dhcp"
)

// Kernel is what the engine needs of the packet filter. Memory implements it for tests and dry runs, package kernel over
// netlink; one contract test runs against both.
type Kernel interface {
	// Apply makes one change as one transaction. After an error the caller reads back with Ruleset before it decides
	// anything (hardening.md N3).
	Apply(Delta) error
	// Ruleset reads back our tables. Rules carry only their comments; learned sets carry their elements with the time left.
	Ruleset() (Ruleset, error)
	// Learn adds addresses to learned sets, or renews them, in both tables, as one transaction. Sets that are
	// not there are skipped: a policy that went away meanwhile.
	Learn([]Learned) error
	// Cut deletes the tracked flows from and to addr that keep does not want (nil: none), and says how many.
	Cut(addr netip.Addr, keep func(Flow) bool) (int, error)
}

// Learned is one address for a learned set.
type Learned struct {
	Set     string
	Addr    netip.Addr
	Timeout time.Duration
}

// Flow is one tracked flow, as its first packet had it.
type Flow struct {
	Src, Dst     netip.Addr
	Proto        uint8
	Sport, Dport uint16 // 0 where the protocol has none
	ICMPType     uint8  // of ICMP and ICMPv6
	ICMPCode     uint8
}

// Count is what a rule counted.
type Count struct{ Packets, Bytes uint64 }

// LogEvent is one denied packet as the kernel logged it.
type LogEvent struct {
	Prefix string   // of the Log that made it
	MAC    dhcp.MAC // the sender's; zero where the hook does not know it
	DstMAC dhcp.MAC // the receiver's; zero where the hook does not know it
	Packet Flow     // addresses are invalid for what is not IP
	Len    int      // bytes on the wire
	// Claims is the address that ARP or a neighbour advertisement says is its sender's; invalid for all else.
	Claims netip.Addr
}
