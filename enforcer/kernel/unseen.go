package kernel

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// Unseen says of a LAN interface which frames between its hosts may never reach this kernel (N14): each text says where, and what
// to do about it.
func Unseen(name string) []string { return unseen(os.DirFS("/sys/class/net"), name) }

func unseen(sys fs.FS, name string) []string {
	links := []string{name}
	ports, _ := fs.ReadDir(sys, name+"/brif") // not there: no bridge
	for _, p := range ports {
		links = append(links, p.Name())
	}
	var out []string
	switches := map[string][]string{}
	for _, l := range links {
		// Only ports of a switch have an id that can be read (switchdev, DSA).
		if id, err := fs.ReadFile(sys, l+"/phys_switch_id"); err == nil && len(id) > 0 {
			switches[string(id)] = append(switches[string(id)], l)
		}
		if _, err := fs.Stat(sys, l+"/phy80211"); err == nil {
			out = append(out, fmt.Sprintf("stations of %s: an access point passes frames between its stations by itself, unless it isolates them", l))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(switches)) {
		if l := switches[id]; len(l) > 1 {
			out = append(out, fmt.Sprintf("ports %s of %s: they are of one switch, which may pass frames between them by itself, unless they are isolated "+
				"or in VLANs of their own", strings.Join(l, ", "), name))
		}
	}
	return out
}
