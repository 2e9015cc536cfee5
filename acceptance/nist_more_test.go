package acceptance

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mudguard/enforcer/enforcertest"
)

const lights = "https://lights.example/hub" // a class of controllers

// lateral is a case of IoT-6: who is in the class, and who is not.
type lateral struct {
	name        string
	class       map[string]any
	member, not func() (*space, string) // who, and his address
	toDevice    bool                    // the class may open flows, not the device
}

// IoT-6: devices of one switch reach each other by their classes, in the direction that the file says. R8520-4.1-a, R8520-4.2-a,
// R8520-4.4-a, R8520-4.7-a, R8520-16-i.
func (l *lab) iot6(nb *device, f family) {
	p1, p2 := l.device("p1"), l.device("p2")
	for i, p := range []*device{p1, p2} {
		p.listen(l.T, ":7001")
		in := enforcertest.ACE{Both: true, Class: enforcertest.Group("local-networks"), Proto: "tcp", Initiated: "to-device"}
		out := in
		out.Initiated = "from-device"
		name := f.file([]string{"p1", "p2"}[i])
		file := lampProfile(name)
		file.From, file.To = []enforcertest.ACE{out}, []enforcertest.ACE{in}
		if p == p2 {
			file.URL = strings.Replace(file.URL, "maker.", "maker2.", 1)
		}
		l.udhcpc(p, l.cloud.publish(name, file))
		l.becomes(p, "enforced", "")
		l.heardOf(p, f)
		l.order("approve", p.mac) // anybody can announce a URL by DHCP (R8520-16-i)
	}
	at := func(d *device) func() (*space, string) { return func() (*space, string) { return d.space, f.of(d) } }
	internet := func() (*space, string) { return l.wan, f.host(11) }
	for _, c := range []lateral{
		{"local", enforcertest.Group("local-networks"), at(p1), internet, false},
		{"samemaker", enforcertest.Group("same-manufacturer"), at(p1), at(p2), false},
		{"samemakerto", enforcertest.Group("same-manufacturer"), at(p1), at(p2), true},
		{"maker", enforcertest.Class("manufacturer", "maker2.example"), at(p2), at(p1), false},
		{"model", enforcertest.Class("model", site+f.file("p1")+".json"), at(p1), at(p2), false},
		{"control", enforcertest.Class("controller", lights), at(nb), at(p1), false},
		{"my", enforcertest.Group("my-controller"), at(nb), at(p1), false},
	} {
		l.lateral(f, c)
	}
}

// heardOf lets a device ask for the gateway's Ethernet address, which tells its own IP address: what duplicate address detection
// would have told, which these spaces go without.
func (l *lab) heardOf(d *device, f family) {
	l.Helper()
	_ = d.tcp(hostPort(f.gateway(d), 22)) // denied
	await(l.T, "the device's address is known", patience, func() string {
		v := l.view(d)
		return pickText(slices.Contains(v.Addresses, f.of(d)), "", strings.Join(v.Addresses, " "))
	})
}

// lateral boots T with a file about one class, and tries both sides.
func (l *lab) lateral(f family, c lateral) {
	l.Helper()
	t, name := l.device("t"), f.file(c.name)
	t.listen(l.T, ":7001")
	p := lampProfile(name)
	p.From, p.To = nil, nil
	ace := enforcertest.ACE{Both: true, Class: c.class, Proto: "tcp", Remote: enforcertest.Eq(7000), Initiated: "from-device"}
	if c.toDevice {
		ace.Remote, ace.Local, ace.Initiated = nil, ace.Remote, "to-device"
		p.To = []enforcertest.ACE{ace}
	} else {
		p.From = []enforcertest.ACE{ace}
	}
	l.udhcpc(t, l.cloud.publish(name, p))
	l.becomes(t, "enforced", "its profile is enforced")
	l.heardOf(t, f)
	l.order("approve", t.mac)
	member, addr := c.member()
	other, otherAddr := c.not()
	port := 7000
	if other == l.wan {
		port = 8883 // where it listens
	}
	before := l.arrived(other)
	l.try(c.name, []probe{
		l.to("T -> P1", t.space, addr, 7000, !c.toDevice), l.to("P1 -> T", member, f.of(t), 7000, c.toDevice),
		l.to("T -> P1 at another port", t.space, addr, 7001, false), l.to("P1 -> T at another port", member, f.of(t), 7001, false),
		l.to("T -> P2", t.space, otherAddr, port, false), l.to("P2 -> T", other, f.of(t), 7000, false),
	})
	if n := l.arrived(other) - before; n > 0 {
		l.complain("%s: %d packets of T were delivered to P2", c.name, n)
	}
}

// IoT-9: each address that a name has is open, and no other; also after the name got others.
func (l *lab) iot9(f family) {
	d, name, host := l.device("t"), f.file("iot9"), f.file("many")+".example"
	p := lampProfile(name)
	p.From, p.To = []enforcertest.ACE{f.ace(enforcertest.ACE{Name: host, Proto: "tcp", Remote: enforcertest.Eq(8883)})}, nil
	var open []string
	l.cloud.name(host, netip.MustParseAddr(f.host(21)))
	l.udhcpc(d, l.cloud.publish(name, p))
	l.becomes(d, "enforced", "")
	for round := range 3 {
		var addrs []netip.Addr
		for i := range 4 {
			addrs = append(addrs, netip.MustParseAddr(f.host(21+10*round+i)))
		}
		l.cloud.name(host, addrs...)
		got, err := d.ask(gateway, host, f.qtype())
		if err != nil || len(got) != len(addrs) {
			l.fatal("%s: %v, %v", host, got, err)
		}
		probes := []probe{l.to("T -> an address of no name", d.space, f.host(29+10*round), 8883, false),
			l.to("T -> one of the next addresses", d.space, f.host(31+10*round), 8883, false)}
		for _, a := range got {
			open = append(open, a.String())
			probes = append(probes, l.to("T -> an address of the name", d.space, a.String(), 8883, true),
				l.to("T -> it at another port", d.space, a.String(), 80, false))
		}
		l.try(fmt.Sprintf("round %d", round), probes)
	}
	l.sameNames(d, host, open)
}

// sameNames compares what is open for a name with what was answered.
func (l *lab) sameNames(d *device, host string, want []string) {
	l.Helper()
	var v view
	l.decode(&v, "device", "--json", d.mac)
	for _, n := range v.Names {
		if n.Name == host {
			got := slices.Sorted(slices.Values(n.Addresses))
			if slices.Sort(want); !slices.Equal(got, want) {
				l.complain("open for %s are %v, and answered were %v", host, got, want)
			}
			return
		}
	}
	l.complain("%s is not among the names of the device", host)
}

// IoT-10: within cache-validity the file of the cache is used and nobody is asked; after it, the server is.
func (l *lab) iot10(f family) {
	d, name := l.device("t"), f.file("iot10")
	c := l.client(d, l.cloud.publish(name, declared(name)), f)
	l.becomes(d, "enforced", "its profile is enforced")
	fetched := l.cloud.asked("/" + name + ".json")
	c.release()
	l.becomes(d, "enforced", "it gave its address back")
	c.boot()
	l.becomes(d, "enforced", "its profile is enforced")
	l.restart()
	l.becomes(d, "enforced", "its profile is enforced")
	l.try("within cache-validity", l.only(d, f, true))
	if n := l.cloud.asked("/"+name+".json") - fetched; n != 0 {
		l.complain("the file server was asked %d times for a file that is valid for 48 hours", n)
	}
	l.daemon.kill()
	l.makeDue()
	l.start()
	await(l.T, "a refresh", patience, func() string { return pickText(l.cloud.asked("/"+name+".json") > fetched, "", "not yet") })
	l.becomes(d, "enforced", "its profile is enforced")
	l.try("after cache-validity", l.only(d, f, true))
}

// IoT-11: by each way that a URL can come, the URL is taken to the letter and its profile is enforced.
func (l *lab) iot11(f family) {
	for i, c := range []struct {
		source string
		tell   func(*device, string)
	}{
		{"dhcpv4", func(d *device, url string) { l.udhcpc(d, url) }},
		{"dhcpv6", func(d *device, url string) { l.newClient6(d, url).boot() }},
		{"lldp", func(d *device, url string) { l.lldp(d, url) }},
		{"x509", func(d *device, url string) { l.order("assign", d.mac, "--cert", l.certificate(d, url)) }},
		{"qr", func(d *device, url string) { l.order("assign", "--qr", sticker(url, d.mac)) }},
		{"admin", func(d *device, url string) { l.order("assign", d.mac, url) }},
	} {
		d, name := l.device("t"), f.file(c.source)
		p := declared(name)
		p.URL = site + name + "%2Fv1~a;%C3%A4=1.json" // without a query, which QR codes have no place for
		l.cloud.publish(name, p)
		l.cloud.file("/"+name+"/v1~a;ä=1.json", p.JSON())
		l.static(d, 70+i)
		c.tell(d, p.URL)
		v := l.becomes(d, "enforced", "its profile is enforced")
		if v.URL != p.URL || v.Source != c.source {
			l.complain("announced was %q by %s, and understood %q by %s", p.URL, c.source, v.URL, v.Source)
		}
		l.try(c.source, l.only(d, f, true))
	}
}
