package enforcertest

import (
	"net/netip"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// Names of the interfaces of the gateway.
const (
	LAN = "br-lan"
	WAN = "wan0"
)

// Host is one machine of the test site.
type Host struct {
	Name   string // what probes call it
	DNS    string // the name that a resolver knows it by; "" for none
	MAC    dhcp.MAC
	V4, V6 netip.Addr
	WAN    bool
}

// Addr is the host's address of a family.
func (h Host) Addr(v6 bool) netip.Addr {
	if v6 {
		return h.V6
	}
	return h.V4
}

// Hosts are all machines of the test site. Those on the WAN have no MAC.
func Hosts() []Host {
	lan := func(name string, last byte) Host {
		return Host{Name: name, MAC: dhcp.MAC{0x02, 0, 0, 0, 0x77, last},
			V4: netip.AddrFrom4([4]byte{192, 168, 77, last}), V6: netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 15: last})}
	}
	wan := func(name, dns string, last byte) Host {
		return Host{Name: name, DNS: dns, WAN: true, V4: netip.AddrFrom4([4]byte{203, 0, 113, last}),
			V6: netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: 0x71, 15: last})}
	}
	gateway := lan("gateway", 1)
	gateway.MAC = dhcp.MAC{0x02, 0, 0, 0, 0x77, 0xfe}
	return []Host{gateway, lan("lamp", 10), lan("cam", 11), lan("hub", 12), lan("neighbour", 50),
		wan("cloud", "cloud.example", 10), wan("evil", "evil.example", 66)}
}

// HostNamed gives a host of the site; it panics where the table names one that is not there.
func HostNamed(name string) Host {
	for _, h := range Hosts() {
		if h.Name == name {
			return h
		}
	}
	panic("enforcertest: there is no host " + name)
}

// Site is the gateway of the test site, with one bridge. mode says how it tells replies between hosts on the bridge;
// BridgeNone makes the LAN interface no bridge.
func Site(mode enforcer.BridgeMode) enforcer.Site {
	gw := HostNamed("gateway")
	own := []enforcer.Host{{Addr: gw.V4}, {Addr: gw.V6}}
	return enforcer.Site{
		LAN: []enforcer.LANInterface{{Name: LAN, Bridge: mode != enforcer.BridgeNone,
			Prefixes: []netip.Prefix{netip.PrefixFrom(gw.V4, 24), netip.PrefixFrom(gw.V6, 64)}}},
		Mark:     0x40000000,
		NewFlows: enforcer.Rate{Count: 100, Per: time.Second}, NewFlowsBurst: 200,
		DenialRate: enforcer.Rate{Count: 10, Per: time.Second},
		NFLOGGroup: 8520, QueueNum: 8520, Queue: enforcer.QueueNative, Bridge: mode,
		Controllers: map[string][]enforcer.Host{enforcer.ClassDNS: own, enforcer.ClassNTP: own},
	}
}
