package mud

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxName and maxLabel bound a domain name (RFC 1035 section 2.3.4).
const (
	maxName  = 253
	maxLabel = 63
)

// parseHost reads an inet:host (RFC 6991): a domain name, which it gives in lower case without the trailing dot, or an
// IP address without a zone (R6991-host, R8520-8.1-a).
func parseHost(s string) (string, netip.Addr, error) {
	if addr, ok := parseAddr(s); ok {
		return "", addr, nil
	}
	name, err := normalName(s)
	return name, netip.Addr{}, err
}

// parseAddr reads an address as RFC 6991 writes it, but for the zone: the IPv4 part of an IPv6 address may have leading
// zeros, which say nothing.
func parseAddr(s string) (netip.Addr, bool) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i:], '.') > 0 {
		octets := strings.Split(s[i+1:], ".")
		for j, o := range octets {
			if len(o) > 3 {
				return netip.Addr{}, false
			}
			octets[j] = cmp.Or(strings.TrimLeft(o, "0"), o[:min(1, len(o))])
		}
		s = s[:i+1] + strings.Join(octets, ".")
	}
	addr, err := netip.ParseAddr(s)
	return addr, err == nil && addr.Zone() == ""
}

// parsePrefix reads an ipv4-prefix or ipv6-prefix (RFC 6991) as it stands, host part included. The length of an IPv6
// prefix may have a leading zero.
func parsePrefix(s string, f Family) (netip.Prefix, bool) {
	text, length, found := strings.Cut(s, "/")
	addr, ok := parseAddr(text)
	if !found || !ok || familyOf(addr) != f || strings.Trim(length, "0123456789") != "" {
		return netip.Prefix{}, false
	}
	bits, err := strconv.Atoi(length)
	if err != nil || bits > addr.BitLen() || len(length) > 3 ||
		len(length) > 1 && length[0] == '0' && (f == IPv4 || len(length) > 2) {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, bits), true
}

// parseMAC reads a mac-address (RFC 6991).
func parseMAC(s string) (mac [6]byte, ok bool) {
	if len(s) != 17 {
		return mac, false
	}
	for i := range mac {
		if !isHex(s[3*i]) || !isHex(s[3*i+1]) || i < 5 && s[3*i+2] != ':' {
			return mac, false
		}
		mac[i] = unhex(s[3*i])<<4 | unhex(s[3*i+1])
	}
	return mac, true
}

// normalName gives a domain name in lower case without the trailing dot.
func normalName(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	switch {
	case !isASCII(s): // before any look at name: lower-casing turns some other letters into ASCII ones
		return "", fmt.Errorf("the host name %s is not ASCII; write its A-label (xn--...)", show(s))
	case name == "":
		return "", errors.New("the host name is empty")
	case strings.Contains(name, "*"):
		return "", fmt.Errorf("%s has a wildcard, which no MUD file can use; list each name", show(s))
	case len(name) > maxName:
		return "", fmt.Errorf("the host name has more than %d octets", maxName)
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if !validLabel(l) {
			return "", fmt.Errorf("%s is not a domain name: the label %s is not made of 1 to %d letters, digits, inner hyphens "+
				"and underscores", show(s), show(l), maxLabel)
		}
	}
	// Resolvers read such names as IPv4 addresses in odd notations, so nobody can rely on what they mean.
	if numeric(labels[len(labels)-1]) {
		return "", fmt.Errorf("%s ends in a number and is no IP address; write a domain name or a full address", show(s))
	}
	return name, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

func validLabel(l string) bool {
	if l == "" || len(l) > maxLabel || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := 0; i < len(l); i++ {
		if !isAlnum(l[i]) && l[i] != '-' && l[i] != '_' {
			return false
		}
	}
	return true
}

func numeric(label string) bool {
	hex := strings.HasPrefix(label, "0x")
	for i := 0; i < len(label); i++ {
		if !isDigit(label[i]) && (!hex || i > 1 && !isHex(label[i])) {
			return false
		}
	}
	return true
}

// The classes that RFC 8520 section 17.7 registers.
const (
	ClassDNS = "urn:ietf:params:mud:dns"
	ClassNTP = "urn:ietf:params:mud:ntp"
)

// mudURN is the prefix of registered classes.
const mudURN = "urn:ietf:params:mud:"

// ParseClass reads the URI of a controller class (RFC 8520 section 4.6) and gives it in the form in which classes are
// compared: that of a MUD URL where it is an https URL, otherwise with scheme, URN namespace and host in lower case and
// percent-encodings in upper case (R6991-uri). A class is a name: nobody resolves or retrieves it (R8520-4.6-b).
func ParseClass(s string) (string, error) {
	if err := checkURLText(s); err != nil {
		return "", fmt.Errorf("class %s: %w", show(s), err)
	}
	if !hasScheme(s) {
		return "", fmt.Errorf("class %s is not a URI: it has no scheme; write for example %s or an https URL", show(s), ClassDNS)
	}
	scheme, rest, _ := strings.Cut(s, ":")
	scheme = strings.ToLower(scheme)
	if scheme == "https" {
		u, err := parseURL(s)
		if err != nil {
			return "", fmt.Errorf("class %s: %w", show(s), err)
		}
		return u.s, nil
	}
	if rest == "" {
		return "", fmt.Errorf("class %s names nothing after its scheme", show(s))
	}
	return scheme + ":" + lowerAuthority(scheme, upperPercent(rest)), nil
}

// lowerAuthority lower-cases what the URI scheme compares without case: the authority, or a URN's namespace; all of a
// MUD URN, as its classes are registered in lower case.
func lowerAuthority(scheme, rest string) string {
	switch {
	case scheme == "urn" && strings.HasPrefix(strings.ToLower("urn:"+rest), mudURN):
		return strings.ToLower(rest)
	case scheme == "urn":
		end := strings.IndexByte(rest, ':') + 1
		return strings.ToLower(rest[:end]) + rest[end:]
	case strings.HasPrefix(rest, "//"):
		end := strings.IndexAny(rest[2:], "/?#")
		if end < 0 {
			return strings.ToLower(rest)
		}
		return strings.ToLower(rest[:2+end]) + rest[2+end:]
	}
	return rest
}

func upperPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' && isHex(b[i+1]) && isHex(b[i+2]) {
			copy(b[i+1:], strings.ToUpper(s[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}
