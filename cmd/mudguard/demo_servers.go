//go:build !mudguard_omit_demo

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/miekg/dns"
)

// demoServers is everything that answers in the demo. They run until the process ends.
type demoServers struct {
	lan   *demoLAN
	files map[string][]byte

	mu     sync.Mutex
	asked  map[string]int        // files, by path
	seen   map[demoContact]int   // connections and datagrams that arrived
	cloud  int                   // how many answers for the cloud's name were given
	leases map[string]netip.Addr // by MAC
}

// demoContact is who reached which service.
type demoContact struct {
	from netip.Addr
	to   netip.AddrPort
}

func startDemoServers(lan *demoLAN, files map[string][]byte, cert tls.Certificate) (*demoServers, error) {
	s := &demoServers{lan: lan, files: files, asked: map[string]int{}, seen: map[demoContact]int{}, leases: map[string]netip.Addr{
		lan.lamp.mac.String():   netip.MustParseAddr("192.168.8.20"),
		lan.camera.mac.String(): netip.MustParseAddr("192.168.8.21"),
		lan.laptop.mac.String(): netip.MustParseAddr("192.168.8.22"),
	}}
	if err := s.startDHCP(); err != nil {
		return nil, err
	}
	if err := s.startDNS(lan.gateway, demoGateway); err != nil {
		return nil, err
	}
	if err := s.startDNS(lan.internet, demoForeign); err != nil {
		return nil, err
	}
	if err := s.startFiles(cert); err != nil {
		return nil, err
	}
	return s, s.startEchoes()
}

// startEchoes opens what devices try to reach, also what they must not: a denial counts only where there is something to
// be denied.
func (s *demoServers) startEchoes() error {
	at := []struct {
		ns   *demoNS
		addr string
		port uint16
	}{
		{s.lan.internet, demoEvil, 23}, {s.lan.internet, demoEvil, 443}, {s.lan.gateway, demoGateway, 22},
		{s.lan.lamp.demoNS, "0.0.0.0", 80}, {s.lan.laptop.demoNS, "0.0.0.0", 8080},
	}
	if s.lan.v6 {
		at = append(at, at[0])
		at[len(at)-1].addr, at[len(at)-1].port = demoEvil6, 443
	}
	for a, n := netip.MustParseAddr(demoCloud), 0; n < demoCloudSize; a, n = a.Next(), n+1 {
		at = append(at, at[0])
		at[len(at)-1].addr, at[len(at)-1].port = a.String(), 443
	}
	for _, e := range at {
		l, err := e.ns.listen(netip.AddrPortFrom(netip.MustParseAddr(e.addr), e.port))
		if err != nil {
			return err
		}
		go s.echo(l)
	}
	return nil
}

// listen opens a listener in a namespace. An address literal needs no resolver, so all happens on that thread.
func (n *demoNS) listen(at netip.AddrPort) (l net.Listener, err error) {
	err = n.in(func() error {
		l, err = net.Listen("tcp", at.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("server at %s: %w", at, err)
	}
	return l, nil
}

func (s *demoServers) echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.reached(c.RemoteAddr(), c.LocalAddr())
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c) // ends with the client
		}()
	}
}

func (s *demoServers) reached(from, to net.Addr) {
	f, err1 := netip.ParseAddrPort(from.String())
	t, err2 := netip.ParseAddrPort(to.String())
	if err1 != nil || err2 != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[demoContact{f.Addr().Unmap(), netip.AddrPortFrom(t.Addr().Unmap(), t.Port())}]++
}

// contacts gives who reached what, until now.
func (s *demoServers) contacts() map[demoContact]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.seen)
}

// fetches says how often a file was asked for.
func (s *demoServers) fetches(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

func (s *demoServers) startDHCP() error {
	srv, err := server4.NewServer(demoBridge, &net.UDPAddr{Port: dhcpv4.ServerPort}, s.handleDHCP)
	if err != nil {
		return fmt.Errorf("DHCP server: %w", err)
	}
	go func() { _ = srv.Serve() }() // ends with the process
	return nil
}

func (s *demoServers) handleDHCP(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
	kind, gateway := dhcpv4.MessageTypeOffer, net.ParseIP(demoGateway)
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
	case dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
	default:
		return
	}
	addr, known := s.leases[m.ClientHWAddr.String()]
	if !known {
		return
	}
	reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(addr.AsSlice()),
		dhcpv4.WithServerIP(gateway), dhcpv4.WithLeaseTime(3600), dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(gateway)), dhcpv4.WithOption(dhcpv4.OptRouter(gateway)),
		dhcpv4.WithOption(dhcpv4.OptDNS(gateway)))
	if err == nil {
		_, _ = conn.WriteTo(reply.ToBytes(), peer) // a client that hears nothing asks again
	}
}

func (s *demoServers) startDNS(n *demoNS, addr string) error {
	at := net.JoinHostPort(addr, "53")
	return n.in(func() error {
		pc, err := net.ListenPacket("udp", at)
		if err != nil {
			return fmt.Errorf("DNS server: %w", err)
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			return fmt.Errorf("DNS server: %w", err)
		}
		h := dns.HandlerFunc(s.answer)
		go func() { _ = (&dns.Server{PacketConn: pc, Handler: h}).ActivateAndServe() }() // ends with the process
		go func() { _ = (&dns.Server{Listener: l, Handler: h}).ActivateAndServe() }()
		return nil
	})
}

// answer is the whole Internet's DNS: A records, with a TTL of one second as clouds like it.
func (s *demoServers) answer(w dns.ResponseWriter, q *dns.Msg) {
	s.reached(w.RemoteAddr(), w.LocalAddr())
	m := new(dns.Msg).SetReply(q)
	if len(q.Question) == 1 {
		name, a := q.Question[0].Name, netip.Addr{}
		switch dns.CanonicalName(name) {
		case "cloud.lamp.example.":
			a = s.nextCloud(q.Question[0].Qtype)
		case "evil.example.":
			a = netip.MustParseAddr(demoEvil)
		case "maker.example.":
			a = netip.MustParseAddr(demoMaker)
		default:
			m.Rcode = dns.RcodeNameError
		}
		if a.IsValid() && q.Question[0].Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{A: a.AsSlice(),
				Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}})
		}
	}
	_ = w.WriteMsg(m) // who asked asks again
}

// nextCloud gives an address of the cloud that no answer had before, until all had their turn.
func (s *demoServers) nextCloud(qtype uint16) netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := netip.MustParseAddr(demoCloud).As4()
	b[3] += byte(s.cloud % demoCloudSize)
	if qtype == dns.TypeA {
		s.cloud++
	}
	return netip.AddrFrom4(b)
}

func (s *demoServers) startFiles(cert tls.Certificate) error {
	l, err := s.lan.internet.listen(netip.AddrPortFrom(netip.MustParseAddr(demoMaker), 443))
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(s.file), ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	go func() { _ = srv.Serve(tls.NewListener(l, conf)) }() // ends with the process
	return nil
}

func (s *demoServers) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	s.mu.Unlock()
	raw, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", demoMedia(r.URL.Path))
	_, _ = w.Write(raw) // who asked asks again
}
