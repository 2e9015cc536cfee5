package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// modeEnv comes from the kernel's command line: what this machine lacks.
const modeEnv = "MUDGUARD_VM"

// Modes are the bridge modes that the daemon should find.
const (
	modeConntrack = "conntrack"
	modeNetfilter = "netfilter"
	modeStateless = "stateless"
	modeVLAN      = "vlan"     // br-lan.10 of a bridge that filters VLANs; all modules are there
	modeTagged    = "tagged"   // the same with br_netfilter, which does not show tagged frames, and no bridge connection tracking
	modeContract  = "contract" // no household: the tests of package kernel
)

// TestMain is init where it is process 1.
func TestMain(m *testing.M) {
	if os.Getpid() != 1 {
		os.Exit(m.Run())
	}
	if err := mounts(); err != nil {
		fmt.Println("FAIL mounts:", err)
	}
	play(os.Getenv(modeEnv))
	fmt.Println("DONE")
	time.Sleep(100 * time.Millisecond) // the console is slow
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}

func mounts() error {
	errs := os.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	for _, m := range []struct{ what, where, kind string }{
		{"proc", "/proc", "proc"}, {"sys", "/sys", "sysfs"}, {"dev", "/dev", "devtmpfs"}, {"run", "/run", "tmpfs"}, {"tmp", "/tmp", "tmpfs"},
	} {
		errs = errors.Join(errs, os.MkdirAll(m.where, 0o755))
		if err := unix.Mount(m.what, m.where, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", m.where, err))
		}
	}
	return errs
}

// prepare makes the kernel one that has what the mode says, and no more. Whatever else is needed, the kernel loads by
// itself as it does on a router, when the daemon asks for it.
func prepare(mode string) error {
	if mode != modeConntrack && mode != modeVLAN {
		found, err := filepath.Glob("/lib/modules/*/kernel/net/bridge/netfilter/nf_conntrack_bridge.ko*")
		if err != nil || len(found) != 1 {
			return fmt.Errorf("nf_conntrack_bridge: %v %v", found, err)
		}
		if err := os.Remove(found[0]); err != nil {
			return err
		}
	}
	if mode == modeNetfilter || mode == modeTagged {
		return modprobe("br_netfilter")
	}
	return nil
}

func modprobe(name string) error {
	if out, err := exec.Command("/sbin/modprobe", name).CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe %s: %w: %s", name, err, out)
	}
	return nil
}

// stage is a part of the story. Its errors are reported under its name; a fatal one ends the story.
type stage struct {
	name  string
	fatal bool
	do    func(*house) error
}

func play(mode string) {
	if mode == modeContract {
		contract()
		return
	}
	h := &house{mode: mode}
	all := []stage{
		{"prepare", true, func(*house) error { return prepare(mode) }},
		{"network", true, (*house).network},
		{"servers", true, (*house).servers},
		{"daemon", true, (*house).startDaemon},
		{"status", false, (*house).statusSays},
		{"onboard", true, (*house).onboard},
		{"hold", false, (*house).hold},
		{"denied", false, (*house).denied},
		{"lateral", false, (*house).lateral},
		{"unsolicited", false, (*house).unsolicited},
	}
	if mode == modeConntrack {
		all = append(all, []stage{
			{"refresh", false, (*house).refresh},
			{"killed", false, (*house).killed},
			{"offload", false, func(h *house) error { return h.offload("p-lamp, p-next") }},
			{"offload-bridge", false, func(h *house) error { return h.halfOffloaded("br-lan") }},
			{"offload-port-missing", false, func(h *house) error { return h.halfOffloaded("p-next") }},
			{"late-br_netfilter", false, (*house).lateBrNetfilter},
			{"capabilities", false, func(*house) error { return capabilities() }},
		}...)
	}
	for _, s := range all {
		start := time.Now()
		err := h.stage(s)
		if err != nil {
			fmt.Printf("FAIL %s: %s\n", s.name, oneLine(err.Error()))
			h.tellLog()
			if s.fatal {
				return
			}
			continue
		}
		fmt.Printf("ok %s (%.1fs)\n", s.name, time.Since(start).Seconds())
	}
}

// notHere are tests that only take long, or need nothing that this kernel has and the host may lack; and one row that
// wants more than is done: with bridge connection tracking a device's first packet to a peer that it may open flows to
// need not be a SYN, so that flows which were there before us go on.
const notHere = "^(TestMany|TestConcurrent|TestModel|TestEveryProfile)|^TestScenario/^(netfilter|stateless|none)$|" +
	"^TestScenarioOnKernel$/^conntrack$/literal_reading:_R8520-4.8-b.*neighbour"

// contract runs the tests of package kernel.
func contract() {
	cmd := exec.Command("kernel.test", "-test.v", "-test.run", "^Test", "-test.skip", notHere)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Print("test ", line)
	}
	if err != nil {
		fmt.Println("FAIL contract: some test of package kernel fails:", err)
		return
	}
	fmt.Println("ok contract")
}

func (h *house) stage(s stage) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v %s", r, debug.Stack())
		}
	}()
	return s.do(h)
}

// note says something that is worth to be known and neither right nor wrong.
func note(format string, args ...any) { fmt.Println("note " + oneLine(fmt.Sprintf(format, args...))) }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// until waits for something, and says whether it came.
func until(limit time.Duration, f func() bool) bool {
	deadline := time.Now().Add(limit)
	for !f() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}
