package main

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mudguard/configs"
)

// T24, least privilege: what a daemon that was taken over can still do. It is tried in a process of its own, without cgo as the
// product is built.
func TestConfine(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, as the daemon may have")
	}
	bin := filepath.Join(t.TempDir(), "test")
	build := exec.Command("go", "test", "-c", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(bin, "-test.run", "^TestConfinedProcess$", "-test.v")
	cmd.Env = append(os.Environ(), "MUDGUARD_CONFINE="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestConfinedProcess") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestConfinedProcess is TestConfine's process.
func TestConfinedProcess(t *testing.T) {
	dir := os.Getenv("MUDGUARD_CONFINE")
	if dir == "" {
		return
	}
	var log strings.Builder
	cfg := configs.Config{StateDir: filepath.Join(dir, "a", "state"), Socket: filepath.Join(dir, "run", "s")}
	confine(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	landlock := !strings.Contains(log.String(), "Landlock") // a kernel may have none; the log says so
	if said := log.String(); said != "" && (landlock || strings.Count(said, "\n") > 1) {
		t.Error(said)
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	must(t, err)
	for _, name := range threads {
		raw, err := os.ReadFile(name)
		must(t, err)
		for _, want := range []string{"CapPrm:\t0000000000003000", "CapEff:\t0000000000003000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("%s has no %q:\n%s", name, want, raw)
			}
		}
	}
	must(t, os.WriteFile(filepath.Join(cfg.StateDir, "x"), nil, 0o600))
	must(t, os.Rename(filepath.Join(cfg.StateDir, "x"), filepath.Join(cfg.StateDir, "y")))
	l, err := net.Listen("unix", cfg.Socket)
	must(t, err)
	must(t, l.Close())
	if err := os.WriteFile(filepath.Join(dir, "elsewhere"), nil, 0o600); landlock && !errors.Is(err, os.ErrPermission) {
		t.Errorf("writing elsewhere: %v", err)
	}
	if err := exec.Command("/bin/true").Run(); !errors.Is(err, os.ErrPermission) {
		t.Errorf("another program: %v", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); !errors.Is(err, unix.EPERM) {
		t.Errorf("another namespace: %v", err)
	}
	if fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); err != nil {
		t.Errorf("packet sockets: %v", err)
	} else {
		unix.Close(fd)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
