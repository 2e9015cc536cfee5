package mud

import "bytes"

// mend corrects what isn't JSON (RFC 8259) and can mean only one thing: a byte order mark, comments, a comma after the last
// member, a raw control character in a string. It writes spaces over it, so that everything else stays where it was, and
// leaves the rest to the scanner, which says where an error is.
func (c *converter) mend(raw []byte) []byte {
	m := mender{c: c, b: bytes.Clone(raw)}
	if bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")) {
		m.blank(0, 3, "the byte order mark is left out")
	}
	comma := -1 // of the last one, as long as nothing but space came after it
	for m.i < len(m.b) {
		switch b := m.b[m.i]; b {
		case '"':
			m.str()
			comma = -1
			continue
		case '/', '#':
			m.comment()
		case ',':
			comma = m.i
		case ' ', '\t', '\r', '\n':
		case '}', ']':
			if comma >= 0 {
				m.blank(comma, comma+1, "the comma after the last value is left out")
			}
			comma = -1
		default:
			comma = -1
		}
		m.i++
	}
	return m.b
}

type mender struct {
	c *converter
	b []byte
	i int
}

// blank writes spaces over what is left out.
func (m *mender) blank(from, to int, what string) {
	m.c.change("", badJSON, "octet %d: %s, as JSON has none there", from, what)
	for ; from < to; from++ {
		m.b[from] = ' '
	}
}

// str passes a string whose opening quote is next.
func (m *mender) str() {
	for m.i++; m.i < len(m.b) && m.b[m.i] != '"'; m.i++ {
		switch {
		case m.b[m.i] == '\\':
			m.i++
		case m.b[m.i] < ' ':
			m.blank(m.i, m.i+1, "a raw control character in a string becomes a space")
		}
	}
	m.i++
}

// comment blanks the comment that may be next; m.i is then on its last octet.
func (m *mender) comment() {
	rest, end := m.b[m.i:], -1
	switch {
	case rest[0] == '#', bytes.HasPrefix(rest, []byte("//")):
		if end = bytes.IndexByte(rest, '\n'); end < 0 {
			end = len(rest)
		}
	case bytes.HasPrefix(rest, []byte("/*")):
		if end = bytes.Index(rest[2:], []byte("*/")); end >= 0 {
			end += 4
		}
	}
	if end < 0 {
		return
	}
	m.blank(m.i, m.i+end, "a comment is left out")
	m.i += end - 1
}
