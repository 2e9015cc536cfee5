package fetch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	maxAddresses = 8                      // of one host that are tried
	stagger      = 250 * time.Millisecond // between attempts, as RFC 8305 section 5 recommends
)

// dialer connects to web servers, and never to an address where a device could use us as its proxy into the
// LAN or into this host (R8520-1.6-l, hardening T6). The check is made on the address that is really dialled,
// so that a name which resolves differently each time gains nothing.
type dialer struct {
	resolvers []*net.Resolver
	perLookup time.Duration // so that a dead resolver leaves time for the next one
	private   []string      // hosts that may be anywhere
	refuse    func(netip.Addr) bool
	own       func() ([]net.Addr, error) // this host's addresses
}

func newDialer(cfg Config) *dialer {
	d := &dialer{
		resolvers: []*net.Resolver{{PreferGo: true}},
		perLookup: cfg.Timeout / time.Duration(2+len(cfg.Resolvers)),
		refuse:    cfg.Refuse,
		own:       net.InterfaceAddrs,
	}
	for _, at := range cfg.Resolvers {
		d.resolvers = append(d.resolvers, resolverAt(at))
	}
	for _, h := range cfg.PrivateHosts {
		d.private = append(d.private, normalHost(h))
	}
	return d
}

func resolverAt(at netip.AddrPort) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, at.String())
	}}
}

func normalHost(h string) string {
	return strings.Trim(strings.TrimSuffix(strings.ToLower(h), "."), "[]")
}

// DialContext is net.Dialer.DialContext with our rules.
func (d *dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	host = normalHost(host)
	free := slices.Contains(d.private, host)
	addrs, err := d.resolve(ctx, host, free)
	if err != nil {
		return nil, err
	}
	nd := &net.Dialer{ControlContext: d.control(host, free)}
	return race(ctx, nd, addrs, port)
}

// resolve asks one resolver after the other until one knows the host.
func (d *dialer) resolve(ctx context.Context, host string, free bool) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if !free {
			return nil, fail(KindAddress, "the URL names an address, %s, and not a host: "+
				"list it in fetch.private_hosts if that is wanted", ip)
		}
		return []netip.Addr{ip}, nil
	}
	name := host
	if strings.Contains(host, ".") {
		name += "." // never completed with a search domain: the URL means what it says
	}
	var err error
	for _, r := range d.resolvers {
		lctx, cancel := context.WithTimeout(ctx, d.perLookup)
		addrs, lerr := r.LookupNetIP(lctx, "ip", name)
		cancel()
		if lerr == nil && len(addrs) > 0 {
			return addrs[:min(len(addrs), maxAddresses)], nil
		}
		if !isNotFound(err) { // a resolver's No tells more than the next one's silence
			err = lerr
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err == nil {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return nil, err
}

func isNotFound(err error) bool {
	d, ok := errors.AsType[*net.DNSError](err)
	return ok && d.IsNotFound
}

// control refuses a connection before its first packet.
func (d *dialer) control(host string, free bool) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		if free {
			return nil
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fail(KindAddress, "connecting to %q: not an address", address)
		}
		if why := d.forbidden(ap.Addr()); why != "" {
			return fail(KindAddress, "%s is at %s, %s: list it in fetch.private_hosts if that is wanted",
				host, ap.Addr(), why)
		}
		return nil
	}
}

// forbidden says why a must not be connected to; "" if it may.
func (d *dialer) forbidden(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if why := special(a); why != "" {
		return why
	}
	if d.refuse != nil && d.refuse(a) {
		return "an address of this network"
	}
	addrs, err := d.own()
	if err != nil {
		return "" // own addresses are one check of several; no list is no reason to fetch nothing
	}
	for _, n := range addrs {
		if p, err := netip.ParsePrefix(n.String()); err == nil && p.Addr().Unmap() == a {
			return "an address of this host"
		}
	}
	return ""
}

// race tries the addresses in order, each next one a moment after the last, and keeps the first connection.
func race(ctx context.Context, nd *net.Dialer, addrs []netip.Addr, port string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, len(addrs))
	attempt := func(a netip.Addr) {
		conn, err := nd.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), port))
		results <- result{conn, err}
	}
	var worst error
	started, open := 0, 0
	for started < len(addrs) || open > 0 {
		var next <-chan time.Time
		if started < len(addrs) {
			go attempt(addrs[started])
			started, open = started+1, open+1
			next = time.After(stagger)
		}
		select {
		case <-next:
			continue
		case r := <-results:
			open--
			if r.err == nil {
				go func(n int) { // what still connects is closed
					for range n {
						if late := <-results; late.conn != nil {
							_ = late.conn.Close()
						}
					}
				}(open)
				return r.conn, nil
			}
			worst = moreTelling(worst, r.err)
		}
	}
	return nil, worst
}

// moreTelling prefers a failure of the network to a refusal of ours: it says why the address that was allowed
// did not do.
func moreTelling(a, b error) error {
	if a == nil || !isOwn(b) && isOwn(a) {
		return b
	}
	return a
}
