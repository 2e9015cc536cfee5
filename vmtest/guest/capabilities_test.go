package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mudguard/enforcer/kernel"
)

// TestCapabilities says what this kernel can do, as package vmtest reads it. It is run in a network namespace of its own.
func TestCapabilities(t *testing.T) {
	if err := capabilities(); err != nil {
		t.Fatal(err)
	}
}

// capabilities prints what the product finds by its own probes, and what else routers may have that concerns it.
func capabilities() error {
	n, err := kernel.Open(kernel.Options{})
	if err != nil {
		return err
	}
	defer n.Close()
	f := n.Probe()
	answers := map[string]string{kernel.QueueNative: "by the `queue` statement", kernel.QueueXT: "by the xt target NFQUEUE", kernel.QueueNone: "no"}
	_, err = os.Stat("/proc/sys/net/bridge")
	for _, c := range []struct{ what, how string }{
		{"DNS answers can be held", answers[f.Queue]},
		{"tables of the bridge family", yes(f.Bridge)},
		{"connection tracking of bridged frames (nf_conntrack_bridge)", yes(f.BridgeConntrack)},
		{"br_netfilter, which shows bridged frames to the inet hooks", yes(err == nil)},
		{"routes of source addresses (fib)", yes(f.Fib)},
		{"flow tables", yes(loads("add table inet t\nadd flowtable inet t f { hook ingress priority 0; devices = { lo }; }"))},
		{"an element that is added again has its time renewed (6.12)", yes(renews())},
		{"VLANs of interfaces", yes(vlans())},
	} {
		fmt.Printf("cap %s: %s\n", c.what, c.how)
	}
	return nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// loads says that the kernel takes what nft makes of some commands, in a table t that goes again.
func loads(commands string) bool {
	_, err := nft(commands)
	_, _ = nft("delete table inet t") // there may be none
	return err == nil
}

// renews says whether this kernel renews an element that is added again (N7).
func renews() bool {
	_, err1 := nft("add table inet t\nadd set inet t s { type ipv4_addr; flags timeout; }\nadd element inet t s { 192.0.2.1 timeout 2s }")
	_, err2 := nft("add element inet t s { 192.0.2.1 timeout 1h }")
	out, err3 := nft("list set inet t s")
	_, _ = nft("delete table inet t")
	return errors.Join(err1, err2, err3) == nil && strings.Contains(out, "59m")
}

func nft(commands string) (string, error) {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(commands + "\n")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// vlans tries one on a link of its own: the loopback takes none.
func vlans() bool {
	return exec.Command("ip", "link", "add", "cap0", "type", "veth", "peer", "name", "cap1").Run() == nil &&
		exec.Command("ip", "link", "add", "link", "cap0", "name", "cap0.7", "type", "vlan", "id", "7").Run() == nil
}
