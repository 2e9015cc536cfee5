package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// TestThousandDevices: F15, T-34. A thousand devices of fifty models come at the same moment, and all get their policies. A message
// that the daemon had no room for is said again, as every DHCP client does.
func TestThousandDevices(t *testing.T) {
	t.Parallel()
	const devices, models = 1000, 50
	l := newLab(t, true)
	port := l.device("crowd")
	var urls []string
	for i := range models {
		p := lampProfile(fmt.Sprint("model", i))
		p.From[0].Name = fmt.Sprintf("cloud%d.example", i)
		p.To[0].Name = p.From[0].Name
		urls = append(urls, l.cloud.publish(fmt.Sprint("model", i), p))
	}
	l.dnsmasq()
	l.start()
	start := time.Now()
	says := func(i int) []byte { return announcement(t, crowd(i), urls[i%models]) }
	l.blast(port, says, devices)
	sent, again := time.Since(start), time.Now().Add(3*time.Second)
	await(t, "all are under their policies", 3*patience, func() string {
		n := l.enforced()
		if n < devices && time.Now().After(again) {
			l.blast(port, says, devices)
			again = time.Now().Add(3 * time.Second)
		}
		return pickText(n == devices, "", fmt.Sprint(n, " are"))
	})
	t.Logf("%d devices came within %s, and all had their policies after %s; the daemon has %d KiB", devices, sent, time.Since(start), l.resident())
	if n := strings.Count(l.gw.in(t, "nft list map inet mudguard from_device"), "jump p_"); n != devices {
		l.complain("%d devices are in the kernel", n)
	}
}

func crowd(i int) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0xcc, byte(i >> 8), byte(i)} }

// announcement is the DHCP message of a device with a MUD URL.
func announcement(t *testing.T, mac net.HardwareAddr, url string) []byte {
	t.Helper()
	m, err := dhcpv4.NewDiscovery(mac, dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(161), []byte(url))))
	if err != nil {
		t.Fatal(err)
	}
	payload := m.ToBytes()
	f := append(bytes.Repeat([]byte{0xff}, 6), mac...)
	f = append(f, 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255)
	f = append(f, 0, 68, 0, 67, 0, 0, 0, 0)
	f = append(f, payload...)
	length := len(payload) + 8
	f[14+2], f[14+3], f[34+4], f[34+5] = byte((length+20)>>8), byte(length+20), byte(length>>8), byte(length)
	seal(f)
	return f
}

// enforced is how many devices are under their own policies.
func (l *lab) enforced() (n int) {
	l.Helper()
	var list []view
	l.decode(&list, "devices", "--json")
	for _, v := range list {
		if v.State == "enforced" {
			n++
		}
	}
	return n
}

// soakEnv is how long the soak takes; in CI a few rounds only. make soak sets it.
const soakEnv = "MUDGUARD_SOAK"

// TestSoak: F13, T10, T14, T21. Devices come and go, names change their addresses and packets are denied, round after round: the
// daemon has no more memory, files and threads at the end than when all of this had happened a few times, and the kernel has what
// it had before.
func TestSoak(t *testing.T) {
	t.Parallel()
	length := 8 * time.Second
	if s := os.Getenv(soakEnv); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	l, lamp, _ := floodLab(t, "netfilter", floodRate, floodBurst)
	c := &churn{lab: l, lamp: lamp, storm: l.datagrams(lamp, evilAddr, unix.IPPROTO_UDP), url: l.cloud.publish("guest", lampProfile("guest"))}
	sets := c.sets()
	for end := time.Now().Add(length / 3); time.Now().Before(end) || c.rounds < 3; {
		c.round()
	}
	first := c.footprint()
	for end := time.Now().Add(2 * length / 3); time.Now().Before(end) || c.rounds < 6; {
		c.round()
	}
	last := c.footprint()
	t.Logf("%d rounds; after a third %+v, at the end %+v", c.rounds, first, last)
	if last.kib > first.kib+first.kib/5 || last.files > first.files+2 || last.threads > first.threads+4 {
		l.complain("it grew from %+v to %+v", first, last)
	}
	if now := c.sets(); now != sets {
		l.complain("the kernel had the sets\n%s\nand has\n%s", sets, now)
	}
	if err := l.daemon.cmd.Process.Signal(syscall.SIGQUIT); err != nil { // Go's runtime tells of all goroutines, and ends
		t.Fatal(err)
	}
	<-l.daemon.done
	if n := strings.Count(l.log.String(), "\ngoroutine "); n == 0 || n > 120 {
		t.Errorf("%d goroutines", n)
	}
}

// churn is what a home does in years, in rounds.
type churn struct {
	*lab
	lamp   *device
	storm  func(int) []byte
	url    string
	rounds int
}

// guests come in each round, and leave in it.
const guests = 20

func (c *churn) round() {
	c.Helper()
	who := func(i int) net.HardwareAddr { return crowd(c.rounds*guests + i) }
	c.blast(c.lamp, func(i int) []byte { return announcement(c.T, who(i), c.url) }, guests)
	await(c.T, "the guests are under their policy", patience, func() string {
		n := c.enforced()
		return pickText(n == guests+1, "", fmt.Sprint(n, " are"))
	})
	for range 10 {
		if _, err := c.lamp.resolve(gateway, "cloud.example"); err != nil {
			c.fatal("%v", err)
		}
	}
	c.blast(c.lamp, c.storm, 2000)
	for i := range guests {
		c.order("forget", who(i).String())
	}
	c.rounds++
}

// footprint is what a process holds.
type footprint struct{ kib, files, threads int }

func (c *churn) footprint() (f footprint) {
	c.Helper()
	f.kib = c.resident()
	_, rest, _ := strings.Cut(c.proc("status"), "Threads:")
	if _, err := fmt.Sscan(rest, &f.threads); err != nil {
		c.fatal("Threads: %v", err)
	}
	files, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(c.daemon.cmd.Process.Pid), "fd"))
	if err != nil {
		c.fatal("%v", err)
	}
	f.files = len(files)
	return f
}

// sets are the names of the sets and chains that the kernel has.
func (c *churn) sets() string {
	c.Helper()
	var list struct {
		Nftables []map[string]struct{ Family, Name string }
	}
	if err := json.Unmarshal([]byte(c.gw.in(c.T, "nft -j -t list ruleset")), &list); err != nil {
		c.fatal("%v", err)
	}
	var names []string
	for _, item := range list.Nftables {
		for kind, x := range item {
			if kind == "set" || kind == "map" || kind == "chain" {
				names = append(names, x.Family+" "+x.Name)
			}
		}
	}
	return strings.Join(names, "\n")
}
