package configs

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestUnitIsTight: T24. systemd's own judge of units finds nothing that this one could do without: what is left are the rights over the
// network, which are its work.
func TestUnitIsTight(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", "mudguard.service").CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
	if !strings.Contains(string(out), "Overall exposure level") {
		t.Errorf("no judgement in:\n%s", out)
	}
}

// TestUnitLetsUsConfine: T24. What the daemon gives up by itself, it must be let give up: @system-service of older systemd knows
// neither seccomp nor Landlock, and without @privileged there is no capset.
func TestUnitLetsUsConfine(t *testing.T) {
	raw, err := os.ReadFile("mudguard.service")
	if err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for line := range strings.Lines(string(raw)) {
		switch list, ok := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter="); {
		case ok && list[0] == '~':
			allowed = nil // what it takes away may be among them
		case ok:
			allowed = append(allowed, strings.Fields(list)...)
		}
	}
	for _, call := range []string{"capset", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} {
		if !slices.Contains(allowed, call) {
			t.Errorf("the unit refuses %s, which the daemon calls to give up rights", call)
		}
	}
}
