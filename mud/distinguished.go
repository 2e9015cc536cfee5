package mud

import (
	"encoding/asn1"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// attribute is one AttributeTypeAndValue of a Name, and attributeSET a RelativeDistinguishedName (RFC 5280 section 4.1.2.4); the
// ending tells package asn1 that it is a set.
type (
	attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	attributeSET []attribute
)

// SameName tells whether two DER Names mean the same (RFC 5280 section 7.1, T-26): string types are ignored, letters compared
// without case, and spaces compressed; the order of RDNs counts, that within one doesn't. What is no Name is like nothing.
// Characters aren't normalised (NFKC), so that names in other forms of Unicode differ: that only refuses.
func SameName(a, b []byte) bool {
	x, ok := readName(a)
	y, ok2 := readName(b)
	return ok && ok2 && slices.EqualFunc(x, y, func(r, s []string) bool { return slices.Equal(r, s) })
}

// readName gives each RDN of a Name as a sorted list of what its attributes are compared by.
func readName(der []byte) ([][]string, bool) {
	var sets []attributeSET
	if rest, err := asn1.Unmarshal(der, &sets); err != nil || len(rest) > 0 {
		return nil, false
	}
	out := make([][]string, len(sets))
	for i, set := range sets {
		for _, a := range set {
			out[i] = append(out[i], a.Type.String()+"="+a.key())
		}
		slices.Sort(out[i])
	}
	return out, true
}

// key is the same for values that match.
func (a attribute) key() string {
	s, ok := stringOf(a.Value)
	if !ok {
		return "#" + string(a.Value.FullBytes)
	}
	return `"` + strings.Join(strings.Fields(strings.Map(fold, s)), " ")
}

// stringOf decodes the string types that a Name may use.
func stringOf(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	b := v.Bytes
	switch v.Tag {
	case asn1.TagUTF8String:
		return string(b), utf8.Valid(b)
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, asn1.TagT61String, 26: // 26: VisibleString
		return string(b), isASCII(string(b))
	case asn1.TagBMPString:
		if len(b)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

// fold gives the same for all cases of a letter.
func fold(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}
