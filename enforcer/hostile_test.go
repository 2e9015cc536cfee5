package enforcer_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

var quoted = regexp.MustCompile(`"[^"]*"`)

// checkComments finds comments that nft would not take as they are.
func checkComments(t testing.TB, r enforcer.Ruleset) {
	t.Helper()
	for _, table := range r.Tables() {
		for _, s := range table.Sets {
			checkComment(t, s.Comment)
			for _, e := range s.Elements {
				checkComment(t, e.Comment)
			}
		}
		for _, c := range table.Chains {
			for _, rule := range c.Rules {
				checkComment(t, rule.Comment)
			}
		}
	}
}

func checkComment(t testing.TB, s string) {
	t.Helper()
	if len(s) > 120 {
		t.Errorf("a comment of %d octets: %q", len(s), s)
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			t.Errorf("a comment with %q: %q", c, s)
			return
		}
	}
}

func hostileText() map[string]string {
	return map[string]string{
		"quotes":       `x" drop comment "`,
		"newlines":     "x\n}\ntable inet filter {\n\r",
		"shell":        "$(reboot) `reboot` ; reboot # && | > /etc/passwd",
		"backslashes":  `\\\" \x00 %s %d %n`,
		"long":         strings.Repeat("A", 10<<10),
		"long of runs": strings.Repeat("\"\n$\u202e", 2500),
		"bidi":         "\u202e\u2066lamp\u2069 \u200f\u061c",
		"control":      "\x1b[2J\x07\x00\x7f\u0085\u2028",
		"hash":         "# } add element",
		"invalid":      "\xff\xfe\xc0\x80",
	}
}

// TestHostileText: what a profile or a device calls itself changes comments and nothing else (invariant 7).
func TestHostileText(t *testing.T) {
	for name, text := range hostileText() {
		t.Run(name, func(t *testing.T) {
			got, want := textWith(t, text), textWith(t, "plain")
			for line := range strings.SplitSeq(got, "\n") {
				if n := strings.Count(line, `"`); n%2 != 0 {
					t.Errorf("a quote of its own: %s", line)
				}
			}
			if got, want := skeleton(got), skeleton(want); got != want {
				t.Errorf("it is more than a comment:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

var hashes = regexp.MustCompile(`p_[0-9a-f]{20}`)

// skeleton is a text without what names and hashes change.
func skeleton(text string) string {
	return hashes.ReplaceAllString(quoted.ReplaceAllString(text, `""`), "p_")
}

func textWith(t *testing.T, text string) string {
	t.Helper()
	site := enforcertest.Site(enforcer.BridgeStateless)
	u, err := mud.ParseURL(enforcertest.LampURL)
	if err != nil {
		t.Fatal(err)
	}
	tcp := uint8(6)
	p := &mud.Profile{URL: u, MfgName: text, ModelName: text, SystemInfo: text, FromDevice: &mud.Policy{ACEs: []mud.ACE{{
		ACL: text, Name: text, Action: mud.Accept, Match: mud.Match{Family: mud.IPv4, Protocol: &tcp,
			Remotes: []mud.Remote{{Kind: mud.RemoteName, Value: "cloud.example"}}}}}}}
	c := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: p}, &site)
	m := member(&site, 1, c)
	m.Label = text
	r := enforcer.Build(&site, []enforcer.Member{m}, nil, nil)
	checkComments(t, r)
	return enforcer.Text(r)
}

// FuzzCompile: whatever parses compiles to a ruleset that applies, and a packet that it lets out has an ACE that wants it.
func FuzzCompile(f *testing.F) {
	for i, c := range enforcertest.Scenario() {
		if len(c.Devices) > 0 && c.Devices[0].Profile != nil && i%5 == 0 {
			f.Add(c.Devices[0].Profile.JSON(), uint8(i), uint8(6), uint32(0xcb007142), uint16(443), uint16(40000), false)
		}
	}
	raw, err := os.ReadFile("testdata/sensor.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, uint8(0), uint8(17), uint32(0xc0a84d01), uint16(22), uint16(5), true)
	f.Fuzz(func(t *testing.T, raw []byte, variant, proto uint8, dst uint32, dport, sport uint16, six bool) {
		p, _, err := mud.Parse(raw)
		if err != nil {
			return
		}
		site := enforcertest.Site(bridgeModes[int(variant)%len(bridgeModes)])
		site.Literal = variant&64 != 0
		c := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: &p, Observe: variant&128 != 0}, &site)
		m := member(&site, 10, c)
		m.URL = p.URL
		r := enforcer.Build(&site, []enforcer.Member{m}, nil, nil)
		checkComments(t, r)
		_ = enforcer.Text(r)
		var kernel enforcer.Memory
		if err := kernel.Apply(enforcer.Diff(enforcer.Ruleset{}, r)); err != nil {
			t.Fatal(err)
		}
		if variant&128 == 0 {
			checkVerdict(t, &p, &site, &kernel, fuzzPacket(proto, dst, dport, sport, six))
		}
	})
}

// fuzzPacket is a new flow from the device to any address.
func fuzzPacket(proto uint8, dst uint32, dport, sport uint16, six bool) enforcer.Packet {
	var four [4]byte
	binary.BigEndian.PutUint32(four[:], dst)
	p := enforcer.Packet{In: enforcertest.LAN, Out: enforcertest.WAN, SrcMAC: mac(10), TCPFlags: enforcertest.SYN, State: "new"}
	p.Flow = enforcer.Flow{Src: netip.AddrFrom4([4]byte{192, 168, 77, 10}), Dst: netip.AddrFrom4(four), Proto: proto, Sport: sport, Dport: dport}
	if six {
		p.Src, p.Dst = netip.MustParseAddr("fd77::10"), netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 12: four[0], 13: four[1], 14: four[2], 15: four[3]})
	}
	if proto == 6 || proto == 17 {
		return p
	}
	p.Sport, p.Dport, p.ICMPType = 0, 0, uint8(dport)
	return p
}

func checkVerdict(t *testing.T, p *mud.Profile, site *enforcer.Site, kernel *enforcer.Memory, k enforcer.Packet) {
	t.Helper()
	if !kernel.Send(site, k).Accept {
		return
	}
	if p.FromDevice != nil {
		for _, a := range p.FromDevice.ACEs {
			if a.Refused == "" && a.Action == mud.Accept && a.Match.Initiated != mud.ToDevice && mayMatch(a.Match, k) {
				return
			}
		}
	}
	t.Errorf("%+v is let out, and no ACE accepts it", k)
}

// mayMatch says whether an ACE can be about a packet to the Internet: no class has members there, no name is resolved.
func mayMatch(m mud.Match, k enforcer.Packet) bool {
	if m.Family == mud.IPv4 && k.Dst.Is6() || m.Family == mud.IPv6 && k.Dst.Is4() || m.Protocol != nil && *m.Protocol != k.Proto {
		return false
	}
	for _, r := range m.Remotes {
		local := r.Kind == mud.RemoteLocalNetworks && site6or4(k.Dst)
		if !local && (r.Kind != mud.RemotePrefix || !r.Prefix.Contains(k.Dst)) && r.Kind != mud.RemoteController {
			return false
		}
	}
	return portsMatch(m.RemotePort, k.Dport) && portsMatch(m.LocalPort, k.Sport) &&
		(m.ICMPType == nil || *m.ICMPType == k.ICMPType) && (m.ICMPCode == nil || *m.ICMPCode == k.ICMPCode)
}

func site6or4(a netip.Addr) bool {
	site := enforcertest.Site(enforcer.BridgeNone)
	return site.OnLAN(a)
}

func portsMatch(p mud.Ports, port uint16) bool {
	return !p.Set || (p.Lo <= port && port <= p.Hi) != p.Not
}

func FuzzComment(f *testing.F) {
	for _, text := range hostileText() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		site := enforcertest.Site(enforcer.BridgeMark)
		c := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyRestricted}, &site)
		m := member(&site, 1, c)
		m.Label = text
		r := enforcer.Build(&site, []enforcer.Member{m}, nil, nil)
		checkComments(t, r)
		if n := strings.Count(enforcer.Text(r), `"`); n%2 != 0 {
			t.Error("a quote of its own")
		}
	})
}

// TestDefaultVerdict: packets at random against a profile that accepts nothing (R8520-5-a, R8519-3-b).
func TestDefaultVerdict(t *testing.T) {
	for _, mode := range bridgeModes {
		for _, kind := range []enforcer.PolicyKind{enforcer.PolicyProfile, enforcer.PolicyRestricted, enforcer.PolicyQuarantine} {
			site := enforcertest.Site(mode)
			c := enforcer.Compile(enforcer.Policy{Kind: kind, Profile: parse(t, enforcertest.Profile{URL: enforcertest.LampURL}.JSON())}, &site)
			var m enforcer.Memory
			if err := m.Apply(enforcer.Diff(enforcer.Ruleset{}, enforcer.Build(&site, []enforcer.Member{member(&site, 10, c)}, nil, nil))); err != nil {
				t.Fatal(err)
			}
			for i := range 4000 {
				// A fixed walk through the space is as good as chance, and says the same every time.
				x := uint64(i+1) * 0x9e3779b97f4a7c15
				k := fuzzPacket(uint8(x>>56), uint32(x), uint16(x>>32), uint16(x>>16), i%2 == 0)
				if m.Send(&site, k).Accept {
					t.Fatalf("%s, %s: let out: %+v", mode, kind, k)
				}
			}
		}
	}
}

func TestCompiledNameSaysWhatIsInIt(t *testing.T) {
	site := enforcertest.Site(enforcer.BridgeMark)
	names := map[string]string{}
	for i, c := range enforcertest.Scenario() {
		for _, d := range c.Devices {
			if d.Profile == nil {
				continue
			}
			got := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: parse(t, d.Profile.JSON())}, &site)
			text := enforcer.Text(enforcer.Build(&site, []enforcer.Member{member(&site, 1, got)}, nil, nil))
			if old, there := names[got.Name]; there && old != text {
				t.Errorf("case %d: two policies are called %s", i, got.Name)
			}
			names[got.Name] = text
		}
	}
	if len(names) < 20 {
		t.Error(fmt.Sprint("only ", len(names), " different policies"))
	}
}
