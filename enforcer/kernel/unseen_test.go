package kernel

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestUnseen: N14. What the kernel says of the ports of a bridge tells where frames may be switched without it.
func TestUnseen(t *testing.T) {
	file := &fstest.MapFile{Data: []byte("00000000\n")}
	sys := fstest.MapFS{"br-lan/brif/lan1/state": file, "br-lan/brif/lan2/state": file, "br-lan/brif/veth0/state": file, "br-lan/brif/wlan0/state": file,
		"lan1/phys_switch_id": file, "lan2/phys_switch_id": file, "veth0/address": file, "wlan0/phy80211/name": file,
		"br-iot/brif/lan3/state": file, "lan3/phys_switch_id": file, "wlan1/phy80211/name": file}
	for name, want := range map[string][]string{"br-lan": {"stations of wlan0", "ports lan1, lan2 of br-lan"}, "br-iot": nil, "wlan1": {"stations of wlan1"}, "none": nil} {
		got := unseen(sys, name)
		if len(got) != len(want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]+":") {
				t.Errorf("%s: %q, want %q", name, got[i], want[i])
			}
		}
	}
	s := newSpace(t)
	s.run("", "ip", "link", "add", "br0", "type", "bridge")
	for _, i := range []string{"0", "1"} {
		s.run("", "ip", "link", "add", "v"+i, "type", "veth", "peer", "name", "w"+i)
		s.run("", "ip", "link", "set", "v"+i, "master", "br0")
	}
	s.do(func() {
		if got := Unseen("br0"); got != nil {
			t.Errorf("a bridge of this kernel alone: %q", got)
		}
	})
}
