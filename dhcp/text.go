package dhcp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Limits of what a device says of itself.
const (
	optionMUDURL  = dhcpv4.GenericOptionCode(161) // OPTION_MUD_URL_V4 (RFC 8520 section 10.1)
	maxMUDString  = 255                           // RFC 8520 section 10, leniently read (T-04), and section 12
	strictMUDSize = 253                           // in DHCP, what is left when code and length octets count too (R8520-10-c)
	maxTextRunes  = 64
	maxIdentity   = 130 // octets of a DUID (RFC 8415 section 11.1)
)

// announce takes the MUDstrings of one message, which must be one at most (R8520-10.1-a, R8520-12-b).
func (s *Sighting) announce(mudStrings ...[]byte) {
	switch len(mudStrings) {
	case 0:
	case 1:
		var remark string
		s.URL, s.Problem, remark = readURL(mudStrings[0], s.Source != SourceLLDP)
		s.Remark = joinRemarks(s.Remark, remark)
	default:
		s.Problem = "the device announced more than one MUD URL in one message"
	}
}

// readURL takes the URL out of a MUDstring (RFC 8520 section 10): the octets before the first space; what follows is
// reserved and ignored. Either url or problem is empty, never both; remark is only given with a url. An over-long URL is
// refused and never cut: a cut URL may be someone else's.
func readURL(mudString []byte, inDHCP bool) (url, problem, remark string) {
	mudString = bytes.TrimRight(mudString, "\x00") // RFC 2132 section 2; RDHCP-2132-a
	if len(mudString) > maxMUDString {
		return "", fmt.Sprintf("the announced MUD URL is %d octets long, and %d is the limit", len(mudString), maxMUDString), ""
	}
	head, reserved, _ := bytes.Cut(mudString, []byte(" "))
	if problem := judgeURL(head); problem != "" {
		return "", problem, ""
	}
	return string(head), "", remarkOn(len(reserved), inDHCP && len(mudString) > strictMUDSize, len(mudString))
}

// judgeURL says in plain words why b can't be a URL, or "". The scheme is not judged here.
func judgeURL(b []byte) string {
	if len(b) == 0 {
		return "the announced MUD URL is empty"
	}
	for i, c := range b {
		switch {
		case c < ' ' || c == 0x7f:
			return fmt.Sprintf("the announced MUD URL has a control character (0x%02x) at position %d", c, i+1)
		case c >= utf8.RuneSelf:
			return fmt.Sprintf("the announced MUD URL has a character outside ASCII (0x%02x) at position %d", c, i+1)
		}
	}
	if holdsTwo(strings.ToLower(string(b))) {
		return "the announced MUD URL is two URLs run together; the option must hold one"
	}
	return ""
}

// holdsTwo recognises an option sent twice with a whole URL each, which RFC 3396 puts together into one string
// (RDHCP-3396-a). That string may even parse, with the second URL in its path, so it has to be looked for. A URL as the
// value in a query is left alone.
func holdsTwo(lower string) bool {
	if !strings.HasPrefix(lower, "http") {
		return false
	}
	for _, scheme := range []string{"https://", "http://"} {
		if i := strings.LastIndex(lower, scheme); i > 0 && lower[i-1] != '=' {
			return true
		}
	}
	return false
}

func remarkOn(reserved int, long bool, total int) string {
	var remarks []string
	if reserved > 0 {
		remarks = append(remarks, fmt.Sprintf("%d octets of a reserved part after the MUD URL were ignored", reserved))
	}
	if long {
		remarks = append(remarks, fmt.Sprintf("the announced text is %d octets long; read strictly, RFC 8520 allows %d",
			total, strictMUDSize))
	}
	return joinRemarks(remarks...)
}

// joinRemarks leaves out empty ones.
func joinRemarks(remarks ...string) string {
	return strings.Join(slices.DeleteFunc(remarks, func(s string) bool { return s == "" }), "; ")
}

// identity writes a client identifier as text; one that is too long to be a DUID is none.
func identity(b []byte) string {
	if len(b) > maxIdentity {
		return ""
	}
	return hex.EncodeToString(b)
}

// cleanText makes a device's own words fit to be shown and logged: at most 64 runes, all of them printable. Octets that
// are not UTF-8 become U+FFFD. Direction overrides and the like go too, they could make one name look like another.
func cleanText(b []byte) string {
	var out strings.Builder
	for runes := 0; len(b) > 0 && runes < maxTextRunes; {
		r, size := utf8.DecodeRune(b)
		b = b[size:]
		if !unicode.IsPrint(r) {
			continue
		}
		out.WriteRune(r)
		runes++
	}
	return strings.TrimSpace(out.String())
}

// FQDN option layout (RFC 4702 section 2.1).
const (
	fqdnHeader  = 3    // flags and two obsolete result codes
	fqdnEncoded = 0x04 // the name is in DNS wire form, not plain ASCII
)

// readFQDN takes the name out of option 81.
func readFQDN(b []byte) []byte {
	if len(b) <= fqdnHeader {
		return nil
	}
	name := b[fqdnHeader:]
	if b[0]&fqdnEncoded == 0 {
		return name
	}
	return joinLabels(name)
}

// joinLabels writes a name in wire form with dots. The name may be partial, without a root label, and has no compression
// (RFC 4702 section 2.3.1); one that breaks off gives nothing.
func joinLabels(b []byte) []byte {
	var out []byte
	for len(b) > 0 && b[0] != 0 {
		n := int(b[0])
		if n > 63 || n >= len(b) {
			return nil
		}
		if len(out) > 0 {
			out = append(out, '.')
		}
		out = append(out, b[1:1+n]...)
		b = b[1+n:]
	}
	return out
}
