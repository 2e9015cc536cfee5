package mud

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestScanJSONRefuses: T7.
func TestScanJSONRefuses(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"R7493-2.3-a", `{"a":{"b":1,"b":2}}`, `octet 15 at a: the member "b" is there twice`},
		{"R7493-2.3-a escaped", `{"b":1,"\u0062":2}`, "twice"},
		{"R7493-2.3-a in array", `{"a":[0,{"x y":{"c":1,"c":1}}]}`, `at a[1]["x y"]: `},
		{"R8520-17.5-a BOM", "\xef\xbb\xbf{}", "byte order mark"},
		{"R8520-17.5-a UTF-8", "{\"a\":\"\xff\"}", "octet 6: the text is not UTF-8"},
		{"trailing", `{} {}`, "after the end"},
		{"empty", ``, "cut short"},
		{"open", `{"a":[1`, "comma"},
		{"open string", `{"a":"x`, "inside a string"},
		{"trailing comma", `[1,]`, "expected a JSON value"},
		{"trailing comma in object", `{"a":1,}`, "member name"},
		{"no colon", `{"a" 1}`, "colon"},
		{"number name", `{1:1}`, "member name"},
		{"leading zero", `01`, "not a JSON number"},
		{"plus", `+1`, "expected a JSON value"},
		{"minus", `-`, "not a JSON number"},
		{"dot", `1.`, "not a JSON number"},
		{"exponent", `1e`, "not a JSON number"},
		{"literal", `True`, "expected a JSON value"},
		{"NaN", `NaN`, "expected a JSON value"},
		{"comment", `/**/1`, "expected a JSON value"},
		{"single quotes", `{'a':1}`, "member name"},
		{"control", "\"a\nb\"", "control character"},
		{"NUL", "\x00", "expected a JSON value"},
		{"escape", `"\x"`, "escape"},
		{"short escape", `"\u12`, "escape"},
		{"lone surrogate", `"\ud800"`, "surrogate"},
		{"low surrogate", `"\udc00"`, "surrogate"},
		{"two high ones", `"\ud800\ud800"`, "surrogate"},
		{"R8520-16-l depth", strings.Repeat(`[`, 33), "32 deep"},
		{"R8520-16-l size", `"` + strings.Repeat("x", MaxFileSize) + `"`, "limit"},
		{"R8520-16-l values", `[` + strings.Repeat("0,", maxValues) + `0]`, "JSON values"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := scanJSON([]byte(tc.in)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestScanJSONTakes(t *testing.T) {
	for _, in := range []string{`{}`, ` [ ] `, `"\ud83d\ude00\"\\\/\b\f\n\r\t\u00e4ß"`, `-0.5e+10`, `0`, `null`,
		`{"a":{"b":1},"A":2,"":[true,false,null]}`, strings.Repeat(`[`, 32) + strings.Repeat(`]`, 32)} {
		v, err := scanJSON([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		var want string
		if v.kind == kindString && (json.Unmarshal([]byte(in), &want) != nil || v.text != want) {
			t.Errorf("%s: %q, want %q", in, v.text, want)
		}
	}
}

// TestDeepJSONIsFast: T7.
func TestDeepJSONIsFast(t *testing.T) {
	for _, s := range []string{`[`, `{"a":`} {
		start := time.Now()
		_, _, err := Parse([]byte(strings.Repeat(s, 10_000)))
		if err == nil || !strings.Contains(err.Error(), "nested") {
			t.Errorf("R8520-16-l: depth 10 000 gives %v", err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("took %v", d)
		}
	}
}

// FuzzScanJSON compares with encoding/json: what we take, it takes.
func FuzzScanJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,"x",null,true]}`, `"\ud83d\ude00"`, `[-1.5e+3]`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := scanJSON(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("%q is taken and is no JSON", raw)
		}
		var s string
		if v.kind == kindString && (json.Unmarshal(raw, &s) != nil || s != v.text) {
			t.Errorf("%q read as %q, want %q", raw, v.text, s)
		}
	})
}
