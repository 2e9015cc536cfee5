package answers

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mudguard/enforcer"
)

// answer builds the IPv4 packet of a DNS answer for name.
func answer(t testing.TB, name, addr string) []byte {
	t.Helper()
	var m dns.Msg
	m.SetQuestion(name, dns.TypeA)
	m.Response = true
	rr, err := dns.NewRR(name + " 1 IN A " + addr)
	if err != nil {
		t.Fatal(err)
	}
	m.Answer = []dns.RR{rr}
	payload, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 28, 28+len(payload))
	p[0], p[9] = 0x45, 17
	return append(p, payload...)
}

func learner(learn func([]enforcer.Learned) error) (*Learner, *[]error) {
	n := enforcer.NewNames()
	n.Configure(time.Minute, nil, nil)
	n.Use([]enforcer.NameRef{{Name: "cloud.example", V4: true}})
	var errs []error
	return &Learner{Names: n, Learn: learn, Now: time.Now, OnError: func(err error) { errs = append(errs, err) }}, &errs
}

func TestHeldAddressesAreInBeforeItReturns(t *testing.T) { // R9726-3.1-c, T-40
	var got []enforcer.Learned
	l, errs := learner(func(list []enforcer.Learned) error { got = append(got, list...); return nil })
	l.Held(answer(t, "Cloud.Example.", "203.0.113.10"))
	if len(got) != 1 || got[0].Addr != netip.MustParseAddr("203.0.113.10") || got[0].Timeout != time.Minute || len(*errs) != 0 {
		t.Fatalf("learned %v, errors %v", got, *errs)
	}
	l.Held(answer(t, "other.example.", "203.0.113.11"))
	if len(got) != 1 {
		t.Fatalf("a name that no policy names opened something: %v", got)
	}
}

func TestHeldShowsWhatFails(t *testing.T) {
	l, errs := learner(func([]enforcer.Learned) error { return errors.New("set is full") })
	l.Held(answer(t, "cloud.example.", "203.0.113.10"))
	l.Held(append(answer(t, "cloud.example.", "203.0.113.10")[:28], 1, 2, 3))
	if len(*errs) != 2 {
		t.Fatalf("want two errors, got %v", *errs)
	}
}

// TestRunAsksForNames: R9726-3-a, R9726-A-a, R9726-3.1-d. What is asked is addresses of the names of policies and nothing else; an
// answer that was cut short is asked for again over TCP.
func TestRunAsksForNames(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	resolver, port := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		network := w.RemoteAddr().Network()
		mu.Lock()
		asked[network+" "+q.Question[0].String()]++
		mu.Unlock()
		m := new(dns.Msg)
		m.SetReply(q)
		m.Truncated = network == "udp"
		for i := range 60 {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A: net.IPv4(203, 0, 113, byte(i))})
		}
		if m.Truncated {
			m.Answer = m.Answer[:5]
		}
		_ = w.WriteMsg(m)
	})
	learned := make(chan int, 10)
	l, _ := learner(func(list []enforcer.Learned) error { learned <- len(list); return nil })
	l.Resolvers, l.port = func() []netip.Addr { return []netip.Addr{resolver} }, port
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	select {
	case n := <-learned:
		if n != 60 {
			t.Errorf("learned %d of 60 addresses", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was learned")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	question := (&dns.Question{Name: "cloud.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}).String()
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 2 || asked["udp "+question] != 1 || asked["tcp "+question] != 1 {
		t.Errorf("asked %v", asked)
	}
}

// serve answers DNS on one port of UDP and TCP.
func serve(t *testing.T, h dns.HandlerFunc) (netip.Addr, uint16) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: ln, Handler: h}, {PacketConn: conn, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	at := netip.MustParseAddrPort(ln.Addr().String())
	return at.Addr(), at.Port()
}

func FuzzHeld(f *testing.F) {
	f.Add(answer(f, "cloud.example.", "203.0.113.10"))
	f.Add([]byte{0x60})
	f.Fuzz(func(t *testing.T, p []byte) {
		l, _ := learner(func(list []enforcer.Learned) error {
			for _, a := range list {
				if a.Addr.IsLoopback() || a.Addr.IsPrivate() || a.Addr.IsMulticast() || a.Timeout < time.Minute {
					t.Errorf("learned %v", a)
				}
			}
			return nil
		})
		l.Held(p)
	})
}
