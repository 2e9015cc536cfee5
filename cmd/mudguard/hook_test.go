package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mudguard/web"
)

// hook calls a hook as a DHCP server does, with the environment that it documents.
func hook(t *testing.T, socket string, env map[string]string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	c := &cli{ctx: context.Background(), out: &out, err: &errs, env: func(name string) string {
		if name == "MUDGUARD_SOCKET" {
			return socket
		}
		return env[name]
	}}
	code := c.dispatch(args)
	if code != 0 || out.Len() > 0 || strings.Count(errs.String(), "\n") > 1 {
		t.Errorf("%v: code %d, %q, %q", args, code, out.String(), errs.String())
	}
	harmless(t, "hook", errs.String())
	return result{out.String(), errs.String(), code}
}

// R8520-10.2-a, R8520-10.2-c, T-03, T-05: what dnsmasq says in arguments and environment.
func TestHookDnsmasq(t *testing.T) {
	const mac, addr, url = "02:00:5e:10:00:01", "192.168.1.50", "https://mud.example/m1"
	lease := map[string]string{"DNSMASQ_TIME_REMAINING": "3600", "DNSMASQ_LEASE_EXPIRES": "1700003600", "DNSMASQ_INTERFACE": "br-lan",
		"DNSMASQ_CLIENT_ID": "01:02:00:5e:10:00:01", "DNSMASQ_MUD_URL": url}
	with := func(pairs ...string) map[string]string {
		env := map[string]string{}
		for k, v := range lease {
			env[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return env
	}
	event := func(kind, rest string) string {
		return `{"source":"dnsmasq","events":[{"kind":"` + kind + `","mac":"` + mac + `","addr":"` + addr + `",` + rest + `}]}`
	}
	const tail = `,"client_id":"01:02:00:5e:10:00:01","interface":"br-lan"`
	for _, tc := range []struct {
		name string
		env  map[string]string
		args []string
		want string // "" where nothing is to be said
		err  string
	}{
		{"add", lease, []string{"add", mac, addr, "lamp"}, event("bound", `"lease":"3600","hostname":"lamp","url":"`+url+`"`+tail), ""},
		{"no host name", lease, []string{"add", mac, addr}, event("bound", `"lease":"3600","url":"`+url+`"`+tail), ""},
		{"infinite", with("DNSMASQ_LEASE_EXPIRES", "0"), []string{"add", mac, addr}, event("bound", `"lease":"4294967295","url":"`+url+`"`+tail), ""},
		{"length", with("DNSMASQ_TIME_REMAINING", "", "DNSMASQ_LEASE_EXPIRES", "", "DNSMASQ_LEASE_LENGTH", "60"), []string{"add", mac, addr},
			event("bound", `"lease":"60","url":"`+url+`"`+tail), ""},
		{"T-05 no URL", with("DNSMASQ_MUD_URL", ""), []string{"add", mac, addr}, event("bound", `"lease":"3600"`+tail), ""},
		{"T-05 restart", with("DNSMASQ_MUD_URL", "", "DNSMASQ_DATA_MISSING", "1"), []string{"old", mac, addr}, "", ""},
		{"old", lease, []string{"old", mac, addr}, event("bound", `"lease":"3600","url":"`+url+`"`+tail), ""},
		{"OpenWrt update", lease, []string{"update", mac, addr}, event("bound", `"lease":"3600","url":"`+url+`"`+tail), ""},
		{"T-03 cut", with("DNSMASQ_MUD_URL", url+"?v"), []string{"add", mac, addr},
			event("bound", `"lease":"3600","url":"`+url+`?v","maybe_cut":true`+tail), ""},
		{"T-03 whole", with("DNSMASQ_MUD_URL", url+"?v=1"), []string{"add", mac, addr}, event("bound", `"lease":"3600","url":"`+url+`?v=1"`+tail), ""},
		{"R8520-10-b reserved part", with("DNSMASQ_MUD_URL", url+" x"), []string{"add", mac, addr}, event("bound", `"lease":"3600","url":"`+url+` x"`+tail), ""},
		{"release", lease, []string{"del", mac, addr}, event("released", `"lease":"3600","url":"`+url+`"`+tail), ""},
		{"expiry", with("DNSMASQ_TIME_REMAINING", "0", "DNSMASQ_MUD_URL", ""), []string{"del", mac, addr}, event("expired", `"lease":"0"`+tail), ""},
		{"DHCPv6", with("DNSMASQ_MAC", mac, "DNSMASQ_IAID", "5", "DNSMASQ_CLIENT_ID", ""), []string{"add", "00:01:00:01:aa", "2001:db8::5"},
			strings.Replace(strings.Replace(event("bound", `"lease":"3600","url":"`+url+`"`+tail), addr, "2001:db8::5", 1), "01:02:00:5e:10:00:01", "00:01:00:01:aa", 1), ""},
		{"DHCPv6 without a MAC", lease, []string{"add", "00:01:00:01:aa", "2001:db8::5"}, "", "doesn't know the MAC of 2001:db8::5"},
		{"token ring", lease, []string{"add", "06-02:00:5e:10:00:01", addr}, "", "not an Ethernet address"},
		{"TFTP", lease, []string{"tftp", "100", addr, "/x"}, "", ""},
		{"too few", lease, []string{"add", mac}, "", "missing"},
		{"none", lease, nil, "", "missing"},
		{"hostile", with("DNSMASQ_MUD_URL", strings.Repeat("u", 100000), "DNSMASQ_INTERFACE", ""), []string{"add", mac, addr, "--socket\n" + evil + "\xff"},
			"", ""},
	} {
		f, socket := start(t, map[string]any{"POST /api/v1/sightings": web.Taken{Events: 1}})
		got := hook(t, socket, tc.env, append([]string{"hook", "dnsmasq"}, tc.args...)...)
		if !strings.Contains(got.err, tc.err) || tc.err == "" && got.err != "" {
			t.Errorf("%s: %q", tc.name, got.err)
		}
		switch {
		case tc.name == "hostile":
			var h web.HookEvents
			if len(f.asked) != 1 || len(f.asked[0]) > 4000 || json.Unmarshal([]byte(strings.TrimPrefix(f.asked[0], "POST /api/v1/sightings ")), &h) != nil ||
				len(h.Events[0].URL) != maxHookText {
				t.Errorf("%s: %.200q", tc.name, f.asked)
			}
		case tc.want == "" && len(f.asked) > 0, tc.want != "" && !slices.Equal(f.asked, []string{"POST /api/v1/sightings " + tc.want}):
			t.Errorf("%s: asked %q\nwant %s", tc.name, f.asked, tc.want)
		}
	}
}

// TestHookKea has the environment that Kea's documentation of libdhcp_run_script lists.
func TestHookKea(t *testing.T) {
	lease := func(prefix, addr, mac string) map[string]string {
		return map[string]string{prefix + "_ADDRESS": addr, prefix + "_CLTT": "1700000000", prefix + "_HOSTNAME": "lamp", prefix + "_HWADDR": mac,
			prefix + "_HWADDR_TYPE": "1", prefix + "_STATE": "default", prefix + "_VALID_LIFETIME": "3600", prefix + "_CLIENT_ID": "01:02"}
	}
	env := func(parts ...map[string]string) map[string]string {
		all := map[string]string{"QUERY4_IFACE_NAME": "br-lan", "QUERY6_IFACE_NAME": "br-lan"}
		for _, p := range parts {
			for k, v := range p {
				all[k] = v
			}
		}
		return all
	}
	event := func(kind, addr, mac, id string) string {
		return `{"kind":"` + kind + `","mac":"` + mac + `","addr":"` + addr + `","lease":"3600","hostname":"lamp"` + id + `,"interface":"br-lan"}`
	}
	const one, two, id = "02:00:5e:10:00:01", "02:00:5e:10:00:02", `,"client_id":"01:02"`
	single := env(lease("LEASE4", "192.168.1.50", one))
	six := env(lease("LEASE6", "2001:db8::5", one), map[string]string{"LEASE6_TYPE": "IA_NA", "LEASE6_DUID": "00:03"})
	list := env(lease("LEASES4_AT0", "192.168.1.50", one), lease("LEASES4_AT1", "192.168.1.51", two), lease("DELETED_LEASES4_AT0", "192.168.1.49", one),
		map[string]string{"LEASES4_SIZE": "2", "DELETED_LEASES4_SIZE": "1"})
	for _, tc := range []struct {
		event string
		env   map[string]string
		want  string
		err   string
	}{
		{"leases4_committed", list, event("bound", "192.168.1.50", one, id) + "," + event("bound", "192.168.1.51", two, id) + "," + event("released", "192.168.1.49", one, id), ""},
		{"lease4_renew", single, event("bound", "192.168.1.50", one, id), ""},
		{"lease4_release", single, event("released", "192.168.1.50", one, id), ""},
		{"lease4_expire", single, event("expired", "192.168.1.50", one, id), ""},
		{"lease4_decline", single, event("declined", "192.168.1.50", one, id), ""},
		{"lease4_recover", single, "", ""},
		{"lease6_renew", six, event("bound", "2001:db8::5", one, `,"client_id":"00:03"`), ""},
		{"lease6_rebind", six, event("bound", "2001:db8::5", one, `,"client_id":"00:03"`), ""},
		{"lease6_release", env(six, map[string]string{"LEASE6_TYPE": "IA_PD"}), "", ""},
		{"leases6_committed", env(lease("LEASES6_AT0", "2001:db8::5", ""), map[string]string{"LEASES6_SIZE": "1"}), "", "doesn't know the MAC"},
		{"leases4_committed", env(list, map[string]string{"LEASES4_AT0_HWADDR": "x", "DELETED_LEASES4_SIZE": "0"}), event("bound", "192.168.1.51", two, id), "Ethernet"},
		{"leases4_committed", env(map[string]string{"LEASES4_SIZE": "-5"}), "", ""},
		{"", single, "", ""},
	} {
		f, socket := start(t, map[string]any{"POST /api/v1/sightings": web.Taken{Events: 1}})
		got := hook(t, socket, tc.env, "hook", "kea", tc.event)
		want := []string{`POST /api/v1/sightings {"source":"kea","events":[` + tc.want + `]}`}
		if tc.want == "" && len(f.asked) > 0 || tc.want != "" && !slices.Equal(f.asked, want) || !strings.Contains(got.err, tc.err) || tc.err == "" && got.err != "" {
			t.Errorf("%s: asked %q, %q\nwant %q", tc.event, f.asked, got.err, want)
		}
	}
	f, socket := start(t, map[string]any{"POST /api/v1/sightings": web.Taken{}})
	many := env(map[string]string{"LEASES4_SIZE": "1000000000"})
	for i := range 100 {
		for k, v := range lease("LEASES4_AT"+strconv.Itoa(i), "192.168.1.50", one) {
			many[k] = v
		}
	}
	hook(t, socket, many, "hook", "kea", "leases4_committed")
	if len(f.asked) != 1 || strings.Count(f.asked[0], `"kind"`) != maxHookLeases {
		t.Errorf("asked %.200q", f.asked)
	}
}

// A DHCP server must not suffer from us: the hook succeeds whatever the daemon does, and in time.
func TestHookAlwaysSucceeds(t *testing.T) {
	env := map[string]string{"DNSMASQ_MUD_URL": "https://mud.example/m1"}
	add := []string{"hook", "dnsmasq", "add", "02:00:5e:10:00:01", "192.168.1.50"}
	if got := hook(t, filepath.Join(t.TempDir(), "none"), env, add...); !strings.Contains(got.err, "cannot be reached") {
		t.Errorf("no daemon: %+v", got)
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	_, socket := start(t, map[string]any{"POST /api/v1/sightings": slow})
	begin := time.Now()
	if got := hook(t, socket, env, add...); !strings.Contains(got.err, "did not answer in time") || time.Since(begin) > 20*hookTime {
		t.Errorf("a daemon that hangs: %+v after %v", got, time.Since(begin))
	}
	_, socket = start(t, map[string]any{"POST /api/v1/sightings": refusal{400, evil}})
	if got := hook(t, socket, env, add...); got.err == "" {
		t.Error("a refusal is not reported")
	}
	if got := invoke("", "hook", "isc"); got.code != exitUsage || !strings.Contains(got.err, "dnsmasq or kea") {
		t.Errorf("another server: %+v", got)
	}
}

// The link's name decides: dnsmasq's dhcp-script has no arguments of ours.
func TestCalledAs(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"/usr/bin/mudguard status", "status"},
		{"/usr/lib/mudguard/dnsmasq-hook add x", "hook dnsmasq add x"},
		{"kea-hook lease4_renew", "hook kea lease4_renew"},
		{"other-hook x", "x"},
		{"dnsmasq-hook", "hook dnsmasq"},
	} {
		if got := strings.Join(calledAs(strings.Fields(tc.args)), " "); got != tc.want {
			t.Errorf("%s: %s", tc.args, got)
		}
	}
}

// A URL from a sticker or a certificate (RFC 9238, R8520-11-a).
func TestAssignFrom(t *testing.T) {
	const sticker = "[)>\x1e06\x1d12NB000Lamp Inc.\x1fB002L1\x1fM180https://a.example/b?x=1\x1fM06C02005E100001\x1f\x1e\x04"
	const posted = `POST /api/v1/devices/02:00:5e:10:00:01/assign {"url":"https://a.example/b","source":"qr","qr":{"company":"Lamp Inc.","model":"L1"}}`
	der, err := os.ReadFile("../../mud/testdata/idevid.der")
	if err != nil {
		t.Fatal(err)
	}
	cert := write(t, "cert.der", string(der))
	for _, tc := range []struct {
		args []string
		want string // request; "" for none
		err  string
	}{
		{[]string{"assign", "--qr", sticker}, posted, "the query"},
		{[]string{"assign", "--qr", "-"}, posted, "the query"},
		{[]string{"assign", "--qr", sticker, lamp}, posted, "the query"},
		{[]string{"assign", "--qr", sticker, "02:00:5e:10:00:0f"}, strings.Replace(posted, "0:01/", "0:0f/", 1), "is for the MAC 02:00:5e:10:00:01"},
		{[]string{"assign", lamp, "--qr", "https://a.example/b"}, `POST /api/v1/devices/02:00:5e:10:00:01/assign {"url":"https://a.example/b","source":"qr","qr":{}}`, "plain URL"},
		{[]string{"assign", "--qr", "https://a.example/b"}, "", "not an Ethernet address"},
		{[]string{"assign", "--qr", "[)>06 12N"}, "", "control characters"},
		{[]string{"assign", lamp, "--cert", cert}, `POST /api/v1/devices/02:00:5e:10:00:01/assign {"url":"https://mud.lamp.example/lamp/v1","source":"x509","mudsigner":"`, ""},
		{[]string{"assign", lamp, "--cert", write(t, "x", "x")}, "", "certificate"},
		{[]string{"assign", lamp, "--cert", cert + ".none"}, "", "no such file"},
		{[]string{"assign", "--cert", cert}, "", "missing"},
		{[]string{"assign", lamp, "--cert", cert, "--qr", sticker}, "", "exclude"},
		{[]string{"assign", lamp, "https://a.example", "--qr", sticker}, "", "too much"},
	} {
		f, socket := start(t, map[string]any{"POST /api/v1/devices/" + lamp + "/assign": lampView(""), "POST /api/v1/devices/02:00:5e:10:00:0f/assign": lampView("")})
		got := invokeWith(socket, sticker, false, tc.args...)
		if (tc.want == "") != (got.code == exitUsage) || !strings.Contains(got.err, tc.err) || tc.err == "" && got.err != "" {
			t.Errorf("%v: %+v", tc.args, got)
		}
		if asked := strings.Join(f.asked, "\n"); tc.want == "" && asked != "" || !strings.HasPrefix(asked, tc.want) {
			t.Errorf("%v: asked %s\nwant %s", tc.args, asked, tc.want)
		}
	}
}
