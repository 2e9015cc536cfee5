package mud

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzConvert checks what must hold of the conversion of any file.
func FuzzConvert(f *testing.F) {
	if raw, err := os.ReadFile("testdata/lamp.json"); err == nil {
		f.Add(raw)
	}
	f.Add(mudFile(goodLeaves, ""))
	f.Add([]byte("\xef\xbb\xbf" + `{"mud":{"url":"http://a b.example",},"access-lists":[{"acl-name":"x","ietf-mud:direction":"to-device","aces":` +
		`[{"rule-name":5,"matches":{"ipv4-acl":{"protocol":"tcp","src-port":"1-2"},"l4":{"udp":{}}},"actions":{"permit":[null]}}]}]}//`))
	f.Add(aceFile(v4, accept(`"eth":{"ethertype":"0x0806"},"l2":{}`), drop(`"ipv6":{},"tcp":{},"udp":{}`)))
	f.Add(appendString(nil, string(aceFile("", accept(`"ietf-mud:mud":{"controller":"x","local-networks":null}`), drop(``)))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		before, problems, strictErr := Parse(raw)
		out, changes, err := Convert(raw)
		if err != nil {
			if out != nil || strictErr == nil && worstOf(problems) != SeverityError {
				t.Errorf("a file that Parse takes can't be converted: %v", err)
			}
			return
		}
		checkConverted(t, raw, out, changes)
		after, _, _ := Parse(out)
		if strictErr == nil {
			sameACEs(t, before.FromDevice, after.FromDevice)
			sameACEs(t, before.ToDevice, after.ToDevice)
		}
		if (after.FromDevice == nil && after.ToDevice == nil) && strictErr == nil && (before.FromDevice != nil || before.ToDevice != nil) {
			t.Error("T-12: the policies are lost")
		}
	})
}

// sameACEs checks that an ACE that was understood means the same after a conversion.
func sameACEs(t *testing.T, before, after *Policy) {
	if before == nil || after == nil {
		return
	}
	was := make(map[string]ACE)
	for _, e := range before.ACEs {
		was[e.ACL+"\x00"+e.Name] = e
	}
	for _, e := range after.ACEs {
		if b, ok := was[e.ACL+"\x00"+e.Name]; ok && b.Refused == "" && e.Refused == "" && e.Action == Accept &&
			fmt.Sprint(dumpACE(b)) != fmt.Sprint(dumpACE(e)) {
			t.Errorf("%s became %s", dumpACE(b), dumpACE(e))
		}
	}
}

// condition is a way to write one, and what it must do to an ACE that has it and accepts: nothing of a condition gets lost.
type condition struct {
	text string
	held func(Match) bool
}

func conditions() [][]condition {
	protocol := func(p uint8) func(Match) bool {
		return func(m Match) bool { return m.Protocol != nil && *m.Protocol == p }
	}
	family := func(f Family) func(Match) bool { return func(m Match) bool { return m.Family == f } }
	remote := func(k RemoteKind, v string) func(Match) bool {
		return func(m Match) bool {
			for _, r := range m.Remotes {
				if r.Kind == k && (v == "" || r.Value == v || r.Prefix.String() == v) {
					return true
				}
			}
			return false
		}
	}
	port := func(p Ports) func(Match) bool {
		return func(m Match) bool {
			return m.RemotePort == p && m.Protocol != nil && (*m.Protocol == protoTCP || *m.Protocol == protoUDP)
		}
	}
	name := remote(RemoteName, "a.example")
	never := func(Match) bool { return false }
	p443 := Ports{Set: true, Lo: 443, Hi: 443}
	return [][]condition{
		{{"", nil}, {`"ipv4":{"protocol":6}`, protocol(6)}, {`"ipv4":{"protocol":"udp"}`, protocol(17)}, {`"protocol":6`, protocol(6)},
			{`"ipv4-acl":{"protocol":17}`, protocol(17)}, {`"ipv4":{"protocol":"any"}`, never}, {`"ipv4":{"protocl":"6"}`, protocol(6)},
			{`"l3":{"ipv4":{"protocol":17}}`, protocol(17)}, {`"ipv4":{"protocol":1}`, protocol(1)}},
		{{"", nil}, {`"ipv6":{}`, family(IPv6)}, {`"ipv6-acl":{"dst-dnsname":"a.example"}`, name},
			{`"ietf-acldns:dst-dnsname":"a.example"`, name}, {`"ip-v4":{"ietf-acldns:d:sdt-dnsname":"a.example"}`, name},
			{`"dst-dnsname":"*.example"`, never}, {`"destination-ipv4-network":"192.0.2.1"`, remote(RemotePrefix, "192.0.2.1/32")},
			{`"destination-ipv6-network":"ff05:0:0:0:0:0:0:c"`, remote(RemotePrefix, "ff05::c/128")}},
		{{"", nil}, {`"tcp":{"destination-port":"443"}`, port(p443)}, {`"udp":{"destination-port-range":{"lower-port":443,"upper-port":"443"}}`, port(p443)},
			{`"tcp":{"destination-port":{"operator":"eq","port":443,"lower-port":1,"upper-port":500}}`, port(p443)},
			{`"destination-port-range-or-operator":{"operator":"eq","port":443}`, port(p443)},
			{`"tcp":{"destination-port":{"operator":"gt","port":1023}}`, port(Ports{Set: true, Lo: 1024, Hi: 65535})},
			{`"tcp":{"destination-port":{"operator":"eq"}}`, never}, {`"tcp":{"destination-port":{"port":[443]}}`, never}},
		{{"", nil}, {`"tcp-acl":{"direction-initiated":"FromDevice"}`, func(m Match) bool { return m.Initiated == FromDevice }},
			{`"udp":{"ietf-mud:direction-initiated":"to-device"}`, never}, {`"icmp":{"type":"8"}`, func(m Match) bool { return m.ICMPType != nil && *m.ICMPType == 8 }}},
		{{"", nil}, {`"mud":{"local-networks":null}`, remote(RemoteLocalNetworks, "")}, {`"ietf-mud:mud-acl":{"my-controller":true}`, remote(RemoteMyController, "")},
			{`"ietf-mud:same-manufacturer":[null]`, remote(RemoteSameManufacturer, "")}, {`"ietf-mud:mud":{"controller":"bacnet"}`, remote(RemoteController, "urn:ietf:params:mud:bacnet")},
			{`"ietf-mud:mud":{"same-manufacturer":false}`, never}, {`"hops":1`, never}, {`"x:y":1`, never}},
	}
}

// FuzzConvertACE puts an ACE together from what drafts and files have. Whatever is converted, an accept keeps each of its
// conditions, nothing but an accept becomes one, and a drop stays.
func FuzzConvertACE(f *testing.F) {
	f.Add(uint64(0), uint8(0), uint8(0))
	f.Add(uint64(0x0102030405), uint8(1), uint8(0))
	f.Fuzz(func(t *testing.T, choice uint64, typ, action uint8) {
		var parts []string
		var held []func(Match) bool
		for i, g := range conditions() {
			if c := g[choice>>(8*i)&0xff%uint64(len(g))]; c.text != "" {
				parts, held = append(parts, c.text), append(held, c.held)
			}
		}
		types := []string{v4, v6, "", `,"type":"ipv4-acl"`, `,"acl-type":"ietf-access-control-list:ipv6-acl"`}
		actions := []string{`{"forwarding":"accept"}`, `{"permit":[null]}`, `{"forwarding":"deny"}`, `{"drop":[null]}`, `{"forwarding":"accpet"}`, `{}`}
		act := int(action) % len(actions)
		ace := `{"name":"a","matches":{` + strings.Join(parts, ",") + `},"actions":` + actions[act] + `}`
		raw := mudFile(goodLeaves+`,"from-device-policy":{"access-lists":{"access-list":[{"name":"out"}]}}`,
			`{"name":"out"`+types[int(typ)%len(types)]+`,"aces":{"ace":[`+ace+`]}}`)
		if _, err := scanJSON(raw); err != nil {
			return // two members of one name
		}
		_, changes, err := Convert(raw)
		p, _, parseErr := ParseLegacy(raw)
		if err != nil || parseErr != nil {
			t.Fatalf("%s: %v, %v", raw, err, parseErr)
		}
		drops := 0
		for _, e := range p.FromDevice.ACEs {
			if e.Action == Drop && e.Refused == "" {
				drops++
			}
			if e.Action != Accept || e.Refused != "" {
				continue
			}
			if act > 1 {
				t.Errorf("R8519-4-f: %s accepts", ace)
			}
			for i, h := range held {
				if !h(e.Match) {
					t.Errorf("%s is lost from %s: %+v\n%v", parts[i], ace, e.Match, changes)
				}
			}
		}
		if (act == 2 || act == 3) && drops != 1 {
			t.Errorf("T-13: the drop of %s is lost: %v", ace, changes)
		}
	})
}

// TestConvertCorpus converts each file of the corpus and has yanglint read what it becomes.
func TestConvertCorpus(t *testing.T) {
	dir := corpusDir(t)
	if _, err := exec.LookPath("yanglint"); err != nil {
		t.Skipf("needs yanglint (apt-get install libyang2-tools): %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "mud", "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob(filepath.Join(dir, "mud", "*", "history", "*.json"))
	out := filepath.Join(t.TempDir(), "out.json")
	before, after, kept, left := 0, 0, 0, 0
	for _, name := range append(files, more...) {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(dir, name)
		start := time.Now()
		text, changes, err := Convert(raw)
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s takes %v", rel, took)
		}
		if _, _, strict := Parse(raw); strict == nil {
			before++
		}
		if err != nil {
			if why := hopeless(raw); why == "" {
				t.Errorf("%s: %v", rel, err)
			} else {
				t.Logf("%s is not converted, as %s: %v", rel, why, err)
			}
			continue
		}
		after++
		checkConverted(t, raw, text, changes)
		was, is := strings.Count(string(raw), "forwarding"), strings.Count(string(text), "forwarding")
		kept, left = kept+is, left+max(0, was-is)
		if was > is {
			t.Logf("%s keeps %d of %d ACEs", rel, is, was)
		}
		if err := os.WriteFile(out, text, 0o600); err != nil {
			t.Fatal(err)
		}
		yang := filepath.Join(dir, "yang")
		cmd := exec.Command("yanglint", "-p", yang, "-t", "data", "-f", "json", filepath.Join(yang, "ietf-mud@2019-01-28.yang"),
			filepath.Join(yang, "ietf-acldns@2019-01-28.yang"), filepath.Join(yang, "ietf-access-control-list@2019-03-04.yang"), out)
		if msg, err := cmd.CombinedOutput(); err != nil && !strings.Contains(string(msg), "No module named") {
			t.Errorf("yanglint refuses what %s becomes: %.300s", rel, msg)
		}
	}
	t.Logf("%d files parse as they are and %d converted; %d ACEs kept, %d left out", before, after, kept, left)
}

// hopeless says why nothing can be made of a file, "" where something should be.
func hopeless(raw []byte) string {
	c := newConverter()
	root := c.scan(raw)
	c.rename(root, c.rootWords)
	switch {
	case !root.exists():
		return "it is no JSON, and what was meant isn't plain"
	case !c.get(root, rootMUD).exists():
		return "it has no mud container"
	}
	return ""
}
