package mud

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a MUD file's text (R8520-16-l). The scanner recurses at most MaxDepth deep, and maxValues bounds the memory
// of the tree, which a file of nothing but "0,0,0" would otherwise blow up to fifty times its own size.
const (
	MaxFileSize = 1 << 20 // octets
	MaxDepth    = 32      // nested arrays and objects
	maxValues   = 1 << 16
)

// kind is the JSON type of a value.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// value is one JSON value. encoding/json isn't used because it matches member names without case and keeps the last of
// two equal ones (R7493-2.3-a).
type value struct {
	kind kind
	bad  bool     // the YANG modules don't allow it, so it counts as absent
	text string   // of a string, decoded; of a number or boolean, as written
	kids []member // of an object, in file order; of an array, without names
}

type member struct {
	name string
	as   string // the name that is meant, where the file has another one for it
	value
}

// meant gives the name by which the YANG modules know the member.
func (m *member) meant() string {
	if m.as != "" {
		return m.as
	}
	return m.name
}

// syntaxError says where a text isn't the strict JSON that we take.
type syntaxError struct {
	path, row, msg string
	offset         int
}

func (e *syntaxError) Error() string {
	where := ""
	if e.path != "" {
		where = " at " + e.path
	}
	return fmt.Sprintf("octet %d%s: %s", e.offset, where, e.msg)
}

// scanJSON reads one JSON text (RFC 8259, restricted by RFC 7493) in linear time.
func scanJSON(raw []byte) (*value, *syntaxError) {
	s := &scanner{b: raw}
	var v value
	if err := s.checkText(); err != nil {
		return nil, err
	}
	if err := s.value(&v); err != nil {
		return nil, err
	}
	s.space()
	if s.i < len(raw) {
		return nil, s.fail("R8520-17.5-a", "there is text after the end of the JSON value; remove it")
	}
	return &v, nil
}

type scanner struct {
	b      []byte
	i      int
	values int
	stack  []string // path elements of the open arrays and objects, as step gives them
}

func (s *scanner) fail(row, format string, args ...any) *syntaxError {
	return &syntaxError{path: strings.TrimPrefix(strings.Join(s.stack, ""), "."), row: row,
		msg: fmt.Sprintf(format, args...), offset: s.i}
}

const badJSON = "R8520-2-a" // a MUD file is JSON

func (s *scanner) checkText() *syntaxError {
	switch {
	case len(s.b) > MaxFileSize:
		return s.fail("R8520-16-l", "the file has %d octets and the limit is %d", len(s.b), MaxFileSize)
	case bytes.HasPrefix(s.b, []byte("\xef\xbb\xbf")):
		return s.fail("R8520-17.5-a", "the file starts with a byte order mark; save it as plain UTF-8")
	case utf8.Valid(s.b):
		return nil
	}
	for s.i < len(s.b) {
		r, n := utf8.DecodeRune(s.b[s.i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		s.i += n
	}
	return s.fail("R8520-17.5-a", "the text is not UTF-8; save it as UTF-8")
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// peek gives the next octet that is no white space, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i == len(s.b) {
		return 0
	}
	return s.b[s.i]
}

func (s *scanner) value(v *value) *syntaxError {
	if s.values++; s.values > maxValues {
		return s.fail("R8520-16-l", "the file has more than %d JSON values", maxValues)
	}
	switch c := s.peek(); {
	case c == '{':
		v.kind = kindObject
		return s.container(v, '}')
	case c == '[':
		v.kind = kindArray
		return s.container(v, ']')
	case c == '"':
		v.kind = kindString
		return s.str(&v.text)
	case c == '-' || isDigit(c):
		v.kind = kindNumber
		return s.number(v)
	case c == 0 && s.i == len(s.b):
		return s.fail(badJSON, "the file ends before the JSON text does; it may be cut short")
	}
	return s.literal(v)
}

func (s *scanner) literal(v *value) *syntaxError {
	for _, l := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.i:], []byte(l)) {
			s.i += len(l)
			v.kind, v.text = kindBool, l
			if l == "null" {
				v.kind = kindNull
			}
			return nil
		}
	}
	r, _ := utf8.DecodeRune(s.b[s.i:])
	return s.fail(badJSON, "expected a JSON value, found %s", show(string(r)))
}

// container reads an object or array whose opening bracket is next.
func (s *scanner) container(v *value, end byte) *syntaxError {
	if len(s.stack) == MaxDepth {
		return s.fail("R8520-16-l", "arrays and objects are nested more than %d deep", MaxDepth)
	}
	s.i++
	if s.peek() == end {
		s.i++
		return nil
	}
	s.stack = append(s.stack, "")
	var seen map[string]struct{}
	if v.kind == kindObject {
		seen = make(map[string]struct{})
	}
	for {
		if err := s.member(v, seen); err != nil {
			return err
		}
		switch c := s.peek(); c {
		case ',':
			s.i++
		case end:
			s.i++
			s.stack = s.stack[:len(s.stack)-1]
			return nil
		default:
			return s.fail(badJSON, "expected a comma or %q after a value", end)
		}
	}
}

func (s *scanner) member(v *value, seen map[string]struct{}) *syntaxError {
	top := len(s.stack) - 1
	var m member
	if v.kind == kindArray {
		s.stack[top] = index(len(v.kids))
	} else {
		s.stack[top] = ""
		if err := s.name(&m, seen); err != nil {
			return err
		}
		s.stack[top] = step(m.name)
	}
	err := s.value(&m.value)
	v.kids = append(v.kids, m)
	return err
}

func (s *scanner) name(m *member, seen map[string]struct{}) *syntaxError {
	if s.peek() != '"' {
		return s.fail(badJSON, "expected a member name in double quotes")
	}
	if err := s.str(&m.name); err != nil {
		return err
	}
	if _, dup := seen[m.name]; dup {
		return s.fail("R7493-2.3-a", "the member %s is there twice in one object; remove one", show(m.name))
	}
	seen[m.name] = struct{}{}
	if s.peek() != ':' {
		return s.fail(badJSON, "expected a colon after the member name %s", show(m.name))
	}
	s.i++
	return nil
}

func (s *scanner) number(v *value) *syntaxError {
	start := s.i
	if s.b[s.i] == '-' {
		s.i++
	}
	zero := s.i < len(s.b) && s.b[s.i] == '0'
	n := s.digits()
	ok := n > 0 && (!zero || n == 1)
	if ok && s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		ok = s.digits() > 0
	}
	if ok && s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		ok = s.digits() > 0
	}
	if !ok {
		return s.fail(badJSON, "%s is not a JSON number", show(string(s.b[start:min(s.i+1, len(s.b))])))
	}
	v.text = string(s.b[start:s.i])
	return nil
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && isDigit(s.b[s.i]) {
		s.i++
	}
	return s.i - start
}

// str reads a string whose opening quote is next.
func (s *scanner) str(out *string) *syntaxError {
	s.i++
	start := s.i
	var b []byte // used once there is an escape
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			b = append(b, s.b[start:s.i]...)
			s.i++
			*out = string(b)
			return nil
		case c < ' ':
			return s.fail(badJSON, "a string has a raw control character; write it as an escape")
		case c == '\\':
			b = append(b, s.b[start:s.i]...)
			r, err := s.escape()
			if err != nil {
				return err
			}
			b = utf8.AppendRune(b, r)
			start = s.i
		default:
			s.i++
		}
	}
	return s.fail(badJSON, "the file ends inside a string; it may be cut short")
}

// escape reads an escape whose backslash is next. A lone surrogate is no character (RFC 7493 section 2.1).
func (s *scanner) escape() (rune, *syntaxError) {
	if s.i+1 < len(s.b) {
		if i := strings.IndexByte(`"\/bfnrt`, s.b[s.i+1]); i >= 0 {
			s.i += 2
			return rune("\"\\/\b\f\n\r\t"[i]), nil
		}
	}
	r, ok := s.hex4()
	if ok && utf16.IsSurrogate(r) {
		low, lowOK := s.hex4()
		r = utf16.DecodeRune(r, low)
		ok = lowOK && r != utf8.RuneError
	}
	if !ok {
		return 0, s.fail(badJSON, "a string has an escape that JSON doesn't know, or half a surrogate pair")
	}
	return r, nil
}

// hex4 reads \uXXXX.
func (s *scanner) hex4() (rune, bool) {
	if s.i+6 > len(s.b) || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s.b[s.i+2 : s.i+6] {
		if !isHex(c) {
			return 0, false
		}
		r = r<<4 | rune(unhex(c))
	}
	s.i += 6
	return r, true
}

// step is how a member appears in a JSON path; index is the same for an array element.
func step(name string) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isAlnum(c) && c != '-' && c != '_' && c != ':' {
			return "[" + show(name) + "]"
		}
	}
	if name == "" || len(name) > 80 {
		return "[" + show(name) + "]"
	}
	return "." + name
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }
