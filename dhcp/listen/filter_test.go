package listen

import (
	"testing"

	"golang.org/x/net/bpf"

	"mudguard/dhcp/internal/frames"
)

func TestFiltersAssemble(t *testing.T) {
	for name, filter := range map[string][]bpf.Instruction{"DHCP": dhcpFilter(), "ND": ndFilter(), "any": anyFilter()} {
		if _, err := bpf.Assemble(filter); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFilters runs the parts of the filters that look at octets; TestKernelFilter has the kernel run all of them.
func TestFilters(t *testing.T) {
	want := map[bool]int{true: frameSize} // how much of the frame, at most
	for name, c := range filterCases() {
		for part, pass := range map[string]bool{"DHCP": c.dhcp, "ND": c.nd} {
			vm, err := bpf.NewVM(map[string][]bpf.Instruction{"DHCP": dhcpOnly(), "ND": ndOnly()}[part])
			if err != nil {
				t.Fatal(err)
			}
			if part == "ND" && !c.v6 {
				continue // the socket is for IPv6
			}
			if n, err := vm.Run(c.frame); err != nil || n != want[pass] {
				t.Errorf("%s filter, %s: %d octets, %v; want %d", part, name, n, err, want[pass])
			}
		}
	}
}

type filterCase struct {
	frame        []byte
	dhcp, nd, v6 bool
}

func filterCases() map[string]filterCase {
	udp := func(src, dst uint16) []byte { return frames.UDP(lamp, src, dst, make([]byte, 300)) }
	edit := func(at int, b ...byte) []byte { f := udp(68, 67); copy(f[at:], b); return f }
	options := append(append(append([]byte{}, udp(68, 67)[:34]...), 1, 1, 1, 1), udp(68, 67)[34:]...)
	options[14] = 0x46
	v6 := frames.LinkLocal(lamp)
	udp6 := func(src, dst uint16) []byte { return frames.UDP6(lamp, router, v6, v6, src, dst, make([]byte, 300)) }
	edit6 := func(at int, b ...byte) []byte { f := udp6(546, 547); copy(f[at:], b); return f }
	nd := func(kind uint8) []byte { return frames.ND(lamp, v6, v6, kind, v6) }
	return map[string]filterCase{
		"client":                  {frame: udp(68, 67), dhcp: true},
		"server":                  {frame: udp(67, 68), dhcp: true},
		"relay":                   {frame: udp(67, 67), dhcp: true},
		"odd source":              {frame: udp(1067, 67), dhcp: true},
		"odd target":              {frame: udp(67, 1068), dhcp: true},
		"IP options":              {frame: options, dhcp: true},
		"do not split":            {frame: edit(20, 0x40, 0), dhcp: true},
		"DNS":                     {frame: udp(1053, 53)},
		"DHCPv6 ports on IPv4":    {frame: udp(546, 547)},
		"TCP":                     {frame: edit(23, 6)},
		"ARP":                     {frame: frames.ARP(lamp, lamp, 1, gatewayAddr, gatewayAddr)},
		"LLDP":                    {frame: frames.LLDP(lamp, 120)},
		"first fragment":          {frame: edit(20, 0x20, 0)},
		"last fragment":           {frame: edit(20, 0, 1)},
		"short":                   {frame: udp(68, 67)[:30]},
		"empty":                   {frame: []byte{}},
		"DHCPv6 client":           {frame: udp6(546, 547), dhcp: true, v6: true},
		"DHCPv6 server":           {frame: udp6(547, 546), dhcp: true, v6: true},
		"DHCPv6 relay":            {frame: udp6(547, 547), dhcp: true, v6: true},
		"DHCPv6 odd source":       {frame: udp6(1547, 547), dhcp: true, v6: true},
		"DHCPv6 odd target":       {frame: udp6(547, 1547), dhcp: true, v6: true},
		"DNS over IPv6":           {frame: udp6(1053, 53), v6: true},
		"DHCPv4 ports on IPv6":    {frame: udp6(68, 67), v6: true},
		"TCP over IPv6":           {frame: edit6(20, 6), v6: true},
		"extension header":        {frame: edit6(20, 0), v6: true},
		"fragment over IPv6":      {frame: edit6(20, 44), v6: true},
		"short IPv6":              {frame: udp6(546, 547)[:50], v6: true},
		"neighbour solicitation":  {frame: nd(135), nd: true, v6: true},
		"neighbour advertisement": {frame: nd(136), nd: true, v6: true},
		"router advertisement":    {frame: nd(134), v6: true},
		"redirect":                {frame: nd(137), v6: true},
		"echo":                    {frame: nd(128), v6: true},
	}
}
