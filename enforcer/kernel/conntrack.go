package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

// Cut deletes the tracked flows from and to addr that keep does not want (nil: none), and says how many. Established
// flows are accepted before any policy, and offloaded ones never come by again, until this is done.
func (n *Nft) Cut(addr netip.Addr, keep func(enforcer.Flow) bool) (int, error) {
	addr = addr.Unmap()
	c, err := conntrack.Dial(&netlink.Config{NetNS: n.opt.NetNS})
	if err != nil {
		return 0, fmt.Errorf("opening conntrack: %w", err)
	}
	defer c.Close()
	if err := c.SetReadBuffer(learnBuffer); err != nil {
		return 0, fmt.Errorf("opening conntrack: %w", err)
	}
	family := netfilter.ProtoIPv4
	if addr.Is6() {
		family = netfilter.ProtoIPv6
	}
	flows, err := c.DumpFilter(conntrack.NewFilter().Family(family), nil)
	if err != nil {
		return 0, fmt.Errorf("listing flows: %w", err)
	}
	return cutFlows(c, flows, addr, keep)
}

func cutFlows(c *conntrack.Conn, flows []conntrack.Flow, addr netip.Addr, keep func(enforcer.Flow) bool) (int, error) {
	cut := 0
	var errs error
	for i := range flows {
		f := &flows[i]
		if !touches(f, addr) || keep != nil && keep(flowOf(f.TupleOrig)) {
			continue
		}
		// The library takes the family from both tuples. A flow that ended meanwhile is fine.
		err := c.Delete(conntrack.Flow{Zone: f.Zone, TupleOrig: f.TupleOrig, TupleReply: f.TupleReply})
		switch {
		case err == nil:
			cut++
		case !errors.Is(err, syscall.ENOENT):
			errs = errors.Join(errs, fmt.Errorf("deleting flow %s: %w", f.TupleOrig, err))
		}
	}
	return cut, errs
}

// touches looks at both directions: behind NAT the device's address is in one of them only.
func touches(f *conntrack.Flow, addr netip.Addr) bool {
	for _, t := range []conntrack.IPTuple{f.TupleOrig.IP, f.TupleReply.IP} {
		if t.SourceAddress == addr || t.DestinationAddress == addr {
			return true
		}
	}
	return false
}

func flowOf(t conntrack.Tuple) enforcer.Flow {
	f := enforcer.Flow{
		Src: t.IP.SourceAddress, Dst: t.IP.DestinationAddress,
		Proto: t.Proto.Protocol, Sport: t.Proto.SourcePort, Dport: t.Proto.DestinationPort,
	}
	if f.Proto == unix.IPPROTO_ICMP || f.Proto == unix.IPPROTO_ICMPV6 {
		f.Sport, f.Dport = 0, 0
		f.ICMPType, f.ICMPCode = t.Proto.ICMPType, t.Proto.ICMPCode
	}
	return f
}
