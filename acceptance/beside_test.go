package acceptance

import (
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestFirewallsBeside: N11, N17, R1, R3, F5, T-45. Others' firewalls are loaded and loaded again beside ours, as OpenWrt's fw4,
// firewalld and Docker do it: they go on doing what they do, no answer to a DNS question is lost by it, and what they tear down of
// ours is back within a second, in one transaction, and status says what it was.
func TestFirewallsBeside(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp, nb := l.device("lamp"), l.device("nb")
	l.static(nb, 50)
	l.gw.listen(t, ":2222")
	l.gw.listen(t, ":7777")
	b := &beside{lab: l, nb: nb, files: map[string]string{}}
	for _, name := range []string{"fw4", "firewalld", "docker"} {
		path, err := filepath.Abs("testdata/" + name + ".nft")
		if err != nil {
			t.Fatal(err)
		}
		b.files[name] = path
		l.gw.in(t, "nft -f "+path)
	}
	l.dnsmasq()
	b.theirs("before mudguard")
	l.config["limits"] = map[string]any{"new_flows": "1000000/second", "burst": 1000000} // each question is a flow
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	l.rotating(lamp, 3)

	want := number("MUDGUARD_ANSWERS", 3000)
	if asked, lost, rounds := b.reload(lamp, want, "fw4", "docker"); lost > 0 || rounds < 5 {
		l.complain("%d of %d answers were lost in %d reloads that keep base chains", lost, asked, rounds)
	} else {
		t.Logf("none of %d answers lost in %d reloads that keep base chains", asked, rounds)
	}
	asked, lost, rounds := b.reload(lamp, want/10, "firewalld")
	if lost > rounds { // what is held when a base chain goes is dropped by the kernel: the one question of ours at most
		l.complain("%d of %d answers were lost in %d reloads that delete base chains", lost, asked, rounds)
	}
	t.Logf("%d of %d answers lost in %d reloads that delete base chains", lost, asked, rounds)
	if n := l.repairs(); n != 0 || strings.Contains(l.log.String(), "part=queue") {
		l.complain("%d repairs though nobody touched our tables, or the queue was given up: %s", n, l.log.tail())
	}
	b.theirs("after reloads")
	l.rotating(lamp, 5)
	b.restarts(lamp)
}

// beside is a gateway with others' firewalls.
type beside struct {
	*lab
	nb    *device
	files map[string]string
}

// reload loads others' firewalls at least ten times, while a device asks at least so many questions, one after the other.
func (b *beside) reload(d *device, questions int, names ...string) (asked, lost, rounds int) {
	b.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	var n atomic.Int64
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := d.resolve(d.gateway, "maker.example"); err != nil {
				lost++
			}
			n.Add(1)
		}
	}()
	for ; rounds < 10 || n.Load() < int64(questions); rounds++ {
		for _, name := range names {
			b.gw.in(b.T, "nft -f "+b.files[name])
		}
	}
	close(stop)
	<-done
	return int(n.Load()), lost, rounds
}

// theirs shows that the others' rules hold, for a host that is not under policy.
func (b *beside) theirs(when string) {
	b.Helper()
	tcp := func(what, host, port string, want bool) probe {
		return probe{what, func() error { return b.nb.tcp(net.JoinHostPort(host, port)) }, want}
	}
	b.try(when, []probe{tcp("fw4 lets the LAN reach port 2222", gateway, "2222", true), tcp("fw4 denies the LAN port 22", gateway, "22", false),
		tcp("firewalld denies port 7777", gateway, "7777", false), tcp("the LAN reaches the Internet", evilAddr, "8883", true)})
}

// restarts is fw4 stop and start, which deletes every table.
func (b *beside) restarts(lamp *device) {
	b.Helper()
	for i := range 3 {
		want := comparable(b.gw.in(b.T, "nft -s list table inet mudguard; nft -s list table bridge mudguard"))
		began := time.Now()
		b.gw.in(b.T, "nft flush ruleset")
		await(b.T, "our tables are back", patience, func() string {
			return pickText(b.repairs() == i+1, "", "not yet")
		})
		took := time.Since(began)
		b.gw.in(b.T, "nft -f "+b.files["fw4"]+"; nft -f "+b.files["firewalld"]+"; nft -f "+b.files["docker"])
		if now := comparable(b.gw.in(b.T, "nft -s list table inet mudguard; nft -s list table bridge mudguard")); now != want {
			b.complain("not what was there: %s", difference(want, now))
		}
		b.try("after fw4 restart", []probe{{"lamp -> another host", func() error { return lamp.tcp(evilAddr + ":8883") }, false}})
		b.theirs("after fw4 restart")
		b.rotating(lamp, 2)
		s := b.status()
		if s.LastRepair == nil || !strings.Contains(s.LastRepair.What, "table inet mudguard was deleted") {
			b.complain("status tells %+v", s.LastRepair)
		} else if d := s.LastRepair.At.Sub(began); d > time.Second {
			b.T.Logf("seen after %v, all of it took %v", d, took)
		}
	}
}
