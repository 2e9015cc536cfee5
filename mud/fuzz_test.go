package mud

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
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
		if refused > 0 && errors == 0 {
			t.Errorf("%d refused ACEs and no error", refused)
		}
		checkEncode(t, p)
	})
}

// checkEncode checks that what can be written comes back; Encode itself compares.
func checkEncode(t *testing.T, p Profile) {
	t.Helper()
	raw, err := Encode(p)
	if err != nil {
		if !strings.Contains(err.Error(), "which version") {
			t.Errorf("a profile that was read can't be written: %v", err)
		}
		return
	}
	again, _, err := Parse(raw)
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if second, err := Encode(again); err != nil || string(second) != string(raw) {
		t.Errorf("written again it is another file: %v\n%s\n%s", err, raw, second)
	}
}

// FuzzHead reads a file before its signature is checked: no panic, and nothing but the two leaves is given.
func FuzzHead(f *testing.F) {
	f.Add(mudFile(goodLeaves+`,"mud-signature":"x.p7s"`, ""))
	f.Add([]byte(`{"ietf-mud:mud":{"mud-url":"https://h/a?b#c","mud-signature":"//h2/../s"}}`))
	f.Add([]byte(`{"ietf-mud:mud":{"mud-url":5}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, sig, err := Head(raw)
		if again, err2 := ParseURL(u.String()); err == nil && (err2 != nil || again != u) || (err == nil) == u.IsZero() {
			t.Errorf("%q, %v", u, err)
		}
		if sig != "" && (err != nil || !strings.HasPrefix(sig, "https://")) {
			t.Errorf("signature %q, %v", sig, err)
		}
	})
}

// FuzzEncode writes profiles that people and programs put together: what is written is read as the same.
func FuzzEncode(f *testing.F) {
	f.Add("https://h/m", "info", "acl", "ace", "a.example", int64(48), uint8(6), uint8(4), uint8(3), uint32(443), uint8(0))
	f.Add("https://h/m", "", "", "", "192.0.2.0/24", int64(1), uint8(1), uint8(6), uint8(2), uint32(7), uint8(19))
	f.Fuzz(func(t *testing.T, url, info, acl, name, peer string, hours int64, proto, family, kind uint8, x uint32, field uint8) {
		u, err := ParseURL(url)
		if err != nil {
			return
		}
		ace := ACE{ACL: acl, Name: name, Action: Action(kind % 2), Match: Match{Family: Family(family % 8), Protocol: &proto,
			Remotes: []Remote{{Kind: RemoteKind(kind % 10), Value: peer}}, Fields: []FieldMatch{{Field: Field(field), Value: x, Mask: x, Bytes: info}},
			RemotePort: Ports{Set: kind&1 != 0, Not: kind&2 != 0, Lo: uint16(x), Hi: uint16(x >> 8)}}}
		if prefix, err := netip.ParsePrefix(peer); err == nil {
			ace.Match.Remotes[0] = Remote{Kind: RemotePrefix, Prefix: prefix}
		}
		if x%3 > 0 {
			ace.Match.Fields = nil
		}
		if x%5 > 0 {
			ace.Match.Protocol = nil
		}
		p := Profile{URL: u, CacheValidity: time.Duration(hours) * time.Hour, SystemInfo: info, FromDevice: &Policy{ACEs: []ACE{ace, ace}}}
		raw, err := Encode(p)
		if err != nil {
			return
		}
		again, _, err := Parse(raw)
		if err != nil || len(again.FromDevice.ACEs) != 2 {
			t.Errorf("%v: %s", err, raw)
		}
	})
}

// FuzzACE puts an ACE together from parts, so that it gets further than random text.
func FuzzACE(f *testing.F) {
	groups := [][]string{
		{"", `"ipv4":{}`, `"ipv4":{"protocol":6}`, `"ipv4":{"protocol":17}`, `"ipv4":{"protocol":1}`, `"ipv4":{"protocol":0}`,
			`"ipv4":{"ietf-acldns:dst-dnsname":"a.example"}`, `"ipv4":{"destination-ipv4-network":"1.2.3.4/8","protocol":58}`,
			`"ipv4":{"dscp":5,"flags":"more fragment","offset":50}`, `"ipv4":{"destination-ipv4-network":"224.0.0.1/32","ihl":60}`},
		{"", `"ipv6":{}`, `"ipv6":{"protocol":58}`, `"ipv6":{"ietf-acldns:src-dnsname":"::1"}`, `"ipv6":{"protocol":6,"x":1}`},
		{"", `"tcp":{}`, `"tcp":{"ietf-mud:direction-initiated":"to-device"}`, `"tcp":{"source-port":{"lower-port":2,"upper-port":1}}`,
			`"tcp":{"destination-port":{"operator":"neq","port":1},"ietf-mud:direction-initiated":"from-device"}`},
		{"", `"tcp":{"flags":"syn","options":"AA=="}`},
		{"", `"udp":{}`, `"udp":{"length":9}`, `"udp":{"source-port":{"port":5}}`, `"udp":{"ietf-mud:direction-initiated":"to-device"}`},
		{"", `"icmp":{}`, `"icmp":{"type":8,"code":0}`, `"icmp":{"type":300}`, `"icmp":{"rest-of-header":"AA=="}`},
		{"", `"ietf-mud:mud":{"my-controller":[null],"model":"https://h"}`, `"ietf-mud:mud":{"controller":"x"}`},
		{"", `"eth":{}`, `"x:y":1`, `"eth":{"ethertype":"arp"}`, `"eth":{"source-mac-address":"00:00:5e:00:53:01"}`, `"egress-interface":"e"`},
	}
	f.Add(uint64(0), uint8(0), uint8(0), uint16(0))
	f.Fuzz(func(t *testing.T, choice uint64, typ, action uint8, order uint16) {
		var parts []string
		for i := range groups {
			g := groups[(i+int(order))%len(groups)]
			if s := g[choice>>(8*i)&0xff%uint64(len(g))]; s != "" && !slices.ContainsFunc(parts, func(p string) bool { return p[:6] == s[:6] }) {
				parts = append(parts, s)
			}
		}
		types := []string{v4, v6, "", `,"type":"eth-acl-type"`, `,"type":"mixed-eth-ipv4-acl-type"`, `,"type":"mixed-eth-ipv4-ipv6-acl-type"`, `,"type":"x"`}
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
		checkEncode(t, p)
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
		checkFields(t, e)
	}
	return refused
}

// checkFields checks what the comments in profile.go say of the conditions that go beyond RFC 8520.
func checkFields(t *testing.T, e ACE) {
	m := e.Match
	specs := fieldSpecs()
	for i, f := range m.Fields {
		s := specs[slices.IndexFunc(specs, func(s fieldSpec) bool { return s.field == f.Field })]
		want := map[string]bool{"ip": m.Family != FamilyAny, "ipv4": m.Family == IPv4, "ipv6": m.Family == IPv6}
		if m.Protocol != nil {
			want["tcp"], want["udp"] = *m.Protocol == protoTCP, *m.Protocol == protoUDP
			want["icmp"] = *m.Protocol == protoICMP && m.Family == IPv4 || *m.Protocol == protoICMPv6 && m.Family == IPv6
		}
		if !want[s.container] || f.Value&^f.Mask != 0 || f.Mask&^s.mask != 0 || (f.Mask == 0) == (f.Bytes == "") || len(f.Bytes) > maxICMPRest {
			t.Errorf("field %+v in %+v", f, e)
		}
		if i > 0 && m.Fields[i-1].Field >= f.Field {
			t.Errorf("fields out of order: %+v", m.Fields)
		}
	}
	if m.EtherType != nil && (m.Family != FamilyAny || m.Protocol != nil || len(m.Remotes) > 0 || *m.EtherType == etherIPv4 || *m.EtherType == etherIPv6) {
		t.Errorf("ethertype %d in %+v", *m.EtherType, e)
	}
	for _, mac := range []MACMatch{m.RemoteMAC, m.LocalMAC} {
		for i := range mac.Addr {
			if mac.Addr[i]&^mac.Mask[i] != 0 {
				t.Errorf("MAC %v", mac)
			}
		}
	}
	if m.Group.IsValid() && (!m.Group.Addr().IsMulticast() || familyOf(m.Group.Addr()) != m.Family) {
		t.Errorf("group %v in %+v", m.Group, e)
	}
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
