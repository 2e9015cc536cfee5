package mud

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// mud converts the leaves of the mud container (RFC 8520 section 3).
func (c *converter) mud(m node) {
	for _, n := range c.rename(m, c.mudWords) {
		c.unknownInMUD(n)
	}
	c.signature(m, c.mudURL(m))
	c.version(m)
	c.lastUpdate(m)
	c.cacheHours(c.get(m, "cache-validity"))
	c.supported(m)
	for _, name := range []string{"systeminfo", "mfg-name", "model-name", "firmware-rev", "software-rev"} {
		c.words(c.get(m, name))
	}
	c.documentation(c.get(m, "documentation"))
	c.declared(c.get(m, "extensions"))
}

// unknownInMUD keeps what may be an extension's, under the name that its module gives it (R7951-4-a).
func (c *converter) unknownInMUD(n named) {
	switch full := c.extensionWords[squash(n.member.name)]; {
	case full != "" && full != n.member.name:
		c.change(n.path, "R7951-4-a", "%s is written %s", show(n.member.name), full)
		c.was[n.v], n.member.name = n.path, full
	case notAModules(n.member.name):
		c.leaveOut(n.node, "R8520-2-i", "no module defines it")
	}
}

// noURL stands in where a file has no mud-url. It can't be fetched (RFC 2606) and so is nobody's.
const noURL = "https://missing.invalid/"

// mudURL mends and reads mud-url. A file without one can be read, but is never the one that was asked for (T-31).
func (c *converter) mudURL(m node) URL {
	const why = "there is none, and this one is nobody's; write the device's own"
	n := c.get(m, "mud-url")
	switch {
	case !m.exists() || m.kind() != kindObject:
		return URL{}
	case !n.exists():
		c.add(m, "mud-url", str(noURL), "R8520-3.2-a", why)
		n = c.get(m, "mud-url")
	case n.kind() == kindNull || n.kind() == kindString && strings.TrimSpace(n.v.text) == "":
		c.set(n, str(noURL), "R8520-3.2-a", why)
	case !c.want(n, kindString):
		return URL{}
	}
	fixed := mendURL(n.v.text)
	u, err := ParseURL(fixed)
	if err != nil {
		c.refuse(n.path, urlRow(fixed), "%v", err)
		return URL{}
	}
	if fixed != n.v.text {
		c.set(n, str(fixed), urlRow(n.v.text), "a MUD URL is an absolute https URL without spaces")
	}
	return u
}

// mendURL gives the https URL that s is probably meant as.
func mendURL(s string) string {
	if _, err := ParseURL(s); err == nil {
		return s
	}
	s = strings.TrimSpace(s)
	scheme, rest, found := strings.Cut(s, "://")
	switch {
	case !found && !hasScheme(s) && strings.Contains(s, "."):
		rest = strings.TrimPrefix(s, "//")
	case !found || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https"):
		return s
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	return "https://" + strings.ReplaceAll(rest[:end], " ", "-") + percentEncode(rest[end:])
}

// percentEncode encodes what is legal nowhere in a URL, as RFC 3987 section 3.1 does.
func percentEncode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// signature mends mud-signature, and gives it as an absolute URL. One that can't be a URL is left out; the file is unsigned
// then, as nobody could have verified it.
func (c *converter) signature(m node, u URL) string {
	n := c.get(m, "mud-signature")
	if !n.exists() || u.IsZero() {
		return ""
	}
	if n.kind() != kindString {
		c.leaveOut(n, "RAU-5-d", "expected a string, found %s", n.kind())
		return ""
	}
	sig, err := u.resolve(n.v.text)
	if err == nil {
		return sig.s
	}
	if sig, err = ParseURL(mendURL(n.v.text)); err != nil {
		c.leaveOut(n, "RAU-5-d", "the signature URL %s can't be used (%v)", show(n.v.text), err)
		return ""
	}
	c.set(n, str(sig.s), "RAU-5-d", "the URL of a signature is an https URL without spaces")
	return sig.s
}

func (c *converter) version(m node) {
	n := c.get(m, "mud-version")
	switch {
	case !n.exists():
		c.add(m, "mud-version", number("1"), "R8520-3.1-a", "drafts had no version, and there is only this one")
	case n.kind() == kindNumber && n.v.text == "1":
	case n.v.text == "1" || n.v.text == "1.0":
		c.set(n, number("1"), "R7951-6-b", "it is the number 1")
	default:
		c.refuse(n.path, "T-41", "%s is no version of the MUD language; only 1 exists", brief(n.v))
	}
}

// lastUpdate writes a date as RFC 3339 wants it. One that can't be read becomes the oldest there is: a file never counts as
// newer than it says (R8520-3.4-a).
func (c *converter) lastUpdate(m node) {
	n := c.get(m, "last-update")
	const epoch = "1970-01-01T00:00:00Z"
	if !n.exists() {
		c.add(m, "last-update", str(epoch), "R8520-3.4-a", "nobody knows how old the file is, so it counts as old")
		return
	}
	var t time.Time
	if n.kind() == kindString && t.UnmarshalText([]byte(n.v.text)) == nil {
		return
	}
	t, ok := readDate(n.v)
	if !ok {
		c.set(n, str(epoch), "R8520-3.4-a", "it can't be read as a date and time, so the file counts as old")
		return
	}
	c.set(n, str(t.Format(time.RFC3339Nano)), "R8520-3.4-a", "this is how RFC 3339 writes it; without a time zone it is UTC")
}

// readDate reads a date and time in the formats that tools write; the day never before the month, as that is ambiguous.
func readDate(v *value) (time.Time, bool) {
	s := strings.ToUpper(strings.TrimSpace(v.text))
	if v.kind == kindNumber || v.kind == kindString {
		if x, err := strconv.ParseInt(s, 10, 64); err == nil && x > 1e8 && x < 1e13 {
			if x > 1e11 { // JavaScript counts milliseconds
				return time.UnixMilli(x).UTC(), true
			}
			return time.Unix(x, 0).UTC(), true
		}
	}
	if v.kind != kindString {
		return time.Time{}, false
	}
	day, rest := s, ""
	if len(s) > len(time.DateOnly) {
		day, rest = s[:len(time.DateOnly)], strings.TrimLeft(s[len(time.DateOnly):], "T ")
	}
	day = strings.NewReplacer("/", "-", ".", "-").Replace(day)
	for _, zone := range []string{"", "Z07:00", "Z0700", "Z07", " Z07:00", " -0700", " MST"} {
		for _, clock := range []string{"15:04:05", "15:04"} {
			if t, err := time.ParseInLocation(time.DateOnly+" "+clock+zone, day+" "+rest, time.UTC); err == nil && !strange(t) {
				return t, true
			}
		}
	}
	for _, layout := range []string{time.DateOnly, time.RFC1123, time.RFC1123Z, time.ANSIC, time.UnixDate} {
		from := s
		if layout == time.DateOnly {
			from = day + rest
		}
		if t, err := time.ParseInLocation(layout, from, time.UTC); err == nil && !strange(t) {
			return t, true
		}
	}
	return time.Time{}, false
}

// strange tells whether a time has a zone that is only a name, of which package time doesn't know the offset, or a year that
// RFC 3339 can't write.
func strange(t time.Time) bool {
	name, offset := t.Zone()
	return name != "" && name != "UTC" && name != "GMT" && offset == 0 || t.Year() < 1 || t.Year() > 9999
}

// cacheHours brings cache-validity into its bounds (RFC 8520 section 3.5).
func (c *converter) cacheHours(n node) {
	if !n.exists() {
		return
	}
	h, err := strconv.ParseFloat(strings.TrimSpace(n.v.text), 64)
	switch {
	case n.kind() != kindNumber && n.kind() != kindString || err != nil || h != h:
		c.leaveOut(n, "R8520-3.5-b", "%s is no number of hours, so the default of %d holds", brief(n.v), defaultCacheHours)
		return
	}
	hours := strconv.Itoa(int(min(max(h, minCacheHours), maxCacheHours)))
	if n.kind() != kindNumber || n.v.text != hours {
		c.set(n, number(hours), "R8520-3.5-b", "it is a whole number of hours from %d to %d", minCacheHours, maxCacheHours)
	}
}

// supported makes is-supported a boolean. In doubt it is false: that only warns.
func (c *converter) supported(m node) {
	n := c.get(m, "is-supported")
	no := value{kind: kindBool, text: "false"}
	if !n.exists() {
		c.add(m, "is-supported", no, "R8520-3.6-a", "the file doesn't say that the device is supported")
		return
	}
	if n.kind() == kindBool {
		return
	}
	switch strings.ToLower(strings.TrimSpace(n.v.text)) {
	case "true", "yes", "1":
		c.set(n, value{kind: kindBool, text: "true"}, "R7951-6-b", "a boolean stands without quotes")
	case "false", "no", "0":
		c.set(n, no, "R7951-6-b", "a boolean stands without quotes")
	default:
		c.set(n, no, "R8520-3.6-a", "it is no boolean, so the file doesn't say that the device is supported")
	}
}

// words converts a leaf that is only shown (RFC 8520 sections 3.7 and 3.8).
func (c *converter) words(n node) {
	switch {
	case !n.exists():
	case n.kind() == kindString:
		if s := Clean(n.v.text, maxText); s != n.v.text {
			c.set(n, str(s), "R8520-3.7-a", "characters that can't be shown are replaced, and what is more than %d is cut", maxText)
		}
	case n.kind() == kindNumber || n.kind() == kindBool:
		c.set(n, str(n.v.text), "R7951-6-b", "a text stands in quotes")
	default:
		c.leaveOut(n, "R8520-3.8-a", "expected a string, found %s", n.kind())
	}
}

// documentation keeps a URL only, as it becomes a link (RFC 8520 section 4.3).
func (c *converter) documentation(n node) {
	if !n.exists() || n.kind() == kindString && hasScheme(n.v.text) && !strings.ContainsAny(n.v.text, " \t\n") {
		return
	}
	fixed := mendURL(n.v.text)
	if _, err := ParseURL(fixed); n.kind() != kindString || err != nil {
		c.leaveOut(n, "R8520-4.3-a", "it is no URL")
		return
	}
	c.set(n, str(fixed), "R8520-4.3-a", "it is an absolute URL without spaces")
}

// declared converts the list of extensions (RFC 8520 section 3.9).
func (c *converter) declared(n node) {
	if !n.exists() {
		return
	}
	if n.kind() == kindString {
		c.set(n, value{kind: kindArray, kids: []member{{value: *n.v}}}, "R8520-3.9-a", "it is a list")
	}
	if n.kind() != kindArray {
		c.leaveOut(n, "R8520-3.9-a", "expected a list of names, found %s", n.kind())
		return
	}
	seen := make(map[string]bool)
	c.each(n, func(_ string, e node) {
		switch l := utf8.RuneCountInString(e.v.text); {
		case e.kind() != kindString || l < 1 || l > 40:
			c.leaveOut(e, "R8520-3.9-a", "%s is no name of 1 to 40 characters", brief(e.v))
		case seen[e.v.text]:
			c.leaveOut(e, "R8520-3.9-a", "%s is there twice", show(e.v.text))
		default:
			seen[e.v.text] = true
		}
	})
}
