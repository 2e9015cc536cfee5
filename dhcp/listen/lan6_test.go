package listen

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

// gateway6 is the gateway's address on an IPv6 LAN.
var (
	gateway6 = netip.MustParseAddr("fd00:77::1")
	prefix6  = netip.MustParsePrefix("fd00:77::/64")
)

// serve6 starts dnsmasq as DHCPv6 server and router in a namespace; ranges are given as dnsmasq has it.
func (l lan) serve6(t *testing.T, ranges string) {
	t.Helper()
	run(t, "ip", "-n", l.gateway, "addr", "add", gateway6.String()+"/64", "dev", l.ifname, "nodad")
	dir := t.TempDir()
	start(t, l.gateway, "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface="+l.ifname, "--bind-interfaces",
		"--dhcp-range="+ranges, "--enable-ra", "--ra-param="+l.ifname+",5,600", "--dhcp-option=option6:dns-server,["+gateway6.String()+"]",
		"--dhcp-option=option6:sntp-server,["+gateway6.String()+"]", "--dhcp-leasefile="+filepath.Join(dir, "leases"),
		"--pid-file="+filepath.Join(dir, "pid"), "--user=root", "--dhcp-authoritative", "--log-dhcp")
}

// dhclient6 starts ISC's client, which gives the option a name and a type.
func dhclient6(t *testing.T, ns string, args ...string) (stop func(), again func(args ...string)) {
	t.Helper()
	dir := t.TempDir()
	conf := "option dhcp6.mud-url code 112 = text;\nsend dhcp6.mud-url \"" + url + "\";\nrequest dhcp6.name-servers, dhcp6.sntp-servers;\n"
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	common := []string{"dhclient", "-6", "-d", "-cf", filepath.Join(dir, "conf"), "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"),
		"-sf", script(t)}
	run := func(args ...string) func() { return start(t, ns, append(slices.Concat(common, args), "eth0")...) }
	return run(args...), func(args ...string) { run(args...) }
}

// write sets a kernel parameter of a namespace.
func write(t *testing.T, ns, name, value string) {
	t.Helper()
	inside(t, ns, func() error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644) })
}

// awaitLinkLocal waits until a host has an address from which it can ask: dhclient gives up without.
func awaitLinkLocal(t *testing.T, ns string) {
	t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if slices.ContainsFunc(addrsOf(t, ns), netip.Addr.IsLinkLocalUnicast) {
			return
		}
	}
	t.Fatal("the host has no link-local address")
}

// TestDhclient6 follows a device with a lease from joining to leaving (RDHCP-8415-a, RDHCP-8415-b).
func TestDhclient6(t *testing.T) {
	need(t, "dhclient", "dnsmasq")
	l := newLAN(t)
	host := l.host(t, "lamp", lamp)
	e := hear(t, l)
	l.serve6(t, "fd00:77::100,fd00:77::1ff,64,10m")
	awaitLinkLocal(t, host)
	stop, again := dhclient6(t, host)
	seen := e.await(t, "seen", by(dhcp.SourceDHCPv6, dhcp.Seen, lamp))
	if seen.URL != url || seen.Problem+seen.Remark != "" || seen.Interface != l.ifname || seen.ClientID == "" {
		t.Errorf("seen: %+v", seen)
	}
	bound := e.await(t, "bound", by(dhcp.SourceDHCPv6, dhcp.Bound, lamp))
	servers := []netip.Addr{gateway6}
	if !prefix6.Contains(bound.Addr) || bound.Lease != 10*time.Minute || !slices.Equal(bound.DNS, servers) || !slices.Equal(bound.NTP, servers) ||
		bound.ServerMAC != router || bound.ClientID != seen.ClientID {
		t.Errorf("bound: %+v", bound)
	}
	awaitAddr(t, host, bound.Addr)
	stop()
	again("-r")
	if released := e.await(t, "released", by(dhcp.SourceDHCPv6, dhcp.Released, lamp)); released.Addr != bound.Addr {
		t.Errorf("released %v; want %v", released.Addr, bound.Addr)
	}
}

// TestSLAAC: a device that speaks IPv6 only makes its addresses itself, some of them to stay private. It announces its
// URL as it asks for name servers (RDHCP-slaac).
func TestSLAAC(t *testing.T) {
	need(t, "dhclient", "dnsmasq")
	l := newLAN(t)
	host := l.host(t, "lamp", lamp)
	write(t, host, "ipv6/conf/eth0/use_tempaddr", "2")
	e := hear(t, l)
	l.serve6(t, "fd00:77::,ra-stateless,64,10m")
	awaitLinkLocal(t, host)
	dhclient6(t, host, "-S")
	var announced, answered bool
	used := map[netip.Addr]bool{}
	late := time.After(deadline)
	for !announced || !answered || !allUsed(t, host, used) {
		var s dhcp.Sighting
		select {
		case s = <-e.heard:
		case <-time.After(50 * time.Millisecond): // an address may be ready only after it was heard
		case <-late:
			t.Fatalf("announced %t, answered %t, addresses %v; used %v", announced, answered, addrsOf(t, host), used)
		}
		announced = announced || s.MAC == lamp && s.URL == url
		answered = answered || s.ServerMAC == router && slices.Equal(s.DNS, []netip.Addr{gateway6})
		used[s.Addr] = used[s.Addr] || s.MAC == lamp && s.Kind == dhcp.Uses
	}
}

// allUsed reports whether a host has a lasting and a private address on the LAN, and no other than those that it used.
func allUsed(t *testing.T, ns string, used map[netip.Addr]bool) bool {
	t.Helper()
	n := 0
	for _, a := range addrsOf(t, ns) {
		if prefix6.Contains(a) {
			if n++; !used[a] {
				return false
			}
		}
	}
	return n >= 2
}

// TestDhcpcd is the client that knows MUD itself. It has one DUID for both versions (RDHCP-4361-a).
func TestDhcpcd(t *testing.T) {
	need(t, "dhcpcd", "dnsmasq")
	l := newLAN(t)
	host := l.host(t, "lamp", lamp)
	conf := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(conf, []byte("duid\nmudurl "+url+"\nnoipv4ll\nnoarp\nia_na 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := hear(t, l)
	serve(t, l.gateway, l.ifname, "192.168.77.50", "192.168.77.99")
	l.serve6(t, "fd00:77::100,fd00:77::1ff,64,10m")
	// ip-netns gives the client a mount namespace of its own: what it would leave behind is hidden there.
	start(t, host, "sh", "-c", "mkdir -p /var/lib/dhcpcd /run/dhcpcd && mount -t tmpfs none /var/lib/dhcpcd && mount -t tmpfs none /run/dhcpcd && exec dhcpcd -B -f "+conf+" -c /bin/true eth0")
	var ids []string
	for _, source := range []dhcp.Source{dhcp.SourceDHCPv4, dhcp.SourceDHCPv6} {
		seen := e.await(t, "seen", by(source, dhcp.Seen, lamp))
		if seen.URL != url {
			t.Errorf("seen: %+v", seen)
		}
		if bound := e.await(t, "bound", by(source, dhcp.Bound, lamp)); bound.ClientID != seen.ClientID && bound.ClientID != "" {
			t.Errorf("bound: %+v; seen: %+v", bound, seen) // a server that doesn't follow RFC 6842 leaves it out
		}
		ids = append(ids, seen.ClientID)
	}
	if ids[0] != ids[1] || ids[0] == "" {
		t.Errorf("client identifiers %q; want one", ids)
	}
}

// TestOwnStaysOwn: what the gateway forwards bears its Ethernet address, and is not its word (hardening.md T15).
func TestOwnStaysOwn(t *testing.T) {
	need(t)
	l := newLAN(t)
	host, wan := l.host(t, "lamp", lamp), namespace(t, "wan")
	run(t, "ip", "-n", l.gateway, "link", "add", "wan0", "type", "veth", "peer", "name", "eth0", "netns", wan)
	for _, of := range [][]string{{l.gateway, "wan0", "10.9.9.1/24"}, {wan, "eth0", "10.9.9.2/24"}, {host, "eth0", "192.168.77.20/24"}} {
		run(t, "ip", "-n", of[0], "addr", "add", of[2], "dev", of[1])
		run(t, "ip", "-n", of[0], "link", "set", of[1], "up")
	}
	run(t, "ip", "-n", wan, "route", "add", "default", "via", "10.9.9.1")
	write(t, l.gateway, "ipv4/ip_forward", "1")
	e := hear(t, l)
	message := frames.Message(dhcpv4.OpcodeBootReply, lamp, dhcpv4.MessageTypeAck, dhcpv4.WithYourIP(ip), dhcpv4.WithLeaseTime(3600))
	inside(t, wan, func() error {
		conn, err := net.DialUDP("udp4", &net.UDPAddr{Port: 67}, &net.UDPAddr{IP: net.IP{192, 168, 77, 20}, Port: 68})
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write(message)
		return err
	})
	for end := time.Now().Add(deadline); e.Stats().Untrusted == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the forwarded ACK was not heard: %+v", e.Stats())
		}
		if len(e.heard) > 0 {
			if s := <-e.heard; s.Kind == dhcp.Bound {
				t.Fatalf("the forwarded ACK binds: %+v", s)
			}
		}
	}
}
