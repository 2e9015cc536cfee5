package mud

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// FuzzParse checks what must hold for any file.
func FuzzParse(f *testing.F) {
	if raw, err := os.ReadFile("testdata/lamp.json"); err == nil {
		f.Add(raw)
	}
	f.Add(mudFile(goodLeaves, ""))
	f.Add(aceFile(v4, accept(`"icmp":{"type":8},"ipv4":{"protocol":1}`), drop(`"udp":{"x":1},"eth":{}`)))
	f.Add(aceFile("", drop(`"tcp":{"source-port":{"port":1}},"udp":{}`), drop(`"ipv4":{},"ipv6":{},"icmp":{}`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, problems, err := Parse(raw)
		headURL, sig, headErr := Head(raw)
		errors := 0
		for _, pr := range problems {
			if pr.Severity == SeverityError {
				errors++
			}
			if pr.Row == "" || pr.Message == "" || Clean(pr.String(), 5000) != pr.String() {
				t.Errorf("bad problem %q", pr)
			}
		}
		if len(problems) > maxProblems+1 {
			t.Errorf("%d problems", len(problems))
		}
		if err != nil {
			if fmt.Sprint(p) != fmt.Sprint(Profile{}) || errors == 0 {
				t.Errorf("refused with %+v and %v", p, problems)
			}
			return
		}
		if headErr != nil || headURL != p.URL || sig != p.Signature {
			t.Errorf("Head gives %q, %q, %v, Parse %q, %q", headURL, sig, headErr, p.URL, p.Signature)
		}
		refused := checkPolicy(t, p.FromDevice) + checkPolicy(t, p.ToDevice)
		if (refused > 0) != (errors > 0) {
			t.Errorf("%d refused ACEs and %d errors", refused, errors)
		}
	})
}

// FuzzACE puts an ACE together from parts, so that it gets further than random text.
func FuzzACE(f *testing.F) {
	groups := [][]string{
		{"", `"ipv4":{}`, `"ipv4":{"protocol":6}`, `"ipv4":{"protocol":17}`, `"ipv4":{"protocol":1}`, `"ipv4":{"protocol":0}`,
			`"ipv4":{"ietf-acldns:dst-dnsname":"a.example"}`, `"ipv4":{"destination-ipv4-network":"1.2.3.4/8","protocol":58}`},
		{"", `"ipv6":{}`, `"ipv6":{"protocol":58}`, `"ipv6":{"ietf-acldns:src-dnsname":"::1"}`, `"ipv6":{"protocol":6,"x":1}`},
		{"", `"tcp":{}`, `"tcp":{"ietf-mud:direction-initiated":"to-device"}`, `"tcp":{"source-port":{"lower-port":2,"upper-port":1}}`,
			`"tcp":{"destination-port":{"operator":"neq","port":1},"ietf-mud:direction-initiated":"from-device"}`},
		{"", `"udp":{}`, `"udp":{"source-port":{"port":5}}`, `"udp":{"ietf-mud:direction-initiated":"to-device"}`},
		{"", `"icmp":{}`, `"icmp":{"type":8,"code":0}`, `"icmp":{"type":300}`},
		{"", `"ietf-mud:mud":{"my-controller":[null],"model":"https://h"}`, `"ietf-mud:mud":{"controller":"x"}`},
		{"", `"eth":{}`, `"x:y":1`},
	}
	f.Add(uint64(0), uint8(0), uint8(0), uint16(0))
	f.Fuzz(func(t *testing.T, choice uint64, typ, action uint8, order uint16) {
		var parts []string
		for i := range groups {
			g := groups[(i+int(order))%len(groups)]
			if s := g[choice>>(8*i)&0xff%uint64(len(g))]; s != "" {
				parts = append(parts, s)
			}
		}
		types := []string{v4, v6, "", `,"type":"eth-acl-type"`}
		actions := []string{`"accept"`, `"drop"`, `"reject"`, `"x"`, `1`}
		act := actions[int(action)%len(actions)]
		ace := `{"name":"a","matches":{` + strings.Join(parts, ",") + `},"actions":{"forwarding":` + act + `}}`
		p, problems, err := Parse(aceFile(types[int(typ)%len(types)], ace, ace))
		if err != nil {
			t.Fatal(err)
		}
		refused := checkPolicy(t, p.FromDevice) + checkPolicy(t, p.ToDevice)
		if dropped := act == `"drop"` || act == `"reject"`; dropped && refused > 0 {
			t.Errorf("T-13: a drop is refused: %s: %v", ace, problems)
		}
		if act != `"accept"` && (p.FromDevice.ACEs[0].Action != Drop || p.ToDevice.ACEs[0].Action != Drop) {
			t.Errorf("R8519-4-f: %s accepts", ace)
		}
	})
}

// checkPolicy checks what the compiler relies on, and counts the refused ACEs.
func checkPolicy(t *testing.T, p *Policy) int {
	if p == nil {
		return 0
	}
	refused := 0
	for _, e := range p.ACEs {
		if e.Refused != "" {
			refused++
			continue
		}
		m := e.Match
		proto := 0
		if m.Protocol != nil {
			proto = int(*m.Protocol)
			if proto == 0 {
				t.Errorf("T-30: %+v", e)
			}
		}
		if m.Initiated != DirectionAny && proto != protoTCP {
			t.Errorf("R8520-4.8-a: %+v", e)
		}
		if (m.RemotePort.Set || m.LocalPort.Set) && proto != protoTCP && proto != protoUDP {
			t.Errorf("ports without TCP or UDP: %+v", e)
		}
		icmp := proto == protoICMP && m.Family == IPv4 || proto == protoICMPv6 && m.Family == IPv6
		if (m.ICMPType != nil || m.ICMPCode != nil) && !icmp {
			t.Errorf("T-22: %+v", e)
		}
		if m.RemotePort.Lo > m.RemotePort.Hi || m.LocalPort.Lo > m.LocalPort.Hi {
			t.Errorf("R8519-4-e: %+v", e)
		}
		checkRemotes(t, e)
	}
	return refused
}

func checkRemotes(t *testing.T, e ACE) {
	for _, r := range e.Match.Remotes {
		switch {
		case r.Kind == RemotePrefix:
			if !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked() || familyOf(r.Prefix.Addr()) != e.Match.Family {
				t.Errorf("prefix %v in %+v", r.Prefix, e)
			}
		case r.Kind == RemoteName:
			if n, err := normalName(r.Value); err != nil || n != r.Value {
				t.Errorf("name %q in %+v", r.Value, e)
			}
		case r.Kind == RemoteModel:
			if u, err := ParseURL(r.Value); err != nil || u.String() != r.Value {
				t.Errorf("model %q in %+v", r.Value, e)
			}
		case r.Kind == 0:
			t.Errorf("remote without kind in %+v", e)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, file := range []struct {
		name string
		raw  []byte
	}{
		{"lamp", mustRead(b, "testdata/lamp.json")},
		{"512 ACEs", mudFile(goodLeaves+`,"from-device-policy":{"access-lists":{"access-list":[{"name":"out"}]}}`,
			`{"name":"out","type":"ipv4-acl-type","aces":{"ace":[`+manyACEs(MaxACEs, "n.example")+`]}}`)},
	} {
		b.Run(file.name, func(b *testing.B) {
			b.SetBytes(int64(len(file.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Parse(file.raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func mustRead(tb testing.TB, path string) []byte {
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}
