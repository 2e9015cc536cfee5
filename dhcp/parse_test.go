package dhcp_test

import (
	"encoding/hex"
	"errors"
	"math"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

var (
	lamp   = dhcp.MAC{2, 0, 0x5e, 0x10, 0, 1}
	router = dhcp.MAC{2, 0, 0x5e, 0x10, 0, 0xfe}
	other  = dhcp.MAC{2, 0, 0x5e, 0x10, 0, 0x66}
	addr   = netip.MustParseAddr("192.168.7.20")
	ip     = net.IP{192, 168, 7, 20}
)

func opt(code uint8, b ...byte) dhcpv4.Modifier {
	return dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(code), b)
}

func optText(code uint8, text string) dhcpv4.Modifier { return opt(code, []byte(text)...) }

// ack is an ACK of ip for an hour, and whatever mods add.
func ack(mods ...dhcpv4.Modifier) []byte {
	return frames.Server(router, lamp, dhcpv4.MessageTypeAck,
		append([]dhcpv4.Modifier{dhcpv4.WithYourIP(ip), dhcpv4.WithLeaseTime(3600)}, mods...)...)
}

// only is the one sighting of a frame.
func only(t *testing.T, frame []byte) dhcp.Sighting {
	t.Helper()
	s, err := dhcp.ParseFrame(frame)
	if err != nil || len(s) != 1 {
		t.Fatalf("ParseFrame = %+v, %v; want one sighting", s, err)
	}
	return s[0]
}

func addrs(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestParseFrame(t *testing.T) {
	const url = "https://mud.example/m1"
	seen := dhcp.Sighting{MAC: lamp, Kind: dhcp.Seen, Source: dhcp.SourceDHCPv4}
	with := func(s dhcp.Sighting, change func(*dhcp.Sighting)) dhcp.Sighting { change(&s); return s }
	answered := with(seen, func(s *dhcp.Sighting) { s.ServerMAC = router })
	bound := with(answered, func(s *dhcp.Sighting) { s.Kind, s.Addr, s.Lease = dhcp.Bound, addr, time.Hour })
	for _, c := range []struct {
		row, name string
		frame     []byte
		want      dhcp.Sighting
	}{
		{"RDHCP-2131-b", "URL in DISCOVER", frames.Client(lamp, dhcpv4.MessageTypeDiscover, frames.MUD(url)),
			with(seen, func(s *dhcp.Sighting) { s.URL = url })},
		{"RDHCP-2131-b", "URL in REQUEST", frames.Client(lamp, dhcpv4.MessageTypeRequest, frames.MUD(url),
			dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip))),
			with(seen, func(s *dhcp.Sighting) { s.URL, s.Addr = url, addr })},
		{"RDHCP-2131-b", "URL in renewing REQUEST", frames.Client(lamp, dhcpv4.MessageTypeRequest, frames.MUD(url), dhcpv4.WithClientIP(ip)),
			with(seen, func(s *dhcp.Sighting) { s.URL, s.Addr = url, addr })},
		{"RDHCP-2131-b", "URL in INFORM", frames.Client(lamp, dhcpv4.MessageTypeInform, frames.MUD(url)),
			with(seen, func(s *dhcp.Sighting) { s.URL = url })},
		{"R8520-10-e", "no URL is no news", frames.Client(lamp, dhcpv4.MessageTypeRequest), seen},
		{"RDHCP-2131-c", "RELEASE", frames.Client(lamp, dhcpv4.MessageTypeRelease, dhcpv4.WithClientIP(ip)),
			with(seen, func(s *dhcp.Sighting) { s.Kind, s.Addr = dhcp.Released, addr })},
		{"RDHCP-2131-b", "no URL in RELEASE", frames.Client(lamp, dhcpv4.MessageTypeRelease, dhcpv4.WithClientIP(ip), frames.MUD(url)),
			with(seen, func(s *dhcp.Sighting) { s.Kind, s.Addr = dhcp.Released, addr })},
		{"RDHCP-2131-d", "DECLINE", frames.Client(lamp, dhcpv4.MessageTypeDecline, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ip))),
			with(seen, func(s *dhcp.Sighting) { s.Kind, s.Addr = dhcp.Declined, addr })},
		{"RDHCP-2131-a", "ACK", ack(opt(6, 192, 168, 7, 1, 9, 9, 9, 9), opt(42, 192, 168, 7, 1)),
			with(bound, func(s *dhcp.Sighting) { s.DNS, s.NTP = addrs("192.168.7.1", "9.9.9.9"), addrs("192.168.7.1") })},
		{"RDHCP-2131-a", "servers that can't be are left out", ack(opt(6, 0, 0, 0, 0, 127, 0, 0, 1, 224, 0, 0, 1, 9, 9, 9, 9), opt(42, 1, 2, 3)),
			with(bound, func(s *dhcp.Sighting) { s.DNS = addrs("9.9.9.9") })},
		{"RDHCP-2131-a", "a server announces no URL or name", ack(frames.MUD(url), optText(12, "lamp")), bound},
		{"RDHCP-2131-e", "infinite lease", ack(dhcpv4.WithLeaseTime(math.MaxUint32)),
			with(bound, func(s *dhcp.Sighting) { s.Lease = math.MaxInt64 })},
		{"RDHCP-2131-e", "longest finite lease", ack(dhcpv4.WithLeaseTime(math.MaxUint32 - 1)),
			with(bound, func(s *dhcp.Sighting) { s.Lease = (math.MaxUint32 - 1) * time.Second })},
		{"RDHCP-2131-d", "ACK to an INFORM", frames.Server(router, lamp, dhcpv4.MessageTypeAck, opt(6, 9, 9, 9, 9)),
			with(answered, func(s *dhcp.Sighting) { s.DNS = addrs("9.9.9.9") })},
		{"RDHCP-2131-a", "NAK", frames.Server(router, lamp, dhcpv4.MessageTypeNak),
			with(answered, func(s *dhcp.Sighting) { s.Kind = dhcp.Refused })},
		{"R8520-10.3-a", "relayed REQUEST", frames.UDP(router, 67, 67, frames.Message(dhcpv4.OpcodeBootRequest, lamp,
			dhcpv4.MessageTypeRequest, frames.MUD(url), dhcpv4.WithRelay(net.IP{10, 0, 0, 1}))),
			with(seen, func(s *dhcp.Sighting) { s.URL, s.Relay = url, netip.MustParseAddr("10.0.0.1") })},
		{"R8520-10.3-a", "ACK to a relay", frames.UDP(router, 67, 67, frames.Message(dhcpv4.OpcodeBootReply, lamp,
			dhcpv4.MessageTypeAck, dhcpv4.WithYourIP(ip), dhcpv4.WithLeaseTime(3600), dhcpv4.WithRelay(net.IP{10, 0, 0, 1}))),
			with(bound, func(s *dhcp.Sighting) { s.Relay = netip.MustParseAddr("10.0.0.1") })},
		{"802.1Q", "one tag", tagged(frames.Client(lamp, dhcpv4.MessageTypeDiscover, frames.MUD(url))),
			with(seen, func(s *dhcp.Sighting) { s.URL = url })},
		{"RFC 791", "IP options", ipOptions(frames.Client(lamp, dhcpv4.MessageTypeDiscover, frames.MUD(url))),
			with(seen, func(s *dhcp.Sighting) { s.URL = url })},
		{"802.3", "padding", append(frames.Client(lamp, dhcpv4.MessageTypeDiscover), 1, 2, 3), seen},
		{"RFC 2131", "no end option", noEnd(frames.Client(lamp, dhcpv4.MessageTypeDiscover, frames.MUD(url))),
			with(seen, func(s *dhcp.Sighting) { s.URL = url })},
	} {
		got, err := dhcp.ParseFrame(c.frame)
		if err != nil || !reflect.DeepEqual(got, []dhcp.Sighting{c.want}) {
			t.Errorf("%s %s:\n got %+v, %v\nwant %+v", c.row, c.name, got, err, c.want)
		}
	}
}

func tagged(f []byte) []byte {
	return append(append(append([]byte{}, f[:12]...), 0x81, 0, 0, 5), f[12:]...)
}

// ipOptions adds four octets of no-operation to the IPv4 header.
func ipOptions(f []byte) []byte {
	out := append(append(append([]byte{}, f[:34]...), 1, 1, 1, 1), f[34:]...)
	out[14] = 0x46
	total := len(out) - 14
	out[16], out[17] = byte(total>>8), byte(total)
	return out
}

// noEnd overwrites the end option, and the padding after it, with padding.
func noEnd(f []byte) []byte {
	for i := len(f) - 1; f[i] == 0 || f[i] == 255; i-- {
		f[i] = 0
	}
	return f
}

// TestParseFrameGolden reads the wire vectors of standards.md 0.2 (R8520-10-a), written out by hand from RFC 2131 section
// 2 and not with the library.
func TestParseFrameGolden(t *testing.T) {
	for name, c := range map[string]struct{ option, url string }{
		"RFC 8520 section 10.1": {"a11668747470733a2f2f6d75642e6578616d706c652f6d31", "https://mud.example/m1"},
		"split (RDHCP-3396-a)":  {"a10868747470733a2f2f" + "0c046c616d70" + "a10e6d75642e6578616d706c652f6d31", "https://mud.example/m1"},
	} {
		message := "0101060012345678" + "00008000" + strings.Repeat("00000000", 4) + "02005e100001" + strings.Repeat("00", 202) +
			"63825363" + "350101" + c.option + "ff"
		b, err := hex.DecodeString(message)
		if err != nil {
			t.Fatal(err)
		}
		if s := only(t, frames.UDP(lamp, 68, 67, b)); s.MAC != lamp || s.URL != c.url || s.Problem != "" || s.Remark != "" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func edit(f []byte, at int, b ...byte) []byte {
	copy(f[at:], b)
	return f
}

// Offsets in a frame of package frames.
const (
	atIP      = 14
	atUDP     = 34
	atMessage = 42
)

func TestParseFrameNotOfInterest(t *testing.T) {
	discover := func() []byte { return frames.Client(lamp, dhcpv4.MessageTypeDiscover) }
	for name, frame := range map[string][]byte{
		"nothing":             nil,
		"short":               make([]byte, 13),
		"ARP":                 edit(discover(), 12, 0x08, 0x06),
		"two VLAN tags":       tagged(tagged(discover())),
		"cut tag":             tagged(discover())[:16],
		"IPv6 in IPv4":        edit(discover(), atIP, 0x65),
		"TCP":                 edit(discover(), atIP+9, 6),
		"first fragment":      edit(discover(), atIP+6, 0x20, 0),
		"later fragment":      edit(discover(), atIP+6, 0, 5),
		"header beyond frame": edit(discover()[:40], atIP, 0x4f),
		"header too small":    edit(discover(), atIP, 0x44),
		"other ports":         frames.UDP(lamp, 5353, 5353, make([]byte, 300)),
		"wrong direction":     frames.UDP(lamp, 67, 68, discover()[atMessage:]),
		"reply from client":   frames.UDP(router, 68, 67, ack()[atMessage:]),
		"too short a message": frames.UDP(lamp, 68, 67, make([]byte, 239)),
		"no cookie":           edit(discover(), atMessage+236, 0),
		"unknown op":          edit(discover(), atMessage, 3),
		"BOOTP":               frames.Client(lamp, dhcpv4.MessageTypeDiscover, dhcpv4.WithoutOption(dhcpv4.OptionDHCPMessageType)),
		"OFFER":               frames.Server(router, lamp, dhcpv4.MessageTypeOffer, dhcpv4.WithYourIP(ip)),
		"ACK as a request":    frames.Client(lamp, dhcpv4.MessageTypeAck, dhcpv4.WithYourIP(ip)),
		"REQUEST as a reply":  frames.Server(router, lamp, dhcpv4.MessageTypeRequest),
		"unknown type":        frames.Client(lamp, 99),
	} {
		if s, err := dhcp.ParseFrame(frame); len(s) > 0 || err != nil {
			t.Errorf("%s: %+v, %v; want nothing", name, s, err)
		}
	}
}

func TestParseFrameRefused(t *testing.T) {
	discover := func(mods ...dhcpv4.Modifier) []byte { return frames.Client(lamp, dhcpv4.MessageTypeDiscover, mods...) }
	padded := func(option ...byte) []byte {
		m := discover()[atMessage:]
		return frames.UDP(lamp, 68, 67, append(m[:240:240], option...))
	}
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"ACK from no address":          {edit(ack(), 6, 0, 0, 0, 0, 0, 0), "no device can have"},
		"DISCOVER from a group":        {edit(discover(), 6, 1), "no device can have"},
		"cut frame":                    {discover()[:200], "cut short"},
		"IP length too small":          {edit(discover(), atIP+2, 0, 20), "cut short"},
		"UDP length too great":         {edit(discover(), atUDP+4, 255, 255), "cut short"},
		"UDP length too small":         {edit(discover(), atUDP+4, 0, 7), "cut short"},
		"R8520-10-a past the end":      {padded(53, 1, 1, 161, 200, 'h'), "reading DHCP options"},
		"overload past the end":        {overloaded(1, bytesOf(161, 200), nil), "file field"},
		"overload past the end, sname": {overloaded(2, nil, bytesOf(161, 200)), "sname field"},
		"two message types":            {padded(53, 1, 1, 53, 1, 3, 255), "not one octet"},
		"no Ethernet":                  {edit(discover(), atMessage+1, 6), "hardware type 6"},
		"long address":                 {edit(discover(), atMessage+2, 16), "length 16"},
		"no address":                   {edit(discover(), atMessage+28, 0, 0, 0, 0, 0, 0), "none that a device can have"},
		"group address":                {edit(discover(), atMessage+28, 1), "none that a device can have"},
		"RELEASE of nothing":           {frames.Client(lamp, dhcpv4.MessageTypeRelease), "released no usable address"},
		"DECLINE of nothing":           {frames.Client(lamp, dhcpv4.MessageTypeDecline), "declined no usable address"},
		"ACK without lease":            {ack(dhcpv4.WithoutOption(dhcpv4.OptionIPAddressLeaseTime)), "no valid lease time"},
		"ACK with short lease option":  {ack(opt(51, 1, 2)), "no valid lease time"},
		"ACK for no time":              {ack(dhcpv4.WithLeaseTime(0)), "no length"},
		"ACK of a group address":       {ack(dhcpv4.WithYourIP(net.IP{224, 0, 0, 1})), "no host can have"},
		"ACK of broadcast":             {ack(dhcpv4.WithYourIP(net.IP{255, 255, 255, 255})), "no host can have"},
		"ACK of loopback":              {ack(dhcpv4.WithYourIP(net.IP{127, 0, 0, 1})), "no host can have"},
	} {
		if s, err := dhcp.ParseFrame(c.frame); len(s) > 0 || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want error %q", name, s, err, c.want)
		}
	}
}

// TestParseFrameImpostor: no host announces a URL, or gives back an address, for another (hardening.md T1, T13).
func TestParseFrameImpostor(t *testing.T) {
	for _, kind := range []dhcpv4.MessageType{dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest,
		dhcpv4.MessageTypeInform, dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeDecline} {
		frame := edit(frames.Client(lamp, kind, dhcpv4.WithClientIP(ip), frames.MUD("https://wide.example/")), 6, other[:]...)
		s, err := dhcp.ParseFrame(frame)
		if len(s) > 0 || !errors.Is(err, dhcp.ErrImpostor) || !strings.Contains(err.Error(), other.String()) {
			t.Errorf("%v: %+v, %v; want ErrImpostor", kind, s, err)
		}
	}
}

func bytesOf(b ...byte) []byte { return b }

// overloaded is a DISCOVER that keeps options in its file and sname fields (option 52).
func overloaded(where byte, file, sname []byte, mods ...dhcpv4.Modifier) []byte {
	f := frames.Client(lamp, dhcpv4.MessageTypeDiscover, append(mods, opt(52, where))...)
	copy(f[atMessage+108:atMessage+236], file)
	copy(f[atMessage+44:atMessage+108], sname)
	return f
}

// option writes one whole or partial option, and the end option after it.
func option(code byte, text string) []byte {
	return append(append([]byte{code, byte(len(text))}, text...), 255)
}

// TestParseFrameOverload: parts of an option join in the order options, file, sname (RFC 3396 section 5; RDHCP-3396-a).
func TestParseFrameOverload(t *testing.T) {
	for name, c := range map[string]struct {
		where byte
		want  string
	}{"none": {0, "https://"}, "file": {1, "https://a.example"}, "sname": {2, "https:///b"}, "both": {3, "https://a.example/b"}} {
		frame := overloaded(c.where, option(161, "a.example"), option(161, "/b"), frames.MUD("https://"))
		if s := only(t, frame); s.URL != c.want {
			t.Errorf("%s: %q; want %q", name, s.URL, c.want)
		}
	}
}
