package mud

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	long := "https://mud.example/" + strings.Repeat("a", 235)
	for _, tc := range []struct{ name, in, want string }{
		{"R8520-1.5-a scheme case", "HTTPS://mud.example/m1", "https://mud.example/m1"},
		{"R8520-6-a slash", "https://mud.example/x/", "https://mud.example/x/"},
		{"R8520-6-a query", "https://mud.example/m?x=1&y=/?", "https://mud.example/m?x=1&y=/?"},
		{"R8520-6-a port", "https://mud.example:8443/", "https://mud.example:8443/"},
		{"R8520-6-b fragment", "https://mud.example/a#b?c", "https://mud.example/a"},
		{"R8520-11-c", "HTTPS://MUD.Example/%7Ea/%2f%c3", "https://mud.example/~a/%2F%C3"},
		{"T-10 default port", "https://mud.example:443", "https://mud.example/"},
		{"T-10 empty port", "https://mud.example:/a", "https://mud.example/a"},
		{"T-10 dot", "https://mud.example./a", "https://mud.example/a"},
		{"dots", "https://h/a/./b/%2e%2E/c/..", "https://h/a/"},
		{"dots above root", "https://h/../..", "https://h/"},
		{"empty segments", "https://h/a//../b", "https://h/a/b"},
		{"only query", "https://h?", "https://h/?"},
		{"R6991-host underscore", "https://my_lamp/x", "https://my_lamp/x"},
		{"IPv4", "https://192.0.2.1/x", "https://192.0.2.1/x"},
		{"IPv6", "https://[2001:DB8:0::1]:8443/x", "https://[2001:db8::1]:8443/x"},
		{"T-04 255", long, long},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := ParseURL(tc.in)
			if err != nil || u.String() != tc.want {
				t.Errorf("ParseURL(%q) = %q, %v; want %q", tc.in, u, err, tc.want)
			}
			if again, err := ParseURL(u.String()); again != u {
				t.Errorf("not stable: %q, %v", again, err)
			}
		})
	}
}

func TestParseURLRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"R8520-1.5-a http":     "http://mud.example/x",
		"R8520-1.5-a coaps":    "coaps://mud.example/x",
		"R8520-1.5-a bare":     "mud.example",
		"R8520-1.5-a empty":    "",
		"R8520-1.5-a relative": "//mud.example/x",
		"R8520-1.5-a opaque":   "https:mud.example/x",
		"R8520-6-b userinfo":   "https://a:b@mud.example/x",
		"R8520-6-b at":         "https://@mud.example/x",
		"R8520-6-b space":      "https://mud.example/a b",
		"R8520-6-b NUL":        "https://mud.example/\x00",
		"R8520-6-b DEL":        "https://mud.example/\x7f",
		"R8520-6-b non-ASCII":  "https://mud.example/é",
		"Kelvin host":          "https://\u212aelvin.example/",
		"no host":              "https:///x",
		"only dot":             "https://./x",
		"two dots":             "https://a../x",
		"only port":            "https://:443/x",
		"port 0":               "https://mud.example:0/",
		"port 65536":           "https://mud.example:65536/",
		"port sign":            "https://mud.example:+80/",
		"port zeros":           "https://mud.example:0443/",
		"backslash":            `https://mud.example\@evil.example/`,
		"bad percent":          "https://mud.example/%4",
		"percent host":         "https://mud%2eexample/",
		"odd IPv4":             "https://127.1/",
		"hex IPv4":             "https://0x7f000001/",
		"octal IPv4":           "https://0177.0.0.1/",
		"bare IPv6":            "https://::1/",
		"zone":                 "https://[fe80::1%25eth0]/",
		"brackets IPv4":        "https://[192.0.2.1]/",
		"wildcard":             "https://*.example/",
		"hyphen":               "https://-a.example/",
		"T-04 256":             "https://mud.example/" + strings.Repeat("a", 236),
	} {
		t.Run(name, func(t *testing.T) {
			if u, err := ParseURL(in); err == nil {
				t.Errorf("ParseURL(%q) = %q; want an error", in, u)
			} else if u != (URL{}) {
				t.Errorf("an error with the URL %q", u)
			}
		})
	}
}

func TestURLParts(t *testing.T) {
	for _, tc := range []struct{ in, host, authority string }{
		{"https://MUD.example:8443/x?y", "mud.example", "mud.example:8443"},
		{"https://mud.example?y:z", "mud.example", "mud.example"},
		{"https://[::1]/x", "::1", "[::1]"},
		{"https://[::1]:8443/x", "::1", "[::1]:8443"},
	} {
		u, err := ParseURL(tc.in)
		if err != nil || u.Host() != tc.host || u.Authority() != tc.authority {
			t.Errorf("%q: host %q, authority %q, %v", tc.in, u.Host(), u.Authority(), err)
		}
	}
	if z := (URL{}); !z.IsZero() || z.Host() != "" || z.Authority() != "" {
		t.Error("the zero URL has parts")
	}
}

func TestURLText(t *testing.T) {
	var v struct{ A, B URL }
	if err := json.Unmarshal([]byte(`{"A":"HTTPS://h","B":""}`), &v); err != nil || v.A.String() != "https://h/" || !v.B.IsZero() {
		t.Fatalf("%+v, %v", v, err)
	}
	if out, err := json.Marshal(v); err != nil || string(out) != `{"A":"https://h/","B":""}` {
		t.Errorf("%s, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"A":"http://h"}`), &v); err == nil {
		t.Error("R8520-1.5-a: http taken")
	}
}

func TestParseClass(t *testing.T) {
	for in, want := range map[string]string{
		"URN:IETF:params:mud:DNS":      ClassDNS,
		"urn:ietf:params:mud:ntp":      ClassNTP,
		"urn:Example:Hub%3a":           "urn:example:Hub%3A",
		"https://LAMP.example:443/%7E": "https://lamp.example/~",
		"http://LAMP.example/Class":    "http://lamp.example/Class",
		"tag:X":                        "tag:X",
		"bacnet":                       "", "": "", ":x": "", "x:": "", "1a:b": "", "urn:a b": "", "https://": "",
	} {
		got, err := ParseClass(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("R8520-4.6-a: ParseClass(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestClean(t *testing.T) {
	for _, tc := range []struct {
		in    string
		limit int
		want  string
	}{
		{"Lamp & Söhne", 60, "Lamp & Söhne"},
		{"a\x00b\x1b[31m\nc", 60, "a�b�[31m�c"},
		{"a\u202eb\u2066\u2028", 60, "a�b��"},
		{"a\xffb", 60, "a�b"},
		{"äöü", 3, "äöü"},
		{"äöüß", 3, "äö…"},
		{"abc", 0, ""},
		{"abc", 1, "…"},
		{"", 5, ""},
	} {
		if got := Clean(tc.in, tc.limit); got != tc.want {
			t.Errorf("R8520-3.7-a: Clean(%q, %d) = %q; want %q", tc.in, tc.limit, got, tc.want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"https://mud.example/m1", "HTTPS://[::1]:8443/%7e/../a?b#c", "https://a.b.:443//..//%2E", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseClass(s); err == nil {
			if again, err := ParseClass(c); again != c {
				t.Errorf("class %q becomes %q, %v", c, again, err)
			}
		}
		u, err := ParseURL(s)
		if err != nil {
			return
		}
		if again, err := ParseURL(u.String()); again != u {
			t.Errorf("%q becomes %q, %v", u, again, err)
		}
		if u.Host() == "" || len(u.String()) > MaxURL || !strings.HasPrefix(u.String(), "https://"+u.Authority()+"/") {
			t.Errorf("%q: host %q, authority %q", u, u.Host(), u.Authority())
		}
	})
}
