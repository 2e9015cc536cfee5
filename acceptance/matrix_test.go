package acceptance

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// probe is one attempt to reach somebody.
type probe struct {
	what string
	try  func() error
	want bool
}

// matrix is everything that a lamp, its neighbour, the gateway and the Internet try. open is an address that the lamp's
// profile opens; where restricted is false, everything is expected to pass.
func (l *lab) matrix(lamp, nb *device, open string, restricted bool) []probe {
	pass := !restricted
	tcp := func(what string, from *space, host, port string, want bool) probe {
		return probe{what, func() error { return from.tcp(net.JoinHostPort(host, port)) }, want}
	}
	udp := func(what string, from *space, host, port string, want bool) probe {
		return probe{what, func() error { return from.udp(net.JoinHostPort(host, port)) }, want}
	}
	dns := func(what string, from *space, server string, want bool) probe {
		return probe{what, func() error { _, err := from.resolve(server, "maker.example"); return err }, want}
	}
	return []probe{
		tcp("lamp -> its cloud", lamp.space, open, "8883", true),
		dns("lamp -> DNS of this network", lamp.space, lamp.gateway, true),
		tcp("lamp -> its cloud at another port", lamp.space, open, "80", pass),
		tcp("lamp -> another host", lamp.space, evilAddr, "8883", pass),
		udp("lamp -> UDP", lamp.space, evilAddr, "9999", pass),
		tcp("lamp -> another host over IPv6", lamp.space, evilAddr6, "8883", pass),
		udp("lamp -> UDP over IPv6", lamp.space, evilAddr6, "9999", pass),
		dns("lamp -> foreign DNS", lamp.space, foreignDNS, pass),
		tcp("lamp -> gateway's SSH", lamp.space, lamp.gateway, "22", pass),
		tcp("lamp -> gateway's SSH over IPv6", lamp.space, lamp.gw6, "22", pass),
		tcp("lamp -> neighbour", lamp.space, nb.addr, "7000", pass),
		tcp("lamp -> neighbour over IPv6", lamp.space, nb.addr6, "7000", pass),
		tcp("neighbour -> lamp", nb.space, lamp.addr, "7000", pass),
		tcp("neighbour -> lamp over IPv6", nb.space, lamp.addr6, "7000", pass),
		tcp("gateway -> lamp", l.gw, lamp.addr, "7000", pass),
		tcp("Internet -> lamp", l.wan, lamp.addr, "7000", pass),
		tcp("Internet -> lamp over IPv6", l.wan, lamp.addr6, "7000", pass),
		tcp("neighbour -> lamp's cloud", nb.space, open, "80", true),
		tcp("neighbour -> another host", nb.space, evilAddr, "23", true),
		udp("neighbour -> UDP", nb.space, evilAddr, "9999", true),
		tcp("neighbour -> another host over IPv6", nb.space, evilAddr6, "8883", true),
		dns("neighbour -> DNS of this network", nb.space, nb.gateway, true),
		dns("neighbour -> foreign DNS", nb.space, foreignDNS, true),
		tcp("neighbour -> gateway's SSH", nb.space, nb.gateway, "22", true),
		tcp("Internet -> neighbour", l.wan, nb.addr, "7000", true),
	}
}

// try runs all probes at once, and complains about each that went another way than wanted.
func (l *lab) try(when string, probes []probe) {
	l.Helper()
	errs := make([]error, len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() { errs[i] = p.try() })
	}
	wg.Wait()
	var wrong []string
	for i, p := range probes {
		switch {
		case p.want && errs[i] != nil:
			wrong = append(wrong, p.what+" should pass: "+errs[i].Error())
		case !p.want && errs[i] == nil:
			wrong = append(wrong, p.what+" should be denied, and passes")
		}
	}
	if len(wrong) > 0 {
		l.complain("%s:\n%s", when, strings.Join(wrong, "\n"))
	}
}

// rotating resolves cloud.example and connects, n times; each first attempt must pass. It gives the last address.
func (l *lab) rotating(d *device, n int) string {
	l.Helper()
	var last string
	seen := map[string]bool{}
	var failed []string
	for i := range n {
		addrs, err := d.resolve(d.gateway, "cloud.example")
		if err != nil {
			l.fatal("look-up %d of cloud.example: %v", i, err)
		}
		last = addrs[0].String()
		seen[last] = true
		if err := d.tcp(net.JoinHostPort(last, "8883")); err != nil {
			failed = append(failed, err.Error())
		}
	}
	if len(failed) > 0 {
		l.fatal("%d of %d first attempts failed:\n%s", len(failed), n, strings.Join(failed, "\n"))
	}
	if len(seen) < min(n, poolSize)*3/4 {
		l.fatal("only %d addresses in %d answers: the test does not test what it should", len(seen), n)
	}
	return last
}

// stream is a TCP flow that says something all the time and wants to hear it back.
type stream struct {
	conn  net.Conn
	stop  chan struct{}
	done  chan error
	lines atomic.Int64
}

func (l *lab) stream(d *device, addr string) *stream {
	l.Helper()
	c, err := d.dial("tcp", addr)
	if err != nil {
		l.fatal("the stream: %v", err)
	}
	s := &stream{conn: c, stop: make(chan struct{}), done: make(chan error, 1)}
	l.Cleanup(func() { c.Close() })
	go func() { s.done <- s.run() }()
	return s
}

func (s *stream) run() error {
	if err := s.hear("ok"); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n := s.lines.Add(1)
		line := fmt.Sprintf("line %08d\n", n)
		if _, err := s.conn.Write([]byte(line)); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := s.hear(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		select {
		case <-s.stop:
			return nil
		case <-tick.C:
		}
	}
}

func (s *stream) hear(want string) error {
	b := make([]byte, len(want))
	_ = s.conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	for got := 0; got < len(b); {
		n, err := s.conn.Read(b[got:])
		if err != nil {
			return err
		}
		got += n
	}
	if string(b) != want {
		return fmt.Errorf("sent %q, heard %q", want, b)
	}
	return nil
}

// end stops the stream and gives what went wrong with it.
func (s *stream) end() error {
	close(s.stop)
	return <-s.done
}

// noise is packets that must never reach the Internet: SYNs and datagrams, over IPv4 and IPv6, about one each millisecond.
type noise struct {
	stop chan struct{}
	done chan error
	sent atomic.Int64
}

func (l *lab) noise(d *device) *noise {
	n := &noise{stop: make(chan struct{}), done: make(chan error, 1)}
	go func() { n.done <- d.do(n.run) }()
	l.Cleanup(func() {
		select {
		case <-n.stop:
		default:
			close(n.stop)
		}
	})
	return n
}

func (n *noise) run() error {
	to4 := &unix.SockaddrInet4{Port: 8883, Addr: [4]byte{203, 0, 113, 99}}
	to6 := &unix.SockaddrInet6{Port: 8883}
	copy(to6.Addr[:], net.ParseIP(sinkAddr6))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		family, to := unix.AF_INET, unix.Sockaddr(to4)
		if i%2 == 1 {
			family, to = unix.AF_INET6, to6
		}
		if err := n.send(family, to, i%4 < 2); err != nil {
			return err
		}
		n.sent.Add(1)
		select {
		case <-n.stop:
			return nil
		case <-tick.C:
		}
	}
}

// send opens a flow and forgets it: a SYN without a second one, or a datagram from a new port.
func (n *noise) send(family int, to unix.Sockaddr, tcp bool) error {
	kind := unix.SOCK_DGRAM
	if tcp {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if tcp {
		if err = unix.Connect(fd, to); err == unix.EINPROGRESS {
			err = nil
		}
		return err
	}
	return unix.Sendto(fd, []byte("leak"), 0, to)
}

func (n *noise) end() error {
	close(n.stop)
	return <-n.done
}
