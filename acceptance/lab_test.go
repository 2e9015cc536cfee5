package acceptance

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lab is a gateway with its LAN and the Internet behind it.
type lab struct {
	*testing.T
	home    *testing.T // the test that made it; the daemon lives as long, also where a subtest started it
	dir     string
	gw, wan *space
	cloud   *cloud
	lan     []string // LAN interfaces
	bridge  bool
	daemon  *process
	log     *logBuffer // of all daemons one after the other
	config  map[string]any
	bin     string // "": program()
	devices int
}

const (
	gateway  = "192.168.8.1"
	gateway6 = "2001:db8:8::1"
)

// newLab makes the gateway and the Internet. Without a bridge every device has an interface of the gateway for itself.
func newLab(t *testing.T, bridge bool) *lab {
	t.Helper()
	need(t)
	l := &lab{T: t, home: t, bridge: bridge, log: &logBuffer{}, gw: newSpace(t, "gw"), wan: newSpace(t, "wan")}
	var err error
	if l.dir, err = os.MkdirTemp(scratch, "l"); err != nil {
		t.Fatal(err)
	}
	l.wire()
	if bridge {
		l.lan = []string{"br-lan"}
		l.bridgeIn(l.gw)
	}
	l.cloud = newCloud(t, l.wan)
	l.config = map[string]any{"lan": map[string]any{"interfaces": l.lan}, "state_dir": filepath.Join(l.dir, "state"),
		"socket": filepath.Join(l.dir, "s"), "fetch": map[string]any{"ca_files": []string{l.cloud.pki.webCA}, "timeout": "2s"},
		"signatures": map[string]any{"ca_files": []string{l.cloud.pki.signerCA}}}
	return l
}

// bridgeIn makes the LAN bridge, with the same addresses wherever it is made.
func (l *lab) bridgeIn(s *space) {
	l.Helper()
	s.in(l.T, `ip link add br-lan address 02:00:00:00:08:01 type bridge; ip link set br-lan up
		ip addr add `+gateway+`/24 dev br-lan; ip addr add `+gateway6+`/64 dev br-lan nodad`)
}

func (l *lab) wire() {
	l.Helper()
	resolv := filepath.Join("/etc/netns", l.gw.name)
	if err := os.MkdirAll(resolv, 0o755); err != nil {
		l.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(resolv, "resolv.conf"), []byte("nameserver 198.51.100.2\n"), 0o644); err != nil {
		l.Fatal(err)
	}
	l.gw.in(l.T, `ip link add wan0 type veth peer name eth0 netns `+l.wan.name+`; ip link set wan0 up
		ip addr add 198.51.100.1/24 dev wan0; ip addr add 2001:db8:100::1/64 dev wan0 nodad
		sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
		ip route add 203.0.113.0/24 via 198.51.100.2; ip -6 route add 2001:db8:113::/64 via 2001:db8:100::2`)
	l.wan.in(l.T, `ip link set eth0 up; ip addr add 198.51.100.2/24 dev eth0; ip addr add 2001:db8:100::2/64 dev eth0 nodad
		ip route add local 203.0.113.0/24 dev lo; ip -6 route add local 2001:db8:113::/64 dev lo; sysctl -qw net.ipv6.ip_nonlocal_bind=1
		ip route add 192.168.0.0/16 via 198.51.100.1; ip -6 route add default via 2001:db8:100::1
		nft 'add table inet sink; add counter inet sink hits
			add chain inet sink pre { type filter hook prerouting priority -300; }
			add rule inet sink pre ip daddr `+sinkAddr+` counter name hits
			add rule inet sink pre ip6 daddr `+sinkAddr6+` counter name hits'`)
	l.gw.listen(l.T, ":22")
}

// sunk is how many packets reached the sink.
func (l *lab) sunk() int { return l.counted(l.wan, "sink") }

// counted is what the counter "hits" of a table has.
func (l *lab) counted(s *space, table string) int {
	l.Helper()
	var n, bytes int
	out := s.in(l.T, "nft list counter inet "+table+" hits")
	i := strings.Index(out, "packets")
	if i < 0 {
		l.Fatalf("no counter in %s", out)
	}
	if _, err := fmt.Sscanf(out[i:], "packets %d bytes %d", &n, &bytes); err != nil {
		l.Fatal(err)
	}
	return n
}

// dnsmasq starts DHCP and DNS of the gateway, with more arguments at the end. It caches nothing, so that every question gets the
// next address.
func (l *lab) dnsmasq(more ...string) *process {
	l.Helper()
	args := []string{"-k", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--no-ping", "--bind-dynamic", "--user=root",
		"--pid-file=", "--cache-size=0", "--server=" + upstreamDNS, "--dhcp-authoritative", "--except-interface=lo",
		"--dhcp-leasefile=" + filepath.Join(l.dir, "leases"), "--dhcp-range=192.168.8.100,192.168.8.200,1h"}
	if !l.bridge {
		args = append(args, "--dhcp-range=192.168.9.100,192.168.9.200,1h")
	}
	for _, i := range l.lan {
		args = append(args, "--interface="+i)
	}
	p := launch(l.T, l.gw, "dnsmasq", append(args, more...)...)
	await(l.T, "dnsmasq answers", patience, func() string {
		if _, err := l.gw.resolve(gateway, "maker.example"); err != nil {
			return err.Error() + p.log.tail()
		}
		return ""
	})
	return p
}

// run makes a part of the test a subtest, to which the lab belongs meanwhile: its devices go when it ends.
func (l *lab) run(name string, part func()) {
	l.T.Run(name, func(t *testing.T) {
		outer := l.T
		l.T = t
		defer func() { l.T = outer }()
		part()
	})
}

// device is a host on the LAN.
type device struct {
	*space
	mac     string
	addr    string // known after DHCP or static
	addr6   string
	gateway string
	gw6     string
	port    string // its interface at the gateway
	client  *process
}

// device plugs a host into the LAN, with an IPv6 address and no IPv4 address.
func (l *lab) device(name string) *device {
	l.Helper()
	n := l.devices
	l.devices++
	d := &device{space: newSpace(l.T, name), mac: fmt.Sprintf("02:00:00:00:aa:%02x", n+1), gateway: gateway, gw6: gateway6,
		addr6: fmt.Sprintf("2001:db8:8::a%02x", n+1), port: fmt.Sprintf("p%d", n)}
	join := "ip link set " + d.port + " master br-lan"
	if !l.bridge {
		net := 8 + n
		d.gateway, d.gw6 = fmt.Sprintf("192.168.%d.1", net), fmt.Sprintf("2001:db8:%d::1", net)
		d.addr6 = fmt.Sprintf("2001:db8:%d::a%02x", net, n+1)
		join = fmt.Sprintf("ip addr add %s/24 dev %s; ip addr add %s/64 dev %s nodad", d.gateway, d.port, d.gw6, d.port)
		l.lan = append(l.lan, d.port)
		l.config["lan"] = map[string]any{"interfaces": l.lan}
	}
	l.gw.in(l.T, `ip link add `+d.port+` type veth peer name eth0 netns `+d.name+`; `+join+`; ip link set `+d.port+` up`)
	d.in(l.T, `ip link set eth0 address `+d.mac+`; sysctl -qw net.ipv6.conf.eth0.accept_ra=0; ip link set eth0 up
		ip addr add `+d.addr6+`/64 dev eth0 nodad; ip -6 route add default via `+d.gw6)
	d.listen(l.T, ":7000")
	return d
}

// static gives a device an address without DHCP.
func (l *lab) static(d *device, host int) {
	l.Helper()
	d.addr = fmt.Sprintf("%s%d", strings.TrimSuffix(d.gateway, "1"), host)
	d.in(l.T, "ip addr add "+d.addr+"/24 dev eth0; ip route replace default via "+d.gateway)
}

// bound waits until the device has an address from DHCP.
func (l *lab) bound(d *device) {
	l.Helper()
	await(l.T, "a DHCP lease", patience, func() string {
		out := d.in(l.T, "ip -4 -o addr show dev eth0; ip -4 route show default")
		_, rest, _ := strings.Cut(out, " inet ")
		addr, _, found := strings.Cut(rest, "/")
		if !found || !strings.Contains(out, "default via") {
			return "no address yet: " + out + d.client.log.tail()
		}
		d.addr = addr
		return ""
	})
}

// file writes a file of this lab and gives its path.
func (l *lab) file(name, text string, mode os.FileMode) string {
	l.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		l.Fatal(err)
	}
	return path
}

// udhcpc runs BusyBox's client, which announces url in option 161; "" for none.
func (l *lab) udhcpc(d *device, url string) {
	l.Helper()
	script := l.file("udhcpc.sh", "#!/bin/sh\ncase $1 in bound|renew)\nip addr replace $ip/24 dev $interface\n"+
		"ip route replace default via $router;; esac\n", 0o755)
	args := []string{"-f", "-i", "eth0", "-s", script, "-t", "20", "-T", "1", "-p", filepath.Join(l.dir, d.port+".pid")}
	if url != "" {
		args = append(args, "-x", "161:"+hex.EncodeToString([]byte(url)))
	}
	d.client = launch(l.T, d.space, "udhcpc", args...)
	l.bound(d)
}

// dhclient runs ISC's client. Its files are its own, and it leaves resolv.conf alone.
func (l *lab) dhclient(d *device, url string) {
	l.Helper()
	script := l.file("dhclient.sh", "#!/bin/sh\ncase $reason in PREINIT) ip link set $interface up;; BOUND|RENEW|REBIND|REBOOT)\n"+
		"ip addr replace $new_ip_address/24 dev $interface\nip route replace default via $new_routers;; esac\nexit 0\n", 0o755)
	conf := l.file("dhclient.conf", fmt.Sprintf("option mud-url code 161 = text;\nsend mud-url %q;\ntimeout 20;\nretry 1;\n"+
		"initial-interval 1;\n", url), 0o644)
	d.client = launch(l.T, d.space, "dhclient", "-4", "-d", "-cf", conf, "-sf", script, "-lf", filepath.Join(l.dir, d.port+".leases"),
		"-pf", filepath.Join(l.dir, d.port+".pid"), "eth0")
	l.bound(d)
}

// start runs the daemon and waits until it answers.
func (l *lab) start() {
	l.Helper()
	l.launch()
	await(l.T, "the daemon answers", patience, func() string {
		if _, errs, code := l.cli("status"); code != 0 {
			return "not yet: " + errs + l.log.tail()
		}
		return ""
	})
}

// launch runs the daemon.
func (l *lab) launch() *process {
	l.Helper()
	bin, err := program()
	if err != nil {
		l.Fatal(err)
	}
	if l.bin != "" {
		bin = l.bin
	}
	l.daemon = launch(l.home, l.gw, bin, "run", "--config", l.file("mudguard.yaml", l.yaml(), 0o644))
	l.log = l.daemon.log
	return l.daemon
}

// yaml is the configuration file.
func (l *lab) yaml() string {
	l.Helper()
	raw, err := json.MarshalIndent(l.config, "", " ") // JSON is YAML
	if err != nil {
		l.Fatal(err)
	}
	return string(raw)
}

// restart crashes the daemon and starts it again.
func (l *lab) restart() {
	l.Helper()
	l.daemon.kill()
	l.start()
}

// cli runs one of mudguard's commands, and gives what it says and its exit code.
func (l *lab) cli(args ...string) (out, errs string, code int) {
	l.Helper()
	bin, err := program()
	if err != nil {
		l.Fatal(err)
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", l.gw.name, bin}, args...)...)
	cmd.Env = append(os.Environ(), "MUDGUARD_SOCKET="+filepath.Join(l.dir, "s"))
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// order runs a command that must succeed.
func (l *lab) order(args ...string) string {
	l.Helper()
	out, errs, code := l.cli(args...)
	if code != 0 {
		l.fatal("mudguard %s: exit %d: %s", strings.Join(args, " "), code, errs)
	}
	return out
}

// fatal ends the test with what the daemon said last.
func (l *lab) fatal(format string, args ...any) {
	l.Helper()
	l.Fatalf("%s\n--- the daemon's log ends:\n%s", fmt.Sprintf(format, args...), l.log.tail())
}

// complain is fatal, but the test goes on.
func (l *lab) complain(format string, args ...any) {
	l.Helper()
	l.Errorf("%s\n--- the daemon's log ends:\n%s", fmt.Sprintf(format, args...), l.log.tail())
}

// view is a device as the command line shows it.
type view struct {
	MAC       string    `json:"mac"`
	Addresses []string  `json:"addresses"`
	URL       string    `json:"url"`
	State     string    `json:"state"`
	Policy    string    `json:"policy"`
	Reason    string    `json:"reason"`
	Source    string    `json:"source"`
	LastSeen  time.Time `json:"last_seen"`
	Names     []struct {
		Name      string   `json:"name"`
		Addresses []string `json:"addresses"`
	} `json:"names"`
}

// decode reads what a command says as JSON.
func (l *lab) decode(into any, args ...string) {
	l.Helper()
	if err := json.Unmarshal([]byte(l.order(args...)), into); err != nil {
		l.fatal("mudguard %s: %v", strings.Join(args, " "), err)
	}
}

func (l *lab) view(d *device) (v view) {
	l.Helper()
	var list []view
	l.decode(&list, "devices", "--json", "--socket", filepath.Join(l.dir, "s"))
	for _, v := range list {
		if v.MAC == d.mac {
			return v
		}
	}
	return view{State: "unknown"}
}

// becomes waits for a state, and for a text in the reason.
func (l *lab) becomes(d *device, state, reason string) view {
	l.Helper()
	var v view
	why := awaited(patience, func() string {
		if v = l.view(d); v.State == state && strings.Contains(v.Reason, reason) {
			return ""
		}
		return fmt.Sprintf("it is %s: %s", v.State, v.Reason)
	})
	if why != "" {
		l.fatal("%s did not become %s (%q): %s", d.name, state, reason, why)
	}
	return l.view(d) // one more round of the daemon: what it said is in the kernel and on the disk now
}
