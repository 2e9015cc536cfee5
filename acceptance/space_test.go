package acceptance

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netns"
)

// space is a network namespace that `ip netns` knows by name.
type space struct {
	name string
	ns   netns.NsHandle
}

var spaces atomic.Int64

func newSpace(t *testing.T, role string) *space {
	t.Helper()
	s := &space{name: fmt.Sprintf("mga%d-%d-%s", os.Getpid(), spaces.Add(1), role)}
	// Without duplicate address detection, IPv6 works at once.
	shell(t, "ip netns add "+s.name+"; ip -n "+s.name+" link set lo up; ip netns exec "+s.name+
		" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
	t.Cleanup(func() {
		s.ns.Close()
		_ = exec.Command("ip", "netns", "del", s.name).Run()
		_ = os.RemoveAll("/etc/netns/" + s.name)
	})
	var err error
	if s.ns, err = netns.GetFromName(s.name); err != nil {
		t.Fatal(err)
	}
	return s
}

// do runs f on a thread inside the namespace. Sockets that it opens stay there.
func (s *space) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	if err != nil {
		return err
	}
	defer old.Close()
	if err := netns.Set(s.ns); err != nil {
		return err
	}
	defer func() {
		if err := netns.Set(old); err != nil {
			panic(err) // the thread must not go on in the wrong namespace
		}
	}()
	return f()
}

// in runs a shell script inside the namespace.
func (s *space) in(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", s.name, "sh", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v in %s:\n%s\n%s", err, s.name, script, out)
	}
	return string(out)
}

// oneTry is how long a probe waits: less than the second after which TCP sends its SYN again.
const oneTry = 300 * time.Millisecond

func (s *space) dial(network, addr string) (c net.Conn, err error) {
	d := net.Dialer{Timeout: oneTry}
	d.SetMultipathTCP(false)
	inner := s.do(func() error { c, err = d.Dial(network, addr); return nil })
	return c, errors.Join(inner, err)
}

// tcp connects once, and reads what every listener of ours says first.
func (s *space) tcp(addr string) error {
	c, err := s.dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second)) // the flow is open: only the machine's load is waited for
	b := make([]byte, 2)
	if _, err := c.Read(b); err != nil || string(b) != "ok" {
		return fmt.Errorf("connected to %s, but got %q: %v", addr, b, err)
	}
	return nil
}

// udp sends one datagram and waits for the echo.
func (s *space) udp(addr string) error {
	c, err := s.dial("udp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(oneTry))
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 16))
	return err
}

// resolve asks a server for a name's IPv4 addresses.
func (s *space) resolve(server, name string) ([]netip.Addr, error) {
	return s.ask(server, name, dns.TypeA)
}

// ask asks a server for a name's addresses of one type.
func (s *space) ask(server, name string, qtype uint16) ([]netip.Addr, error) {
	c, err := s.dial("udp", net.JoinHostPort(server, "53"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	var q dns.Msg
	q.SetQuestion(dns.Fqdn(name), qtype)
	conn := dns.Conn{Conn: c}
	if err := conn.WriteMsg(&q); err != nil {
		return nil, err
	}
	m, err := conn.ReadMsg()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, rr := range m.Answer {
		switch a := rr.(type) {
		case *dns.A:
			out = append(out, netip.AddrFrom4([4]byte(a.A.To4())))
		case *dns.AAAA:
			out = append(out, netip.AddrFrom16([16]byte(a.AAAA)))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %s, no address", name, dns.RcodeToString[m.Rcode])
	}
	return out, nil
}

// listen opens a TCP listener that says "ok" and then echoes.
func (s *space) listen(t *testing.T, addr string) {
	t.Helper()
	var ln net.Listener
	err := s.do(func() (err error) { ln, err = net.Listen("tcp", addr); return err })
	if err != nil {
		t.Fatalf("listening on %s in %s: %v", addr, s.name, err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
}

func echo(c net.Conn) {
	defer c.Close()
	if _, err := c.Write([]byte("ok")); err != nil {
		return
	}
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// echoUDP opens a UDP listener at one address that echoes.
func (s *space) echoUDP(t *testing.T, addr string) {
	t.Helper()
	var pc net.PacketConn
	err := s.do(func() (err error) { pc, err = net.ListenPacket("udp", addr); return err })
	if err != nil {
		t.Fatalf("listening on %s/udp in %s: %v", addr, s.name, err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(b[:n], from)
		}
	}()
}
