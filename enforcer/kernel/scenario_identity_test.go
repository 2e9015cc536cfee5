package kernel

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// openProfile allows everything on the LAN, and the cloud: what is stopped then is not the profile's doing.
func openProfile(url string) *enforcertest.Profile {
	type ace = enforcertest.ACE
	cloud := ace{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Eq(443)}
	return &enforcertest.Profile{URL: url, Model: "L1", From: []ace{cloud, cloud.Twin(), {Both: true, Class: enforcertest.Group("local-networks")}},
		To: []ace{{Both: true, Class: enforcertest.Group("local-networks"), Proto: "tcp", Initiated: "to-device"}}}
}

// identityCase has two devices under policy, a host under none and one that may speak for others; cam is a stranger.
func identityCase() enforcertest.Case {
	return enforcertest.Case{Name: "identity", Devices: []enforcertest.Device{
		{Host: "lamp", Profile: openProfile(enforcertest.LampURL)}, {Host: "hub", Profile: openProfile(enforcertest.HubURL)}, {Host: "neighbour"}},
		Site: func(s *enforcer.Site) { s.Trusted = []dhcp.MAC{enforcertest.HostNamed("cam").MAC} }}
}

// TestScenarioIdentity: T13, T15. Nobody borrows the address of a device under policy, and such a device borrows nobody's: in
// packets to other networks, to the link and to the gateway, in ARP and in neighbour discovery, over both versions of IP.
func TestScenarioIdentity(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			l.load(t, identityCase())
			var list []odd
			for _, six := range []bool{false, true} {
				list = append(list, l.borrowed(six)...)
				if mode != enforcer.BridgeNone {
					list = append(list, l.neighbourMessages(six)...)
				}
			}
			if mode != enforcer.BridgeNone {
				list = append(list, l.rogues()...)
			}
			l.try(t, list)
		})
	}
}

// as makes a shot claim the address of another host.
func (s shot) as(h enforcertest.Host) shot {
	s.k.Src = h.Addr(s.k.Src.Is6())
	return s
}

// borrowed are connections from addresses of others.
func (l *lab) borrowed(six bool) []odd {
	host := enforcertest.HostNamed
	var list []odd
	for i, to := range []string{"cloud", "hub", "gateway"} {
		if to == "hub" && l.mode == enforcer.BridgeNone {
			continue // such frames do not pass the gateway
		}
		port := map[string]uint16{"cloud": 443, "hub": 80, "gateway": 53}[to]
		from := func(who, as string, n int, want bool) {
			s := l.syn(who, to, six, uint16(36000+100*i+n), port)
			s.k.SrcMAC = host(who).MAC
			list = append(list, odd{name: who + " as " + as + " to " + to, shot: s.as(host(as)), want: want})
		}
		from("lamp", "lamp", 0, true)
		from("lamp", "neighbour", 1, false)
		from("lamp", "hub", 2, false)
		from("lamp", "gateway", 3, false)
		from("neighbour", "neighbour", 4, true)
		from("neighbour", "lamp", 5, false)
		from("cam", "cam", 6, true)
		if l.mode != enforcer.BridgeStateless || to != "hub" {
			from("cam", "lamp", 7, true) // trusted: an access point that answers for its stations
		}
	}
	return list
}

// neighbourMessages say by ARP or by an advertisement who has which address.
func (l *lab) neighbourMessages(six bool) []odd {
	var list []odd
	for _, o := range []struct {
		who, as string
		want    bool
	}{{"lamp", "lamp", true}, {"lamp", "neighbour", false}, {"lamp", "hub", false}, {"lamp", "gateway", false},
		{"neighbour", "neighbour", true}, {"neighbour", "lamp", false}, {"neighbour", "gateway", true}} { // of those without policy we say nothing
		s := l.announcement(enforcertest.HostNamed(o.who), enforcertest.HostNamed(o.as).Addr(six))
		s.to = "cam"
		list = append(list, odd{name: o.who + " says that it is " + o.as, shot: s, want: o.want})
	}
	return list
}

// announcement says to all that a host has an address (RFC 826, RFC 4861 section 4.4), from an IPv6 address that is its own.
func (l *lab) announcement(from enforcertest.Host, addr netip.Addr) shot {
	if addr.Is4() {
		s := l.group(from.Name, everybody, addr.String(), addr.String(), enforcer.Flow{})
		s.k.EtherType = unix.ETH_P_ARP
		return s
	}
	target := addr.As16()
	s := l.group(from.Name, dhcp.MAC{0x33, 0x33, 5: 1}, from.V6.String(), "ff02::1", icmp6(136))
	s.head.Rest = "\x20\x00\x00\x00" + string(target[:])
	return s
}

// rogues are what only servers and routers say, from a device whose profile allows everything on the LAN.
func (l *lab) rogues() []odd {
	lamp := enforcertest.HostNamed("lamp")
	all6 := dhcp.MAC{0x33, 0x33, 5: 1}
	udp := func(sport, dport uint16) enforcer.Flow {
		return enforcer.Flow{Proto: unix.IPPROTO_UDP, Sport: sport, Dport: dport}
	}
	shot := func(mac dhcp.MAC, src, dst netip.Addr, f enforcer.Flow) shot {
		return l.group("lamp", mac, src.String(), dst.String(), f)
	}
	peer := enforcertest.HostNamed("neighbour")
	return []odd{
		{name: "DHCP offer", shot: shot(peer.MAC, lamp.V4, peer.V4, udp(67, 68))},
		{name: "DHCP offer from another port", shot: shot(everybody, lamp.V4, netip.MustParseAddr("255.255.255.255"), udp(6767, 68)), also: "hub"},
		{name: "DHCPv6 advertisement", shot: shot(peer.MAC, lamp.V6, peer.V6, udp(547, 546))},
		{name: "router advertisement to all", shot: shot(all6, lamp.V6, netip.MustParseAddr("ff02::1"), icmp6(134)), also: "hub"},
		{name: "router advertisement to one", shot: shot(peer.MAC, lamp.V6, peer.V6, icmp6(134))},
		{name: "IPv6 redirect", shot: shot(peer.MAC, lamp.V6, peer.V6, icmp6(137))},
		{name: "redirect", shot: shot(peer.MAC, lamp.V4, peer.V4, enforcer.Flow{Proto: unix.IPPROTO_ICMP, ICMPType: 5})},
		{name: "ping, which the profile allows", shot: shot(peer.MAC, lamp.V4, peer.V4, enforcer.Flow{Proto: unix.IPPROTO_ICMP, ICMPType: 8}), want: true},
	}
}

// TestScenarioImpostor: T15. Nobody, under policy or not, has the gateway send on what looks like its own words, such as an answer of
// its DHCP server.
func TestScenarioImpostor(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			var list []odd
			for _, who := range []string{"neighbour", "lamp", "cam"} {
				for _, six := range []bool{false, true} {
					s := l.syn(who, "hub", six, 39000, 80)
					s.viaGW = true
					list = append(list, odd{name: who + " as the gateway", shot: s.as(enforcertest.HostNamed("gateway"))})
				}
			}
			own := l.syn("neighbour", "hub", true, 39001, 80)
			own.viaGW = true
			l.load(t, enforcertest.Case{Name: "nobody under policy"})
			l.try(t, append(list, odd{name: "as itself", shot: own, want: true}))
		})
	}
}

// TestScenarioBorrowedFlow: T13, T15. A device cannot speak in a flow of a host that nobody restricts.
func TestScenarioBorrowedFlow(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			l.load(t, identityCase())
			for _, six := range []bool{false, true} {
				open := l.syn("neighbour", "evil", six, 37000, 22)
				answer := open.answer()
				for _, s := range []shot{open, answer, open.next()} {
					one := []shot{s}
					if at := l.fire(one); !slices.Contains(at[one[0].id], s.to) {
						t.Fatalf("the flow itself does not pass: %s", s)
					}
				}
				forged := open.next()
				lamp := enforcertest.HostNamed("lamp")
				forged.from, forged.k.SrcMAC = l.port(lamp), lamp.MAC
				l.try(t, []odd{{name: "the device in its neighbour's flow", shot: forged}})
			}
		})
	}
}

// TestScenarioNewAddress: T15, T16. What a device was not heard to use before passes at once, so that no client waits for us, and
// a few such addresses an hour: more are stopped. All are told, once each.
func TestScenarioNewAddress(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			l.load(t, identityCase())
			var list []odd
			for i := range 20 {
				s := l.syn("lamp", "cloud", true, 38000, 443)
				s.k.Src = netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 14: 0x88, 15: byte(i)})
				list = append(list, odd{name: "new address " + s.k.Src.String(), shot: s, want: i < 16})
			}
			again := list[3]
			again.name, again.shot.k.Sport = "one of them again", 38001
			l.try(t, append(list, again))
		})
	}
}
