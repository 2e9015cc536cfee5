//go:build linux && amd64

package acceptance

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mudguard/internal/steps"
)

// listeners gives copies of the daemon's sockets of one netlink protocol that get events of the kernel.
func (l *lab) listeners(proto int) []int {
	l.Helper()
	pid := l.daemon.cmd.Process.Pid
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		l.Fatal(err)
	}
	var out []int
	for _, e := range entries {
		n, _ := strconv.Atoi(e.Name())
		fd, err := steps.Steal(pid, n)
		if err != nil {
			continue // closed meanwhile
		}
		domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		var groups uint64
		if domain == unix.AF_NETLINK && kind == proto {
			sa, err := unix.Getsockname(fd)
			if err != nil {
				l.Fatal(err)
			}
			groups = uint64(sa.(*unix.SockaddrNetlink).Groups)
		}
		if groups == 0 {
			unix.Close(fd)
			continue
		}
		l.Cleanup(func() { unix.Close(fd) })
		out = append(out, fd)
	}
	if len(out) == 0 {
		l.fatal("the daemon hears no events of netlink protocol %d", proto)
	}
	return out
}

// TestAudit: R1, F6. The daemon is made deaf to changes of nftables: what somebody edits is found within a minute by looking, and
// undone.
func TestAudit(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	want := comparable(l.gw.in(t, "nft -s list ruleset"))
	for _, fd := range l.listeners(unix.NETLINK_NETFILTER) {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_DROP_MEMBERSHIP, unix.NFNLGRP_NFTABLES); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	l.gw.in(t, "nft insert rule inet mudguard forward_from accept")
	var now string
	if why := awaited(70*time.Second, func() string {
		now = comparable(l.gw.in(t, "nft -s list ruleset"))
		return pickText(now == want, "", "not yet")
	}); why != "" {
		l.fatal("an edit that no event told of was not undone: %s", difference(want, now))
	}
	s := l.status()
	if s.Repairs != 1 || s.LastRepair == nil || !strings.Contains(s.LastRepair.What, "forward_from") || s.LastRepair.At.Before(began.Add(-time.Second)) {
		l.complain("status tells %d repairs, the last %+v", s.Repairs, s.LastRepair)
	}
}

// TestEventsLost: F13, N3, R1. The sockets for events get the smallest buffers that there are, and a storm of changes by others
// comes: the kernel drops events, which is counted and shown, and what happened meanwhile is found all the same: an edit of our
// tables, and the address of a host.
func TestEventsLost(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	want := l.gw.in(t, "nft -s list chain inet mudguard forward_from")
	for _, proto := range []int{unix.NETLINK_NETFILTER, unix.NETLINK_ROUTE} {
		for _, fd := range l.listeners(proto) {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil { // the kernel makes it its least
				t.Fatal(err)
			}
		}
	}
	var elements, neighbours strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&elements, "add element inet other s { 10.9.%d.%d }\n", i/250, 1+i%250)
		fmt.Fprintf(&neighbours, "neigh replace 192.168.8.%d lladdr 02:00:00:00:%02x:%02x dev br-lan nud stale\n", 210+i%40, i/250, i%250)
	}
	elementFile, neighbourFile := l.file("elements", elements.String(), 0o600), l.file("neighbours", neighbours.String(), 0o600)
	l.gw.in(t, "nft add table inet other; nft 'add set inet other s { type ipv4_addr; }'")
	for _, part := range []string{"nftables events", "neighbour events"} {
		await(t, part+" are lost and status says so", patience, func() string {
			l.gw.in(t, "nft -f "+elementFile+"; ip -batch "+neighbourFile)
			return pickText(l.status().gap(part), "", "not yet")
		})
	}
	l.gw.in(t, "nft insert rule inet mudguard forward_from accept; nft -f "+elementFile+`
		ip neigh replace 192.168.8.99 lladdr `+lamp.mac+" dev br-lan nud reachable; ip -batch "+neighbourFile)
	if why := awaited(patience, func() string {
		now := l.gw.in(t, "nft -s list chain inet mudguard forward_from")
		return pickText(now == want, "", difference(want, now))
	}); why != "" {
		l.complain("an edit in the storm was not undone: %s", why)
	}
	await(t, "the lamp's other address is known", patience, func() string {
		return pickText(slices.Contains(l.view(lamp).Addresses, "192.168.8.99"), "", fmt.Sprint(l.view(lamp).Addresses))
	})
	l.rotating(lamp, 3)
	l.try("after the storm", []probe{{"lamp -> another host", func() error { return lamp.tcp(evilAddr + ":8883") }, false}})
}
