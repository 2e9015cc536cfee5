package guest

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	daemonLog = "/run/mudguard.log"
	// minTTL is how long an address is open after an answer: short, so that not renewing it would show soon.
	minTTL = 3 * time.Second
)

func (h *house) startDaemon() error {
	cfg := fmt.Sprintf("lan: {interfaces: [%s]}\nstate_dir: /run/state\nfetch: {ca_files: [/run/ca.pem]}\n"+
		"signatures: {policy: ignore}\ndns: {min_ttl: %s}\n", h.lan(), minTTL)
	if err := errors.Join(os.WriteFile("/run/mudguard.yaml", []byte(cfg), 0o644), os.WriteFile("/run/ca.pem", h.ca, 0o644)); err != nil {
		return err
	}
	log, err := os.OpenFile(daemonLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	h.daemon = exec.Command("mudguard", "run", "--config", "/run/mudguard.yaml")
	h.daemon.Stdout, h.daemon.Stderr = log, log
	if err := h.daemon.Start(); err != nil {
		return err
	}
	if !until(40*time.Second, h.ready) {
		s, err := h.ask("status")
		return fmt.Errorf("the daemon is not ready in time: %s %v", s, err)
	}
	return nil
}

// ready says that the daemon hears the LAN and holds answers; it says nothing of the latter by itself.
func (h *house) ready() bool {
	s, err := h.ask("status", "--json")
	if err != nil || !strings.Contains(s, `"listening"`) {
		return false
	}
	// Not /proc/net: that is of the first thread, which may have been left in another namespace.
	queues, err := os.ReadFile("/proc/thread-self/net/netfilter/nfnetlink_queue")
	return err == nil && strings.Contains(string(queues), " 8520 ")
}

// tellLog shows the end of the daemon's log.
func (h *house) tellLog() {
	b, _ := os.ReadFile(daemonLog) // none: nothing to show
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, l := range lines[max(0, len(lines)-12):] {
		fmt.Println("log", l)
	}
}

func (h *house) ask(args ...string) (string, error) { return h.gateway.run("", "mudguard", args...) }

func (h *house) statusSays() error {
	out, err := h.ask("status", "--json")
	if err != nil {
		return err
	}
	var s struct {
		Kernel struct{ Queue, Replies string }
		Gaps   []struct{ What, Why string }
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	note("status: %+v", s)
	want := map[string]string{modeVLAN: modeConntrack, modeTagged: modeStateless}
	if s.Kernel.Queue != "native" || s.Kernel.Replies != cmp.Or(want[h.mode], h.mode) {
		return fmt.Errorf("queue %q, bridge %q; want native and what %s has", s.Kernel.Queue, s.Kernel.Replies, h.mode)
	}
	_, err = os.Stat("/proc/sys/net/bridge")
	if there := err == nil; there != (h.mode == modeNetfilter || h.mode == modeTagged) {
		return fmt.Errorf("br_netfilter is loaded: %v", there)
	}
	return nil
}

// leaseScript is what udhcpc runs when it has an address.
const leaseScript = `#!/bin/busybox sh
[ "$1" = bound ] || exit 0
/bin/busybox ip addr add $ip/24 dev $interface
/bin/busybox ip route add default via $router
echo $ip > /run/lamp.addr
`

// onboard lets the lamp say its URL, and waits for its policy.
func (h *house) onboard() error {
	if err := os.WriteFile("/run/lease.sh", []byte(leaseScript), 0o755); err != nil {
		return err
	}
	if _, err := h.lamp.run("", "/bin/busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "1",
		"-x", "0xa1:"+hex.EncodeToString([]byte(lampURL)), "-s", "/run/lease.sh"); err != nil {
		return err
	}
	b, err := os.ReadFile("/run/lamp.addr")
	if err != nil {
		return err
	}
	if h.lampAddr, err = netip.ParseAddr(strings.TrimSpace(string(b))); err != nil {
		return err
	}
	last := ""
	if !until(20*time.Second, func() bool { last = h.lampState(); return last == "enforced" }) {
		out, _ := h.ask("device", lampMAC.String()) // for the message only
		return fmt.Errorf("the lamp is %q: %s", last, out)
	}
	return nil
}

func (h *house) lampState() string {
	out, err := h.ask("device", lampMAC.String(), "--json")
	var d struct{ State string }
	if err != nil || json.Unmarshal([]byte(out), &d) != nil {
		return oneLine(out)
	}
	return d.State
}

// chains are the chains of our tables with the handles of all rules, without what moves: sets, counters.
func (h *house) chains() (string, error) {
	var out strings.Builder
	for _, family := range []string{"inet", "bridge"} {
		text, err := h.gateway.run("", "nft", "-a", "-s", "list", "table", family, "mudguard")
		if err != nil {
			return "", err
		}
		inside := false
		for line := range strings.Lines(text) {
			inside = strings.HasPrefix(line, "\tchain ") || inside && !strings.HasPrefix(line, "\t}")
			if inside {
				out.WriteString(line)
			}
		}
	}
	return out.String(), nil
}
