package dhcp_test

import (
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

func mustSee(t *testing.T, mods ...dhcpv4.Modifier) dhcp.Sighting {
	t.Helper()
	return only(t, frames.Client(lamp, dhcpv4.MessageTypeDiscover, mods...))
}

func TestMUDString(t *testing.T) {
	const url = "https://x.example/y"
	long := func(n int) string { return "https://x.example/" + strings.Repeat("a", n-18) }
	for _, c := range []struct{ row, in, url, problem, remark string }{
		{"R8520-10-a", url, url, "", ""},
		{"R8520-10-a", "", "", "empty", ""},
		{"R8520-10-b", url + " \x00\xff\nreserved", url, "", "11 octets of a reserved part"},
		{"R8520-10-b", url + " ", url, "", ""},
		{"R8520-10-b", url + " a b", url, "", "3 octets of a reserved part"},
		{"R8520-10-b", " " + url, "", "empty", ""},
		{"RDHCP-2132-a", url + "\x00\x00", url, "", ""},
		{"RDHCP-2132-a", "\x00", "", "empty", ""},
		{"R8520-10-c", long(253), long(253), "", ""},
		{"R8520-10-c", long(254), long(254), "", "254 octets"},
		{"T-04", long(255), long(255), "", "255 octets"},
		{"T-04", long(256), "", "256 octets long, and 255 is the limit", ""},
		{"T-04", long(2000), "", "2000 octets long", ""},
		{"T-04", url + " " + strings.Repeat("r", 300), "", "octets long", ""},
		{"R8520-6-b", "https://x.example/\r\nHost: y", "", "control character (0x0d) at position 19", ""},
		{"R8520-6-b", "https://x\x00.example/", "", "control character (0x00)", ""},
		{"R8520-6-b", "https://x\x7f.example/", "", "control character (0x7f)", ""},
		{"R8520-6-b", "https://b\u00fccher.example/", "", "outside ASCII (0xc3) at position 10", ""},
		{"RDHCP-3396-a", "https://a.example/1https://a.example/1", "", "two URLs", ""},
		{"RDHCP-3396-a", "https://a.example/1HTTPS://b.example/2", "", "two URLs", ""},
		{"RDHCP-3396-a", "http://a.example/1http://b.example/2", "", "two URLs", ""},
		{"R8520-6-a", "https://a.example/m?next=https://b.example/2", "https://a.example/m?next=https://b.example/2", "", ""},
		{"T-03", "https://a.example/m?x=1&y=2", "https://a.example/m?x=1&y=2", "", ""},
		{"R8520-1.5-a", "gopher://x/", "gopher://x/", "", ""}, // the scheme is mud.ParseURL's to judge
		{"hardening.md S1", "https://x/;$(id)`id`|'\"<b>", "https://x/;$(id)`id`|'\"<b>", "", ""},
	} {
		s := mustSee(t, frames.MUD(c.in))
		if s.URL != c.url || !matches(s.Problem, c.problem) || !matches(s.Remark, c.remark) {
			t.Errorf("%s %.60q: URL %q, problem %q, remark %q", c.row, c.in, s.URL, s.Problem, s.Remark)
		}
	}
}

// matches reports whether got contains want, or both are empty.
func matches(got, want string) bool {
	return strings.Contains(got, want) && (got == "") == (want == "")
}

func TestNames(t *testing.T) {
	for name, c := range map[string]struct {
		mod          dhcpv4.Modifier
		host, vendor string
	}{
		"none":                   {frames.MUD("https://x/"), "", ""},
		"host":                   {optText(12, "lamp-3"), "lamp-3", ""},
		"vendor":                 {optText(60, "udhcp 1.36"), "", "udhcp 1.36"},
		"trailing NUL":           {optText(12, "lamp\x00"), "lamp", ""},
		"control characters":     {optText(12, "la\x1b[2Jmp\r\n\x7f"), "la[2Jmp", ""},
		"direction override":     {optText(12, "la\u202emp\u200b"), "lamp", ""},
		"UTF-8 stays":            {optText(12, "küche"), "küche", ""},
		"not UTF-8":              {optText(12, "a\xffb"), "a\ufffdb", ""},
		"spaces around":          {optText(60, "  x y  "), "", "x y"},
		"bounded":                {optText(12, strings.Repeat("é", 120)), strings.Repeat("é", 64), ""},
		"FQDN in ASCII":          {optText(81, "\x00\x00\x00lamp.lan"), "lamp.lan", ""},
		"FQDN in wire form":      {optText(81, "\x04\x00\x00\x04lamp\x03lan\x00"), "lamp.lan", ""},
		"partial FQDN":           {optText(81, "\x05\x00\x00\x04lamp"), "lamp", ""},
		"FQDN that breaks off":   {optText(81, "\x04\x00\x00\x09lamp"), "", ""},
		"FQDN with a pointer":    {optText(81, "\x04\x00\x00\xc0\x00"), "", ""},
		"FQDN with no name":      {opt(81, 0, 0, 0), "", ""},
		"FQDN too short to read": {opt(81, 4), "", ""},
	} {
		if s := mustSee(t, c.mod); s.Hostname != c.host || s.Vendor != c.vendor {
			t.Errorf("%s: host %q, vendor %q; want %q, %q", name, s.Hostname, s.Vendor, c.host, c.vendor)
		}
	}
	if s := mustSee(t, optText(12, "short"), optText(81, "\x00\x00\x00long.lan")); s.Hostname != "short" {
		t.Errorf("with both options the host is %q; want option 12", s.Hostname)
	}
	if s := mustSee(t, opt(12, 0), optText(81, "\x00\x00\x00long.lan")); s.Hostname != "long.lan" {
		t.Errorf("with an empty option 12 the host is %q; want option 81", s.Hostname)
	}
}
