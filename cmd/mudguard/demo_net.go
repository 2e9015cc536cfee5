//go:build !mudguard_omit_demo

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Addresses of the demo. All are of ranges for documentation (RFC 5737, RFC 3849) but the LAN's own: nobody's real
// address can be meant, nor the resolver that this computer uses.
const (
	demoBridge   = "br-lan"
	demoGateway  = "192.168.8.1"
	demoGateway6 = "2001:db8:8::1"
	demoWAN      = "198.51.100.1"
	demoInternet = "198.51.100.2"
	demoEvil     = "203.0.113.66"
	demoEvil6    = "2001:db8:99::66"
	demoMaker    = "203.0.113.80"
	demoForeign  = "203.0.113.53" // a resolver that is not this network's
	demoSpoofed  = "192.0.2.99"
	demoCloud    = "203.0.113.128" // the first of demoCloudSize addresses
)

// demoCloudSize is how many addresses the cloud has: more than there are look-ups, so that every answer is a new one.
const demoCloudSize = 64

// demoNS is a network namespace without a name: it goes with the process.
type demoNS struct {
	ns netns.NsHandle // not open: the namespace of the process, the gateway's
	h  *netlink.Handle
}

// demoHost is a host on the LAN, behind a port of the bridge.
type demoHost struct {
	*demoNS
	name  string
	mac   net.HardwareAddr
	addr  netip.Addr // by DHCP
	addr6 netip.Addr
}

// demoLAN is the topology: a gateway, hosts on its bridge, and the rest of the world.
type demoLAN struct {
	gateway, internet    *demoNS
	lamp, camera, laptop *demoHost
	v6                   bool // this kernel has IPv6
}

// in runs f on a thread of a namespace. Sockets that f opens stay there, whoever uses them later. The thread is never
// unlocked, so that it ends with its goroutine and no other ever runs in the wrong namespace.
func (n *demoNS) in(f func() error) error {
	if !n.ns.IsOpen() {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(n.ns); err != nil {
			done <- fmt.Errorf("entering a network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

func newDemoNS() (*demoNS, error) {
	n, done := &demoNS{}, make(chan error, 1)
	go func() {
		runtime.LockOSThread() // as in in
		var err error
		n.ns, err = netns.New()
		done <- err
	}()
	if err := <-done; err != nil {
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	var err error
	if n.h, err = netlink.NewHandleAt(n.ns, unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("opening rtnetlink in a network namespace: %w", err)
	}
	return n, errors.Join(n.basics(false), n.up("lo"))
}

// basics sets what a namespace inherits from the host, or differs from kernel to kernel.
func (n *demoNS) basics(router bool) error {
	return n.in(func() error {
		// Without duplicate address detection an address works at once; nobody else is here.
		_ = sysctl("net/ipv6/conf/all/accept_dad", "0")
		_ = sysctl("net/ipv6/conf/default/accept_dad", "0") // no IPv6: demoLAN.v6 says so
		_ = sysctl("net/ipv6/conf/default/disable_ipv6", "0")
		_ = sysctl("net/ipv6/conf/all/disable_ipv6", "0")
		if !router {
			return nil
		}
		_ = sysctl("net/ipv6/conf/all/forwarding", "1")
		// The kernel's own check of sources is off: it is mudguard's that is to be seen.
		return errors.Join(sysctl("net/ipv4/ip_forward", "1"),
			sysctl("net/ipv4/conf/all/rp_filter", "0"), sysctl("net/ipv4/conf/default/rp_filter", "0"))
	})
}

// sysctl writes a setting of the thread's network namespace; /proc/sys/net shows each thread its own.
func sysctl(name, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644)
}

func (n *demoNS) up(name string) error {
	l, err := n.h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return n.h.LinkSetUp(l)
}

// addr gives an interface an address with the length of its network.
func (n *demoNS) address(link, prefix string) error {
	a, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	a.Flags = unix.IFA_F_NODAD
	l, err := n.h.LinkByName(link)
	if err == nil {
		err = n.h.AddrAdd(l, a)
	}
	if err != nil {
		return fmt.Errorf("address %s on %s: %w", prefix, link, err)
	}
	return nil
}

// route sends what is for a network, or all for "", by way of a neighbour.
func (n *demoNS) route(to, via string) error {
	r := &netlink.Route{Gw: net.ParseIP(via)}
	if to != "" {
		_, r.Dst, _ = net.ParseCIDR(to)
	}
	if err := n.h.RouteAdd(r); err != nil {
		return fmt.Errorf("route to %q via %s: %w", to, via, err)
	}
	return nil
}

// cable joins this namespace, where its end is called name, and another, where it is called peer.
func (n *demoNS) cable(name string, to *demoNS, peer string, mac net.HardwareAddr) error {
	v := netlink.NewVeth(netlink.LinkAttrs{Name: name})
	v.PeerName, v.PeerHardwareAddr, v.PeerNamespace = peer, mac, netlink.NsFd(to.ns)
	if err := n.h.LinkAdd(v); err != nil {
		return fmt.Errorf("veth %s: %w", name, err)
	}
	return errors.Join(n.up(name), to.up(peer))
}

// newDemoLAN builds the topology around the namespace that this process is in.
func newDemoLAN() (*demoLAN, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening rtnetlink: %w", err)
	}
	l := &demoLAN{gateway: &demoNS{ns: netns.None(), h: h}}
	if l.internet, err = newDemoNS(); err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error { return l.gateway.basics(true) },
		func() error { return l.gateway.up("lo") },
		l.uplink, l.bridge, l.hosts,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if l.v6 = l.setUpIPv6() == nil; !l.v6 {
		l.lamp.addr6, l.laptop.addr6 = netip.Addr{}, netip.Addr{}
	}
	return l, nil
}

// uplink makes the small Internet. A network on a loopback interface makes all its addresses local there. There is no
// default route on the gateway: what is nowhere in the demo fails at once.
func (l *demoLAN) uplink() error {
	return errors.Join(
		l.gateway.cable("wan", l.internet, "up", nil),
		l.gateway.address("wan", demoWAN+"/30"),
		l.internet.address("up", demoInternet+"/30"),
		l.internet.address("lo", "203.0.113.1/24"),
		l.gateway.route("203.0.113.0/24", demoInternet),
		l.internet.route("", demoWAN),
	)
}

func (l *demoLAN) bridge() error {
	attrs := netlink.LinkAttrs{Name: demoBridge, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 8, 1}}
	off := false // without a querier, snooping is only one more thing that can differ between kernels
	if err := l.gateway.h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return errors.Join(l.gateway.up(demoBridge), l.gateway.address(demoBridge, demoGateway+"/24"))
}

func (l *demoLAN) hosts() error {
	var err error
	host := func(name string, n byte) *demoHost {
		d := &demoHost{name: name, mac: net.HardwareAddr{2, 0, 0, 0, 8, n}}
		if err == nil {
			d.demoNS, err = newDemoNS()
		}
		if err == nil {
			err = l.plug(d)
		}
		return d
	}
	l.lamp, l.camera, l.laptop = host("lamp", 0x20), host("camera", 0x21), host("laptop", 0x22)
	return err
}

// plug puts a host on the bridge.
func (l *demoLAN) plug(d *demoHost) error {
	if err := l.gateway.cable("port-"+d.name, d.demoNS, "eth0", d.mac); err != nil {
		return err
	}
	port, err := l.gateway.h.LinkByName("port-" + d.name)
	if err != nil {
		return err
	}
	br, err := l.gateway.h.LinkByName(demoBridge)
	if err != nil {
		return err
	}
	return l.gateway.h.LinkSetMaster(port, br)
}

// setUpIPv6 gives all IPv6 addresses by hand: a prefix delegation and router advertisements would add nothing to the story.
func (l *demoLAN) setUpIPv6() error {
	const lamp6, laptop6 = "2001:db8:8::20", "2001:db8:8::22"
	l.lamp.addr6, l.laptop.addr6 = netip.MustParseAddr(lamp6), netip.MustParseAddr(laptop6)
	return errors.Join(
		l.gateway.address(demoBridge, demoGateway6+"/64"),
		l.gateway.address("wan", "2001:db8:1::1/64"),
		l.internet.address("up", "2001:db8:1::2/64"),
		l.internet.address("lo", demoEvil6+"/128"),
		l.gateway.route("2001:db8:99::/64", "2001:db8:1::2"),
		l.internet.route("2001:db8:8::/64", "2001:db8:1::1"),
		l.lamp.address("eth0", lamp6+"/64"), l.lamp.route("", demoGateway6),
		l.laptop.address("eth0", laptop6+"/64"), l.laptop.route("", demoGateway6),
	)
}
