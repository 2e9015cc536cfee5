package enforcertest

import (
	"net/netip"

	"mudguard/enforcer"
	"mudguard/mud"
)

// portCases are the operators and ranges of RFC 8519 on either side.
func portCases() []Case {
	var out []Case
	for _, c := range []struct {
		name   string
		ports  map[string]any
		inside []uint16
		beyond []uint16
	}{
		{"eq", Eq(443), []uint16{443}, []uint16{442, 444}},
		{"neq", Op("neq", 443), []uint16{442, 444, 1, 65535}, []uint16{443}},
		{"lte", Op("lte", 443), []uint16{1, 443}, []uint16{444, 65535}},
		{"gte", Op("gte", 443), []uint16{443, 65535}, []uint16{1, 442}},
		{"range", Range(8000, 8010), []uint16{8000, 8005, 8010}, []uint16{7999, 8011}},
		{"eq of the last", Eq(65535), []uint16{65535}, []uint16{65534, 1}},
		{"neq of the last", Op("neq", 65535), []uint16{65534, 1}, []uint16{65535}},
		{"gte of the last", Op("gte", 65535), []uint16{65535}, []uint16{65534}},
		{"lte of the last", Op("lte", 65535), []uint16{1, 65535}, nil},
		{"gte of the first", Op("gte", 0), []uint16{1, 65535}, nil},
		{"range of one", Range(8000, 8000), []uint16{8000}, []uint16{7999, 8001}},
	} {
		for _, proto := range []string{"tcp", "udp"} {
			remote, local := ACE{Name: "cloud.example", Proto: proto, Remote: c.ports}, ACE{Name: "cloud.example", Proto: proto, Local: c.ports}
			out = append(out, portCase("R8519-4-e "+proto+" remote port "+c.name, remote, false, c.inside, c.beyond),
				portCase("R8519-4-e "+proto+" local port "+c.name, local, true, c.inside, c.beyond),
				turned(portCase("R8519-4-e to-device "+proto+" remote port "+c.name, remote, false, c.inside, c.beyond)),
				turned(portCase("R8519-4-e to-device "+proto+" local port "+c.name, local, true, c.inside, c.beyond)))
		}
	}
	return append(out, lampWith("R8519-4-e both ports at once",
		named(ACE{Name: "cloud.example", Proto: "udp", Local: Range(5000, 5001), Remote: Op("gte", 6000)}),
		Probe{From: "lamp", To: "cloud", Proto: "udp", Sport: 5000, Dport: 6000, Want: true},
		Probe{From: "lamp", To: "cloud", Proto: "udp", Sport: 5001, Dport: 65535, Want: true},
		Probe{From: "lamp", To: "cloud", Proto: "udp", Sport: 5002, Dport: 6000},
		Probe{From: "lamp", To: "cloud", Proto: "udp", Sport: 5000, Dport: 5999}))
}

func portCase(name string, a ACE, local bool, inside, beyond []uint16) Case {
	var probes []Probe
	add := func(ports []uint16, want bool) {
		for _, port := range ports {
			p := Probe{From: "lamp", To: "cloud", Proto: a.Proto, Dport: port, Want: want}
			if local {
				p.Sport, p.Dport = port, uint16(9000+len(probes))
			}
			probes = append(probes, p)
		}
	}
	add(inside, true)
	add(beyond, false)
	return lampWith(name, named(a), probes...)
}

// turned makes a case about what the device opens one about what the peer opens.
func turned(c Case) Case {
	p := c.Devices[0].Profile
	p.From, p.To = p.To, p.From
	for i := range c.Probes {
		q := &c.Probes[i]
		if q.Sport == 0 {
			q.Sport = uint16(20000 + i)
		}
		q.From, q.To, q.Sport, q.Dport = q.To, q.From, q.Dport, q.Sport
	}
	return c
}

// pingCases: what ICMP messages answer which.
func pingCases() []Case {
	ping := func(from, to string, want bool) Probe {
		return Probe{From: from, To: to, Proto: "icmp", ICMPType: 8, Want: want}
	}
	icmp := func(a ACE, t int) ACE { a.ICMP = map[string]any{"type": t}; return a }
	cloud, local := ACE{Name: "cloud.example"}, ACE{Class: Group("local-networks")}
	to := func(p *Profile, list ...ACE) *Profile { p.To = list; return p }
	unasked := Probe{Name: "echo reply that nobody asked for", From: "cloud", To: "lamp", Proto: "icmp", Silent: true}
	return []Case{
		lampWith("T-22 icmp to the device", to(named(), icmp(cloud, 8)), ping("cloud", "lamp", true), ping("lamp", "cloud", false),
			Probe{From: "cloud", To: "lamp", Proto: "icmp", ICMPType: 13}, ping("evil", "lamp", false)),
		lampWith("T-22 icmp on the LAN", named(icmp(local, 8)), ping("lamp", "neighbour", true), ping("neighbour", "lamp", false)),
		lampWith("T-22 icmp to the device on the LAN", to(named(), icmp(local, 8)), ping("neighbour", "lamp", true), ping("lamp", "neighbour", false)),
		lampWith("T-01 echo replies are the mirror of echo requests", to(named(icmp(cloud, 8)), icmp(cloud, 0)), unasked, ping("lamp", "cloud", true),
			ping("cloud", "lamp", false)),
		lampWith("R8520-A-b a drop of pings to the device leaves its own", to(named(icmp(cloud, 8)), icmp(ACE{Drop: true}, 8), cloud),
			ping("lamp", "cloud", true), ping("cloud", "lamp", false)),
		lampWith("R8520-A-b a drop of echo replies is one of its own pings", to(named(icmp(cloud, 8)), icmp(ACE{Drop: true}, 0)), ping("lamp", "cloud", false)),
	}
}

// remoteCases are peers by network, literal address and ICMP.
func remoteCases() []Case {
	return []Case{
		lampWith("R8520-2-a networks", named(ACE{Net: "198.51.100.0/25", Proto: "tcp"}, ACE{Net: "2001:db8:51::/64", Proto: "tcp"}.Twin()),
			tcp("lamp", "198.51.100.0", 1, true), tcp("lamp", "198.51.100.127", 1, true),
			tcp("lamp", "198.51.100.128", 1, false), tcp("lamp", "198.51.99.255", 1, false),
			v6(tcp("lamp", "2001:db8:51::1", 1, true)), v6(tcp("lamp", "2001:db8:51:0:ffff::", 1, true)),
			v6(tcp("lamp", "2001:db8:51:1::", 1, false)), udp("lamp", "198.51.100.1", 1, false)),
		lampWith("T-11 an address instead of a name", named(ACE{Name: "203.0.113.10", Proto: "tcp", Remote: Eq(443)}),
			tcp("lamp", "cloud", 443, true), tcp("lamp", "evil", 443, false)),
		lampWith("R8520-4.5-a a network that holds the gateway does not open it", named(ACE{Net: "192.168.77.0/24", Proto: "tcp"}),
			tcp("lamp", "gateway", 80, false), tcp("lamp", "neighbour", 80, true)),
		lampWith("R8520-4.5-a the gateway by its address is meant", named(ACE{Net: "192.168.77.1/32", Proto: "tcp", Remote: Eq(8883)}),
			tcp("lamp", "gateway", 8883, true), tcp("lamp", "gateway", 22, false)),
		lampWith("T-22 icmp by type and code", named(ACE{Name: "cloud.example", ICMP: map[string]any{"type": 8, "code": 0}}),
			Probe{From: "lamp", To: "cloud", Proto: "icmp", ICMPType: 8, Want: true},
			Probe{From: "lamp", To: "cloud", Proto: "icmp", ICMPType: 13}, Probe{From: "lamp", To: "cloud", Proto: "icmp", ICMPType: 8, ICMPCode: 1},
			Probe{From: "lamp", To: "evil", Proto: "icmp", ICMPType: 8}, Probe{From: "lamp", To: "cloud", V6: true, Proto: "icmpv6", ICMPType: 8}),
		lampWith("T-22 icmpv6 by type and code", named(ACE{Name: "cloud.example", V6: true, ICMP: map[string]any{"type": 128, "code": 0}}),
			Probe{From: "lamp", To: "cloud", V6: true, Proto: "icmpv6", ICMPType: 128, Want: true},
			Probe{From: "lamp", To: "cloud", V6: true, Proto: "icmpv6", ICMPType: 128, ICMPCode: 1},
			Probe{From: "lamp", To: "cloud", V6: true, Proto: "icmpv6", ICMPType: 139}, Probe{From: "lamp", To: "cloud", Proto: "icmp", ICMPType: 8},
			Probe{From: "lamp", To: "evil", V6: true, Proto: "icmpv6", ICMPType: 128}),
		lampWith("R8519-4-a an ACE about one family only", named(ACE{}), tcp("lamp", "evil", 9, true), v6(tcp("lamp", "evil", 9, false))),
	}
}

const ctl = "https://classes.example/ctl"

// classCases are the groups of RFC 8520 section 4.
func classCases() []Case {
	toCtl := ACE{Both: true, Class: Class("controller", ctl), Proto: "tcp", Remote: Eq(8883)}
	hub, neighbour := HostNamed("hub"), HostNamed("neighbour")
	mapped := lampWith("R8520-4.6-a controller", named(toCtl), append(both(
		tcp("lamp", "hub", 8883, true), tcp("lamp", "hub", 22, false), tcp("lamp", "neighbour", 8883, false)),
		tcp("lamp", "cloud", 8883, true), v6(tcp("lamp", "cloud", 8883, true)), tcp("lamp", "evil", 8883, false))...)
	mapped.Site = func(s *enforcer.Site) {
		s.Controllers[ctl] = []enforcer.Host{{Addr: hub.V4}, {Addr: hub.V6}, {Name: "cloud.example"}}
	}
	atGateway := lampWith("R8520-4.6-a the gateway may be a controller", named(toCtl), tcp("lamp", "gateway", 8883, true),
		tcp("lamp", "gateway", 22, false))
	atGateway.Site = func(s *enforcer.Site) { s.Controllers[ctl] = []enforcer.Host{{Addr: HostNamed("gateway").V4}} }
	mine := lampWith("R8520-4.7-a my-controller", named(ACE{Both: true, Class: Group("my-controller"), Proto: "tcp", Remote: Eq(8883)}),
		tcp("lamp", "neighbour", 8883, true), tcp("lamp", "hub", 8883, false))
	mine.Site = func(s *enforcer.Site) {
		u, err := mud.ParseURL(LampURL)
		if err != nil {
			panic(err)
		}
		s.MyControllers = map[mud.URL][]enforcer.Host{u: {{Addr: neighbour.V4}}}
	}
	local := ACE{Both: true, Class: Group("local-networks"), Proto: "tcp", Remote: Eq(80)}
	return []Case{
		mapped, atGateway, mine,
		lampWith("R8520-4.6-a R8520-17.7-a T-15 classes that nobody mapped", named(toCtl,
			ACE{Both: true, Class: Class("controller", "urn:ietf:params:mud:gateway"), Proto: "tcp", Remote: Eq(8883)},
			ACE{Both: true, Class: Group("my-controller"), Proto: "tcp", Remote: Eq(8883)}), both(
			tcp("lamp", "hub", 8883, false), tcp("lamp", "gateway", 8883, false), tcp("lamp", "cloud", 8883, false))...),
		lampWith("R8520-4.5-a T-16 local-networks", named(local), append(both(tcp("lamp", "neighbour", 80, true),
			tcp("lamp", "gateway", 80, false), tcp("lamp", "cloud", 80, false), tcp("lamp", "neighbour", 81, false)),
			tcp("lamp", "10.0.0.5", 80, false), tcp("lamp", "192.168.78.5", 80, false), v6(tcp("lamp", "fd78::5", 80, false)))...),
		groupCase("R8520-4.2-a same-manufacturer", Group("same-manufacturer"), true, false),
		groupCase("R8520-4.1-a manufacturer", Class("manufacturer", "mud.cams.example"), false, true),
		groupCase("R8520-4.1-a manufacturer is no suffix", Class("manufacturer", "cams.example"), false, false),
		groupCase("R8520-4.4-a model", Class("model", CamURL), false, true),
		groupCase("R8520-4.4-a model differs in its last segment", Class("model", CamURL+"2"), false, false),
	}
}

// groupCase has the lamp speak to a group of devices; hub and cam let everybody in.
func groupCase(name string, class map[string]any, hub, cam bool) Case {
	open := []ACE{{Both: true, Class: Group("local-networks"), Proto: "tcp", Local: Eq(8080)}}
	return Case{Name: name,
		Devices: []Device{
			{Host: "lamp", Profile: named(ACE{Both: true, Class: class, Proto: "tcp", Remote: Eq(8080)})},
			{Host: "hub", Profile: &Profile{URL: HubURL, Model: "hub", To: open}},
			{Host: "cam", Profile: &Profile{URL: CamURL, Model: "cam", To: open}},
		},
		Probes: both(tcp("lamp", "hub", 8080, hub), tcp("lamp", "cam", 8080, cam), tcp("lamp", "neighbour", 8080, false),
			tcp("lamp", "hub", 8081, false), tcp("hub", "lamp", 8080, false), tcp("neighbour", "hub", 8080, true)),
	}
}

// orderCases are drops among accepts.
func orderCases() []Case {
	accept := ACE{Proto: "tcp", Name: "cloud.example"}
	telnet := ACE{Drop: true, Proto: "tcp", Remote: Eq(23)}
	cut := named(accept)
	cut.To = []ACE{{Drop: true, Proto: "tcp", Name: "cloud.example", Remote: Eq(23)}, accept}
	server := &Profile{URL: LampURL, Model: "L1", From: []ACE{{Drop: true, Proto: "tcp", Local: Eq(23)}},
		To: []ACE{{Class: Group("local-networks"), Proto: "tcp", Local: Range(20, 30)}}}
	return []Case{
		lampWith("R8520-A-b drop before accept", named(telnet, accept), tcp("lamp", "cloud", 23, false), tcp("lamp", "cloud", 24, true)),
		lampWith("R8520-A-b accept before drop", named(accept, telnet), tcp("lamp", "cloud", 23, true), tcp("lamp", "evil", 23, false)),
		lampWith("R8520-A-b to-device drops the replies", cut, tcp("lamp", "cloud", 23, false), tcp("lamp", "cloud", 24, true)),
		lampWith("R8520-A-b from-device drops the answers of a server", server, tcp("neighbour", "lamp", 23, false),
			tcp("neighbour", "lamp", 22, true), tcp("neighbour", "lamp", 31, false)),
		lampWith("R8520-A-b a drop of everything", named(ACE{Drop: true, Both: true}, cloud443), append(both(
			tcp("lamp", "cloud", 443, false), udp("lamp", "gateway", 53, false)),
			Probe{From: "lamp", To: "gateway", Proto: "udp", Sport: 68, Dport: 67, Want: true})...),
	}
}

// stateCases are the policies that are no profile, and who is under none.
func stateCases() []Case {
	dhcp := Probe{From: "lamp", To: "gateway", Proto: "udp", Sport: 68, Dport: 67, Want: true}
	dns := func(want bool) []Probe {
		return both(udp("lamp", "gateway", 53, want), udp("lamp", "gateway", 123, want))
	}
	rest := both(tcp("lamp", "cloud", 443, false), tcp("lamp", "neighbour", 80, false), tcp("neighbour", "lamp", 80, false),
		tcp("lamp", "gateway", 22, false), tcp("gateway", "lamp", 80, false), tcp("cloud", "lamp", 80, false))
	observed := lampWith("invariant 11 observed", named(cloud443), tcp("lamp", "cloud", 443, true),
		logged(tcp("lamp", "evil", 23, true), enforcer.LogOut+" observed"), logged(v6(tcp("lamp", "cloud", 443, true)), enforcer.LogOut+" observed"),
		logged(tcp("lamp", "neighbour", 22, true), enforcer.LogOut+" observed"), logged(tcp("lamp", "gateway", 22, true), enforcer.LogOut+" observed"),
		logged(tcp("neighbour", "lamp", 80, true), enforcer.LogIn+" observed"))
	observed.Devices[0].Observe = true
	spoof := lampWith("invariant 10 spoofed sources", named(ACE{Both: true}),
		Probe{Name: "own source", From: "lamp", To: "evil", Proto: "udp", Dport: 53, Want: true},
		Probe{Name: "source of the Internet", From: "lamp", To: "evil", Proto: "udp", Dport: 53, Spoof: netip.MustParseAddr("198.51.100.99"),
			Log: enforcer.LogSpoof},
		Probe{Name: "source of another private network", From: "lamp", To: "evil", Proto: "tcp", Dport: 80, Spoof: netip.MustParseAddr("10.9.9.9"),
			Log: enforcer.LogSpoof},
		Probe{Name: "spoofed IPv6", From: "lamp", To: "evil", V6: true, Proto: "udp", Dport: 53, Spoof: netip.MustParseAddr("2001:db8:bad::1"),
			Log: enforcer.LogSpoof})
	missing := named()
	missing.NoFrom, missing.To = true, []ACE{{Proto: "tcp", Local: Eq(80)}}
	list := []Case{observed, spoof,
		{Name: "quarantine", Devices: []Device{{Host: "lamp", Kind: enforcer.PolicyQuarantine}}, Probes: append(append(dns(false), rest...), dhcp)},
		{Name: "restricted", Devices: []Device{{Host: "lamp", Kind: enforcer.PolicyRestricted}}, Probes: append(append(dns(true), rest...), dhcp)},
		{Name: "unmanaged block", Block: true, Probes: append(append(dns(true), rest[:4]...), dhcp)},
		{Name: "unmanaged allow", Probes: both(tcp("lamp", "cloud", 443, true), tcp("lamp", "neighbour", 80, true),
			tcp("neighbour", "lamp", 80, true), tcp("lamp", "gateway", 22, true), tcp("gateway", "lamp", 80, true), tcp("cloud", "lamp", 80, true))},
		{Name: "trusted MAC", Block: true, Devices: []Device{{Host: "neighbour", Trusted: true}}, Probes: both(
			tcp("neighbour", "cloud", 22, true), tcp("neighbour", "gateway", 22, true), tcp("gateway", "neighbour", 22, true),
			tcp("lamp", "cloud", 22, false))},
		lampWith("T-12 no from-device container: replies only", missing, tcp("cloud", "lamp", 80, true), tcp("lamp", "cloud", 80, false)),
		lampWith("T-12 empty containers deny", named(), append(rest, dns(true)...)...),
	}
	trusted := Case{Name: "trusted MAC of the site", Block: true, Probes: both(tcp("neighbour", "cloud", 22, true), tcp("hub", "cloud", 22, false))}
	trusted.Site = func(s *enforcer.Site) { s.Trusted = append(s.Trusted, HostNamed("neighbour").MAC) }
	return append(list, trusted)
}
