package enforcertest

import (
	"fmt"
	"slices"

	"mudguard/enforcer"
)

// URLs of the profiles of the test site: lamp and hub are of one manufacturer.
const (
	LampURL = "https://mud.lamps.example/lamp"
	HubURL  = "https://mud.lamps.example/hub"
	CamURL  = "https://mud.cams.example/cam"
)

// Scenario is the whole table.
func Scenario() []Case {
	all := slices.Concat(plainCases(), infrastructureCases(), portCases(), remoteCases(), pingCases(), classCases(), orderCases(), stateCases(),
		headCases(), packetCases(), localCases(), frameCases(), matrix())
	for i := range all {
		number(all[i].Probes)
	}
	return all
}

// number names the probes that have no name, and gives each a port of its own to come from.
func number(probes []Probe) {
	for i := range probes {
		p := &probes[i]
		if p.Sport == 0 && (p.Proto == "tcp" || p.Proto == "udp") {
			p.Sport = uint16(20000 + i)
		}
		if p.Name == "" {
			family := map[bool]string{false: "v4", true: "v6"}[p.V6]
			p.Name = fmt.Sprintf("%s %s %s from %s:%d to %s:%d", p.Direction(), family, p.Proto, p.From, p.Sport, p.To, p.Dport)
		}
	}
}

func tcp(from, to string, dport uint16, want bool) Probe {
	return Probe{From: from, To: to, Proto: "tcp", Dport: dport, Want: want}
}

func udp(from, to string, dport uint16, want bool) Probe {
	return Probe{From: from, To: to, Proto: "udp", Dport: dport, Want: want}
}

func v6(p Probe) Probe {
	p.V6 = true
	return p
}

func logged(p Probe, prefix string) Probe {
	p.Log = prefix
	return p
}

// both gives a probe and its IPv6 twin.
func both(probes ...Probe) []Probe {
	var out []Probe
	for _, p := range probes {
		out = append(out, p)
		p.V6 = true
		out = append(out, p)
	}
	return out
}

// named is the lamp's profile with the given ACEs from the device, and none to it.
func named(from ...ACE) *Profile {
	return &Profile{URL: LampURL, Mfg: "Lamps", Model: "L1", From: from}
}

func lampWith(name string, p *Profile, probes ...Probe) Case {
	return Case{Name: name, Devices: []Device{{Host: "lamp", Profile: p}}, Probes: probes}
}

var cloud443 = ACE{Name: "cloud.example", Proto: "tcp", Remote: Eq(443)}

// plainCases are one declared flow and everything else, which is denied.
func plainCases() []Case {
	p := named(cloud443)
	p.To = []ACE{cloud443}
	return []Case{
		lampWith("R8520-5-a R8519-3-b R8520-8-b T-07 one declared flow", p,
			tcp("lamp", "cloud", 443, true),
			logged(v6(tcp("lamp", "cloud", 443, false)), enforcer.LogOut),
			logged(tcp("lamp", "cloud", 80, false), enforcer.LogOut),
			logged(tcp("lamp", "evil", 443, false), enforcer.LogOut),
			udp("lamp", "cloud", 443, false),
			tcp("lamp", "neighbour", 443, false),
			logged(tcp("lamp", "neighbour", 22, false), enforcer.LogOut),
			v6(tcp("lamp", "neighbour", 22, false)),
			logged(tcp("cloud", "lamp", 80, false), enforcer.LogIn),
			logged(tcp("neighbour", "lamp", 80, false), enforcer.LogIn),
			v6(tcp("neighbour", "lamp", 80, false)),
			v6(udp("cloud", "lamp", 5353, false)),
			Probe{From: "lamp", To: "cloud", Proto: "icmp", ICMPType: 8},
			Probe{From: "cloud", To: "lamp", Proto: "icmp", ICMPType: 8},
			// Nobody asked us to restrict the neighbour.
			tcp("neighbour", "evil", 23, true),
			tcp("neighbour", "gateway", 22, true),
		),
		lampWith("R8520-8-b a name under both families", named(cloud443, cloud443.Twin()), both(
			tcp("lamp", "cloud", 443, true), tcp("lamp", "evil", 443, false), tcp("cloud", "lamp", 443, false))...),
		lampWith("R8520-8-b a name under IPv6 only", named(cloud443.Twin()),
			tcp("lamp", "cloud", 443, false), v6(tcp("lamp", "cloud", 443, true))),
		lampWith("R8520-4.8-c T-21 unsolicited parts of TCP flows", p, unsolicited("cloud", false)...),
	}
}

// unsolicited are packets of flows that nobody opened, from a peer's declared port.
func unsolicited(peer string, six bool) []Probe {
	var out []Probe
	for i, f := range []struct {
		name  string
		flags uint8
	}{{"ACK", ACK}, {"RST", RST}, {"RST ACK", RST | ACK}, {"FIN", FIN | ACK}, {"SYN ACK", SYN | ACK}} {
		out = append(out, Probe{Name: fmt.Sprintf("unsolicited %s from %s", f.name, peer), From: peer, To: "lamp", V6: six,
			Proto: "tcp", Sport: 443, Dport: uint16(41000 + i), Flags: f.flags})
	}
	return out
}

// infrastructureCases are the defaults of RFC 8520 section 5 and what a network needs to work.
func infrastructureCases() []Case {
	return []Case{
		lampWith("R8520-5-b R8520-A-a R8520-17.7-a R9726-5-a R9761-4.2-a T-23 dns and ntp by default", named(), slices.Concat(both(
			udp("lamp", "gateway", 53, true), udp("lamp", "gateway", 123, true), tcp("lamp", "gateway", 53, true),
			udp("lamp", "cloud", 53, false), udp("lamp", "evil", 123, false), udp("lamp", "neighbour", 53, false),
			tcp("lamp", "gateway", 853, false), tcp("lamp", "cloud", 853, false), tcp("lamp", "cloud", 443, false), udp("gateway", "lamp", 53, false)), []Probe{
			Probe{Name: "gateway opens from its DNS port", From: "gateway", To: "lamp", Proto: "udp", Sport: 53, Dport: 42000},
		})...),
		lampWith("R8520-5-c a profile drops dns", named(
			ACE{Drop: true, Class: Class("controller", enforcer.ClassDNS), Proto: "udp", Remote: Eq(53)}),
			udp("lamp", "gateway", 53, false), v6(udp("lamp", "gateway", 53, true)), udp("lamp", "gateway", 123, true)),
		lampWith("R8520-5-c a profile drops dns of both families", named(
			ACE{Drop: true, Both: true, Class: Class("controller", enforcer.ClassDNS), Proto: "udp", Remote: Eq(53)}),
			both(udp("lamp", "gateway", 53, false), udp("lamp", "gateway", 123, true))...),
		lampWith("T-22 DHCP and neighbour discovery", named(), linkProbes()...),
		lampWith("the gateway is no peer", named(ACE{Proto: "tcp", Remote: Eq(443)}, ACE{Proto: "tcp", Remote: Eq(443)}.Twin()),
			both(tcp("lamp", "gateway", 22, false), tcp("lamp", "gateway", 443, false), tcp("lamp", "gateway", 80, false),
				tcp("gateway", "lamp", 80, false), tcp("lamp", "cloud", 443, true), tcp("lamp", "neighbour", 443, true))...),
	}
}

func linkProbes() []Probe {
	port := func(p Probe, sport uint16) Probe {
		p.Sport = sport
		return p
	}
	icmp6 := func(from, to string, typ uint8, want bool) Probe {
		return Probe{Name: fmt.Sprintf("ICMPv6 type %d from %s to %s", typ, from, to), From: from, To: to, V6: true,
			Proto: "icmpv6", ICMPType: typ, Want: want}
	}
	return []Probe{
		port(udp("lamp", "gateway", 67, true), 68),
		port(udp("gateway", "lamp", 68, true), 67),
		v6(port(udp("lamp", "gateway", 547, true), 546)),
		v6(port(udp("gateway", "lamp", 546, true), 547)),
		udp("lamp", "gateway", 67, false), // from another port it is no DHCP
		icmp6("lamp", "gateway", 135, true), icmp6("lamp", "gateway", 133, true),
		icmp6("gateway", "lamp", 134, true), icmp6("gateway", "lamp", 136, true), icmp6("neighbour", "lamp", 135, true),
		// T15: a device is no router and no DHCP server.
		icmp6("lamp", "neighbour", 134, false), icmp6("lamp", "gateway", 134, false), icmp6("lamp", "neighbour", 137, false),
		port(udp("lamp", "neighbour", 68, false), 67),
		v6(port(udp("lamp", "neighbour", 546, false), 547)),
		icmp6("lamp", "gateway", 128, false), icmp6("neighbour", "lamp", 128, false),
	}
}
