package acceptance

import (
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mudguard/enforcer/enforcertest"
)

// What becomes of a device's policy as the device comes, moves, changes and goes. Release and expiry of leases are NIST IoT-7 and
// IoT-8 in TestNIST. R8520-1.9-b, T-20.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	l.dnsmasq()
	l.start()
	for _, c := range []struct {
		name string
		try  func(*lab)
	}{{"NAK", (*lab).nak}, {"another port", (*lab).anotherPort}, {"another MAC", (*lab).anotherMAC}, {"forget", (*lab).forget},
		{"less", (*lab).less}} {
		l.run(c.name, func() { c.try(l) })
	}
}

// booted is a device whose profile, declared, is in force.
func (l *lab) booted(name string) *device {
	l.Helper()
	d := l.device(name)
	l.udhcpc(d, l.cloud.publish(name, declared(name)))
	l.becomes(d, "enforced", "its profile is enforced")
	l.declares("in force", d)
	return d
}

// declares shows with both families that a device has what declared allows and nothing else.
func (l *lab) declares(when string, d *device) {
	l.Helper()
	for _, f := range families {
		l.try(when, l.only(d, f, true))
	}
}

// nak: the server refuses the device the address that it has (RFC 2131 section 3.2).
func (l *lab) nak() {
	d := l.booted("nak")
	streams := map[family]*stream{}
	for _, f := range families {
		streams[f] = l.stream(d, hostPort(f.host(11), 8883))
	}
	l.answer4(d, dhcpv4.MessageTypeNak)
	l.becomes(d, "enforced", "the DHCP server refused it the address that it had")
	for _, f := range families {
		l.cut(streams[f], d, f)
		l.try("refused", l.only(d, f, false))
	}
	(&client4{l, d, site + "nak.json"}).boot()
	l.becomes(d, "enforced", "its profile is enforced")
	l.declares("bound again", d)
}

// anotherPort plugs the device into another port of the bridge: its policy is there before it says anything.
func (l *lab) anotherPort() {
	d := l.booted("port")
	d.client.kill()
	l.gw.in(l.T, `ip link add moved type veth peer name eth1 netns `+d.name+`; ip link del `+d.port+`
		ip link set moved master br-lan; ip link set moved up`)
	d.in(l.T, `ip link set eth1 name eth0; ip link set eth0 address `+d.mac+`; ip link set eth0 up
		ip addr add `+d.addr+`/24 dev eth0; ip addr add `+d.addr6+`/64 dev eth0 nodad
		ip route add default via `+gateway+`; ip -6 route add default via `+gateway6)
	l.declares("at another port", d)
	l.udhcpc(d, site+"port.json")
	l.becomes(d, "enforced", "its profile is enforced")
	l.declares("at another port, with a new lease", d)
}

// anotherMAC: with another MAC it is another device, and who has the old one is under the old one's policy.
func (l *lab) anotherMAC() {
	d := l.booted("mac")
	old := *d
	d.client.kill()
	d.mac = "02:00:00:00:bb:01"
	// Its old addresses stay the old one's, static ones too (T15).
	d.addr6 = strings.TrimSuffix(d.gw6, "1") + "bb01"
	d.in(l.T, `ip link set eth0 address `+d.mac+`; ip addr flush dev eth0 scope global
		ip addr add `+d.addr6+`/64 dev eth0 nodad; ip -6 route replace default via `+d.gw6)
	l.udhcpc(d, site+"mac.json")
	l.becomes(d, "enforced", "its profile is enforced")
	l.declares("another MAC", d)
	if v := l.view(&old); v.State != "enforced" || v.URL != site+"mac.json" {
		l.complain("the old MAC is %s with %q", v.State, v.URL)
	}
	heir := l.device("heir")
	heir.in(l.T, "ip link set eth0 address "+old.mac)
	l.static(heir, 90)
	l.declares("the old MAC", heir)
}

// forget: a device that was forgotten is not restricted until it announces its URL again.
func (l *lab) forget() {
	d := l.booted("forgotten")
	l.order("forget", d.mac)
	for _, f := range families {
		l.try("forgotten", []probe{l.to("T -> W2", d.space, f.host(12), 8883, true)})
	}
	if out := l.gw.in(l.T, "nft list map inet mudguard from_device"); strings.Contains(out, d.mac) {
		l.complain("a forgotten device is in the kernel: %s", out)
	}
	(&client4{l, d, site + "forgotten.json"}).boot()
	l.becomes(d, "enforced", "its profile is enforced")
	l.declares("announced again", d)
}

// less: an open flow ends where the policy shrinks below it, by a new version of the file or by the administrator, and no other.
func (l *lab) less() {
	d, wide := l.device("less"), declared("less")
	for _, a := range wide.From {
		a.Remote = enforcertest.Eq(8884)
		wide.From = append(wide.From, a)
	}
	url := l.cloud.publish("less", wide)
	l.udhcpc(d, url)
	l.becomes(d, "enforced", "its profile is enforced")
	stays, goes := map[family]*stream{}, map[family]*stream{}
	for _, f := range families {
		stays[f], goes[f] = l.stream(d, hostPort(f.host(11), 8883)), l.stream(d, hostPort(f.host(11), 8884))
	}
	narrow := declared("less")
	narrow.Extra["last-update"] = "2026-02-01T00:00:00Z"
	l.cloud.publish("less", narrow)
	before := l.view(d).Policy
	l.daemon.kill()
	l.makeDue()
	l.start()
	await(l.T, "the narrower file", patience, func() string { return pickText(l.view(d).Policy != before, "", "not yet") })
	for _, f := range families {
		l.ended(goes[f])
		select {
		case err := <-stays[f].done:
			l.complain("a flow that is still allowed ended: %v", err)
		default:
		}
	}
	l.declares("less", d)
	l.order("hold", d.mac)
	for _, f := range families {
		l.cut(stays[f], d, f)
		l.try("held", l.only(d, f, false))
	}
}

// One device behind two LAN interfaces of a gateway without a bridge is under its policy at both.
func TestTwoInterfaces(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	one, two := l.device("one"), l.device("two")
	two.mac = one.mac
	two.in(t, "ip link set eth0 address "+one.mac)
	l.dnsmasq()
	l.start()
	l.udhcpc(one, l.cloud.publish("two", declared("two")))
	l.becomes(one, "enforced", "its profile is enforced")
	l.udhcpc(two, "") // says nothing of a URL there
	v := l.becomes(one, "enforced", "its profile is enforced")
	for _, d := range []*device{one, two} {
		l.declares("at "+d.port, d)
		if !strings.Contains(strings.Join(v.Addresses, " "), d.addr) {
			l.complain("its address %s is not among %v", d.addr, v.Addresses)
		}
	}
	s := l.stream(two, hostPort(v4.host(11), 8883))
	l.order("quarantine", one.mac)
	l.cut(s, two, v4)
	for _, d := range []*device{one, two} {
		for _, f := range families {
			l.try("quarantine at "+d.port, l.only(d, f, false))
		}
	}
}
