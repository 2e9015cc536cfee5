package web

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Bounds of connections over TCP: all, and those of one address, so that no host keeps the others out.
const (
	maxConns     = 128
	maxConnsEach = 32
)

// ListenTCP opens addr, where everybody can connect: Auth.Guard belongs in front of what is served there.
func ListenTCP(addr netip.AddrPort) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("opening the web server: %w", err)
	}
	return &bounded{Listener: ln, each: map[netip.Addr]int{}}, nil
}

// bounded closes connections that are too many.
type bounded struct {
	net.Listener
	mu   sync.Mutex
	all  int
	each map[netip.Addr]int
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		ap, _ := netip.ParseAddrPort(c.RemoteAddr().String())
		from := ap.Addr()
		if b.count(from, 1) {
			return &counted{Conn: c, done: sync.OnceFunc(func() { b.count(from, -1) })}, nil
		}
		b.count(from, -1)
		c.Close()
	}
}

// count counts a connection that comes or goes, and says whether there is room.
func (b *bounded) count(from netip.Addr, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all += n
	if b.each[from] += n; b.each[from] == 0 {
		delete(b.each, from)
	}
	return b.all <= maxConns && b.each[from] <= maxConnsEach
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	done func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.done()
	return c.Conn.Close()
}
