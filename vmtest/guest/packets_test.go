package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"
)

// patience is how long a new flow may take: less than TCP waits before it tries again, so that only the first packet
// counts.
const patience = 900 * time.Millisecond

func (s *space) dial(to string, port int) (c net.Conn, err error) {
	err = s.in(func() error {
		c, err = net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", to, port), patience)
		return err
	})
	return c, err
}

// talk opens a connection and has something echoed, so that it works both ways.
func (s *space) talk(to string, port int) error {
	c, err := s.dial(to, port)
	if err != nil {
		return err
	}
	defer c.Close()
	return echoed(c, patience)
}

func echoed(c net.Conn, wait time.Duration) error {
	b := []byte("hello")
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := c.Read(b)
	return err
}

// resolve asks the gateway for the address of a name, once.
func (s *space) resolve(name string) (addr string, err error) {
	err = s.in(func() error {
		m, _, err := (&dns.Client{Timeout: 3 * time.Second}).Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), gatewayAddr+":53")
		if err != nil {
			return err
		}
		for _, rr := range m.Answer {
			if a, ok := rr.(*dns.A); ok {
				addr = a.A.String()
			}
		}
		if addr == "" {
			return fmt.Errorf("no address: %v", m)
		}
		return nil
	})
	return addr, err
}

// watch counts the TCP packets to an address and port that arrive in the namespace.
func (s *space) watch(to string, port int) (count func() int, stop func(), err error) {
	want, err := netip.ParseAddrPort(fmt.Sprintf("%s:%d", to, port))
	if err != nil {
		return nil, nil, err
	}
	fd := -1
	err = s.in(func() error {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(binary.NativeEndian.Uint16([]byte{8, 0})))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var n atomic.Int32
	quit, gone := make(chan struct{}), make(chan struct{})
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
	go func() {
		defer close(gone)
		b := make([]byte, 128)
		for {
			size, from, err := unix.Recvfrom(fd, b, 0)
			ll, ok := from.(*unix.SockaddrLinklayer)
			if err == nil && ok && ll.Pkttype != unix.PACKET_OUTGOING && tcpTo(b[:size], want) {
				n.Add(1)
			}
			select {
			case <-quit:
				return
			default:
			}
		}
	}()
	stop = func() {
		close(quit)
		<-gone
		unix.Close(fd)
	}
	return func() int { return int(n.Load()) }, stop, err
}

func tcpTo(p []byte, to netip.AddrPort) bool {
	if len(p) < 20 || p[9] != unix.IPPROTO_TCP || netip.AddrFrom4([4]byte(p[16:20])) != to.Addr() {
		return false
	}
	h := int(p[0]&15) * 4
	return len(p) >= h+4 && binary.BigEndian.Uint16(p[h+2:]) == to.Port()
}

// silent tries to open a connection that must be denied: no answer comes, and not one packet arrives.
func silent(what string, from, at *space, to string, port int) func() error {
	return func() error { return isSilent(what, from, at, to, port) }
}

// works tries to open a connection that must be allowed.
func works(what string, from *space, to string, port int) func() error {
	return func() error { return wrap(what, from.talk(to, port)) }
}

// together tries all at the same time, since a denial is known only after a while.
func together(tries ...func() error) error {
	errs := make([]error, len(tries))
	var wg sync.WaitGroup
	for i, try := range tries {
		wg.Go(func() { errs[i] = try() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func isSilent(what string, from, at *space, to string, port int) error {
	count, stop, err := at.watch(to, port)
	if err != nil {
		return err
	}
	defer stop()
	err = from.talk(to, port)
	switch ne := net.Error(nil); {
	case err == nil:
		return fmt.Errorf("%s: went through", what)
	case !errors.As(err, &ne) || !ne.Timeout():
		return fmt.Errorf("%s: not denied by silence: %w", what, err)
	case count() > 0 && at.ns != 0: // what is denied at the gateway has arrived there
		return fmt.Errorf("%s: %d packets arrived", what, count())
	}
	return nil
}

// ack sends a TCP acknowledgement that belongs to no connection.
func (s *space) ack(src, dst netip.Addr, sport, dport uint16) error {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, sport)
	binary.BigEndian.PutUint16(tcp[2:], dport)
	binary.BigEndian.PutUint32(tcp[4:], 1000)
	binary.BigEndian.PutUint32(tcp[8:], 2000)
	tcp[12], tcp[13] = 5<<4, 0x10
	binary.BigEndian.PutUint16(tcp[14:], 1024)
	binary.BigEndian.PutUint16(tcp[16:], checksum(src, dst, tcp))
	return s.in(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, tcp, 0, &unix.SockaddrInet4{Addr: dst.As4()})
	})
}

func checksum(src, dst netip.Addr, tcp []byte) uint16 {
	a, b := src.As4(), dst.As4()
	all := append(append(append([]byte{}, a[:]...), b[:]...), 0, unix.IPPROTO_TCP, 0, byte(len(tcp)))
	all = append(all, tcp...)
	sum := uint32(0)
	for i := 0; i < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// tracked gives how many flows of an address to a port the gateway tracks, and how many of them are offloaded.
func tracked(addr netip.Addr, port uint16) (all, offloaded int, err error) {
	c, err := conntrack.Dial(nil)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	flows, err := c.Dump(nil)
	for _, f := range flows {
		if f.TupleOrig.IP.SourceAddress != addr || f.TupleOrig.Proto.DestinationPort != port {
			continue
		}
		all++
		if f.Status.Offload() {
			offloaded++
		}
	}
	return all, offloaded, err
}
