//go:build !mudguard_omit_demo

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/miekg/dns"
)

// Times that a device waits. An admitted packet takes less than a millisecond here; the first wait is for what is denied,
// and shorter than the second, after which TCP would try again.
const (
	demoDenied  = 300 * time.Millisecond
	demoAllowed = 5 * time.Second
)

// announce gets an address by DHCP, says the MUD URL in option 161 ("": none), and sets up what it got.
func (d *demoHost) announce(ctx context.Context, url string) error {
	lease, err := d.lease(ctx, url)
	if err != nil {
		return fmt.Errorf("%s gets no address by DHCP: %w", d.name, err)
	}
	addr, ok := netip.AddrFromSlice(lease.ACK.YourIPAddr.To4())
	if !ok || addr == d.addr {
		return nil
	}
	d.addr = addr
	return errors.Join(d.address("eth0", addr.String()+"/24"), d.route("", demoGateway))
}

func (d *demoHost) lease(ctx context.Context, url string) (*nclient4.Lease, error) {
	var conn net.PacketConn
	err := d.in(func() (err error) {
		conn, err = nclient4.NewRawUDPConn("eth0", dhcpv4.ClientPort)
		return err
	})
	if err != nil {
		return nil, err
	}
	c, err := nclient4.NewWithConn(conn, d.mac, nclient4.WithTimeout(500*time.Millisecond), nclient4.WithRetry(10))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	defer c.Close()
	options := []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptHostName(d.name))}
	if url != "" {
		options = append(options, dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(161), []byte(url))))
	}
	return c.Request(ctx, options...)
}

// dial opens a connection from the namespace, or a UDP socket. from may be the zero Addr.
func (n *demoNS) dial(network string, from netip.Addr, to netip.AddrPort, wait time.Duration) (c net.Conn, err error) {
	dialer := net.Dialer{Timeout: wait}
	if from.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
	}
	err = n.in(func() error {
		c, err = dialer.Dial(network, to.String())
		return err
	})
	return c, err
}

// talk opens a connection and has something echoed, so that it works both ways.
func (n *demoNS) talk(from netip.Addr, to netip.AddrPort, wait time.Duration) error {
	c, err := n.dial("tcp", from, to, wait)
	if err != nil {
		return err
	}
	defer c.Close()
	return echoed(c, wait)
}

func echoed(c net.Conn, wait time.Duration) error {
	const word = "hello"
	buf := make([]byte, len(word))
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(word)); err != nil {
		return err
	}
	if _, err := c.Read(buf); err != nil {
		return err
	}
	if string(buf) != word {
		return fmt.Errorf("the echo of %q is %q", word, buf)
	}
	return nil
}

// resolve asks a resolver for a name's IPv4 address, once.
func (n *demoNS) resolve(server, name string, wait time.Duration) (netip.Addr, error) {
	c, err := n.dial("udp", netip.Addr{}, netip.AddrPortFrom(netip.MustParseAddr(server), 53), wait)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	m, _, err := (&dns.Client{Timeout: wait}).ExchangeWithConn(q, &dns.Conn{Conn: c})
	if err != nil {
		return netip.Addr{}, err
	}
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			addr, _ := netip.AddrFromSlice(a.A.To4())
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%s has no address: %s", name, dns.RcodeToString[m.Rcode])
}

// stopped says that an attempt ended the way a dropped packet ends it: by silence. A refusal would be something else.
func stopped(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// demoConn is a connection that stays open through the demo.
type demoConn struct{ c net.Conn }

func (d *demoConn) dial(h *demoHost, to netip.AddrPort) (err error) {
	if d.c, err = h.dial("tcp", netip.Addr{}, to, demoAllowed); err != nil {
		return err
	}
	return d.echo()
}

// echo sends something and waits for it to come back.
func (d *demoConn) echo() error {
	if d.c == nil {
		return errors.New("it was never opened")
	}
	return echoed(d.c, demoAllowed)
}
