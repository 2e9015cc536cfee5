package bench

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/kernel"
	"mudguard/mud"
)

// lab is a device, a gateway and a host outside, each in a network namespace.
type lab struct {
	dev, gw, wan string
}

const (
	devAddr = "192.168.77.10"
	gwAddr  = "192.168.77.1"
	wanAddr = "203.0.113.10"
)

// newLab makes the namespaces; the LAN is a bridge, as on most routers. Segmentation is off: a packet is a packet (6.4).
func newLab(b *testing.B, name string) lab {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("needs root, to make network namespaces")
	}
	p := fmt.Sprintf("mgb%d%s", os.Getpid(), name)
	l := lab{p + "d", p + "g", p + "w"}
	b.Cleanup(func() {
		for _, n := range []string{l.dev, l.gw, l.wan} {
			_ = exec.Command("ip", "netns", "del", n).Run()
		}
	})
	for _, cmd := range []string{
		"netns add " + l.dev, "netns add " + l.gw, "netns add " + l.wan,
		"-n " + l.gw + " link add br-lan address " + mac(gatewayMAC).String() + " type bridge",
		"-n " + l.gw + " link add lan0 type veth peer name eth0 netns " + l.dev,
		"-n " + l.gw + " link add wan0 type veth peer name eth0 netns " + l.wan,
		"-n " + l.dev + " link set eth0 address " + mac(0).String() + " gso_max_segs 1 gso_max_size 1514 up",
		"-n " + l.wan + " link set eth0 gso_max_segs 1 gso_max_size 1514 up",
		"-n " + l.gw + " link set lan0 gso_max_segs 1 gso_max_size 1514 master br-lan up",
		"-n " + l.gw + " link set wan0 gso_max_segs 1 gso_max_size 1514 up",
		"-n " + l.gw + " link set br-lan up", "-n " + l.gw + " link set lo up",
		"-n " + l.gw + " addr add " + gwAddr + "/24 dev br-lan", "-n " + l.gw + " addr add 203.0.113.1/24 dev wan0",
		"-n " + l.dev + " addr add " + devAddr + "/24 dev eth0", "-n " + l.dev + " route add default via " + gwAddr,
		"-n " + l.wan + " addr add " + wanAddr + "/24 dev eth0", "-n " + l.wan + " route add default via 203.0.113.1",
	} {
		run(b, "", "ip", strings.Fields(cmd)...)
	}
	run(b, "", "ip", "netns", "exec", l.gw, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	return l
}

func run(b *testing.B, stdin, name string, args ...string) string {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// in runs f on a thread of its own in a namespace; the thread ends with it.
func in[T any](b *testing.B, name string, f func() (T, error)) T {
	b.Helper()
	type result struct {
		v   T
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		ns, err := netns.GetFromName(name)
		var r result
		if r.err = err; err == nil {
			defer ns.Close()
			if r.err = netns.Set(ns); r.err == nil {
				r.v, r.err = f()
			}
		}
		done <- r
	}()
	r := <-done
	if r.err != nil {
		b.Fatal(r.err)
	}
	return r.v
}

func (l lab) nft(b *testing.B) *kernel.Nft {
	b.Helper()
	ns, err := netns.GetFromName(l.gw)
	if err != nil {
		b.Fatal(err)
	}
	n, err := kernel.Open(kernel.Options{NetNS: int(ns)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close(); ns.Close() })
	return n
}

const gatewayMAC = 0xffff

func mac(i int) dhcp.MAC { return dhcp.MAC{2, 0, 0, 0x77, byte(i >> 8), byte(i)} }

func site(queue enforcer.QueueMode) *enforcer.Site {
	return &enforcer.Site{
		LAN:  []enforcer.LANInterface{{Name: "br-lan", Bridge: true, Prefixes: []netip.Prefix{netip.MustParsePrefix(gwAddr + "/24")}}},
		Mark: 1 << 28, NewFlows: enforcer.Rate{Count: 1_000_000, Per: time.Second}, NewFlowsBurst: 1_000_000,
		DenialRate: enforcer.Rate{Count: 10, Per: time.Second}, NFLOGGroup: 8520, QueueNum: 8520,
		Queue: queue, Bridge: enforcer.BridgeMark,
	}
}

const acesPerDevice = 20

// file is a MUD file with 20 ACEs for names, as most real ones are. The benchmarks use the last two, for the cloud by TCP and UDP.
func file(model int) string {
	var aces []string
	for i := range acesPerDevice {
		host, proto, number := fmt.Sprintf("h%d-%d.example", i, model), "udp", 17
		if i >= acesPerDevice-2 {
			host = "cloud.example"
		}
		if i == acesPerDevice-2 {
			proto, number = "tcp", 6
		}
		aces = append(aces, fmt.Sprintf(`{"name":"a%d","matches":{"ipv4":{"protocol":%d,"ietf-acldns:dst-dnsname":%q},`+
			`%q:{"destination-port":{"operator":"eq","port":%d}}},"actions":{"forwarding":"accept"}}`, i, number, host, proto, 7000+i))
	}
	return fmt.Sprintf(`{"ietf-mud:mud":{"mud-version":1,"mud-url":"https://example.com/%d","last-update":"2026-01-01T00:00:00Z",`+
		`"is-supported":true,"model-name":"m%d","from-device-policy":{"access-lists":{"access-list":[{"name":"out"}]}}},`+
		`"ietf-access-control-list:acls":{"acl":[{"name":"out","type":"ipv4-acl-type","aces":{"ace":[%s]}}]}}`,
		model, model, strings.Join(aces, ","))
}

func profile(b *testing.B, model int) *mud.Profile {
	b.Helper()
	p, _, err := mud.Parse([]byte(file(model)))
	if err != nil {
		b.Fatal(err)
	}
	return &p
}

const cloudPort = 7000 + acesPerDevice - 1 // and the one before it is TCP's

// house is the ruleset of a number of devices of so many models, whose names have so many addresses each.
func house(b *testing.B, s *enforcer.Site, devices, models, addresses int) enforcer.Ruleset {
	b.Helper()
	return enforcer.Build(s, members(b, s, devices, models), nil, known(addresses))
}

func members(b *testing.B, s *enforcer.Site, devices, models int) []enforcer.Member {
	b.Helper()
	var out []enforcer.Member
	var policies []*enforcer.Compiled
	for i := range min(devices, models) {
		policies = append(policies, enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: profile(b, i)}, s))
	}
	for i := range devices {
		own := netip.AddrFrom4([4]byte{192, 168, byte(77 + i/200), byte(10 + i%200)}) // the first is devAddr
		out = append(out, enforcer.Member{MAC: mac(i), Label: fmt.Sprint(i), Policy: policies[i%len(policies)], Addrs: []netip.Addr{own}})
	}
	return out
}

// known gives each name so many addresses.
func known(addresses int) func(string) map[enforcer.Key]enforcer.Element {
	return func(string) map[enforcer.Key]enforcer.Element {
		out := map[enforcer.Key]enforcer.Element{}
		for i := range addresses {
			out[enforcer.Key{Addr: address(i)}] = enforcer.Element{Timeout: time.Hour}
		}
		return out
	}
}

// address is one of the cloud's, the first is that of the host outside.
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)}) }

// models is how many different policies a home with very many devices has.
const models = 50

// enforce puts devices under policy.
func (l lab) enforce(b *testing.B, devices int) *kernel.Nft {
	b.Helper()
	n := l.nft(b)
	if err := n.Apply(enforcer.Diff(enforcer.Ruleset{}, house(b, site(enforcer.QueueNone), devices, models, 1))); err != nil {
		b.Fatal(err)
	}
	return n
}

func dialUDP(local string) func() (*net.UDPConn, error) {
	return func() (*net.UDPConn, error) {
		return net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local)),
			net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(wanAddr), cloudPort)))
	}
}
