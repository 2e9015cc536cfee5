package model

import (
	"net/netip"

	"mudguard/mud"
)

// matches says that the condition of an ACE holds for a packet of its policy's direction, in a flow that one side opens.
func (m *Model) matches(a *mud.ACE, p Packet, byDevice bool) bool {
	c := a.Match
	switch {
	case c.EtherType != nil, c.Group.IsValid():
		return false // about what is not IP, or about what is not sent to the device alone (RMX-2.3-a)
	case c.Family == mud.IPv4 && !p.Peer.Is4(), c.Family == mud.IPv6 && !p.Peer.Is6():
		return false
	case c.Protocol != nil && *c.Protocol != p.Proto:
		return false
	case !holds(c.RemotePort, p.PeerPort), !holds(c.LocalPort, p.Port):
		return false
	case c.ICMPType != nil && *c.ICMPType != p.Type, c.ICMPCode != nil && *c.ICMPCode != p.Code:
		return false
	case !m.frame(a, p, byDevice):
		return false
	}
	for _, r := range c.Remotes {
		if !m.is(p, r) {
			return false
		}
	}
	return true
}

func holds(c mud.Ports, port uint16) bool {
	return !c.Set || (c.Lo <= port && port <= c.Hi) != c.Not
}

// frame compares Ethernet addresses. Where the LAN is no bridge the frame to the device is not made yet when flows of its
// peers are judged: an accept with such a condition is not applied, and a drop drops more (T-13).
func (m *Model) frame(a *mud.ACE, p Packet, byDevice bool) bool {
	none := mud.MACMatch{}
	if !byDevice && !m.world.Bridge {
		return a.Action == mud.Drop || a.Match.RemoteMAC == none && a.Match.LocalMAC == none
	}
	return hasMAC(a.Match.RemoteMAC, p.PeerMAC) && hasMAC(a.Match.LocalMAC, p.DeviceMAC)
}

func hasMAC(c mud.MACMatch, mac [6]byte) bool {
	for i := range mac {
		if mac[i]&c.Mask[i] != c.Addr[i] {
			return false
		}
	}
	return true
}

// is says that the peer is what a condition names (RFC 8520 sections 4 and 8).
func (m *Model) is(p Packet, r mud.Remote) bool {
	contains := func(list []netip.Addr) bool {
		for _, a := range list {
			if a == p.Peer {
				return true
			}
		}
		return false
	}
	u, ok := m.world.Devices[p.Peer]
	switch r.Kind {
	case mud.RemoteName:
		return contains(m.world.Names[r.Value])
	case mud.RemotePrefix:
		return r.Prefix.Contains(p.Peer)
	case mud.RemoteController:
		return contains(m.world.Controllers[r.Value])
	case mud.RemoteMyController:
		return contains(m.world.MyController)
	case mud.RemoteLocalNetworks:
		return p.Place == Link && !p.Peer.IsMulticast() && p.Peer != everybody // T-16: by the interface, and unicast
	case mud.RemoteSameManufacturer:
		return ok && u.Authority() == m.profile.URL.Authority() // T-10: host and port
	case mud.RemoteManufacturer:
		return ok && u.Host() == r.Value // T-10: host, any port
	case mud.RemoteModel:
		return ok && u == urlOf(r.Value)
	}
	return false
}

func urlOf(s string) mud.URL {
	u, err := mud.ParseURL(s)
	if err != nil {
		return mud.URL{}
	}
	return u
}

var everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// isGroup says that a condition names a multicast group, or all hosts of the link.
func isGroup(r mud.Remote) bool {
	p := r.Prefix
	if r.Kind != mud.RemotePrefix {
		return false
	}
	groups := netip.MustParsePrefix("ff00::/8")
	if p.Addr().Is4() {
		groups = netip.MustParsePrefix("224.0.0.0/4")
	}
	return p.Bits() >= groups.Bits() && groups.Contains(p.Addr()) || p == netip.PrefixFrom(everybody, 32)
}
