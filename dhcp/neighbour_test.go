package dhcp_test

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mudguard/dhcp"
	"mudguard/dhcp/internal/frames"
)

// TestNeighbour: a host without a lease is known by what it says itself (RDHCP-slaac, RDHCP-static).
func TestNeighbour(t *testing.T) {
	none := netip.IPv6Unspecified()
	local := frames.LinkLocal(lamp)
	for name, c := range map[string]struct {
		frame []byte
		want  netip.Addr
	}{
		"ARP request":                {frames.ARP(lamp, lamp, 1, addr, addrs("192.168.7.1")[0]), addr},
		"ARP reply":                  {frames.ARP(lamp, lamp, 2, addr, addrs("192.168.7.1")[0]), addr},
		"ARP announcement":           {frames.ARP(lamp, lamp, 1, addr, addr), addr},
		"ARP with padding":           {append(frames.ARP(lamp, lamp, 1, addr, addr), make([]byte, 18)...), addr},
		"ARP in a VLAN":              {tagged(frames.ARP(lamp, lamp, 1, addr, addr)), addr},
		"solicitation":               {frames.ND(lamp, v6, allNodes, 135, second6, frames.LinkOption(1, lamp)...), v6},
		"link-local":                 {frames.ND(lamp, local, allNodes, 135, second6, frames.LinkOption(1, lamp)...), local},
		"duplicate detection":        {frames.ND(lamp, none, allNodes, 135, v6), v6},
		"duplicate detection, nonce": {frames.ND(lamp, none, allNodes, 135, v6, 14, 1, 1, 2, 3, 4, 5, 6), v6},
		"advertisement":              {frames.ND(lamp, v6, allNodes, 136, v6, frames.LinkOption(2, lamp)...), v6},
		"advertisement, no option":   {frames.ND(lamp, local, allNodes, 136, v6), v6},
		"after another option":       {frames.ND(lamp, v6, allNodes, 135, second6, slices.Concat([]byte{14, 1, 1, 2, 3, 4, 5, 6}, frames.LinkOption(1, lamp))...), v6},
	} {
		want := []dhcp.Sighting{{MAC: lamp, Kind: dhcp.Uses, Source: dhcp.SourceND, Addr: c.want}}
		if got, err := dhcp.ParseFrame(c.frame); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

func TestNeighbourNotOfInterest(t *testing.T) {
	arp := func(at int, b ...byte) []byte { return edit(frames.ARP(lamp, lamp, 1, addr, addr), at, b...) }
	for name, frame := range map[string][]byte{
		"ARP probe (RFC 5227)":     frames.ARP(lamp, lamp, 1, netip.IPv4Unspecified(), addr),
		"short ARP":                frames.ARP(lamp, lamp, 1, addr, addr)[:41],
		"ARP of another hardware":  arp(14, 0, 6),
		"ARP of another protocol":  arp(16, 0x86, 0xdd),
		"ARP of other lengths":     arp(18, 8),
		"reverse ARP":              arp(20, 0, 3),
		"solicitation, no address": frames.ND(lamp, v6, allNodes, 135, second6),
		"router advertisement":     frames.ND(lamp, frames.LinkLocal(lamp), allNodes, 134, v6, frames.LinkOption(1, lamp)...),
		"redirect":                 frames.ND(lamp, frames.LinkLocal(lamp), allNodes, 137, v6, frames.LinkOption(2, lamp)...),
		"echo":                     frames.ND(lamp, frames.LinkLocal(lamp), allNodes, 128, v6),
		"no ICMP":                  frames.IPv6(lamp, router, v6, v6, 58, 255, nil),
	} {
		if s, err := dhcp.ParseFrame(frame); len(s) > 0 || err != nil {
			t.Errorf("%s: %+v, %v; want nothing", name, s, err)
		}
	}
}

// TestNeighbourRefused: nobody takes an address for another host, nor from another network (hardening.md T15).
func TestNeighbourRefused(t *testing.T) {
	whole := frames.ND(lamp, v6, allNodes, 135, second6, frames.LinkOption(1, lamp)...)
	group := [6]byte{1, 2, 3, 4, 5, 6}
	for name, c := range map[string]struct {
		frame    []byte
		want     string
		impostor bool
	}{
		"ARP of another host":           {frames.ARP(other, lamp, 1, addr, addr), "says that " + lamp.String(), true},
		"ARP reply of another host":     {frames.ARP(other, lamp, 2, addr, addr), "says that", true},
		"solicitation of another host":  {frames.ND(other, v6, allNodes, 135, v6, frames.LinkOption(1, lamp)...), "says that", true},
		"advertisement of another host": {frames.ND(other, v6, allNodes, 136, v6, frames.LinkOption(2, lamp)...), "says that", true},
		"ARP of a group":                {frames.ARP(group, group, 1, addr, addr), "no device can have", false},
		"ARP for a group":               {frames.ARP(lamp, lamp, 1, addrs("224.0.0.1")[0], addr), "no host can have", false},
		"ARP for loopback":              {frames.ARP(lamp, lamp, 1, addrs("127.0.0.1")[0], addr), "no host can have", false},
		"advertisement of a group":      {frames.ND(lamp, v6, allNodes, 136, allNodes), "no host can have", false},
		"detection of nothing":          {frames.ND(lamp, netip.IPv6Unspecified(), allNodes, 135, netip.IPv6Unspecified()), "no host can have", false},
		"detection with an address":     {frames.ND(lamp, netip.IPv6Unspecified(), allNodes, 135, v6, frames.LinkOption(1, lamp)...), "no source", false},
		"from afar":                     {edit(slices.Clone(whole), 21, 254), "hop limit 254", false},
		"odd code":                      {edit(slices.Clone(whole), 55, 1), "code 1", false},
		"cut frame":                     {whole[:len(whole)-1], "cut short", false},
		"short message":                 {frames.IPv6(lamp, router, v6, v6, 58, 255, whole[54:77]), "cut short", false},
		"option of no length":           {frames.ND(lamp, v6, allNodes, 135, v6, 1, 0), "cut short", false},
		"option past the end":           {frames.ND(lamp, v6, allNodes, 135, v6, 1, 2, 1, 2, 3, 4, 5, 6), "cut short", false},
		"half an option":                {frames.ND(lamp, v6, allNodes, 135, v6, 1), "cut short", false},
	} {
		s, err := dhcp.ParseFrame(c.frame)
		if len(s) > 0 || err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, dhcp.ErrImpostor) != c.impostor {
			t.Errorf("%s: %+v, %v; want error %q", name, s, err, c.want)
		}
	}
}
