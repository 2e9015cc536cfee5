package mud

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestFile reads whole files: row is a problem that must be there, and refused whether the file is.
func TestFile(t *testing.T) {
	leaves := func(old, new string) []byte { return mudFile(strings.Replace(goodLeaves, old, new, 1), "") }
	plus := func(more string) []byte { return mudFile(goodLeaves+","+more, "") }
	out := `"from-device-policy":{"access-lists":{"access-list":[{"name":"out"}]}}`
	acl := func(name, more string) string { return `{"name":"` + name + `"` + v4 + more + `}` }
	for _, tc := range []struct {
		name    string
		raw     []byte
		row     string
		outcome string // "" is fine, "invalid" an error in a file that is used, "refused" in one that isn't
	}{
		{"T-12 R9472-5-a SBOM only", mudFile(goodLeaves, ""), "T-12", ""},
		{"T-12 one direction", mudFile(goodLeaves+","+out, acl("out", "")), "T-12", ""},
		{"T-12 ACLs without policies", mudFile(goodLeaves, acl("out", "")), "T-12", "refused"},
		{"R8520-2.1-a no root", []byte(`{}`), "R8520-2.1-a", "refused"},
		{"R8520-2.1-a ACLs only", []byte(`{"ietf-access-control-list:acls":{}}`), "R8520-2.1-a", "refused"},
		{"R8520-2.1-a root is null", []byte(`{"ietf-mud:mud":null}`), "R8520-2-a", "refused"},
		{"R8520-2.1-a no acls", []byte(`{"ietf-mud:mud":{` + goodLeaves + "," + out + `}}`), "R8520-2.1-a", "refused"},
		{"R8520-2-a array", []byte(`[]`), "R8520-2-a", "refused"},
		{"R8520-2-a encoded twice", []byte(`"{}"`), "R8520-2-a", "refused"},
		{"T-14 access-lists", []byte(`{"ietf-mud:mud":{` + goodLeaves + "," + out +
			`},"ietf-access-control-list:access-lists":{"acl":[]}}`), "T-14", "refused"},
		{"mud-version missing", leaves(`"mud-version":1,`, ``), "R8520-3.1-a", "refused"},
		{"T-41 mud-version 2", leaves(`:1`, `:2`), "R8520-3.1-a", "refused"},
		{"mud-version 0", leaves(`:1`, `:0`), "R8520-3.1-a", "refused"},
		{"mud-version quoted", leaves(`:1`, `:"1"`), "R7951-6-b", "refused"},
		{"mud-url missing", leaves(`"mud-url":"https://mud.example/m1",`, ``), "R8520-3.2-a", "refused"},
		{"RAU-5-b relative", leaves(`https://mud.example`, ``), "RAU-5-b", "refused"},
		{"R8520-1.5-a", leaves(`https`, `http`), "R8520-1.5-a", "refused"},
		{"T-04", leaves(`m1`, strings.Repeat("m", 300)), "T-04", "refused"},
		{"R8520-3.4-a month", leaves(`-01-`, `-13-`), "R8520-3.4-a", "refused"},
		{"R8520-3.4-a offset", leaves(`Z`, `+25:00`), "R8520-3.4-a", "refused"},
		{"R8520-3.4-a no offset", leaves(`Z`, ``), "R8520-3.4-a", "refused"},
		{"R8520-3.4-a day", leaves(`01-31`, `02-30`), "R8520-3.4-a", "refused"},
		{"R8520-3.4-a leap second", leaves(`12:00:00`, `23:59:60`), "R8520-13.2-b", ""},
		{"R8520-3.4-a date", leaves(`31T12:00:00Z`, `31`), "R8520-3.4-a", "refused"},
		{"R8520-3.4-a number", leaves(`"2026-01-31T12:00:00Z"`, `5`), "R8520-3.4-a", "refused"},
		{"R8520-3.5-b 0", plus(`"cache-validity":0`), "R8520-3.5-b", "refused"},
		{"R8520-3.5-b 169", plus(`"cache-validity":169`), "R8520-3.5-b", "refused"},
		{"R8520-3.5-b 47.5", plus(`"cache-validity":47.5`), "R8520-3.5-b", "refused"},
		{"R8520-3.5-b quoted", plus(`"cache-validity":"48"`), "R7951-6-b", "refused"},
		{"R8520-3.5-b short", plus(`"cache-validity":1`), "R8520-3.5-b", ""},
		{"R8520-3.6-a false", leaves(`:true`, `:false`), "R8520-3.6-a", ""},
		{"R8520-3.6-a missing", leaves(`,"is-supported":true`, ``), "R8520-3.6-a", "refused"},
		{"R7951-6-b quoted boolean", leaves(`:true`, `:"true"`), "R7951-6-b", "refused"},
		{"R8520-13.2-b unsigned", mudFile(goodLeaves, ""), "R8520-13.2-b", ""},
		{"R8520-1.6-b http", plus(`"mud-signature":"http://h/x.p7s"`), "R8520-1.6-b", "refused"},
		{"RAU-5-d empty", plus(`"mud-signature":""`), "RAU-5-b", "refused"},
		{"RAU-5-d relative", plus(`"mud-signature":"m1.p7s"`), "R6991-uri", "invalid"},
		{"R8520-3.7-a long", plus(`"systeminfo":"` + strings.Repeat("x", 61) + `"`), "R8520-3.7-a", ""},
		{"R8520-3.7-a control", plus(`"systeminfo":"a\u0000b"`), "R8520-3.7-a", "invalid"},
		{"R8520-3.8-a number", plus(`"mfg-name":5`), "R8520-3.8-a", "refused"},
		{"R8520-4.3-a script", plus(`"documentation":"javascript:alert(1)"`), "R8520-4.3-a", ""},
		{"R8520-4.3-a no URI", plus(`"documentation":"see the box"`), "R8520-4.3-a", "invalid"},
		{"R8520-3.9-a empty", plus(`"extensions":[""]`), "R8520-3.9-a", "refused"},
		{"R8520-3.9-a long", plus(`"extensions":["` + strings.Repeat("x", 41) + `"]`), "R8520-3.9-a", "refused"},
		{"R8520-3.9-a R8520-14-a unknown", plus(`"extensions":["x"]`), "R8520-3.9-a", ""},
		{"R8520-3.9-a twice", plus(`"extensions":["x","x"]`), "R8520-3.9-a", "refused"},
		{"R8520-3.9-b of an unknown extension", plus(`"extensions":["x"],"x:y":{}`), "R8520-14-b", ""},
		{"R8520-3.9-a undeclared", plus(`"ietf-mud-transparency:transparency":{}`), "R8520-3.9-a", ""},
		{"R8520-3.9-b", plus(`"x:y":{}`), "R8520-14-b", "invalid"},
		{"R8520-2-i", plus(`"foo":{}`), "R8520-14-b", "invalid"},
		{"R7951-4-a", plus(`"ietf-mud:systeminfo":"x"`), "R7951-4-a", "invalid"},
		{"R9472-3-a", plus(`"extensions":["transparency"],"mudtx:transparency":{}`), "R9472-3-a", "invalid"},
		{"R8520-14-b root", []byte(`{"x:y":1,"ietf-mud:mud":{` + goodLeaves + `}}`), "R8520-14-b", "invalid"},
		{"R8520-3.3-a dangling", mudFile(goodLeaves+","+out, ""), "R8520-3.3-a", "refused"},
		{"R8520-3.3-a unlisted", mudFile(goodLeaves+","+out, acl("out", "")+","+acl("in", "")), "R8520-3.3-a", ""},
		{"T-09 listed twice", mudFile(goodLeaves+","+strings.Replace(out, `[`, `[{"name":"out"},`, 1), acl("out", "")), "T-09", "refused"},
		{"T-09 both directions", mudFile(goodLeaves+strings.Replace(bothPolicies, "in", "out", 1), acl("out", "")), "T-09", ""},
		{"T-09 ACL names", mudFile(goodLeaves+","+out, acl("out", "")+","+acl("out", "")), "T-09", "refused"},
		{"T-09 ACE names", mudFile(goodLeaves+","+out, acl("out", `,"aces":{"ace":[`+accept(``)+","+accept(``)+`]}`)), "T-09", "refused"},
		{"R8519-4-b acl-name", mudFile(goodLeaves+","+strings.Replace(out, `"name"`, `"acl-name"`, 1), acl("out", "")), "R8519-4-b", "refused"},
		{"R8519-4-b no ACE name", mudFile(goodLeaves+","+out, acl("out", `,"aces":{"ace":[{}]}`)), "R8519-4-b", "refused"},
		{"R8519-4-b empty", mudFile(goodLeaves, acl("", "")), "R8519-4-b", "refused"},
		{"R8519-4-b 65", mudFile(goodLeaves, acl(strings.Repeat("x", 65), "")), "R8519-4-b", "refused"},
		{"R8519-4-b space", mudFile(goodLeaves+","+strings.Replace(out, `"out"`, `"o t"`, 1), acl("o t", "")), "R8519-4-b", ""},
		{"R8520-2-g", []byte(`{"ietf-mud:mud":{` + goodLeaves + `},"ietf-access-control-list:acls":{"attachment-points":{}}}`),
			"R8520-2-g", ""},
		{"R8520-2-g interface", []byte(`{"ietf-mud:mud":{` + goodLeaves +
			`},"ietf-access-control-list:acls":{"attachment-points":{"interface":[{"interface-id":"eth0"}]}}}`), "T-13", "invalid"},
		{"R8520-3.3-a in an unlisted ACL", mudFile(goodLeaves+","+out, acl("out", "")+","+acl("in", `,"aces":{"ace":[{"name":"a"}]}`)), "R8519-4-f",
			"invalid"},
		{"T-12 policy of nothing", plus(`"from-device-policy":{},"to-device-policy":{}`), "R8520-13.2-b", ""},
		{"T-08 R8519-4-c", mudFile(goodLeaves+","+strings.Replace(out, `[`, `[{"name":"b"},`, 1),
			acl("out", `,"aces":{"ace":[`+accept(`"tcp":{}`)+`]}`)+","+acl("b", `,"aces":{"ace":[`+drop(``)+`]}`)), "T-08", ""},
		{"T-07", mudFile(goodLeaves+","+out, acl("out", `,"aces":{"ace":[`+accept(`"tcp":{}`)+`]}`)), "T-07", ""},
		{"R8520-2-a policy", plus(`"from-device-policy":null`), "R8520-2-a", "refused"},
		{"R8520-2-a ACE", mudFile(goodLeaves+","+out, acl("out", `,"aces":{"ace":[5]}`)), "R8520-2-a", "refused"},
		{"R8520-16-l 513 ACEs", mudFile(goodLeaves+","+out, acl("out", `,"aces":{"ace":[`+manyACEs(513, "")+`]}`)), "R8520-16-l", "refused"},
		{"R8520-16-l 257 names", mudFile(goodLeaves+","+out, acl("out", `,"aces":{"ace":[`+manyACEs(257, "n%d.example")+`]}`)),
			"R8520-16-l", "refused"},
		{"R8520-16-l twice 257", mudFile(goodLeaves+strings.Replace(bothPolicies, "in", "out", 1),
			acl("out", `,"aces":{"ace":[`+manyACEs(257, "")+`]}`)), "R8520-16-l", "refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, problems, err := Parse(tc.raw)
			if (err != nil) != (tc.outcome == "refused") {
				t.Fatalf("err %v, want %s", err, tc.outcome)
			}
			found, failed := false, false
			for _, pr := range problems {
				found = found || pr.Row == tc.row
				failed = failed || pr.Severity == SeverityError
			}
			if !found || failed != (tc.outcome != "") {
				t.Errorf("want row %s, outcome %q, have %v", tc.row, tc.outcome, problems)
			}
			if err != nil && !p.URL.IsZero() {
				t.Error("a refused file gives a profile")
			}
		})
	}
}

// manyACEs gives n ACEs, each with a domain name where name isn't empty.
func manyACEs(n int, name string) string {
	aces := make([]string, n)
	for i := range aces {
		m := ""
		if name != "" {
			m = `"ipv4":{"ietf-acldns:dst-dnsname":"` + fmt.Sprintf(name, i) + `"}`
		}
		aces[i] = fmt.Sprintf(`{"name":"a%d","matches":{%s},"actions":{"forwarding":"accept"}}`, i, m)
	}
	return strings.Join(aces, ",")
}

func TestLimitsReached(t *testing.T) {
	for _, aces := range []string{manyACEs(MaxACEs, ""), manyACEs(MaxNames, "n%d.example")} {
		raw := mudFile(goodLeaves+`,"from-device-policy":{"access-lists":{"access-list":[{"name":"out"}]}}`,
			`{"name":"out","type":"ipv4-acl-type","aces":{"ace":[`+aces+`]}}`)
		if _, _, err := Parse(raw); err != nil {
			t.Errorf("R8520-16-l: %v", err)
		}
	}
}

func TestPolicies(t *testing.T) {
	p, _, err := Parse(mudFile(goodLeaves, ""))
	if err != nil || p.FromDevice != nil || p.ToDevice != nil {
		t.Errorf("T-12: no containers give %+v, %v", p, err)
	}
	p, _, err = Parse(mudFile(goodLeaves+`,"from-device-policy":{}`, ""))
	if err != nil || p.FromDevice == nil || len(p.FromDevice.ACEs) != 0 || p.ToDevice != nil {
		t.Errorf("T-12: an empty container gives %+v, %v", p, err)
	}
	if p.CacheValidity != 48*time.Hour {
		t.Errorf("R8520-3.5-b: cache validity %v", p.CacheValidity)
	}
	p, _, err = Parse(aceFile(v4, accept(`"tcp":{}`), accept(`"udp":{}`)))
	if err != nil || p.FromDevice.ACEs[0].Path != "ietf-access-control-list:acls.acl[0].aces.ace[0]" {
		t.Errorf("path %+v, %v", p.FromDevice, err)
	}
}

// TestOrderOfACLs: R8519-4-c. The standard leaves the order of ACLs open: it is that in which the policy lists them.
func TestOrderOfACLs(t *testing.T) {
	p, _, err := Parse(mudFile(goodLeaves+`,"from-device-policy":{"access-lists":{"access-list":[{"name":"b"},{"name":"a"}]}}`,
		`{"name":"a"`+v4+`,"aces":{"ace":[`+accept(`"tcp":{}`)+`]}},{"name":"b"`+v4+`,"aces":{"ace":[`+drop(``)+`]}}`))
	if err != nil || len(p.FromDevice.ACEs) != 2 || p.FromDevice.ACEs[0].ACL != "b" || p.FromDevice.ACEs[1].ACL != "a" {
		t.Errorf("%+v, %v", p.FromDevice, err)
	}
}

func TestErrorNamesPlace(t *testing.T) {
	_, problems, err := Parse(mudFile(strings.Replace(goodLeaves, ":true", `:"true"`, 1)+`,"cache-validity":0`, ""))
	if err == nil || !strings.Contains(err.Error(), "is-supported") || !strings.Contains(err.Error(), "and 1 more") {
		t.Errorf("error %v", err)
	}
	n := 0
	for _, p := range problems {
		if p.Severity == SeverityError {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d errors listed, want 2: %v", n, problems)
	}
}

func TestManyProblems(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `,"x%d":0`, i)
	}
	_, problems, err := Parse(mudFile(goodLeaves+b.String(), ""))
	if err != nil || len(problems) != maxProblems+1 {
		t.Errorf("%d problems, %v", len(problems), err)
	}
}

func TestHead(t *testing.T) {
	for _, tc := range []struct{ name, sig, want string }{
		{"absolute", `"https://sig.example/a.p7s"`, "https://sig.example/a.p7s"},
		{"RAU-5-d beside", `"m1.p7s"`, "https://mud.example:8443/a/m1.p7s"},
		{"RAU-5-d up", `"../m1.p7s?x#y"`, "https://mud.example:8443/m1.p7s?x"},
		{"RAU-5-d root", `"/s/m1.p7s"`, "https://mud.example:8443/s/m1.p7s"},
		{"RAU-5-d host", `"//sig.example/m1.p7s"`, "https://sig.example/m1.p7s"},
		{"RAU-5-d query", `"?sig"`, "https://mud.example:8443/a/m1?sig"},
		{"R8520-1.5-a http", `"http://mud.example/m1.p7s"`, "error"},
		{"scheme", `"data:,x"`, "error"},
		{"number", `1`, "error"},
	} {
		// All but the two leaves is nonsense: it must not be looked at (R8520-13.2-a).
		u, sig, err := Head([]byte(`{"ietf-mud:mud":{"mud-version":"x","mud-url":"https://mud.example:8443/a/m1?q/r","mud-signature":` +
			tc.sig + `},"ietf-access-control-list:acls":[]}`))
		if err != nil {
			sig = "error"
		}
		if sig != tc.want || (err == nil) == u.IsZero() {
			t.Errorf("%s: %q, %q, %v; want %q", tc.name, u, sig, err, tc.want)
		}
	}
	if u, sig, err := Head([]byte(`{"ietf-mud:mud":{"mud-url":"https://h"}}`)); err != nil || sig != "" || u.String() != "https://h/" {
		t.Errorf("R8520-13.2-b: %q, %q, %v", u, sig, err)
	}
	for _, raw := range []string{`{"ietf-mud:mud":{}}`, `{"ietf-mud:mud":{"mud-url":"https://h","mud-url":"https://h"}}`, ``, `null`} {
		if _, _, err := Head([]byte(raw)); err == nil {
			t.Errorf("%s: no error", raw)
		}
	}
}
