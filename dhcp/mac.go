package dhcp

import (
	"encoding/hex"
	"fmt"
	"net"
)

// ParseMAC reads a 48-bit address in any of the usual spellings (aa:bb:…, aa-bb-…, aabb.ccdd.…), in either case.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("%.64q is not an Ethernet address like 02:00:5e:10:00:01", s)
	}
	return MAC(hw), nil
}

// String gives the one spelling used everywhere in the product: lower case, with colons.
func (m MAC) String() string {
	out := make([]byte, 0, 17)
	for i := range m {
		if i > 0 {
			out = append(out, ':')
		}
		out = hex.AppendEncode(out, m[i:i+1])
	}
	return string(out)
}

// MarshalText makes a MAC a JSON string and a JSON map key.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes, and every other spelling that ParseMAC takes.
func (m *MAC) UnmarshalText(text []byte) error {
	parsed, err := ParseMAC(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// IsZero reports whether m is 00:00:00:00:00:00, which no device has.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsMulticast reports whether m is a group address (IEEE 802 I/G bit); broadcast is one.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// LocallyAdministered reports whether m was made up (IEEE 802 U/L bit), as phones do for privacy:
// such an address says nothing about the manufacturer and may change.
func (m MAC) LocallyAdministered() bool { return m[0]&2 != 0 }

// isDevice reports whether one device can have m as its address.
func (m MAC) isDevice() bool { return !m.IsZero() && !m.IsMulticast() }
