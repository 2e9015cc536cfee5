package mud

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the YANG modules allow and we call an error, because an RFC says so, a row of ours does, or yanglint is wrong. The
// other way round there is nothing: what they reject is an error (but see looser).
var stricter = []struct{ row, why string }{
	{"R8520-1.5-a", "a MUD URL is https"},
	{"R8520-1.6-b", "a signature comes from a server with a certificate"},
	{"R8520-2-c", "one side of an ACE is the device itself, which no file names"},
	{"R8520-2-e", "a value that no packet can have: the condition can't be left out (T-13)"},
	{"R8520-2.1-a", "a MUD file has a mud container"},
	{"R8520-3.1-a", "mud-version is 1"},
	{"R8520-3.4-a", "RFC 3339 wants an offset and a day of the calendar; RFC 9911's pattern wants neither"},
	{"R8520-4.1-a", "a manufacturer is a name or an address: see R8520-8.1-a"},
	{"R8520-4.4-a", "a model is a MUD URL"},
	{"R8520-4.6-a", "a class is a URI (RFC 3986); the type's pattern ends at the scheme"},
	{"R8520-6-b", "a URL without user information, in ASCII (RFC 3986)"},
	{"R8520-8-b", "an IPv6 address under ipv4 never matches"},
	{"R8520-8.1-a", "a name that ends in a number is read as an address by resolvers (RFC 1123 section 2.1), and a zone means something " +
		"on one host only (RFC 4007)"},
	{"R8520-8.2-a", "no name for the device's own side"},
	{"R8519-4-d", "the when statements of the module look at all ACLs of a file; what a type means the identities say"},
	{"R8519-4-i", "a protocol number contradicts a container"},
	{"R7951-4-a", "members of the parent's module have the simple form"},
	{"R7493-2.3-a", "no member twice"},
	{"R8520-14-b", "a MUD file has no nodes of other modules, but for extensions (R8520-2-i)"},
	{"R8520-16-l", "limits"},
	{"T-04", "a MUD URL has 255 octets at most"},
	{"T-12", "ACLs that no policy lists are a mistake"},
	{"T-13", "a mask without an address, or more octets than can be compared"},
	{"T-22", "icmp without an IP version"},
	{"T-30", "protocol 0 is not any protocol"},
}

// looser tells whether yanglint rejects a file for something that isn't against the YANG modules.
func looser(verdict string, raw []byte) bool {
	switch {
	case strings.Contains(verdict, "No module named"):
		return regexp.MustCompile(`"extensions":\s*\[`).Match(raw) // an extension that is declared and not known here (R8520-3.9-b)
	case strings.Contains(verdict, `Invalid type uint`):
		return regexp.MustCompile(`0\.[0-9]+[eE]`).Match(raw) // 0.1e1 is 1; libyang shifts the point wrongly
	}
	return strings.Contains(verdict, `Invalid character reference "\ud8`) // a surrogate pair, which RFC 8259 section 7 has
}

// agree compares our verdict with yanglint's.
func agree(t *testing.T, name string, raw []byte, verdict judgement) {
	t.Helper()
	_, problems, err := Parse(raw)
	worst := worstOf(problems)
	switch {
	case err != nil && worst != SeverityError:
		t.Errorf("%s: refused without a problem: %v", name, err)
	case verdict.text != "" && worst != SeverityError && !looser(verdict.text, raw):
		t.Errorf("%s: yanglint rejects it, and we don't: %s", name, Clean(verdict.text, 300))
	case verdict.text == "" && worst == SeverityError && !verdict.crashed:
		if p := unfounded(problems); p != nil {
			t.Errorf("%s: yanglint allows it, and we don't: %v", name, *p)
		}
	}
}

// unfounded gives an error that no row of stricter stands for.
func unfounded(problems []Problem) *Problem {
	founded := make(map[string]bool)
	for _, s := range stricter {
		founded[s.row] = true
	}
	for i, p := range problems {
		noncharacter := strings.Contains(p.Message, "no YANG string can have") // libyang lets U+FDD0 pass (RFC 7950 section 9.4)
		prefixed := worstRow(problems, "R7951-4-a")                            // so what it should be called is missing
		if p.Severity == SeverityError && !founded[p.Row] && !noncharacter && !prefixed {
			return &problems[i]
		}
	}
	return nil
}

func worstRow(problems []Problem, row string) bool {
	for _, p := range problems {
		if p.Row == row && p.Severity == SeverityError {
			return true
		}
	}
	return false
}

// TestYanglintMutations has files with one thing changed.
func TestYanglintMutations(t *testing.T) {
	o := newOracle(t)
	var all []mutation
	seen := make(map[string]bool)
	for i, f := range validFiles() {
		all = append(all, mutations(t, f.what, f.raw, i == 0, seen)...)
	}
	raws := make([][]byte, len(all))
	for i := range all {
		raws[i] = all[i].raw
	}
	valid, crashed := 0, 0
	for i, j := range o.judge(t, raws) {
		if j.crashed {
			crashed++
		} else if j.text == "" {
			valid++
		}
		agree(t, all[i].what, raws[i], j)
		if j.crashed {
		}
	}
	if t.Logf("%d files, %d of them valid; yanglint crashed on %d", len(all), valid, crashed); crashed > 50 || valid < len(all)/10 {
		t.Error("there is too little to compare with")
	}
}

// TestYanglintCorpus has the files that others published, as they are and after the normalisations that make valid files of
// most.
func TestYanglintCorpus(t *testing.T) {
	o := newOracle(t)
	var names []string
	var raws [][]byte
	add := func(name string, raw []byte) {
		names, raws = append(names, name), append(raws, raw)
	}
	dir := filepath.Join(o.corpus, "mud")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		raw := mustRead(t, path)
		add(path, raw)
		for i, n := range normalisations() {
			if changed := n(raw); string(changed) != string(raw) {
				raw = changed
				add(path+" normalised "+strings.Repeat("I", i+1), raw)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	valid := 0
	for i, j := range o.judge(t, raws) {
		if j.text == "" {
			valid++
		}
		agree(t, names[i], raws[i], j)
	}
	t.Logf("%d files, %d of them valid", len(raws), valid)
}

// normalisations make RFC 8520 files of those of drafts, one step after the other.
func normalisations() []func([]byte) []byte {
	replace := func(pattern, with string) func([]byte) []byte {
		re := regexp.MustCompile(pattern)
		return func(raw []byte) []byte { return re.ReplaceAll(raw, []byte(with)) }
	}
	hex := regexp.MustCompile(`"ethertype"\s*:\s*"0x[0-9a-fA-F]+"`)
	return []func([]byte) []byte{
		replace(`ietf-access-control-list:access-lists`, rootACLs),
		replace(`ethernet-acl-type`, `eth-acl-type`),
		func(raw []byte) []byte {
			return hex.ReplaceAllFunc(raw, func(m []byte) []byte {
				f := ethertypeType(&value{kind: kindString, text: strings.Split(string(m), `"`)[3]})
				return []byte(pair("ethertype", f.mend))
			})
		},
		replace(`"protocol"\s*:\s*0\b`, `"protocol":6`),
		replace(`(src|dst)-dnsname`, `ietf-acldns:$1-dnsname`),
		replace(`ietf-acldns:ietf-acldns:`, `ietf-acldns:`),
		replace(`"direction-initiated"`, `"ietf-mud:direction-initiated"`),
		replace(`-port-range-or-operator"`, `-port"`),
		replace(`(acl|rule)-name"`, `name"`),
		replace(`"acl-type"`, `"type"`),
	}
}

// TestYanglintCommand checks that the oracle judges as the command line of the corpus's README does, and its table.
func TestYanglintCommand(t *testing.T) {
	o := newOracle(t)
	i := 0
	for rel, table := range yanglintTable(t, o.corpus) {
		if i++; rel == "path" || i%4 != 0 { // in random order
			continue
		}
		path := filepath.Join(o.corpus, filepath.FromSlash(rel))
		raw := mustRead(t, path)
		core := o.command(t, path, coreModules...)
		if (core == "") != (table.core == "valid") {
			t.Errorf("%s: yanglint says %q, the table %q", rel, core, table.core)
		}
		with := o.command(t, path, append(coreModules, extensionModules...)...)
		if judged := o.judge(t, [][]byte{raw})[0]; (judged.text == "") != (with == "") {
			t.Errorf("%s: the oracle says %q, the command %q", rel, judged.text, with)
		}
	}
}
