package mud

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mutation is a file with one thing changed.
type mutation struct {
	what string
	raw  []byte
}

// mutations changes each node of a file in all the ways that a YANG module can be violated by, and in some that it can't. All
// but the first leave the mud container alone, which is the same in each file, and what seen has was tried in another file.
func mutations(t testing.TB, name string, raw []byte, first bool, seen map[string]bool) []mutation {
	root, err := scanJSON(raw)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var out []mutation
	indices := regexp.MustCompile(`\[\d+\]`)
	emit := func(what string) {
		key := fmt.Sprint(strings.HasSuffix(name, "drop"), indices.ReplaceAllString(what, ""))
		if seen[key] {
			return
		}
		seen[key] = true
		out = append(out, mutation{name + ": " + what, write(root)})
	}
	emit("as it is")
	if !first {
		for i := range root.kids {
			if m := &root.kids[i]; m.name == rootACLs {
				mutate(&m.value, m.name, emit)
			}
		}
		return out
	}
	mutate(root, "", emit)
	return out
}

func mutate(v *value, path string, emit func(string)) {
	for i := range v.kids {
		m := &v.kids[i]
		at := path + index(i)
		if v.kind == kindObject {
			at = path + step(m.name)
		}
		old := *m
		for _, lit := range replacements(m) {
			m.value = lit
			emit(at + " = " + flat(&lit))
		}
		*m = old
		if v.kind == kindObject {
			for _, n := range renames(m.name) {
				m.name = n
				emit(at + " named " + n)
			}
			*m = old
		}
		kids := v.kids
		v.kids = slices.Delete(slices.Clone(kids), i, i+1)
		emit(at + " removed")
		v.kids = slices.Insert(slices.Clone(kids), i, *m)
		if v.kind == kindArray {
			emit(at + " twice")
		}
		v.kids = kids
		mutate(&m.value, at, emit)
	}
	if v.kind != kindObject {
		return
	}
	kids := v.kids
	for _, extra := range additions() {
		if !slices.ContainsFunc(kids, func(m member) bool { return m.name == extra.name }) {
			v.kids = append(slices.Clone(kids), extra)
			emit(path + " plus " + extra.name + " " + flat(&extra.value))
		}
	}
	v.kids = kids
}

func flat(v *value) string {
	return Clean(v.String(), 120)
}

func parsed(json string) value {
	v, err := scanJSON([]byte(json))
	if err != nil {
		panic(fmt.Sprint(json, err))
	}
	return *v
}

// replacements gives other values for a member: any JSON type, and texts and numbers at the limits of its type.
func replacements(m *member) []value {
	var out []value
	all := `null [null] [] {} "" "x" 5 true "true" [5] ["x"] [[null]] [null,null] [{}]`
	if m.kind == kindNumber {
		all += ` -1 1.5 1e1 15e-1 0 1 "5" 3 4 15 16 19 20 60 61 63 64 168 169 255 256 65535 65536 1048575 1048576 4294967295 4294967296`
	}
	for _, s := range strings.Fields(all) {
		out = append(out, parsed(s))
	}
	own := value{kind: kindArray, kids: []member{{value: m.value}}}
	out = append(out, own, value{kind: kindString, text: flat(&m.value)})
	for _, s := range texts(m) {
		out = append(out, value{kind: kindString, text: s})
	}
	return out
}

// texts gives the strings to try for a leaf, by what its name says of its type.
func texts(m *member) []string {
	switch n := m.name; {
	case m.kind != kindString && m.kind != kindNumber:
	case strings.Contains(n, "dnsname"), n == "manufacturer":
		return strings.Split("a|ab|a.b|A.B.|_a.b|a_b.c|a..b|.a|*.a|a-.b|-a.b|ab-|a b|ä.b|1.2.3.4|1.2.3.04|1.2.3|300.1.1.1|1.2.3.4%eth0|"+
			"1.2.3.4%|fe80::1%eth0|fe80::1%e/0|::1%a b|::1|::|1:2|1::2::3|:::|1:2:3:4:5:6:7:8|1:2:3:4:5:6:7:8:9|12345::|::1.2.3.4|"+
			"::1.2.3.04|::1.2.3.256|::1.2.3.4%x|1:2:3:4:5:6:7::|::2:3:4:5:6:7:8|1::3:4:5:6:7:8|[::1]|1.2.3.4/32|xn--a.b|0x7f|a.5|..|.|12|"+
			"a.b:443|https://a.b|"+strings.Repeat("x", 63)+".a|"+strings.Repeat("x", 64)+".a|"+
			strings.Repeat(strings.Repeat("x", 49)+".", 5)+"abc|"+strings.Repeat(strings.Repeat("x", 49)+".", 5)+"abcd|a.b\n|a\x01b", "|")
	case strings.HasSuffix(n, "-network"):
		return strings.Split("1.2.3.4/32|1.2.3.4/33|1.2.3.4/08|1.2.3.4/8|1.2.3.4|01.2.3.4/8|1.2.3/24|0.0.0.0/0|1.2.3.4/ 8| 1.2.3.4/8|1.2.3.4/8\n|"+
			"1.2.3.4/+8|::/0|::1/128|::1/129|::1/08|::1/00|::1/008|::ffff:1.2.3.4/128|::ffff:01.2.3.004/128|1:2/16|fe80::1%e/64|2001:DB8::/32|"+
			"1:2:3:4:5:6:7:8/64|1:2:3:4:5:6:7::8/64|1::2::3/64|::1.2.3.4:5/64|1:2:3:4:5:6:1.2.3.4/64|1::2:3:4:5:1.2.3.4/64|"+
			"1:2:3:4:5::1.2.3.4/64|1:2:3:4:5:6::1.2.3.4/64|::/|/64|:/64|:::/64|1:/64|::12345/64|::.../64|::1.2.3.4.5/96|::a.b/64|1:::2/64|"+
			"::1/64/64|:1::2/64|1::2:/64|224.0.0.1/32|224.0.0.0/3|ff02::1/128|2001:db8::1", "|")
	case strings.HasPrefix(n, "last-update"):
		return strings.Split("2026-01-31T12:00:00|2016-12-31T23:59:60Z|2026-02-31T12:00:00Z|2026-01-31T12:00:00+14:00|2026-01-31T12:00:00+14:01|"+
			"2026-01-31T12:00:00-00:00|2026-01-31T12:00:00-13:59|2026-01-31t12:00:00z|2026-01-31T12:00:00.123456789123Z|2026-01-31T12:00:00.Z|"+
			"2026-01-31T24:00:00Z|0000-01-01T00:00:00Z|2026-01-31T12:60:00Z|2026-01-31T12:00:61Z|2026-13-01T12:00:00Z|2026-00-10T12:00:00Z|"+
			"2026-01-31T12:00:00+0100|2026-01-31 12:00:00Z| 2026-01-31T12:00:00Z|2026-01-31T12:00:00Z |2026-01-31T12:00:005Z|2026-1-31T12:00:00Z|"+
			"2026-01-31T12:00:00+1:00|2026-01-31T12:00:00+01:60|2026-01-31T12:00:00+01:00Z|2026-01-31|26-01-31T12:00:00Z|2026-01-00T12:00:00Z", "|")
	case strings.Contains(n, "mac-address"):
		return strings.Split("00:11:22:33:44:55|00-11-22-33-44-55|0:1:2:3:4:5|00:11:22:33:44:5g|AA:BB:CC:DD:EE:FF|00:11:22:33:44|00:11:22:33:44:55:66|"+
			"001122334455|ff:ff:ff:00:00:00|00:11:22:33:44:55 ", "|")
	case n == "ethertype":
		return strings.Split("ipv4|ipv6|arp|lldp|IPv4|0x0800|2048|foo|hsr|eapol", "|")
	case n == "flags":
		return strings.Split("syn|syn ack|SYN|more|more fragment|more  fragment| more|more more|x|reserved\tmore|more\n|syn,ack|more\u00a0fragment", "|")
	case n == "options", n == "rest-of-header", n == "accept-list-ta-cert":
		return strings.Split("AA==|AA|A===|AAA=|AA==\n|A A==| AA==|!|AB==|AA==AA==|_-8=|"+strings.Repeat("A", 52)+"AA==|"+strings.Repeat("A", 56)+"|"+
			strings.Repeat("A", 400), "|")
	case n == "type", n == "forwarding", n == "logging":
		return strings.Split("ipv4-acl-type|ipv6-acl-type|eth-acl-type|mixed-eth-ipv4-acl-type|mixed-eth-ipv6-acl-type|mixed-eth-ipv4-ipv6-acl-type|"+
			"ietf-access-control-list:ipv4-acl-type|acl:ipv4-acl-type|ietf-mud:ipv4-acl-type|acl-base|ipv4|ethernet-acl-type| ipv4-acl-type|accept|"+
			"drop|reject|deny|Accept|ietf-access-control-list:drop|forwarding-action|log-syslog|log-none|log-all|ietf-access-control-list:log-syslog", "|")
	case n == "name", n == "version-info", n == "owner-name":
		return append(strings.Split("out|in|none|a b|a\tb|ä|a\u202eb|a\x01b|a\ufdd0b", "|"), strings.Repeat("x", 64), strings.Repeat("x", 65),
			strings.Repeat("ä", 64), strings.Repeat("ä", 65), strings.Repeat("x", 129))
	case strings.Contains(n, "ur"), n == "model", n == "controller", n == "documentation", n == "masa-server", n == "sbom-archive-list":
		return strings.Split("https://a.example/x|HTTPS://a.example|http://a.example/|v1.p7s|//a.example/x|https:|x:|1x:y|https://a b/|https://ä/|a\n:x|"+
			"https://x/\ny|-:|urn:ietf:params:mud:dns|URN:x:y|urn:|bacnet|mailto:a@a.example|tel:+1|coap://a|coaps://a|ftp://a|https://u@a.example/|"+
			"https://[::1]/|https://a.example:99999/|https://a_b.example/|https://"+strings.Repeat("x", 300)+"|https://a.example/%zz|sms:1|mailto", "|")
	case n == "operator", n == "ietf-mud:direction-initiated", n == "sbom-local-well-known":
		return strings.Split("eq|neq|lte|gte|gt|EQ|to-device|from-device|both|https|coaps|ftp|ietf-mud-transparency:http|mudtx:http", "|")
	case strings.HasPrefix(n, "matched"):
		return strings.Split("0|18446744073709551615|18446744073709551616|-1|x|1.5", "|")
	default:
		return append(strings.Split("a\x01b|a\tb|a\ufffeb|😀|tls12|tls13|dtls13|TLS13|\u202e", "|"), strings.Repeat("x", 40), strings.Repeat("ä", 41), strings.Repeat("x", 129))
	}
	return nil
}

func renames(name string) []string {
	bare := name[strings.IndexByte(name, ':')+1:]
	out := []string{strings.ToUpper(name), name + "x", "x:" + bare, "ietf-mud:" + bare, aclModule + ":" + bare, "@" + name}
	if bare != name {
		out = append(out, bare)
	}
	return slices.DeleteFunc(out, func(n string) bool { return n == name })
}

// additions are members to add to an object: unknown ones, and the other cases of choices.
func additions() []member {
	var out []member
	for _, m := range [][2]string{{"foo", `1`}, {"x:foo", `1`}, {"ietf-mud:foo", `1`}, {"ietf-acldns:dst-dnsname", `"a.example"`}, {"tcp", `{}`},
		{"tcp", `{"flags":"syn"}`}, {"udp", `{"length":9}`}, {"icmp", `{}`}, {"ipv4", `{}`}, {"ipv6", `{"protocol":6}`}, {"eth", `{"ethertype":2054}`},
		{"port", `1`}, {"operator", `"eq"`}, {"lower-port", `1`}, {"upper-port", `1`}, {"lower-port", `60000`}, {"actions", `{"forwarding":"accept"}`},
		{"statistics", `{}`}, {"egress-interface", `"eth0"`}, {"attachment-points", `{}`}, {"attachment-points", `{"interface":[{"interface-id":"eth0"}]}`},
		{"type", `"ipv4-acl-type"`}, {"logging", `"log-syslog"`}, {"ietf-mud:direction-initiated", `"to-device"`}, {"ietf-acl-tls:client-profiles", `{}`},
		{"ietf-mud-tls:is-tls-dtls-profile-supported", `true`}, {"ietf-mud-transparency:transparency", `{}`}, {"sbom-contact-uri", `"tel:1"`},
		{"vuln-url", `["https://a"]`}, {"license-info", `["https://a"]`}, {"ietf-interfaces:interfaces", `{}`}} {
		out = append(out, member{name: m[0], value: parsed(m[1])})
	}
	return out
}

// validFiles have between them every node that RFC 8520, RFC 8519 and the known extensions define.
func validFiles() []mutation {
	const head = `{"ietf-mud:mud":{"mud-version":1,"mud-url":"https://mud.example/m1","mud-signature":"https://mud.example/m1.p7s",` +
		`"last-update":"2026-01-31T12:00:00Z","cache-validity":48,"is-supported":true`
	acl := func(name, typ, matches, actions string) string {
		return `{"name":"` + name + `","type":"` + typ + `","aces":{"ace":[{"name":"a","matches":{` + matches + `},"actions":` + actions +
			`,"statistics":{"matched-packets":"5"}}]}}`
	}
	file := func(more, acls string) []byte {
		return []byte(head + more + bothPolicies + `},"ietf-access-control-list:acls":{"acl":[` + acls + `]}}`)
	}
	const accept, drop = `{"forwarding":"accept"}`, `{"forwarding":"drop","logging":"log-syslog"}`
	mac := `-mac-address":"00:00:5e:00:53:01"`
	v4 := `"ipv4":{"protocol":6,"dscp":1,"ecn":1,"length":100,"ttl":5,"ihl":5,"flags":"more fragment","offset":20,"identification":7,` +
		`"destination-ipv4-network":"192.0.2.0/24","ietf-acldns:dst-dnsname":"a.example"},"tcp":{"source-port":{"lower-port":5,"upper-port":10},` +
		`"destination-port":{"operator":"eq","port":443},"sequence-number":1,"acknowledgement-number":1,"data-offset":5,"reserved":0,` +
		`"flags":"syn","window-size":5,"urgent-pointer":1,"options":"AA==","ietf-mud:direction-initiated":"from-device"},` +
		`"ietf-mud:mud":{"manufacturer":"a.example","same-manufacturer":[null],"model":"https://a.example/m","local-networks":[null],` +
		`"controller":"urn:ietf:params:mud:dns","my-controller":[null]}`
	tls := `"ietf-acl-tls:client-profiles":{"tls-dtls-profile":[{"name":"p","supported-tls-version":["tls13"],"supported-dtls-version":["dtls13"],` +
		`"cipher-suite":[4865],"extension-type":[10],"accept-list-ta-cert":["AA=="],"psk-key-exchange-mode":[1],"application-protocol":["h2"],` +
		`"certificate-authorities":["CN=x"]}]}`
	icmp := `"ipv4":{"source-ipv4-network":"192.0.2.0/24","ietf-acldns:src-dnsname":"a.example"},"icmp":{"type":8,"code":0,"rest-of-header":"AA=="}`
	v6 := `"ipv6":{"protocol":17,"dscp":1,"flow-label":5,"destination-ipv6-network":"2001:db8::/32"},"udp":{"length":9,"source-port":{"port":5}},`
	eth := `"eth":{"destination` + mac + `,"destination-mac-address-mask":"ff:ff:ff:ff:ff:00","source` + mac + `,` +
		`"source-mac-address-mask":"ff:ff:ff:ff:ff:ff","ethertype":2054}`
	return []mutation{
		{"leaves", file(`,"systeminfo":"x","mfg-name":"x","model-name":"x","firmware-rev":"x","software-rev":"x","documentation":"https://a.example/",`+
			`"extensions":["transparency","ol","ietf-mud-tls","masa"],"ietf-mud-tls:is-tls-dtls-profile-supported":true,`+
			`"ietf-mud-brski-masa:masa-server":"https://a","ietf-mud-transparency:transparency":{"sboms":[{"version-info":"1",`+
			`"sbom-url":"https://a.example/"}],"sbom-archive-list":"https://a","vuln-url":["https://a"]},`+
			`"ietf-ol:ol":{"license":[{"owner-name":"x","spdx-tag":["MIT"]}]}`,
			acl("out", "ipv4-acl-type", `"tcp":{}`, accept)+","+acl("in", "ipv4-acl-type", `"udp":{}`, drop))},
		{"ipv4", file("", acl("out", "ipv4-acl-type", v4, accept)+","+acl("in", "ipv4-acl-type", icmp, accept))},
		{"ipv4 drop", file("", acl("out", "ipv4-acl-type", v4, drop)+","+acl("in", "ipv4-acl-type", icmp, drop))},
		{"ipv6", file("", acl("out", "ipv6-acl-type", v6+tls, accept)+","+acl("in", "ipv6-acl-type", `"ipv6":{"protocol":58},"icmp":{"type":128}`, drop))},
		{"eth", file("", acl("out", "eth-acl-type", eth, accept)+","+
			acl("in", "mixed-eth-ipv4-ipv6-acl-type", `"eth":{"ethertype":"ipv4"},"ipv4":{"protocol":6}`, drop))},
		{"unused ACL", []byte(head + `},"ietf-access-control-list:acls":{"acl":[` + acl("x", "ipv4-acl-type", v4, drop) + `]}}`)},
		{"one type", []byte(head + `,"from-device-policy":{"access-lists":{"access-list":[{"name":"x"}]}}},"ietf-access-control-list:acls":{"acl":[` +
			acl("x", "ipv4-acl-type", `"ipv4":{"protocol":6}`, drop) + `]}}`)},
	}
}
