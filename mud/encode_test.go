package mud

import (
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// roundTrip writes a profile, reads it again and compares; it gives the file.
func roundTrip(t testing.TB, name string, p Profile) []byte {
	t.Helper()
	raw, err := Encode(p)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return nil
	}
	again, problems, err := Parse(raw)
	if err != nil {
		t.Errorf("%s: %v: %s", name, err, raw)
		return nil
	}
	if at := difference(reflect.ValueOf(written(p)), reflect.ValueOf(written(again))); at != "" {
		t.Errorf("%s: another profile at %s: %s", name, at, raw)
	}
	for _, d := range [][2]*Policy{{applied(p.FromDevice), again.FromDevice}, {applied(p.ToDevice), again.ToDevice}} {
		for i := 0; d[0] != nil && i < len(d[0].ACEs); i++ {
			if a, b := d[0].ACEs[i], d[1].ACEs[i]; a.Name != b.Name || !strings.HasPrefix(b.ACL, a.ACL) {
				t.Errorf("%s: the ACE %s/%s is now %s/%s", name, a.ACL, a.Name, b.ACL, b.Name)
			}
		}
	}
	if second, err := Encode(again); err != nil || string(second) != string(raw) {
		t.Errorf("%s: written again it is another file: %v", name, err)
	}
	if worst := worstOf(problems); worst == SeverityError && !strings.Contains(string(raw), "_") { // hosts may have underscores, which Parse tells
		t.Errorf("%s: the file written has an error: %v", name, firstError(problems))
	}
	return raw
}

// TestEncodeCorpus writes each profile of the corpus that can be read, also after normalisation.
func TestEncodeCorpus(t *testing.T) {
	dir := corpusDir(t)
	var names []string
	var files [][]byte
	add := func(name string, raw []byte) {
		if p, _, err := Parse(raw); err == nil {
			if out := roundTrip(t, name, p); out != nil {
				names, files = append(names, name), append(files, out)
			}
		}
	}
	err := filepath.WalkDir(filepath.Join(dir, "mud"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		raw := mustRead(t, path)
		add(path, raw)
		for _, n := range normalisations() {
			raw = n(raw)
		}
		add(path+" normalised", raw)
		return nil
	})
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range validFiles() {
		add(f.what, f.raw)
	}
	t.Logf("%d files", len(files))
	o := newOracle(t)
	for i, j := range o.judge(t, files) {
		if j.text != "" && !strings.Contains(string(files[i]), "_") || j.crashed {
			t.Errorf("%s: yanglint rejects what we wrote: %v\n%s", names[i], j, files[i])
		}
	}
}

func TestEncodeGolden(t *testing.T) {
	p, _, err := Parse(mustRead(t, "testdata/lamp.json"))
	if err != nil {
		t.Fatal(err)
	}
	goldenFile(t, "testdata/lamp.encoded.json", string(roundTrip(t, "lamp", p)))
}

// TestEncodeRefuses has profiles that no MUD file states.
func TestEncodeRefuses(t *testing.T) {
	good := func() Profile {
		p, _, err := Parse(aceFile(v4, accept(`"tcp":{}`), accept(`"udp":{}`)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	proto := uint8(2)
	for _, tc := range []struct {
		want   string
		change func(p *Profile)
	}{
		{"there is no URL", func(p *Profile) { p.URL = URL{} }},
		{"1h30m0s", func(p *Profile) { p.CacheValidity = 90 * time.Minute }},
		{"1 to 168", func(p *Profile) { p.CacheValidity = 0 }},
		{"Transparency", func(p *Profile) { p.Transparency = &Transparency{} }},
		{"SystemInfo", func(p *Profile) { p.SystemInfo = "a\x00" }},
		{"FromDevice.ACEs", func(p *Profile) { p.FromDevice.ACEs[0].Match.RemotePort = Ports{Set: true, Lo: 2, Hi: 1} }},
		{"which version", func(p *Profile) { p.FromDevice.ACEs[0].Match = Match{Protocol: &proto} }},
		{"which version", func(p *Profile) {
			p.ToDevice.ACEs[0].Match = Match{Remotes: []Remote{{Kind: RemoteName, Value: "a.example"}}}
		}},
		{"unknown way", func(p *Profile) { p.FromDevice.ACEs[0].Match.Remotes = []Remote{{}} }},
		{"unknown header field", func(p *Profile) { p.FromDevice.ACEs[0].Match.Fields = []FieldMatch{{}} }},
		{"Fields", func(p *Profile) {
			p.FromDevice.ACEs[0].Match.Fields = []FieldMatch{{Field: FieldTTL, Value: 1, Mask: 1}}
		}},
		{"extensions[0]", func(p *Profile) { p.Extensions = []string{strings.Repeat("x", 41)} }},
	} {
		p := good()
		tc.change(&p)
		if raw, err := Encode(p); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("want an error with %q, got %v: %s", tc.want, err, raw)
		}
	}
}

// TestEncodeNames has names that can't be list keys as they are.
func TestEncodeNames(t *testing.T) {
	p, _, err := Parse(aceFile(v4, accept(`"tcp":{}`), accept(`"udp":{}`)))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ä", 70)
	ace := func(acl, name string) ACE { return ACE{ACL: acl, Name: name, Action: Accept} }
	p.FromDevice.ACEs = []ACE{ace("", ""), ace("", ""), ace("x", long), ace("", long), {ACL: "x", Refused: "no"}, ace("x", "a\nb"), ace("x", "a\nb")}
	p.ToDevice = &Policy{ACEs: []ACE{ace("x", "a")}}
	again, _, err := Parse(roundTripNames(t, p))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, pol := range []*Policy{again.FromDevice, again.ToDevice} {
		for _, a := range pol.ACEs {
			got = append(got, a.ACL+"/"+a.Name)
		}
	}
	cut := strings.Repeat("ä", 64)
	if want := []string{"acl/ace", "acl/ace-2", "x/" + cut, "acl-2/" + cut, "x-2/a\ufffdb", "x-2/a\ufffdb-2", "x-3/a"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func roundTripNames(t *testing.T, p Profile) []byte {
	t.Helper()
	raw, err := Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
