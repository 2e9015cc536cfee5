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
	}
	if err := r.err(); err != nil {
		return URL{}, "", err
	}
	return mudURL, signature, nil
}

// Parse reads a MUD file. Where the error isn't nil the whole file is refused and the Profile is zero, and the Problems
// with SeverityError say why; the error names the first and counts the others. Where it is nil, the Problems say what
// of the file isn't applied, or is applied but risky.
func Parse(raw []byte) (Profile, []Problem, error) {
	var r report
	root := r.scan(raw)
	p := r.profile(root)
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
		r.refuse("", "R8520-2.1-a", "there is no %s, so this is no MUD file", rootMUD)
		return node{}
	}
	if !r.want(m, kindObject) {
		return node{}
	}
	return m
}

func (r *report) profile(root node) Profile {
	m := r.mudRoot(root)
	if !m.exists() {
		return Profile{}
	}
	var p Profile
	p.URL, p.Signature = r.head(m)
	if p.Signature == "" {
		r.warn(m.get("mud-signature").path, "R8520-13.2-b", "the file names no signature, so nobody can verify who wrote it; "+
			"an administrator has to approve it")
	}
	r.required(m, &p)
	r.descriptions(m, &p)
	p.Extensions = r.extensions(m.get("extensions"))
	r.unknownRoots(root)
	r.unknownMUD(m, p.Extensions)
	r.policies(root, m, &p)
	return p
}

// head reads mud-url and mud-signature.
func (r *report) head(m node) (URL, string) {
	n := m.get("mud-url")
	text, ok := r.text(n, true)
	if !ok {
		return URL{}, ""
	}
	u, err := ParseURL(text)
	if err != nil {
		r.refuse(n.path, urlRow(text), "%v", err)
		return URL{}, ""
	}
	n = m.get("mud-signature")
	ref, ok := r.text(n, false)
	if !ok {
		return u, ""
	}
	sig, err := u.resolve(ref)
	if err != nil {
		r.refuse(n.path, "RAU-5-d", "the signature URL %s can't be used: %v", show(ref), err)
		return u, ""
	}
	return u, sig.String()
}

func urlRow(s string) string {
	switch {
	case !hasScheme(s):
		return "RAU-5-b"
	case len(s) > MaxURL:
		return "T-04"
	case !strings.HasPrefix(strings.ToLower(s), "https:"):
		return "R8520-1.5-a"
	}
	return "R8520-6-b"
}

// text reads a string leaf; false where there is none.
func (r *report) text(n node, mandatory bool) (string, bool) {
	switch {
	case n.exists():
		return n.v.text, r.want(n, kindString)
	case mandatory:
		r.refuse(n.path, "R8520-2.1-a", "it is missing, and every MUD file needs it")
	}
	return "", false
}

// required reads the leaves that steer processing (RFC 8520 sections 3.1 and 3.4 to 3.6).
func (r *report) required(m node, p *Profile) {
	if n := m.get("mud-version"); !n.exists() {
		r.refuse(n.path, "R8520-2.1-a", "it is missing; write 1")
	} else if _, err := n.uintIn(1, 1); err != nil {
		r.refuse(n.path, "T-41", "%v; only version 1 of the MUD language exists", err)
	}
	n := m.get("last-update")
	if s, ok := r.text(n, true); ok {
		if err := p.LastUpdate.UnmarshalText([]byte(s)); err != nil {
			r.refuse(n.path, "R8520-3.4-a", "%s is no RFC 3339 date and time; write for example 2026-01-31T12:00:00Z", show(s))
		}
	}
	p.CacheValidity = r.cacheValidity(m.get("cache-validity"))
	n = m.get("is-supported")
	switch {
	case !n.exists():
		r.refuse(n.path, "R8520-3.6-a", "it is missing; write true or false")
	case n.kind() != kindBool:
		r.refuse(n.path, "R7951-6-b", "expected a boolean, found %s; write true or false without quotes", n.kind())
	default:
		p.Supported = n.v.text == "true"
	}
}

func (r *report) cacheValidity(n node) time.Duration {
	if !n.exists() {
		return defaultCacheHours * time.Hour
	}
	h, err := n.uintIn(minCacheHours, maxCacheHours)
	switch {
	case err != nil && n.kind() != kindNumber:
		r.refuse(n.path, "R7951-6-b", "%v", err)
	case err != nil:
		r.refuse(n.path, "R8520-3.5-b", "%v hours", err)
	case h < 24:
		r.note(n.path, "R8520-3.5-b", "%d hours is less than the 24 that RFC 8520 recommends", h)
	}
	return time.Duration(h) * time.Hour
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
		n := m.get(f.name)
		s, ok := r.text(n, false)
		if !ok {
			continue
		}
		*f.to = Clean(s, maxText)
		if *f.to != s {
			r.warn(n.path, "R8520-3.7-a", "it has characters that can't be shown, or more than %d; these are replaced or cut", maxText)
		}
	}
	if n := utf8.RuneCountInString(p.SystemInfo); n > 60 {
		r.note(m.get("systeminfo").path, "R8520-3.7-a", "it has %d characters where 60 are recommended", n)
	}
	if d := strings.ToLower(p.Documentation); d != "" && !strings.HasPrefix(d, "https://") && !strings.HasPrefix(d, "http://") {
		r.warn(m.get("documentation").path, "R8520-4.3-a", "it is no http or https URL, so it is left out and never becomes a link")
		p.Documentation = ""
	}
}

func (r *report) unknownRoots(root node) {
	root.each(func(name string, n node) {
		switch name {
		case rootMUD, rootACLs:
		case rootLegacy:
			r.refuse(n.path, "T-14", "this root is of a draft before RFC 8519, where it is called %s; convert the file "+
				"with the legacy import", rootACLs)
		default:
			r.warn(n.path, "R8520-14-b", "this part is not understood and is ignored")
		}
	})
}

// isMUDLeaf tells the members of the mud container in RFC 8520.
func isMUDLeaf(name string) bool {
	switch name {
	case "mud-version", "mud-url", "mud-signature", "last-update", "cache-validity", "is-supported", "systeminfo",
		"mfg-name", "model-name", "firmware-rev", "software-rev", "documentation", "extensions",
		"from-device-policy", "to-device-policy":
		return true
	}
	return false
}

func (r *report) unknownMUD(m node, declared []string) {
	m.each(func(name string, n node) {
		if isMUDLeaf(name) {
			return
		}
		ext, alias := extensionOf(name)
		switch {
		case ext == "":
			r.warn(n.path, "R8520-14-b", "this part is not understood and is ignored")
			return
		case !slices.Contains(declared, ext):
			r.warn(n.path, "R8520-3.9-a", "it is of the extension %q, which the file doesn't declare in extensions; it is ignored", ext)
			return
		case alias:
			r.warn(n.path, "R9472-3-a", "the extension %q has another module name in RFC 7951's encoding", ext)
		}
		r.note(n.path, "R8520-3.9-b", "the extension %q changes nothing of what the device may do", ext)
	})
}

// Extensions that are known, none of which changes an ACL here (standards.md section 8).
const (
	extTransparency = "transparency" // RFC 9472
	extTLS          = "ietf-mud-tls" // RFC 9761
	extLicence      = "ol"           // draft-ietf-iotops-ol
)

// extensionOf gives the known extension that a member of the mud container belongs to, and whether it is spelled
// otherwise than RFC 7951 wants.
func extensionOf(name string) (ext string, alias bool) {
	switch name {
	case "ietf-mud-transparency:transparency":
		return extTransparency, false
	case "mudtx:transparency":
		return extTransparency, true
	case "ietf-mud-tls:is-tls-dtls-profile-supported":
		return extTLS, false
	case "ietf-ol:ol":
		return extLicence, false
	}
	return "", false
}

// extensions reads the declared names (RFC 8520 section 3.9).
func (r *report) extensions(n node) []string {
	if !n.exists() || !r.want(n, kindArray) {
		return nil
	}
	var out []string
	seen := make(map[string]struct{})
	n.each(func(_ string, e node) {
		if !r.want(e, kindString) {
			return
		}
		name := e.v.text
		if l := utf8.RuneCountInString(name); l < 1 || l > 40 {
			r.refuse(e.path, "R8520-3.9-a", "an extension name has 1 to 40 characters, this one has %d", l)
			return
		}
		if _, dup := seen[name]; dup {
			r.refuse(e.path, "R8520-3.9-a", "the extension %s is declared twice; remove one", show(name))
			return
		}
		seen[name] = struct{}{}
		out = append(out, Clean(name, 40))
		if name != extTransparency && name != extTLS && name != extLicence {
			r.warn(e.path, "R8520-3.9-a", "the extension %s is not known here; what it adds is ignored", show(name))
		}
	})
	return out
}

// checkName refuses the file where a list key isn't a string of 1 to 64 characters (RFC 8519 section 4). It gives the
// name as it is, which may hold any character.
func (r *report) checkName(entry node, what string) (string, bool) {
	n := entry.get("name")
	if !n.exists() {
		r.refuse(n.path, "R8519-4-b", "%s has no name", what)
		return "", false
	}
	if !r.want(n, kindString) {
		return "", false
	}
	if l := utf8.RuneCountInString(n.v.text); l < 1 || l > 64 {
		r.refuse(n.path, "R8519-4-b", "the name of %s has 1 to 64 characters, this one has %d", what, l)
		return "", false
	}
	return n.v.text, true
}

// unknownMembers notes the members of n that aren't among known; outside of ACEs these are ignored (T-13).
func (r *report) unknownMembers(n node, known ...string) {
	n.each(func(name string, child node) {
		if !slices.Contains(known, name) {
			r.warn(child.path, "R8520-14-b", "this part is not understood and is ignored; known here: %s",
				strings.Join(known, ", "))
		}
	})
}
