package dhcp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"mudguard/dhcp"
)

func TestParseMAC(t *testing.T) {
	for in, want := range map[string]string{
		"02:00:5e:10:00:0a": "02:00:5e:10:00:0a",
		"02-00-5E-10-00-0A": "02:00:5e:10:00:0a",
		"0200.5e10.000a":    "02:00:5e:10:00:0a",
	} {
		if m, err := dhcp.ParseMAC(in); err != nil || m.String() != want {
			t.Errorf("ParseMAC(%q) = %v, %v; want %s", in, m, err, want)
		}
	}
	for _, in := range []string{"", "02:00:5e:10:00", "02:00:5e:10:00:0g", "02:00:5e:ff:fe:10:00:0a", strings.Repeat("a", 1e5)} {
		if m, err := dhcp.ParseMAC(in); err == nil || len(err.Error()) > 200 {
			t.Errorf("ParseMAC(%.20q) = %v, %.300v; want a short error", in, m, err)
		}
	}
}

func TestMACText(t *testing.T) {
	in := map[dhcp.MAC]dhcp.MAC{{2, 0, 0, 0, 0, 1}: {0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54}}
	b, err := json.Marshal(in)
	if want := `{"02:00:00:00:00:01":"fe:dc:ba:98:76:54"}`; err != nil || string(b) != want {
		t.Fatalf("Marshal = %s, %v; want %s", b, err, want)
	}
	var out map[dhcp.MAC]dhcp.MAC
	if err := json.Unmarshal(b, &out); err != nil || len(out) != 1 || out[dhcp.MAC{2, 0, 0, 0, 0, 1}] != in[dhcp.MAC{2, 0, 0, 0, 0, 1}] {
		t.Errorf("Unmarshal = %v, %v; want %v", out, err, in)
	}
	kept := dhcp.MAC{1}
	if err := kept.UnmarshalText([]byte("lamp")); err == nil || kept != (dhcp.MAC{1}) {
		t.Errorf("UnmarshalText(lamp) = %v, left %v; want an error and no change", err, kept)
	}
}

func TestMACBits(t *testing.T) {
	for _, c := range []struct {
		mac                    dhcp.MAC
		zero, multicast, local bool
	}{
		{dhcp.MAC{}, true, false, false},
		{dhcp.MAC{0, 0, 0, 0, 0, 1}, false, false, false},
		{dhcp.MAC{1, 0x80, 0xc2}, false, true, false},
		{dhcp.MAC{2}, false, false, true},
		{dhcp.MAC{255, 255, 255, 255, 255, 255}, false, true, true},
	} {
		if c.mac.IsZero() != c.zero || c.mac.IsMulticast() != c.multicast || c.mac.LocallyAdministered() != c.local {
			t.Errorf("%v: zero %t, multicast %t, local %t", c.mac, c.mac.IsZero(), c.mac.IsMulticast(), c.mac.LocallyAdministered())
		}
	}
}
