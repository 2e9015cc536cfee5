package kernel

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"mudguard/enforcer/enforcertest"
	"mudguard/enforcer/enforcertest/model"
	"mudguard/mud"
)

// modelDraw draws packets from what a profile names and its neighbours: ports one off, addresses beside a network, the other
// family, protocols that it does not name. No two are of one flow.
type modelDraw struct {
	*rand.Rand
	world *modelWorld
	aces  []mud.ACE
	peers []netip.Addr // that the profile may or may not name
	seen  map[model.Packet]bool
	last  uint16
}

func newModelDraw(r *rand.Rand, w *modelWorld, p *mud.Profile) *modelDraw {
	d := &modelDraw{Rand: r, world: w, seen: map[model.Packet]bool{}}
	d.aces = slices.DeleteFunc(allACEs(p), func(a mud.ACE) bool { return a.Refused != "" || a.Match.EtherType != nil })
	peers := []netip.Addr{netip.MustParseAddr("203.0.113.250"), netip.MustParseAddr("2001:db8:99::1")}
	for _, h := range enforcertest.Hosts() {
		peers = append(peers, h.V4, h.V6)
	}
	for _, s := range slices.Concat(strangers, []string{"255.255.255.255", "239.255.255.250", "224.0.0.251", "ff02::fb"}) {
		peers = append(peers, netip.MustParseAddr(s))
	}
	peers = append(peers, modelController...)
	for _, a := range d.aces {
		for _, r := range a.Match.Remotes {
			peers = append(peers, d.around(r)...)
		}
	}
	d.peers = slices.DeleteFunc(peers, func(a netip.Addr) bool { return !d.usable(a) })
	return d
}

// around gives addresses that a condition names, and those next to them.
func (d *modelDraw) around(r mud.Remote) []netip.Addr {
	out := slices.Clone(d.world.Names[r.Value])
	if r.Kind == mud.RemotePrefix {
		first, last := r.Prefix.Masked().Addr(), lastOf(r.Prefix)
		out = append(out, first, last, first.Prev(), last.Next(), d.within(r.Prefix))
	}
	for _, a := range slices.Clone(out) {
		out = append(out, a.Next())
	}
	return out
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (d *modelDraw) within(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		if d.IntN(2) == 0 {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// usable says that the lab can carry packets of a peer: somebody answers for it on the LAN, or it is routed to the WAN.
func (d *modelDraw) usable(a netip.Addr) bool {
	lamp := enforcertest.HostNamed("lamp")
	switch {
	case !a.IsValid(), a == lamp.V4, a == lamp.V6, a.IsUnspecified(), a.IsLoopback(), a.IsLinkLocalUnicast(), a.Is4In6():
		return false
	case a == allHosts, a.IsMulticast():
		return d.world.Bridge // no router carries them
	case d.world.site.OnLAN(a):
		return hostOf(a).Name != "neighbour" || hostOf(a).Addr(a.Is6()) == a || slices.Contains(strangers, a.String())
	}
	for _, p := range []string{"0.0.0.0/8", "240.0.0.0/4", "100.64.0.0/24", "2001:db8:ffff::/64", "::/8"} {
		if netip.MustParsePrefix(p).Contains(a) {
			return false // martians, and the link of the WAN
		}
	}
	return true
}

// packet draws a packet that is not of the flow of an earlier one.
func (d *modelDraw) packet(l *lab) sample {
	for {
		p := d.near()
		f := model.Packet{Peer: p.Peer, Proto: p.Proto, Port: p.Port, PeerPort: p.PeerPort, ID: p.ID}
		if !d.seen[f] {
			d.seen[f] = true
			return sample{Packet: p, shot: d.shot(l, p)}
		}
	}
}

// near draws a packet that an entry of the profile, or a default, is about, and changes something in it now and then.
func (d *modelDraw) near() model.Packet {
	c := d.about()
	p := model.Packet{Sent: d.IntN(5) > 0, Peer: d.peerOf(c), Flags: 2}
	p.Proto = d.proto(c, p.Peer.Is6())
	p.PeerPort, p.Port = d.portOf(c.RemotePort), d.portOf(c.LocalPort)
	p.Type, p.Code = d.typeOf(c, p.Proto)
	switch d.IntN(16) {
	case 0:
		p.Peer = d.peers[d.IntN(len(d.peers))]
	case 1:
		p.Proto = d.proto(mud.Match{}, p.Peer.Is6())
	case 2:
		p.PeerPort, p.Port = p.Port, p.PeerPort
	case 3:
		p.Flags = []uint8{0x10, 0x12, 0x04, 0x14, 0x11, 0x18}[d.IntN(6)]
	case 4:
		p.Code++
	}
	return d.complete(p)
}

// about is what a packet is drawn near to: mostly an entry of the profile, else what the site adds.
func (d *modelDraw) about() mud.Match {
	if len(d.aces) > 0 && d.IntN(8) > 0 {
		return d.aces[d.IntN(len(d.aces))].Match
	}
	udp, tcp := uint8(unix.IPPROTO_UDP), uint8(unix.IPPROTO_TCP)
	port := func(n uint16) mud.Ports { return mud.Ports{Set: true, Lo: n, Hi: n} }
	own := mud.Remote{Kind: mud.RemoteController, Value: mud.ClassDNS}
	list := []mud.Match{{}, {Protocol: &udp, RemotePort: port(53), Remotes: []mud.Remote{own}}, {Protocol: &tcp, RemotePort: port(53)},
		{Protocol: &udp, RemotePort: port(123), Remotes: []mud.Remote{own}}, {Protocol: &udp, RemotePort: port(67), LocalPort: port(68)},
		{Protocol: &udp, Family: mud.IPv6, RemotePort: port(547), LocalPort: port(546)}}
	return list[d.IntN(len(list))]
}

// peerOf draws a peer that fits the last condition on it, as far as the lab has one.
func (d *modelDraw) peerOf(c mud.Match) netip.Addr {
	var list []netip.Addr
	for _, r := range c.Remotes {
		list = d.membersOf(r)
	}
	fits := func(a netip.Addr) bool { return c.Family == mud.FamilyAny || a.Is6() == (c.Family == mud.IPv6) }
	for _, from := range [][]netip.Addr{list, d.peers} {
		from = slices.DeleteFunc(slices.Clone(from), func(a netip.Addr) bool { return !fits(a) || !d.usable(a) })
		if len(from) > 0 {
			return from[d.IntN(len(from))]
		}
	}
	return d.peers[d.IntN(len(d.peers))]
}

func (d *modelDraw) membersOf(r mud.Remote) []netip.Addr {
	switch r.Kind {
	case mud.RemoteName:
		return d.world.Names[r.Value]
	case mud.RemotePrefix:
		return append(d.around(r), d.within(r.Prefix), d.within(r.Prefix))
	case mud.RemoteController:
		return d.world.Controllers[r.Value]
	case mud.RemoteMyController:
		return d.world.MyController
	}
	return slices.DeleteFunc(slices.Clone(d.peers), func(a netip.Addr) bool { return !d.world.site.OnLAN(a) })
}

func (d *modelDraw) proto(c mud.Match, six bool) uint8 {
	if c.Protocol != nil {
		return *c.Protocol
	}
	icmp := map[bool]uint8{false: unix.IPPROTO_ICMP, true: unix.IPPROTO_ICMPV6}[six]
	return []uint8{unix.IPPROTO_TCP, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDP, icmp, unix.IPPROTO_IGMP, protoOther}[d.IntN(7)]
}

// portOf draws a port at the bounds of a condition, beside them, or from afar.
func (d *modelDraw) portOf(c mud.Ports) uint16 {
	if !c.Set || d.IntN(20) == 0 {
		return uint16(1 + d.IntN(65535))
	}
	list := []uint16{c.Lo, c.Lo, c.Lo, c.Lo, c.Hi, c.Hi, c.Hi, c.Lo - 1, c.Hi + 1, c.Lo + uint16(d.IntN(int(c.Hi-c.Lo)+1))}
	return max(list[d.IntN(len(list))], 1)
}

func (d *modelDraw) typeOf(c mud.Match, proto uint8) (t, code uint8) {
	list := []uint8{8, 8, 0, 3, 13}
	if proto == unix.IPPROTO_ICMPV6 {
		list = []uint8{128, 128, 129, 1, 130, 131, 132, 133, 134, 135, 136, 143}
	}
	t = list[d.IntN(len(list))]
	if c.ICMPType != nil && d.IntN(4) > 0 {
		t = *c.ICMPType
	}
	if c.ICMPCode != nil {
		code = *c.ICMPCode
	}
	return t, code
}

// complete makes a packet of what was drawn: only what its protocol has, and where it is.
func (d *modelDraw) complete(p model.Packet) model.Packet {
	gw := enforcertest.HostNamed(portGateway)
	p.DeviceMAC, p.PeerMAC = enforcertest.HostNamed("lamp").MAC, gw.MAC
	switch {
	case p.Peer == gw.V4, p.Peer == gw.V6:
		p.Place = model.Gateway
	case p.Peer.IsMulticast(), p.Peer == allHosts:
		p.Place, p.PeerMAC, p.Sent = model.Link, groupMAC(p.Peer), true
	case d.world.site.OnLAN(p.Peer):
		p.Place = model.Link
		if d.world.Bridge {
			p.PeerMAC = hostOf(p.Peer).MAC
		}
	}
	icmp := p.Proto == unix.IPPROTO_ICMP || p.Proto == unix.IPPROTO_ICMPV6
	if p.Proto != unix.IPPROTO_TCP {
		p.Flags = 0
	}
	if !icmp {
		p.Type, p.Code = 0, 0
	} else {
		d.last++
		p.ID = d.last
	}
	if p.Proto != unix.IPPROTO_TCP && p.Proto != unix.IPPROTO_UDP {
		p.PeerPort, p.Port = 0, 0
	}
	return p
}

// unasked are answers of hosts of the LAN to what the device sent to groups, allowed or not (T-17).
func (d *modelDraw) unasked(l *lab, first []sample) []sample {
	var out []sample
	for _, p := range first {
		group := p.Peer.IsMulticast() || p.Peer == allHosts
		if group && p.Proto == unix.IPPROTO_UDP && p.PeerPort != 0 {
			q := p.Packet
			q.Sent, q.Peer = false, enforcertest.HostNamed("cam").Addr(p.Peer.Is6())
			q = d.complete(q)
			f := model.Packet{Peer: q.Peer, Proto: q.Proto, Port: q.Port, PeerPort: q.PeerPort}
			if !d.seen[f] {
				d.seen[f] = true
				out = append(out, sample{Packet: q, shot: d.shot(l, q)})
			}
		}
	}
	return out
}
