package mud

import "fmt"

// String gives p as one line.
func (p Problem) String() string {
	where := ""
	if p.Path != "" {
		where = p.Path + ": "
	}
	return fmt.Sprintf("%s: %s%s (%s)", p.Severity, where, p.Message, p.Row)
}

// String gives the identity's name in RFC 8519.
func (a Action) String() string {
	switch a {
	case Drop:
		return "drop"
	case Accept:
		return "accept"
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// String gives the name of RFC 8520 section 4.8, "any" for an absent direction.
func (d Direction) String() string {
	switch d {
	case DirectionAny:
		return "any"
	case FromDevice:
		return "from-device"
	case ToDevice:
		return "to-device"
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// String gives the family's name.
func (f Family) String() string {
	switch f {
	case FamilyAny:
		return "any"
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return fmt.Sprintf("Family(%d)", uint8(f))
}
