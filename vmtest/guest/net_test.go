package guest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Addresses, all of ranges for documentation (RFC 5737) but the LAN's own.
const (
	gatewayAddr   = "192.168.8.1"
	neighbourAddr = "192.168.8.50"
	internetAddr  = "198.51.100.2"
	evilAddr      = "203.0.113.250"
	fixedAddr     = "203.0.113.240"
)

var lampMAC = net.HardwareAddr{2, 0, 0, 0, 0, 0x0a}

// space is a network namespace; the zero descriptor is that of the process, the gateway's.
type space struct {
	name string
	ns   netns.NsHandle
	h    *netlink.Handle
}

// house is the whole topology and what runs in it.
type house struct {
	mode                     string
	gateway, wan, lamp, next *space
	lampAddr                 netip.Addr
	zone                     zone
	daemon                   *exec.Cmd
	ca                       []byte
}

// in runs f on a thread of the namespace. Sockets and programs that it starts are in there. The thread ends with its
// goroutine.
func (s *space) in(f func() error) error {
	if s.ns == 0 {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		if err := netns.Set(s.ns); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func newSpace(name string) (*space, error) {
	s, done := &space{name: name}, make(chan error, 1)
	go func() {
		runtime.LockOSThread() // as in in
		var err error
		s.ns, err = netns.New()
		done <- err
	}()
	err := <-done
	if err == nil {
		s.h, err = netlink.NewHandleAt(s.ns, unix.NETLINK_ROUTE)
	}
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return s, s.up("lo")
}

func (s *space) up(name string) error {
	l, err := s.h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("%s: link %s: %w", s.name, name, err)
	}
	return s.h.LinkSetUp(l)
}

func (s *space) address(link, prefix string) error {
	a, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	l, err := s.h.LinkByName(link)
	if err == nil {
		err = s.h.AddrAdd(l, a)
	}
	if err != nil {
		return fmt.Errorf("%s: address %s on %s: %w", s.name, prefix, link, err)
	}
	return nil
}

// route sends what is for a network, or all for "", by way of a neighbour.
func (s *space) route(to, via string) error {
	r := &netlink.Route{Gw: net.ParseIP(via)}
	if to != "" {
		_, r.Dst, _ = net.ParseCIDR(to) // a constant
	}
	if err := s.h.RouteAdd(r); err != nil {
		return fmt.Errorf("%s: route to %q via %s: %w", s.name, to, via, err)
	}
	return nil
}

// cable joins this namespace, where its end is called name, and another, where it is eth0.
func (s *space) cable(name string, to *space, mac net.HardwareAddr) error {
	v := netlink.NewVeth(netlink.LinkAttrs{Name: name})
	v.PeerName, v.PeerHardwareAddr, v.PeerNamespace = "eth0", mac, netlink.NsFd(to.ns)
	if err := s.h.LinkAdd(v); err != nil {
		return fmt.Errorf("veth %s: %w", name, err)
	}
	return errors.Join(s.up(name), to.up("eth0"))
}

func sysctl(name, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644)
}

// run runs a program in the namespace and gives what it says.
func (s *space) run(stdin, name string, args ...string) (string, error) {
	var out []byte
	err := s.in(func() (err error) {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// network builds the house: a gateway, a lamp and a neighbour on its bridge, and the Internet.
func (h *house) network() error {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	h.gateway = &space{name: "gateway", h: handle}
	for _, s := range []struct {
		to   **space
		name string
	}{{&h.wan, "wan"}, {&h.lamp, "lamp"}, {&h.next, "neighbour"}} {
		if *s.to, err = newSpace(s.name); err != nil {
			return err
		}
	}
	steps := []func() error{
		func() error { return h.gateway.up("lo") },
		func() error { return sysctl("net/ipv4/ip_forward", "1") },
		h.uplink, h.bridge,
		func() error { return h.next.address("eth0", neighbourAddr+"/24") },
		func() error { return h.next.route("", gatewayAddr) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// uplink makes the Internet. A network on a loopback interface makes all its addresses local there.
func (h *house) uplink() error {
	return errors.Join(
		h.gateway.cable("wan0", h.wan, nil),
		h.gateway.address("wan0", "198.51.100.1/24"),
		h.wan.address("eth0", internetAddr+"/24"),
		h.wan.address("lo", "203.0.113.1/24"),
		h.gateway.route("203.0.113.0/24", internetAddr),
		h.wan.route("", "198.51.100.1"),
	)
}

func (h *house) bridge() error {
	off := false // snooping would be one more thing that differs between kernels
	vlans := h.lan() != "br-lan"
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br-lan"}, MulticastSnooping: &off, VlanFiltering: &vlans}
	if err := h.gateway.h.LinkAdd(br); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	err := h.gateway.up("br-lan")
	if vlans {
		err = errors.Join(err, h.gateway.h.BridgeVlanAdd(br, vlan, false, false, true, false),
			h.gateway.h.LinkAdd(&netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: h.lan(), ParentIndex: br.Index}, VlanId: vlan}), h.gateway.up(h.lan()))
	}
	err = errors.Join(err, h.gateway.address(h.lan(), gatewayAddr+"/24"))
	for _, p := range []struct {
		name string
		to   *space
		mac  net.HardwareAddr
	}{{"p-lamp", h.lamp, lampMAC}, {"p-next", h.next, net.HardwareAddr{2, 0, 0, 0, 0, 0x32}}} {
		err = errors.Join(err, h.gateway.cable(p.name, p.to, p.mac))
		port, e := h.gateway.h.LinkByName(p.name)
		if e != nil {
			return errors.Join(err, e)
		}
		err = errors.Join(err, h.gateway.h.LinkSetMaster(port, br))
		if vlans {
			err = errors.Join(err, h.gateway.h.BridgeVlanAdd(port, vlan, true, true, false, true), h.gateway.h.BridgeVlanDel(port, 1, true, true, false, true))
		}
	}
	return err
}

const vlan = 10

// lan is the interface that the daemon gets, and that has the gateway's address.
func (h *house) lan() string {
	if h.mode == modeVLAN || h.mode == modeTagged {
		return fmt.Sprint("br-lan.", vlan)
	}
	return "br-lan"
}
