package answers

import (
	"errors"
	"net/netip"
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
