// Package listen hears DHCP, LLDP, neighbour discovery and ARP on one LAN interface and passes on what dhcp.ParseFrame
// makes of it.
//
// It decides whose words count: a server's answer, and a relayed message, only from this host itself or from an address
// in Listener.Trusted. It must not remember devices, judge URLs, answer anybody, or retry: when Run ends with an error,
// the caller opens again.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mudguard/dhcp"
)

// ErrNoInterface reports that the interface is not there, or not yet.
var ErrNoInterface = errors.New("no such network interface")

// ErrUntrusted reports a server's or relay's message that was not passed on (hardening.md T15).
var ErrUntrusted = errors.New("not a trusted DHCP server or relay")

// frameSize holds any frame of a LAN, jumbo frames too; a longer one is cut and then refused as truncated.
const frameSize = 9216

// Socket gives a Listener its frames. Open makes real ones, tests simulated ones.
type Socket interface {
	// ReadFrame waits for a frame; own reports that this host sent it.
	ReadFrame(buf []byte) (n int, own bool, err error)
	// Interrupt makes a waiting ReadFrame, and all later ones, return an error. It may be called at any time.
	Interrupt()
	Close() error
}

// Stats counts what happened since the Listener was made.
type Stats struct {
	Sightings uint64 // passed on
	Errors    uint64 // frames refused by the parser
	Panics    uint64 // frames on which the parser panicked
	Untrusted uint64 // servers' and relays' messages not passed on
}

// Listener hears one interface. Set the exported fields before Run.
type Listener struct {
	// Trusted holds the Ethernet addresses of DHCP servers and relays other than this host.
	Trusted []dhcp.MAC
	// OnError is told why a frame that might have told something was not passed on; at most a few times a minute,
	// since any host on the LAN can cause such errors as fast as it likes. It may be nil.
	OnError func(error)

	ifname string
	dhcp   Socket
	others []Socket
	parse  func([]byte) ([]dhcp.Sighting, error)
	now    func() time.Time

	limiter limiter
	passing sync.Mutex

	sightings, errors, panics, untrusted atomic.Uint64
}

// Open makes a Listener on an interface; errors.Is(err, ErrNoInterface) tells if there is none of that name. For a bridge
// name the bridge, not its ports: a port also sends what other ports received, which is not this host's word.
func Open(ifname string) (*Listener, error) {
	ifi, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, missing(ifname, err)
	}
	sockets, err := openSockets(ifi)
	if err != nil {
		return nil, fmt.Errorf("listening on %q: %w", ifname, err)
	}
	return New(ifname, sockets[0], sockets[1:]...), nil
}

// missing tells an interface that isn't there from other errors. The net package has no sentinel for it, so it is looked
// for in the list of all.
func missing(ifname string, err error) error {
	all, listErr := net.Interfaces()
	if listErr != nil {
		return fmt.Errorf("looking up interface %q: %w", ifname, err)
	}
	for _, ifi := range all {
		if ifi.Name == ifname {
			return fmt.Errorf("looking up interface %q: %w", ifname, err)
		}
	}
	return fmt.Errorf("listening on %q: %w", ifname, ErrNoInterface)
}

// New makes a Listener on any Sockets: one for DHCP, whose end is the Listener's, and others for what hosts may send at
// any rate. A flood there must not keep us from hearing DHCP, so it is read no faster than quota says.
func New(ifname string, dhcpSocket Socket, others ...Socket) *Listener {
	return &Listener{
		ifname: ifname, dhcp: dhcpSocket, others: others, parse: dhcp.ParseFrame, now: time.Now,
		limiter: limiter{now: time.Now},
	}
}

// String names the task.
func (l *Listener) String() string { return "listener on " + l.ifname }

// Stats may be called at any time.
func (l *Listener) Stats() Stats {
	return Stats{
		Sightings: l.sightings.Load(), Errors: l.errors.Load(),
		Panics: l.panics.Load(), Untrusted: l.untrusted.Load(),
	}
}

// Close frees the sockets of a Listener that was never run; Run does so itself.
func (l *Listener) Close() error { return closeAll(append(l.others, l.dhcp)) }

func closeAll(sockets []Socket) (err error) {
	for _, s := range sockets {
		err = errors.Join(err, s.Close())
	}
	return err
}

// Run passes sightings to pass, one after the other, and those of DHCP in the order of frames, until ctx ends: then it
// returns nil. It returns an error when the interface goes down or away. Either way the sockets are closed; a Listener
// runs once.
func (l *Listener) Run(ctx context.Context, pass func(dhcp.Sighting)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var others sync.WaitGroup
	for _, s := range l.others {
		others.Go(func() {
			if err := l.read(ctx, s, &quota{now: l.now}, pass); err != nil {
				l.report(err)
			}
		})
	}
	err := l.read(ctx, l.dhcp, nil, pass)
	cancel()
	others.Wait()
	return err
}

// read hears one socket, within a quota if there is one, and closes it.
func (l *Listener) read(ctx context.Context, s Socket, q *quota, pass func(dhcp.Sighting)) error {
	defer s.Close()
	stop := context.AfterFunc(ctx, s.Interrupt)
	defer stop()
	buf, hosts := make([]byte, frameSize), fair{now: l.now}
	for {
		n, own, err := s.ReadFrame(buf)
		if err == nil && q != nil {
			pause(ctx, q.spend())
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listening on %q: %w", l.ifname, err)
		}
		all := l.sight(buf[:n], own)
		if q == nil && len(all) > 0 && !hosts.admits(all[0].MAC) {
			continue
		}
		for _, s := range all {
			if q == nil || !q.repeats(s) {
				l.pass(s, pass)
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
}

func (l *Listener) pass(s dhcp.Sighting, pass func(dhcp.Sighting)) {
	l.passing.Lock()
	defer l.passing.Unlock()
	l.sightings.Add(1)
	s.Interface = l.ifname
	pass(s)
}

// sight makes sightings of a frame whose sender may say what it says.
func (l *Listener) sight(frame []byte, own bool) []dhcp.Sighting {
	all, err := l.parseSafely(frame)
	if err != nil {
		l.errors.Add(1)
		l.report(err)
		return nil
	}
	for _, s := range all {
		if err := l.judge(s, frame, own); err != nil {
			l.untrusted.Add(1)
			l.report(err)
			return nil
		}
	}
	return all
}

// parseSafely keeps one frame from ending the loop, whatever it does to the parser. The text of a panic may hold parts of
// the frame, so it is shown quoted and cut.
func (l *Listener) parseSafely(frame []byte) (all []dhcp.Sighting, err error) {
	defer func() {
		if r := recover(); r != nil {
			l.panics.Add(1)
			all, err = nil, fmt.Errorf("parsing a frame panicked: %.200q", fmt.Sprint(r))
		}
	}()
	return l.parse(frame)
}

// judge refuses what only a trusted host may say: a server's answer, since a rogue one's would bind a device to any
// address; and a relayed message, since giaddr would let any host speak for another (dhcp.ErrImpostor).
func (l *Listener) judge(s dhcp.Sighting, frame []byte, own bool) error {
	if s.ServerMAC.IsZero() && !s.Relay.IsValid() || own {
		return nil
	}
	from := dhcp.MAC(frame[6:12])
	for _, trusted := range l.Trusted {
		if from == trusted {
			return nil
		}
	}
	return fmt.Errorf("%s says that %s is %s: %w", from, s.MAC, s.Kind, ErrUntrusted)
}

func (l *Listener) report(err error) {
	if l.OnError == nil {
		return
	}
	if err := l.limiter.admit(err); err != nil {
		l.OnError(fmt.Errorf("heard on %q: %w", l.ifname, err))
	}
}
