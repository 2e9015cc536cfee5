package dhcp_test

import (
	"net"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

// fuzz holds what must be true of the sightings of any frame.
func fuzz(f *testing.F, seeds ...[]byte) {
	f.Helper()
	for _, seed := range seeds {
		f.Add(seed)
		f.Add(tagged(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		all, err := dhcp.ParseFrame(frame)
		if len(all) > 0 && err != nil || len(all) > 16 {
			t.Fatalf("%d sightings, first %+v, and %v", len(all), all[0], err)
		}
		for _, s := range all {
			checkSighting(t, frame, s)
		}
	})
}

func FuzzDHCPv4(f *testing.F) {
	fuzz(f, frames.Client(lamp, dhcpv4.MessageTypeDiscover, frames.MUD("https://mud.example/m1 x"), optText(81, "\x04\x00\x00\x04lamp\x00")),
		frames.Client(lamp, dhcpv4.MessageTypeRelease, dhcpv4.WithClientIP(ip)),
		overloaded(3, option(161, "a.example"), option(161, "/b"), frames.MUD("https://")),
		ack(opt(6, 9, 9, 9, 9), opt(42, 192, 168, 7, 1), opt(61, 255, 0, 0, 0, 1, 0, 3, 0, 1, 2, 0, 0x5e, 0x10, 0, 1)),
		frames.Server(router, lamp, dhcpv4.MessageTypeNak))
}

func FuzzDHCPv6(f *testing.F) {
	reply := frames.Server6(router, lamp, ll, dhcpv6.WithIANA(leased6), dhcpv6.WithDNS(net.ParseIP("2001:db8::53")))
	fuzz(f, frames.Client6(lamp, dhcpv6.MessageTypeSolicit, ll, frames.MUD6(mudURL), dhcpv6.WithFQDN(0, "lamp"), ntp6), reply,
		frames.Client6(lamp, dhcpv6.MessageTypeRelease, dhcpv6.WithIANA(leased6)),
		relayed(frames.Message6(dhcpv6.MessageTypeRequest, ll, frames.MUD6(mudURL)), nil, option79))
}

func FuzzLLDP(f *testing.F) {
	fuzz(f, frames.LLDP(lamp, 120, frames.TLV(5, []byte("lamp")), frames.MUDTLV(mudURL)), frames.LLDP(lamp, 0))
}

func FuzzNeighbour(f *testing.F) {
	fuzz(f, frames.ARP(lamp, lamp, 1, addr, addr),
		frames.ND(lamp, frames.LinkLocal(lamp), allNodes, 135, v6, frames.LinkOption(1, lamp)...),
		frames.ND(lamp, v6, allNodes, 136, v6, frames.LinkOption(2, lamp)...))
}

// checkSighting holds what must be true of every sighting, whatever the frame was.
func checkSighting(t *testing.T, frame []byte, s dhcp.Sighting) {
	t.Helper()
	if s.MAC.IsZero() || s.MAC.IsMulticast() {
		t.Errorf("device %v", s.MAC)
	}
	if s.ServerMAC.IsZero() && !s.Relay.IsValid() && s.MAC != dhcp.MAC(frame[6:12]) {
		t.Errorf("%v spoke for %v", dhcp.MAC(frame[6:12]), s.MAC)
	}
	for i := range len(s.URL) {
		if s.URL[i] <= ' ' || s.URL[i] > '~' {
			t.Errorf("URL %q", s.URL)
		}
	}
	if len(s.URL) > 255 || s.URL != "" && s.Problem != "" {
		t.Errorf("URL %q with problem %q", s.URL, s.Problem)
	}
	for _, text := range []string{s.Hostname, s.Vendor, s.Problem, s.Remark} {
		checkText(t, text)
	}
	if utf8.RuneCountInString(s.Hostname) > 64 || utf8.RuneCountInString(s.Vendor) > 64 {
		t.Errorf("host %q, vendor %q", s.Hostname, s.Vendor)
	}
	if (s.Kind == dhcp.Bound) != (s.Lease > 0) || s.Lease < 0 || (s.TTL > 0) != (s.Source == dhcp.SourceLLDP && s.Kind == dhcp.Seen) {
		t.Errorf("%v of %v for %v, TTL %v", s.Kind, s.Addr, s.Lease, s.TTL)
	}
	checkAddr(t, s)
	if s.Source == dhcp.SourceND && (s.Kind != dhcp.Uses || s.URL+s.Problem+s.Hostname != "") {
		t.Errorf("neighbour discovery told %+v", s)
	}
	if len(s.ClientID) > 260 {
		t.Errorf("client identifier of %d digits", len(s.ClientID))
	}
	if len(s.DNS) > 16 || len(s.NTP) > 16 {
		t.Errorf("%d DNS and %d NTP servers", len(s.DNS), len(s.NTP))
	}
}

// checkAddr: a kind has an address that a host can have, of the right version, or none.
func checkAddr(t *testing.T, s dhcp.Sighting) {
	t.Helper()
	named := s.Kind == dhcp.Bound || s.Kind == dhcp.Uses || s.Kind == dhcp.Released || s.Kind == dhcp.Declined
	a := s.Addr
	if named != a.IsValid() && s.Kind != dhcp.Seen || a.IsValid() && (a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is4In6()) ||
		a.IsValid() && (a.Is4() && s.Source == dhcp.SourceDHCPv6 || a.Is6() && s.Source == dhcp.SourceDHCPv4) {
		t.Errorf("%v %v by %v", s.Kind, a, s.Source)
	}
}

func checkText(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		if !unicode.IsPrint(r) {
			t.Errorf("text %q", text)
		}
	}
}
