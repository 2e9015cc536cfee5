package enforcer

import (
	"net/netip"
	"slices"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Class URIs that RFC 8520 section 17.7 registers.
const (
	ClassDNS = mud.ClassDNS
	ClassNTP = mud.ClassNTP
)

// QueueMode is how the kernel spells "hand to userspace".
type QueueMode string

// Queue modes.
const (
	QueueNone   QueueMode = "none"
	QueueNative QueueMode = "native"
	QueueXT     QueueMode = "xt"
)

// BridgeMode is how replies between two hosts on one bridge are told from new flows.
type BridgeMode string

// Bridge modes.
const (
	BridgeNone      BridgeMode = "none"      // no LAN interface is a bridge
	BridgeConntrack BridgeMode = "conntrack" // the bridge family has connection tracking
	BridgeMark      BridgeMode = "netfilter" // br_netfilter shows bridged packets to the inet hooks, which mark replies
	BridgeStateless BridgeMode = "stateless" // neither: replies are known by swapped ports and the ACK flag
)

// Rate is Count packets per Per (a second, a minute or an hour).
type Rate struct {
	Count uint64
	Per   time.Duration
}

// LANInterface is one interface behind which devices are.
type LANInterface struct {
	Name     string
	Bridge   bool
	Tagged   bool           // its frames bear VLAN tags on the bridge
	Prefixes []netip.Prefix // its addresses with their prefix lengths
}

// Host is a member of a class that the administrator gave: an address or a name.
type Host struct {
	Addr netip.Addr
	Name string
}

// Site is what the administrator and this host say: everything a policy depends on besides the profile.
type Site struct {
	LAN            []LANInterface
	Mark           uint32 // one bit of the packet mark, ours
	NewFlows       Rate   // per device
	NewFlowsBurst  uint32
	DenialRate     Rate // logged denials per device
	NFLOGGroup     uint16
	QueueNum       uint16
	Queue          QueueMode
	Bridge         BridgeMode
	Literal        bool // read to-device ACEs as packet filters (invariant 4)
	BlockUnmanaged bool
	Trusted        []dhcp.MAC
	Resolvers      []netip.Addr
	NoFib          bool           // the kernel cannot tell spoofed sources
	LocalNetworks  []netip.Prefix // nil: the prefixes of the LAN interfaces
	Controllers    map[string][]Host
	MyControllers  map[mud.URL][]Host
}

// routed says that some LAN interface is no bridge, so that what reaches devices is matched by address.
func (s *Site) routed() bool {
	for _, l := range s.LAN {
		if !l.Bridge {
			return true
		}
	}
	return false
}

// bridged says that some LAN interface is a bridge, so that there is a bridge table.
func (s *Site) bridged() bool {
	return slices.ContainsFunc(s.LAN, func(l LANInterface) bool { return l.Bridge })
}

// OnLAN says whether addr is in a network of a LAN interface.
func (s *Site) OnLAN(addr netip.Addr) bool {
	for _, l := range s.LAN {
		for _, p := range l.Prefixes {
			if p.Masked().Contains(addr.Unmap()) {
				return true
			}
		}
	}
	return false
}

// OwnAddr says whether addr is this host's own on a LAN interface.
func (s *Site) OwnAddr(addr netip.Addr) bool {
	for _, l := range s.LAN {
		for _, p := range l.Prefixes {
			if p.Addr() == addr {
				return true
			}
		}
	}
	return false
}

// localRanges gives what local-networks expands to: unicast addresses of the local prefixes, without this host's own
// addresses and the directed broadcast (T-16, T-17). The gateway is a different matter than its network: a lamp
// that may talk to its LAN has no business with the router's administration.
func (s *Site) localRanges() map[Key]Element {
	if s.LocalNetworks == nil {
		return s.linkRanges()
	}
	return rangesWithout(s.LocalNetworks, s.ownAddrs())
}

// linkLocal is on every link (T-16); nobody routes it.
var linkLocal = netip.MustParsePrefix("fe80::/10")

// linkRanges gives the addresses of other hosts behind the LAN interfaces.
func (s *Site) linkRanges() map[Key]Element { return rangesWithout(s.nets(), s.ownAddrs()) }

// netRanges gives the addresses of this network, this host's own among them.
func (s *Site) netRanges() map[Key]Element { return rangesWithout(s.nets(), nil) }

func (s *Site) nets() []netip.Prefix {
	prefixes := []netip.Prefix{linkLocal}
	for _, l := range s.LAN {
		for _, p := range l.Prefixes {
			prefixes = append(prefixes, p.Masked())
		}
	}
	return prefixes
}

func (s *Site) ownAddrs() []netip.Addr {
	var own []netip.Addr
	for _, l := range s.LAN {
		for _, p := range l.Prefixes {
			own = append(own, p.Addr())
		}
	}
	return own
}

// insideRanges gives what addresses hosts of this network can have. Where this host has none itself, it cannot tell.
func (s *Site) insideRanges(v6 bool) map[Key]Element {
	prefixes := slices.Concat(s.nets(), s.LocalNetworks)
	prefixes = slices.DeleteFunc(prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() != v6 })
	if !slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() }) {
		all := netip.IPv4Unspecified()
		if v6 {
			all = netip.IPv6Unspecified()
		}
		prefixes = []netip.Prefix{netip.PrefixFrom(all, 0)}
	}
	return rangesWithout(prefixes, nil)
}
