package mud

import (
	"fmt"
	"strings"
)

// appendJSON writes v as JSON, its members in their order, each on a line of its own that starts with indent. An indent of
// "" gives one line.
func appendJSON(b []byte, v *value, indent string) []byte {
	open, end := byte('['), byte(']')
	switch v.kind {
	case kindString:
		return appendString(b, v.text)
	case kindNull:
		return append(b, "null"...)
	case kindBool, kindNumber:
		return append(b, v.text...)
	case kindObject:
		open, end = '{', '}'
	}
	inner := indent
	if indent != "" {
		inner += "  "
	}
	if len(v.kids) == 0 || v.kind == kindArray && len(v.kids) == 1 && v.kids[0].kind < kindArray { // [null] is one word
		inner = ""
	}
	b = append(b, open)
	for i := range v.kids {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, inner...)
		if v.kind == kindObject {
			b = append(appendString(b, v.kids[i].name), ':')
			if indent != "" {
				b = append(b, ' ')
			}
		}
		b = appendJSON(b, &v.kids[i].value, inner)
	}
	if inner != "" {
		b = append(b, indent...)
	}
	return append(b, end)
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch i := strings.IndexRune("\"\\\b\f\n\r\t", r); {
		case i >= 0:
			b = append(b, '\\', `"\bfnrt`[i])
		case r < ' ' || r == 0x7f:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

// write gives a whole file, on one line where it would be too long with more.
func write(v *value) []byte {
	b := append(appendJSON(nil, v, "\n"), '\n')
	if len(b) > MaxFileSize {
		b = append(appendJSON(nil, v, ""), '\n')
	}
	return b
}

// String gives v on one line.
func (v *value) String() string { return string(appendJSON(nil, v, "")) }
