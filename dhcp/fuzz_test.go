package dhcp_test

import (
	"reflect"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(frames.Client(lamp, dhcpv4.MessageTypeDiscover, frames.MUD("https://mud.example/m1 x"), optText(81, "\x04\x00\x00\x04lamp\x00")))
	f.Add(tagged(frames.Client(lamp, dhcpv4.MessageTypeRelease, dhcpv4.WithClientIP(ip))))
	f.Add(overloaded(3, option(161, "a.example"), option(161, "/b"), frames.MUD("https://")))
	f.Add(ack(opt(6, 9, 9, 9, 9), opt(42, 192, 168, 7, 1)))
	f.Add(frames.Server(router, lamp, dhcpv4.MessageTypeNak))
	f.Fuzz(func(t *testing.T, frame []byte) {
		s, ok, err := dhcp.ParseFrame(frame)
		if !ok || err != nil {
			if ok || !reflect.DeepEqual(s, dhcp.Sighting{}) {
				t.Fatalf("a sighting that is none: %+v, %t, %v", s, ok, err)
			}
			return
		}
		checkSighting(t, frame, s)
	})
}

// checkSighting holds what must be true of every sighting, whatever the frame was.
func checkSighting(t *testing.T, frame []byte, s dhcp.Sighting) {
	t.Helper()
	if s.MAC.IsZero() || s.MAC.IsMulticast() {
		t.Errorf("device %v", s.MAC)
	}
	if s.ServerMAC.IsZero() && !s.Relay.IsValid() && s.MAC != dhcp.MAC(frame[6:12]) && s.Kind != dhcp.Refused {
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
	if (s.Kind == dhcp.Bound) != (s.Lease > 0) || s.Kind == dhcp.Bound && !s.Addr.Is4() || s.Lease < 0 {
		t.Errorf("%v of %v for %v", s.Kind, s.Addr, s.Lease)
	}
	if len(s.DNS) > 16 || len(s.NTP) > 16 {
		t.Errorf("%d DNS and %d NTP servers", len(s.DNS), len(s.NTP))
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
