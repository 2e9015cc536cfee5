// Package model is a second opinion: it judges packets straight from a parsed profile, by the text of the standards. It shares
// no code with the compiler, and imports nothing of ours but mud: a test of the kernel compares the two.
//
// Only tests may import it.
package model

import (
	"net/netip"
	"slices"

	"mudguard/mud"
)

// Place is where the other side of a device's packet is.
type Place uint8

// Places.
const (
	Outside Place = iota // routed, by the WAN
	Link                 // on the device's own network
	Gateway              // this host
)

// Packet is a packet that the device sends or receives. It has no header fields worth a word (mud.Match.Fields).
type Packet struct {
	Sent               bool // by the device
	Place              Place
	Peer               netip.Addr
	PeerMAC, DeviceMAC [6]byte // as the frame on the device's link has them
	Proto              uint8
	PeerPort, Port     uint16 // Port is the device's own
	Type, Code         uint8  // of ICMP
	ID                 uint16 // of ICMP echo
	Flags              uint8  // of TCP
}

// World is what the profile leaves to the site, and what its names stand for.
type World struct {
	Names        map[string][]netip.Addr
	Controllers  map[string][]netip.Addr // by class
	MyController []netip.Addr
	Devices      map[netip.Addr]mud.URL // that have one, by address
	Bridge       bool                   // the LAN is one: the device's frames reach other hosts as they are
}

// Model judges the packets of one device in the order in which they come.
type Model struct {
	profile *mud.Profile
	world   World
	flows   map[flow]bool // admitted
	asked   map[question]bool
}

type flow struct {
	peer           netip.Addr
	proto          uint8
	peerPort, port uint16
	id             uint16
}

// question is what the device asked a group, but for who answers.
type question struct {
	v6             bool
	peerPort, port uint16
}

// New gives a model that has seen no packet.
func New(p *mud.Profile, w World) *Model {
	return &Model{profile: p, world: w, flows: map[flow]bool{}, asked: map[question]bool{}}
}

// Numbers of protocols (IANA).
const (
	icmp   = 1
	igmp   = 2
	tcp    = 6
	udp    = 17
	icmpv6 = 58
)

// Judge says whether a packet passes, and why.
func (m *Model) Judge(p Packet) (bool, string) {
	f := flow{p.Peer, p.Proto, p.PeerPort, p.Port, p.ID}
	switch {
	case p.Sent && m.world.Bridge && p.Place == Link && p.rogue():
		return false, "what only servers and routers say (T15)"
	case m.flows[f]:
		return true, "part of a flow that was admitted"
	case m.infrastructure(p):
		if ok, _ := m.admits(p); ok || p.Sent { // what the device only hears, it may answer by infrastructure alone
			m.open(f, p)
		}
		return true, "infrastructure (T-22, T-23)"
	case !p.opens():
		return false, "part of no flow, and opens none (T-21)"
	}
	pass, why := m.admits(p)
	if pass {
		m.open(f, p)
	}
	return pass, why
}

// rogue says that a packet is of those by which servers and routers of a link rule its hosts.
func (p Packet) rogue() bool {
	switch six := p.Peer.Is6(); p.Proto {
	case udp:
		return p.PeerPort == map[bool]uint16{false: 68, true: 546}[six]
	case icmpv6:
		return six && (p.Type == 134 || p.Type == 137)
	case icmp:
		return !six && p.Type == 5
	}
	return false
}

// open remembers a flow. Neighbour discovery and MLD are no flows.
func (m *Model) open(f flow, p Packet) {
	if !p.discovery() {
		m.flows[f] = true
	}
}

func (p Packet) isICMP() bool { return p.Proto == icmp || p.Proto == icmpv6 }

// discovery says that a packet is of those kinds of ICMPv6 that stand alone: MLD (RFC 2710, RFC 3810) and neighbour discovery
// (RFC 4861).
func (p Packet) discovery() bool {
	return p.Proto == icmpv6 && p.Peer.Is6() && (130 <= p.Type && p.Type <= 136 || p.Type == 143)
}

// opens says that a packet can be the first of a flow: of TCP only SYN (R8520-4.8-b, T-21), of ICMP only queries, any other.
func (p Packet) opens() bool {
	switch {
	case p.Proto == tcp:
		return p.Flags&0x17 == 0x02
	case p.discovery():
		return true
	case p.isICMP() && (p.Proto == icmpv6) != p.Peer.Is6():
		return false // it is a message of the other IP version
	case p.isICMP():
		_, ok := answerType(p.Proto, p.Type)
		return ok
	}
	return true
}

// answerType is the type of the answer to an ICMP query (RFC 792, RFC 950, RFC 4443, RFC 4620).
func answerType(proto, t uint8) (uint8, bool) {
	answers := map[uint8]uint8{8: 0, 13: 14, 15: 16, 17: 18}
	if proto == icmpv6 {
		answers = map[uint8]uint8{128: 129, 139: 140}
	}
	a, ok := answers[t]
	return a, ok
}

// infrastructure is what the row T-22 lists, and DHCP (T-23): to this host and to the link, from this network.
func (m *Model) infrastructure(p Packet) bool {
	dhcp, types := [2]uint16{68, 67}, []uint8{131, 132, 133, 135, 136, 143} // what hosts say
	if !p.Sent {
		dhcp, types = [2]uint16{67, 68}, []uint8{130, 134, 135, 136} // what they hear
	}
	if p.Peer.Is6() {
		dhcp = map[uint16][2]uint16{68: {546, 547}, 67: {547, 546}}[dhcp[0]]
	}
	if p.Place == Outside || p.Sent && p.Place == Link && !m.world.Bridge {
		return false // it is no matter of one link: the router would carry it
	}
	from, to := p.Port, p.PeerPort
	if !p.Sent {
		from, to = to, from
	}
	switch {
	case p.Proto == udp:
		return from == dhcp[0] && to == dhcp[1]
	case p.Proto == igmp:
		return p.Sent && p.Peer.Is4()
	}
	return p.Proto == icmpv6 && p.Peer.Is6() && slices.Contains(types, p.Type)
}

// admits judges the first packet of a flow: the policy of its own direction has to accept it, and that of the other must not
// drop the answers.
func (m *Model) admits(p Packet) (bool, string) {
	if a := m.first(p.answer(), p.Sent); a != nil && a.Action == mud.Drop {
		return false, "the answers are dropped by " + a.Name
	}
	a := m.first(p, p.Sent)
	switch {
	case a != nil && a.Action == mud.Accept:
		if p.Sent && p.Proto == udp && slices.ContainsFunc(a.Match.Remotes, isGroup) {
			m.asked[question{p.Peer.Is6(), p.PeerPort, p.Port}] = true // T-17: answers come from hosts that no flow names
		}
		return true, "accepted by " + a.Name
	case a != nil:
		return false, "dropped by " + a.Name
	case p.Sent && m.defaults(p):
		return true, "DNS or NTP of this site (R8520-5-b, T-23)"
	case p.Sent && m.world.Bridge && p.Place == Link && p.Proto == udp && p.Peer == everybody:
		return true, "broadcast to the own segment (T-17)"
	case !p.Sent && m.world.Bridge && p.Place != Outside && p.Proto == udp && m.asked[question{p.Peer.Is6(), p.PeerPort, p.Port}]:
		return true, "an answer to what the device asked a group (T-17)"
	}
	return false, "no ACE accepts it"
}

// answer is the packet that would answer p. Where no message of ICMP does, its type is one that nobody uses.
func (p Packet) answer() Packet {
	p.Sent = !p.Sent
	if p.isICMP() {
		t, ok := answerType(p.Proto, p.Type)
		if !ok {
			t = 255
		}
		p.Type = t
	}
	return p
}

// first is the first ACE that decides about a packet of flows that one side opens: the device or, where not, its peer.
func (m *Model) first(p Packet, byDevice bool) *mud.ACE {
	policy := m.profile.ToDevice
	if p.Sent {
		policy = m.profile.FromDevice
	}
	if policy == nil {
		return nil
	}
	for i := range policy.ACEs {
		a := &policy.ACEs[i]
		if a.Refused == "" && opener(a, byDevice) && m.matches(a, p, byDevice) && !(opening(p, byDevice) && m.opensNothing(a, p)) {
			return a
		}
	}
	return nil
}

// opening says that p is the first packet of its flow, and not an answer.
func opening(p Packet, byDevice bool) bool { return p.Sent == byDevice }

// opener reads direction-initiated (11.3): without it an ACE is about flows of either side.
func opener(a *mud.ACE, byDevice bool) bool {
	switch a.Match.Initiated {
	case mud.FromDevice:
		return byDevice
	case mud.ToDevice:
		return !byDevice
	}
	return true
}

// opensNothing says that an accept lets nobody open this flow. To this host, only one that names single hosts does: a device
// has no business with the router's own services (DESIGN.md). To the device, none that mirrors one of from-device (T-01, T-47).
func (m *Model) opensNothing(a *mud.ACE, p Packet) bool {
	switch {
	case a.Action != mud.Accept:
		return false
	case p.Sent:
		return p.Place == Gateway && !slices.ContainsFunc(a.Match.Remotes, single)
	}
	return mirrored(m.profile, a)
}

// RepliesOnly says that an ACE of one of a profile's policies lets nobody open a flow (T-01, T-02).
func RepliesOnly(p *mud.Profile, a *mud.ACE, fromDevice bool) bool {
	return a.Action == mud.Accept && (!opener(a, fromDevice) || !fromDevice && mirrored(p, a))
}

// mirrored says that an ACE of to-device describes the answers to what one of from-device accepts.
func mirrored(p *mud.Profile, a *mud.ACE) bool {
	if p.FromDevice == nil || a.Match.Initiated != mud.DirectionAny || a.Match.EtherType != nil {
		return false
	}
	return slices.ContainsFunc(p.FromDevice.ACEs, func(f mud.ACE) bool {
		return f.Refused == "" && f.Action == mud.Accept && f.Match.Initiated != mud.ToDevice && f.Match.EtherType == nil &&
			mirrors(f.Match, a.Match)
	})
}

// single says that a condition names hosts, not a network.
func single(r mud.Remote) bool {
	named := []mud.RemoteKind{mud.RemoteName, mud.RemoteController, mud.RemoteMyController}
	return slices.Contains(named, r.Kind) || r.Kind == mud.RemotePrefix && r.Prefix.Bits() == r.Prefix.Addr().BitLen()
}

// mirrors says that to has the peer, the protocol and the ports of from, swapped (T-01); a Match has them swapped already.
func mirrors(from, to mud.Match) bool {
	if t := from.ICMPType; t != nil && to.ICMPType != nil && from.Protocol != nil {
		if a, ok := answerType(*from.Protocol, *t); ok && a == *to.ICMPType {
			from.ICMPType = to.ICMPType
		}
	}
	return same(from.Protocol, to.Protocol) && same(from.ICMPType, to.ICMPType) && same(from.ICMPCode, to.ICMPCode) &&
		from.Family == to.Family && from.RemotePort == to.RemotePort && from.LocalPort == to.LocalPort && slices.Equal(from.Remotes, to.Remotes) &&
		from.RemoteMAC == to.RemoteMAC && from.LocalMAC == to.LocalMAC && from.Group == to.Group && slices.Equal(from.Fields, to.Fields)
}

func same(a, b *uint8) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// defaults are the classes of RFC 8520 section 5 and DNS over TCP (T-23), as the site has them.
func (m *Model) defaults(p Packet) bool {
	class := ""
	switch {
	case p.PeerPort == 53 && (p.Proto == udp || p.Proto == tcp):
		class = mud.ClassDNS
	case p.PeerPort == 123 && p.Proto == udp:
		class = mud.ClassNTP
	}
	return class != "" && slices.Contains(m.world.Controllers[class], p.Peer)
}
