package enforcertest

import (
	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
)

// Traffic classes of packets in the cases below, and conditions on them.
const (
	ef  = 46 << 2 // DSCP 46
	low = 8 << 2  // DSCP 8
)

func isEF() []mud.FieldMatch  { return Field(mud.FieldDSCP, 46) }
func isLow() []mud.FieldMatch { return Field(mud.FieldDSCP, 8) }

// headed gives a probe with a head.
func headed(p Probe, h Head) Probe {
	p.Head = h
	return p
}

// then gives a probe more packets of its flow.
func then(p Probe, later ...Later) Probe {
	p.Later = later
	return p
}

// packetCases are drops of single packets in flows that were admitted.
func packetCases() []Case {
	cloud := ACE{Name: "cloud.example", Proto: "tcp"}
	dropLow, dropCE := ACE{Drop: true, Proto: "tcp", Fields: isLow()}, ACE{Drop: true, Proto: "tcp", Fields: Field(mud.FieldECN, 3)}
	shielded := named(cloud443, dropLow, cloud)
	onlyEF := cloud443
	onlyEF.Fields = isEF()
	replies := named(cloud)
	replies.To = []ACE{cloud443, dropLow, cloud}
	server := named(ACE{Drop: true, Proto: "tcp", Initiated: "to-device", Fields: isLow()}, cloud443)
	server.To = []ACE{{Name: "cloud.example", Proto: "tcp", Local: Eq(80), Initiated: "to-device"}}
	own := named(ACE{Drop: true, Proto: "tcp", Initiated: "from-device", Fields: isLow()}, cloud443)
	own.To = server.To
	observed := lampWith("LX-ACE invariant 11 packets of a flow are only observed", named(dropLow, cloud),
		then(tcp("lamp", "cloud", 443, true), Later{Head: Head{TOS: low}, Want: true}))
	observed.Devices[0].Observe = true
	return []Case{
		lampWith("LX-ACE R8519-3-a an earlier accept shields packets", shielded,
			then(headed(tcp("lamp", "cloud", 443, true), Head{TOS: low}), Later{Head: Head{TOS: low}, Want: true}),
			headed(tcp("lamp", "cloud", 80, false), Head{TOS: low}),
			then(tcp("lamp", "cloud", 80, true), Later{Want: true}, Later{Head: Head{TOS: low}}, Later{Want: true})),
		lampWith("LX-ACE T-01 an accept is judged on the packet that opens a flow", named(onlyEF, ACE{Drop: true, Proto: "tcp", Remote: Eq(443)}, dropCE),
			tcp("lamp", "cloud", 443, false),
			then(headed(tcp("lamp", "cloud", 443, true), Head{TOS: ef}), Later{Want: true}, Later{Head: Head{TOS: 3}}, Later{Head: Head{TOS: ef | 3}, Want: true})),
		lampWith("LX-ACE R8520-A-b replies that to-device drops", replies,
			then(tcp("lamp", "cloud", 80, true), Later{Reply: true, Want: true}, Later{Reply: true, Head: Head{TOS: low}},
				Later{Head: Head{TOS: low}, Want: true}, Later{Reply: true, Want: true}),
			then(tcp("lamp", "cloud", 443, true), Later{Reply: true, Head: Head{TOS: low}, Want: true})),
		lampWith("LX-ACE T-02 a drop of the answers of a server", server,
			then(headed(tcp("lamp", "cloud", 443, true), Head{TOS: low}), Later{Head: Head{TOS: low}, Want: true}),
			then(tcp("cloud", "lamp", 80, true), Later{Reply: true, Want: true}, Later{Reply: true, Head: Head{TOS: low}},
				Later{Head: Head{TOS: low}, Want: true})),
		lampWith("LX-ACE T-02 a drop in the flows that the device opens", own,
			headed(tcp("lamp", "cloud", 443, false), Head{TOS: low}),
			then(tcp("lamp", "cloud", 443, true), Later{Head: Head{TOS: low}}),
			then(tcp("cloud", "lamp", 80, true), Later{Reply: true, Head: Head{TOS: low}, Want: true})),
		gatewayCase(), observed,
	}
}

// gatewayCase drops what goes to the gateway, but for what a network needs to work (T-22, T-23).
func gatewayCase() Case {
	dhcp := Probe{From: "lamp", To: "gateway", Proto: "udp", Sport: 68, Dport: 67, Head: Head{TOS: low, TTL: 77}, Want: true}
	return lampWith("LX-ACE T-22 packets to the gateway", named(ACE{Drop: true, Proto: "udp", Fields: isLow()},
		ACE{Drop: true, Proto: "udp", Fields: Field(mud.FieldTTL, 77)}),
		then(dhcp, Later{Head: dhcp.Head, Want: true}),
		headed(udp("lamp", "gateway", 53, false), Head{TOS: low}), headed(udp("lamp", "gateway", 53, false), Head{TTL: 77}),
		then(headed(udp("lamp", "gateway", 53, true), Head{TTL: 78}), Later{Head: Head{TOS: low}}, Later{Head: Head{TTL: 77}},
			Later{Head: Head{TTL: 76}, Want: true}))
}

// localCases are conditions on header fields among hosts of the LAN, and on what reaches the device.
func localCases() []Case {
	local := ACE{Both: true, Class: Group("local-networks"), Proto: "tcp", Remote: Eq(80)}
	onlyEF := local
	onlyEF.Fields = isEF()
	ttl := ACE{Class: Group("local-networks"), Proto: "tcp", Remote: Eq(80), Fields: Field(mud.FieldTTL, 77)}
	noTTL := ACE{Drop: true, Proto: "tcp", Fields: Field(mud.FieldTTL, 77)}
	served := named()
	served.To = []ACE{{Both: true, Class: Group("local-networks"), Proto: "tcp", Local: Eq(80), Fields: isEF()},
		{Name: "cloud.example", Proto: "tcp", Local: Eq(80), Fields: isEF()}}
	near := named()
	near.To = []ACE{{Name: "cloud.example", Proto: "tcp", Local: Eq(80), Fields: Field(mud.FieldTTL, 63)}}
	away := named()
	away.To = []ACE{{Drop: true, Proto: "tcp", Fields: isLow()}, {Both: true, Class: Group("local-networks"), Proto: "tcp", Local: Eq(80)}}
	efProbes := both(headed(tcp("lamp", "neighbour", 80, true), Head{TOS: ef}), tcp("lamp", "neighbour", 80, false))
	return []Case{
		lampWith("LX-ACE lateral, accepted by a header field", named(onlyEF), efProbes...),
		lampWith("LX-ACE lateral, accepted by its ttl", named(ttl), headed(tcp("lamp", "neighbour", 80, true), Head{TTL: 77}),
			headed(tcp("lamp", "neighbour", 80, false), Head{TTL: 78}), headed(tcp("lamp", "neighbour", 80, false), Head{TTL: 76})),
		lampWith("LX-ACE lateral, dropped by its ttl", named(noTTL, ACE{Class: Group("local-networks"), Proto: "tcp"}),
			headed(tcp("lamp", "neighbour", 80, false), Head{TTL: 77}),
			then(tcp("lamp", "neighbour", 80, true), Later{Head: Head{TTL: 77}}, Later{Want: true}, Later{Reply: true, Head: Head{TTL: 77}, Want: true})),
		lampWith("LX-ACE a server that takes flows by a header field", served,
			append(both(headed(tcp("neighbour", "lamp", 80, true), Head{TOS: ef})), headed(tcp("cloud", "lamp", 80, true), Head{TOS: ef}),
				tcp("neighbour", "lamp", 80, false), v6(tcp("neighbour", "lamp", 80, false)), tcp("cloud", "lamp", 80, false))...),
		lampWith("LX-ACE the ttl of what reaches the device is as it reaches it", near,
			headed(tcp("cloud", "lamp", 80, true), Head{TTL: 64}), headed(tcp("cloud", "lamp", 80, false), Head{TTL: 63})),
		lampWith("LX-ACE R8519-3-a a server that takes no such packets", away, headed(tcp("neighbour", "lamp", 80, false), Head{TOS: low}),
			then(tcp("neighbour", "lamp", 80, true), Later{Head: Head{TOS: low}}, Later{Want: true}, Later{Reply: true, Head: Head{TOS: low}, Want: true})),
	}
}

// frameCases are conditions on the frame around a packet, and frames that are not IP.
func frameCases() []Case {
	gateway, lamp, neighbour := HostNamed("gateway").MAC, HostNamed("lamp").MAC, HostNamed("neighbour").MAC
	oui := mud.MACMatch{Addr: [6]byte{0x02}, Mask: [6]byte{0xff, 0xff, 0xff}}
	cloud := func(remote, local mud.MACMatch) ACE {
		return ACE{Name: "cloud.example", Proto: "tcp", RemoteMAC: remote, LocalMAC: local}
	}
	accepted := func(name string, a ACE, want bool) Case {
		return lampWith("R8520-2-d LX-ACE "+name, named(a), tcp("lamp", "cloud", 443, want))
	}
	dropped := func(name string, a ACE, want bool) Case {
		a.Drop = true
		return lampWith("R8520-2-d LX-ACE "+name, named(a, ACE{Name: "cloud.example", Proto: "tcp"}), tcp("lamp", "cloud", 443, want))
	}
	none := mud.MACMatch{}
	list := []Case{
		accepted("the device's own address", cloud(none, MAC(lamp)), true), accepted("another's address", cloud(none, MAC(neighbour)), false),
		accepted("the first part of the address", cloud(none, oui), true), accepted("the gateway's address", cloud(MAC(gateway), none), true),
		accepted("both addresses", cloud(MAC(gateway), MAC(lamp)), true), accepted("one right address", cloud(MAC(neighbour), MAC(lamp)), false),
		dropped("frames to the gateway", cloud(MAC(gateway), none), false), dropped("frames to another", cloud(MAC(neighbour), none), true),
		dropped("frames from another", cloud(none, MAC(neighbour)), true),
	}
	return append(append(list, toDeviceFrames(gateway, lamp, neighbour)...), otherFrames()...)
}

func toDeviceFrames(gateway, lamp, neighbour dhcp.MAC) []Case {
	server := ACE{Both: true, Proto: "tcp", Local: Eq(80)}
	to := func(lan string, name string, probes []Probe, list ...ACE) Case {
		p := named()
		p.To = list
		c := lampWith("R8520-2-d LX-ACE "+name, p, probes...)
		c.LAN = lan
		return c
	}
	by := func(remote, local mud.MACMatch) ACE {
		a := server
		a.RemoteMAC, a.LocalMAC = remote, local
		return a
	}
	drop := func(a ACE) ACE { a.Drop = true; return a }
	none := mud.MACMatch{}
	probes := func(cloud, near bool) []Probe {
		return []Probe{tcp("cloud", "lamp", 80, cloud), v6(tcp("cloud", "lamp", 80, cloud)), tcp("neighbour", "lamp", 80, near)}
	}
	return []Case{
		to("bridge", "delivered by the gateway", probes(true, false), by(MAC(gateway), none)),
		to("bridge", "sent by the neighbour", probes(false, true), by(MAC(neighbour), MAC(lamp))),
		to("bridge", "to another's address", probes(false, false), by(none, MAC(neighbour))),
		to("bridge", "dropped when delivered by the gateway", probes(false, true), drop(by(MAC(gateway), none)), server),
		// T-13: without a bridge nobody knows the frame yet.
		to("routed", "T-13 an accept by a frame that is not made yet", probes(false, false), by(MAC(gateway), none)),
		to("routed", "T-13 a drop by a frame that is not made yet", probes(false, false), drop(by(MAC(neighbour), none)), server),
	}
}

// otherFrames are not IP: nobody tracks them, so both directions are read literally.
func otherFrames() []Case {
	const kind = 0x88b5 // IEEE 802: for experiments
	frame := func(from, to string, etherType uint16, want bool) Probe {
		return Probe{Name: "frame from " + from + " to " + to, From: from, To: to, EtherType: etherType, Want: want}
	}
	this := ACE{Both: true, EtherType: kind}
	notThere := this
	notThere.Drop, notThere.RemoteMAC = true, MAC(HostNamed("neighbour").MAC)
	mirrored := named(this)
	mirrored.To = []ACE{this}
	closed := named(ACE{Drop: true, Both: true, EtherType: 0x0806})
	closed.To = closed.From
	list := []Case{
		lampWith("R8520-2-d LX-ACE frames of a type", named(this, cloud443), frame("lamp", "neighbour", kind, true), frame("lamp", "neighbour", kind+1, false),
			frame("neighbour", "lamp", kind, false), tcp("lamp", "cloud", 443, true), tcp("lamp", "neighbour", 443, false)),
		lampWith("R8520-2-d T-01 frames of a type have no mirror", mirrored, frame("lamp", "neighbour", kind, true), frame("neighbour", "lamp", kind, true),
			frame("neighbour", "lamp", kind+1, false)),
		lampWith("R8520-2-d R8519-3-a frames to one host dropped", named(notThere, this), frame("lamp", "neighbour", kind, false), frame("lamp", "hub", kind, true)),
		lampWith("R8520-2-d R8519-3-a a drop of everything is one of frames too", named(ACE{Drop: true, Both: true}, this),
			frame("lamp", "neighbour", kind, false), tcp("lamp", "neighbour", 80, false)),
		lampWith("R8520-2-d T-22 address resolution stays", closed, frame("lamp", "neighbour", 0x0806, true), frame("neighbour", "lamp", 0x0806, true)),
	}
	for i := range list {
		list[i].LAN = "bridge"
	}
	return list
}

// Fits says whether a case is about a LAN like that of a mode.
func (c Case) Fits(mode enforcer.BridgeMode) bool {
	return c.LAN == "" || (c.LAN == "bridge") == (mode != enforcer.BridgeNone)
}
