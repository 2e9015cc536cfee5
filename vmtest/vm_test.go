package vmtest

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bootLimit ends a machine that hangs. It takes about 40 s with one of two processors for itself, and some times as long on a busy host.
const bootLimit = 300 * time.Second

// need skips, or fails in CI, where something cannot be had.
func need(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s, and must not be skipped in CI: %v", what, err)
	}
	t.Skipf("needs %s: %v", what, err)
}

// TestVM boots a machine for each way of telling replies on the LAN, and runs package guest in it. Flows
// that are offloaded end when their device is cut off (T-19, T-20, N15, T20).
func TestVM(t *testing.T) {
	if testing.Short() {
		t.Skip("boots emulated machines, which takes a minute or two")
	}
	for _, tool := range []struct{ name, pkg string }{
		{"qemu-system-x86_64", "qemu-system-x86"}, {"busybox", "busybox-static"}, {"depmod", "kmod"}, {"nft", "nftables"},
		{"dnsmasq", "dnsmasq-base"}, {"dpkg-deb", "dpkg"}, {"ldd", "libc-bin"},
	} {
		_, err := lookPath(tool.name)
		need(t, "the package "+tool.pkg, err)
	}
	k, err := debianKernel(t)
	need(t, "Debian's linux-image-cloud-amd64, by apt-get download", err)
	image := filepath.Join(t.TempDir(), "initramfs")
	if err := buildImage(t, k, image); err != nil {
		t.Fatal(err)
	}
	var found, parts []string
	for _, mode := range []string{"conntrack", "netfilter", "stateless", "vlan", "tagged", "contract"} {
		t.Run(mode, func(t *testing.T) { // one at a time: see hold in package guest
			console := boot(t, k, image, mode)
			found, parts = append(found, capabilities(console)...), append(parts, shown(mode, console))
		})
	}
	if len(parts) == 6 && !t.Failed() { // not where only some were asked for
		comparePage(t, k.release, "Debian's for clouds, emulated", append(found, parts...))
	}
}

// boot runs a machine to its end, turns what it says into results, and gives it.
func boot(t *testing.T, k kernel, image, mode string) string {
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	qemu, err := lookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	console := runMachine(ctx, t, qemu, k, image, mode)
	if failed(console) && ctx.Err() == nil {
		// An emulated machine on a busy host stands still for longer than packets wait. What is wrong with us fails twice.
		t.Logf("a second try, after:\n%s", strings.Join(failures(console), "\n"))
		console = runMachine(ctx, t, qemu, k, image, mode)
	}
	if !report(t, console) {
		t.Errorf("the machine did not come to its end; its console:\n%s", tail(console, 60))
	}
	return console
}

func failed(console string) bool {
	return len(failures(console)) > 0 || !strings.Contains(console, "DONE")
}

func failures(console string) []string {
	var out []string
	for line := range strings.Lines(console) {
		if strings.HasPrefix(line, "FAIL ") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// runMachine boots and gives what the machine said on its console.
func runMachine(ctx context.Context, t *testing.T, qemu string, k kernel, image, mode string) string {
	cmd := exec.CommandContext(ctx, qemu, "-accel", "tcg", "-cpu", "max", "-m", "512", "-nographic", "-no-reboot", "-nic", "none",
		"-kernel", k.image, "-initrd", image, "-append", "console=ttyS0 loglevel=3 panic=-1 MUDGUARD_VM="+mode)
	var console bytes.Buffer
	cmd.Stdout, cmd.Stderr = &console, &console
	start := time.Now()
	err := cmd.Run()
	t.Logf("the machine ran for %s (%v)", time.Since(start).Round(time.Second), err)
	return console.String()
}

// report makes subtests of the console's lines, and says whether the last was there.
func report(t *testing.T, console string) (done bool) {
	lines := bufio.NewScanner(strings.NewReader(console))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		word, rest, _ := strings.Cut(strings.TrimRight(lines.Text(), "\r"), " ")
		switch word {
		case "ok":
			t.Run(rest, func(*testing.T) {})
		case "FAIL":
			name, why, _ := strings.Cut(rest, ": ")
			t.Run(name, func(t *testing.T) { t.Error(why) })
		case "note", "log", "test", "cap":
			t.Log(word, rest)
		case "DONE":
			done = true
		}
	}
	return done
}

func tail(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// lookPath also looks where root's programs are.
func lookPath(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if p := filepath.Join(dir, name); exec.Command("test", "-x", p).Run() == nil {
			return p, nil
		}
	}
	return exec.LookPath(name)
}
