package mud

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes hostile text fit for display: control characters, line and paragraph separators, bidirectional controls,
// invisible format characters and invalid UTF-8 become U+FFFD, and text of more than limit characters is cut on a
// character and ends in an ellipsis. A limit of 0 or less gives the empty string. Clean doesn't escape HTML.
func Clean(s string, limit int) string {
	if limit <= 0 {
		return ""
	}
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n == limit-1 && utf8.RuneCountInString(s[i:]) > 1 {
			b.WriteRune('…')
			break
		}
		if !displayable(r) {
			r = utf8.RuneError
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// displayable tells whether r can be shown as it is. Joiners (U+200C, U+200D) stay: some scripts need them.
func displayable(r rune) bool {
	switch {
	case r == '\u200c', r == '\u200d':
		return true
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Co):
		return false
	}
	return true
}

// show quotes hostile text for an error or a problem.
func show(s string) string { return strconv.Quote(Clean(s, 80)) }
