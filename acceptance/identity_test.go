package acceptance

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mudguard/dhcp"
)

// Nobody borrows the address of a device, nor does it borrow another's; what is tried is told (T13, T15).
func TestBorrowedAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp, laptop := l.device("lamp"), l.device("laptop")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.static(laptop, 50)
	l.becomes(lamp, "enforced", "")
	await(t, "the laptop is known", patience, func() string {
		if err := laptop.tcp(evilAddr + ":8883"); err != nil {
			return err.Error()
		}
		return pickText(strings.Contains(strings.Join(l.view(laptop).Addresses, " "), laptop.addr), "", "not yet")
	})

	l.spoof(lamp, laptop.addr)
	l.spoof(laptop, lamp.addr)
	l.spoof(laptop, laptop.addr)
	await(t, "the laptop's own packet arrives", patience, func() string { return pickText(l.sunk() == 1, "", fmt.Sprint(l.sunk())) })
	l.denial(lamp, func(d denial) bool { return strings.Contains(d.Explanation, "which is the address of "+laptop.mac) })
	d := l.denial(laptop, func(d denial) bool { return strings.Contains(d.Explanation, "which is the address of Lumen Lamp One") })
	if d.Src != lamp.addr || !d.Enforced {
		l.complain("the denial is %+v", d)
	}
	for _, who := range []*device{lamp, laptop} {
		if !strings.Contains(l.order("status")+l.order("device", who.mac), "address of another") {
			l.complain("no alarm about %s in:\n%s", who.mac, l.order("status"))
		}
	}
	l.poison(laptop, lamp)
	l.poison(lamp, laptop)
	if n := l.sunk(); n != 1 {
		l.complain("%d packets from borrowed addresses reached the Internet", n-1)
	}
}

// poison has a host say by ARP and neighbour discovery that it has the address of another. The gateway must not believe it.
func (l *lab) poison(from, of *device) {
	l.Helper()
	src := l.mac(from)
	addr4, addr6 := netip.MustParseAddr(of.addr), netip.MustParseAddr(of.addr6)
	await(l.T, "the addresses of "+of.name+" are known", patience, func() string {
		_ = of.tcp("[" + gateway6 + "]:22") // whatever comes of it
		all := strings.Join(l.view(of).Addresses, " ")
		return pickText(strings.Contains(all, of.addr) && strings.Contains(all, of.addr6), "", all)
	})
	arp := append([]byte{0, 1, 8, 0, 6, 4, 0, 2}, src[:]...)
	arp = append(append(arp, addr4.AsSlice()...), src[:]...)
	from.frame(l.T, unix.ETH_P_ARP, append(arp, netip.MustParseAddr(gateway).AsSlice()...))
	from.frame(l.T, unix.ETH_P_IPV6, advertisement(netip.MustParseAddr(from.addr6), addr6, src))
	l.denial(from, func(d denial) bool { return d.Proto == "arp" && d.Src == of.addr })
	l.denial(from, func(d denial) bool {
		return d.Proto == "ipv6-icmp" && strings.Contains(d.Explanation, "said that it has "+of.addr6)
	})
	if table := l.gw.in(l.T, "ip neigh show dev br-lan to "+of.addr+"; ip -6 neigh show dev br-lan to "+of.addr6); strings.Contains(table, from.mac) {
		l.complain("the gateway believes %s that it is %s:\n%s", from.mac, of.mac, table)
	}
}

func (l *lab) mac(d *device) dhcp.MAC {
	l.Helper()
	m, err := dhcp.ParseMAC(d.mac)
	if err != nil {
		l.Fatal(err)
	}
	return m
}

// frame sends a frame to all.
func (s *space) frame(t *testing.T, kind uint16, body []byte) {
	t.Helper()
	err := s.do(func() error {
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, dev.HardwareAddr...)
		b = append(append(b, byte(kind>>8), byte(kind)), body...)
		return unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: dev.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// advertisement is an unsolicited one that overrides what was known (RFC 4861 section 4.4).
func advertisement(src, target netip.Addr, mac dhcp.MAC) []byte {
	all := netip.MustParseAddr("ff02::1")
	icmp := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, target.AsSlice()...)
	icmp = append(append(icmp, 2, 1), mac[:]...)
	sum := uint32(len(icmp)) + unix.IPPROTO_ICMPV6
	for _, part := range [][]byte{src.AsSlice(), all.AsSlice(), icmp} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(part[i])<<8 | uint32(part[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	icmp[2], icmp[3] = byte(^sum>>8), byte(^sum)
	b := append([]byte{0x60, 0, 0, 0, 0, byte(len(icmp)), unix.IPPROTO_ICMPV6, 255}, src.AsSlice()...)
	return append(append(b, all.AsSlice()...), icmp...)
}

// A device may take a new address at any time, also while nobody is there to learn it, and speak from it at once (T15, T16, R2).
func TestNewAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	open := l.rotating(lamp, 1) + ":8883"
	move := func(addr string) {
		lamp.in(t, "ip addr flush dev eth0 scope global; ip addr add "+addr+"/24 dev eth0; ip route replace default via "+gateway)
		l.try("from "+addr, []probe{{"lamp -> cloud", func() error { return lamp.tcp(open) }, true},
			{"lamp -> another host", func() error { return lamp.tcp(evilAddr + ":8883") }, false}})
	}
	lamp.client.kill()
	move("192.168.8.31")
	await(t, "the address is known", patience, func() string {
		return pickText(strings.Contains(strings.Join(l.view(lamp).Addresses, " "), "192.168.8.31"), "", "not yet")
	})
	l.daemon.kill()
	move("192.168.8.32")
	l.start()
	move("192.168.8.33")
}

// release gives the address of a device back in its name (RFC 2131 section 4.4.6).
func (l *lab) release(from, of *device) {
	l.Helper()
	mac, addr := l.mac(of), netip.MustParseAddr(of.addr).AsSlice()
	b := append([]byte{1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0}, addr...)
	b = append(append(b, make([]byte, 12)...), mac[:]...)
	b = append(append(b, make([]byte, 10+64+128)...), 0x63, 0x82, 0x53, 0x63, 53, 1, 7, 54, 4)
	b = append(append(b, netip.MustParseAddr(gateway).AsSlice()...), 255)
	err := from.do(func() error {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: addr, Port: 68}, &net.UDPAddr{IP: net.ParseIP(gateway), Port: 67})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write(b)
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
}

// A host with the Ethernet address of another has no more than that one, cannot end its lease, and is noticed where it is on another
// port (T13).
func TestClone(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp, clone := l.device("lamp"), l.device("clone")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	clone.in(t, "ip link set eth0 down; ip link set eth0 address "+lamp.mac+"; ip link set eth0 up; ip addr add "+lamp.addr+"/24 dev eth0; ip route replace default via "+gateway)
	l.release(clone, lamp)
	await(t, "the forged release is noticed", patience, func() string {
		out := l.order("device", lamp.mac)
		return pickText(strings.Contains(out, "lease given back"), "", out)
	})
	if v := l.view(lamp); v.State != "enforced" || !strings.Contains(v.Reason, "its profile is enforced") || !slices.Contains(v.Addresses, lamp.addr) {
		l.complain("after a release that another host forged the lamp is %+v", v)
	}
	var s struct {
		Alarms []struct{ What, Text, MAC string }
	}
	await(t, "the double is noticed", patience, func() string {
		for _, d := range []*device{lamp, clone} {
			if err := d.tcp(evilAddr + ":8883"); err == nil {
				l.fatal("%s reaches a host that the profile does not allow", d.name)
			}
		}
		if err := json.Unmarshal([]byte(l.order("status", "--json", "--socket", filepath.Join(l.dir, "s"))), &s); err != nil {
			return err.Error()
		}
		for _, a := range s.Alarms {
			if a.What == "Ethernet address in two places" && a.MAC == lamp.mac && strings.Contains(a.Text, lamp.port) && strings.Contains(a.Text, clone.port) {
				return ""
			}
		}
		return fmt.Sprint(s.Alarms)
	})
}
