package mud

import (
	"fmt"
	"strings"
)

// write appends v as indented JSON.
func (v *value) write(b *strings.Builder, indent string) {
	switch v.kind {
	case kindString:
		writeString(b, v.text)
	case kindArray, kindObject:
		v.writeKids(b, indent)
	case kindNull:
		b.WriteString("null")
	default:
		b.WriteString(v.text)
	}
}

func (v *value) writeKids(b *strings.Builder, indent string) {
	open, end := "[", "]"
	if v.kind == kindObject {
		open, end = "{", "}"
	}
	b.WriteString(open)
	inner, short := indent+"  ", v.short()
	for i := range v.kids {
		if i > 0 {
			b.WriteString(",")
		}
		if !short {
			b.WriteString("\n" + inner)
		}
		if v.kind == kindObject {
			writeString(b, v.kids[i].name)
			b.WriteString(": ")
		}
		v.kids[i].write(b, inner)
	}
	if !short {
		b.WriteString("\n" + indent)
	}
	b.WriteString(end)
}

// short tells whether v stays on its line: empty ones, [null], {"name": "x"} and the like.
func (v *value) short() bool {
	return len(v.kids) == 0 || len(v.kids) == 1 && v.kids[0].kind < kindArray
}

func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ':
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
