package mud

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

func TestParseGolden(t *testing.T) {
	raw, err := os.ReadFile("testdata/lamp.json")
	if err != nil {
		t.Fatal(err)
	}
	p, problems, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	got := dump(p, problems)
	goldenFile(t, "testdata/lamp.golden", got)
}

func goldenFile(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// dump writes a profile as text.
func dump(p Profile, problems []Problem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "url %s\nsignature %s\nupdated %s\nvalid %s\nsupported %t\n", p.URL, p.Signature,
		p.LastUpdate.Format(time.RFC3339), p.CacheValidity, p.Supported)
	fmt.Fprintf(&b, "text %q %q %q %q\nextensions %q\n", p.SystemInfo, p.MfgName, p.ModelName, p.Documentation, p.Extensions)
	for _, d := range []struct {
		name string
		*Policy
	}{{"from-device", p.FromDevice}, {"to-device", p.ToDevice}} {
		if d.Policy == nil {
			fmt.Fprintf(&b, "%s: none\n", d.name)
			continue
		}
		fmt.Fprintf(&b, "%s:\n", d.name)
		for _, e := range d.ACEs {
			fmt.Fprintf(&b, "  %s/%s: %s\n", e.ACL, e.Name, dumpACE(e))
		}
	}
	for _, pr := range problems {
		fmt.Fprintln(&b, pr)
	}
	return b.String()
}

func dumpACE(e ACE) string {
	if e.Refused != "" {
		return "refused"
	}
	m := e.Match
	s := e.Action.String() + " " + m.Family.String()
	for _, f := range []struct {
		name string
		v    *uint8
	}{{"proto", m.Protocol}, {"type", m.ICMPType}, {"code", m.ICMPCode}} {
		if f.v != nil {
			s += fmt.Sprintf(" %s=%d", f.name, *f.v)
		}
	}
	kinds := map[RemoteKind]string{RemoteName: "name", RemotePrefix: "prefix", RemoteController: "controller",
		RemoteMyController: "my-controller", RemoteLocalNetworks: "local", RemoteSameManufacturer: "same-manufacturer",
		RemoteManufacturer: "manufacturer", RemoteModel: "model"}
	for _, r := range m.Remotes {
		s += " " + kinds[r.Kind]
		if r.Value != "" {
			s += "=" + r.Value
		}
		if r.Prefix.IsValid() {
			s += "=" + r.Prefix.String()
		}
	}
	s += dumpPorts(" rport=", m.RemotePort) + dumpPorts(" lport=", m.LocalPort)
	if m.Initiated != DirectionAny {
		s += " by " + m.Initiated.String()
	}
	if m.Group.IsValid() {
		s += " group=" + m.Group.String()
	}
	if m.EtherType != nil {
		s += fmt.Sprintf(" ethertype=%d", *m.EtherType)
	}
	s += dumpMAC(" rmac=", m.RemoteMAC) + dumpMAC(" lmac=", m.LocalMAC)
	for _, f := range m.Fields {
		s += fmt.Sprintf(" %d:%d/%x%x", f.Field, f.Value, f.Mask, f.Bytes)
	}
	if e.Log {
		s += " log"
	}
	return s
}

func dumpMAC(name string, m MACMatch) string {
	if m == (MACMatch{}) {
		return ""
	}
	return name + macText(m.Addr) + "/" + macText(m.Mask)
}

func dumpPorts(name string, p Ports) string {
	if !p.Set {
		return ""
	}
	if p.Not {
		name += "!"
	}
	return fmt.Sprintf("%s%d-%d", name, p.Lo, p.Hi)
}

// mudFile is a whole file with these members in its mud container and these ACLs; with neither it is valid.
func mudFile(members, acls string) []byte {
	return []byte(`{"ietf-mud:mud":{` + members + `},"ietf-access-control-list:acls":{"acl":[` + acls + `]}}`)
}

const goodLeaves = `"mud-version":1,"mud-url":"https://mud.example/m1","last-update":"2026-01-31T12:00:00Z","is-supported":true`

const bothPolicies = `,"from-device-policy":{"access-lists":{"access-list":[{"name":"out"}]}},` +
	`"to-device-policy":{"access-lists":{"access-list":[{"name":"in"}]}}`

// aceFile is a file with one ACE in each direction.
func aceFile(aclType, out, in string) []byte {
	list := func(name, ace string) string {
		return `{"name":"` + name + `"` + aclType + `,"aces":{"ace":[` + ace + `]}}`
	}
	return mudFile(goodLeaves+bothPolicies, list("out", out)+","+list("in", in))
}

func accept(matches string) string {
	return `{"name":"a","matches":{` + matches + `},"actions":{"forwarding":"accept"}}`
}

func drop(matches string) string {
	return `{"name":"a","matches":{` + matches + `},"actions":{"forwarding":"drop"}}`
}

const (
	v4 = `,"type":"ipv4-acl-type"`
	v6 = `,"type":"ipv6-acl-type"`
)

// TestACE reads one from-device ACE. want is what dumpACE gives, after a ! where the file is invalid and the ACE applied all
// the same; row is a problem that must be there.
func TestACE(t *testing.T) {
	for _, tc := range []struct{ name, typ, ace, want, row string }{
		{"R8519-4-a empty", v4, accept(``), "accept IPv4", "R8519-4-a"},
		{"R8519-4-a no matches", v4, `{"name":"a","actions":{"forwarding":"accept"}}`, "accept IPv4", "R8519-4-a"},
		{"R7951-6.8-a", `,"type":"ietf-access-control-list:ipv6-acl-type"`, accept(`"tcp":{}`), "accept IPv6 proto=6", ""},
		{"R8519-4-d absent type", ``, accept(`"ipv6":{"protocol":17}`), "!accept IPv6 proto=17", "R8519-4-d"},
		{"R8519-4-d absent type, no container", ``, accept(`"udp":{}`), "accept any proto=17", ""},
		{"R8519-4-d other family", v4, accept(`"ipv6":{"protocol":17}`), "refused", "R8519-4-d"},
		{"R8519-4-d other family, drop", v4, drop(`"ipv6":{"protocol":17}`), "!drop any proto=17", "R8519-4-d"},
		{"R8519-4-d both", ``, accept(`"ipv4":{},"ipv6":{}`), "refused", "R8519-4-d"},
		{"R8519-4-d eth", v4, accept(`"eth":{"ethertype":2048},"tcp":{}`), "refused", "R8519-4-d"},
		{"R8519-4-d eth drop", v4, drop(`"eth":{"ethertype":2048},"tcp":{}`), "!drop IPv4 proto=6", "R8519-4-d"},
		{"R8520-2-d eth type", `,"type":"eth-acl-type"`, accept(`"tcp":{}`), "accept any proto=6", "R8520-2-d"},
		{"R8520-2-d mixed type", `,"type":"mixed-eth-ipv4-acl-type"`, accept(`"ipv4":{}`), "accept IPv4", "R8520-2-d"},
		{"T-14 type", `,"type":"ethernet-acl-type"`, accept(`"tcp":{}`), "refused", "T-14"},
		{"T-13 unknown", v4, accept(`"ipv4":{"x":1}`), "refused", "T-13"},
		{"T-13 unknown in matches", v4, accept(`"x:y":{}`), "refused", "T-13"},
		{"T-13 unknown drop", v4, drop(`"ipv4":{"x":1,"protocol":6}`), "!drop IPv4 proto=6", "T-13"},
		{"T-13 case", v4, accept(`"TCP":{}`), "refused", "T-13"},
		{"T-13 in port", v4, accept(`"tcp":{"source-port":{"port":1,"x":2}}`), "refused", "T-13"},
		{"T-13 in ACE", v4, `{"name":"a","x":1,"actions":{"forwarding":"accept"}}`, "refused", "T-13"},
		{"T-13 in actions", v4, `{"name":"a","actions":{"forwarding":"accept","x:police":1}}`, "refused", "T-13"},
		{"T-13 interface", v4, accept(`"egress-interface":"eth0"`), "refused", "T-13"},
		{"R7951-4-a bare dnsname", v4, accept(`"ipv4":{"dst-dnsname":"a.example"}`), "refused", "T-13"},
		{"R8520-8-b name", v6, accept(`"ipv6":{"ietf-acldns:dst-dnsname":"A.Example."}`), "accept IPv6 name=a.example", ""},
		{"R6991-host underscore", v6, accept(`"ipv6":{"ietf-acldns:dst-dnsname":"_a.example"}`), "!accept IPv6 name=_a.example", "R6991-host"},
		{"R7951-4-a own module", v6, accept(`"ietf-mud:mud":{"ietf-mud:my-controller":[null]}`), "refused", "R7951-4-a"},
		{"R8520-8.1-a wildcard", v4, accept(`"ipv4":{"ietf-acldns:dst-dnsname":"*.example"}`), "refused", "R8520-8.1-a"},
		{"R8520-8.1-a drop", v4, drop(`"ipv4":{"ietf-acldns:dst-dnsname":"*.example"}`), "!drop IPv4", "R8520-8.1-a"},
		{"R8520-8.1-a number", v4, accept(`"ipv4":{"ietf-acldns:dst-dnsname":5}`), "refused", "R8520-8.1-a"},
		{"R8520-8.2-a", v4, accept(`"ipv4":{"ietf-acldns:src-dnsname":"a.example"}`), "refused", "R8520-8.2-a"},
		{"R8520-2-c", v4, accept(`"ipv4":{"source-ipv4-network":"192.0.2.1/32"}`), "refused", "R8520-2-c"},
		{"R8520-2-b", v4, accept(`"ipv4":{"destination-ipv4-network":"192.0.2.9/24"}`), "accept IPv4 prefix=192.0.2.0/24", "R8520-2-b"},
		{"R8520-2-b all", v4, accept(`"ipv4":{"destination-ipv4-network":"0.0.0.0/0"}`), "accept IPv4 prefix=0.0.0.0/0", "R8520-2-b"},
		{"network without length", v4, accept(`"ipv4":{"destination-ipv4-network":"192.0.2.9"}`), "refused", "R8520-2-a"},
		{"network of v6", v4, accept(`"ipv4":{"destination-ipv4-network":"2001:db8::/32"}`), "refused", "R8520-2-a"},
		{"network mapped", v6, accept(`"ipv6":{"destination-ipv6-network":"::ffff:1.2.3.4/128"}`), "accept IPv6 prefix=::ffff:1.2.3.4/128", "R8520-2-b"},
		{"R6991 leading zeros", v6, accept(`"ipv6":{"destination-ipv6-network":"::ffff:01.2.3.004/096"}`), "refused", "R8520-2-a"},
		{"R6991 zero", v6, accept(`"ipv6":{"destination-ipv6-network":"2001:db8::/08"}`), "accept IPv6 prefix=2000::/8", "R8520-2-b"},
		{"T-11", v4, accept(`"ipv4":{"ietf-acldns:dst-dnsname":"203.0.113.5"}`), "accept IPv4 prefix=203.0.113.5/32", "T-11"},
		{"T-11 v6", v6, accept(`"ipv6":{"ietf-acldns:dst-dnsname":"2001:DB8::5"}`), "accept IPv6 prefix=2001:db8::5/128", "T-11"},
		{"R9726-4.3-a T11", v4, accept(`"ipv4":{"ietf-acldns:dst-dnsname":"lamp.s3.AmazonAWS.com"}`), "accept IPv4 name=lamp.s3.amazonaws.com", "R9726-4.3-a"},
		{"R9726-4.3-a other zone", v4, accept(`"ipv4":{"ietf-acldns:dst-dnsname":"notamazonaws.com"}`), "accept IPv4 name=notamazonaws.com", "!R9726-4.3-a"},
		{"R9726-4.3-a drop", v4, drop(`"ipv4":{"ietf-acldns:dst-dnsname":"x.github.io"}`), "drop IPv4 name=x.github.io", "!R9726-4.3-a"},
		{"R9726-5-a name", v4, accept(`"ipv4":{"ietf-acldns:dst-dnsname":"dns.google"}`), "accept IPv4 name=dns.google", "R9726-5-a"},
		{"R9726-5-a address", v4, accept(`"ipv4":{"destination-ipv4-network":"8.8.8.8/32"}`), "accept IPv4 prefix=8.8.8.8/32", "R9726-5-a"},
		{"R9726-5-a in a name", v6, accept(`"ipv6":{"ietf-acldns:dst-dnsname":"2620:FE::FE"}`), "accept IPv6 prefix=2620:fe::fe/128", "R9726-5-a"},
		{"R9726-5-a network", v4, accept(`"ipv4":{"destination-ipv4-network":"8.8.8.0/24"}`), "accept IPv4 prefix=8.8.8.0/24", "!R9726-5-a"},
		{"R8520-8-b family", v4, accept(`"ipv4":{"ietf-acldns:dst-dnsname":"2001:db8::5"}`), "refused", "R8520-8-b"},
		{"T-30", v4, accept(`"ipv4":{"protocol":0}`), "refused", "T-30"},
		{"R7951-6-b quoted", v4, accept(`"ipv4":{"protocol":"6"}`), "refused", "R7951-6-b"},
		{"protocol 256", v4, accept(`"ipv4":{"protocol":256}`), "refused", "R8520-2-a"},
		{"protocol fraction", v4, accept(`"ipv4":{"protocol":6.0}`), "refused", "R8520-2-a"},
		{"R8519-4-i", v4, accept(`"ipv4":{"protocol":17},"tcp":{}`), "refused", "R8519-4-i"},
		{"R8519-4-i agreeing", v4, accept(`"tcp":{},"ipv4":{"protocol":6}`), "accept IPv4 proto=6", ""},
		{"R8519-4-i two", v4, accept(`"udp":{},"tcp":{}`), "refused", "R8519-4-i"},
		{"R8519-4-i drop", v4, drop(`"udp":{"source-port":{"port":1}},"tcp":{},"ipv4":{"protocol":6}`), "!drop IPv4 proto=6", "R8519-4-i"},
		{"R8519-4-i drop by number", v4, drop(`"udp":{"source-port":{"port":1}},"ipv4":{"protocol":6}`), "drop IPv4", "R8519-4-i"},
		{"T-22 v4", v4, accept(`"icmp":{"type":8}`), "accept IPv4 proto=1 type=8", ""},
		{"T-22 v6 in v4", v4, accept(`"icmp":{"type":8},"ipv4":{"protocol":58}`), "refused", "R8519-4-i"},
		{"T-22 container after", ``, accept(`"icmp":{"code":0},"ipv6":{}`), "!accept IPv6 proto=58 code=0", "R8519-4-d"},
		{"T-22 no family", ``, accept(`"icmp":{}`), "refused", "T-22"},
		{"R8520-4.8-b", v4, accept(`"tcp":{"ietf-mud:direction-initiated":"from-device"}`), "accept IPv4 proto=6 by from-device", ""},
		{"T-02", v4, accept(`"tcp":{"ietf-mud:direction-initiated":"to-device"}`), "accept IPv4 proto=6 by to-device", "T-02"},
		{"R8520-4.8-a", v4, accept(`"udp":{"ietf-mud:direction-initiated":"from-device"}`), "refused", "R8520-4.8-a"},
		{"R8520-4.8-b word", v4, accept(`"tcp":{"ietf-mud:direction-initiated":"both"}`), "refused", "R8520-4.8-b"},
		{"R7951-4-a bare direction", v4, accept(`"tcp":{"direction-initiated":"from-device"}`), "refused", "T-13"},
		{"R7951-6.9-a null", v4, accept(`"ietf-mud:mud":{"local-networks":null}`), "refused", "R7951-6.9-a"},
		{"R7951-6.9-a empty", v4, accept(`"ietf-mud:mud":{"my-controller":[]}`), "refused", "R7951-6.9-a"},
		{"R7951-6.9-a true", v4, accept(`"ietf-mud:mud":{"same-manufacturer":true}`), "refused", "R7951-6.9-a"},
		{"R8520-4.1-a", v4, accept(`"ietf-mud:mud":{"manufacturer":"Lamp.Example."}`), "accept IPv4 manufacturer=lamp.example", ""},
		{"R8520-4.1-a port", v4, accept(`"ietf-mud:mud":{"manufacturer":"lamp.example:8443"}`), "refused", "R8520-4.1-a"},
		{"R8520-4.4-a", v4, accept(`"ietf-mud:mud":{"model":"https://h/%7e"}`), "accept IPv4 model=https://h/~", ""},
		{"R6991-uri", v4, accept(`"ietf-mud:mud":{"model":"HTTPS://h/"}`), "!accept IPv4 model=https://h/", "R6991-uri"},
		{"R8520-4.4-a http", v4, accept(`"ietf-mud:mud":{"model":"http://h/"}`), "refused", "R8520-4.4-a"},
		{"R8520-4.6-a", v4, accept(`"ietf-mud:mud":{"controller":"urn:ietf:params:mud:dns"}`),
			"accept IPv4 controller=urn:ietf:params:mud:dns", ""},
		{"R8520-4.6-a no URI", v4, accept(`"ietf-mud:mud":{"controller":"bacnet"}`), "refused", "R8520-4.6-a"},
		{"T-15", v4, accept(`"ietf-mud:mud":{"controller":"urn:ietf:params:mud:gateway"}`),
			"accept IPv4 controller=urn:ietf:params:mud:gateway", "T-15"},
		{"R8520-2.1-b", v4, accept(`"ietf-mud:mud":{"my-controller":[null],"local-networks":[null]}`),
			"accept IPv4 my-controller local", "R8520-2.1-b"},
		{"R8519-4-f missing", v4, `{"name":"a","actions":{}}`, "refused", "R8519-4-f"},
		{"R8519-4-f no actions", v4, `{"name":"a"}`, "refused", "R8519-4-f"},
		{"R8519-4-f inside", v4, `{"name":"a","matches":{"actions":{"forwarding":"accept"}}}`, "refused", "R8519-4-f"},
		{"R8519-4-f case", v4, `{"name":"a","actions":{"forwarding":"Accept"}}`, "refused", "R8520-2-f"},
		{"R8520-2-f unknown", v4, `{"name":"a","actions":{"forwarding":"deny"}}`, "refused", "R8520-2-f"},
		{"R8520-2-f reject", v4, `{"name":"a","actions":{"forwarding":"reject"}}`, "drop IPv4", "R8520-2-f"},
		{"R8519-4-g", v4, `{"name":"a","matches":{"tcp":{}},"actions":{"forwarding":"accept","logging":"log-none"}}`, "accept IPv4 proto=6", "R8519-4-g"},
		{"R8519-4-g unknown", v4, `{"name":"a","matches":{"tcp":{}},"actions":{"forwarding":"accept","logging":"x"}}`, "refused", "R8519-4-g"},
		{"R8519-4-g", v4, `{"name":"a","matches":{"tcp":{}},"actions":{"forwarding":"accept","logging":"log-syslog"}}`,
			"accept IPv4 proto=6 log", "R8519-4-g"},
		{"R8520-2-g statistics", v4, `{"name":"a","matches":{"tcp":{}},"actions":{"forwarding":"accept"},"statistics":{"matched-octets":"1"}}`,
			"accept IPv4 proto=6", "R8520-2-g"},
		{"R8520-2-g wrong statistics", v4, `{"name":"a","matches":{"tcp":{}},"actions":{"forwarding":"accept"},"statistics":{"x":1,"matched-octets":1}}`,
			"!accept IPv4 proto=6", "R8520-14-b"},
		{"R8520-2-a matches", v4, `{"name":"a","matches":[],"actions":{"forwarding":"accept"}}`, "refused", "R8520-2-a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, problems, err := Parse(aceFile(tc.typ, tc.ace, accept(`"tcp":{}`)))
			if err != nil {
				t.Fatal(err)
			}
			got := p.FromDevice.ACEs[0]
			want := strings.TrimPrefix(tc.want, "!")
			if s := dumpACE(got); s != want {
				t.Errorf("got %q, want %q; refused %q", s, want, got.Refused)
			}
			checkProblem(t, got, problems, tc.row, want != tc.want)
		})
	}
}

// checkProblem looks for a problem of that row, or after a ! that there is none; a refused ACE has one with SeverityError, another only where the file is
// invalid there.
func checkProblem(t *testing.T, e ACE, problems []Problem, row string, invalid bool) {
	t.Helper()
	row, absent := strings.CutPrefix(row, "!")
	found, failed := row == "", false
	for _, p := range problems {
		if strings.HasPrefix(p.Path, e.Path) || p.Path == "ietf-access-control-list:acls.acl[0].type" {
			found = found || p.Row == row
			failed = failed || p.Severity == SeverityError
		}
	}
	if found == absent || failed != (invalid || e.Refused != "") {
		t.Errorf("want row %q, refused %q, have %v", row, e.Refused, problems)
	}
}

// TestPorts has a port condition on each side and in each direction (R8519-4-e).
func TestPorts(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"eq by default", `{"port":443}`, "443-443"},
		{"eq", `{"operator":"eq","port":0}`, "0-0"},
		{"neq", `{"operator":"neq","port":22}`, "!22-22"},
		{"lte", `{"operator":"lte","port":79}`, "0-79"},
		{"gte", `{"operator":"gte","port":1024}`, "1024-65535"},
		{"range", `{"lower-port":10,"upper-port":10}`, "10-10"},
		{"range 65535", `{"lower-port":0,"upper-port":65535}`, "0-65535"},
		{"upside down", `{"lower-port":10,"upper-port":5}`, ""},
		{"both", `{"lower-port":10,"upper-port":20,"port":5}`, ""},
		{"half", `{"lower-port":10}`, ""},
		{"upper half", `{"upper-port":10}`, ""},
		{"no port", `{"operator":"eq"}`, ""},
		{"65536", `{"port":65536}`, ""},
		{"negative", `{"port":-1}`, ""},
		{"exponent", `{"port":1e2}`, "100-100"},
		{"negative exponent", `{"port":4430e-1}`, "443-443"},
		{"fraction", `{"port":443.0}`, ""},
		{"huge exponent", `{"port":1e999999999}`, ""},
		{"quoted", `{"port":"443"}`, ""},
		{"operator", `{"operator":"gt","port":1}`, ""},
		{"operator type", `{"operator":1,"port":1}`, ""},
		{"no object", `443`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, side := range []string{"destination-port", "source-port"} {
				ace := accept(`"udp":{"` + side + `":` + tc.in + `}`)
				p, _, err := Parse(aceFile(v4, ace, ace))
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range []ACE{p.FromDevice.ACEs[0], p.ToDevice.ACEs[0]} {
					want := "refused"
					remote := (side == "destination-port") == strings.Contains(e.Path, "acl[0]")
					if tc.want != "" {
						want = "accept IPv4 proto=17 " + map[bool]string{true: "r", false: "l"}[remote] + "port=" + tc.want
					}
					if got := dumpACE(e); got != want {
						t.Errorf("%s %s: got %q, want %q", e.Path, side, got, want)
					}
				}
			}
		})
	}
}

// TestToDevice has what is the other way round in to-device ACLs.
func TestToDevice(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"R8520-8.2-a", `"ietf-acldns:dst-dnsname":"a.example"`, "refused"},
		{"R8520-8.1-a", `"ietf-acldns:src-dnsname":"a.example"`, "accept IPv4 name=a.example"},
		{"R8520-2-c", `"destination-ipv4-network":"192.0.2.1/32"`, "refused"},
		{"R8520-2-c half a group", `"destination-ipv4-network":"224.0.0.0/3"`, "refused"},
		{"RMX-2.3-a", `"destination-ipv4-network":"239.255.255.250/24","source-ipv4-network":"192.0.2.0/24"`,
			"accept IPv4 prefix=192.0.2.0/24 group=239.255.255.0/24"},
		{"R8520-2-b", `"source-ipv4-network":"192.0.2.0/24"`, "accept IPv4 prefix=192.0.2.0/24"},
	} {
		p, _, err := Parse(aceFile(v4, accept(`"tcp":{}`), accept(`"ipv4":{`+tc.in+`}`)))
		if err != nil {
			t.Fatal(err)
		}
		if got := dumpACE(p.ToDevice.ACEs[0]); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
