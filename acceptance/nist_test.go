package acceptance

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mudguard/enforcer/enforcertest"
)

// The functional demonstration of NIST SP 1800-15 (standards.md 11.1), each case with IPv4 and, which NIST did not, with IPv6. The
// IPv6 twins of IoT-1, IoT-7, IoT-8 and IoT-10 have a DHCPv6 lease and option 112; those of the others announce by DHCPv4.
func TestNIST(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	nb := l.device("nb") // the controller of IoT-6
	l.static(nb, 50)
	nb.listen(t, ":7001")
	hub := []string{nb.addr, nb.addr6}
	l.config["classes"] = map[string]any{"controllers": map[string]any{lights: hub}, "my_controllers": map[string]any{site + "my.json": hub, site + "my6.json": hub}}
	l.wan.echoUDP(t, v4.host(11)+":9999")
	l.wan.echoUDP(t, "["+v6.host(11)+"]:9999")
	l.dnsmasq("--dhcp-range=2001:db8:8::1000,2001:db8:8::1fff,64,1h")
	l.start()
	for _, c := range []struct {
		name string
		try  func(*lab, family)
	}{
		{"IoT-1", (*lab).iot1}, {"IoT-2", (*lab).iot2}, {"IoT-3", (*lab).iot3}, {"IoT-4", (*lab).iot4}, {"IoT-5", (*lab).iot5},
		{"IoT-6", func(l *lab, f family) { l.iot6(nb, f) }}, {"IoT-7", (*lab).iot7}, {"IoT-8", (*lab).iot8}, {"IoT-9", (*lab).iot9},
		{"IoT-10", (*lab).iot10}, {"IoT-11", (*lab).iot11},
	} {
		for _, f := range families {
			l.run(c.name+f.suffix, func() { c.try(l, f) })
		}
	}
}

// only is the probes of one family: what declared allows, and neither another port nor another host nor another protocol.
func (l *lab) only(d *device, f family, access bool) []probe {
	return []probe{l.to("T -> W1", d.space, f.host(11), 8883, access), l.to("T -> W1 at another port", d.space, f.host(11), 80, false),
		l.to("T -> W2", d.space, f.host(12), 8883, false), l.to("T -> gateway's SSH", d.space, f.gateway(d), 22, false)}
}

// file is the name of a file of a case: each family has its own.
func (f family) file(name string) string { return pickText(f.six, name+"6", name) }

// IoT-1: a device announces its URL with the lease, its file and signature are fetched and verified, and its profile is in force
// and on the disk; until then it has DHCP, DNS and NTP only (R8520-1.9-a).
func (l *lab) iot1(f family) {
	d, name, asked := l.device("t"), f.file("iot1"), make(chan struct{}, 2)
	url := l.cloud.publish(name, declared(name))
	gate, raw := make(chan struct{}), declared(name).JSON()
	l.cloud.page("/"+name+".json", func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-gate
		_, _ = w.Write(raw)
	})
	fetched := l.cloud.fetches()
	l.client(d, url, f)
	<-asked
	l.becomes(d, "fetching", "")
	l.try("before the file is verified", l.only(d, f, false))
	close(gate)
	v := l.becomes(d, "enforced", "its profile is enforced")
	if n := l.cloud.fetches() - fetched; n < 2 || v.URL != url || v.Source != pickText(f.six, "dhcpv6", "dhcpv4") {
		l.complain("%d requests to the file server (file and signature are wanted); URL %q from %q", n, v.URL, v.Source)
	}
	if !slices.Contains(v.Addresses, f.of(d)) {
		l.complain("its lease %s is not among its addresses %v", f.of(d), v.Addresses)
	}
	if out := l.order("device", d.mac); !strings.Contains(out, "Maker MUD signer") {
		l.complain("who signed is not shown: %s", out)
	}
	if out := l.gw.in(l.T, "nft list map inet mudguard from_device"); !strings.Contains(out, d.mac) {
		l.complain("the device is not in the kernel: %s", out)
	}
	l.try("in force", l.only(d, f, true))
	metas, _ := filepath.Glob(filepath.Join(l.dir, "state/profiles/*/meta.json"))
	if out := shell(l.T, "cat "+strings.Join(metas, " ")); !strings.Contains(out, url) {
		l.complain("the file is not cached: %s", out)
	}
}

// IoT-2: the file server's certificate is not valid, or nobody is there: the local policy for such devices is installed, which is
// to block or, where it is so configured, to allow. R8520-10.2-b.
func (l *lab) iot2(f family) {
	l.cloud.publish("iot2", declared("iot2"))
	var devices []*device
	for host, says := range map[string]string{"expired.example": "certificate is expired", "self.example": "authority that is not trusted",
		"other.example": "certificate is not for", "down.example": "can't be reached"} {
		d := l.device("t")
		devices = append(devices, d)
		l.udhcpc(d, "https://"+host+"/iot2.json")
		l.becomes(d, "failed", says)
		l.try(host, l.only(d, f, false))
	}
	last := devices[len(devices)-1]
	l.config["failed"] = "allow"
	l.restart()
	l.becomes(last, "failed", "failed: allow")
	l.try("failed: allow", []probe{l.to("T -> W2", last.space, f.host(12), 8883, true)})
	delete(l.config, "failed")
	l.restart()
	l.try("failed: block", l.only(last, f, false))
}

// IoT-3: the signer's certificate was expired at signing. The probes are of both families, here and in IoT-4.
func (l *lab) iot3(family) { l.refuses(badSignatures()[0]) }

// IoT-4: the signature is not valid for another reason.
func (l *lab) iot4(family) {
	for _, c := range badSignatures()[1:4] {
		l.refuses(c)
	}
}

// IoT-5: north-south. What the file says passes, in the direction that it says; all else does not.
func (l *lab) iot5(f family) {
	d, name := l.device("t"), f.file("iot5")
	d.listen(l.T, ":7001")
	p := lampProfile(name)
	p.From = []enforcertest.ACE{f.ace(enforcertest.ACE{Name: "w1.example", Proto: "tcp", Remote: enforcertest.Eq(8883), Initiated: "from-device"})}
	p.To = []enforcertest.ACE{f.ace(enforcertest.ACE{Net: f.net(13), Proto: "tcp", Local: enforcertest.Eq(7000), Initiated: "to-device"})}
	l.cloud.name("w1.example", netip.MustParseAddr(v4.host(11)), netip.MustParseAddr(v6.host(11)))
	l.static(d, 60)
	l.try("before it announces", l.northSouth(d, f, true))
	d.in(l.T, "ip -4 addr flush dev eth0")
	l.udhcpc(d, l.cloud.publish(name, p))
	l.becomes(d, "enforced", "")
	if _, err := d.ask(gateway, "w1.example", f.qtype()); err != nil {
		l.fatal("w1.example: %v", err)
	}
	l.try("in force", l.northSouth(d, f, false))
	l.denial(d, func(x denial) bool { return x.Enforced && x.Direction == "out" && x.Dst == f.host(12) })
	l.denial(d, func(x denial) bool { return x.Direction == "in" && x.Src == f.host(12) })
}

func (f family) qtype() uint16 {
	if f.six {
		return dns.TypeAAAA
	}
	return dns.TypeA
}

// northSouth is (a) to (f) of IoT-5, and a wrong port and protocol; free: nothing is denied yet.
func (l *lab) northSouth(d *device, f family, free bool) []probe {
	return []probe{
		l.to("(a) T -> W1", d.space, f.host(11), 8883, true),
		l.from(f.host(13), "(b) W3 -> T", l.wan, f.of(d), 7000, true),
		l.to("(c) T -> W2", d.space, f.host(12), 8883, free),
		l.from(f.host(12), "(d) W2 -> T", l.wan, f.of(d), 7000, free),
		l.to("(e) T -> W3", d.space, f.host(13), 8883, free),
		l.from(f.host(11), "(f) W1 -> T", l.wan, f.of(d), 7000, free),
		l.to("T -> W1 at another port", d.space, f.host(11), 80, free),
		l.from(f.host(13), "W3 -> T at another port", l.wan, f.of(d), 7001, free),
		{"T -> W1 by UDP", func() error { return d.udp(hostPort(f.host(11), 9999)) }, free},
	}
}

// IoT-7: who gives his lease back may do nothing until he has one again; his open flows end (R8520-1.9-b, T-20).
func (l *lab) iot7(f family) {
	d, name := l.device("t"), f.file("iot7")
	c := l.client(d, l.cloud.publish(name, declared(name)), f)
	l.becomes(d, "enforced", "its profile is enforced")
	l.try("in force", l.only(d, f, true))
	s := l.stream(d, hostPort(f.host(11), 8883))
	c.release()
	l.becomes(d, "enforced", "it gave its address back")
	l.cut(s, d, f)
	l.try("released", l.only(d, f, false))
	c.boot()
	l.becomes(d, "enforced", "its profile is enforced")
	l.try("bound again", l.only(d, f, true))
}

// cut shows that an open flow of a device ended, and that the kernel follows none of its flows.
func (l *lab) cut(s *stream, d *device, f family) {
	l.Helper()
	l.ended(s)
	list := "conntrack -L -f " + pickText(f.six, "ipv6", "ipv4") + " -s " + f.of(d) + " -p tcp --state ESTABLISHED 2>/dev/null"
	if out := l.gw.in(l.T, list); strings.TrimSpace(out) != "" {
		l.complain("flows of a device without policy: %s", out)
	}
}

// ended shows that an open flow broke.
func (l *lab) ended(s *stream) {
	l.Helper()
	select { // it gives up three seconds after the last echo
	case err := <-s.done:
		if err == nil {
			l.complain("the stream ended by itself")
		}
	case <-time.After(patience):
		l.complain("an open flow goes on: %s", l.gw.in(l.T, "conntrack -L 2>&1; conntrack -L -f ipv6 2>&1"))
	}
}

// IoT-8: the lease ends while the device says nothing.
func (l *lab) iot8(f family) {
	d, name := l.device("t"), f.file("iot8")
	c := l.client(d, l.cloud.publish(name, declared(name)), f)
	l.becomes(d, "enforced", "its profile is enforced")
	l.try("in force", l.only(d, f, true))
	s, began := l.stream(d, hostPort(f.host(11), 8883)), time.Now()
	const lease = 3
	c.shorten(lease)
	l.becomes(d, "enforced", "its lease ended")
	if took := time.Since(began); took < lease*time.Second-100*time.Millisecond || took > (lease+5)*time.Second {
		l.complain("a lease of %d s ended after %v", lease, took)
	}
	l.cut(s, d, f)
	l.try("expired", l.only(d, f, false))
	c.boot()
	l.becomes(d, "enforced", "its profile is enforced")
	l.try("bound again", l.only(d, f, true))
}
