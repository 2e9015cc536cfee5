package web

import (
	"math"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

func TestReadEvents(t *testing.T) {
	now := time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC)
	const forever = time.Duration(math.MaxInt64)
	addr := netip.MustParseAddr("192.168.1.50")
	for _, tc := range []struct {
		name, event string
		want        dhcp.Sighting
		err         string
	}{
		{"bound", `"kind":"bound","addr":"192.168.1.50","lease":"3600"`, dhcp.Sighting{Kind: dhcp.Bound, Addr: addr, Lease: time.Hour}, ""},
		{"bound until", `"kind":"bound","addr":"192.168.1.50","lease":"2026-02-01T10:30:00Z"`, dhcp.Sighting{Kind: dhcp.Bound, Addr: addr, Lease: 30 * time.Minute}, ""},
		{"bound until past", `"kind":"bound","addr":"192.168.1.50","lease":"2025-02-01T10:30:00Z"`, dhcp.Sighting{Kind: dhcp.Bound, Addr: addr}, ""},
		{"RDHCP-2131-e", `"kind":"bound","addr":"192.168.1.50","lease":"4294967295"`, dhcp.Sighting{Kind: dhcp.Bound, Addr: addr, Lease: forever}, ""},
		{"no lease", `"kind":"bound","addr":"192.168.1.50"`, dhcp.Sighting{Kind: dhcp.Bound, Addr: addr, Lease: forever}, ""},
		{"bad lease", `"kind":"bound","addr":"192.168.1.50","lease":"-1"`, dhcp.Sighting{}, "lease"},
		{"huge lease", `"kind":"bound","addr":"192.168.1.50","lease":"4294967296"`, dhcp.Sighting{}, "lease"},
		{"seen", `"kind":"seen","hostname":"a\u001b[31m","interface":"br-lan"`, dhcp.Sighting{Kind: dhcp.Seen, Hostname: "a\ufffd[31m", Interface: "br-lan"}, ""},
		{"released", `"kind":"released","addr":"192.168.1.50"`, dhcp.Sighting{Kind: dhcp.Released, Addr: addr}, ""},
		{"expired", `"kind":"expired","addr":"192.168.1.50"`, dhcp.Sighting{Kind: dhcp.Expired, Addr: addr}, ""},
		{"declined", `"kind":"declined","addr":"192.168.1.50"`, dhcp.Sighting{Kind: dhcp.Declined, Addr: addr}, ""},
		{"no address", `"kind":"released"`, dhcp.Sighting{}, "addr"},
		{"zone", `"kind":"bound","addr":"fe80::1%eth0"`, dhcp.Sighting{}, "addr"},
		{"URL", `"kind":"seen","url":"https://mud.example/m1 x"`, dhcp.Sighting{URL: "https://mud.example/m1", Remark: "1 octets of a reserved part after the MUD URL were ignored"}, ""},
		{"T-03 cut", `"kind":"seen","url":"https://mud.example/m1?v","maybe_cut":true`, dhcp.Sighting{URL: "https://mud.example/m1?v", Remark: "the DHCP server may have cut the URL at a = in its query"}, ""},
		{"T-04 long URL", `"kind":"seen","url":"` + strings.Repeat("u", 300) + `"`, dhcp.Sighting{Problem: "the announced MUD URL is 300 octets long, and 255 is the limit"}, ""},
		{"kind", `"kind":"x"`, dhcp.Sighting{}, "kind"},
		{"interface", `"kind":"seen","interface":"0123456789abcdef"`, dhcp.Sighting{}, "interface"},
		{"unknown member", `"kind":"seen","x":1`, dhcp.Sighting{}, "unknown field"},
	} {
		list, err := readEvents(strings.NewReader(`{"source":"kea","events":[{"mac":"02-00-5E-10-00-01",`+tc.event+`}]}`), now)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		tc.want.MAC, tc.want.Source = mac(t, lampMAC), dhcp.SourceKea
		if err != nil || len(list) != 1 || !same(list[0], tc.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", tc.name, list, err, tc.want)
		}
	}
}

// same compares but for lists, which a hook has none of.
func same(a, b dhcp.Sighting) bool {
	return a.MAC == b.MAC && a.Kind == b.Kind && a.Source == b.Source && a.Interface == b.Interface && a.Addr == b.Addr && a.Lease == b.Lease &&
		a.Hostname == b.Hostname && a.URL == b.URL && a.Problem == b.Problem && a.Remark == b.Remark && a.DNS == nil && a.NTP == nil
}

// R8520-10.2-a, R8520-10.2-c, T-05: news of a DHCP server reach the engine.
func TestSightings(t *testing.T) {
	b := newBench(t)
	post := func(events string, code int) {
		t.Helper()
		var v any
		b.ask("POST", "/api/v1/sightings", `{"source":"dnsmasq","events":[`+events+`]}`, code, &v)
	}
	device := func() (v enforcer.DeviceView) {
		t.Helper()
		b.ask("GET", "/api/v1/devices/02:00:5e:10:00:07", "", 200, &v)
		return v
	}
	const of = `"mac":"02:00:5e:10:00:07","addr":"192.168.1.57"`
	post(`{"kind":"bound",`+of+`,"lease":"60","hostname":"cam","url":"`+lampURL+`"}`, 200)
	if v := device(); v.URL != lampURL || v.Source != "dnsmasq" || v.Hostname != "cam" || len(v.Addresses) != 1 {
		t.Errorf("bound: %+v", v)
	}
	post(`{"kind":"bound",`+of+`,"lease":"60"},{"kind":"expired",`+of+`}`, 200)
	if v := device(); v.URL != lampURL || len(v.Addresses) != 0 {
		t.Errorf("T-05: no URL is no news, and an ended lease takes the address: %+v", v)
	}
	many := strings.Repeat(`{"kind":"seen",`+of+`},`, maxEvents)
	post(many+`{"kind":"seen",`+of+`}`, 400)
	for _, bad := range []string{`{"kind":"seen","mac":"x"}`, `{"kind":"seen","mac":"ff:ff:ff:ff:ff:ff"}`, `{"kind":"seen","mac":"00:00:00:00:00:00"}`, `5`} {
		post(`{"kind":"seen","mac":"02:00:5e:10:00:08"},`+bad, 400)
	}
	var v any
	b.ask("POST", "/api/v1/sightings", `{"source":"dhcpv4","events":[]}`, 400, &v)
	b.ask("POST", "/api/v1/sightings", `{"source":"dnsmasq","events":[]}{}`, 400, &v)
	b.ask("GET", "/api/v1/devices/02:00:5e:10:00:08", "", 404, &v) // one bad event refuses all
}

// R8520-11-a, R8520-13.2-d, RFC 9238: URLs that others than the device bring.
func TestAssignFrom(t *testing.T) {
	b := newBench(t)
	der, err := os.ReadFile("../mud/testdata/idevid.der")
	must(t, err)
	var d enforcer.DeviceView
	b.ask("POST", "/api/v1/devices/02:00:5e:10:00:07/certificate", string(der), 200, &d)
	if d.URL != lampURL || d.Source != enforcer.SourceX509 {
		t.Errorf("certificate: %+v", d)
	}
	b.sighted(dhcp.Sighting{MAC: mac(t, "02:00:5e:10:00:07"), Source: dhcp.SourceDHCPv4, URL: "https://evil.example/x"})
	b.ask("GET", "/api/v1/devices/02:00:5e:10:00:07", "", 200, &d)
	if d.URL != lampURL || d.PendingURL != "" || d.Announced["dhcpv4"].String() != "https://evil.example/x" {
		t.Errorf("what the device announces replaces its certificate's URL: %+v", d)
	}
	const at = "/api/v1/devices/02:00:5e:10:00:09/assign"
	for _, tc := range []struct {
		body, source string // "" for a refusal
	}{
		{`{"url":"https://a.example/b"}`, "admin"},
		{`{"url":"https://a.example/b","source":"admin"}`, "admin"},
		{`{"url":"https://a.example/b","source":"qr","qr":{"company":"Lamp Inc.","model":"L1"}}`, "qr"},
		{`{"url":"https://a.example/b","source":"x509","mudsigner":"MAAwAA=="}`, ""},
		{`{"url":"https://a.example/b","source":"x509","mudsigner":"x"}`, ""},
		{`{"url":"https://a.example/b","source":"x509","mudsigner":"MBExDzANBgNVBAMMBlNpZ25lcg=="}`, "x509"},
		{`{"url":"https://a.example/b","source":"dhcpv4"}`, ""},
		{`{"url":"https://a.example/b","qr":{}}`, ""},
		{`{"url":"https://a.example/b","mudsigner":"MBExDzANBgNVBAMMBlNpZ25lcg=="}`, ""},
		{`{"source":"qr"}`, ""},
		{`{"code":"[)>\u001e06\u001d12NB000Lamp Inc.\u001fB002L1\u001fM180https://a.example/b\u001f\u001e\u0004"}`, "qr"}, // R9238-3.1-a
		{`{"code":"https://a.example/b"}`, "qr"},
		{`{"code":"hello"}`, ""},
		{`{"code":"x","url":"https://a.example/b"}`, ""},
	} {
		var v enforcer.DeviceView
		code := map[bool]int{true: 400, false: 200}[tc.source == ""]
		b.ask("POST", at, tc.body, code, &v)
		if v.Source != tc.source {
			t.Errorf("%s: source %q", tc.body, v.Source)
		}
	}
	b.sighted(dhcp.Sighting{MAC: mac(t, "02:00:5e:10:00:09"), Source: dhcp.SourceDHCPv4, URL: "https://evil.example/x"})
	b.ask("GET", "/api/v1/devices/02:00:5e:10:00:09", "", 200, &d)
	if d.URL != "https://a.example/b" {
		t.Errorf("what the device announces replaces a URL that was brought, before a profile is there: %+v", d)
	}
	var v any
	for _, body := range []string{"", "x", strings.Repeat("x", maxBody+1)} {
		b.ask("POST", "/api/v1/devices/02:00:5e:10:00:09/certificate", body, 400, &v)
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add(`{"source":"kea","events":[{"kind":"bound","mac":"02:00:5e:10:00:01","addr":"::1","lease":"5","url":"https://h?x","maybe_cut":true}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		list, err := readEvents(strings.NewReader(body), time.Unix(0, 0))
		if err != nil && list != nil || len(list) > maxEvents {
			t.Errorf("%d sightings, %v", len(list), err)
		}
		for _, s := range list {
			if s.MAC.IsZero() || s.MAC.IsMulticast() || s.Lease < 0 || s.Kind != dhcp.Seen && !s.Addr.IsValid() {
				t.Errorf("%+v", s)
			}
		}
	})
}
