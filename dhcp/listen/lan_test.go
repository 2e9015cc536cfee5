package listen

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

var gatewayAddr = netip.MustParseAddr("192.168.77.1")

// ear is a running Listener and what it heard.
type ear struct {
	*Listener
	heard chan dhcp.Sighting
	ended chan error
	stop  context.CancelFunc
}

// hear opens and runs a Listener in the gateway's namespace; changes are made in between.
func hear(t *testing.T, l lan, changes ...func(*Listener)) *ear {
	t.Helper()
	e := &ear{heard: make(chan dhcp.Sighting, 1000), ended: make(chan error, 1)}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(context.Background())
	ready, finished := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(finished)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := enter(l.gateway, func() (err error) {
			if e.Listener, err = Open(l.ifname); err != nil {
				return err
			}
			e.OnError = func(err error) { t.Log("listener:", err) }
			for _, change := range changes {
				change(e.Listener)
			}
			ready <- nil
			return e.Run(ctx, func(s dhcp.Sighting) {
				select {
				case e.heard <- s:
				case <-ctx.Done():
				}
			})
		})
		e.ended <- err
		ready <- err
	}()
	t.Cleanup(func() { e.stop(); <-finished })
	if err := <-ready; err != nil {
		t.Fatalf("listening in %s: %v", l.gateway, err)
	}
	return e
}

// await waits for a sighting that matches.
func (e *ear) await(t *testing.T, what string, match func(dhcp.Sighting) bool) dhcp.Sighting {
	t.Helper()
	late := time.After(deadline)
	var others []dhcp.Sighting
	for {
		select {
		case s := <-e.heard:
			if match(s) {
				return s
			}
			others = append(others, s)
		case err := <-e.ended:
			t.Fatalf("waiting for %s: Run ended: %v", what, err)
		case <-late:
			t.Fatalf("no %s; heard %+v; %+v", what, others, e.Stats())
		}
	}
}

// by is of, of one source.
func by(source dhcp.Source, kind dhcp.Kind, mac dhcp.MAC) func(dhcp.Sighting) bool {
	return func(s dhcp.Sighting) bool { return s.Source == source && of(kind, mac)(s) }
}

func of(kind dhcp.Kind, mac dhcp.MAC) func(dhcp.Sighting) bool {
	return func(s dhcp.Sighting) bool { return s.Kind == kind && s.MAC == mac }
}

// serve starts dnsmasq as DHCP server in a namespace.
func serve(t *testing.T, ns, ifname, lowest, highest string) {
	t.Helper()
	dir := t.TempDir()
	start(t, ns, "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface="+ifname, "--bind-interfaces",
		"--dhcp-range="+lowest+","+highest+",10m", "--dhcp-option=6,192.168.77.1", "--dhcp-option=42,192.168.77.1",
		"--dhcp-leasefile="+filepath.Join(dir, "leases"), "--pid-file="+filepath.Join(dir, "pid"),
		"--no-ping", "--user=root", "--dhcp-authoritative", "--log-dhcp")
}

// udhcpc starts busybox's client; args come after the usual ones.
func udhcpc(t *testing.T, ns string, args ...string) (stop func()) {
	t.Helper()
	return start(t, ns, append([]string{"udhcpc", "-f", "-i", "eth0", "-T", "1", "-t", "20", "-s", script(t),
		"-p", filepath.Join(t.TempDir(), "pid"), "-x", "161:" + hex.EncodeToString([]byte(url)), "-x", "hostname:lamp-3"}, args...)...)
}

// awaitAddr waits until the client's hook has set its address: we hear an ACK before the client has read it, and a client
// that is told to leave before has nothing to release.
func awaitAddr(t *testing.T, ns string, addr netip.Addr) {
	t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if slices.Contains(addrsOf(t, ns), addr) {
			return
		}
	}
	t.Fatalf("the client did not set %v", addr)
}

// addrsOf gives the addresses of a host, without those that it still looks whether they are free.
func addrsOf(t *testing.T, ns string) (all []netip.Addr) {
	t.Helper()
	out, err := exec.Command("ip", "-n", ns, "-o", "addr", "show", "dev", "eth0", "-tentative").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		prefix, err := netip.ParsePrefix(strings.Fields(line)[3])
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, prefix.Addr())
	}
	return all
}

// checkBound holds what dnsmasq must have given.
func checkBound(t *testing.T, s dhcp.Sighting, ifname string) {
	t.Helper()
	servers := []netip.Addr{gatewayAddr}
	if !netip.MustParsePrefix("192.168.77.0/24").Contains(s.Addr) || s.Lease != 10*time.Minute ||
		!slices.Equal(s.DNS, servers) || !slices.Equal(s.NTP, servers) || s.Interface != ifname || s.ServerMAC != router {
		t.Errorf("bound: %+v", s)
	}
}

// TestUdhcpc follows a real device from joining to leaving, with the gateway's own server, on a bridge and without.
func TestUdhcpc(t *testing.T) {
	need(t, "udhcpc", "dnsmasq")
	for _, name := range []string{"bridge", "cable"} {
		t.Run(name, func(t *testing.T) {
			var l lan
			var host string
			if name == "bridge" {
				l = newLAN(t)
				host = l.host(t, "lamp", lamp)
			} else {
				l, host = newCable(t, lamp)
			}
			e := hear(t, l)
			serve(t, l.gateway, l.ifname, "192.168.77.50", "192.168.77.99")
			leave := udhcpc(t, host, "-R")
			seen := e.await(t, "seen", of(dhcp.Seen, lamp))
			if seen.URL != url || seen.Hostname != "lamp-3" || !strings.HasPrefix(seen.Vendor, "udhcp") || seen.Interface != l.ifname {
				t.Errorf("seen: %+v", seen)
			}
			bound := e.await(t, "bound", of(dhcp.Bound, lamp))
			checkBound(t, bound, l.ifname)
			awaitAddr(t, host, bound.Addr)
			leave()
			if released := e.await(t, "released", of(dhcp.Released, lamp)); released.Addr != bound.Addr {
				t.Errorf("released %v; want %v", released.Addr, bound.Addr)
			}
		})
	}
}

// TestBridgeChangesAddress: F14. The server's answers are still this host's own after the bridge took another address, as it
// does when its ports change.
func TestBridgeChangesAddress(t *testing.T) {
	need(t, "udhcpc", "dnsmasq")
	l := newLAN(t)
	host := l.host(t, "lamp", lamp)
	e := hear(t, l)
	run(t, "ip", "-n", l.gateway, "link", "set", l.ifname, "address", "02:00:5e:10:00:fd")
	serve(t, l.gateway, l.ifname, "192.168.77.50", "192.168.77.99")
	udhcpc(t, host)
	if s := e.await(t, "bound", of(dhcp.Bound, lamp)); s.ServerMAC != (dhcp.MAC{2, 0, 0x5e, 0x10, 0, 0xfd}) {
		t.Errorf("bound: %+v", s)
	}
}

// TestDhclient does the same with ISC's client, which gives the option a name and a type.
func TestDhclient(t *testing.T) {
	need(t, "dhclient", "dnsmasq")
	l := newLAN(t)
	host := l.host(t, "lamp", lamp)
	dir := t.TempDir()
	conf := "option mud-url code 161 = text;\nsend mud-url \"" + url + "\";\nsend host-name \"lamp-4\";\n" +
		"request subnet-mask, domain-name-servers, ntp-servers;\n"
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-4", "-cf", filepath.Join(dir, "conf"), "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"),
		"-sf", script(t), "eth0"}
	e := hear(t, l)
	serve(t, l.gateway, l.ifname, "192.168.77.50", "192.168.77.99")
	leave := start(t, host, append([]string{"dhclient", "-d"}, args...)...)
	if seen := e.await(t, "seen", of(dhcp.Seen, lamp)); seen.URL != url || seen.Hostname != "lamp-4" {
		t.Errorf("seen: %+v", seen)
	}
	bound := e.await(t, "bound", of(dhcp.Bound, lamp))
	checkBound(t, bound, l.ifname)
	awaitAddr(t, host, bound.Addr)
	leave()
	start(t, host, append([]string{"dhclient", "-d", "-r"}, args...)...)
	if released := e.await(t, "released", of(dhcp.Released, lamp)); released.Addr != bound.Addr {
		t.Errorf("released %v; want %v", released.Addr, bound.Addr)
	}
}

// TestRogueServer: another host on the LAN that answers first binds nothing, unless it is trusted (hardening.md T15). The
// client asks for broadcast answers (-B), so that the gateway hears them.
func TestRogueServer(t *testing.T) {
	need(t, "udhcpc", "dnsmasq")
	l := newLAN(t)
	host, bad := l.host(t, "lamp", lamp), l.host(t, "rogue", rogue)
	run(t, "ip", "-n", bad, "addr", "add", "192.168.77.2/24", "dev", "eth0")
	wary, trusting := hear(t, l), hear(t, l, func(l *Listener) { l.Trusted = []dhcp.MAC{rogue} })
	serve(t, bad, "eth0", "192.168.77.150", "192.168.77.199")
	udhcpc(t, host, "-B")
	if bound := trusting.await(t, "bound", of(dhcp.Bound, lamp)); bound.ServerMAC != rogue {
		t.Errorf("bound: %+v", bound)
	}
	// The wary one has heard the same frames once it passes a later one.
	send(t, bad, frames.Client(rogue, dhcpv4.MessageTypeDiscover))
	wary.await(t, "the rogue's own DISCOVER", func(s dhcp.Sighting) bool {
		if s.Source != dhcp.SourceND && (s.Kind != dhcp.Seen || !s.ServerMAC.IsZero()) {
			t.Errorf("passed on: %+v", s)
		}
		return s.Source != dhcp.SourceND && s.MAC == rogue
	})
	if n := wary.Stats().Untrusted; n == 0 {
		t.Error("the rogue's answers were not counted")
	}
}

// send puts frames on the wire from a host.
func send(t *testing.T, ns string, all ...[]byte) {
	t.Helper()
	inside(t, ns, func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		for _, frame := range all {
			if _, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestForgedOwnAddress: an ACK that comes in with the gateway's own Ethernet address is not the gateway's.
func TestForgedOwnAddress(t *testing.T) {
	need(t)
	forge := func(t *testing.T, l lan, host string) {
		e := hear(t, l)
		send(t, host, ackFrom(router), frames.Client(rogue, dhcpv4.MessageTypeDiscover))
		s := e.await(t, "sighting", func(dhcp.Sighting) bool { return true })
		if s.MAC != rogue || e.Stats().Untrusted != 1 {
			t.Errorf("%+v, %+v; want the forged ACK counted as untrusted and not passed", s, e.Stats())
		}
	}
	t.Run("bridge", func(t *testing.T) { l := newLAN(t); forge(t, l, l.host(t, "rogue", rogue)) })
	t.Run("cable", func(t *testing.T) { l, host := newCable(t, rogue); forge(t, l, host) })
}

// TestKernelFilter has the kernel run the whole filters, VLAN tags included: it takes a tag out of the frame before a
// filter sees it.
func TestKernelFilter(t *testing.T) {
	need(t)
	l, host := newCable(t, lamp)
	seen := make(chan string, 1000)
	hear(t, l, func(l *Listener) {
		l.parse = func(frame []byte) ([]dhcp.Sighting, error) {
			seen <- string(frame)
			return nil, nil
		}
	})
	wanted, unwanted := map[string]string{}, map[string]string{} // the frames, and what they are
	for name, c := range filterCases() {
		switch {
		case len(c.frame) <= 40: // too short to send
			continue
		case c.dhcp || c.nd || name == "ARP" || name == "LLDP":
			wanted[string(c.frame)] = name
		default:
			unwanted[string(c.frame)] = name
		}
		send(t, host, c.frame)
	}
	for _, vlan := range []byte{5, 0} { // VLAN 0 is none
		set := map[byte]map[string]string{0: wanted, 5: unwanted}[vlan]
		mac := dhcp.MAC{2, 0, 0x5e, 0x10, 0, 0x70 + vlan}
		v6 := frames.LinkLocal(mac)
		for _, f := range [][]byte{frames.Client(mac, dhcpv4.MessageTypeDiscover), frames.LLDP(mac, 9),
			frames.ARP(mac, mac, 1, gatewayAddr, gatewayAddr), frames.ND(mac, v6, v6, 135, v6)} {
			send(t, host, slices.Concat(f[:12], []byte{0x81, 0, 0, vlan}, f[12:]))
			set[string(f)] = fmt.Sprintf("VLAN %d, type %x", vlan, f[12:14])
		}
	}
	for len(wanted) > 0 {
		select {
		case frame := <-seen:
			delete(wanted, frame)
			if name := unwanted[frame]; name != "" {
				t.Errorf("the kernel let through %s", name)
			}
		case <-time.After(deadline):
			t.Fatalf("the kernel did not let through %v", slices.Collect(maps.Values(wanted)))
		}
	}
}

// TestInterfaceGone: F14. Run ends with an error when the interface goes, and Open says that there is none.
func TestInterfaceGone(t *testing.T) {
	need(t)
	for name, c := range map[string]struct {
		how  []string
		open error
	}{"away": {[]string{"del", "lan0"}, ErrNoInterface}, "down": {[]string{"set", "lan0", "down"}, nil}} {
		t.Run(name, func(t *testing.T) {
			l, _ := newCable(t, lamp)
			e := hear(t, l)
			run(t, append([]string{"ip", "-n", l.gateway, "link"}, c.how...)...)
			select {
			case err := <-e.ended:
				if !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, ErrNoInterface) {
					t.Errorf("Run = %v", err)
				}
			case <-time.After(deadline):
				t.Fatal("Run did not end")
			}
			inside(t, l.gateway, func() error {
				again, err := Open("lan0")
				if !errors.Is(err, c.open) {
					t.Errorf("Open = %v; want %v", err, c.open)
				}
				if err == nil {
					return again.Close()
				}
				return nil
			})
		})
	}
}

// TestRealSocketEnds: the end of the context ends a wait for frames.
func TestRealSocketEnds(t *testing.T) {
	need(t)
	l, _ := newCable(t, lamp)
	e := hear(t, l)
	e.stop()
	select {
	case err := <-e.ended:
		if err != nil {
			t.Errorf("Run = %v; want nil", err)
		}
	case <-time.After(deadline):
		t.Fatal("Run did not end")
	}
}
