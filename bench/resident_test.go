package bench

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkResident runs the real daemon with devices whose profiles it has on its disk, and reports its resident memory.
// What the runtime gives back to the kernel later is still in it.
func BenchmarkResident(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "mudguard")
	run(b, "", "go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "nethttpomithttp2,netgo,osusergo", "-o", bin, "mudguard/cmd/mudguard")
	for b.Loop() {
		var base float64
		for _, devices := range []int{0, 50, 250} {
			mib := resident(b, bin, devices)
			b.ReportMetric(mib, fmt.Sprintf("MiB-%d-devices", devices))
			if devices == 0 {
				base = mib
			} else {
				b.ReportMetric(mib/base, fmt.Sprintf("%d-to-0", devices))
			}
		}
		b.ReportMetric(0, "ns/op")
	}
}

func resident(b *testing.B, bin string, devices int) float64 {
	l, dir := newLab(b, fmt.Sprint("r", devices)), b.TempDir()
	config := filepath.Join(dir, "mudguard.yaml")
	write(b, config, fmt.Sprintf("lan: {interfaces: [br-lan]}\nstate_dir: %s\nsocket: %s/sock\nsignatures: {policy: ignore}\n", dir, dir))
	raw := state(b, devices)
	write(b, filepath.Join(dir, "state.json"), fmt.Sprintf(`{"checksum":%q,"state":%s}`, digest(raw), raw))
	fillCache(b, dir, devices)
	cmd := exec.Command("ip", "netns", "exec", l.gw, bin, "run", "--config", config)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for end := time.Now().Add(time.Minute); ; {
		out, err := exec.Command("ip", "netns", "exec", l.gw, bin, "devices", "--json", "--socket", dir+"/sock").Output()
		if err == nil && strings.Count(string(out), `"state": "enforced"`)+strings.Count(string(out), `"state":"enforced"`) == devices {
			break
		}
		if time.Now().After(end) {
			b.Fatalf("%d devices are not enforced: %s %v", devices, out[:min(len(out), 500)], err)
		}
	}
	return rss(b, cmd.Process.Pid)
}

func write(b *testing.B, path, text string) {
	b.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// rss is the resident memory in MiB. ip netns exec becomes the program, so the process is the daemon.
func rss(b *testing.B, pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(f[1])
			return float64(kib) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

const residentModels = 25

func state(b *testing.B, devices int) string {
	type device struct {
		MAC       string   `json:"mac"`
		URL       string   `json:"url"`
		Source    string   `json:"source"`
		Addresses []string `json:"addresses"`
		FirstSeen string   `json:"first_seen"`
	}
	var list []device
	for i := range devices {
		list = append(list, device{mac(i).String(), fmt.Sprintf("https://maker.example/%d", i%residentModels), "dhcpv4",
			[]string{fmt.Sprintf("192.168.77.%d", i%250+2)}, "2026-01-01T00:00:00Z"})
	}
	raw, err := json.Marshal(map[string]any{"version": 1, "devices": list})
	if err != nil {
		b.Fatal(err)
	}
	return string(raw)
}

// fillCache writes the profiles as mud/fetch keeps them, so that the daemon needs no server.
func fillCache(b *testing.B, dir string, devices int) {
	b.Helper()
	for i := range min(devices, residentModels) {
		url := fmt.Sprintf("https://maker.example/%d", i)
		raw := file(i)
		entry, err := json.Marshal(map[string]any{"url": url, "sha256": digest(raw), "accepted_at": time.Now(), "fetched_at": time.Now(),
			"next_refresh": time.Now().Add(48 * time.Hour), "generation": 1})
		if err != nil {
			b.Fatal(err)
		}
		folder := filepath.Join(dir, "profiles", digest(url))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			b.Fatal(err)
		}
		write(b, filepath.Join(folder, digest(raw)+".json"), raw)
		write(b, filepath.Join(folder, "meta.json"), fmt.Sprintf(`{"checksum":%q,"entry":%s}`, digest(string(entry)), entry))
	}
}

func digest(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
