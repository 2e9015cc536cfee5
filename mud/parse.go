package mud

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The two roots of a MUD file (RFC 8520 section 2.1) and the one of drafts before it (T-14).
const (
	rootMUD    = "ietf-mud:mud"
	rootACLs   = "ietf-access-control-list:acls"
	rootLegacy = "ietf-access-control-list:access-lists"
)

// Bounds of cache-validity (RFC 8520 section 3.5).
const (
	minCacheHours     = 1
	maxCacheHours     = 168
	defaultCacheHours = 48
)

// Head reads what is needed to fetch and check the signature of a MUD file, and nothing else: its mud-url, and its
// mud-signature as an absolute https URL, "" where there is none (RFC 8520 section 13.2: the signature is checked
// before the rest is processed). It refuses text that isn't strict JSON.
func Head(raw []byte) (mudURL URL, signature string, err error) {
	var r report
	m := r.mudRoot(r.scan(raw))
	if m.exists() {
		mudURL, signature = r.head(m)
		if n := m.get("mud-url"); !n.exists() {
			r.refuse(n.path, "R8520-3.2-a", "it is missing; write it")
		}
	}
	if err := r.err(); err != nil {
		return URL{}, "", err
	}
	return mudURL, signature, nil
}

// Parse reads a MUD file. Where the error isn't nil the whole file is refused and the Profile is zero, and the Problems
// with SeverityError say why; the error names the first and counts the others. Where it is nil, the Problems say what
// of the file isn't applied, or is applied but risky. A file without a Problem of SeverityError is a valid instance of the
// YANG modules of RFC 8520 and RFC 8519, and of the extensions that are known here.
func Parse(raw []byte) (Profile, []Problem, error) {
	var r report
	p := r.profile(r.scan(raw))
	r.settle()
	if err := r.err(); err != nil {
		return Profile{}, r.list(), err
	}
	return p, r.list(), nil
}

func (r *report) scan(raw []byte) node {
	v, err := scanJSON(raw)
	if err != nil {
		r.refuse(err.path, err.row, "octet %d: %s", err.offset, err.msg)
		return node{}
	}
	root := node{v: v}
	if v.kind != kindObject {
		hint := ""
		if v.kind == kindString {
			hint = "; the file looks as if it was encoded twice"
		}
		r.refuse("", "R8520-2-a", "expected an object, found %s%s", v.kind, hint)
		return node{}
	}
	return root
}

func (r *report) mudRoot(root node) node {
	if !root.exists() {
		return node{}
	}
	m := root.get(rootMUD)
	if !m.exists() {
		r.refuse("", "R8520-2.1-a", "there is no %s, so this is no MUD file", rootMUD).mend(`"%s": {…}`, rootMUD)
		return node{}
	}
	if !r.want(m, kindObject) {
		return node{}
	}
	return m
}

// want tells whether n is of that kind, and refuses the file where it isn't.
func (r *report) want(n node, k kind) bool {
	if n.kind() == k {
		return true
	}
	r.refuse(n.path, "R8520-2-a", "expected %s, found %s", k, n.kind())
	return false
}

func (r *report) profile(root node) Profile {
	m := r.mudRoot(root)
	if !m.exists() {
		return Profile{}
	}
	hasACLs := root.get(rootACLs).exists()
	r.check(root)
	var p Profile
	p.URL, p.Signature = r.head(m)
	if n := m.get("mud-signature"); !n.exists() {
		r.warn(n.path, "R8520-13.2-b", "the file names no signature, so nobody can verify who wrote it; "+
			"an administrator has to approve it").mend(`%s`, pair("mud-signature", quote(p.URL.s+".p7s")))
	}
	r.required(m, &p)
	r.descriptions(m, &p)
	p.Extensions = r.declared(m.get("extensions"))
	r.tls = slices.Contains(p.Extensions, extTLS)
	r.extensions(m, &p)
	r.policies(root, m, hasACLs, &p)
	return p
}

// head reads mud-url and mud-signature.
func (r *report) head(m node) (URL, string) {
	n := m.get("mud-url")
	if !n.exists() || !r.want(n, kindString) {
		return URL{}, ""
	}
	u, err := ParseURL(n.text())
	if err != nil {
		p := r.refuse(n.path, urlRow(n.text()), "%v", err)
		if rest, ok := strings.CutPrefix(n.text(), "http://"); ok {
			p.mend("%s", pair("mud-url", quote("https://"+rest)))
		}
		return URL{}, ""
	}
	n = m.get("mud-signature")
	if !n.exists() || !r.want(n, kindString) {
		return u, ""
	}
	sig, err := u.resolve(n.text())
	if err != nil {
		row := urlRow(n.text())
		if row == "R8520-1.5-a" {
			row = "R8520-1.6-b" // no certificate to validate
		}
		r.refuse(n.path, row, "the signature URL %s can't be used: %v", show(n.text()), err)
		return u, ""
	}
	return u, sig.String()
}

func urlRow(s string) string {
	switch {
	case !hasScheme(s):
		return "RAU-5-b"
	case len(s) > MaxURL:
		return "T-04" // a limit of ours where it is a signature's
	case !strings.HasPrefix(strings.ToLower(s), "https:"):
		return "R8520-1.5-a"
	}
	return "R8520-6-b"
}

// required reads the leaves that steer processing (RFC 8520 sections 3.1 and 3.4 to 3.6).
func (r *report) required(m node, p *Profile) {
	if n := m.get("mud-version"); n.exists() && n.uint() != 1 {
		r.refuse(n.path, "R8520-3.1-a", "only version 1 of the MUD language exists").mend(`"mud-version": 1`)
	}
	if n := m.get("last-update"); n.exists() {
		t, err := parseDate(n.text())
		if err != nil {
			r.refuse(n.path, "R8520-3.4-a", "%v", err).mend("%s", pair("last-update", quote(Clean(n.text(), 19)+"Z")))
		}
		p.LastUpdate = t
	}
	p.CacheValidity = defaultCacheHours * time.Hour
	if n := m.get("cache-validity"); n.exists() {
		p.CacheValidity = time.Duration(n.uint()) * time.Hour
		if n.uint() < 24 {
			r.note(n.path, "R8520-3.5-b", "%d hours is less than the 24 that RFC 8520 recommends", n.uint()).mend(`"cache-validity": 24`)
		}
	}
	n := m.get("is-supported")
	if p.Supported = n.text() == "true"; n.exists() && !p.Supported {
		r.note(n.path, "R8520-3.6-a", "the manufacturer no longer supports the device: there will be no new firmware and no new file")
	}
}

// descriptions reads what is only shown (RFC 8520 sections 3.7, 3.8 and 4.3).
func (r *report) descriptions(m node, p *Profile) {
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"systeminfo", &p.SystemInfo}, {"mfg-name", &p.MfgName}, {"model-name", &p.ModelName},
		{"firmware-rev", &p.FirmwareRev}, {"software-rev", &p.SoftwareRev}, {"documentation", &p.Documentation},
	} {
		*f.to = r.shown(m.get(f.name))
	}
	if n := utf8.RuneCountInString(p.SystemInfo); n > 60 {
		r.note(m.get("systeminfo").path, "R8520-3.7-a", "it has %d characters where 60 are recommended", n).mend("%s",
			pair("systeminfo", quote(Clean(p.SystemInfo, 60))))
	}
	if n := m.get("documentation"); n.exists() && !isWeb(p.Documentation) {
		r.warn(n.path, "R8520-4.3-a", "it is no http or https URL, so it is left out and never becomes a link")
		p.Documentation = ""
	}
}

// isWeb tells whether s is a URL that may become a link.
func isWeb(s string) bool {
	s = strings.ToLower(s)
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

// shown reads a text that people see.
func (r *report) shown(n node) string {
	s := Clean(n.text(), maxText)
	if s != n.text() {
		r.warn(n.path, "R8520-3.7-a", "it has characters that can't be shown, or more than %d; these are replaced or cut", maxText)
	}
	return s
}

// declared reads the names of extensions (RFC 8520 section 3.9).
func (r *report) declared(n node) []string {
	var out []string
	n.each(func(_ string, e node) {
		out = append(out, Clean(e.text(), 40))
		if !knownExtension(e.text()) {
			r.warn(e.path, "R8520-3.9-a", "the extension %s is not known here; what it adds is ignored", show(e.text()))
		}
	})
	return out
}

// unused notes what is valid in its place and has no effect in a MUD file (R8520-2-g).
func (r *report) unused(n node, what string) {
	if n.exists() {
		r.note(n.path, "R8520-2-g", "a MUD file needs no %s; they are ignored", what)
	}
}

func contains(declared, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(declared, n) })
}
