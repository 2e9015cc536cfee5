package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"mudguard/mud"
)

// maxLine bounds a printed line, in characters.
const maxLine = 4000

// say prints one line. Whatever it is made of, no control character of it reaches the terminal.
func (c *cli) say(format string, args ...any) {
	fmt.Fprintln(c.out, mud.Clean(fmt.Sprintf(format, args...), maxLine))
}

// complain prints one line of error.
func (c *cli) complain(format string, args ...any) {
	fmt.Fprintln(c.err, mud.Clean("mudguard: "+fmt.Sprintf(format, args...), maxLine))
}

// tone is a colour that carries a meaning; the words carry it too.
type tone string

const (
	plain tone = ""
	good  tone = "32"
	poor  tone = "33"
	bad   tone = "31"
)

func (c *cli) paint(t tone, text string) string {
	if !c.color || t == plain {
		return text
	}
	return "\x1b[" + string(t) + "m" + text + "\x1b[0m"
}

// pairs prints names and values below each other. Values that are "" are left out.
func (c *cli) pairs(list ...string) {
	for i := 0; i+1 < len(list); i += 2 {
		if list[i+1] != "" {
			c.say("  %-10s %s", list[i], list[i+1])
		}
	}
}

// maxCell bounds a cell, in characters; the last one of a row may be long.
const maxCell = 60

// table prints rows below each other, aligned. toneOf, if not nil, gives a row's colour of its cell in column col.
func (c *cli) table(head []string, rows [][]string, toneOf func(col int, cell string) tone) {
	width := make([]int, len(head))
	lines := append([][]string{head}, rows...)
	for _, row := range lines {
		for i := range row {
			limit := maxCell
			if i == len(row)-1 {
				limit = maxLine
			}
			row[i] = mud.Clean(row[i], limit)
			if row[i] == "" {
				row[i] = "-"
			}
			width[i] = max(width[i], columns(row[i]))
		}
	}
	for n, row := range lines {
		var b strings.Builder
		for i, cell := range row {
			t := plain
			if n > 0 && toneOf != nil {
				t = toneOf(i, cell)
			}
			b.WriteString(c.paint(t, cell))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-columns(cell)+2))
			}
		}
		fmt.Fprintln(c.out, b.String())
	}
}

// columns is how wide a text shows: marks that combine take no place, East Asian letters two.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me) || r == '\u200c' || r == '\u200d':
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// wide says that a letter takes two columns (UAX 11, W and F).
func wide(r rune) bool {
	switch {
	case r < 0x1100:
		return false
	case r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf && r != 0x303f, r >= 0xa960 && r <= 0xa97c, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe10 && r <= 0xfe19, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff01 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1f64f, r >= 0x1f680 && r <= 0x1f6ff, r >= 0x1f900 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return true
	}
	return false
}

// when shows a time to a second; "" for none.
func (c *cli) when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(c.zone).Format("2006-01-02 15:04:05")
}

// printJSON prints what the daemon sent, for people to read as well.
func (c *cli) printJSON(raw []byte) {
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(raw), "", "  ") != nil {
		b.Reset()
		b.WriteString("null")
	}
	b.WriteByte('\n')
	writeSafe(c.out, b.Bytes())
}

// printLine prints JSON as one line.
func (c *cli) printLine(raw []byte) {
	var b bytes.Buffer
	if json.Compact(&b, raw) == nil {
		b.WriteByte('\n')
		writeSafe(c.out, b.Bytes())
	}
}

// encode prints v as JSON.
func (c *cli) encode(v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) == nil {
		c.printJSON(b.Bytes())
	}
}

// writeSafe writes JSON with those characters escaped that JSON allows and a terminal may obey: C1 controls,
// bidirectional controls and the like. They can stand only inside strings.
func writeSafe(w io.Writer, raw []byte) {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		switch {
		case r < utf8.RuneSelf && (r >= ' ' || r == '\n') && r != 0x7f:
			out = append(out, raw[:n]...)
		case mud.Clean(string(r), 1) == string(r) && r != utf8.RuneError:
			out = append(out, raw[:n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		raw = raw[n:]
	}
	_, _ = w.Write(out)
}

// sentence makes a short description a sentence.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

func trimBlank(s string) string { return strings.Trim(s, "\n") }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// safe makes text fit for a part of a line.
func safe(s string) string { return mud.Clean(s, maxLine) }
