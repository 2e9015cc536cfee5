package acceptance

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A LAN interface that is not there yet is waited for (F14).
func TestMissingInterface(t *testing.T) {
	t.Parallel()
	l := newLab(t, false)
	l.config["lan"] = map[string]any{"interfaces": []string{"br-lan"}}
	l.start()
	if out := l.order("status", "--json"); !strings.Contains(out, "LAN interface br-lan") {
		l.complain("status does not say that br-lan is missing: %s", out)
	}
	l.bridge, l.lan = true, []string{"br-lan"}
	l.bridgeIn(l.gw)
	lamp := l.device("lamp")
	l.dnsmasq()
	await(t, "br-lan is heard", patience, func() string {
		if out := l.order("status", "--json"); !strings.Contains(strings.ReplaceAll(out, " ", ""), `"state":"listening"`) || strings.Contains(out, "LAN interface br-lan") {
			return out
		}
		return ""
	})
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	l.rotating(lamp, 3)
	if err := lamp.tcp(evilAddr + ":8883"); err == nil {
		l.complain("another host passes")
	}
}

// A second daemon on the same tables stops with a message, and the first is unharmed.
func TestSecondDaemon(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	before, first := handles(l), l.daemon
	l.config["socket"], l.config["state_dir"] = filepath.Join(l.dir, "s2"), filepath.Join(l.dir, "state2")
	second := l.launch()
	l.log = first.log
	<-second.done
	if code := second.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(second.log.String(), "another mudguard") {
		l.complain("the second daemon ends with %d and says %q", code, second.log)
	}
	if after := handles(l); after != before {
		l.complain("the second daemon changed the tables: %s", difference(before, after))
	}
	l.becomes(lamp, "enforced", "")
	l.rotating(lamp, 3)
}

// Where the state cannot be written, devices are restricted all the same, and status says so (F10).
func TestUnwritableState(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.config["state_dir"] = l.file("regular", "", 0o644) + "/state"
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	l.rotating(lamp, 3)
	if err := lamp.tcp(evilAddr + ":8883"); err == nil {
		l.complain("another host passes")
	}
	if out := l.order("status", "--json"); !strings.Contains(out, "state is not saved") || !strings.Contains(out, "not a directory") {
		l.complain("status does not say that the state is not saved: %s", out)
	}
}

// An unknown key is an error that names the file, the line and the key.
func TestUnknownKey(t *testing.T) {
	t.Parallel()
	need(t)
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, dir: t.TempDir()}
	path := l.file("mudguard.yaml", "lan:\n  interfaces: [br-lan]\nstate_dirr: /tmp\n", 0o644)
	cmd := exec.Command(bin, "run", "--config", path)
	out, _ := cmd.CombinedOutput() // the exit code is looked at below
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d, not 2", code)
	}
	for _, want := range []string{path + ":3", "state_dirr"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the message has no %q: %s", want, out)
		}
	}
}
