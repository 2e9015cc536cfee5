package dhcp_test

import (
	"encoding/hex"
	"math"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

const mudURL = "https://mud.example/m1"

var (
	v6       = netip.MustParseAddr("2001:db8::20")
	second6  = netip.MustParseAddr("2001:db8::21")
	allNodes = netip.MustParseAddr("ff02::1")
	servers6 = netip.MustParseAddr("ff02::1:2")
	leased6  = lease(v6, time.Hour, time.Hour)
	ll       = dhcpv6.WithClientID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: lamp[:]})
	llt      = dhcpv6.WithClientID(&dhcpv6.DUIDLLT{HWType: iana.HWTypeEthernet, Time: 7, LinkLayerAddr: lamp[:]})
	option79 = dhcpv6.OptClientLinkLayerAddress(iana.HWTypeEthernet, lamp[:])
	ntp6     = opt6(56, append([]byte{0, 1, 0, 16}, netip.MustParseAddr("2001:db8::7b").AsSlice()...)...)
)

const duidLL = "0003000102005e100001" // of lamp

func lease(a netip.Addr, preferred, valid time.Duration, options ...dhcpv6.Option) dhcpv6.OptIAAddress {
	out := dhcpv6.OptIAAddress{IPv6Addr: a.AsSlice(), PreferredLifetime: preferred, ValidLifetime: valid}
	for _, o := range options {
		out.Options.Add(o)
	}
	return out
}

func opt6(code uint16, b ...byte) dhcpv6.Modifier {
	return dhcpv6.WithOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionCode(code), OptionData: b})
}

func status6(code iana.StatusCode) dhcpv6.Option {
	return &dhcpv6.OptStatusCode{StatusCode: code}
}

// relayed wraps a message in a relay's, from a relay at router's address; kind nil is Relay-forward.
func relayed(message []byte, change func(*dhcpv6.RelayMessage), options ...dhcpv6.Option) []byte {
	return frames.UDP6(router, lamp, relay6, server6, 547, 547, wrap(message, change, options...))
}

var relay6, server6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")

func wrap(message []byte, change func(*dhcpv6.RelayMessage), options ...dhcpv6.Option) []byte {
	m := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: net.ParseIP("2001:db8::1"), PeerAddr: frames.LinkLocal(lamp).AsSlice()}
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRelayMsg, OptionData: message})
	for _, o := range options {
		m.AddOption(o)
	}
	if change != nil {
		change(m)
	}
	return m.ToBytes()
}

func toClient(m *dhcpv6.RelayMessage) { m.MessageType = dhcpv6.MessageTypeRelayReply }

func TestDHCPv6(t *testing.T) {
	type change func(*dhcp.Sighting)
	seen := func(changes ...change) dhcp.Sighting {
		s := dhcp.Sighting{MAC: lamp, Source: dhcp.SourceDHCPv6, ClientID: duidLL}
		for _, c := range changes {
			c(&s)
		}
		return s
	}
	url := func(s *dhcp.Sighting) { s.URL = mudURL }
	at := func(kind dhcp.Kind, a netip.Addr) change { return func(s *dhcp.Sighting) { s.Kind, s.Addr = kind, a } }
	bound := func(a netip.Addr, d time.Duration) change {
		return func(s *dhcp.Sighting) { s.Kind, s.Addr, s.Lease = dhcp.Bound, a, d }
	}
	served := func(s *dhcp.Sighting) { s.ServerMAC = router }
	through := func(a netip.Addr) change { return func(s *dhcp.Sighting) { s.Relay = a } }
	weak := func(s *dhcp.Sighting) {
		s.Remark = "the Ethernet address is that of the client's DUID, which the relay did not confirm"
	}
	client := func(kind dhcpv6.MessageType, mods ...dhcpv6.Modifier) []byte {
		return frames.Client6(lamp, kind, append([]dhcpv6.Modifier{ll}, mods...)...)
	}
	server := func(mods ...dhcpv6.Modifier) []byte {
		return frames.Server6(router, lamp, append([]dhcpv6.Modifier{ll}, mods...)...)
	}
	solicit := frames.Message6(dhcpv6.MessageTypeSolicit, ll, frames.MUD6(mudURL))
	confirmed := frames.Message6(dhcpv6.MessageTypeReply, ll, dhcpv6.WithIANA(leased6))
	mac79 := dhcpv6.OptClientLinkLayerAddress(iana.HWTypeEthernet, other[:])
	for _, c := range []struct {
		row, name string
		frame     []byte
		want      []dhcp.Sighting
	}{
		{"RDHCP-8415-a", "Solicit", client(dhcpv6.MessageTypeSolicit, frames.MUD6(mudURL)), sights(seen(url))},
		{"RDHCP-8415-a", "Request", client(dhcpv6.MessageTypeRequest, frames.MUD6(mudURL), dhcpv6.WithIANA(leased6)), sights(seen(url, at(dhcp.Seen, v6)))},
		{"RDHCP-8415-a", "Renew", client(dhcpv6.MessageTypeRenew, frames.MUD6(mudURL)), sights(seen(url))},
		{"RDHCP-8415-a", "Rebind", client(dhcpv6.MessageTypeRebind, frames.MUD6(mudURL)), sights(seen(url))},
		{"RDHCP-8415-a", "Information-request", client(dhcpv6.MessageTypeInformationRequest, frames.MUD6(mudURL)), sights(seen(url))},
		{"RDHCP-8415-a", "not in a Confirm", client(dhcpv6.MessageTypeConfirm, frames.MUD6(mudURL)), sights(seen())},
		{"RDHCP-8415-a", "not in a Release", client(dhcpv6.MessageTypeRelease, frames.MUD6(mudURL), dhcpv6.WithIANA(leased6)), sights(seen(at(dhcp.Released, v6)))},
		{"R8520-10-e", "no URL is no news", client(dhcpv6.MessageTypeRenew), sights(seen())},
		{"R8520-10.1-a", "two URLs are none", client(dhcpv6.MessageTypeSolicit, frames.MUD6(mudURL), frames.MUD6(mudURL)), sights(seen(func(s *dhcp.Sighting) {
			s.Problem = "the device announced more than one MUD URL in one message"
		}))},
		{"R8520-10-e", "a server announces nothing", server(frames.MUD6(mudURL)), sights(seen(served))},
		{"RFC 8415", "an impossible hint", client(dhcpv6.MessageTypeSolicit, frames.MUD6(mudURL),
			dhcpv6.WithIANA(lease(netip.IPv6Unspecified(), 0, 0))), sights(seen(url))},
		{"RFC 8415", "names", client(dhcpv6.MessageTypeSolicit, dhcpv6.WithFQDN(0, "lamp.lan"),
			opt6(16, 0, 0, 0x9f, 0x08, 0, 4, 'l', 'u', 'm', 'e', 0, 1, 'x')), sights(seen(func(s *dhcp.Sighting) { s.Hostname, s.Vendor = "lamp.lan", "lume" }))},
		{"RDHCP-8415-b", "Release of two", client(dhcpv6.MessageTypeRelease, dhcpv6.WithIANA(leased6, lease(second6, 0, 0))),
			sights(seen(at(dhcp.Released, v6)), seen(at(dhcp.Released, second6)))},
		{"RDHCP-8415-b", "Decline", client(dhcpv6.MessageTypeDecline, dhcpv6.WithIANA(leased6)), sights(seen(at(dhcp.Declined, v6)))},
		{"RDHCP-8415-b", "Release of a prefix", client(dhcpv6.MessageTypeRelease, dhcpv6.WithIAPD([4]byte{1})), nil},
		{"RDHCP-8415-b", "Reply", server(dhcpv6.WithIANA(leased6), dhcpv6.WithDNS(net.ParseIP("2001:db8::53"), net.ParseIP("::1"))),
			sights(seen(served, bound(v6, time.Hour), func(s *dhcp.Sighting) { s.DNS = addrs("2001:db8::53") }))},
		{"RDHCP-8415-b", "rapid commit", server(dhcpv6.WithIANA(leased6), dhcpv6.WithRapidCommit), sights(seen(served, bound(v6, time.Hour)))},
		{"RDHCP-8415-b", "two addresses, one ends", server(dhcpv6.WithIANA(leased6, lease(second6, 0, 0))),
			sights(seen(served, bound(v6, time.Hour)), seen(served, at(dhcp.Released, second6)))},
		{"RDHCP-8415-b", "for ever", server(dhcpv6.WithIANA(lease(v6, math.MaxUint32*time.Second, math.MaxUint32*time.Second))), sights(seen(served, bound(v6, math.MaxInt64)))},
		{"RDHCP-8415-b", "no IA_TA, no IA_PD", server(dhcpv6.WithIATA([4]byte{1}, leased6), dhcpv6.WithIAPD([4]byte{1}, &dhcpv6.OptIAPrefix{})), sights(seen(served))},
		{"RFC 8415 section 21.6", "preferred for longer than valid", server(dhcpv6.WithIANA(lease(v6, time.Hour, time.Minute))), nil},
		{"RFC 8415 section 21.6", "refused address", server(dhcpv6.WithIANA(lease(v6, time.Hour, time.Hour, status6(iana.StatusNotOnLink)))), nil},
		{"RFC 8415 section 21.13", "refused", server(dhcpv6.WithOption(status6(iana.StatusNotOnLink))), sights(seen(served, func(s *dhcp.Sighting) { s.Kind = dhcp.Refused }))},
		{"RFC 8415 section 21.13", "refused IA", server(opt6(3, append(make([]byte, 12), 0, 13, 0, 2, 0, 2)...)), sights(seen(served, func(s *dhcp.Sighting) { s.Kind = dhcp.Refused }))},
		{"RFC 8415 section 21.13", "success", server(dhcpv6.WithOption(status6(iana.StatusSuccess)), dhcpv6.WithIANA(leased6)), sights(seen(served, bound(v6, time.Hour)))},
		{"RDHCP-slaac", "Reply to an Information-request", server(dhcpv6.WithDNS(net.ParseIP("2001:db8::53")), dhcpv6.WithOption(dhcpv6.OptSNTP(net.ParseIP("2001:db8::7a"))), ntp6),
			sights(seen(served, func(s *dhcp.Sighting) { s.DNS, s.NTP = addrs("2001:db8::53"), addrs("2001:db8::7a", "2001:db8::7b") }))},
		{"RDHCP-8415-c", "one relay, option 79", relayed(solicit, nil, mac79), sights(seen(url, through(relay6), func(s *dhcp.Sighting) { s.MAC = other }))},
		{"RDHCP-8415-c", "two relays, option 79 of the first", relayed(wrap(solicit, nil, mac79), nil, option79), sights(seen(url, through(relay6), func(s *dhcp.Sighting) { s.MAC = other }))},
		{"R8520-10.3-a", "DUID-LL is weak", relayed(wrap(solicit, nil), nil), sights(seen(url, through(relay6), weak))},
		{"RDHCP-8415-c", "DUID-LLT is weak", relayed(frames.Message6(dhcpv6.MessageTypeSolicit, llt), nil), sights(seen(through(relay6), weak, func(s *dhcp.Sighting) { s.ClientID = "000100010000000702005e100001" }))},
		{"RDHCP-8415-c", "eight relays", relayed(many(7, solicit), nil), sights(seen(url, through(relay6), weak))},
		{"RDHCP-8415-c", "Reply to a relay", relayed(wrap(confirmed, toClient), toClient), sights(seen(served, through(server6), weak, bound(v6, time.Hour)))},
		{"RDHCP-8415-c", "the frame counts, not the DUID", frames.Client6(other, dhcpv6.MessageTypeSolicit, ll, frames.MUD6(mudURL)),
			sights(seen(url, func(s *dhcp.Sighting) { s.MAC = other }))},
		{"RDHCP-9686", "registration", frames.UDP6(lamp, frames.Group(servers6), v6, servers6, 546, 547,
			frames.Message6(dhcpv6.MessageTypeAddrRegInform, ll, dhcpv6.WithOption(&leased6))), sights(seen(at(dhcp.Uses, v6)))},
		{"RDHCP-9686", "end of it", frames.UDP6(lamp, frames.Group(servers6), v6, servers6, 546, 547,
			frames.Message6(dhcpv6.MessageTypeAddrRegInform, ll, dhcpv6.WithOption(new(lease(v6, 0, 0))))), sights(seen(at(dhcp.Released, v6)))},
		{"802.1Q", "one tag", tagged(client(dhcpv6.MessageTypeSolicit, frames.MUD6(mudURL))), sights(seen(url))},
		{"802.3", "padding", append(client(dhcpv6.MessageTypeSolicit), 1, 2, 3), sights(seen())},
	} {
		got, err := dhcp.ParseFrame(c.frame)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %s:\n got %+v, %v\nwant %+v", c.row, c.name, got, err, c.want)
		}
	}
}

func sights(s ...dhcp.Sighting) []dhcp.Sighting { return s }

// many wraps a message in n relays' messages.
func many(n int, message []byte) []byte {
	for range n {
		message = wrap(message, nil)
	}
	return message
}

// TestDHCPv6Golden reads the wire vector of standards.md 0.2 (R8520-10-d) in a Solicit written out by hand.
func TestDHCPv6Golden(t *testing.T) {
	message := "01123456" + "0001000a" + duidLL + "00080002ffff" + "0070" + "0016" + "68747470733a2f2f6d75642e6578616d706c652f6d31"
	b, err := hex.DecodeString(message)
	if err != nil {
		t.Fatal(err)
	}
	s := only(t, frames.UDP6(lamp, frames.Group(servers6), frames.LinkLocal(lamp), servers6, 546, 547, b))
	if s.MAC != lamp || s.URL != mudURL || s.Problem+s.Remark != "" || s.ClientID != duidLL {
		t.Errorf("%+v", s)
	}
}

// TestDHCPv6Lengths: R8520-10-d, T-04.
func TestDHCPv6Lengths(t *testing.T) {
	long := func(n int) string { return "https://x.example/" + strings.Repeat("a", n-18) }
	for _, c := range []struct{ in, url, problem, remark string }{
		{long(253), long(253), "", ""},
		{long(254), long(254), "", "254 octets"},
		{long(255), long(255), "", "255 octets"},
		{long(256), "", "255 is the limit", ""},
		{long(60000), "", "60000 octets long", ""},
		{"", "", "empty", ""},
		{mudURL + " more", mudURL, "", "4 octets of a reserved part"},
		{mudURL + "\r\n", "", "control character", ""},
	} {
		s := only(t, frames.Client6(lamp, dhcpv6.MessageTypeSolicit, frames.MUD6(c.in)))
		if s.URL != c.url || !matches(s.Problem, c.problem) || !matches(s.Remark, c.remark) {
			t.Errorf("%.40q of %d: URL %q, problem %q, remark %q", c.in, len(c.in), s.URL, s.Problem, s.Remark)
		}
	}
	weak := only(t, relayed(frames.Message6(dhcpv6.MessageTypeSolicit, ll, frames.MUD6(mudURL+" r")), nil))
	if !strings.Contains(weak.Remark, "DUID") || !strings.Contains(weak.Remark, "; 1 octets") {
		t.Errorf("remark %q; want both", weak.Remark)
	}
}

func TestDHCPv6NotOfInterest(t *testing.T) {
	solicit := frames.Message6(dhcpv6.MessageTypeSolicit, ll)
	reply := frames.Message6(dhcpv6.MessageTypeReply, ll)
	between := func(src, dst uint16, message []byte) []byte {
		return frames.UDP6(lamp, router, frames.LinkLocal(lamp), frames.LinkLocal(router), src, dst, message)
	}
	for name, frame := range map[string][]byte{
		"other ports":               between(5353, 5353, solicit),
		"TCP":                       edit(between(546, 547, solicit), 20, 6),
		"extension header":          edit(between(546, 547, solicit), 20, 0),
		"fragment":                  edit(between(546, 547, solicit), 20, 44),
		"IPv4 in IPv6":              edit(between(546, 547, solicit), 14, 0x45),
		"no header":                 between(546, 547, nil)[:53],
		"no UDP header":             frames.IPv6(lamp, router, v6, v6, 17, 1, []byte{2, 34, 2, 35}),
		"to the wrong port":         between(547, 546, solicit),
		"Reply to a server":         between(546, 547, reply),
		"Advertise":                 between(547, 546, frames.Message6(dhcpv6.MessageTypeAdvertise, ll)),
		"Reconfigure":               between(547, 546, frames.Message6(dhcpv6.MessageTypeReconfigure, ll)),
		"registration confirmed":    between(547, 546, frames.Message6(dhcpv6.MessageTypeAddrRegReply, ll)),
		"unknown type":              between(546, 547, frames.Message6(99, ll)),
		"Reply forwarded by relay":  relayed(reply, nil),
		"Solicit answered to relay": relayed(solicit, toClient),
	} {
		if s, err := dhcp.ParseFrame(frame); len(s) > 0 || err != nil {
			t.Errorf("%s: %+v, %v; want nothing", name, s, err)
		}
	}
}

func TestDHCPv6Refused(t *testing.T) {
	solicit := frames.Message6(dhcpv6.MessageTypeSolicit, ll, frames.MUD6(mudURL))
	anonymous := frames.Message6(dhcpv6.MessageTypeSolicit, frames.MUD6(mudURL))
	foreign := dhcpv6.WithClientID(&dhcpv6.DUIDLL{HWType: 6, LinkLayerAddr: lamp[:]})
	far := netip.MustParseAddr("2001:db8:9::9")
	whole := frames.Client6(lamp, dhcpv6.MessageTypeSolicit, ll)
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"cut frame":               {whole[:len(whole)-1], "cut short"},
		"UDP length too great":    {edit(frames.Client6(lamp, dhcpv6.MessageTypeSolicit), 58, 255, 255), "cut short"},
		"no message":              {frames.UDP6(lamp, lamp, v6, v6, 546, 547, []byte{1, 2, 3}), "cut short"},
		"option past the end":     {frames.UDP6(lamp, router, v6, servers6, 546, 547, []byte{1, 0, 0, 0, 0, 112, 0, 9, 'h'}), "past the end"},
		"IA_NA too short":         {frames.Client6(lamp, dhcpv6.MessageTypeRequest, opt6(3, 1, 2, 3)), "cut short"},
		"IAADDR too short":        {frames.Client6(lamp, dhcpv6.MessageTypeRequest, opt6(3, append(make([]byte, 12), 0, 5, 0, 1, 9)...)), "cut short"},
		"option in IA_NA":         {frames.Client6(lamp, dhcpv6.MessageTypeRequest, opt6(3, append(make([]byte, 12), 0, 5, 0, 9)...)), "past the end"},
		"nine relays":             {relayed(many(8, solicit), nil), "more than 8 relays"},
		"relayed both ways":       {relayed(wrap(solicit, toClient), nil), "both ways"},
		"relay without message":   {relayed(nil, nil), "cut short"},
		"relay without options":   {frames.UDP6(router, lamp, relay6, server6, 547, 547, append(wrap(nil, nil)[:34], 0, 9, 0, 9)), "past the end"},
		"relayed, no address":     {relayed(anonymous, nil), "does not tell the client's Ethernet address"},
		"relayed, not Ethernet":   {relayed(frames.Message6(dhcpv6.MessageTypeSolicit, foreign), nil, dhcpv6.OptClientLinkLayerAddress(6, lamp[:])), "does not tell"},
		"relayed, group address":  {relayed(anonymous, nil, dhcpv6.OptClientLinkLayerAddress(1, net.HardwareAddr{1, 0, 0, 0, 0, 1})), "does not tell"},
		"from another network":    {frames.UDP6(router, lamp, far, v6, 547, 546, frames.Message6(dhcpv6.MessageTypeReply, ll, dhcpv6.WithIANA(leased6))), "another network"},
		"client far away":         {frames.UDP6(router, lamp, far, v6, 546, 547, solicit), "another network"},
		"group as client":         {frames.Client6([6]byte{1, 2, 3, 4, 5, 6}, dhcpv6.MessageTypeSolicit), "no device can have"},
		"Reply from no address":   {frames.Server6([6]byte{}, lamp, dhcpv6.WithIANA(leased6)), "no device can have"},
		"Reply to a group":        {frames.Server6(router, [6]byte{0x33, 0x33, 0, 0, 0, 1}), "none that a device can have"},
		"Reply gives a group":     {frames.Server6(router, lamp, dhcpv6.WithIANA(lease(allNodes, 1e9, 1e9))), "no host can have"},
		"Reply gives IPv4":        {frames.Server6(router, lamp, dhcpv6.WithIANA(lease(netip.MustParseAddr("::ffff:192.0.2.1"), 1e9, 1e9))), "no host can have"},
		"Release of a group":      {frames.Client6(lamp, dhcpv6.MessageTypeRelease, dhcpv6.WithIANA(lease(allNodes, 0, 0))), "no host can have"},
		"registers for another":   {frames.Client6(lamp, dhcpv6.MessageTypeAddrRegInform, dhcpv6.WithOption(&leased6)), "registers the address"},
		"registers nothing":       {frames.Client6(lamp, dhcpv6.MessageTypeAddrRegInform), "cut short"},
		"registers a group alone": {frames.Client6(lamp, dhcpv6.MessageTypeAddrRegInform, dhcpv6.WithOption(new(lease(allNodes, 0, 0)))), "registers the address"},
	} {
		if s, err := dhcp.ParseFrame(c.frame); len(s) > 0 || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want error %q", name, s, err, c.want)
		}
	}
}

// TestDHCPv6Bounds: a message of many addresses and servers gives few.
func TestDHCPv6Bounds(t *testing.T) {
	var all []dhcpv6.OptIAAddress
	var servers []net.IP
	for i := range 100 {
		a := v6.As16()
		a[14] = byte(i)
		all, servers = append(all, lease(netip.AddrFrom16(a), 1e9, 1e9)), append(servers, a[:])
	}
	got, err := dhcp.ParseFrame(frames.Server6(router, lamp, ll, dhcpv6.WithIANA(all...), dhcpv6.WithDNS(servers...),
		dhcpv6.WithOption(dhcpv6.OptSNTP(servers...)), ntp6))
	if err != nil || len(got) != 16 || len(got[0].DNS) != 16 || len(got[0].NTP) != 16 {
		t.Errorf("%d sightings, %v; want 16, with 16 servers of a kind", len(got), err)
	}
	if s := only(t, frames.Client6(lamp, dhcpv6.MessageTypeSolicit, opt6(1, make([]byte, 131)...))); s.ClientID != "" {
		t.Errorf("DUID that is too long: %q", s.ClientID)
	}
}

// TestClientID: the same DUID in both versions is the same text (RDHCP-4361-a).
func TestClientID(t *testing.T) {
	duid, _ := hex.DecodeString(duidLL)
	for name, c := range map[string]struct {
		option []byte
		want   string
	}{
		"IAID and DUID": {append([]byte{255, 1, 2, 3, 4}, duid...), duidLL},
		"Ethernet":      {append([]byte{1}, lamp[:]...), "0102005e100001"},
		"text":          {[]byte("\x00lamp"), "006c616d70"},
		"no DUID":       {[]byte{255, 1, 2, 3, 4}, "ff01020304"},
		"too long":      {make([]byte, 131), ""},
	} {
		for kind, frame := range map[string][]byte{
			"client": frames.Client(lamp, dhcpv4.MessageTypeDiscover, opt(61, c.option...)), "server": ack(opt(61, c.option...))} {
			if s := only(t, frame); s.ClientID != c.want {
				t.Errorf("%s of %s: %q; want %q", name, kind, s.ClientID, c.want)
			}
		}
	}
	if s := only(t, frames.Client6(lamp, dhcpv6.MessageTypeSolicit, ll)); s.ClientID != duidLL {
		t.Errorf("DHCPv6: %q; want %q", s.ClientID, duidLL)
	}
}
