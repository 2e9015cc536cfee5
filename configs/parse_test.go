package configs

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
)

const minimal = "lan: {interfaces: [br-lan]}\n"

func TestParseMinimal(t *testing.T) {
	want := Default()
	want.LAN.Interfaces = []string{"br-lan"}
	for name, in := range map[string]string{
		"flow":     minimal,
		"block":    "lan:\n  interfaces:\n  - br-lan\n",
		"indented": "lan:\n  interfaces:\n    - br-lan\n",
		"crlf":     "lan:\r\n  interfaces: [br-lan]\r\n",
		"bom":      "\ufeff" + minimal,
		"header":   "# mine\n---\n" + minimal + "...\n",
		"json":     "{\n\t\"lan\": {\n\t\t\"interfaces\": [\n\t\t\t\"br-lan\"\n\t\t]\n\t}\n}\n",
		"jshn":     `{ "lan": { "interfaces": [ "br-lan" ] }, "state_dir": "\/var\/lib\/mudguard" }`,
	} {
		got, err := Parse("m.yaml", []byte(in))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

const everything = `
lan:
  interfaces: [br-lan, eth1.20]
  trusted: [02:00:5E:10:00:01]
state_dir: /srv/mud/
socket: /tmp/m.sock
unmanaged: block
failed: allow
onboarding: approve
mode: observe
on_exit: remove
mark: 1024
limits: {new_flows: 10/minute, burst: 5}
fetch:
  ca_files: [/etc/ssl/a.pem, b.pem]
  private_hosts: [MUD.Home.Arpa., 192.168.1.5, "[FD00::5]"]
  allow_hosts: [Maker.Example]
  timeout: 1500ms
  max_size: 65536
signatures: {policy: warn, ca_files: [/c.pem]}
dialect: legacy
literal: true
classes:
  controllers:
    urn:ietf:params:mud:ntp: [192.168.1.1, "::1", Time.Example]
    https://lights.example/hub: []
  my_controllers:
    https://lamp.example/mud/lamp.json: [hub.home.arpa]
  local_networks: [192.168.1.0/24, fd00::/64]
  weak_members: deny
accept_addresses: [multicast]
dns:
  resolvers: [192.168.1.1, fe80::1]
  min_ttl: 5m
  private_names: [home.arpa, "*.Lan", .internal]
  queue: 0
denials: {nflog_group: 65535, rate: 1/hour}
history: {max_size: 4MiB}
http: {listen: "[::1]:8520", hosts: [Router.home.arpa.], tls: always, cert_file: c.pem, key_file: /k.pem, allow_wan: true, metrics_token: 0123456789abcdef}
log: {level: warn, format: json}
notify:
  webhooks:
    - {url: "https://ntfy.example:8443/x?token=s3cret", events: [hold, denial], token_file: /t, ca_file: /c.pem}
    - url: http://192.168.1.9/hook
  mqtt: {broker: "mqtts://broker.home.arpa", username: mud, password_file: /p, topic: home/mud, discovery_prefix: "", ca_file: /m.pem, events: [repaired]}
`

func TestParseEverything(t *testing.T) {
	addr := netip.MustParseAddr
	want := Config{
		LAN:      LAN{[]string{"br-lan", "eth1.20"}, []dhcp.MAC{{2, 0, 0x5e, 0x10, 0, 1}}},
		StateDir: "/srv/mud", Socket: "/tmp/m.sock",
		Unmanaged: Block, Failed: Allow, Onboarding: OnboardApprove, Mode: Observe, OnExit: Remove, Mark: 1024,
		Limits: Limits{Rate{10, time.Minute}, 5},
		Fetch: Fetch{
			[]string{"/etc/ssl/a.pem", "b.pem"}, []string{"mud.home.arpa", "192.168.1.5", "fd00::5"}, []string{"maker.example"}, nil,
			1500 * time.Millisecond, 65536,
		},
		Signatures: Signatures{Warn, []string{"/c.pem"}}, Dialect: Legacy, Literal: true,
		Classes: Classes{
			Controllers: map[string][]Host{
				"urn:ietf:params:mud:ntp":    {{Addr: addr("192.168.1.1")}, {Addr: addr("::1")}, {Name: "time.example"}},
				"https://lights.example/hub": nil,
			},
			MyControllers: map[string][]Host{"https://lamp.example/mud/lamp.json": {{Name: "hub.home.arpa"}}},
			LocalNetworks: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd00::/64")},
			WeakMembers:   WeakDeny,
		},
		AcceptAddresses: []AddressKind{Multicast},
		DNS: DNS{
			[]netip.Addr{addr("192.168.1.1"), addr("fe80::1")}, 5 * time.Minute, []string{"home.arpa", "lan", "internal"}, 0,
		},
		Denials: Denials{65535, Rate{1, time.Hour}}, History: History{4 << 20}, HTTP: HTTP{"[::1]:8520", []string{"router.home.arpa"}, TLSAlways, "c.pem", "/k.pem", true, "0123456789abcdef"}, Log: Log{Warning, JSON},
		Notify: Notify{
			Webhooks: []Webhook{
				{"https://ntfy.example:8443/x?token=s3cret", []News{Hold, Denial}, "/t", "/c.pem"}, {URL: "http://192.168.1.9/hook"},
			},
			MQTT: MQTT{"mqtts://broker.home.arpa", "mud", "/p", "home/mud", "", "/m.pem", []News{Repaired}},
		},
	}
	got, err := Parse("m.yaml", []byte(everything))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

// TestParseErrors has the whole text of each error: it is what the administrator sees.
func TestParseErrors(t *testing.T) {
	const list = "a list such as [a, b], or [] for none; each: "
	const burst = "m.yaml:2: limits.burst: found %s; allowed: a whole number from 1 to 1000000"
	const top = "lan, state_dir, socket, unmanaged, failed, onboarding, accept_addresses, mode, on_exit, mark, limits, fetch, signatures, " +
		"dialect, literal, classes, dns, denials, history, http, log, notify"
	const name = `an interface name of 1 to 15 characters, without spaces and / : * " \`
	const refs = "m.yaml:2: YAML anchors, aliases, tags and directives are not allowed here"
	for _, c := range []struct{ in, want string }{
		{"", "m.yaml: lan.interfaces is required"},
		{"# nothing\n", "m.yaml: lan.interfaces is required"},
		{"---\n", "m.yaml: lan.interfaces is required"},
		{"mode: observe\n", "m.yaml: lan.interfaces is required"},
		{"\nlan: {trusted: []}", "m.yaml:2: lan.interfaces is required"},
		{"\nlan: {interfaces: []}", "m.yaml:2: lan.interfaces is required: at least one"},
		{"lan: br-lan", `m.yaml:1: lan: found "br-lan"; allowed: a map of interfaces, trusted`},
		{"lan:\n  interfaces:\n", "m.yaml:2: lan.interfaces: found nothing; allowed: " + list + name},
		{"lan:\n  interfaces: br-lan\n", `m.yaml:2: lan.interfaces: found "br-lan"; allowed: ` + list + name},
		{"lan:\n  interfaces:\n  - br-lan\n  - eth0 eth1\n", `m.yaml:4: lan.interfaces: found "eth0 eth1"; allowed: ` + name},
		{"lan:\n  interfaces: [a, b, a]\n", `m.yaml:2: lan.interfaces: "a" is listed twice`},
		{"lan:\n  interfaces: [abcdefghijklmnop]\n", `m.yaml:2: lan.interfaces: found "abcdefghijklmnop"; allowed: ` + name},
		{"- a\n", "m.yaml:1: the file: found a list; allowed: a map of " + top +
			"\nm.yaml: lan.interfaces is required"},
		{minimal + "mode: enfroce\n", `m.yaml:2: mode: found "enfroce"; allowed: enforce, observe`},
		{minimal + "mode:\n", "m.yaml:2: mode: found nothing; allowed: enforce, observe"},
		{minimal + "mode: true\n", "m.yaml:2: mode: found true; allowed: enforce, observe"},
		{minimal + "state-dir: /x\n", `m.yaml:2: state-dir: unknown key; did you mean "state_dir"?`},
		{minimal + "dns:\n  quueue: 1\n", `m.yaml:3: dns.quueue: unknown key; did you mean "queue"?`},
		{minimal + "http: {port: 1}\n", "m.yaml:2: http.port: unknown key; allowed: listen, hosts, tls, cert_file, key_file, allow_wan, metrics_token"},
		{minimal + "http: {key_file: /k}\n", "m.yaml:2: http: cert_file and key_file go together"},
		{minimal + "\"a\\u001bb\": 1\n", `m.yaml:2: "a\x1bb": unknown key; allowed: ` + top},
		{minimal + "literal: yes\n", `m.yaml:2: literal: found "yes"; allowed: true, false`},
		{minimal + "literal: false\nliteral: true\n", "m.yaml:3: literal: already set on line 2"},
		{minimal + "limits: {burst: \"5\"}\n", fmt.Sprintf(burst, `"5"`)},
		{minimal + "limits: {burst: 0}\n", fmt.Sprintf(burst, `0`)},
		{minimal + "limits: {burst: -1}\n", fmt.Sprintf(burst, `-1`)},
		{minimal + "limits: {burst: 010}\n", fmt.Sprintf(burst, `010`)},
		{minimal + "limits: {burst: 1.5}\n", fmt.Sprintf(burst, `1.5`)},
		{minimal + "limits: {burst: [1]}\n", fmt.Sprintf(burst, `a list`)},
		{minimal + "limits: {burst: {}}\n", fmt.Sprintf(burst, `a map`)},
		{minimal + "limits: {new_flows: 100}\n", "m.yaml:2: limits.new_flows: found 100; allowed: " +
			"a rate from 1/day to 1000000/second, per second, minute, hour or day"},
		{minimal + "mark: 0x3\n", "m.yaml:2: mark: found 0x3; allowed: " +
			"a number of 32 bits with exactly one bit set, such as 0x10000000"},
		{minimal + "socket: run/m.sock\n", `m.yaml:2: socket: found "run/m.sock"; allowed: an absolute path of at most 107 bytes`},
		{minimal + "fetch: {timeout: 10}\n", "m.yaml:2: fetch.timeout: found 10; allowed: a time with its unit, from 100ms to 10m"},
		{minimal + "fetch: {max_size: 1GiB}\n", `m.yaml:2: fetch.max_size: found "1GiB"; allowed: a size from 1KiB to 64MiB`},
		{minimal + "fetch: {private_hosts: [https://x/]}\n",
			`m.yaml:2: fetch.private_hosts: found "https://x/"; allowed: a host as in a URL, without scheme and port`},
		{minimal + "lan:\n", "m.yaml:2: lan: already set on line 1"},
		{minimal + "classes:\n  controllers:\n    ntp: [10.0.0.1]\n", `m.yaml:4: classes.controllers: found "ntp"; ` +
			"allowed: a class URI with its scheme, such as urn:ietf:params:mud:ntp"},
		{minimal + "classes:\n  controllers:\n    a:b:\n    - 10.0.0.300\n", `m.yaml:5: classes.controllers.a:b: ` +
			`found "10.0.0.300"; allowed: the IP address or the name of one host`},
		{minimal + "classes: {my_controllers: {http://x/y: []}}\n", `m.yaml:2: classes.my_controllers: ` +
			`found "http://x/y"; allowed: a MUD URL, which begins with https://`},
		{minimal + "classes: {local_networks: [192.168.1.1/24]}\n", `m.yaml:2: classes.local_networks: ` +
			`found "192.168.1.1/24" (did you mean 192.168.1.0/24?); allowed: a network such as 192.168.1.0/24`},
		{minimal + "classes: {local_networks: [\"::/0\"]}\n", `m.yaml:2: classes.local_networks: ` +
			`found "::/0" (the whole Internet is not local); allowed: a network such as 192.168.1.0/24`},
		{minimal + "http: {listen: \":8520\"}\n", `m.yaml:2: http.listen: found ":8520"; allowed: "" for no web server, ` +
			"or an address with a port, such as 127.0.0.1:8520"},
		{minimal + "notify: {webhooks: [{events: [hold]}]}\n", "m.yaml:2: notify.webhooks[0].url is required"},
		{minimal + "notify: {webhooks: [{url: \"ftp://s3cret@x\"}]}\n", "m.yaml:2: notify.webhooks[0].url: what is there is not shown, as it may be secret; " +
			"allowed: the URL of a webhook, which begins with https:// or http://"},
		{minimal + "notify: {webhooks: [{url: \"http://x\", events: [boom]}]}\n",
			`m.yaml:2: notify.webhooks[0].events: found "boom"; allowed: new_device, hold, denial, repaired`},
		{minimal + "notify: {mqtt: {broker: \"mqtt://me:s3cret@x\"}}\n", "m.yaml:2: notify.mqtt.broker: what is there is not shown, as it may be secret; " +
			`allowed: "" for none, or an MQTT broker such as mqtts://broker.home.arpa:8883 or mqtt://192.168.1.5`},
		{minimal + "notify: {mqtt: {topic: \"a/#\"}}\n", `m.yaml:2: notify.mqtt.topic: found "a/#"; allowed: levels of an MQTT topic, such as home/mudguard, without + # and $`},
		{minimal + "---\nmode: observe\n", "m.yaml:3: a second YAML document; a configuration is one document"},
		{"a: &x 1\n", "m.yaml:1: YAML anchors, aliases, tags and directives are not allowed here"},
		{minimal + "mode: !!str enforce\n", refs},
		{minimal + "log: *x\n", refs},
		{minimal + "? mode\n: observe\n", `m.yaml:2: YAML's "? key" form is not allowed here`},
		{strings.Repeat("[", 17), "m.yaml:1: nested too deeply"},
		{strings.Repeat("- ", 17), "m.yaml:1: nested too deeply"},
		{"a: \xff", "m.yaml: the file is not UTF-8 text"},
		{strings.Repeat("#", maxFile+1), "m.yaml: the file is larger than 1 MiB"},
		{"mode: observ\nlan:\n  interfaces: [a b]\n  x: 1\n", "m.yaml:1: mode: found \"observ\"; allowed: enforce, observe\n" +
			"m.yaml:3: lan.interfaces: found \"a b\"; allowed: " + name + "\n" +
			"m.yaml:4: lan.x: unknown key; allowed: interfaces, trusted"},
	} {
		got, err := Parse("m.yaml", []byte(c.in))
		if err == nil || err.Error() != c.want {
			t.Errorf("%.60q:\ngot  %v\nwant %s", c.in, err, c.want)
		}
		if !reflect.DeepEqual(got, Config{}) {
			t.Errorf("%.60q: an error left a Config", c.in)
		}
	}
}

// The library says what is wrong in a syntax error; only where is ours.
func TestSyntaxErrorSaysWhere(t *testing.T) {
	for _, in := range []string{"mode: {a\nb: c", "lan:\n\tinterfaces: []\n", "a: b: c\n", "a: \"x\n", "a: @x\n"} {
		_, err := Parse("m.yaml", []byte(in))
		if err == nil || !strings.HasPrefix(err.Error(), "m.yaml:") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var in strings.Builder
	for i := range 500 {
		fmt.Fprintf(&in, "key%d: 1\n", i)
	}
	_, err := Parse("m.yaml", []byte(minimal+in.String()))
	if n := strings.Count(err.Error(), "\n") + 1; n != maxProblems+1 {
		t.Errorf("%d lines", n)
	}
}

func TestRefusedValues(t *testing.T) {
	for key, values := range map[string][]string{
		"lan: {interfaces: [a], trusted: [%s]}": {
			"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:00:00:00:00", "x", "1",
		},
		"lan: {interfaces: ['%s']}": {"", ".", "..", "a/b", "a*", "a:1", `a"`, `a\`, "é"},
		"limits: {new_flows: '%s'}": {
			"", "/second", "0/second", "-1/second", "1/week", "1/seconds", "1000001/second", "01/second", "1", "1 /second",
		},
		"mark: %s":                           {"0", "-1", "0x100000000", "3", "'1'", "1.0"},
		"fetch: {max_size: '%s'}":            {"1", "1MB", "MiB", "-1MiB", "65MiB", "99999999999999999999MiB", "1KiB MiB"},
		"fetch: {timeout: '%s'}":             {"0s", "-1s", "11m", "10", "soon"},
		"dns: {resolvers: ['%s']}":           {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1%eth0", "::ffff:1.2.3.4", "dns.example"},
		"dns: {private_names: ['%s']}":       {"", ".", "*", "a..b", "-a", "a-", "a b", "*.*.a", "münchen.example", strings.Repeat("a", 64)},
		"dns: {queue: %s}":                   {"65536", "-1", "x", "99999999999999999999999"},
		"http: {listen: '%s'}":               {"8520", ":8520", "example.org:80", "127.0.0.1", "127.0.0.1:99999", "localhost:x", "localhost:"},
		"http: {hosts: ['%s']}":              {"", "192.168.1.1", "a b", "a:80", "*.a"},
		"http: {metrics_token: '%s'}":        {"short", "0123456789abcde ", "0123456789abcdeé"},
		"state_dir: '%s'":                    {"", "/", "x", "/a\tb", "/" + strings.Repeat("a", maxPath)},
		"classes: {controllers: {'%s': []}}": {"", "urn:", "a b:c", "://x", "x"},
		"classes: {my_controllers: {'%s': []}}": {
			"https://", "https:x", "http://a/b", "https:///x", "https://a/ b",
		},
	} {
		for _, v := range values {
			in := minimal + fmt.Sprintf(key, v) + "\n"
			if strings.HasPrefix(key, "lan") {
				in = in[len(minimal):]
			}
			if _, err := Parse("m.yaml", []byte(in)); err == nil {
				t.Errorf("%s is taken", in)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.yaml")
	if _, err := Load(path); err == nil {
		t.Error("a missing file is taken")
	}
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path); err != nil || c.LAN.Interfaces[0] != "br-lan" {
		t.Error(c, err)
	}
}

func TestRateRoundTrip(t *testing.T) {
	for _, s := range []string{"1/second", "100/minute", "1000000/hour", "7/day"} {
		if r, err := ParseRate(s); err != nil || r.String() != s {
			t.Errorf("%s: %v, %v", s, r, err)
		}
	}
}
