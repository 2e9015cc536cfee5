package kernel

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

const patience = 20 * time.Second

// eventually waits for something that must happen, however slow the machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// outputTable has one base chain at output with these rules.
func outputTable(rules ...enforcer.Rule) enforcer.Ruleset {
	return enforcer.Ruleset{Inet: &enforcer.Table{Family: enforcer.Inet, Chains: map[string]*enforcer.Chain{
		"output": {Name: "output", Hook: enforcer.HookOutput, Priority: -110, Rules: rules}}}}
}

// udpPair gives a listener in the namespace, and a connection to it.
func (s *space) udpPair() (server *net.UDPConn, client net.Conn) {
	s.t.Helper()
	var err1, err2 error
	s.do(func() {
		if server, err1 = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err1 == nil {
			client, err2 = net.Dial("udp4", server.LocalAddr().String())
		}
	})
	if err1 != nil || err2 != nil {
		s.t.Fatal(err1, err2)
	}
	s.t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

func (s *space) queueRule(n *Nft, port uint16) {
	s.t.Helper()
	f := n.Probe()
	if f.Queue == QueueNone {
		s.t.Fatal("this kernel has neither nft_queue nor xt_NFQUEUE")
	}
	roundTrip(s.t, n, outputTable(rule(enforcer.L4{Proto: 17}, enforcer.Port{Proto: 17, Dst: true, Lo: port, Hi: port},
		enforcer.Queue{Num: 8520, XT: f.Queue == QueueXT})))
}

func serverPort(c *net.UDPConn) uint16 { return c.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func exchange(t *testing.T, server *net.UDPConn, client net.Conn, text string) {
	t.Helper()
	if _, err := client.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	_ = server.SetReadDeadline(time.Now().Add(patience))
	n, err := server.Read(b)
	if err != nil || string(b[:n]) != text {
		t.Fatalf("received %q, %v", b[:n], err)
	}
}

// TestQueue holds real packets of every length modulo four: 1 to 3 bytes of padding once made the library panic (R2, F13).
func TestQueue(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	server, client := s.udpPair()
	s.queueRule(n, serverPort(server))
	exchange(t, server, client, "nobody listens: bypass")

	var mu sync.Mutex
	seen := map[int]bool{}
	q := &Queue{Num: 8520, NetNS: int(s.ns), OnError: func(err error) { t.Log(err) }, Handler: func(b []byte) {
		f, length, ok := parseIP(b)
		if !ok || length != len(b) || f.Dport != serverPort(server) || f.Dst != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("handler got %v, %d of %d bytes, %v", f, len(b), length, ok)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[length-28] = true
		switch length - 28 {
		case 50:
			panic("the handler's fault")
		case 51:
			mu.Unlock()
			time.Sleep(3 * holdCap)
			mu.Lock()
		}
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { q.Run(ctx); close(done) }()
	eventually(t, "the queue is served", func() bool {
		// Between its binding and its settings the kernel drops what comes for a queue: not each of these arrives.
		_, _ = client.Write([]byte("x"))
		_ = server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = server.Read(make([]byte, 16))
		mu.Lock()
		defer mu.Unlock()
		return seen[1]
	})
	for err := error(nil); err == nil; { // those that came late
		_ = server.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err = server.Read(make([]byte, 16))
	}
	for size := 1; size <= 51; size++ {
		exchange(t, server, client, string(make([]byte, size)))
		mu.Lock()
		if !seen[size] {
			t.Errorf("%d bytes were delivered before the handler saw them", size)
		}
		mu.Unlock()
	}
	eventually(t, "a late one and a panic are counted", func() bool { st := q.Stats(); return st.Late > 0 && st.Errors == 1 })
	cancel()
	<-done
	exchange(t, server, client, "nobody listens again")
}

// TestQueueStuck: F13. With all handlers stuck packets pass nevertheless, and those held when the queue ends too.
func TestQueueStuck(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	server, client := s.udpPair()
	s.queueRule(n, serverPort(server))
	stuck := make(chan struct{})
	var calls atomic.Int32
	q := &Queue{Num: 8520, NetNS: int(s.ns), Handler: func([]byte) { calls.Add(1); <-stuck }}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { q.Run(ctx); close(done) }()
	eventually(t, "handlers are stuck", func() bool {
		exchange(t, server, client, "x")
		return calls.Load() == queueWorkers
	})
	for range 20 {
		exchange(t, server, client, "held for a while")
	}
	for range 10 {
		if _, err := client.Write([]byte("held at the end")); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for range 10 {
		if _, err := server.Read(make([]byte, 100)); err != nil {
			t.Fatalf("held when the queue ended: %v", err)
		}
	}
	close(stuck)
	<-done
}

func TestLogReader(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	server, client := s.udpPair()
	roundTrip(t, n, outputTable(rule(enforcer.L4{Proto: 17}, enforcer.Log{Group: 8520, Prefix: "out p_1"}, enforcer.Counter{})))
	events := make(chan enforcer.LogEvent, 100)
	l := &LogReader{Group: 8520, NetNS: int(s.ns), OnError: func(err error) { t.Error(err) }, Handle: func(e enforcer.LogEvent) {
		select {
		case events <- e:
		default:
		}
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	eventually(t, "the log is read", func() bool {
		exchange(t, server, client, string(make([]byte, 1000)))
		return l.Stats().Events > 0
	})
	e := <-events
	want := enforcer.Flow{Src: netip.MustParseAddr("127.0.0.1"), Dst: netip.MustParseAddr("127.0.0.1"), Proto: 17,
		Sport: client.LocalAddr().(*net.UDPAddr).AddrPort().Port(), Dport: serverPort(server)}
	if e.Packet != want || e.Prefix != "out p_1" || e.Len != 1028 {
		t.Errorf("event %+v, want %+v", e, want)
	}
	cancel()
	<-done
}

// TestLogBridge: MACs and the packet of a frame that the bridge family logs.
func TestLogBridge(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	for _, args := range [][]string{{"link", "add", "br0", "type", "bridge"}, {"link", "add", "va", "type", "veth", "peer", "name", "vb"},
		{"link", "set", "va", "master", "br0"}, {"link", "set", "va", "up"}, {"link", "set", "vb", "up"}, {"link", "set", "br0", "up"},
		{"addr", "add", "192.0.2.1/24", "dev", "br0"}, {"neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "br0"}} {
		s.run("", "ip", args...)
	}
	roundTrip(t, n, enforcer.Ruleset{Bridge: &enforcer.Table{Family: enforcer.Bridge, Chains: map[string]*enforcer.Chain{
		"output": {Name: "output", Hook: enforcer.HookOutput, Priority: -110, Rules: []enforcer.Rule{
			rule(enforcer.IPVersion{}, enforcer.L4{Proto: 17}, enforcer.Log{Group: 8520, Prefix: "b"})}}}}})
	var client net.Conn
	var err error
	s.do(func() { client, err = net.Dial("udp4", "192.0.2.2:9") })
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	events := make(chan enforcer.LogEvent, 1000)
	l := &LogReader{Group: 8520, NetNS: int(s.ns), Handle: func(e enforcer.LogEvent) {
		select {
		case events <- e:
		default:
		}
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	eventually(t, "a frame is logged", func() bool {
		_, _ = client.Write([]byte("x"))
		return l.Stats().Events > 0
	})
	e := <-events
	if e.DstMAC != macKey(2).MAC || e.Packet.Dport != 9 || e.MAC[0] == 0 && e.MAC == [6]byte{} {
		t.Errorf("event %+v", e)
	}
	cancel()
	<-done
}

// TestCut: T20.
func TestCut(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	roundTrip(t, n, outputTable(rule(enforcer.CtState{State: "established"}, enforcer.Counter{}))) // makes the kernel track
	for _, ip := range []string{"127.0.0.1", "::1"} {
		a := netip.MustParseAddr(ip)
		var ln net.Listener
		var c net.Conn
		var err1, err2 error
		s.do(func() {
			if ln, err1 = net.Listen("tcp", net.JoinHostPort(ip, "0")); err1 == nil {
				c, err2 = net.Dial("tcp", ln.Addr().String())
			}
		})
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		defer ln.Close()
		defer c.Close()
		port := netip.MustParseAddrPort(ln.Addr().String()).Port()
		var asked []enforcer.Flow
		cut, err := n.Cut(a, func(f enforcer.Flow) bool { asked = append(asked, f); return true })
		if err != nil || cut != 0 || len(asked) != 1 || asked[0].Dport != port || asked[0].Proto != 6 || asked[0].Dst != a {
			t.Errorf("%s: keeping all: cut %d, asked %v, %v", ip, cut, asked, err)
		}
		if cut, err := n.Cut(netip.MustParseAddr("192.0.2.99"), nil); err != nil || cut != 0 {
			t.Errorf("somebody else's: cut %d, %v", cut, err)
		}
		if cut, err := n.Cut(a, nil); err != nil || cut != 1 {
			t.Errorf("%s: cut %d, %v", ip, cut, err)
		}
		if cut, err := n.Cut(a, nil); err != nil || cut != 0 {
			t.Errorf("%s: cut %d a second time, %v", ip, cut, err)
		}
	}
}

// TestWatch: N11, F5.
func TestWatch(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	roundTrip(t, n, learnedSets(1000))
	var calls atomic.Int32
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		n.Watch(ctx, func() { close(ready) }, func() { calls.Add(1) }, func(err error) { t.Error(err) })
		close(done)
	}()
	<-ready
	// Our own changes and those of other tables come first; the foreign change after them proves that they are read.
	for i := range 100 {
		if err := n.Learn([]enforcer.Learned{{Set: "n_4", Addr: v4(i), Timeout: time.Minute}}); err != nil {
			t.Fatal(err)
		}
	}
	roundTrip(t, n, enforcer.Ruleset{Inet: devices(10)})
	n.Probe()
	s.run("", "nft", "add", "table", "inet", "other")
	s.run("", "nft", "add", "table", "ip", "mudguard")
	time.Sleep(5 * quiet)
	if c := calls.Load(); c != 0 {
		t.Errorf("%d calls for our own changes and other tables", c)
	}
	for i, args := range [][]string{{"add", "rule", "inet", "mudguard", "forward", "accept"}, {"flush", "chain", "inet", "mudguard", "p_00000001_out"},
		{"delete", "table", "inet", "mudguard"}, {"flush", "ruleset"}} {
		before := calls.Load()
		if i > 2 {
			roundTrip(t, n, enforcer.Ruleset{Inet: devices(10)})
		}
		s.run("", "nft", args...)
		eventually(t, "call after "+args[0], func() bool { return calls.Load() > before })
	}
	cancel()
	<-done
}

func TestHost(t *testing.T) {
	s := newSpace(t)
	h, err := OpenHost(Options{NetNS: int(s.ns)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var changes atomic.Int32
	var mu sync.Mutex
	seen, ports := map[netip.Addr]Neighbour{}, map[dhcp.MAC]string{}
	var wg sync.WaitGroup
	wg.Go(func() { h.WatchLinks(ctx, func() { changes.Add(1) }, func(err error) { t.Error(err) }) })
	wg.Go(func() {
		h.WatchNeighbours(ctx, func(n Neighbour) { mu.Lock(); defer mu.Unlock(); seen[n.Addr] = n },
			func(p Port) { mu.Lock(); defer mu.Unlock(); ports[p.MAC] = p.Name }, func(err error) { t.Error(err) })
	})
	eventually(t, "first call", func() bool { return changes.Load() > 0 })
	before := changes.Load()
	for _, args := range [][]string{{"link", "add", "br0", "type", "bridge"}, {"link", "set", "br0", "address", "02:00:00:00:00:01"}, {"link", "set", "br0", "up"},
		{"addr", "add", "192.0.2.1/24", "dev", "br0"}, {"-6", "addr", "add", "2001:db8::1/64", "dev", "br0", "nodad"},
		{"neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "br0", "nud", "permanent"},
		{"neigh", "add", "192.0.2.3", "lladdr", "02:00:00:00:00:03", "dev", "br0", "nud", "stale"},
		{"neigh", "add", "192.0.2.4", "dev", "br0", "lladdr", "02:00:00:00:00:04", "nud", "failed"},
		{"-6", "neigh", "add", "2001:db8::2", "lladdr", "02:00:00:00:00:02", "dev", "br0", "nud", "permanent"}} {
		s.run("", "ip", args...)
	}
	eventually(t, "a change is told", func() bool { return changes.Load() > before })
	eventually(t, "neighbours are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := seen[netip.MustParseAddr("2001:db8::2")]
		return len(seen) == 3 && n.MAC == macKey(2).MAC && n.Interface == "br0"
	})
	got, err := h.Neighbours()
	if err != nil || len(got) != 3 {
		t.Errorf("neighbours %v, %v", got, err)
	}
	for _, i := range []string{"0", "1"} {
		s.run("", "ip", "link", "add", "p"+i, "type", "veth", "peer", "name", "q"+i)
		s.run("", "ip", "link", "set", "p"+i, "up", "master", "br0")
		s.run("", "ip", "link", "set", "q"+i, "up")
	}
	for _, p := range []string{"p0", "p1", "p0"} {
		eventually(t, "the port is told", func() bool { // a port takes a moment to learn
			s.run("", "sh", "-c", "bridge fdb replace 02:00:00:00:00:07 dev "+p+" master dynamic || true")
			mu.Lock()
			defer mu.Unlock()
			return ports[macKey(7).MAC] == p
		})
	}
	i, err := h.Interface("br0")
	if err != nil || !i.IsBridge || i.MAC != macKey(1).MAC || len(i.Prefixes) < 2 || i.Prefixes[0].String() != "192.0.2.1/24" {
		t.Errorf("interface %+v, %v", i, err)
	}
	if _, err := h.Interface("nope"); err == nil {
		t.Error("an interface that is not there")
	}
	cancel()
	wg.Wait()
}

// TestWatchFlows: who opens flows that are admitted is told, and what is denied is not.
func TestWatchFlows(t *testing.T) {
	s := newSpace(t)
	n := s.open()
	server, client := s.udpPair()
	denied, other := s.udpPair()
	roundTrip(t, n, outputTable(
		rule(enforcer.L4{Proto: 17}, enforcer.Port{Proto: 17, Dst: true, Lo: serverPort(denied), Hi: serverPort(denied)}, enforcer.Verdict{Kind: enforcer.VerdictDrop}),
		rule(enforcer.CtState{State: "established"}, enforcer.Counter{}))) // makes the kernel track
	var mu sync.Mutex
	seen := map[uint16]int{}
	ready := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.WatchFlows(ctx, func() { close(ready) }, func(f enforcer.Flow) {
			mu.Lock()
			defer mu.Unlock()
			seen[f.Dport]++
		}, func(err error) { t.Error(err) })
	}()
	<-ready
	if _, err := other.Write([]byte("x")); err == nil {
		t.Error("a packet that is dropped on the way out is sent")
	}
	exchange(t, server, client, "one")
	exchange(t, server, client, "two")
	eventually(t, "the flow is told", func() bool { mu.Lock(); defer mu.Unlock(); return seen[serverPort(server)] > 0 })
	stop()
	<-done
	if seen[serverPort(server)] != 1 || seen[serverPort(denied)] != 0 {
		t.Errorf("%v, of the flow to %d and the denied one to %d", seen, serverPort(server), serverPort(denied))
	}
}
