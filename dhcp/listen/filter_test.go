package listen

import (
	"testing"

	"golang.org/x/net/bpf"

	"mudguard/dhcp/internal/frames"
)

func TestFilterAssembles(t *testing.T) {
	if _, err := bpf.Assemble(frameFilter()); err != nil {
		t.Fatal(err)
	}
}

// TestFilter runs the part of the filter that looks at octets; TestKernelFilter has the kernel run all of it.
func TestFilter(t *testing.T) {
	vm, err := bpf.NewVM(dhcpOnly())
	if err != nil {
		t.Fatal(err)
	}
	want := map[bool]int{true: frameSize} // how much of the frame, at most
	for name, c := range filterCases() {
		n, err := vm.Run(c.frame)
		if err != nil || n != want[c.pass] {
			t.Errorf("%s: %d octets, %v; want %d", name, n, err, want[c.pass])
		}
	}
}

type filterCase struct {
	frame []byte
	pass  bool
}

func filterCases() map[string]filterCase {
	udp := func(src, dst uint16) []byte { return frames.UDP(lamp, src, dst, make([]byte, 300)) }
	edit := func(at int, b ...byte) []byte { f := udp(68, 67); copy(f[at:], b); return f }
	options := append(append(append([]byte{}, udp(68, 67)[:34]...), 1, 1, 1, 1), udp(68, 67)[34:]...)
	options[14] = 0x46
	return map[string]filterCase{
		"client":         {udp(68, 67), true},
		"server":         {udp(67, 68), true},
		"relay":          {udp(67, 67), true},
		"odd source":     {udp(1067, 67), true},
		"odd target":     {udp(67, 1068), true},
		"IP options":     {options, true},
		"do not split":   {edit(20, 0x40, 0), true},
		"DNS":            {udp(1053, 53), false},
		"TCP":            {edit(23, 6), false},
		"ARP":            {edit(12, 8, 6), false},
		"IPv6":           {edit(12, 0x86, 0xdd), false},
		"first fragment": {edit(20, 0x20, 0), false},
		"last fragment":  {edit(20, 0, 1), false},
		"short":          {udp(68, 67)[:30], false},
		"empty":          {[]byte{}, false},
	}
}
