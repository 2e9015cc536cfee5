package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netns"

	"mudguard/enforcer"
	"mudguard/enforcer/answers"
	"mudguard/enforcer/kernel"
)

const (
	queries  = 8000
	inFlight = 32
	loadTime = 4 * time.Second
	pool     = 200 // addresses of the cloud; a name may have 256
)

// nameFigures measures what the DNS hold costs, against a gateway without it.
func nameFigures(b *testing.B, p *page) {
	held, free := newResolver(b, "h", 0), newResolver(b, "f", -1)
	delayFigures(b, p, held, free)
	p.add(figure{"P3", fmt.Sprintf("first SYNs denied in %d times resolving and connecting at once", *trials), "",
		float64(held.deniedFirst(b, *trials)), "", 0, aim{itself, 0}})
	with, without := held.load(b, nil), free.load(b, nil)
	p.add(figure{"P4", "answers with 32 questions in flight", "/s", with.rate(), "no hold", without.rate(), aim{atLeast, 5000}},
		figure{"P4", "the same, p99", "ms", millis(quantile(with.took, 0.99)), "no hold", millis(quantile(without.took, 0.99)), aim{itself, 5}},
		figure{"P4", "the same, lost", "", float64(with.lost), "no hold", float64(without.lost), aim{itself, 0}})
	slow := newResolver(b, "s", 40*time.Millisecond)
	ours, theirs := held.load(b, held.foreignReload), slow.load(b, slow.foreignReload)
	p.add(figure{"R3", "answers lost while another program rebuilds its table five times a second", "per 1,000", ours.lostShare(),
		"answers held for 40 ms", theirs.lostShare(), aim{asRatio, 0.1}})
}

func delayFigures(b *testing.B, p *page, held, free *resolver) {
	var with, without []time.Duration
	for range 8 { // in turns
		without = append(without, free.ask(b, queries/8)...)
		with = append(with, held.ask(b, queries/8)...)
	}
	for _, q := range []struct {
		q     float64
		limit float64
	}{{0.5, 0.25}, {0.99, 2}, {0.999, 10}} {
		p.add(figure{"P3", fmt.Sprintf("a DNS answer, p%v", 100*q.q), "ms", millis(quantile(with, q.q)), "no hold", millis(quantile(without, q.q)), aim{added, q.limit}})
	}
	if n := held.learned.Load(); n < queries {
		b.Fatalf("only %d of %d answers were learned", n, queries)
	}
}

// resolver is a lab with a DNS server on the gateway and a device that asks it.
type resolver struct {
	lab
	learned atomic.Int64
	set     atomic.Value // string: the name of that of the cloud's addresses
}

// newResolver holds answers, each for some time more than it takes, or not at all where that is negative.
func newResolver(b *testing.B, name string, more time.Duration) *resolver {
	b.Helper()
	r := &resolver{lab: newLab(b, name)}
	run(b, "", "ip", "-n", r.gw, "route", "add", "198.51.100.0/24", "via", wanAddr)
	run(b, "", "ip", "-n", r.wan, "route", "add", "local", "198.51.100.0/24", "dev", "lo")
	if more >= 0 {
		r.hold(b, more)
	}
	pc := in(b, r.gw, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(gwAddr), Port: 53})
	})
	srv := &dns.Server{PacketConn: pc, Handler: rotating()}
	go srv.ActivateAndServe()
	b.Cleanup(func() { _ = srv.Shutdown() })
	r.accept(b)
	return r
}

// accept is the cloud: it takes connections and ends them.
func (r *resolver) accept(b *testing.B) {
	ln := in(b, r.wan, func() (net.Listener, error) { return net.Listen("tcp4", fmt.Sprint(":", cloudPort-1)) })
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

// rotating answers each query with the next address.
func rotating() dns.HandlerFunc {
	var n atomic.Uint32
	return func(w dns.ResponseWriter, q *dns.Msg) {
		var m dns.Msg
		m.SetReply(q)
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
			A: net.IPv4(198, 51, 100, byte(1+n.Add(1)%pool)).To4()}}
		_ = w.WriteMsg(&m)
	}
}

// hold puts the device under policy and starts what holds its answers.
func (r *resolver) hold(b *testing.B, more time.Duration) {
	b.Helper()
	n := r.nft(b)
	s := site(enforcer.QueueMode(n.Probe().Queue))
	c := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: profile(b, 0)}, s)
	s.Controllers = map[string][]enforcer.Host{enforcer.ClassDNS: {{Addr: netip.MustParseAddr(gwAddr)}}}
	if err := n.Apply(enforcer.Diff(enforcer.Ruleset{}, enforcer.Build(s, []enforcer.Member{{MAC: mac(0), Label: "lamp", Policy: c}}, nil, nil))); err != nil {
		b.Fatal(err)
	}
	names := enforcer.NewNames()
	names.Configure(time.Minute, nil, nil)
	names.Use(c.Names)
	learner := &answers.Learner{Names: names, Now: time.Now, OnError: func(err error) { b.Error(err) },
		Learn: func(list []enforcer.Learned) error {
			r.learned.Add(1)
			r.set.Store(list[0].Set)
			time.Sleep(more)
			return n.Learn(list)
		}}
	ns, err := netns.GetFromName(r.gw)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	q := &kernel.Queue{Num: s.QueueNum, NetNS: int(ns), Handler: learner.Held} // errors: what others' reloads dropped
	go func() { defer close(done); q.Run(ctx) }()
	b.Cleanup(func() { stop(); <-done; ns.Close() })
}

// asker asks one question after the other.
type asker struct {
	conn *net.UDPConn
	raw  []byte
	buf  []byte
}

func newAsker() (*asker, error) {
	var q dns.Msg
	raw, err := q.SetQuestion("cloud.example.", dns.TypeA).Pack()
	if err != nil {
		return nil, err
	}
	c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(gwAddr), Port: 53})
	return &asker{c, raw, make([]byte, 512)}, err
}

// once asks and gives the address.
func (a *asker) once() (netip.Addr, error) {
	if _, err := a.conn.Write(a.raw); err != nil {
		return netip.Addr{}, err
	}
	_ = a.conn.SetReadDeadline(time.Now().Add(time.Second))
	n, err := a.conn.Read(a.buf)
	if err != nil {
		return netip.Addr{}, err
	}
	return netip.AddrFrom4([4]byte(a.buf[n-4 : n])), nil // the one record ends with it
}

func (r *resolver) asker(b *testing.B) *asker {
	a := in(b, r.dev, newAsker)
	b.Cleanup(func() { a.conn.Close() })
	return a
}

// ask asks one question after the other and gives how long each answer took.
func (r *resolver) ask(b *testing.B, n int) []time.Duration {
	a, out := r.asker(b), make([]time.Duration, 0, n)
	for range n {
		start := time.Now()
		if _, err := a.once(); err != nil {
			b.Fatal(err)
		}
		out = append(out, time.Since(start))
	}
	return out
}

// deniedFirst resolves and connects at once, and counts the first packets that do not pass. No address is open before its answer:
// those of before are taken out whenever the pool has gone round.
func (r *resolver) deniedFirst(b *testing.B, times int) (denied int) {
	return in(b, r.dev, func() (int, error) {
		a, err := newAsker()
		if err != nil {
			return 0, err
		}
		defer a.conn.Close()
		dial := net.Dialer{Timeout: 900 * time.Millisecond} // TCP tries again after a second
		dial.SetMultipathTCP(false)
		for i := range times {
			if i%(pool-1) == 0 {
				if err := exec.Command("ip", "netns", "exec", r.gw, "nft", "flush", "set", "inet", "mudguard", r.set.Load().(string)).Run(); err != nil {
					return denied, err
				}
			}
			addr, err := a.once()
			if err != nil {
				return denied, err
			}
			c, err := dial.Dial("tcp", netip.AddrPortFrom(addr, cloudPort-1).String())
			if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
				denied++
				continue
			} else if err != nil {
				return denied, err
			}
			_ = c.(*net.TCPConn).SetLinger(0) // no port waits
			c.Close()
		}
		return denied, nil
	})
}

// loadResult is what came of many questions at the same time.
type loadResult struct {
	took []time.Duration
	lost int
}

func (l loadResult) rate() float64 { return float64(len(l.took)) / loadTime.Seconds() }
func (l loadResult) lostShare() float64 {
	return 1000 * float64(l.lost) / float64(l.lost+len(l.took))
}

// load asks as fast as answers come, while something else happens again and again.
func (r *resolver) load(b *testing.B, meanwhile func(*testing.B)) loadResult {
	var mu sync.Mutex
	var all loadResult
	var wg sync.WaitGroup
	end := time.Now().Add(loadTime)
	for range inFlight {
		a := r.asker(b)
		wg.Go(func() {
			var mine loadResult
			for start := time.Now(); start.Before(end); start = time.Now() {
				if _, err := a.once(); err != nil {
					mine.lost++
				} else {
					mine.took = append(mine.took, time.Since(start))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all.took, all.lost = append(all.took, mine.took...), all.lost+mine.lost
		})
	}
	for meanwhile != nil && time.Now().Before(end) {
		meanwhile(b)
	}
	wg.Wait()
	return all
}

// foreignReload is what another firewall does when it starts again; it takes a fifth of a second.
func (r *resolver) foreignReload(b *testing.B) {
	pause := time.After(200 * time.Millisecond)
	r.reload(b, "table inet foreign { chain f { type filter hook forward priority 0; }; }\n")
	r.reload(b, "delete table inet foreign\n")
	<-pause
}
