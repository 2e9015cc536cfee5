package acceptance

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"mudguard/enforcer/enforcertest"
)

// family is IPv4 or IPv6: what is tried with one is tried with the other.
type family struct {
	suffix string // of the subtest's name
	six    bool
}

var (
	v4       = family{}
	v6       = family{" v6", true}
	families = [...]family{v4, v6}
)

// host is a host of the Internet, by the last part of its address.
func (f family) host(n int) string {
	if f.six {
		return fmt.Sprintf("2001:db8:113::%d", n)
	}
	return fmt.Sprintf("203.0.113.%d", n)
}

// of is a device's address.
func (f family) of(d *device) string {
	if f.six {
		return d.addr6
	}
	return d.addr
}

// gateway is the gateway's address.
func (f family) gateway(d *device) string {
	if f.six {
		return d.gw6
	}
	return d.gateway
}

// ace is an entry for this family.
func (f family) ace(a enforcertest.ACE) enforcertest.ACE {
	a.V6 = f.six
	return a
}

// net is the network of one host, as an ACE wants it.
func (f family) net(n int) string {
	if f.six {
		return f.host(n) + "/128"
	}
	return f.host(n) + "/32"
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// to is the probe of a TCP connection.
func (l *lab) to(what string, from *space, host string, port int, want bool) probe {
	addr := hostPort(host, port)
	return probe{what + " (" + addr + ")", func() error { return from.tcp(addr) }, want}
}

// from is the probe of a TCP connection from one of several addresses that a host has.
func (l *lab) from(source, what string, from *space, host string, port int, want bool) probe {
	addr := hostPort(host, port)
	return probe{what + " (" + source + " -> " + addr + ")", func() (err error) {
		d := net.Dialer{Timeout: oneTry, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		d.SetMultipathTCP(false)
		var c net.Conn
		if inner := from.do(func() error { c, err = d.Dial("tcp", addr); return nil }); inner != nil {
			return inner
		}
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 2))
		return err
	}, want}
}

// arrived counts the new connections that reach a host at the ports of these tests, from the first call on; the Internet's are not
// told apart, so they are none.
func (l *lab) arrived(s *space) int {
	l.Helper()
	if s == l.wan {
		return 0
	}
	s.in(l.T, `nft list table inet seen >/dev/null 2>&1 || nft 'add table inet seen; add counter inet seen hits
		add chain inet seen pre { type filter hook prerouting priority -300; }
		add rule inet seen pre tcp dport 7000 tcp flags syn / syn,ack counter name hits'`)
	return l.counted(s, "seen")
}
