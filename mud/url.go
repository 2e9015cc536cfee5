package mud

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// MaxURL is the longest MUD URL in octets. RFC 8520 section 10 bounds the option that carries it; an LLDP MUDstring
// (section 12) is 1 to 255 octets (T-04).
const MaxURL = 255

// URL is a MUD URL (RFC 8520 sections 1.5 and 6), normalised as RFC 3986 section 6.2.2 and 6.2.3 say, so that two URLs
// that mean the same compare equal with ==. The zero URL is no URL. Only [ParseURL] makes others.
type URL struct{ s string }

// ParseURL reads a MUD URL. It is https, at most [MaxURL] octets of ASCII, and has no user information; a fragment is
// dropped, as it identifies no other file (R8520-6-b). Any path and query is legal (RFC 8520 section 6).
func ParseURL(s string) (URL, error) {
	u, err := parseURL(s)
	if err != nil {
		return URL{}, fmt.Errorf("MUD URL %s: %w", show(s), err)
	}
	return u, nil
}

func parseURL(s string) (URL, error) {
	if err := checkURLText(s); err != nil {
		return URL{}, err
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found || !strings.EqualFold(scheme, "https") {
		return URL{}, errors.New("it doesn't start with https://; give an absolute https URL (RFC 8520 section 1.5)")
	}
	rest, _, _ = strings.Cut(rest, "#")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, err := normalAuthority(rest[:end])
	if err != nil {
		return URL{}, err
	}
	target, err := normalTarget(rest[end:])
	if err != nil {
		return URL{}, err
	}
	u := URL{"https://" + authority + target}
	if len(u.s) > MaxURL {
		return URL{}, fmt.Errorf("it is longer than %d octets once normalised; use a shorter one", MaxURL)
	}
	return u, nil
}

func checkURLText(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty; give an absolute https URL")
	case len(s) > MaxURL:
		return fmt.Errorf("it has %d octets and the limit is %d; use a shorter one", len(s), MaxURL)
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return fmt.Errorf("octet %d is a space, a control character or not ASCII; percent-encode it", i)
		}
	}
	return nil
}

// normalAuthority gives host, or host:port where the port isn't 443 (T-10).
func normalAuthority(a string) (string, error) {
	if strings.Contains(a, "@") {
		return "", errors.New("it carries user information; leave out what stands before the @")
	}
	host, port := a, ""
	if i := strings.LastIndexByte(a, ':'); i > strings.LastIndexByte(a, ']') {
		host, port = a[:i], a[i+1:]
	}
	host, err := normalURLHost(host)
	if err != nil {
		return "", err
	}
	if port == "" || port == "443" {
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return "", fmt.Errorf("the port %s is not a number from 1 to 65535", show(port))
	}
	return host + ":" + port, nil
}

func normalURLHost(h string) (string, error) {
	if strings.HasPrefix(h, "[") && strings.HasSuffix(h, "]") {
		addr, err := netip.ParseAddr(h[1 : len(h)-1])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", fmt.Errorf("%s is not an IPv6 address", show(h))
		}
		return "[" + addr.String() + "]", nil
	}
	name, addr, err := parseHost(h)
	switch {
	case err != nil:
		return "", err
	case addr.Is6():
		return "", fmt.Errorf("the IPv6 address %s needs square brackets", show(h))
	case addr.IsValid():
		return addr.String(), nil
	}
	return name, nil
}

// normalTarget normalises path and query: percent-encoding first, as an encoded dot is a dot segment too.
func normalTarget(t string) (string, error) {
	path, query, hasQuery := strings.Cut(t, "?")
	path, err := normalPercent(path, "/:@")
	if err != nil {
		return "", err
	}
	path = removeDots(path)
	if !hasQuery {
		return path, nil
	}
	query, err = normalPercent(query, "/:@?")
	return path + "?" + query, err
}

// normalPercent decodes percent-encoded unreserved characters, writes the other ones in upper case, and refuses what
// RFC 3986 allows nowhere in a path or query. extra lists what is legal beside unreserved and sub-delims.
func normalPercent(s, extra string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '%' {
			if !unreserved(c) && !strings.ContainsRune("!$&'()*+,;=", rune(c)) && !strings.ContainsRune(extra, rune(c)) {
				return "", fmt.Errorf("the character %q is not allowed in a URL; percent-encode it", c)
			}
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", errors.New("a % is not followed by two hexadecimal digits; write a literal one as %25")
		}
		if d := unhex(s[i+1])<<4 | unhex(s[i+2]); unreserved(d) {
			b.WriteByte(d)
		} else {
			b.WriteString(strings.ToUpper(s[i : i+3]))
		}
		i += 2
	}
	return b.String(), nil
}

// removeDots removes dot segments (RFC 3986 section 5.2.4) of a path that is absolute or empty; the result never is
// empty (section 6.2.3).
func removeDots(path string) string {
	if path == "" {
		return "/"
	}
	segments := strings.Split(path[1:], "/")
	out := make([]string, 0, len(segments))
	for i, seg := range segments {
		last := i == len(segments)-1
		switch seg {
		case ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, seg)
			continue
		}
		if last {
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/")
}

func unreserved(c byte) bool {
	return isAlnum(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// resolve gives the URL that ref means relative to u (RFC 3986 section 5.2), for mud-signature (RAU-5-d).
func (u URL) resolve(ref string) (URL, error) {
	ref, _, _ = strings.Cut(ref, "#")
	path, _, _ := strings.Cut(u.s, "?")
	switch {
	case ref == "":
		return URL{}, errors.New("it is empty; leave it out where there is no signature")
	case hasScheme(ref):
		return parseURL(ref)
	case strings.HasPrefix(ref, "//"):
		return parseURL("https:" + ref)
	case strings.HasPrefix(ref, "/"):
		return parseURL("https://" + u.Authority() + ref)
	case strings.HasPrefix(ref, "?"):
		return parseURL(path + ref)
	}
	return parseURL(path[:strings.LastIndexByte(path, '/')+1] + ref)
}

// hasScheme tells whether s starts with a URI scheme (RFC 3986 section 3.1).
func hasScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ':':
			return i > 0
		case isAlnum(c) && (i > 0 || !isDigit(c)):
		case i > 0 && (c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return false
}

// String gives the normalised URL, "" for the zero URL.
func (u URL) String() string { return u.s }

// IsZero tells whether u is the zero URL.
func (u URL) IsZero() bool { return u.s == "" }

// Host gives the host in lower case, without port, trailing dot or the brackets of an IPv6 address. It is what a
// manufacturer match compares (RFC 8520 section 4.1, T-10).
func (u URL) Host() string {
	a := u.Authority()
	if i := strings.LastIndexByte(a, ':'); i > strings.LastIndexByte(a, ']') {
		a = a[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(a, "["), "]")
}

// Authority gives host, or host:port where the port isn't 443; an IPv6 address is in brackets. It is what a
// same-manufacturer match compares (RFC 8520 section 4.2, T-10).
func (u URL) Authority() string {
	a := strings.TrimPrefix(u.s, "https://")
	if i := strings.IndexAny(a, "/?"); i >= 0 {
		a = a[:i]
	}
	return a
}

// MarshalText gives the text of u; that of the zero URL is empty.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.s), nil }

// UnmarshalText reads what [URL.MarshalText] gives, or any text that [ParseURL] takes.
func (u *URL) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*u = URL{}
		return nil
	}
	v, err := ParseURL(string(text))
	if err != nil {
		return err
	}
	*u = v
	return nil
}
