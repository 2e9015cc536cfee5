package mud

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// converted converts a file, and checks what must hold of every conversion: it parses, and a second one changes nothing.
func converted(t *testing.T, raw []byte) (string, []Change) {
	t.Helper()
	out, changes, err := Convert(raw)
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	checkConverted(t, raw, out, changes)
	v, _ := scanJSON(out)
	return v.String(), changes
}

func checkConverted(t *testing.T, raw, out []byte, changes []Change) {
	t.Helper()
	p, _, err := Parse(out)
	if err != nil {
		t.Errorf("the converted file is refused: %v", err)
	}
	again, more, err := Convert(out)
	if err != nil || len(more) > 0 || !bytes.Equal(again, out) {
		t.Errorf("converting again: %v, %v\nof %s\nto %s\nand %s", more, err, raw, out, again)
	}
	u, sig, err := HeadLegacy(raw)
	if err != nil || u != p.URL || sig != p.Signature {
		t.Errorf("HeadLegacy gives %q, %q, %v and Parse %q, %q", u, sig, err, p.URL, p.Signature)
	}
	if len(changes) > maxProblems+1 {
		t.Errorf("%d changes", len(changes))
	}
	for _, c := range changes {
		if c.Row == "" || c.Message == "" || Clean(c.String(), 5000) != c.String() {
			t.Errorf("bad change %q", c)
		}
	}
}

func hasRow(changes []Change, row string) bool {
	for _, c := range changes {
		if c.Row == row {
			return true
		}
	}
	return row == ""
}

// TestConvertLeaves converts what stands in the mud container: old becomes new there, "" means that it is left out.
func TestConvertLeaves(t *testing.T) {
	const at = `"mud-url":"https://mud.example/m1"`
	for _, tc := range []struct{ name, row, old, new string }{
		{"fine", "", at, at},
		{"R8520-1.5-a http", "R8520-1.5-a", `"mud-url":"http://mud.example/m1"`, at},
		{"R8520-1.5-a case is fine", "", `"mud-url":"HTTPS://mud.example/m1"`, `"mud-url":"HTTPS://mud.example/m1"`},
		{"no scheme", "RAU-5-b", `"mud-url":"mud.example/m1"`, at},
		{"space in host", "R8520-6-b", `"mud-url":"https://my mud.example/m1"`, `"mud-url":"https://my-mud.example/m1"`},
		{"space in path", "RAU-5-b", `"mud-url":" https://mud.example/m 1"`, `"mud-url":"https://mud.example/m%201"`},
		{"not ASCII", "R8520-6-b", `"mud-url":"https://mud.example/ü"`, `"mud-url":"https://mud.example/%C3%BC"`},
		{"underscore is fine", "", `"mud-url":"https://my_mud.example/m1"`, `"mud-url":"https://my_mud.example/m1"`},
		{"R8520-3.2-a empty", "R8520-3.2-a", `"mud-url":""`, `"mud-url":"` + noURL + `"`},
		{"camel case", "T-14", `"mudUrl":"https://mud.example/m1"`, at},
		{"prefix", "T-14", `"ietf-mud:mud-url":"https://mud.example/m1"`, at},
		{"R8520-3.1-a quoted", "R7951-6-b", `"mud-version":"1"`, `"mud-version":1`},
		{"R8520-3.1-a missing", "R8520-3.1-a", ``, `"mud-version":1`},
		{"R7951-6-b boolean", "R7951-6-b", `"is-supported":"true"`, `"is-supported":true`},
		{"R7951-6-b case", "R7951-6-b", `"is-supported":"False"`, `"is-supported":false`},
		{"R8520-3.6-a", "R8520-3.6-a", `"is-supported":"perhaps"`, `"is-supported":false`},
		{"R8520-3.5-b clamped", "R8520-3.5-b", `"cache-validity":14400`, `"cache-validity":168`},
		{"R8520-3.5-b 0", "R8520-3.5-b", `"cache-validity":0`, `"cache-validity":1`},
		{"R8520-3.5-b quoted", "R8520-3.5-b", `"cache-validity":"48"`, `"cache-validity":48`},
		{"R8520-3.5-b 47.5", "R8520-3.5-b", `"cache-validity":47.5`, `"cache-validity":47`},
		{"R8520-3.5-b text", "R8520-3.5-b", `"cache-validity":"a day"`, ``},
		{"R8520-3.4-a no zone", "R8520-3.4-a", `"last-update":"2021-04-03T02:55:15"`, `"last-update":"2021-04-03T02:55:15Z"`},
		{"R8520-3.4-a space", "R8520-3.4-a", `"last-update":"2021-04-03 02:55:15.5+02:00"`, `"last-update":"2021-04-03T02:55:15.5+02:00"`},
		{"R8520-3.4-a zone", "R8520-3.4-a", `"last-update":"2021-04-03t02:55:15-0730"`, `"last-update":"2021-04-03T02:55:15-07:30"`},
		{"R8520-3.4-a date", "R8520-3.4-a", `"last-update":"2021/04/03"`, `"last-update":"2021-04-03T00:00:00Z"`},
		{"R8520-3.4-a RFC 1123", "R8520-3.4-a", `"last-update":"Sat, 03 Apr 2021 02:55:15 GMT"`, `"last-update":"2021-04-03T02:55:15Z"`},
		{"R8520-3.4-a Unix", "R8520-3.4-a", `"last-update":1617418515`, `"last-update":"2021-04-03T02:55:15Z"`},
		{"R8520-3.4-a JavaScript", "R8520-3.4-a", `"last-update":"1617418515000"`, `"last-update":"2021-04-03T02:55:15Z"`},
		{"R8520-3.4-a ambiguous", "R8520-3.4-a", `"last-update":"04/03/2021"`, `"last-update":"1970-01-01T00:00:00Z"`},
		{"R8520-3.4-a named zone", "R8520-3.4-a", `"last-update":"Sat Apr  3 02:55:15 CEST 2021"`, `"last-update":"1970-01-01T00:00:00Z"`},
		{"R8520-3.4-a month", "R8520-3.4-a", `"last-update":"2021-13-03T02:55:15Z"`, `"last-update":"1970-01-01T00:00:00Z"`},
		{"RAU-5-d http", "RAU-5-d", `"mud-signature":"http://h.example/x.p7s"`, `"mud-signature":"https://h.example/x.p7s"`},
		{"RAU-5-d relative is fine", "", `"mud-signature":"x.p7s"`, `"mud-signature":"x.p7s"`},
		{"RAU-5-d empty", "RAU-5-d", `"mud-signature":""`, ``},
		{"RAU-5-d number", "RAU-5-d", `"mud-signature":5`, ``},
		{"R8520-4.3-a empty", "R8520-4.3-a", `"documentation":""`, ``},
		{"R8520-4.3-a no scheme", "R8520-4.3-a", `"documentation":"docs.example/x y"`, `"documentation":"https://docs.example/x%20y"`},
		{"R8520-3.7-a control", "R8520-3.7-a", `"systeminfo":"a\u0007b"`, `"systeminfo":"a` + "\ufffd" + `b"`},
		{"R8520-3.7-a raw", "R8520-2-a", "\"systeminfo\":\"a\tb\"", `"systeminfo":"a b"`},
		{"R8520-3.7-a number", "R7951-6-b", `"systeminfo":5`, `"systeminfo":"5"`},
		{"R8520-3.8-a list", "R8520-3.8-a", `"mfg-name":["x"]`, ``},
		{"R8520-3.9-a text", "R8520-3.9-a", `"extensions":"ol"`, `"extensions":["ol"]`},
		{"R8520-3.9-a odd", "R8520-3.9-a", `"extensions":["ol","ol",5,""]`, `"extensions":["ol"]`},
		{"R9472-3-a", "R7951-4-a", `"mudtx:transparency":{}`, `"ietf-mud-transparency:transparency":{}`},
		{"R8520-2-i", "R8520-2-i", `"key":"value"`, ``},
		{"R8520-3.9-b other modules stay", "", `"x:y":{}`, `"x:y":{}`},
		{"slip", "T-14", `"cache-validty":48`, `"cache-validity":48`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			have := tc.old
			for _, leaf := range strings.Split(goodLeaves, ",") {
				name, _, _ := strings.Cut(leaf, ":")
				if !strings.Contains(squash(tc.old), squash(name)) && !strings.Contains(tc.new, name) {
					have += "," + leaf
				}
			}
			got, changes := converted(t, []byte(`{"ietf-mud:mud":{`+strings.TrimPrefix(have, ",")+`}}`))
			if !strings.Contains(got, tc.new) || !hasRow(changes, tc.row) || tc.row == "" && len(changes) > 0 {
				t.Errorf("want %s and %s\nhave %s\n%v", tc.new, tc.row, got, changes)
			}
			if name, _, _ := strings.Cut(tc.old, ":"); tc.new == "" && tc.old != "" && strings.Contains(got, name+":") {
				t.Errorf("%s is still in %s", name, got)
			}
		})
	}
}

// TestConvertText reads what isn't quite JSON, or not only.
func TestConvertText(t *testing.T) {
	good := string(mudFile(goodLeaves, ""))
	want, _ := converted(t, []byte(good))
	for _, tc := range []struct{ name, raw string }{
		{"byte order mark", "\xef\xbb\xbf" + good},
		{"commas", strings.NewReplacer("}", ",\n}", "]", " , ]").Replace(strings.Replace(good, "[]", "[{}]", 1))},
		{"comments", "// a, }\n" + strings.ReplaceAll(good, ",", " /* , ] */ , # \" }\n") + "//"},
		{"encoded twice", string(appendString(nil, good))},
		{"encoded three times", string(appendString(nil, string(appendString(nil, good))))},
		{"root", strings.Replace(good, "ietf-mud:mud", "mud", 1)},
		{"roots", strings.NewReplacer("ietf-mud:mud", "ietf-mud:metaInfo", ":acls", ":access-lists").Replace(good)},
		{"list without its object", strings.Replace(good, `{"acl":[]}`, `[]`, 1)},
	} {
		if tc.name == "commas" {
			tc.raw = strings.Replace(tc.raw, "{,\n}", "", 1)
		}
		got, changes := converted(t, []byte(tc.raw))
		if got != want || len(changes) == 0 {
			t.Errorf("%s: %s\nwant %s\n%v", tc.name, got, want, changes)
		}
	}
	for _, raw := range []string{"", "[]", "5", good + "x", good[:len(good)-1], strings.Replace(good, ":{", ":{,", 1),
		strings.Replace(good, `":1`, `":1 "x"`, 1), "/*" + good, "\xff", strings.Repeat("[", 100), `{"ietf-mud:mud":5}`, `{"x":{}}`,
		`{"ietf-mud:mud":{` + goodLeaves + `},"mud":{}}`, string(mudFile(goodLeaves+`,"mud-version":1`, "")),
		string(mudFile(strings.Replace(goodLeaves, ":1", ":2", 1), "")), string(mudFile(strings.Replace(goodLeaves, "https", "coap", 1), "")),
		string(mudFile(strings.Replace(goodLeaves, "mud.example", "müd.example", 1), ""))} {
		if out, _, err := Convert([]byte(raw)); err == nil || out != nil || len(err.Error()) > 2000 {
			t.Errorf("%.100s becomes %s, %v", raw, out, err)
		}
		if _, problems, err := ParseLegacy([]byte(raw)); err == nil || worstOf(problems) != SeverityError {
			t.Errorf("%.100s: %v, %v", raw, problems, err)
		}
	}
}

// TestConvertACE converts one ACE of an ACL that both directions have. want is what becomes of it, "" that it is left out;
// typ is the type of the ACL, before and, where it changes, after.
func TestConvertACE(t *testing.T) {
	const v46 = "mixed-eth-ipv4-ipv6-acl-type"
	const name = `"ietf-acldns:dst-dnsname":"a.example"`
	m := func(matches string) string {
		return `{"name":"a","matches":{` + matches + `},"actions":{"forwarding":"accept"}}`
	}
	d := func(matches string) string { return strings.Replace(m(matches), "accept", "drop", 1) }
	with := func(actions string) string { return `{"name":"a","matches":{"ipv4":{}},"actions":` + actions + `}` }
	port := func(p string) string { return m(`"tcp":{"destination-port":` + p + `}`) }
	protocol := func(p string) string { return m(`"ipv4":{"protocol":` + p + `}`) }
	net := func(s string) string { return m(`"ipv4":{"destination-ipv4-network":"` + s + `"}`) }
	net6 := func(s string) string { return m(`"ipv6":{"destination-ipv6-network":"` + s + `"}`) }
	mud := func(s string) string { return m(`"ietf-mud:mud":{` + s + `}`) }
	for _, tc := range []struct{ row, typ, ace, want string }{
		{"", "ipv4-acl-type", m(`"ipv4":{"protocol":6,` + name + `},"tcp":{"destination-port":{"operator":"eq","port":443}}`), "same"},
		{"", "ipv4-acl-type", d(``), "same"},
		{"", "", m(`"ietf-mud:mud":{"local-networks":[null]}`), "same"},
		{"", "ietf-access-control-list:ipv4-acl-type", with(`{"forwarding":"ietf-access-control-list:accept","logging":"log-none"}`), "same"},

		// R8519-4-d: types, and what of them the ACEs need.
		{"R8519-4-d", "ipv4 ipv4-acl-type", m(`"ipv4":{}`), "same"},
		{"R8519-4-d", "ipv6-acl ipv6-acl-type", m(`"ipv6":{}`), "same"},
		{"R8519-4-d", "ethernet-acl-type eth-acl-type", m(`"eth":{"ethertype":2054}`), "same"},
		{"R8519-4-d", "mixed-l2-l3-ipv4-acl mixed-eth-ipv4-acl-type", m(`"ipv4":{}`), "same"},
		{"R8519-4-d", "any -", m(`"tcp":{}`), "same"},
		{"R8519-4-d", "- ipv4-acl-type", m(`"ipv4":{}`), "same"},
		{"R8519-4-d", "- eth-acl-type", m(`"eth":{"ethertype":2054}`), "same"},
		{"R8519-4-d", "ipv4-acl-type", m(`"eth":{"ethertype":"0x0800"}`), m(``)},
		{"R8519-4-d", "ipv6-acl-type", m(`"eth":{"ethertype":"IPv6"},"ipv6":{}`), m(`"ipv6":{}`)},
		{"T-14", "ipv4-acl-type mixed-eth-ipv4-acl-type", m(`"eth":{"ethertype":"0x0806"}`), m(`"eth":{"ethertype":2054}`)},
		{"T-14", "ipv4-acl-type mixed-eth-ipv4-acl-type", m(`"eth":{"destination-mac-address":"FFFF.FFFF.FFFF","ethertype":"0x0800"},"ipv4":{}`),
			m(`"eth":{"destination-mac-address":"FF:FF:FF:FF:FF:FF","ethertype":2048},"ipv4":{}`)},
		{"R8519-4-d", "ipv4-acl-type mixed-eth-ipv4-acl-type", m(`"eth":{"source-mac-address":"00:00:5e:00:00:01"},"tcp":{}`),
			m(`"eth":{"source-mac-address":"00:00:5e:00:00:01"},"tcp":{},"ipv4":{}`)},
		{"R8519-4-d", "ipv4-acl-type", m(`"ipv6":{` + name + `}`), ""},
		{"R8519-4-d", "ipv4-acl-type " + v46, d(`"ipv6":{` + name + `},"tcp":{}`), d(`"tcp":{}`)},
		{"R8519-4-d", "ipv4-acl-type", m(`"ipv4":{"protocol":6},"ipv6":{"protocol":6}`), protocol("6")},
		{"R8519-4-d", "", m(`"ipv4":{},"ipv6":{}`), ""},

		// R8519-4-f: actions.
		{"R8519-4-f", "ipv4-acl-type", with(`{"forwarding":"ACCEPT"}`), with(`{"forwarding":"accept"}`)},
		{"R8519-4-f", "ipv4-acl-type", with(`{"permit":[null]}`), with(`{"forwarding":"accept"}`)},
		{"R8519-4-f", "ipv4-acl-type", with(`{"deny":[null]}`), with(`{"forwarding":"drop"}`)},
		{"R8519-4-f", "ipv4-acl-type", with(`{"forwarding":"deny"}`), with(`{"forwarding":"drop"}`)},
		{"R8519-4-f", "ipv4-acl-type", with(`"permit"`), with(`{"forwarding":"accept"}`)},
		{"R8519-4-f", "ipv4-acl-type", with(`{"permit":[null],"deny":[null]}`), with(`{"forwarding":"drop"}`)},
		{"R8519-4-f", "ipv4-acl-type", with(`{"forwarding":"drop","x":1}`), with(`{"forwarding":"drop"}`)},
		{"R8520-2-f", "ipv4-acl-type", with(`{"forwarding":"accpet"}`), ""},
		{"R8520-2-f", "ipv4-acl-type", with(`{"forwarding":"log"}`), ""},
		{"R8520-2-f", "ipv4-acl-type", with(`{"permit":false}`), ""},
		{"R8520-2-f", "ipv4-acl-type", with(`{"forwarding":"accept","x":1}`), ""},
		{"R8520-2-f", "ipv4-acl-type", with(`{}`), ""},
		{"R8519-4-f", "ipv4-acl-type", `{"name":"a","matches":{"ipv4":{}}}`, ""},
		{"T-14", "ipv4-acl-type", `{"name":"a","matches":{"actions":{"forwarding":"accept"},"ipv4":{}}}`, with(`{"forwarding":"accept"}`)},
		{"T-14", "ipv4-acl-type", `{"name":"a","matches":{"forwarding":"drop","ipv4":{}}}`, with(`{"forwarding":"drop"}`)},
		{"T-13", "ipv4-acl-type", m(`"ipv4":{},"actions":{}`), ""},

		// T-14: names and places of drafts.
		{"T-14", "ipv4-acl-type", `{"rule-name":"a","matches":{"ipv4":{}},"actions":{"forwarding":"accept"}}`, m(`"ipv4":{}`)},
		{"T-14", "ipv4-acl-type", m(`"ipv4-acl":{"protocol":6,"destination-port-range":{"lower-port":1,"upper-port":2}},` +
			`"tcp-acl":{"ietf-mud:direction-initiated":"from-device"}`),
			m(`"ipv4":{"protocol":6},"tcp":{"destination-port":{"lower-port":1,"upper-port":2},"ietf-mud:direction-initiated":"from-device"}`)},
		{"T-14", "ipv4-acl-type", m(`"protocol":17,"source-port-range-or-operator":{"operator":"eq","port":53}`),
			m(`"ipv4":{"protocol":17},"udp":{"source-port":{"operator":"eq","port":53}}`)},
		{"T-14", "ipv4-acl-type", m(`"l3":{"ipv4":{"protocol":6}},"l4":{"tcp":{"dst-port":{"port":1}}}`),
			m(`"ipv4":{"protocol":6},"tcp":{"destination-port":{"port":1}}`)},
		{"T-14", "ipv4-acl-type", m(`"destination-port":{"port":1}`), ""},
		{"T-14", "ipv4-acl-type", d(`"destination-port":{"port":1}`), d(``)},
		{"T-14", "", m(`"protocol":6`), ""},
		{"T-14", "ipv4-acl-type", m(`"ietf-acldns:dst-dnsname":"a.example","tcp":{}`), m(`"ipv4":{` + name + `},"tcp":{}`)},
		{"T-14", "ipv6-acl-type", m(`"dst-dnsname":"a.example"`), m(`"ipv6":{` + name + `}`)},
		{"T-14", "ipv4-acl-type", m(`"ipv4":{"ietf-acldns:d:sdt-dnsname":"a.example"}`), m(`"ipv4":{` + name + `}`)},
		{"T-14", "ipv4-acl-type", m(`"ipv4":{"ietf-acl-dnsname:destination-hostname":"a.example"}`), m(`"ipv4":{` + name + `}`)},
		{"T-14", "ipv4-acl-type", m(`"ipv4":{"dst-dnsname":"a.example","ietf-acldns:dst-dnsname":"b.example"}`), ""},
		{"", "ipv4-acl-type", m(`"ipv4":{` + name + `},"x:y":1`), "same"},
		{"T-13", "ipv4-acl-type", m(`"ipv4":{` + name + `,"hops":3}`), ""},
		{"T-13", "ipv4-acl-type", d(`"ipv4":{` + name + `,"hops":3}`), d(`"ipv4":{` + name + `}`)},
		{"T-14", "", m(`"mud":{"local-networks":[null]}`), mud(`"local-networks":[null]`)},
		{"T-14", "", m(`"ietf-mud:mud-acl":{"my-controller":[null]}`), mud(`"my-controller":[null]`)},
		{"T-14", "", m(`"ietf-mud:same-manufacturer":[null]`), mud(`"same-manufacturer":[null]`)},

		// Values.
		{"R7951-6.9-a", "", mud(`"local-networks":null`), mud(`"local-networks":[null]`)},
		{"R7951-6.9-a", "", mud(`"local-networks":[]`), mud(`"local-networks":[null]`)},
		{"R7951-6.9-a", "", mud(`"local-networks":true`), mud(`"local-networks":[null]`)},
		{"R7951-6.9-a", "", mud(`"local-networks":""`), mud(`"local-networks":[null]`)},
		{"R7951-6.9-a", "", mud(`"local-networks":false`), ""},
		{"R8520-4.6-a", "", mud(`"controller":"bacnet"`), mud(`"controller":"urn:ietf:params:mud:bacnet"`)},
		{"R8520-4.6-a", "", mud(`"controller":"My Hub"`), mud(`"controller":"urn:ietf:params:mud:my-hub"`)},
		{"R8520-4.6-a", "", mud(`"controller":"hub.example"`), mud(`"controller":"https://hub.example"`)},
		{"R8520-4.6-a", "", mud(`"controller":"192.0.2.1"`), ""},
		{"", "", mud(`"controller":"http://hub.example"`), "same"},
		{"R8520-4.1-a", "", mud(`"manufacturer":"https://maker.example/"`), mud(`"manufacturer":"maker.example"`)},
		{"R8520-4.1-a", "", mud(`"manufacturer":"https://maker.example/lamp"`), ""},
		{"R8520-4.4-a", "", mud(`"model":"http://maker.example/lamp"`), mud(`"model":"https://maker.example/lamp"`)},
		{"R7951-6-b", "ipv4-acl-type", protocol(`"6"`), protocol(`6`)},
		{"R7951-6-b", "ipv4-acl-type", protocol(`"UDP"`), protocol(`17`)},
		{"R7951-6-b", "ipv4-acl-type", protocol(`6.0`), protocol(`6`)},
		{"R7951-6-b", "ipv4-acl-type", protocol(`"any"`), ""},
		{"R7951-6-b", "ipv4-acl-type", protocol(`256`), ""},
		{"", "ipv4-acl-type", protocol(`0`), "same"}, // T-30: Parse refuses it and says what to do
		{"R8520-8.1-a", "ipv4-acl-type", m(`"ipv4":{"ietf-acldns:dst-dnsname":"*.a.example"}`), ""},
		{"R8520-8.1-a", "ipv4-acl-type", d(`"ipv4":{"ietf-acldns:dst-dnsname":"*.a.example"}`), d(`"ipv4":{}`)},
		{"R8520-8.1-a", "ipv4-acl-type", m(`"ipv4":{"ietf-acldns:dst-dnsname":" a.example"}`), m(`"ipv4":{` + name + `}`)},
		{"R8520-2-b", "ipv4-acl-type", net("192.0.2.1"), net("192.0.2.1/32")},
		{"R8520-2-b", "ipv4-acl-type", net("192.0.2.0/255.255.255.0"), net("192.0.2.0/24")},
		{"R8520-2-b", "ipv4-acl-type", net("192.0.2.0/255.0.255.0"), ""},
		{"R8520-2-b", "ipv4-acl-type", net("192.0.2.*"), ""},
		{"R8520-2-b", "ipv4-acl-type", net("192.000.002.001"), ""},
		{"R8520-2-b", "ipv6-acl-type", net6("ff05:0:0:0:0:0:0:c"), net6("ff05::c/128")},
		{"R8520-2-b", "ipv6-acl-type", net6("[2001:DB8::1] / 32"), net6("2001:db8::1/32")},
		{"R8520-2-b", "ipv6-acl-type", net6("ff02:::1"), ""},
		{"T-14", "ipv6-acl-type", m(`"ipv6":{"dst-ipv6-network":"::/0"}`), net6("::/0")},
		{"R8519-4-e", "ipv4-acl-type", port(`"443"`), port(`{"operator":"eq","port":443}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`443`), port(`{"operator":"eq","port":443}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`"80-90"`), port(`{"lower-port":80,"upper-port":90}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"eq","port":"443"}`), port(`{"operator":"eq","port":443}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"range","lower-port":1,"upper-port":2}`), port(`{"lower-port":1,"upper-port":2}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"eq","lower-port":1,"upper-port":2}`), port(`{"lower-port":1,"upper-port":2}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"eq","port":2,"lower-port":1,"upper-port":3}`), port(`{"operator":"eq","port":2}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"eq","port":4,"lower-port":1,"upper-port":3}`), ""},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"neq","port":2,"lower-port":1,"upper-port":3}`), ""},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"gt","port":1023}`), port(`{"operator":"gte","port":1024}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"lt","port":1024}`), port(`{"operator":"lte","port":1023}`)},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"gt","port":65535}`), ""},
		{"R8519-4-e", "ipv4-acl-type", port(`{"lower-port":2,"upper-port":1}`), ""},
		{"R8519-4-e", "ipv4-acl-type", port(`{"lower-port":2}`), ""},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"eq"}`), ""},
		{"R8519-4-e", "ipv4-acl-type", port(`{"operator":"range","port":5}`), ""},
		{"R8519-4-e", "ipv4-acl-type", port(`{"port":65536}`), ""},
		{"R8519-4-e", "ipv4-acl-type", port(`[80,443]`), ""},
		{"", "ipv4-acl-type", port(`{"upper-port":2,"lower-port":1}`), "same"},
		{"R8520-4.8-b", "ipv4-acl-type", m(`"tcp":{"ietf-mud:direction-initiated":"FROM_DEVICE"}`), m(`"tcp":{"ietf-mud:direction-initiated":"from-device"}`)},
		{"T-14", "ipv4-acl-type", m(`"tcp":{"direction-initiated":"from-device"}`), m(`"tcp":{"ietf-mud:direction-initiated":"from-device"}`)},
		{"R8520-4.8-b", "ipv4-acl-type", m(`"tcp":{"ietf-mud:direction-initiated":"both"}`), ""},
		{"R8520-4.8-a", "ipv4-acl-type", m(`"udp":{"ietf-mud:direction-initiated":"from-device"}`), ""},
		{"R8519-4-i", "ipv4-acl-type", m(`"tcp":{},"udp":{}`), ""},
		{"R8519-4-i", "ipv4-acl-type", d(`"ipv4":{"protocol":6},"tcp":{},"udp":{}`), d(`"ipv4":{}`)},
		{"T-14", "ipv4-acl-type", m(`"eth":{"ethertype":"0xzz"}`), ""},
	} {
		t.Run(tc.typ+" "+tc.ace, func(t *testing.T) {
			if tc.want == "same" {
				tc.want = tc.ace
			}
			before, after, changes := strings.Cut(tc.typ, " ")
			if !changes {
				after = before
			}
			typ := map[bool]string{true: `,"type":"` + before + `"`}[before != "" && before != "-"]
			raw := mudFile(goodLeaves+strings.Replace(bothPolicies, `"in"`, `"out"`, 1), `{"name":"out"`+typ+`,"aces":{"ace":[`+tc.ace+`]}}`)
			got, list := converted(t, raw)
			if !strings.Contains(got, `"ace":[`+tc.want+`]`) || !hasRow(list, tc.row) || tc.row == "" && len(list) > 0 {
				t.Errorf("want %s (%s)\nhave %s\n%v", tc.want, tc.row, got, list)
			}
			if want := `"type":"` + after + `"`; strings.Contains(got, `"type"`) != (after != "" && after != "-") ||
				strings.Contains(got, `"type"`) && !strings.Contains(got, want) {
				t.Errorf("want %s, have %s", want, got)
			}
		})
	}
}

// TestConvertPolicies converts how policies and ACLs refer to each other.
func TestConvertPolicies(t *testing.T) {
	lists := func(names ...string) string {
		for i, n := range names {
			names[i] = `{"name":"` + n + `"}`
		}
		return `{"access-lists":{"access-list":[` + strings.Join(names, ",") + `]}}`
	}
	acl := func(name, aces string) string { return `{"name":"` + name + `","aces":{"ace":[` + aces + `]}}` }
	a := accept(`"ietf-mud:mud":{"my-controller":[null]}`)
	for _, tc := range []struct{ name, row, policies, acls, wantPolicies, wantACLs string }{
		{"R8520-3.3-a dangling", "R8520-3.3-a", `,"from-device-policy":` + lists("x", "out"), acl("out", a),
			`,"from-device-policy":` + lists("out"), acl("out", a)},
		{"T-09 listed twice", "T-09", `,"from-device-policy":` + lists("out", "out"), acl("out", a),
			`,"from-device-policy":` + lists("out"), acl("out", a)},
		{"T-09 same ACL twice", "T-09", `,"from-device-policy":` + lists("out"), acl("out", a) + "," + acl("out", a),
			`,"from-device-policy":` + lists("out"), acl("out", a)},
		{"T-09 two ACLs", "T-09", `,"from-device-policy":` + lists("out", "out-2"), acl("out", a) + "," + acl("out", ``) + "," + acl("out-2", a),
			`,"from-device-policy":` + lists("out", "out-2"), acl("out", a) + "," + acl("out-3", ``) + "," + acl("out-2", a)},
		{"T-09 ACEs", "T-09", `,"from-device-policy":` + lists("out"), acl("out", a+","+a),
			`,"from-device-policy":` + lists("out"), acl("out", a+","+strings.Replace(a, `"a"`, `"a-2"`, 1))},
		{"T-12 no policies", "T-12", ``, acl("out", a), `,"from-device-policy":{},"to-device-policy":{}`, acl("out", a)},
		{"T-14 acl-name", "T-14", `,"from-device-policy":{"access-lists":{"access-list":[{"acl-name":"out","acl-type":"x"}]}}`,
			`{"acl-name":"out","access-list-entries":{"ace":[` + a + `]}}`, `,"from-device-policy":` + lists("out"), acl("out", a)},
		{"T-14 plain names", "T-14", `,"from-device-policy":["out"]`, `{"name":"out","aces":[` + a + `]}`,
			`,"from-device-policy":` + lists("out"), acl("out", a)},
		{"T-14 one object", "T-14", `,"from-device-policy":{"access-list":{"name":"out"}}`, acl("out", a),
			`,"from-device-policy":` + lists("out"), acl("out", a)},
		{"T-14 direction", "T-14", ``, `{"name":"out","ietf-mud:direction":"from-device","aces":{"ace":[` + a + `]}}`,
			`,"from-device-policy":` + lists("out"), acl("out", a)},
		{"T-14 packet-direction", "T-14", `,"to-device-policy":` + lists("in"), acl("in", a) + `,{"name":"out","ietf-mud:packet-direction":"from-device"}`,
			`,"to-device-policy":` + lists("in") + `,"from-device-policy":` + lists("out"), acl("in", a) + `,{"name":"out"}`},
		{"T-14 null allows nothing", "T-14", `,"from-device-policy":null`, ``, `,"from-device-policy":{}`, ``},
		{"R8519-4-b long", "R8519-4-b", `,"from-device-policy":` + lists(strings.Repeat("x", 70)), acl(strings.Repeat("x", 70), a),
			`,"from-device-policy":` + lists(strings.Repeat("x", 64)), acl(strings.Repeat("x", 64), a)},
		{"R8519-4-b none", "R8519-4-b", `,"from-device-policy":{}`, `{}`, `,"from-device-policy":{}`, `{"name":"unnamed acl"}`},
		{"R8520-2-a odd", "R8520-2-a", `,"from-device-policy":` + lists("out"), acl("out", "5,null,"+a) + ",7", `,"from-device-policy":` + lists("out"), acl("out", a)},
	} {
		got, changes := converted(t, mudFile(goodLeaves+tc.policies, tc.acls))
		if want := string(mudFile(goodLeaves+tc.wantPolicies, tc.wantACLs)); got != want || !hasRow(changes, tc.row) {
			t.Errorf("%s: have %s\nwant %s\n%v", tc.name, got, want, changes)
		}
	}
	for _, second := range []string{drop(``), `{"name":"a","actions":{"deny":[null]}}`} { // T-09
		raw := mudFile(goodLeaves+`,"from-device-policy":`+lists("out"), acl("out", a)+","+acl("out", second))
		if _, _, err := Convert(raw); err == nil {
			t.Errorf("the drop of an ACL with a name that is taken is lost: %s", second)
		}
	}
}

// A to-device ACE that described replies must not open a way in because its counterpart is left out (T-01).
func TestConvertOrphans(t *testing.T) {
	out := func(name string) string {
		return accept(`"ipv4":{"ietf-acldns:dst-dnsname":"` + name + `"},"tcp":{"destination-port":{"operator":"eq","port":443}}`)
	}
	in := accept(`"ipv4":{"ietf-acldns:src-dnsname":"a.example"},"tcp":{"source-port":{"port":443}}`)
	other := accept(`"ipv4":{"ietf-acldns:src-dnsname":"a.example"},"tcp":{"source-port":{"port":80}}`)
	for _, tc := range []struct {
		name, out, in string
		stays         bool
	}{
		{"counterpart kept", out("a.example"), in, true},
		{"counterpart without action", strings.Replace(out("a.example"), "accept", "??", 1), in, false},
		{"counterpart with a wildcard", out("*.example"), in, false},
		{"another port", out("*.example"), other, true},
		{"drop", out("*.example"), strings.Replace(in, "accept", "drop", 1), true},
		{"says who opens", out("*.example"), strings.Replace(in, `"tcp":{`, `"tcp":{"ietf-mud:direction-initiated":"to-device",`, 1), true},
	} {
		got, _ := converted(t, aceFile(v4, tc.out, tc.in))
		if strings.Contains(got, `"ietf-acldns:src-dnsname"`) != tc.stays {
			t.Errorf("%s: want it to stay: %t, have %s", tc.name, tc.stays, got)
		}
	}
	dangling := strings.Replace(string(aceFile(v4, out("a.example"), in)), `{"name":"out"}`, `{"name":"gone"}`, 1)
	if got, _ := converted(t, []byte(dangling)); strings.Contains(got, "src-dnsname") {
		t.Errorf("the ACL for the other direction is missing, and this stays: %s", got)
	}
}

// TestConvertGood leaves a good file as it is, and only indents it.
func TestConvertGood(t *testing.T) {
	raw, err := os.ReadFile("testdata/lamp.json")
	if err != nil {
		t.Fatal(err)
	}
	v, _ := scanJSON(raw)
	if got, changes := converted(t, raw); got != v.String() || len(changes) > 0 {
		t.Errorf("%v\n%s\nwant\n%s", changes, got, v)
	}
}

func TestParseLegacy(t *testing.T) {
	raw := bytes.Replace(mudFile(goodLeaves, ""), []byte(":acls"), []byte(":access-lists"), 1)
	p, problems, err := ParseLegacy(raw)
	want := `warning: ietf-access-control-list:access-lists: converted: "ietf-access-control-list:access-lists" becomes ` +
		`ietf-access-control-list:acls, its name in RFC 8520 (T-14) (T-14)`
	if err != nil || p.URL.String() != "https://mud.example/m1" || problems[0].String() != want {
		t.Errorf("%v, %v, %v", p, problems, err)
	}
}

// The bounds of Parse hold for files that are converted, too (R8520-16-l).
func TestConvertBounds(t *testing.T) {
	acls := `{"name":"out","aces":{"ace":[` + manyACEs(MaxACEs+1, "") + `]}}`
	var names strings.Builder
	for i := range MaxACEs + 1 {
		fmt.Fprintf(&names, `%s{"name":"%d"}`, map[bool]string{true: ","}[i > 0], i)
	}
	for _, raw := range [][]byte{mudFile(goodLeaves, acls), mudFile(goodLeaves, names.String()),
		bytes.Repeat([]byte{' '}, MaxFileSize+1), []byte(strings.Repeat("#\n", MaxFileSize)), bytes.Repeat([]byte(`"`), MaxFileSize)} {
		if _, changes, err := Convert(raw); err == nil || len(changes) > maxProblems+1 {
			t.Errorf("%.50s: %d changes, %v", raw, len(changes), err)
		}
	}
	long := mudFile(goodLeaves+`,"x:y":[`+strings.Repeat("[],", 60000)+"[]]", "")
	if _, changes := converted(t, long); len(changes) > 0 {
		t.Error(changes)
	}
}
