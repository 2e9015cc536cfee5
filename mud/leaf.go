package mud

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// leafType checks the value of a leaf in RFC 7951's encoding; nil is right. What it says of a null it says of a leaf that
// isn't there.
type leafType func(v *value) *flaw

// literal gives v as JSON, for a mend; long values are cut.
func literal(v *value) string {
	switch v.kind {
	case kindString:
		return quote(Clean(v.text, 100))
	case kindArray:
		return "[…]"
	case kindObject:
		return "{…}"
	case kindNull:
		return "null"
	}
	return v.text
}

func quote(s string) string { return strconv.Quote(s) }

func wrongKind(v *value, want kind, mend string) *flaw {
	f := &flaw{row: "R7951-6-b", msg: fmt.Sprintf("expected %s, found %s", want, v.kind), mend: mend}
	if v.kind == kindString && want != kindArray {
		f.msg += "; write it without quotes"
	}
	return f
}

// uint gives the value of an integer leaf of at most 32 bits. JSON lets 1e2 stand for 100.
func (v *value) uint() (uint64, bool) {
	if v == nil || v.kind != kindNumber {
		return 0, false
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(v.text), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exp, err := strconv.Atoi("0" + strings.TrimLeft(exponent, "+-"))
	if err != nil || exp > 20 || len(whole)+len(fraction) > 40 {
		return 0, false
	}
	if strings.HasPrefix(exponent, "-") {
		exp = -exp
	}
	digits := whole + fraction
	zero := strings.Trim(digits, "-0") == ""
	if fraction != "" && exp <= 0 && !zero {
		return 0, false
	}
	switch shift := exp - len(fraction); {
	case shift >= 0:
		digits += strings.Repeat("0", shift)
	case strings.Trim(digits[max(0, len(digits)+shift):], "0") != "":
		return 0, false
	default:
		digits = digits[:max(0, len(digits)+shift)]
	}
	if zero {
		return 0, true
	}
	x, err := strconv.ParseUint(digits, 10, 64)
	return x, err == nil
}

func uintType(lo, hi uint64) leafType {
	return func(v *value) *flaw {
		if v.kind != kindNumber {
			f := wrongKind(v, kindNumber, "")
			if x, err := strconv.ParseUint(v.text, 10, 64); err == nil && x >= lo && x <= hi {
				f.mend = strconv.FormatUint(x, 10)
			}
			return f
		}
		if x, ok := v.uint(); !ok || x < lo || x > hi {
			return &flaw{msg: fmt.Sprintf("%s is not a whole number from %d to %d", Clean(v.text, 40), lo, hi)}
		}
		return nil
	}
}

// or gives t with a mend for values that have none of their own.
func (t leafType) or(mend string) leafType {
	return func(v *value) *flaw {
		f := t(v)
		if f != nil && f.mend == "" {
			f.mend = mend
		}
		return f
	}
}

func boolType(v *value) *flaw {
	switch {
	case v.kind == kindBool:
		return nil
	case v.text == "false":
		return wrongKind(v, kindBool, "false")
	}
	return wrongKind(v, kindBool, "true")
}

func emptyType(v *value) *flaw {
	if v.kind == kindArray && len(v.kids) == 1 && v.kids[0].kind == kindNull {
		return nil
	}
	return &flaw{row: "R7951-6.9-a", msg: fmt.Sprintf("an empty leaf is written [null], found %s", v.kind), mend: "[null]"}
}

// text checks a string by f, which gives what is wrong with it.
func text(f func(s string) *flaw) leafType {
	return func(v *value) *flaw {
		if v.kind != kindString {
			mend := ""
			if v.kind == kindNumber || v.kind == kindBool {
				mend = quote(v.text)
			}
			return &flaw{msg: fmt.Sprintf("expected %s, found %s", kindString, v.kind), mend: mend}
		}
		return f(v.text)
	}
}

// stringType is a string of lo to hi characters; hi 0 is no limit.
func stringType(lo, hi int) leafType {
	return text(func(s string) *flaw {
		if n := utf8.RuneCountInString(s); n < lo || hi > 0 && n > hi {
			return &flaw{msg: fmt.Sprintf("it has %d to %d characters, this one has %d", lo, hi, n)}
		}
		return legal(s)
	})
}

// legal has a flaw where s has characters that no YANG string has (RFC 7950 section 9.4, RFC 7493 section 2.1). These
// are never shown, so the string is used.
func legal(s string) *flaw {
	bad := func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
	}
	if strings.ContainsFunc(s, bad) {
		return &flaw{msg: "it has characters that no YANG string can have; leave them out", soft: true,
			mend: quote(strings.Map(func(r rune) rune {
				if bad(r) {
					return -1
				}
				return r
			}, Clean(s, 200)))}
	}
	return nil
}

func oneOf(names ...string) leafType {
	return text(func(s string) *flaw {
		if slices.Contains(names, s) {
			return nil
		}
		f := &flaw{msg: fmt.Sprintf("%s is not known; write %s", show(s), orList(names))}
		for _, n := range names {
			if strings.EqualFold(n, s) {
				f.mend = quote(n)
			}
		}
		return f
	})
}

func orList(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// identityType is an identityref; the name of the module that defines it may stand before it (R7951-6.8-a).
func identityType(module string, names ...string) leafType {
	check := oneOf(names...)
	return func(v *value) *flaw {
		short := *v
		if v.kind == kindString {
			short.text = strings.TrimPrefix(v.text, module+":")
		}
		return check(&short)
	}
}

// identity strips the module name of an identity.
func identity(s string) string { return s[strings.IndexByte(s, ':')+1:] }

// bitNames splits the value of a bits leaf.
func bitNames(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
}

func bitsType(names ...string) leafType {
	return text(func(s string) *flaw {
		seen := make(map[string]struct{})
		for _, b := range bitNames(s) {
			if _, dup := seen[b]; dup || !slices.Contains(names, b) {
				return &flaw{msg: fmt.Sprintf("%s is no list of bits; write some of %s, with a space between them", show(s),
					strings.Join(names, " "))}
			}
			seen[b] = struct{}{}
		}
		return nil
	})
}

// binaryType is lo to hi octets in base64; hi 0 is no limit.
func binaryType(lo, hi int) leafType {
	return text(func(s string) *flaw {
		b, err := base64.StdEncoding.DecodeString(s)
		switch {
		case err != nil || strings.ContainsAny(s, "\r\n"):
			return &flaw{msg: "it is not base64 (RFC 4648 section 4, with padding)"}
		case len(b) < lo || hi > 0 && len(b) > hi:
			return &flaw{msg: fmt.Sprintf("it has %d to %d octets, this one has %d", lo, hi, len(b))}
		}
		return nil
	})
}

// uriType is inet:uri. Its flaws are soft: whoever reads the URI says what becomes of it.
func uriType(v *value) *flaw {
	return text(func(s string) *flaw {
		scheme, rest, _ := strings.Cut(s, ":")
		switch {
		case !hasScheme(s):
			return &flaw{row: "R6991-uri", soft: true, msg: fmt.Sprintf("%s is no URI: it has no scheme", show(s))}
		case strings.ToLower(scheme) != scheme:
			return &flaw{row: "R6991-uri", soft: true, mend: quote(strings.ToLower(scheme) + ":" + Clean(rest, 200)),
				msg: "the scheme of a URI is written in lower case; it is read as that"}
		case strings.ContainsAny(s, "\r\n"):
			return &flaw{row: "R6991-uri", soft: true, msg: "a URI has no line breaks"}
		}
		return legal(s)
	})(v)
}

// schemeType is a URI of one of some schemes.
func schemeType(schemes ...string) leafType {
	return text(func(s string) *flaw {
		if scheme, _, found := strings.Cut(s, ":"); !found || !slices.Contains(schemes, scheme) || strings.ContainsAny(s, "\r\n") {
			return &flaw{msg: fmt.Sprintf("%s is no URI whose scheme is %s", show(s), orList(schemes))}
		}
		return legal(s)
	})
}

// hostType is inet:host, soft like uriType.
func hostType(v *value) *flaw {
	return text(func(s string) *flaw {
		bare, zone, zoned := strings.Cut(s, "%")
		addr, ok := parseAddr(bare)
		switch {
		case ok && !zoned, ok && addr.Is4() && legalZone(zone, "") || ok && addr.Is6() && legalZone(zone, "-._~/"):
			return nil
		case strings.Contains(s, "_") && !ok:
			return &flaw{row: "R6991-host", soft: true, msg: show(s) + " is no host name: RFC 9911 allows no underscore in one"}
		case hostName(s):
			return nil
		}
		return &flaw{row: "R6991-host", soft: true, msg: show(s) + " is no host name and no address (RFC 9911)"}
	})(v)
}

// legalZone tells whether a zone index has only the letters and digits that an IPv6 address may have there, and others; an
// IPv4 address may have anything.
func legalZone(zone, others string) bool {
	if others == "" {
		return zone != "" && !strings.ContainsAny(zone, "\r\n") && legal(zone) == nil
	}
	for i := 0; i < len(zone); i++ {
		if !isAlnum(zone[i]) && (i == 0 || strings.IndexByte(others, zone[i]) < 0) {
			return false
		}
	}
	return zone != ""
}

// hostName is inet:host-name: 2 to 253 characters in labels of letters, digits and inner hyphens.
func hostName(s string) bool {
	if len(s) < 2 || len(s) > maxName || strings.Contains(s, "_") {
		return false
	}
	for _, l := range strings.Split(strings.TrimSuffix(s, "."), ".") {
		if !validLabel(l) {
			return false
		}
	}
	return true
}

func prefixType(f Family) leafType {
	return text(func(s string) *flaw {
		if _, ok := parsePrefix(s, f); ok {
			return nil
		}
		fl := &flaw{msg: fmt.Sprintf("%s is no %s network; write address/length", show(s), f)}
		if addr, ok := parseAddr(s); ok && familyOf(addr) == f {
			fl.mend = quote(netip.PrefixFrom(addr, addr.BitLen()).String())
		}
		return fl
	})
}

func macType(v *value) *flaw {
	return text(func(s string) *flaw {
		if _, ok := parseMAC(s); ok {
			return nil
		}
		f := &flaw{msg: fmt.Sprintf("%s is no MAC address; write it like 00:00:5e:00:53:01", show(s))}
		if fixed := strings.NewReplacer("-", ":").Replace(s); fixed != s {
			if _, ok := parseMAC(fixed); ok {
				f.mend = quote(fixed)
			}
		}
		return f
	})(v)
}

// counterType is a 64-bit number, which RFC 7951 section 6.1 writes as a string.
func counterType(v *value) *flaw {
	return text(func(s string) *flaw {
		if _, err := strconv.ParseUint(s, 10, 64); err != nil {
			return &flaw{msg: show(s) + " is no 64-bit number"}
		}
		return nil
	})(v)
}

// interfaceType names something that no MUD file has.
func interfaceType(v *value) *flaw {
	return never("T-13", "a MUD file can't name an interface, as it isn't written for one network")(v)
}

// never is for what no file has at its place.
func never(row, msg string) leafType {
	return func(*value) *flaw { return &flaw{row: row, msg: msg} }
}
