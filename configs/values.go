package configs

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"mudguard/dhcp"
)

const (
	maxPath   = 4095 // PATH_MAX without its zero
	maxSocket = 107  // sun_path without its zero
	maxRate   = 1_000_000
)

// textual is a value that must be written as YAML text: a number or true there is most likely a slip.
func textual[T any](want string, parse func(string) (T, error)) value[T] {
	return value[T]{want, func(s scalar) (T, error) {
		var zero T
		if s.kind != text {
			return zero, errOther
		}
		return parse(s.text)
	}}
}

// plain is a textual value whose parser's own error says no more than want does.
func plain[T any](want string, parse func(string) (T, bool)) value[T] {
	return textual(want, func(s string) (T, error) {
		v, ok := parse(s)
		if !ok {
			return v, errOther
		}
		return v, nil
	})
}

func enum[T ~string](allowed ...T) value[T] {
	all := make([]string, len(allowed))
	for i, a := range allowed {
		all[i] = string(a)
	}
	return plain(strings.Join(all, ", "), func(s string) (T, bool) {
		return T(s), slices.Contains(allowed, T(s))
	})
}

func boolean() value[bool] {
	return value[bool]{"true, false", func(s scalar) (bool, error) {
		if s.kind != truth {
			return false, errOther
		}
		return strings.EqualFold(s.text, "true"), nil
	}}
}

func number[T int | uint16](lowest, highest T) value[T] {
	want := fmt.Sprintf("a whole number from %d to %d", lowest, highest)
	return value[T]{want, func(s scalar) (T, error) {
		n, ok := whole(s)
		if !ok || n < uint64(lowest) || n > uint64(highest) {
			return 0, errOther
		}
		return T(n), nil
	}}
}

// whole takes decimal and 0x numbers. A leading zero means octal to some YAML readers and not to others: refused.
func whole(s scalar) (uint64, bool) {
	if s.kind != integer {
		return 0, false
	}
	base, digits := 10, s.text
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		base, digits = 16, hex
	} else if len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, base, 64)
	return n, err == nil
}

func markBit() value[uint32] {
	return value[uint32]{"a number of 32 bits with exactly one bit set, such as 0x10000000", func(s scalar) (uint32, error) {
		n, ok := whole(s)
		if !ok || n > 1<<31 || bits.OnesCount64(n) != 1 {
			return 0, errOther
		}
		return uint32(n), nil
	}}
}

// ParseRate reads "100/second": a count from 1 to a million, for each second, minute, hour or day.
func ParseRate(s string) (Rate, error) {
	count, unit, _ := strings.Cut(s, "/")
	per := map[string]time.Duration{
		"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour,
	}[unit]
	n, err := strconv.ParseUint(count, 10, 64)
	if err != nil || per == 0 || n < 1 || n > maxRate || count[0] == '0' {
		return Rate{}, fmt.Errorf("%s is no rate such as 100/second", quote(s))
	}
	return Rate{n, per}, nil
}

// String is the rate as the file has it.
func (r Rate) String() string {
	unit := map[time.Duration]string{
		time.Second: "second", time.Minute: "minute", time.Hour: "hour", 24 * time.Hour: "day",
	}[r.Per]
	if unit == "" {
		unit = r.Per.String()
	}
	return strconv.FormatUint(r.Count, 10) + "/" + unit
}

func rate() value[Rate] {
	return plain("a rate from 1/day to 1000000/second, per second, minute, hour or day", func(s string) (Rate, bool) {
		r, err := ParseRate(s)
		return r, err == nil
	})
}

func duration(lowest, highest time.Duration, bounds string) value[time.Duration] {
	return plain("a time with its unit, from "+bounds, func(s string) (time.Duration, bool) {
		t, err := time.ParseDuration(s)
		return t, err == nil && t >= lowest && t <= highest
	})
}

// size reads bytes: a bare number, or one with KiB or MiB.
func size(lowest, highest uint64, bounds string) value[int64] {
	return value[int64]{"a size from " + bounds, func(s scalar) (int64, error) {
		n, ok := whole(s)
		if s.kind == text {
			n, ok = sizeWithUnit(s.text)
		}
		if !ok || n < lowest || n > highest {
			return 0, errOther
		}
		return int64(n), nil
	}}
}

func sizeWithUnit(s string) (uint64, bool) {
	digits, shift := strings.TrimSuffix(s, "KiB"), 10
	if digits == s {
		digits, shift = strings.TrimSuffix(s, "MiB"), 20
	}
	if digits == s {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 32)
	return n << shift, err == nil
}

// interfaceName takes what the kernel's dev_valid_name takes, less what would be misread in nftables text: quotes, a
// backslash, and the star of a wildcard.
func interfaceName() value[string] {
	return plain("an interface name of 1 to 15 characters, without spaces and / : * \" \\", func(s string) (string, bool) {
		odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/:*"\`, r) }
		return s, s != "" && len(s) <= 15 && s != "." && s != ".." && !strings.ContainsFunc(s, odd)
	})
}

func deviceMAC() value[dhcp.MAC] {
	return plain("the MAC of one device, such as 02:00:5e:10:00:01", func(s string) (dhcp.MAC, bool) {
		mac, err := dhcp.ParseMAC(s)
		return mac, err == nil && mac != dhcp.MAC{} && mac[0]&1 == 0
	})
}

func filePath() value[string] {
	return plain("the path of a file", func(s string) (string, bool) {
		return s, s != "" && len(s) <= maxPath && !strings.ContainsFunc(s, unicode.IsControl)
	})
}

// orEmpty takes "" too, which stands for none.
func orEmpty(v value[string]) value[string] {
	return value[string]{`"" for none, or ` + v.want, func(s scalar) (string, error) {
		if s.kind == text && s.text == "" {
			return "", nil
		}
		return v.parse(s)
	}}
}

func secret() value[string] {
	return plain("a secret of 16 to 256 letters and digits", func(s string) (string, bool) {
		odd := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) || r > '~' }
		return s, len(s) >= 16 && len(s) <= 256 && !strings.ContainsFunc(s, odd)
	})
}

func absolutePath(most int) value[string] {
	want := fmt.Sprintf("an absolute path of at most %d bytes", most)
	return plain(want, func(s string) (string, bool) {
		ok := filepath.IsAbs(s) && len(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
		return filepath.Clean(s), ok && filepath.Clean(s) != "/"
	})
}

// domain reads a DNS name: letters, digits, hyphens and underscores in labels of at most 63, 253 in all, lower-cased.
// A last label of digits only is a mistyped address, never a name (RFC 3696 section 2).
func domain(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	labels := strings.Split(s, ".")
	for _, label := range labels {
		odd := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' }
		bad := label == "" || len(label) > 63 || strings.ContainsFunc(label, odd)
		if bad || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
	}
	last := labels[len(labels)-1]
	return s, len(s) <= 253 && strings.Trim(last, "0123456789") != ""
}

func parseUnicast(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	ok := err == nil && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && !a.Is4In6()
	return a, ok && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func unicast() value[netip.Addr] { return plain("the IP address of one host", parseUnicast) }

func host() value[Host] {
	return plain("the IP address or the name of one host", func(s string) (Host, bool) {
		if a, ok := parseUnicast(s); ok {
			return Host{Addr: a}, true
		}
		name, ok := domain(s)
		return Host{Name: name}, ok
	})
}

// urlHost normalises as url.URL.Hostname shows a host: lower-case, an IPv6 address without brackets.
func urlHost() value[string] {
	return plain("a host as in a URL, without scheme and port", func(s string) (string, bool) {
		if a, ok := parseUnicast(strings.Trim(s, "[]")); ok {
			return a.String(), true
		}
		return domain(s)
	})
}

func hostName() value[string] { return plain("the name of a host", domain) }

func nameSuffix() value[string] {
	return plain("a name, or the suffix of names, such as home.arpa", func(s string) (string, bool) {
		return domain(strings.TrimPrefix(strings.TrimPrefix(s, "*"), "."))
	})
}

// network refuses 0.0.0.0/0 and ::/0: with these, "the local networks" of a profile would be the Internet.
func network() value[netip.Prefix] {
	return textual("a network such as 192.168.1.0/24", func(s string) (netip.Prefix, error) {
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil || p.Addr().Is4In6():
			return p, errOther
		case p.Bits() == 0:
			return p, errors.New("the whole Internet is not local")
		case p != p.Masked():
			return p, fmt.Errorf("did you mean %s?", p.Masked())
		}
		return p, nil
	})
}

func printable(s string) bool {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	return s != "" && !strings.ContainsFunc(s, odd)
}

func classURI() value[string] {
	return plain("a class URI with its scheme, such as urn:ietf:params:mud:ntp", func(s string) (string, bool) {
		u, err := url.Parse(s)
		return s, err == nil && u.Scheme != "" && u.Opaque+u.Host+u.Path != "" && printable(s)
	})
}

func mudURL() value[string] {
	return plain("a MUD URL, which begins with https://", func(s string) (string, bool) {
		u, err := url.Parse(s)
		return s, err == nil && u.Scheme == "https" && u.Hostname() != "" && printable(s)
	})
}

// listenAddress wants the address said: ":8520" would serve the Internet side too, which nobody should get by leaving
// something out.
func listenAddress() value[string] {
	want := `"" for no web server, or an address with a port, such as 127.0.0.1:8520`
	return plain(want, func(s string) (string, bool) {
		port, local := strings.CutPrefix(s, "localhost:")
		if local {
			n, err := strconv.ParseUint(port, 10, 16)
			return fmt.Sprintf("localhost:%d", n), err == nil
		}
		_, err := netip.ParseAddrPort(s)
		return s, s == "" || err == nil
	})
}
