// Package answers learns what names stand for: from DNS answers that are held on their way to a device, and from look-ups
// of its own through the same resolvers, so that a device that asked before we came is not cut off.
//
// It speaks DNS, nothing else: it neither decides what a name may open (enforcer.Names does) nor knows devices.
package answers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mudguard/enforcer"
)

// Limits on our own look-ups (R9726-3.1-b: regular, but rate limited).
const (
	atOnce  = 8
	perTick = 32
	timeout = 2 * time.Second
)

// Learner reads answers and puts their addresses into the kernel.
type Learner struct {
	Names     *enforcer.Names
	Learn     func([]enforcer.Learned) error
	Resolvers func() []netip.Addr // asked in order
	Now       func() time.Time
	OnError   func(error) // an answer whose addresses could not be put in, or was malformed

	port uint16 // of the resolvers; 0: 53
}

// Held takes the IP packet of an answer that waits. When it returns the answer may go on: its addresses are in.
func (l *Learner) Held(packet []byte) {
	payload, ok := udpPayload(packet)
	if !ok {
		return
	}
	var m dns.Msg
	if err := m.Unpack(payload); err != nil {
		l.OnError(fmt.Errorf("a DNS answer is malformed: %w", err))
		return
	}
	if err := l.take(&m); err != nil {
		l.OnError(err)
	}
}

func (l *Learner) take(m *dns.Msg) error {
	learned := l.Names.Observe(m, l.Now())
	if len(learned) == 0 {
		return nil
	}
	if err := l.Learn(learned); err != nil {
		return fmt.Errorf("addresses of %s are not in the kernel: %w", m.Question[0].Name, err)
	}
	return nil
}

// udpPayload gives the payload of an unfragmented UDP packet over IPv4 or IPv6.
func udpPayload(p []byte) ([]byte, bool) {
	if len(p) < 1 {
		return nil, false
	}
	var header int
	switch p[0] >> 4 {
	case 4:
		header = int(p[0]&15) * 4
		if len(p) < 20 || header < 20 || p[9] != 17 {
			return nil, false
		}
	case 6:
		header = 40
		if len(p) < 40 || p[6] != 17 { // answers carry no extension headers
			return nil, false
		}
	default:
		return nil, false
	}
	if len(p) < header+8 {
		return nil, false
	}
	return p[header+8:], true
}

// Run looks names up as they become due, until ctx ends.
func (l *Learner) Run(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		for _, ref := range l.Names.Due(l.Now(), perTick) {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			wg.Go(func() {
				defer func() { <-slots }()
				l.Names.LookedUp(ref.Name, l.lookup(ctx, ref), l.Now())
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (l *Learner) lookup(ctx context.Context, ref enforcer.NameRef) error {
	var errs []error
	for _, q := range []struct {
		want  bool
		qtype uint16
	}{{ref.V4, dns.TypeA}, {ref.V6, dns.TypeAAAA}} {
		if q.want {
			errs = append(errs, l.ask(ctx, ref.Name, q.qtype))
		}
	}
	return errors.Join(errs...)
}

var errNoResolver = errors.New("no resolver is known")

// ask asks the resolvers in turn until one answers, over TCP where an answer was cut short (R9726-3.1-d).
func (l *Learner) ask(ctx context.Context, name string, qtype uint16) error {
	var q dns.Msg
	q.SetQuestion(dns.Fqdn(name), qtype)
	q.SetEdns0(1232, false)
	err := errNoResolver
	for _, server := range l.Resolvers() {
		var m *dns.Msg
		if m, err = exchange(ctx, &q, netip.AddrPortFrom(server, cmp.Or(l.port, 53))); err != nil {
			continue
		}
		if m.Rcode != dns.RcodeSuccess {
			return fmt.Errorf("%s says %s", server, dns.RcodeToString[m.Rcode])
		}
		return l.take(m)
	}
	return err
}

func exchange(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	addr := server.String()
	c := dns.Client{Timeout: timeout}
	m, _, err := c.ExchangeContext(ctx, q, addr)
	if err != nil || !m.Truncated {
		return m, err
	}
	c.Net = "tcp"
	m, _, err = c.ExchangeContext(ctx, q, addr)
	return m, err
}
