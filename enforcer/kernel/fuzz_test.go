package kernel

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"

	"mudguard/enforcer"
)

func ip4(proto byte, frag uint16, options int, l4 ...byte) []byte {
	b := make([]byte, 20+options)
	b[0] = 0x40 | byte(5+options/4)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(l4)))
	binary.BigEndian.PutUint16(b[6:], frag)
	b[9] = proto
	copy(b[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	return append(b, l4...)
}

func ip6(next byte, rest ...byte) []byte {
	b := make([]byte, 40)
	b[0], b[6] = 0x60, next
	binary.BigEndian.PutUint16(b[4:], uint16(len(rest)))
	src, dst := netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8::2").As16()
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	return append(b, rest...)
}

func TestParseIP(t *testing.T) {
	src4, dst4 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	src6, dst6 := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	ports := []byte{0x12, 0x34, 0x01, 0xbb}
	hop := []byte{60, 0, 0, 0, 0, 0, 0, 0}
	dest := []byte{6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	auth := []byte{17, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		name string
		in   []byte
		want enforcer.Flow
		n    int
		ok   bool
	}{
		{"tcp", ip4(6, 0, 0, ports...), enforcer.Flow{Src: src4, Dst: dst4, Proto: 6, Sport: 0x1234, Dport: 443}, 24, true},
		{"options", ip4(17, 0, 8, ports...), enforcer.Flow{Src: src4, Dst: dst4, Proto: 17, Sport: 0x1234, Dport: 443}, 32, true},
		{"first fragment", ip4(17, 0x2000, 0, ports...), enforcer.Flow{Src: src4, Dst: dst4, Proto: 17, Sport: 0x1234, Dport: 443}, 24, true},
		{"later fragment", ip4(17, 0x2001, 0, ports...), enforcer.Flow{Src: src4, Dst: dst4, Proto: 17}, 24, true},
		{"icmp", ip4(1, 0, 0, 3, 1, 0, 0), enforcer.Flow{Src: src4, Dst: dst4, Proto: 1, ICMPType: 3, ICMPCode: 1}, 24, true},
		{"ports cut off", ip4(6, 0, 0, 1, 2), enforcer.Flow{Src: src4, Dst: dst4, Proto: 6}, 22, true},
		{"header cut off", ip4(6, 0, 0)[:19], enforcer.Flow{}, 0, false},
		{"header too short", append([]byte{0x41}, ip4(6, 0, 0)[1:]...), enforcer.Flow{}, 0, false},
		{"empty", nil, enforcer.Flow{}, 0, false},
		{"arp", []byte{0, 1, 8, 0, 6, 4, 0, 1}, enforcer.Flow{}, 0, false},
		{"tcp6", ip6(6, ports...), enforcer.Flow{Src: src6, Dst: dst6, Proto: 6, Sport: 0x1234, Dport: 443}, 44, true},
		{"icmp6", ip6(58, 135, 0), enforcer.Flow{Src: src6, Dst: dst6, Proto: 58, ICMPType: 135}, 42, true},
		{"extensions", ip6(0, append(append(hop[:8:8], dest...), ports...)...), enforcer.Flow{Src: src6, Dst: dst6, Proto: 6, Sport: 0x1234, Dport: 443}, 68, true},
		{"authentication", ip6(51, append(auth[:24:24], ports...)...), enforcer.Flow{Src: src6, Dst: dst6, Proto: 17, Sport: 0x1234, Dport: 443}, 68, true},
		{"later fragment6", ip6(44, append([]byte{17, 0, 0, 8, 0, 0, 0, 0}, ports...)...), enforcer.Flow{Src: src6, Dst: dst6, Proto: 17}, 52, true},
		{"first fragment6", ip6(44, append([]byte{17, 0, 0, 1, 0, 0, 0, 0}, ports...)...), enforcer.Flow{Src: src6, Dst: dst6, Proto: 17, Sport: 0x1234, Dport: 443}, 52, true},
		{"extension cut off", ip6(0, 6, 5, 0), enforcer.Flow{Src: src6, Dst: dst6, Proto: 0}, 43, true},
		{"nothing follows", ip6(59), enforcer.Flow{Src: src6, Dst: dst6, Proto: 59}, 40, true},
	} {
		f, n, ok := parseIP(c.in)
		if f != c.want || n != c.n || ok != c.ok {
			t.Errorf("%s: got %+v %d %v, want %+v %d %v", c.name, f, n, ok, c.want, c.n, c.ok)
		}
	}
}

func FuzzParseIP(f *testing.F) {
	f.Add(ip4(6, 0, 0, 1, 2, 3, 4))
	f.Add(ip6(0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4))
	f.Add(ip6(44, 17, 0, 0, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		flow, n, ok := parseIP(b)
		if ok != (flow.Src.IsValid() && flow.Dst.IsValid()) || n < 0 || n > 40+0xffff {
			t.Errorf("%v %d %v", flow, n, ok)
		}
	})
}

func FuzzParseLog(f *testing.F) {
	f.Add([]byte{2, 0, 0, 1, 8, 0, 1, 0, 8, 0, 3, 0, 7, 0, 10, 0, 'h', 'i', 0, 0, 24, 0, 9, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 0, 6, 0, 0, 1, 2, 3, 4, 1, 2, 3, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, _ := parseLog(b)
		if len(e.Prefix) > prefixMax || e.Len < 0 {
			t.Errorf("%+v", e)
		}
	})
}

// FuzzReadback: N4. Set elements and user data that anybody may have written.
func FuzzReadback(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 8, 0, 1, 0, 'a', 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		udata(b, 0)
		touchesOurs(append([]byte{1, 0, 0, 0}, b...))
		var entries []entry
		if err := nested(b, (&entry{}).read); err == nil {
			_ = nested(b, func(ad *netlink.AttributeDecoder) error { return readEntries(&entries, ad) })
		}
		foldIntervals(entries)
		if len(b) >= 4 {
			_ = decode(b, func(_ byte, ad *netlink.AttributeDecoder) error { _, err := readSet(ad); return err })
		}
	})
}
