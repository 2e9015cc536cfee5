package mud

import (
	"fmt"
	"strings"
	"time"
)

// dateShape is yang:date-and-time of RFC 9911: 0 stands for any digit. A fraction of a second and the offset come after it.
const dateShape = "0000-00-00T00:00:00"

// dateType is yang:date-and-time. The offset may be absent there; parseDate wants one.
func dateType(v *value) *flaw {
	return text(func(s string) *flaw {
		if shaped(s, dateShape) && dateInRange(s) && offsetOK(strings.TrimLeft(fraction(s[len(dateShape):]), "0123456789")) {
			return nil
		}
		return &flaw{msg: show(s) + " is no RFC 3339 date and time with an offset from -14:00 to +14:00; write for example " +
			"2026-01-31T12:00:00Z"}
	})(v)
}

// shaped tells whether s starts with a text of that shape.
func shaped(s, shape string) bool {
	if len(s) < len(shape) {
		return false
	}
	for i := range len(shape) {
		if s[i] != shape[i] && !(shape[i] == '0' && isDigit(s[i])) {
			return false
		}
	}
	return true
}

func dateInRange(s string) bool {
	month, day, hour, minute, second := s[5:7], s[8:10], s[11:13], s[14:16], s[17:19]
	return month >= "01" && month <= "12" && day >= "01" && day <= "31" && hour <= "23" && minute <= "59" && second <= "60"
}

// fraction takes the point away that a fraction of a second needs in front of digits.
func fraction(rest string) string {
	if len(rest) > 1 && rest[0] == '.' && isDigit(rest[1]) {
		return rest[1:]
	}
	if rest != "" && isDigit(rest[0]) {
		return "digits without a point"
	}
	return rest
}

func offsetOK(o string) bool {
	if o == "" || o == "Z" {
		return true
	}
	return len(o) == 6 && (o[0] == '+' || o[0] == '-') && shaped(o[1:], "00:00") &&
		(o[1:3] <= "13" && o[4:] <= "59" || o[1:] == "14:00")
}

// parseDate reads what dateType lets pass. A leap second is the second after it (R8520-3.4-a).
func parseDate(s string) (time.Time, error) {
	leap := len(s) > len(dateShape) && s[17:19] == "60"
	text := s
	if leap {
		text = s[:17] + "59" + s[19:]
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is no RFC 3339 date and time of the calendar, with an offset; write for example "+
			"2026-01-31T12:00:00Z", show(s))
	}
	if leap {
		t = t.Add(time.Second)
	}
	return t, nil
}
