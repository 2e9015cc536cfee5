package dhcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// Types of TLVs (IEEE 802.1AB section 8.4), and the beginning of a MUD URL's (RFC 8520 section 12).
const (
	tlvEnd        = 0
	tlvChassisID  = 1
	tlvPortID     = 2
	tlvTTL        = 3
	tlvSystemName = 5
	tlvOwn        = 127 // of an organisation
	tlvHeader     = 2
	mudTLV        = "\x00\x00\x5e\x01" // IANA's identifier and the subtype
)

// errLLDP reports an LLDPDU that must be discarded (IEEE 802.1AB section 9.2.7.7).
var errLLDP = errors.New("LLDP frame does not begin with chassis, port and time to live")

// isLLDPGroup reports an address to which LLDP is sent (IEEE 802.1AB table 7-1). No bridge forwards such frames, so what
// comes with another may be from anywhere.
func isLLDPGroup(m MAC) bool {
	return m == MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e} || m == MAC{0x01, 0x80, 0xc2, 0, 0, 0x03} || m == MAC{0x01, 0x80, 0xc2}
}

func parseLLDP(e ether) ([]Sighting, error) {
	if !isLLDPGroup(e.to) {
		return nil, nil
	}
	s := Sighting{MAC: e.from, Source: SourceLLDP}
	var muds [][]byte
	for position, b := 1, e.body; ; position++ {
		kind, value, rest, err := nextTLV(b)
		switch {
		case err != nil:
			return nil, err
		case position <= tlvTTL && kind != position, position > tlvTTL && kind != tlvEnd && kind <= tlvTTL:
			return nil, errLLDP // the second: one of the three once more
		case kind == tlvEnd:
			s.announce(muds...)
			return []Sighting{s}, nil
		case kind == tlvTTL:
			if len(value) < 2 {
				return nil, errLLDP
			}
			if s.TTL = time.Duration(binary.BigEndian.Uint16(value)) * time.Second; s.TTL == 0 {
				s.Kind = Gone
				return []Sighting{s}, nil
			}
		case kind == tlvSystemName:
			s.Hostname = cleanText(value)
		case kind == tlvOwn && bytes.HasPrefix(value, []byte(mudTLV)):
			muds = append(muds, value[len(mudTLV):])
		}
		b = rest
	}
}

// nextTLV splits off a type of seven bits, a length of nine, and the value. The end of the frame is an end TLV, which not
// all senders write.
func nextTLV(b []byte) (kind int, value, rest []byte, err error) {
	if len(b) == 0 {
		return tlvEnd, nil, nil, nil
	}
	if len(b) < tlvHeader {
		return 0, nil, nil, errTruncated
	}
	head := int(binary.BigEndian.Uint16(b))
	size := tlvHeader + head&0x1ff
	if size > len(b) {
		return 0, nil, nil, errTruncated
	}
	return head >> 9, b[tlvHeader:size], b[size:], nil
}
