package mud

import (
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Encode writes p as a MUD file: RFC 7951 JSON, indented, with one ACL for each run of ACEs of the same ACL and direction.
// Names of ACLs and ACEs stay as long as they are 1 to 64 characters and no other has them already; where an ACL serves
// both directions, its second copy has another name. ACEs that are refused are left out: they never had an effect.
//
// Reading the file again gives p, but for these names, the paths of ACEs and the refused ones. Encode gives an error where
// that can't be, as for a Profile that no MUD file states.
func Encode(p Profile) ([]byte, error) {
	e := &encoder{taken: make(map[string]struct{})}
	root := e.file(p)
	if e.err != nil {
		return nil, fmt.Errorf("writing MUD file: %w", e.err)
	}
	raw := write(&root)
	again, _, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("writing MUD file: %w", err)
	}
	if at := difference(reflect.ValueOf(written(p)), reflect.ValueOf(written(again))); at != "" {
		return nil, fmt.Errorf("writing MUD file: no file can say what the profile has in %s", strings.TrimPrefix(at, "."))
	}
	return raw, nil
}

// encoder collects the ACLs of a file and the first thing that can't be written.
type encoder struct {
	acls  []member
	taken map[string]struct{} // names of ACLs
	err   error
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

// Values of JSON; an object is made by set.
func str(s string) value { return value{kind: kindString, text: s} }

func num[T uint8 | uint16 | uint32](x T) value {
	return value{kind: kindNumber, text: strconv.FormatUint(uint64(x), 10)}
}

func object(name string, v value) value {
	return value{kind: kindObject, kids: []member{{name: name, value: v}}}
}

func array(kids []member) value { return value{kind: kindArray, kids: kids} }

func emptyLeaf() value { return array([]member{{value: value{kind: kindNull}}}) }

func leafListOf[T any](list []T, one func(T) value) value {
	out := value{kind: kindArray}
	for _, x := range list {
		out.kids = append(out.kids, member{value: one(x)})
	}
	return out
}

// set adds a member to an object. Empty texts and lists are left out.
func (v *value) set(name string, x value) {
	v.kind = kindObject
	if x.kind == kindString && x.text == "" || x.kind == kindArray && len(x.kids) == 0 {
		return
	}
	v.kids = append(v.kids, member{name: name, value: x})
}

func (e *encoder) file(p Profile) value {
	var root, m value
	hours := p.CacheValidity / time.Hour
	switch {
	case p.URL.IsZero():
		e.err = errors.New("there is no URL")
	case hours < minCacheHours || hours > maxCacheHours || p.CacheValidity%time.Hour != 0:
		e.fail("the cache validity is %s, and a MUD file has %d to %d whole hours", p.CacheValidity, minCacheHours, maxCacheHours)
	}
	m.set("mud-version", num(uint8(1)))
	m.set("mud-url", str(p.URL.s))
	m.set("mud-signature", str(p.Signature))
	m.set("last-update", str(p.LastUpdate.Format(time.RFC3339Nano)))
	m.set("cache-validity", num(uint8(hours)))
	m.set("is-supported", truth(p.Supported))
	for _, s := range []struct{ name, text string }{
		{"systeminfo", p.SystemInfo}, {"mfg-name", p.MfgName}, {"model-name", p.ModelName}, {"firmware-rev", p.FirmwareRev},
		{"software-rev", p.SoftwareRev}, {"documentation", p.Documentation},
	} {
		m.set(s.name, str(s.text))
	}
	m.set("extensions", leafListOf(p.Extensions, str))
	e.extensions(&m, p)
	e.policy(&m, "from-device-policy", p.FromDevice, FromDevice)
	e.policy(&m, "to-device-policy", p.ToDevice, ToDevice)
	root.set(rootMUD, m)
	if p.FromDevice != nil || p.ToDevice != nil {
		acls := value{kind: kindObject}
		acls.set("acl", array(e.acls))
		root.set(rootACLs, acls)
	}
	return root
}

func truth(b bool) value { return value{kind: kindBool, text: strconv.FormatBool(b)} }

func (e *encoder) extensions(m *value, p Profile) {
	if t := p.Transparency; t != nil {
		v := value{kind: kindObject}
		v.set("sboms", leafListOf(t.SBOMs, func(s SBOM) value {
			entry := object("version-info", str(s.Version))
			entry.set("sbom-url", str(s.URL))
			return entry
		}))
		v.set("sbom-local-well-known", str(t.SBOMLocal))
		v.set("sbom-contact-uri", str(t.SBOMContact))
		v.set("sbom-archive-list", str(t.SBOMArchive))
		v.set("vuln-url", leafListOf(t.VulnURLs, str))
		v.set("vuln-contact-uri", str(t.VulnContact))
		m.set("ietf-mud-transparency:transparency", v)
	}
	if len(p.Licences) > 0 {
		m.set("ietf-ol:ol", object("license", leafListOf(p.Licences, func(l Licence) value {
			entry := object("owner-name", str(l.Owner))
			entry.set("spdx-tag", leafListOf(l.SPDX, str))
			entry.set("license-info", leafListOf(l.Info, str))
			return entry
		})))
	}
	m.set("ietf-mud-brski-masa:masa-server", str(p.MASA))
	if p.TLSProfile {
		m.set("ietf-mud-tls:is-tls-dtls-profile-supported", truth(true))
	}
}

// policy writes a policy container and the ACLs that it lists.
func (e *encoder) policy(m *value, name string, p *Policy, dir Direction) {
	if p == nil {
		return
	}
	var list []member
	aces := applied(p).ACEs
	for len(aces) > 0 {
		n := 1
		for n < len(aces) && aces[n].ACL == aces[0].ACL {
			n++
		}
		acl := e.acl(aces[:n], dir)
		e.acls = append(e.acls, member{value: acl})
		list = append(list, member{value: object("name", acl.kids[0].value)})
		aces = aces[n:]
	}
	c := value{kind: kindObject}
	if len(list) > 0 {
		c.set("access-lists", object("access-list", array(list)))
	}
	m.set(name, c)
}

// applied gives p without its refused ACEs.
func applied(p *Policy) *Policy {
	if p == nil {
		return nil
	}
	out := &Policy{}
	for _, a := range p.ACEs {
		if a.Refused == "" {
			out.ACEs = append(out.ACEs, a)
		}
	}
	return out
}

// acl writes the ACEs of one ACL.
func (e *encoder) acl(aces []ACE, dir Direction) value {
	out := object("name", str(unique(aces[0].ACL, "acl", e.taken)))
	typ := typeOf(aces)
	out.set("type", str(typ))
	taken := make(map[string]struct{})
	out.set("aces", object("ace", leafListOf(aces, func(a ACE) value {
		v := object("name", str(unique(a.Name, "ace", taken)))
		if matches := e.matches(&a, dir, typ); len(matches.kids) > 0 {
			v.set("matches", matches)
		}
		actions := object("forwarding", str(a.Action.String()))
		if a.Log {
			actions.set("logging", str("log-syslog"))
		}
		v.set("actions", actions)
		return v
	})))
	return out
}

// typeOf gives the type of an ACL with these ACEs. ACEs for both IP versions without a condition on either need none.
func typeOf(aces []ACE) string {
	var v4, v6, both, eth bool
	for _, a := range aces {
		v4, v6, both = v4 || a.Match.Family == IPv4, v6 || a.Match.Family == IPv6, both || a.Match.Family == FamilyAny
		eth = eth || a.Match.EtherType != nil || a.Match.RemoteMAC != MACMatch{} || a.Match.LocalMAC != MACMatch{}
	}
	switch {
	case v4 && !v6 && !both && !eth:
		return "ipv4-acl-type"
	case v6 && !v4 && !both && !eth:
		return "ipv6-acl-type"
	case both && !v4 && !v6 && eth:
		return "eth-acl-type"
	case both && !v4 && !v6:
		return ""
	}
	return "mixed-eth-ipv4-ipv6-acl-type"
}

// unique gives a list key close to name, and marks it as taken.
func unique(name, otherwise string, taken map[string]struct{}) string {
	if name = Clean(name, maxText); name == "" {
		name = otherwise
	}
	for i, suffix := 2, ""; ; i++ {
		room := 64 - len(suffix)
		key := name
		if utf8.RuneCountInString(key) > room {
			key = string([]rune(key)[:room])
		}
		key += suffix
		if _, used := taken[key]; !used {
			taken[key] = struct{}{}
			return key
		}
		suffix = "-" + strconv.Itoa(i)
	}
}

func octets(b []byte) value { return str(base64.StdEncoding.EncodeToString(b)) }

// written gives what Encode promises to keep of p.
func written(p Profile) Profile {
	p.FromDevice, p.ToDevice = applied(p.FromDevice), applied(p.ToDevice)
	for _, pol := range []*Policy{p.FromDevice, p.ToDevice} {
		for i := 0; pol != nil && i < len(pol.ACEs); i++ {
			a := &pol.ACEs[i]
			a.ACL, a.Name, a.Path = "", "", ""
		}
	}
	return p
}

// difference gives where a and b differ, "" for nowhere. An absent list is an empty one.
func difference(a, b reflect.Value) string {
	switch a.Kind() {
	case reflect.Slice:
		if a.Len() != b.Len() {
			return " (their number)"
		}
		for i := range a.Len() {
			if at := difference(a.Index(i), b.Index(i)); at != "" {
				return index(i) + at
			}
		}
		return ""
	case reflect.Pointer:
		if !a.IsNil() && !b.IsNil() {
			return difference(a.Elem(), b.Elem())
		}
		if a.IsNil() == b.IsNil() {
			return ""
		}
		return " (nil or not)"
	case reflect.Struct:
		return fieldDifference(a, b)
	}
	if a.Equal(b) {
		return ""
	}
	return " "
}

func fieldDifference(a, b reflect.Value) string {
	switch x := a.Interface().(type) {
	case time.Time:
		if !x.Equal(b.Interface().(time.Time)) {
			return " "
		}
		return ""
	case Profile, Transparency, SBOM, Licence, Policy, ACE, Match, TLSProfile:
	default:
		if a.Equal(b) {
			return ""
		}
		return " "
	}
	for i := range a.NumField() {
		if at := difference(a.Field(i), b.Field(i)); at != "" {
			return "." + a.Type().Field(i).Name + strings.TrimSpace(at)
		}
	}
	return ""
}
