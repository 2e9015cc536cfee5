package kernel

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// piece is a fragment: a part of what follows the IP header, at an offset.
type piece struct {
	at   int
	more bool
	data []byte
}

// TestScenarioOverlap: T17. Ports in tiny fragments, fragments out of order and those that write over each other (RFC 1858, RFC 3128,
// RFC 5722, RFC 7112): what passes is what was judged. So it is for header chains that are long, or have a header that nobody knows.
func TestScenarioOverlap(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			l.load(t, oddProfile())
			for i, six := range []bool{false, true} {
				for j, c := range fragmented() {
					for k, dport := range []uint16{443, 23} {
						s := l.syn("lamp", "cloud", six, uint16(39000+100*i+10*j+k), dport)
						s.head.Pad = 12 // so that the mark is never cut, also where the gateway cuts anew
						want := dport == 443 && (c.v4 && !six || c.v6 && six)
						if got := l.pieces(s, six, c.cut); got != want {
							t.Errorf("%s, IPv6 %v, port %d: arrived %v", c.name, six, dport, got)
						}
					}
				}
			}
			l.try(t, l.chains())
		})
	}
}

// cutting is a way to cut a TCP segment of 44 octets. v4 and v6 say whether the whole arrives where it is allowed.
type cutting struct {
	name   string
	v4, v6 bool
	cut    func(b []byte) []piece
}

func fragmented() []cutting {
	other := func(b []byte) []byte { // 443 for 23 and 23 for 443
		c := slices.Clone(b)
		binary.BigEndian.PutUint16(c[2:], 443+23-binary.BigEndian.Uint16(c[2:]))
		return c
	}
	return []cutting{
		{"the whole header in the first", true, true, func(b []byte) []piece { return []piece{{0, true, b[:24]}, {24, false, b[24:]}} }},
		{"the first one last", true, true, func(b []byte) []piece { return []piece{{24, false, b[24:]}, {0, true, b[:24]}} }},
		// IPv6 wants the whole header in the first fragment.
		{"flags in the second", true, false, func(b []byte) []piece { return []piece{{0, true, b[:8]}, {8, true, b[8:24]}, {24, false, b[24:]}} }},
		// What is there already is taken for a repetition: what came first counts.
		{"ports written over", true, true, func(b []byte) []piece {
			return []piece{{0, true, b[:24]}, {0, true, other(b[:24])}, {24, false, b[24:]}}
		}},
		{"ports written before", false, false, func(b []byte) []piece {
			return []piece{{0, true, other(b[:24])}, {0, true, b[:24]}, {24, false, b[24:]}}
		}},
		{"flags written over", false, false, func(b []byte) []piece { return []piece{{0, true, b[:24]}, {8, false, b[8:]}} }},
		{"no first one", false, false, func(b []byte) []piece { return []piece{{8, true, b[8:16]}, {16, false, b[16:]}} }},
	}
}

// pieces sends a packet in fragments, and says whether it arrived.
func (l *lab) pieces(s shot, six bool, cut func([]byte) []piece) bool {
	l.t.Helper()
	l.last++
	id := l.last
	whole := s.ip(binary.BigEndian.AppendUint32([]byte(token), id))
	header := map[bool]int{false: ip4Header, true: ip6Header}[six]
	for _, p := range cut(whole[header:]) {
		s.wrap = func([]byte) (uint16, []byte) { return p.frame(whole[:header], id) }
		if err := l.send(s); err != nil {
			l.t.Fatal(err)
		}
	}
	l.settle()
	arrived := map[uint32][]string{}
	l.collect(arrived)
	return slices.Contains(arrived[id], s.to)
}

// frame puts a fragment behind the IP header of the whole (RFC 791 section 3.1, RFC 8200 section 4.5).
func (p piece) frame(header []byte, id uint32) (uint16, []byte) {
	b := slices.Clone(header)
	if len(b) == ip6Header {
		at := uint16(p.at)
		if p.more {
			at |= 1
		}
		fragment := append([]byte{b[6], 0}, big16(at)...)
		fragment = binary.BigEndian.AppendUint32(fragment, id)
		b[6] = unix.IPPROTO_FRAGMENT
		binary.BigEndian.PutUint16(b[4:], uint16(len(fragment)+len(p.data)))
		return unix.ETH_P_IPV6, slices.Concat(b, fragment, p.data)
	}
	at := uint16(p.at / 8)
	if p.more {
		at |= 0x2000
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(p.data)))
	binary.BigEndian.PutUint16(b[4:], uint16(id))
	binary.BigEndian.PutUint16(b[6:], at)
	b[10], b[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return unix.ETH_P_IP, append(b, p.data...)
}

// chains have extension headers before TCP. One that the kernel does not know is a protocol of its own, which no ACE allows.
func (l *lab) chains() []odd {
	chained := func(sport, dport uint16, kind uint8, n int) shot {
		s := l.syn("lamp", "cloud", true, sport, dport)
		s.wrap = func(mark []byte) (uint16, []byte) {
			b := s.ip(mark)
			var heads []byte
			for i := range n {
				next := kind
				if i == n-1 {
					next = unix.IPPROTO_TCP
				}
				heads = append(heads, next, 0, 1, 4, 0, 0, 0, 0)
			}
			b[6] = kind
			b = slices.Concat(b[:ip6Header], heads, b[ip6Header:])
			binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ip6Header))
			return unix.ETH_P_IPV6, b
		}
		return s
	}
	const hip, shim6, experiment = 139, 140, 253 // RFC 7401, RFC 5533, RFC 4727
	list := []odd{
		{name: "seven headers before an allowed SYN", shot: chained(39501, 443, unix.IPPROTO_DSTOPTS, 7), want: true},
		{name: "seven headers before another", shot: chained(39502, 23, unix.IPPROTO_DSTOPTS, 7)},
		{name: "a routing header before another", shot: chained(39503, 23, unix.IPPROTO_ROUTING, 1)},
	}
	for i, kind := range []uint8{hip, shim6, experiment} {
		list = append(list, odd{name: "an unknown header", shot: chained(uint16(39510+i), 443, kind, 1)})
	}
	return list
}
