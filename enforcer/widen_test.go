package enforcer

import (
	"net/netip"
	"strings"
	"testing"

	"mudguard/mud"
)

func ace(action mud.Action, m mud.Match) mud.ACE { return mud.ACE{Action: action, Match: m} }

func num[T any](v T) *T { return &v }

func profileOf(from ...mud.ACE) *mud.Profile {
	return &mud.Profile{FromDevice: &mud.Policy{ACEs: from}, ToDevice: &mud.Policy{}}
}

// TestNewlyAllowed: R8520-16-g, R8520-1.8-b. What surely allows no more is silent, all else is told.
func TestNewlyAllowed(t *testing.T) {
	name := func(n string) mud.Remote { return mud.Remote{Kind: mud.RemoteName, Value: n} }
	net := func(p string) mud.Remote { return mud.Remote{Kind: mud.RemotePrefix, Prefix: netip.MustParsePrefix(p)} }
	ports := func(lo, hi uint16) mud.Ports { return mud.Ports{Set: true, Lo: lo, Hi: hi} }
	tcp := func(r mud.Remote, p mud.Ports) mud.Match {
		return mud.Match{Family: mud.IPv4, Protocol: num(uint8(6)), Remotes: []mud.Remote{r}, RemotePort: p}
	}
	yes := func(m mud.Match) mud.ACE { return ace(mud.Accept, m) }
	no := func(m mud.Match) mud.ACE { return ace(mud.Drop, m) }
	a, b := tcp(name("a.example"), ports(443, 443)), tcp(name("b.example"), ports(443, 443))
	group := mud.Match{Family: mud.IPv4, LocalPort: ports(1900, 1900), Group: netip.MustParsePrefix("239.255.255.250/32")} // RMX-2.3-a
	in := func(p *mud.Profile, list ...mud.ACE) *mud.Profile { p.ToDevice.ACEs = list; return p }
	for what, c := range map[string]struct {
		old, next *mud.Profile
		want      string // "": nothing
	}{
		"the same":               {profileOf(yes(a)), profileOf(yes(a)), ""},
		"less":                   {profileOf(yes(a), yes(b)), profileOf(yes(b)), ""},
		"another order":          {profileOf(yes(a), yes(b)), profileOf(yes(b), yes(a)), ""},
		"another name":           {profileOf(yes(a)), profileOf(yes(a), yes(b)), "b.example"},
		"a port of a range":      {profileOf(yes(tcp(name("a.example"), ports(1, 1000)))), profileOf(yes(a)), ""},
		"a wider range":          {profileOf(yes(a)), profileOf(yes(tcp(name("a.example"), ports(443, 444)))), "443-444"},
		"any port":               {profileOf(yes(a)), profileOf(yes(tcp(name("a.example"), mud.Ports{}))), "tcp over"},
		"all but one":            {profileOf(yes(a)), profileOf(yes(tcp(name("a.example"), mud.Ports{Set: true, Not: true, Lo: 1, Hi: 1}))), "all but"},
		"not that one":           {profileOf(yes(tcp(name("a.example"), mud.Ports{Set: true, Not: true, Lo: 1, Hi: 1}))), profileOf(yes(a)), ""},
		"a smaller network":      {profileOf(yes(tcp(net("192.0.2.0/24"), ports(1, 1)))), profileOf(yes(tcp(net("192.0.2.8/32"), ports(1, 1)))), ""},
		"a larger network":       {profileOf(yes(tcp(net("192.0.2.0/24"), ports(1, 1)))), profileOf(yes(tcp(net("192.0.0.0/16"), ports(1, 1)))), "192.0.0.0/16"},
		"both families":          {profileOf(yes(a)), profileOf(yes(mud.Match{Protocol: num(uint8(6)), Remotes: a.Remotes, RemotePort: a.RemotePort})), "a.example"},
		"a condition more":       {profileOf(yes(a)), profileOf(yes(mud.Match{Family: a.Family, Protocol: a.Protocol, Remotes: append(a.Remotes, net("192.0.2.0/24")), RemotePort: a.RemotePort})), ""},
		"a field more":           {profileOf(yes(a)), profileOf(yes(withField(a))), ""},
		"a field less":           {profileOf(yes(withField(a))), profileOf(yes(a)), "a.example"},
		"a drop more":            {profileOf(yes(a)), profileOf(no(b), yes(a)), ""},
		"a drop gone":            {profileOf(no(a), yes(a)), profileOf(yes(a)), "denied before"},
		"a drop behind the hole": {profileOf(no(a), yes(tcp(name("a.example"), ports(1, 1000)))), profileOf(yes(tcp(name("a.example"), ports(1, 1000))), no(a)), "1-1000"},
		"a drop that had no say": {profileOf(yes(a), no(a)), profileOf(yes(a), no(a)), ""},
		"everything":             {profileOf(yes(a)), profileOf(yes(mud.Match{})), "everything"},
		"another direction":      {profileOf(yes(a)), in(profileOf(yes(a)), yes(tcp(name("c.example"), ports(22, 22)))), "being reached"},
		"only a mirror":          {profileOf(yes(a)), in(profileOf(yes(a)), yes(a)), ""},
		"a group":                {profileOf(yes(a)), in(profileOf(yes(a)), yes(group)), ""},
		"more than a group":      {in(profileOf(yes(a)), yes(group)), in(profileOf(yes(a)), yes(mud.Match{Family: mud.IPv4, LocalPort: group.LocalPort})), "being reached"},
		"no policy":              {profileOf(yes(a)), &mud.Profile{}, "everything"},
		"from no policy":         {&mud.Profile{}, profileOf(yes(a)), ""},
		"one that is refused":    {profileOf(yes(a)), profileOf(yes(a), mud.ACE{Action: mud.Accept, Match: b, Refused: "no"}), ""},
	} {
		got := strings.Join(newlyAllowed(false, c.old, c.next), "; ")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
	// Read literally, what only mirrors opens what it says (T-01).
	got := strings.Join(newlyAllowed(true, profileOf(yes(a)), in(profileOf(yes(a)), yes(a))), "; ")
	if !strings.Contains(got, "being reached: tcp/443") {
		t.Errorf("a mirror, read literally: %q", got)
	}
	g := yes(group)
	if text := describeACE(&g); !strings.Contains(text, "to the group 239.255.255.250/32") {
		t.Errorf("a group: %q", text)
	}
}

func withField(m mud.Match) mud.Match {
	m.Fields = []mud.FieldMatch{{Field: mud.FieldTTL, Value: 64, Mask: 255}}
	return m
}
