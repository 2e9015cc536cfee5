package listen

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mudguard/dhcp"
)

// deadline bounds every wait; nothing here measures time.
const deadline = 30 * time.Second

// need skips a test that can't run here, and says why; in CI it must run.
func need(t *testing.T, tools ...string) {
	t.Helper()
	lacking := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s, and CI must run this test", what)
		}
		t.Skipf("needs %s", what)
	}
	if os.Geteuid() != 0 {
		lacking("root, for network namespaces")
	}
	for _, tool := range append(tools, "ip") {
		if _, err := exec.LookPath(tool); err != nil {
			lacking(tool + " in PATH")
		}
	}
	probe := fmt.Sprintf("mgd-%d-probe", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		lacking(fmt.Sprintf("network namespaces (%v: %s)", err, out))
	}
	run(t, "ip", "netns", "del", probe)
}

// run runs a tool to its end.
func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// namespace makes a network namespace for the test, which goes with it.
func namespace(t *testing.T, role string) string {
	t.Helper()
	name := fmt.Sprintf("mgd-%d-%s", os.Getpid(), role)
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	return name
}

// lan is a gateway and the hosts on its LAN.
type lan struct {
	gateway string // namespace
	ifname  string // LAN interface of the gateway
}

// newLAN makes a gateway 192.168.77.1 whose LAN is a bridge.
func newLAN(t *testing.T) lan {
	t.Helper()
	l := lan{gateway: namespace(t, "gw"), ifname: "br-lan"}
	run(t, "ip", "-n", l.gateway, "link", "add", l.ifname, "type", "bridge", "forward_delay", "0")
	// As on a router, the address of the bridge is set; else it would change as ports come.
	run(t, "ip", "-n", l.gateway, "link", "set", l.ifname, "address", router.String())
	l.up(t)
	return l
}

func (l lan) up(t *testing.T) {
	t.Helper()
	run(t, "ip", "-n", l.gateway, "addr", "add", "192.168.77.1/24", "dev", l.ifname)
	run(t, "ip", "-n", l.gateway, "link", "set", l.ifname, "up")
}

// host puts a host with interface eth0 on the LAN and gives its namespace.
func (l lan) host(t *testing.T, role string, mac dhcp.MAC) string {
	t.Helper()
	ns := namespace(t, role)
	port := "port-" + role
	run(t, "ip", "-n", l.gateway, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns)
	run(t, "ip", "-n", ns, "link", "set", "eth0", "address", mac.String(), "up")
	run(t, "ip", "-n", l.gateway, "link", "set", port, "master", l.ifname, "up")
	return ns
}

// newCable makes a gateway with one host, with no bridge between.
func newCable(t *testing.T, mac dhcp.MAC) (l lan, host string) {
	t.Helper()
	l = lan{gateway: namespace(t, "gw"), ifname: "lan0"}
	host = namespace(t, "host")
	run(t, "ip", "-n", l.gateway, "link", "add", l.ifname, "type", "veth", "peer", "name", "eth0", "netns", host)
	run(t, "ip", "-n", l.gateway, "link", "set", l.ifname, "address", router.String())
	run(t, "ip", "-n", host, "link", "set", "eth0", "address", mac.String(), "up")
	l.up(t)
	return l, host
}

// start runs a tool in a namespace until the test ends, or stop is called.
func start(t *testing.T, ns string, args ...string) (stop func()) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), args[0]+".log"))
	if err != nil {
		t.Fatal(err)
	}
	// "ip netns exec" becomes the tool, so its process is the tool's.
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(unix.SIGTERM) // it may have ended by itself
			stuck := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait() // reports the signal
			stuck.Stop()
		}
	}
	t.Cleanup(func() {
		stop()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s said:\n%s", args[0], text)
		}
	})
	return stop
}

// inside runs f on a thread in a namespace. The thread is not used again.
func inside(t *testing.T, ns string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- enter(ns, f)
	}()
	if err := <-done; err != nil {
		t.Fatalf("in namespace %s: %v", ns, err)
	}
}

func enter(ns string, f func() error) error {
	file, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	return f()
}

// script writes a client's hook that sets the address that it got and nothing else: the hooks of the distribution would
// write /etc/resolv.conf.
func script(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "hook")
	text := "#!/bin/sh\nfor a in \"$ip\" \"$new_ip_address\"; do [ -z \"$a\" ] || ip addr replace \"$a/24\" dev eth0; done\n" +
		"[ -z \"$new_ip6_address\" ] || ip addr replace \"$new_ip6_address/64\" dev eth0\nexit 0\n"
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// ask sends a datagram, for which the kernel must know the other's Ethernet address first.
func ask(addr netip.Addr) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("?"))
	return err
}
