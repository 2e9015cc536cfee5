package acceptance

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"mudguard/enforcer/enforcertest"
)

// denied is how many packets are sent that must not pass; MUDGUARD_DENIED changes it.
const denied = 200_000

// TestDisruption: R2, F1, F3, F4, N16. Through kills at any time, ends, rereadings of the configuration, another version of the
// program and back, each with a new version of the profile, no packet of an admitted flow is lost and none that is denied passes.
func TestDisruption(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.config["limits"] = map[string]any{"new_flows": "1000000/second", "burst": 1000000}
	u := &upset{lab: l, lamp: lamp, bins: []string{otherVersion(t), ""}}
	u.publish()
	l.start()
	l.udhcpc(lamp, site+"lamp.json")
	l.becomes(lamp, "enforced", "")
	l.wan.in(t, `nft 'add table inet passed; add counter inet passed hits; add chain inet passed pre { type filter hook prerouting priority -300; }
		add rule inet passed pre ip daddr `+v4.host(11)+` udp dport 8883 counter name hits'`)
	good := l.flood(lamp, v4.host(11), 1)
	await(t, "the flow is admitted", patience, func() string { return pickText(l.counted(l.wan, "passed") > 0, "", "not yet") })
	bad := l.flood(lamp, sinkAddr, 64)
	want := int64(number("MUDGUARD_DENIED", denied))
	for round := 0; bad.sent.Load() < want || round < 8; round++ {
		u.upset(round)
	}
	u.killAnytime(time.Duration(number("MUDGUARD_KILL_SECONDS", 5)) * time.Second)
	good.end(t)
	bad.end(t)
	var passed int
	why := awaited(patience, func() string {
		passed = l.counted(l.wan, "passed")
		return pickText(passed == int(good.sent.Load()), "", "not yet")
	})
	if why != "" || l.sunk() > 0 {
		l.complain("%d of %d admitted packets arrived, and %d of %d that are denied", passed, good.sent.Load(), l.sunk(), bad.sent.Load())
	}
	t.Logf("%d of %d admitted packets lost, %d of %d denied ones passed, %d upsets", int(good.sent.Load())-passed, good.sent.Load(), l.sunk(), bad.sent.Load(), u.upsets)
}

// TestChangesUnderFlood: T-46, F1. A device that floods is put under other policies as fast as that goes: all of them deny what it
// sends, so none of it may pass, not even while the kernel takes the change.
func TestChangesUnderFlood(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.config["limits"] = map[string]any{"new_flows": "1000000/second", "burst": 1000000}
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	bad, changes := l.flood(lamp, sinkAddr, 64), 0
	for end := time.Now().Add(time.Duration(number("MUDGUARD_CHANGE_SECONDS", 5)) * time.Second); time.Now().Before(end); changes += 2 {
		for _, order := range []string{"quarantine", "release"} {
			if err := l.api("POST", "devices/"+lamp.mac+"/"+order, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	bad.end(t)
	if n := l.sunk(); n > 0 {
		l.complain("%d of %d denied packets passed in %d changes", n, bad.sent.Load(), changes)
	}
	t.Logf("%d of %d denied packets passed in %d changes", l.sunk(), bad.sent.Load(), changes)
}

// number reads how much a test is to do.
func number(env string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return n
	}
	return otherwise
}

// otherVersion builds the program as another version.
func otherVersion(t *testing.T) string {
	t.Helper()
	path := filepath.Join(scratch, "mudguard-next")
	cmd := exec.Command("go", "build", "-ldflags", "-X main.version=next", "-o", path, "mudguard/cmd/mudguard")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building another version: %v\n%s", err, out)
	}
	return path
}

// upset is a daemon that is not left alone.
type upset struct {
	*lab
	lamp            *device
	version, upsets int
	bins            []string
}

// publish puts a version of the lamp's file on the web that allows one port less than the one before.
func (u *upset) publish() {
	u.version++
	p := lampProfile("lamp")
	ace := enforcertest.ACE{Net: v4.net(11), Proto: "udp", Remote: enforcertest.Range(8883, 60000-u.version)}
	p.From, p.To = []enforcertest.ACE{ace}, nil
	p.Extra["last-update"] = time.Date(2026, 1, 1, 0, 0, u.version, 0, time.UTC).Format(time.RFC3339)
	u.cloud.publish("lamp", p)
}

// upset does the next thing to the daemon, and waits until it has the newest file.
func (u *upset) upset(round int) {
	u.Helper()
	u.publish()
	u.makeDue()
	switch round % 4 {
	case 0:
		u.daemon.kill()
		u.start()
	case 1:
		u.daemon.signal(u.T, syscall.SIGTERM)
		<-u.daemon.done
		u.start()
	case 2:
		u.daemon.signal(u.T, syscall.SIGHUP)
	case 3:
		u.daemon.kill()
		u.bin = u.bins[round/4%2]
		u.start()
	}
	u.upsets++
	wanted := fmt.Sprintf("8883-%d", 60000-u.version)
	await(u.T, "the newest file is in force", patience, func() string {
		return pickText(strings.Contains(u.gw.in(u.T, "nft list table inet mudguard"), wanted), "", u.log.tail())
	})
}

// killAnytime starts the daemon and kills it at a moment that nobody chose, again and again.
func (u *upset) killAnytime(d time.Duration) {
	u.Helper()
	r := rand.New(rand.NewPCG(1, 0))
	u.daemon.kill()
	for end := time.Now().Add(d); time.Now().Before(end); u.upsets++ {
		u.publish()
		u.makeDue()
		p := u.launch()
		select {
		case <-p.done:
			u.fatal("it ended by itself")
		case <-time.After(time.Duration(r.IntN(500)) * time.Millisecond):
			p.kill()
		}
	}
	u.start()
	u.becomes(u.lamp, "enforced", "")
}

// flood is datagrams of one flow without an end.
type flood struct {
	sent atomic.Int64
	stop chan struct{}
	done chan error
}

// flood sends so many datagrams a millisecond to port 8883 of a host.
func (l *lab) flood(d *device, host string, batch int) *flood {
	l.Helper()
	f := &flood{stop: make(chan struct{}), done: make(chan error, 1)}
	var conn net.PacketConn
	if err := d.do(func() (err error) { conn, err = net.ListenPacket("udp4", ":0"); return err }); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { conn.Close() })
	to := &net.UDPAddr{IP: net.ParseIP(host), Port: 8883}
	msgs := make([]ipv4.Message, batch)
	for i := range msgs {
		msgs[i] = ipv4.Message{Buffers: [][]byte{[]byte("packet")}, Addr: to}
	}
	go func() { f.done <- f.run(ipv4.NewPacketConn(conn), msgs) }()
	return f
}

func (f *flood) run(conn *ipv4.PacketConn, msgs []ipv4.Message) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		n, err := conn.WriteBatch(msgs, 0) // sendmmsg
		if err != nil {
			return err
		}
		f.sent.Add(int64(n))
		select {
		case <-f.stop:
			return nil
		case <-tick.C:
		}
	}
}

func (f *flood) end(t *testing.T) {
	t.Helper()
	close(f.stop)
	if err := <-f.done; err != nil {
		t.Errorf("sending ended: %v", err)
	}
}
