package configs

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReferenceIsDefault(t *testing.T) {
	in := strings.Replace(Reference, "interfaces: []", "interfaces: [br-lan]", 1)
	got, err := Parse("mudguard.yaml", []byte(in))
	want := Default()
	want.LAN.Interfaces = []string{"br-lan"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

// As it is shipped, the reference lacks only what nobody but the administrator can know.
func TestReferenceAsShipped(t *testing.T) {
	_, err := Parse("mudguard.yaml", []byte(Reference))
	if err == nil || !regexp.MustCompile(`^mudguard.yaml:\d+: lan.interfaces is required: at least one$`).MatchString(err.Error()) {
		t.Error(err)
	}
}

// TestKeysAgree holds the three lists of keys together: the tags of Config, what the parser takes, and the reference.
func TestKeysAgree(t *testing.T) {
	tags := tagged(reflect.TypeFor[Config](), "")
	d := &decoder{file: "x", seen: map[string]int{}, wrong: map[string]bool{}}
	body, err := document("x", []byte(Reference))
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	section(c.keys()...)(d, "", body)
	var reference []string
	for path := range d.seen {
		reference = append(reference, path)
	}
	slices.Sort(tags)
	slices.Sort(reference)
	if !slices.Equal(tags, reference) {
		t.Errorf("tags %v\nreference %v", tags, reference)
	}
}

// The commented examples of the reference must be right too.
func TestReferenceExamples(t *testing.T) {
	re := regexp.MustCompile(`(?m)^( *)#   (trusted|controllers|my_controllers): (.*)$`)
	found := re.FindAllStringSubmatch(Reference, -1)
	if len(found) != 3 {
		t.Fatalf("%d examples", len(found))
	}
	in := strings.Replace(Reference, "interfaces: []", "interfaces: [br-lan]", 1)
	for _, m := range found {
		in = regexp.MustCompile(`(?m)^  `+m[2]+`: (\[\]|\{\})$`).ReplaceAllLiteralString(in, "  "+m[2]+": "+m[3])
	}
	c, err := Parse("mudguard.yaml", []byte(in))
	if err != nil || len(c.LAN.Trusted) != 1 || len(c.Classes.Controllers) != 2 || len(c.Classes.MyControllers) != 1 {
		t.Error(c, err)
	}
}

// tagged lists the dotted keys of a struct; a field without a tag is a key that nobody can set.
func tagged(s reflect.Type, at string) []string {
	var all []string
	for f := range s.Fields() {
		path := strings.TrimPrefix(at+"."+f.Tag.Get("yaml"), ".")
		all = append(all, path)
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Rate]() {
			all = append(all, tagged(f.Type, path)...)
		}
	}
	return all
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", minimal, everything, Reference, "lan: {interfaces: [a], x: &a *a}", "? a\n: b", "a: !!x b", "- - - a", "{a: [",
		strings.Replace(Reference, "interfaces: []", "interfaces: [br-lan]", 1), `{"lan":{"interfaces":["\/"]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		c, err := Parse("f", data)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
		if err == nil {
			checkInvariants(t, c)
		} else if !reflect.DeepEqual(c, Config{}) {
			t.Error("an error left a Config")
		}
	})
}

func checkInvariants(t *testing.T, c Config) {
	for _, name := range c.LAN.Interfaces {
		if len(name) == 0 || len(name) > 15 || strings.ContainsAny(name, "/ \n\"*") {
			t.Errorf("interface %q", name)
		}
	}
	for _, p := range c.Classes.LocalNetworks {
		if p != p.Masked() || p.Bits() == 0 {
			t.Errorf("network %s", p)
		}
	}
	for _, hosts := range c.Classes.Controllers {
		for _, h := range hosts {
			if h.Addr.IsValid() == (h.Name != "") {
				t.Errorf("host %+v", h)
			}
		}
	}
	ok := len(c.LAN.Interfaces) > 0 && c.StateDir[0] == '/' && c.Socket[0] == '/' && len(c.Socket) <= maxSocket &&
		c.Mark&(c.Mark-1) == 0 && c.Mark != 0 && c.Limits.Burst > 0 && c.Limits.NewFlows.Count > 0 &&
		c.Denials.Rate.Per > 0 && c.Fetch.MaxSize >= 1<<10 && c.Fetch.Timeout > 0 && c.DNS.MinTTL >= time.Second &&
		slices.Contains([]Mode{Enforce, Observe}, c.Mode) && slices.Contains([]Fallback{Allow, Block}, c.Failed) &&
		slices.Contains([]SignaturePolicy{Require, Warn, Ignore}, c.Signatures.Policy)
	if !ok {
		t.Errorf("%+v", c)
	}
}
