package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"mudguard/dhcp"
)

// Neighbour is an address that the kernel resolved to a MAC.
type Neighbour struct {
	MAC       dhcp.MAC
	Addr      netip.Addr
	Interface string
	Stale     bool // nobody confirmed it for a while: the kernel keeps such entries for as long as it has room
}

// Port is where a bridge heard an Ethernet address last.
type Port struct {
	MAC  dhcp.MAC
	Name string
}

// Iface is a network interface.
type Iface struct {
	Name     string
	MAC      dhcp.MAC
	Index    int
	IsBridge bool           // or a VLAN of one
	Tagged   bool           // its bridge has frames with VLAN tags, so that br_netfilter does not show them to the inet hooks
	Prefixes []netip.Prefix // its addresses, each with the length of its network
}

// usableNeighbour are the states in which an entry says who has the address: not those of a failed or running query
// (INCOMPLETE, FAILED), nor of an interface without resolution (NOARP).
const usableNeighbour = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT

const dumpTries = 5

// Host reads interfaces, addresses and neighbours.
type Host struct {
	h  *netlink.Handle
	ns *netns.NsHandle // nil: the current one
}

// OpenHost connects to rtnetlink.
func OpenHost(opt Options) (*Host, error) {
	host := &Host{}
	var err error
	if opt.NetNS == 0 {
		host.h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	} else {
		ns := netns.NsHandle(opt.NetNS)
		host.ns = &ns
		host.h, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	}
	if err != nil {
		return nil, fmt.Errorf("opening rtnetlink: %w", err)
	}
	return host, nil
}

// Close closes the connection.
func (h *Host) Close() { h.h.Close() }

// stable repeats a dump that something changed under (NLM_F_DUMP_INTR, N6).
func stable[T any](dump func() (T, error)) (out T, err error) {
	for range dumpTries {
		if out, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return out, err
}

// Neighbours lists who has which address.
func (h *Host) Neighbours() ([]Neighbour, error) {
	links, err := stable(h.h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	var out []Neighbour
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		neighs, err := stable(func() ([]netlink.Neigh, error) { return h.h.NeighList(0, family) })
		if err != nil {
			return nil, fmt.Errorf("listing neighbours: %w", err)
		}
		for _, n := range neighs {
			if one, ok := neighbour(n, names[n.LinkIndex]); ok {
				out = append(out, one)
			}
		}
	}
	return out, nil
}

func neighbour(n netlink.Neigh, name string) (Neighbour, bool) {
	out := Neighbour{Interface: name, Stale: n.State == netlink.NUD_STALE}
	addr, ok := netip.AddrFromSlice(n.IP)
	if !ok || n.State&usableNeighbour == 0 || len(n.HardwareAddr) != len(out.MAC) || out.Interface == "" {
		return out, false
	}
	copy(out.MAC[:], n.HardwareAddr)
	out.Addr = addr.Unmap()
	return out, out.MAC != dhcp.MAC{} && !out.Addr.IsMulticast()
}

// WatchNeighbours calls fn for every entry that becomes usable, and moved for every port on which a bridge hears an Ethernet
// address anew, until ctx ends. What is there already comes first.
func (h *Host) WatchNeighbours(ctx context.Context, fn func(Neighbour), moved func(Port), onError func(error)) {
	tell := func(n netlink.Neigh) { h.tell(n, fn, moved) }
	keepRunning(ctx, "watching neighbours", func(ctx context.Context) error { return h.watchNeighbours(ctx, tell) }, onError)
}

func (h *Host) watchNeighbours(ctx context.Context, tell func(netlink.Neigh)) error {
	ch, done, failed := make(chan netlink.NeighUpdate, 64), make(chan struct{}), make(chan error, 1)
	defer close(done)
	opt := netlink.NeighSubscribeOptions{Namespace: h.ns, ListExisting: true, ReceiveBufferSize: learnBuffer, ErrorCallback: first(failed)}
	if err := netlink.NeighSubscribeWithOptions(ch, done, opt); err != nil {
		return err
	}
	defer drain(ch)
	ports, err := stable(func() ([]netlink.Neigh, error) { return h.h.NeighList(0, unix.AF_BRIDGE) })
	if err != nil {
		return fmt.Errorf("listing bridge ports: %w", err)
	}
	for _, n := range ports {
		tell(n)
	}
	var fdb pace
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case u, ok := <-ch:
			if !ok {
				return subscriptionEnd(failed)
			}
			if u.Type == unix.RTM_NEWNEIGH && (u.Family != unix.AF_BRIDGE || fdb.admits(time.Now())) {
				tell(u.Neigh)
			}
		}
	}
}

// pace bounds what invented Ethernet addresses cost: a bridge tells of each, and what is not taken loses an alarm only.
type pace struct {
	since time.Time
	n     int
}

const portsPerSecond = 200

func (p *pace) admits(now time.Time) bool {
	if now.Sub(p.since) >= time.Second {
		p.since, p.n = now, 0
	}
	p.n++
	return p.n <= portsPerSecond
}

func (h *Host) tell(n netlink.Neigh, fn func(Neighbour), moved func(Port)) {
	l, err := h.h.LinkByIndex(n.LinkIndex)
	if err != nil {
		return // gone already
	}
	name := l.Attrs().Name
	if n.Family == unix.AF_BRIDGE {
		if p, ok := port(n, name); ok {
			moved(p)
		}
	} else if one, ok := neighbour(n, name); ok {
		fn(one)
	}
}

// port is what a bridge learned by itself: permanent entries are its own addresses, or an administrator's.
func port(n netlink.Neigh, name string) (Port, bool) {
	p := Port{Name: name}
	if n.State&netlink.NUD_PERMANENT != 0 || n.MasterIndex == 0 || len(n.HardwareAddr) != len(p.MAC) {
		return p, false
	}
	copy(p.MAC[:], n.HardwareAddr)
	return p, true
}

// drain lets the library's goroutine, which may be about to send, see that it is done; it closes the channel.
func drain[T any](ch <-chan T) {
	go func() {
		for range ch {
		}
	}()
}

// first keeps the first error of a subscription.
func first(failed chan<- error) func(error) {
	return func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
}

func subscriptionEnd(failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	default:
		return errors.New("subscription ended")
	}
}

// WatchLinks calls fn, coalesced, when an interface or an address comes, goes or changes, until ctx ends; and once at
// the start, when it is sure to miss nothing more.
func (h *Host) WatchLinks(ctx context.Context, fn func(), onError func(error)) {
	changed, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		coalesce(ctx, changed, fn)
	}()
	keepRunning(ctx, "watching links", func(ctx context.Context) error { return h.watchLinks(ctx, changed) }, onError)
	<-done
}

func (h *Host) watchLinks(ctx context.Context, changed chan<- struct{}) error {
	links, addrs := make(chan netlink.LinkUpdate, 64), make(chan netlink.AddrUpdate, 64)
	done, failed := make(chan struct{}), make(chan error, 1)
	defer close(done)
	if err := netlink.LinkSubscribeWithOptions(links, done, netlink.LinkSubscribeOptions{
		Namespace: h.ns, ReceiveBufferSize: learnBuffer, ErrorCallback: first(failed)}); err != nil {
		return err
	}
	defer drain(links)
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{
		Namespace: h.ns, ReceiveBufferSize: learnBuffer, ErrorCallback: first(failed)}); err != nil {
		return err
	}
	defer drain(addrs)
	for {
		select {
		case changed <- struct{}{}:
		default:
		}
		ok := true
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok = <-links:
		case _, ok = <-addrs:
		}
		if !ok {
			return subscriptionEnd(failed)
		}
	}
}

func (h *Host) prefixes(l netlink.Link) ([]netip.Prefix, error) {
	addrs, err := stable(func() ([]netlink.Addr, error) { return h.h.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if p, ok := prefix(a.IPNet); ok {
			out = append(out, p)
		}
	}
	return out, nil
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	p := netip.PrefixFrom(a.Unmap(), ones)
	return p, ok && p.IsValid()
}

// bridged says whether frames between two hosts behind an interface pass a bridge of this host, and whether they bear VLAN tags
// there: those of a bridge that filters VLANs do in any case.
func (h *Host) bridged(l netlink.Link) (bridge, tagged bool) {
	if v, ok := l.(*netlink.Vlan); ok {
		parent, err := h.h.LinkByIndex(v.ParentIndex)
		bridge = err == nil && parent.Type() == "bridge"
		return bridge, bridge
	}
	br, ok := l.(*netlink.Bridge)
	return ok, ok && br.VlanFiltering != nil && *br.VlanFiltering
}

// Interface describes the interface of that name.
func (h *Host) Interface(name string) (Iface, error) {
	l, err := h.h.LinkByName(name)
	if err != nil {
		return Iface{}, fmt.Errorf("interface %q: %w", name, err)
	}
	out := Iface{Name: l.Attrs().Name, Index: l.Attrs().Index}
	out.IsBridge, out.Tagged = h.bridged(l)
	if len(l.Attrs().HardwareAddr) == len(out.MAC) {
		copy(out.MAC[:], l.Attrs().HardwareAddr)
	}
	out.Prefixes, err = h.prefixes(l)
	return out, err
}
