package dhcp_test

import (
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

func TestLLDP(t *testing.T) {
	long := func(n int) string { return "https://x.example/" + strings.Repeat("a", n-18) }
	seen := dhcp.Sighting{MAC: lamp, Source: dhcp.SourceLLDP, TTL: 2 * time.Minute}
	with := func(change func(*dhcp.Sighting)) dhcp.Sighting { s := seen; change(&s); return s }
	url := func(u string) dhcp.Sighting { return with(func(s *dhcp.Sighting) { s.URL = u }) }
	problem := func(p string) dhcp.Sighting { return with(func(s *dhcp.Sighting) { s.Problem = p }) }
	to := func(mac string, f []byte) []byte { m, _ := dhcp.ParseMAC(mac); return edit(f, 0, m[:]...) }
	for _, c := range []struct {
		row, name string
		frame     []byte
		want      dhcp.Sighting
	}{
		{"R8520-12-a", "URL", frames.LLDP(lamp, 120, frames.MUDTLV(mudURL)), url(mudURL)},
		{"R8520-12-a", "255 octets", frames.LLDP(lamp, 120, frames.MUDTLV(long(255))), url(long(255))},
		{"R8520-12-a", "256 octets", frames.LLDP(lamp, 120, frames.MUDTLV(long(256))), problem("the announced MUD URL is 256 octets long, and 255 is the limit")},
		{"R8520-12-a", "no octets", frames.LLDP(lamp, 120, frames.MUDTLV("")), problem("the announced MUD URL is empty")},
		{"R8520-12-a", "subtype 2", frames.LLDP(lamp, 120, frames.TLV(127, []byte("\x00\x00\x5e\x02"+mudURL))), seen},
		{"R8520-12-a", "other organisation", frames.LLDP(lamp, 120, frames.TLV(127, []byte("\x00\x12\x0f\x01"+mudURL))), seen},
		{"R8520-12-a", "no subtype", frames.LLDP(lamp, 120, frames.TLV(127, []byte("\x00\x00\x5e"))), seen},
		{"R8520-12-a", "reserved tail", frames.LLDP(lamp, 120, frames.MUDTLV(mudURL+" \x00\xff")), with(func(s *dhcp.Sighting) {
			s.URL, s.Remark = mudURL, "2 octets of a reserved part after the MUD URL were ignored"
		})},
		{"R8520-12-b", "two URLs are none", frames.LLDP(lamp, 120, frames.MUDTLV(mudURL), frames.MUDTLV(mudURL)), problem("the device announced more than one MUD URL in one message")},
		{"802.1AB", "system name", frames.LLDP(lamp, 120, frames.TLV(5, []byte("lamp\x1b[2J"))), with(func(s *dhcp.Sighting) { s.Hostname = "lamp[2J" })},
		{"802.1AB", "shutdown", frames.LLDP(lamp, 0, frames.MUDTLV(mudURL)), with(func(s *dhcp.Sighting) { s.Kind, s.TTL = dhcp.Gone, 0 })},
		{"802.1AB", "no end", frames.LLDP(lamp, 120)[:14+9+9+4], seen},
		{"802.3", "padding", append(frames.LLDP(lamp, 120), make([]byte, 30)...), seen},
		{"802.1Q", "one tag", tagged(frames.LLDP(lamp, 120)), seen},
		{"802.1AB", "nearest bridge but TPMRs", to("01:80:c2:00:00:03", frames.LLDP(lamp, 120)), seen},
		{"802.1AB", "nearest customer bridge", to("01:80:c2:00:00:00", frames.LLDP(lamp, 120)), seen},
	} {
		got, err := dhcp.ParseFrame(c.frame)
		if err != nil || !reflect.DeepEqual(got, []dhcp.Sighting{c.want}) {
			t.Errorf("%s %s:\n got %+v, %v\nwant %+v", c.row, c.name, got, err, c.want)
		}
	}
}

// TestLLDPGolden reads the wire vectors of standards.md 0.2 (R8520-12-a): the second needs the ninth bit of the length.
func TestLLDPGolden(t *testing.T) {
	text := mudURL + strings.Repeat("x", 255-len(mudURL))
	for tlv, want := range map[string]string{
		"fe1a00005e0168747470733a2f2f6d75642e6578616d706c652f6d31": mudURL,
		"ff0300005e01" + hex.EncodeToString([]byte(text)):          text,
	} {
		b, err := hex.DecodeString("0180c200000e" + "02005e100001" + "88cc" + "02070402005e100001" + "04070302005e100001" + "06020078" + tlv + "0000")
		if err != nil {
			t.Fatal(err)
		}
		if s := only(t, b); s.MAC != lamp || s.URL != want || s.Problem+s.Remark != "" || s.TTL != 2*time.Minute {
			t.Errorf("%+v", s)
		}
	}
}

func TestLLDPRefused(t *testing.T) {
	whole := frames.LLDP(lamp, 120, frames.MUDTLV(mudURL))
	mandatory := frames.LLDP(lamp, 120)[14 : 14+9+9+4]
	frame := func(parts ...[]byte) []byte { return slices.Concat(append([][]byte{whole[:14]}, parts...)...) }
	chassis, port, ttl := mandatory[:9], mandatory[9:18], mandatory[18:]
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"cut TLV":        {whole[:len(whole)-4], "cut short"},
		"cut header":     {whole[:14+9+9+4+1], "cut short"},
		"nothing":        {frame(), "does not begin"},
		"only an end":    {frame([]byte{0, 0}), "does not begin"},
		"wrong order":    {frame(port, chassis, ttl), "does not begin"},
		"no TTL":         {frame(chassis, port, frames.MUDTLV(mudURL)), "does not begin"},
		"short TTL":      {frame(chassis, port, frames.TLV(3, []byte{9})), "does not begin"},
		"second TTL":     {frame(mandatory, ttl), "does not begin"},
		"second chassis": {frame(mandatory, chassis), "does not begin"},
		"from a group":   {frames.LLDP([6]byte{1, 2, 3, 4, 5, 6}, 120), "no device can have"},
	} {
		if s, err := dhcp.ParseFrame(c.frame); len(s) > 0 || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want error %q", name, s, err, c.want)
		}
	}
	// What a bridge would forward may be from anywhere.
	if s, err := dhcp.ParseFrame(edit(whole, 0, router[:]...)); len(s) > 0 || err != nil {
		t.Errorf("sent to one host: %+v, %v; want nothing", s, err)
	}
}
