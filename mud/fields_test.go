package mud

import (
	"fmt"
	"strings"
	"testing"
)

// TestFields reads one leaf of a container in an accept and in a drop (standards.md section 2.1, R8520-2-e). The wants are
// field:value/mask; "" is no condition, "refused" an accept that isn't applied.
func TestFields(t *testing.T) {
	for _, tc := range []struct{ container, leaf, accept, drop string }{
		{"ipv4", `"dscp":63`, "1:63/3f", "1:63/3f"},
		{"ipv4", `"dscp":64`, "refused", ""},
		{"ipv6", `"ecn":3`, "2:3/3", "2:3/3"},
		{"ipv4", `"ecn":4`, "refused", ""},
		{"ipv4", `"length":65535`, "3:65535/ffff", "3:65535/ffff"},
		{"ipv6", `"ttl":0`, "4:0/ff", "4:0/ff"},
		{"ipv4", `"ihl":15`, "5:15/f", "5:15/f"},
		{"ipv4", `"ihl":16`, "refused", ""}, // the YANG module allows it
		{"ipv4", `"ihl":4`, "refused", ""},
		{"ipv4", `"ihl":61`, "refused", ""},
		{"ipv6", `"ihl":5`, "refused", ""},
		{"ipv4", `"flags":"fragment"`, "6:2/7", "6:2/2"},
		{"ipv4", `"flags":" reserved\tfragment "`, "6:6/7", "6:6/6"},
		{"ipv4", `"flags":""`, "6:0/7", ""},
		{"ipv4", `"flags":"more fragment"`, "6:3/7", "6:2/2"}, // fragments are put together first (T-13)
		{"ipv4", `"flags":"more"`, "6:1/7", ""},
		{"ipv4", `"flags":"more more"`, "refused", ""},
		{"ipv4", `"flags":"df"`, "refused", ""},
		{"ipv4", `"offset":20`, "7:20/1fff", ""},
		{"ipv4", `"offset":8191`, "7:8191/1fff", ""},
		{"ipv4", `"offset":8192`, "refused", ""},
		{"ipv4", `"offset":19`, "refused", ""},
		{"ipv4", `"identification":65535`, "8:65535/ffff", "8:65535/ffff"},
		{"ipv6", `"flow-label":1048575`, "9:1048575/fffff", "9:1048575/fffff"},
		{"ipv6", `"flow-label":1048576`, "refused", ""},
		{"ipv4", `"flow-label":1`, "refused", ""},
		{"tcp", `"sequence-number":4294967295`, "10:4294967295/ffffffff", "10:4294967295/ffffffff"},
		{"tcp", `"sequence-number":4294967296`, "refused", ""},
		{"tcp", `"acknowledgement-number":1`, "11:1/ffffffff", "11:1/ffffffff"},
		{"tcp", `"data-offset":15`, "12:15/f", "12:15/f"},
		{"tcp", `"data-offset":4`, "refused", ""},
		{"tcp", `"reserved":15`, "13:15/f", "13:15/f"},
		{"tcp", `"reserved":16`, "refused", ""},
		{"tcp", `"flags":"syn"`, "14:2/ff", "14:2/2"},
		{"tcp", `"flags":"cwr ece urg ack psh rst syn fin"`, "14:255/ff", "14:255/ff"},
		{"tcp", `"flags":"SYN"`, "refused", ""},
		{"tcp", `"window-size":1`, "15:1/ffff", "15:1/ffff"},
		{"tcp", `"urgent-pointer":1`, "16:1/ffff", "16:1/ffff"},
		{"tcp", `"options":"AgQFtA=="`, "17:0/0020405b4", "17:0/0020405b4"},
		{"tcp", `"options":""`, "refused", ""},
		{"tcp", `"options":"` + strings.Repeat("AAAA", 13) + `AAA="`, "refused", ""}, // 41 octets
		{"tcp", `"options":"AgQFtA"`, "refused", ""},
		{"tcp", `"length":1`, "refused", ""},
		{"udp", `"length":8`, "18:8/ffff", "18:8/ffff"},
		{"udp", `"length":"8"`, "refused", ""},
		{"udp", `"flags":"syn"`, "refused", ""},
		{"icmp", `"rest-of-header":"AAE="`, "19:0/00001", "19:0/00001"},
		{"icmp", `"rest-of-header":""`, "", ""},
		{"icmp", `"rest-of-header":"` + strings.Repeat("AAAA", 21) + `AA=="`, "19:0/0" + strings.Repeat("0", 128), "19:0/0" + strings.Repeat("0", 128)},
		{"icmp", `"rest-of-header":"` + strings.Repeat("AAAA", 21) + `AAA="`, "refused", ""}, // T-13: 65 octets
	} {
		typ := v4
		if tc.container == "ipv6" {
			typ = v6
		}
		matches := `"` + tc.container + `":{` + tc.leaf + `}`
		p, problems, err := Parse(aceFile(typ, accept(matches), drop(matches)))
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{tc.accept, tc.drop} {
			ace := append(p.FromDevice.ACEs, p.ToDevice.ACEs...)[i]
			got := "refused"
			if ace.Refused == "" {
				got = dumpFields(ace.Match.Fields)
			}
			if got != want {
				t.Errorf("%s %s in %v: got %q, want %q: %v", tc.container, tc.leaf, ace.Action, got, want, problems)
			}
			if want != tc.accept && !worstUnder(problems, ace.Path) {
				t.Errorf("%s %s: nothing is said of the condition that is left out", tc.container, tc.leaf)
			}
		}
	}
}

func dumpFields(fields []FieldMatch) string {
	var out []string
	for _, f := range fields {
		out = append(out, fmt.Sprintf("%d:%d/%x%x", f.Field, f.Value, f.Mask, f.Bytes))
	}
	return strings.Join(out, " ")
}

// worstUnder tells whether there is more than a note about a path.
func worstUnder(problems []Problem, path string) bool {
	for _, p := range problems {
		if strings.HasPrefix(p.Path, path) && (p.Severity != SeverityNote || p.Row == "R8520-2-e") {
			return true
		}
	}
	return false
}

// TestFieldOrder has the fields in one order whatever that of the file is, as they are compared and written again.
func TestFieldOrder(t *testing.T) {
	p, _, err := Parse(aceFile(v4, accept(`"tcp":{"window-size":1,"flags":"syn"},"ipv4":{"ttl":1,"dscp":2}`), drop(``)))
	if err != nil {
		t.Fatal(err)
	}
	if got := dumpFields(p.FromDevice.ACEs[0].Match.Fields); got != "1:2/3f 4:1/ff 14:2/ff 15:1/ffff" {
		t.Errorf("got %s", got)
	}
}

// TestEther reads eth containers and ACL types (R8520-2-d, R8519-4-d). want and in are a from-device and a to-device ACE.
func TestEther(t *testing.T) {
	const eth, m4, m6, m46 = `,"type":"eth-acl-type"`, `,"type":"mixed-eth-ipv4-acl-type"`, `,"type":"mixed-eth-ipv6-acl-type"`,
		`,"type":"mixed-eth-ipv4-ipv6-acl-type"`
	for _, tc := range []struct{ typ, ace, want, in, row string }{
		{eth, accept(`"eth":{"ethertype":2048}`), "accept IPv4", "accept IPv4", "R8520-2-d"},
		{eth, accept(`"eth":{"ethertype":"ipv6"}`), "accept IPv6", "accept IPv6", "R8520-2-d"},
		{eth, accept(`"eth":{"ethertype":"arp"}`), "accept any ethertype=2054", "accept any ethertype=2054", "R8520-2-d"},
		{eth, accept(`"eth":{"ethertype":"hsr"}`), "accept any ethertype=35119", "accept any ethertype=35119", ""},
		{eth, accept(`"eth":{"ethertype":"0x0800"}`), "refused", "refused", "R8520-2-a"},
		{eth, drop(`"eth":{"ethertype":"0x0800"}`), "drop any", "drop any", "R8520-2-a"},
		{eth, accept(`"eth":{"ethertype":65536}`), "refused", "refused", "R8520-2-a"},
		{eth, accept(`"eth":{"destination-mac-address":"00:00:5E:00:53:01"}`), "accept any rmac=00:00:5e:00:53:01/ff:ff:ff:ff:ff:ff",
			"accept any lmac=00:00:5e:00:53:01/ff:ff:ff:ff:ff:ff", ""},
		{eth, accept(`"eth":{"source-mac-address":"00:00:5e:00:53:01","source-mac-address-mask":"ff:ff:ff:00:00:00"}`),
			"accept any lmac=00:00:5e:00:00:00/ff:ff:ff:00:00:00", "accept any rmac=00:00:5e:00:00:00/ff:ff:ff:00:00:00", ""},
		{eth, accept(`"eth":{"source-mac-address":"00-00-5e-00-53-01"}`), "refused", "refused", "R8520-2-a"},
		{eth, drop(`"eth":{"source-mac-address":"00:00:5e:00:53:01","source-mac-address-mask":"x"}`), "drop any", "drop any", "R8520-2-a"},
		{eth, accept(`"eth":{"source-mac-address-mask":"ff:ff:ff:00:00:00"}`), "refused", "refused", "T-13"},
		{eth, accept(`"eth":{},"ipv4":{}`), "refused", "refused", "R8519-4-d"},
		{v4, accept(`"eth":{"ethertype":"ipv4"}`), "refused", "refused", "R8519-4-d"},
		{m4, accept(`"eth":{"ethertype":"arp"},"ipv4":{"protocol":6}`), "refused", "refused", "R8519-4-d"},
		{m4, drop(`"eth":{"ethertype":"arp"},"ipv4":{"protocol":6}`), "drop IPv4 proto=6", "drop IPv4 proto=6", "R8519-4-d"},
		{m4, accept(`"eth":{"ethertype":"ipv6"},"ipv4":{}`), "refused", "refused", "R8519-4-d"},
		{m4, accept(`"udp":{}`), "accept IPv4 proto=17", "accept IPv4 proto=17", ""},
		{m4, drop(`"udp":{}`), "drop any proto=17", "drop any proto=17", ""},
		{m4, drop(`"icmp":{"type":8}`), "drop IPv4 proto=1 type=8", "drop IPv4 proto=1 type=8", ""},
		{m6, accept(`"eth":{},"icmp":{"type":8}`), "accept IPv6 proto=58 type=8", "accept IPv6 proto=58 type=8", ""},
		{m46, accept(`"ipv6":{},"tcp":{}`), "accept IPv6 proto=6", "accept IPv6 proto=6", ""},
		{m46, accept(`"tcp":{}`), "accept any proto=6", "accept any proto=6", ""},
		{m46, accept(`"icmp":{}`), "refused", "refused", "T-22"},
		{eth, accept(`"ietf-mud:mud":{"my-controller":[null]},"eth":{"ethertype":2054}`), "refused", "refused", "R8519-4-d"},
	} {
		p, problems, err := Parse(aceFile(tc.typ, tc.ace, tc.ace))
		if err != nil {
			t.Fatal(err)
		}
		out, in := p.FromDevice.ACEs[0], p.ToDevice.ACEs[0]
		if dumpACE(out) != tc.want || dumpACE(in) != tc.in {
			t.Errorf("%s %s: got %q and %q, want %q and %q: %v", tc.typ, tc.ace, dumpACE(out), dumpACE(in), tc.want, tc.in, problems)
		}
		found := tc.row == ""
		for _, pr := range problems {
			found = found || pr.Row == tc.row
		}
		if !found {
			t.Errorf("%s %s: no problem of row %s: %v", tc.typ, tc.ace, tc.row, problems)
		}
	}
}

// TestTypeOfAnotherACL has ACLs whose containers the when statements of RFC 8519 allow only because of another ACL
// (R8519-4-d).
func TestTypeOfAnotherACL(t *testing.T) {
	file := func(out string) []byte {
		return mudFile(goodLeaves+bothPolicies, `{"name":"out"`+out+`,"aces":{"ace":[`+accept(`"ipv4":{"protocol":6}`)+`]}},`+
			`{"name":"in"`+v4+`}`)
	}
	p, problems, err := Parse(file(""))
	if err != nil || worstOf(problems) == SeverityError || dumpACE(p.FromDevice.ACEs[0]) != "accept IPv4 proto=6" {
		t.Errorf("an absent type: %v, %v, %+v", err, problems, p.FromDevice)
	}
	p, problems, err = Parse(file(v6))
	if err != nil || !worstRow(problems, "R8519-4-d") || dumpACE(p.FromDevice.ACEs[0]) != "refused" {
		t.Errorf("another type: %v, %v, %+v", err, problems, p.FromDevice)
	}
}
