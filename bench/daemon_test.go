package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/mdlayher/netlink"
	"github.com/miekg/dns"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"mudguard/dhcp"
)

// daemonFigures measures the real daemon, in a process of its own.
func daemonFigures(b *testing.B, p *page) {
	bin := filepath.Join(b.TempDir(), "mudguard")
	run(b, "", "go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "nethttpomithttp2,netgo,osusergo", "-o", bin, "mudguard/cmd/mudguard")
	for _, r := range []struct {
		devices int
		limit   aim
	}{{0, aim{}}, {50, aim{itself, 24}}, {250, aim{itself, 32}}} {
		d := newDaemon(b, bin, fmt.Sprint("r", r.devices), r.devices)
		p.add(figure{"P9", fmt.Sprintf("resident memory of the daemon with %d devices", r.devices), "MiB", d.resident(b), "", 0, r.limit})
		d.stop()
	}
	d := newDaemon(b, bin, "d", 0)
	onboardFigures(b, p, d)
	d.stop()
	d = newDaemon(b, bin, "k", 50)
	repairFigures(b, p, d)
	killFigures(b, p, d)
}

// onboardFigures: from the DHCP message of a device that was not known to its policy in the kernel, for profiles of which the daemon
// has the file and for others.
func onboardFigures(b *testing.B, p *page, d *daemon) {
	const each = 40
	events := watchTables(b, d.gw)
	socket := d.packetSocket(b)
	var cached, quarantined, fetched, fetches []time.Duration
	for i := range 2 * each {
		model := i % cachedModels // of these the daemon comes to know the files by the first devices
		if i%2 == 1 {
			model = cachedModels + i
			start := time.Now()
			d.fetchOnce(b, model)
			fetches = append(fetches, time.Since(start))
		}
		first, last := d.onboard(b, socket, mac(2000+i), model, events)
		switch {
		case i%2 == 1:
			fetched, quarantined = append(fetched, last), append(quarantined, first)
		case i >= 2*cachedModels:
			cached = append(cached, last)
		}
	}
	p.add(figure{"P8", "from a device's DHCP message to its policy, file in the cache, p99", "ms", millis(quantile(cached, 0.99)), "", 0, aim{itself, 50}},
		figure{"P8", "the same, p50", "ms", millis(quantile(cached, 0.5)), "", 0, aim{}},
		figure{"P8", "the same, file not in the cache, p99", "ms", millis(quantile(fetched, 0.99)), "its fetch alone", millis(quantile(fetches, 0.5)), aim{added, 100}},
		figure{"P8", "from a device's DHCP message to its quarantine, p99", "ms", millis(quantile(quarantined, 0.99)), "", 0, aim{itself, 50}})
}

// onboard sends a device's DHCP message, and gives how long it took to its first verdict in the kernel and to that of its profile.
func (d *daemon) onboard(b *testing.B, socket int, who dhcp.MAC, model int, events <-chan tableEvent) (first, last time.Duration) {
	b.Helper()
	m, err := dhcpv4.NewDiscovery(net.HardwareAddr(who[:]), dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(161), []byte(modelURL(model)))))
	if err != nil {
		b.Fatal(err)
	}
	frame := datagram(who, [6]byte{255, 255, 255, 255, 255, 255}, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255"), 68, 67, m.ToBytes())
	start := time.Now()
	if _, err := unix.Write(socket, frame); err != nil {
		b.Fatal(err)
	}
	for end := time.After(20 * time.Second); ; {
		select {
		case e := <-events:
			if !e.about(who) {
				continue
			}
			last = e.at.Sub(start)
			if first == 0 {
				first = last
			}
			if d.state(who) == "enforced" {
				return first, d.settled(events, who, start, last)
			}
		case <-end:
			b.Fatalf("%s is %q after 20 s", who, d.state(who))
		}
	}
}

// settled takes what events there are meanwhile: a verdict of the profile that came while we asked for the state.
func (d *daemon) settled(events <-chan tableEvent, who dhcp.MAC, start time.Time, last time.Duration) time.Duration {
	for {
		select {
		case e := <-events:
			if e.about(who) {
				last = e.at.Sub(start)
			}
		default:
			return last
		}
	}
}

// repairFigures: somebody deletes our tables.
func repairFigures(b *testing.B, p *page, d *daemon) {
	var took []time.Duration
	for range 5 {
		took = append(took, timed(b, 1, func(int) error {
			run(b, "", "ip", "netns", "exec", d.gw, "nft", "flush", "ruleset")
			return until(10*time.Second, func() bool { return d.inKernel(mac(49)) })
		})...)
	}
	p.add(figure{"R1", "somebody else's nft flush ruleset, until all is back, worst of 5, 50 devices", "ms", millis(quantile(took, 1)), "", 0, aim{itself, 2000}})
}

// killFigures: SIGKILL under traffic, a second without a daemon, and the next one.
func killFigures(b *testing.B, p *page, d *daemon) {
	names, flow := &dropped{}, &dropped{}
	s := newSenderTo(b, d)
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(b.Context())
	a := in(b, d.dev, newAsker)
	defer a.conn.Close()
	wg.Go(func() { names.watch(ctx, func() error { _, err := a.once(); return err }) })
	wg.Go(func() { flow.watch(ctx, s.echo) })
	time.Sleep(time.Second)
	d.stop()
	time.Sleep(time.Second)
	start := time.Now()
	d.start(b, 50)
	back := time.Since(start)
	time.Sleep(time.Second)
	stop()
	wg.Wait()
	p.add(figure{"R2", fmt.Sprintf("SIGKILL and a restart: packets lost of %d of an admitted flow", flow.all), "", float64(flow.lost), "", 0, aim{itself, 0}},
		figure{"R2", fmt.Sprintf("the same: DNS answers lost of %d", names.all), "", float64(names.lost), "", 0, aim{itself, 0}},
		figure{"R2", "from the start of the next daemon to its answer that all 50 devices are under policy", "ms", millis(back), "", 0, aim{itself, 1000}})
}

// dropped counts what gets no answer.
type dropped struct{ all, lost int }

func (d *dropped) watch(ctx context.Context, try func() error) {
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		d.all++
		if try() != nil {
			d.lost++
		}
	}
}

// echoing is a flow of a device, each of whose packets is answered.
type echoing struct{ c *net.UDPConn }

func newSenderTo(b *testing.B, d *daemon) *echoing {
	b.Helper()
	pc := in(b, d.wan, func() (net.PacketConn, error) { return net.ListenPacket("udp4", fmt.Sprint(wanAddr, ":", cloudPort)) })
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(buf[:n], from)
		}
	}()
	a := in(b, d.dev, newAsker) // only an answer opens the address
	defer a.conn.Close()
	if _, err := a.once(); err != nil {
		b.Fatal(err)
	}
	e := &echoing{in(b, d.dev, dialUDP(devAddr+":4000"))}
	b.Cleanup(func() { pc.Close(); e.c.Close() })
	if err := until(5*time.Second, func() bool { return e.echo() == nil }); err != nil {
		b.Fatal("the declared flow does not pass")
	}
	return e
}

func (e *echoing) echo() error {
	if _, err := e.c.Write([]byte("hello")); err != nil {
		return err
	}
	_ = e.c.SetReadDeadline(time.Now().Add(time.Second))
	_, err := e.c.Read(make([]byte, 64))
	return err
}

// daemon is mudguard in the gateway of a lab, with a manufacturer's server outside.
type daemon struct {
	lab
	bin, dir string
	cmd      *exec.Cmd
	http     *http.Client
}

// newDaemon starts a daemon that has so many devices and the files of their profiles on its disk.
func newDaemon(b *testing.B, bin, name string, devices int) *daemon {
	b.Helper()
	d := &daemon{lab: newLab(b, name), bin: bin, dir: b.TempDir()}
	d.serve(b)
	config := fmt.Sprintf("lan: {interfaces: [br-lan]}\nstate_dir: %s\nsocket: %s/sock\nsignatures: {policy: ignore}\n"+
		"fetch: {ca_files: [%s/ca.pem], private_hosts: [example.com]}\n", d.dir, d.dir, d.dir)
	write(b, d.dir+"/mudguard.yaml", config)
	raw := state(b, devices)
	write(b, d.dir+"/state.json", fmt.Sprintf(`{"checksum":%q,"state":%s}`, digest(raw), raw))
	fillCache(b, d.dir, devices)
	d.start(b, devices)
	return d
}

// serve starts what the daemon and the device ask: DNS on the gateway, and the manufacturer.
func (d *daemon) serve(b *testing.B) {
	pc := in(b, d.gw, func() (net.PacketConn, error) { return net.ListenPacket("udp4", gwAddr+":53") })
	srv := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		var m dns.Msg
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(wanAddr).To4()}}
		}
		_ = w.WriteMsg(&m)
	})}
	go srv.ActivateAndServe()
	maker := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		model, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/mud+json")
		_, _ = w.Write([]byte(file(model)))
	}))
	maker.Listener = in(b, d.wan, func() (net.Listener, error) { return net.Listen("tcp4", wanAddr+":443") })
	maker.StartTLS()
	d.http = maker.Client()
	b.Cleanup(func() { _ = srv.Shutdown(); maker.Close() })
	write(b, d.dir+"/ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: maker.Certificate().Raw})))
}

// fetchOnce gets a file as the daemon does, by a connection of its own.
func (d *daemon) fetchOnce(b *testing.B, model int) {
	in(b, d.gw, func() (struct{}, error) {
		t := d.http.Transport.(*http.Transport).Clone()
		defer t.CloseIdleConnections()
		c, err := net.Dial("tcp4", wanAddr+":443") // in the namespace of this thread
		if err != nil {
			return struct{}{}, err
		}
		t.DialContext = func(context.Context, string, string) (net.Conn, error) { return c, nil }
		r, err := (&http.Client{Transport: t}).Get(modelURL(model))
		if err != nil {
			return struct{}{}, err
		}
		defer r.Body.Close()
		var file json.RawMessage
		return struct{}{}, json.NewDecoder(r.Body).Decode(&file)
	})
}

// start starts the daemon and waits until all devices are under their policies.
func (d *daemon) start(b *testing.B, devices int) {
	b.Helper()
	d.cmd = exec.Command("ip", "netns", "exec", d.gw, d.bin, "run", "--config", d.dir+"/mudguard.yaml")
	var log bytes.Buffer
	d.cmd.Stderr = &log
	if err := d.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.stop)
	if err := until(time.Minute, func() bool { return d.enforced() == devices && d.listening() }); err != nil {
		b.Fatalf("of %d devices %d are enforced: %s", devices, d.enforced(), log.String())
	}
}

// stop kills the daemon: ip netns exec has become it.
func (d *daemon) stop() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait() // killed, as it should be
}

// ask has the command line ask the daemon.
func (d *daemon) ask(into any, args ...string) error {
	cmd := exec.Command("ip", append([]string{"netns", "exec", d.gw, d.bin}, args...)...)
	cmd.Env = append(os.Environ(), "MUDGUARD_SOCKET="+d.dir+"/sock")
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

func (d *daemon) enforced() (n int) {
	var list []struct{ State string }
	if d.ask(&list, "devices", "--json") != nil {
		return -1
	}
	for _, l := range list {
		if l.State == "enforced" {
			n++
		}
	}
	return n
}

// listening says that the daemon hears the LAN.
func (d *daemon) listening() bool {
	var s json.RawMessage
	return d.ask(&s, "status", "--json") == nil && bytes.Contains(s, []byte(`"listening"`))
}

func (d *daemon) state(who dhcp.MAC) string {
	var v struct{ State string }
	_ = d.ask(&v, "device", who.String(), "--json") // not known yet
	return v.State
}

func (d *daemon) inKernel(who dhcp.MAC) bool {
	return exec.Command("ip", "netns", "exec", d.gw, "nft", "get", "element", "inet", "mudguard", "from_device", "{ "+who.String()+" }").Run() == nil
}

func until(limit time.Duration, f func() bool) error {
	for end := time.Now().Add(limit); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("not in time")
		}
	}
	return nil
}

// tableEvent is a message of the kernel that an element was added to a set.
type tableEvent struct {
	at  time.Time
	raw []byte
}

// about says that a device got a verdict for what it sends.
func (e tableEvent) about(who dhcp.MAC) bool {
	return bytes.Contains(e.raw, []byte("from_device\x00")) && bytes.Contains(e.raw, who[:])
}

// watchTables tells of new elements, with the moment of each.
func watchTables(b *testing.B, gw string) <-chan tableEvent {
	b.Helper()
	ns, err := netns.GetFromName(gw)
	if err != nil {
		b.Fatal(err)
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{Groups: 1 << (unix.NFNLGRP_NFTABLES - 1), NetNS: int(ns)})
	if err != nil {
		b.Fatal(err)
	}
	_ = c.SetReadBuffer(8 << 20) // what is lost shows as a device that never comes
	out := make(chan tableEvent, 1<<14)
	go func() {
		defer close(out)
		for {
			msgs, err := c.Receive()
			if err != nil {
				return
			}
			for _, m := range msgs {
				if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSETELEM {
					out <- tableEvent{time.Now(), m.Data}
				}
			}
		}
	}()
	b.Cleanup(func() { c.Close(); ns.Close() })
	return out
}

func write(b *testing.B, path, text string) {
	b.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// resident is the resident memory of the daemon in MiB. What the runtime gives back to the kernel later is still in it.
func (d *daemon) resident(b *testing.B) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(f[1])
			return float64(kib) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
