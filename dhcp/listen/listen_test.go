package listen

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

var (
	lamp   = dhcp.MAC{2, 0, 0x5e, 0x10, 0, 1}
	router = dhcp.MAC{2, 0, 0x5e, 0x10, 0, 0xfe}
	rogue  = dhcp.MAC{2, 0, 0x5e, 0x10, 0, 0x66}
	ip     = net.IP{192, 168, 7, 20}
)

const url = "https://mud.example/m1"

// heard is a frame as a socket gives it.
type heard struct {
	frame []byte
	own   bool
}

// simulated is a Socket of frames that are there from the start; then it fails, or waits if err is nil.
type simulated struct {
	mu          sync.Mutex
	frames      []heard
	err         error
	interrupted chan struct{}
	once        sync.Once
	closed      int
}

func (s *simulated) ReadFrame(buf []byte) (int, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.frames) > 0 {
		next := s.frames[0]
		s.frames = s.frames[1:]
		return copy(buf, next.frame), next.own, nil
	}
	if s.err != nil {
		return 0, false, s.err
	}
	<-s.interrupted
	return 0, false, errors.New("interrupted")
}

func (s *simulated) Interrupt()   { s.once.Do(func() { close(s.interrupted) }) }
func (s *simulated) Close() error { s.closed++; return nil }

var errGone = errors.New("interface is down")

// listenTo hears all the frames and gives the sightings of them.
func listenTo(t *testing.T, change func(*Listener), frames ...heard) (*Listener, []dhcp.Sighting) {
	t.Helper()
	socket := &simulated{frames: frames, err: errGone, interrupted: make(chan struct{})}
	l := New("br-lan", socket)
	change(l)
	var out []dhcp.Sighting
	err := l.Run(t.Context(), func(s dhcp.Sighting) { out = append(out, s) })
	if !errors.Is(err, errGone) || !strings.Contains(err.Error(), `"br-lan"`) || socket.closed != 1 {
		t.Errorf("Run = %v, closed %d times; want the socket's error and one close", err, socket.closed)
	}
	return l, out
}

func unchanged(*Listener) {}

func discover(mods ...dhcpv4.Modifier) []byte {
	return frames.Client(lamp, dhcpv4.MessageTypeDiscover, append(mods, frames.MUD(url))...)
}

var leased6 = dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP("2001:db8::20"), PreferredLifetime: time.Hour, ValidLifetime: time.Hour}

// relay6 is a client's message in a relay's.
func relay6(t *testing.T) []byte {
	t.Helper()
	m, err := dhcpv6.NewSolicit(lamp[:])
	if err != nil {
		t.Fatal(err)
	}
	r, err := dhcpv6.EncapsulateRelay(m, dhcpv6.MessageTypeRelayForward, net.ParseIP("2001:db8::1"), net.ParseIP("fe80::1"))
	if err != nil {
		t.Fatal(err)
	}
	return r.ToBytes()
}

func ackFrom(server dhcp.MAC) []byte {
	return frames.Server(server, lamp, dhcpv4.MessageTypeAck, dhcpv4.WithYourIP(ip), dhcpv4.WithLeaseTime(3600))
}

func TestRunPassesClients(t *testing.T) {
	l, got := listenTo(t, unchanged, heard{frame: discover()}, heard{frame: []byte("noise")}, heard{frame: discover()})
	if len(got) != 2 || got[0].URL != url || got[0].Interface != "br-lan" || got[0].MAC != lamp {
		t.Errorf("sightings %+v", got)
	}
	if want := (Stats{Sightings: 2}); l.Stats() != want {
		t.Errorf("Stats = %+v; want %+v", l.Stats(), want)
	}
}

// TestRunTrust: a rogue server binds nothing (hardening.md T15), nor does a forged relay speak for others (T1).
func TestRunTrust(t *testing.T) {
	relayed := frames.UDP(rogue, 67, 67, frames.Message(dhcpv4.OpcodeBootRequest, lamp, dhcpv4.MessageTypeRequest,
		frames.MUD(url), dhcpv4.WithRelay(net.IP{10, 0, 0, 1})))
	inform := frames.Server(rogue, lamp, dhcpv4.MessageTypeAck) // would set name servers
	reply := func(server dhcp.MAC) []byte { return frames.Server6(server, lamp, dhcpv6.WithIANA(leased6)) }
	relayed6 := frames.UDP6(rogue, router, frames.LinkLocal(rogue), frames.LinkLocal(router), 547, 547, relay6(t))
	for name, c := range map[string]struct {
		in      heard
		trusted []dhcp.MAC
		passed  bool
	}{
		"own ACK":                     {heard{ackFrom(router), true}, nil, true},
		"own NAK":                     {heard{frames.Server(router, lamp, dhcpv4.MessageTypeNak), true}, nil, true},
		"rogue ACK":                   {heard{ackFrom(rogue), false}, nil, false},
		"rogue ACK from our address":  {heard{ackFrom(router), false}, nil, false},
		"rogue NAK":                   {heard{frames.Server(rogue, lamp, dhcpv4.MessageTypeNak), false}, nil, false},
		"rogue answer to INFORM":      {heard{inform, false}, nil, false},
		"ACK of a trusted server":     {heard{ackFrom(rogue), false}, []dhcp.MAC{router, rogue}, true},
		"ACK of another":              {heard{ackFrom(rogue), false}, []dhcp.MAC{router}, false},
		"relayed by anybody":          {heard{relayed, false}, nil, false},
		"relayed by a trusted relay":  {heard{relayed, false}, []dhcp.MAC{rogue}, true},
		"relayed by ourselves":        {heard{relayed, true}, nil, true},
		"own Reply":                   {heard{reply(router), true}, nil, true},
		"rogue Reply":                 {heard{reply(rogue), false}, nil, false},
		"rogue Reply, our address":    {heard{reply(router), false}, nil, false},
		"Reply of a trusted server":   {heard{reply(rogue), false}, []dhcp.MAC{rogue}, true},
		"Relay-forward by anybody":    {heard{relayed6, false}, nil, false},
		"Relay-forward, trusted":      {heard{relayed6, false}, []dhcp.MAC{rogue}, true},
		"DHCPv6 client":               {heard{frames.Client6(lamp, dhcpv6.MessageTypeSolicit), false}, nil, true},
		"client, whoever is trusted":  {heard{discover(), false}, []dhcp.MAC{router}, true},
		"client on this host itself":  {heard{discover(), true}, nil, true},
		"client in a trusted address": {heard{discover(), false}, []dhcp.MAC{lamp}, true},
	} {
		var reported error
		l, got := listenTo(t, func(l *Listener) { l.Trusted, l.OnError = c.trusted, func(err error) { reported = err } }, c.in)
		if (len(got) == 1) != c.passed || (l.Stats().Untrusted == 0) != c.passed || errors.Is(reported, ErrUntrusted) == c.passed {
			t.Errorf("%s: passed %d, untrusted %d, reported %v; want passed %t", name, len(got), l.Stats().Untrusted, reported, c.passed)
		}
	}
}

// TestRunNobody: a server that has no Ethernet address does not pass for a client (hardening.md T15).
func TestRunNobody(t *testing.T) {
	l, got := listenTo(t, unchanged, heard{frame: ackFrom(dhcp.MAC{})})
	if want := (Stats{Errors: 1}); l.Stats() != want || len(got) != 0 {
		t.Errorf("Stats = %+v, sightings %+v; want %+v", l.Stats(), got, want)
	}
}

// TestRunSurvives: a frame that the parser refuses, or panics on, does not end the loop.
func TestRunSurvives(t *testing.T) {
	forged := discover()
	copy(forged[6:], rogue[:])
	var reported []string
	l, got := listenTo(t, func(l *Listener) {
		l.OnError = func(err error) { reported = append(reported, err.Error()) }
		parse := l.parse
		l.parse = func(frame []byte) ([]dhcp.Sighting, error) {
			if string(frame) == "poison" {
				panic("bad\x1b" + strings.Repeat("x", 1000))
			}
			return parse(frame)
		}
	}, heard{frame: []byte("poison")}, heard{frame: forged}, heard{frame: discover()})
	if want := (Stats{Sightings: 1, Errors: 2, Panics: 1}); l.Stats() != want || len(got) != 1 {
		t.Errorf("Stats = %+v, %d sightings; want %+v", l.Stats(), len(got), want)
	}
	if len(reported) != 2 || strings.Contains(reported[0], "\x1b") || len(reported[0]) > 400 {
		t.Errorf("reported %q", reported)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	socket := &simulated{frames: []heard{{frame: discover()}}, interrupted: make(chan struct{})}
	err := New("br-lan", socket).Run(ctx, func(dhcp.Sighting) { cancel() })
	if err != nil || socket.closed != 1 {
		t.Errorf("Run = %v, closed %d times; want nil and one close", err, socket.closed)
	}
}

func uses(a byte) []byte {
	addr := netip.AddrFrom4([4]byte{192, 168, 7, a})
	return frames.ARP(lamp, lamp, 1, addr, addr)
}

// TestRunFlood: of what hosts may send at any rate only a quota is read a second, and nothing is told twice in one; DHCP
// is heard meanwhile (hardening.md T15, F15).
func TestRunFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flood := &simulated{interrupted: make(chan struct{})}
		for i := range 3 * quotaFrames {
			flood.frames = append(flood.frames, heard{frame: uses(byte(1 + i%7))})
		}
		main := &simulated{interrupted: make(chan struct{}), frames: []heard{{frame: discover()}, {frame: discover()}}}
		l := New("br-lan", main, flood)
		told := map[dhcp.Source]int{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx, func(s dhcp.Sighting) { told[s.Source]++ }) }()
		for second := 1; second <= 3; second++ {
			synctest.Wait()
			l.passing.Lock()
			if told[dhcp.SourceDHCPv4] != 2 || told[dhcp.SourceND] != 7*second || len(flood.frames) > (3-second)*quotaFrames {
				t.Errorf("second %d: told %v, %d frames left", second, told, len(flood.frames))
			}
			l.passing.Unlock()
			time.Sleep(quotaWindow)
		}
		cancel()
		if err := <-done; err != nil || main.closed != 1 || flood.closed != 1 {
			t.Errorf("Run = %v, closed %d and %d times; want nil and one each", err, main.closed, flood.closed)
		}
	})
}

// TestRunOtherFails: trouble with a socket for ARP, neighbour discovery or LLDP is told, and DHCP is heard all the same.
func TestRunOtherFails(t *testing.T) {
	main := &simulated{interrupted: make(chan struct{})}
	other := &simulated{interrupted: make(chan struct{}), err: errGone}
	l := New("br-lan", main, other)
	failed := make(chan error, 1)
	l.OnError = func(err error) { failed <- err }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, func(dhcp.Sighting) {}) }()
	if err := <-failed; !errors.Is(err, errGone) {
		t.Errorf("reported %v", err)
	}
	select {
	case err := <-done:
		t.Errorf("Run ended: %v", err)
	default:
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestOpenMissing(t *testing.T) {
	l, err := Open("mgd-missing")
	if !errors.Is(err, ErrNoInterface) || !strings.Contains(err.Error(), `"mgd-missing"`) {
		t.Errorf("Open = %v, %v; want ErrNoInterface", l, err)
	}
}

func TestLimiter(t *testing.T) {
	now := time.Unix(0, 0)
	l := limiter{now: func() time.Time { return now }}
	count := func(n int) (passed int, last error) {
		for range n {
			if err := l.admit(errGone); err != nil {
				passed, last = passed+1, err
			}
		}
		return passed, last
	}
	if n, _ := count(100); n != reportBurst {
		t.Errorf("%d of 100 passed; want %d", n, reportBurst)
	}
	now = now.Add(reportWindow - 1)
	if n, _ := count(1); n != 0 {
		t.Error("passed before the window ended")
	}
	now = now.Add(1)
	n, err := count(1)
	if n != 1 || !errors.Is(err, errGone) || !strings.Contains(err.Error(), "96 more") {
		t.Errorf("first of the next window: %d, %v; want it to tell of 96 more", n, err)
	}
	if _, err := count(1); err == nil || strings.Contains(err.Error(), "more") {
		t.Errorf("second of the window: %v; want no more told", err)
	}
}

// TestRunFair: T15, T-34. A host that sends DHCP as fast as it can is passed on at a bounded rate, and others are heard all the same.
func TestRunFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flood []heard
		for range 50 * hostFrames {
			flood = append(flood, heard{frame: discover()})
		}
		other := frames.Client(rogue, dhcpv4.MessageTypeDiscover, frames.MUD(url))
		_, got := listenTo(t, unchanged, append(flood, heard{frame: other})...)
		told := map[dhcp.MAC]int{}
		for _, s := range got {
			told[s.MAC]++
		}
		if told[lamp] != hostFrames || told[rogue] != 1 {
			t.Errorf("told %v", told)
		}
	})
}
