package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netns"

	"mudguard/enforcer"
	"mudguard/enforcer/answers"
	"mudguard/enforcer/kernel"
)

// BenchmarkHold measures what the DNS hold adds to an answer, against a gateway without it in the same run. Each answer has
// an address that was not there before, so that each is put into the kernel before it goes on.
func BenchmarkHold(b *testing.B) {
	const queries = 4000
	held, free := newResolver(b, "h", true), newResolver(b, "f", false)
	for b.Loop() {
		var with, without []time.Duration
		for range 8 { // in turns
			without = append(without, free.ask(b, queries/8)...)
			with = append(with, held.ask(b, queries/8)...)
		}
		for _, p := range []float64{0.5, 0.99, 0.999} {
			added := quantile(with, p) - quantile(without, p)
			b.ReportMetric(float64(added.Microseconds())/1000, fmt.Sprintf("added-ms-p%v", 100*p))
		}
		b.ReportMetric(float64(quantile(with, 0.5))/float64(quantile(without, 0.5)), "held-to-free-p50")
		b.ReportMetric(0, "ns/op")
	}
	if n := held.learned.Load(); n < queries {
		b.Fatalf("only %d of %d answers were learned", n, queries)
	}
}

func quantile(d []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[int(float64(len(sorted)-1)*q)]
}

// resolver is a lab with a DNS server on the gateway and a device that asks it.
type resolver struct {
	conn    *net.UDPConn
	learned atomic.Int64
}

func newResolver(b *testing.B, name string, hold bool) *resolver {
	b.Helper()
	l, r := newLab(b, name), &resolver{}
	if hold {
		l.hold(b, r)
	}
	pc := in(b, l.gw, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(gwAddr), Port: 53})
	})
	srv := &dns.Server{PacketConn: pc, Handler: rotating()}
	go srv.ActivateAndServe()
	b.Cleanup(func() { _ = srv.Shutdown() })
	r.conn = in(b, l.dev, func() (*net.UDPConn, error) {
		return net.DialUDP("udp", nil, &net.UDPAddr{IP: net.ParseIP(gwAddr), Port: 53})
	})
	b.Cleanup(func() { r.conn.Close() })
	return r
}

// rotating answers each query with the next of 200 addresses.
func rotating() dns.HandlerFunc {
	var n atomic.Uint32
	return func(w dns.ResponseWriter, q *dns.Msg) {
		var m dns.Msg
		m.SetReply(q)
		i := n.Add(1) % 200
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
			A: net.IPv4(198, 51, 100, byte(i)).To4()}}
		_ = w.WriteMsg(&m)
	}
}

// hold puts the device under policy and starts what holds its answers.
func (l lab) hold(b *testing.B, r *resolver) {
	b.Helper()
	n := l.nft(b)
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
		Learn: func(list []enforcer.Learned) error { r.learned.Add(1); return n.Learn(list) }}
	ns, err := netns.GetFromName(l.gw)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	q := &kernel.Queue{Num: s.QueueNum, NetNS: int(ns), Handler: learner.Held, OnError: func(err error) { b.Error(err) }}
	go func() { defer close(done); q.Run(ctx) }()
	b.Cleanup(func() { stop(); <-done; ns.Close() })
}

// ask asks one query after the other and gives how long each answer took.
func (r *resolver) ask(b *testing.B, n int) []time.Duration {
	var q dns.Msg
	q.SetQuestion("cloud.example.", dns.TypeA)
	raw, err := q.Pack()
	if err != nil {
		b.Fatal(err)
	}
	out, buf := make([]time.Duration, 0, n), make([]byte, 512)
	for range n {
		start := time.Now()
		if _, err := r.conn.Write(raw); err != nil {
			b.Fatal(err)
		}
		_ = r.conn.SetReadDeadline(start.Add(2 * time.Second))
		if _, err := r.conn.Read(buf); err != nil {
			b.Fatal(err)
		}
		out = append(out, time.Since(start))
	}
	return out
}
