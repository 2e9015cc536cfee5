package bench

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// figure is one line of the page.
type figure struct {
	row, what, unit string
	ours            float64
	beside          string // what was measured beside it in the same run; "": nothing
	base            float64
	aim             aim
}

// aim is what a figure should be.
type aim struct {
	by    judged
	limit float64
}

// judged is what of a figure an aim speaks of.
type judged string

const (
	noAim   judged = ""
	itself  judged = "≤"
	atLeast judged = "≥"
	added   judged = "added ≤"
	asRatio judged = "ratio ≤"
)

func (f figure) ratio() float64 { return f.ours / f.base }

func (f figure) met() bool {
	switch f.aim.by {
	case itself:
		return f.ours <= f.aim.limit
	case atLeast:
		return f.ours >= f.aim.limit
	case added:
		return f.ours-f.base <= f.aim.limit
	case asRatio:
		return f.ratio() <= f.aim.limit
	}
	return true
}

// cells are the columns of the page.
func (f figure) cells() []string {
	out := []string{f.row, f.what, quantity(f.ours) + " " + f.unit, "", "", "", ""}
	if f.beside != "" {
		out[3] = f.beside + ": " + quantity(f.base)
		if f.base != 0 {
			out[4] = quantity(f.ratio())
		}
	}
	if f.aim.by != noAim {
		out[5], out[6] = string(f.aim.by)+" "+quantity(f.aim.limit), map[bool]string{true: "met", false: "**missed**"}[f.met()]
	}
	return out
}

func quantity(x float64) string {
	if math.Abs(x) >= 100 || x == math.Trunc(x) {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// page collects the figures of a run.
type page struct{ figures []figure }

func (p *page) add(f ...figure) { p.figures = append(p.figures, f...) }

const intro = `# Benchmarks

Written by ` + "`make bench`" + `; do not edit. %s, Linux %s, %d × %s, %s.

Every figure is of one run, as is what stands beside it: the same gateway with connection tracking and no policy, or what other MUD
managers do, built as rulesets in the same harness (a rule for each ACE and address, one after the other; everything deleted and
loaded anew for a change). Packets are sent by one thread through the whole forward path of a gateway in a network namespace,
configurations take turns, and each counts by the median of its best rounds. Absolute times drift with the machine; ratios hold.

| row | what | ours | beside it | ratio | aim | |
| --- | --- | --- | --- | --- | --- | --- |
`

// published are the best figures known in public, as hardening.md lists them, for the reader to compare.
const published = `
What others publish:

| row | figure |
| --- | --- |
| P1 | kube-proxy: linear rules cost O(n), a verdict map the same at any size |
| P2 | SPIN on a 400 MHz router: 1.0 % and 0.2 % of the throughput lost, its kernel module 2.1 % and 16.6 % |
| P3 | Cilium: p99 of 117 ms in all, 5 ms of it the data path; Calico holds answers for up to 3 s |
| P4 | a queue in Go: 22,000 requests/s with four cores; SPIN's kernel module: 28.5 % of 5,000 queries answered |
| P5 | SmartDNS: 40 ms for an address of an interval set |
| P6 | kube-proxy: one service added to 10,000: 8 min, then 141 ms |
| P7 | kube-proxy: 44,000 services: 16 min 44 s |
| P8 | none found |
| P9 | firewalld: 26.7 MB, with country lists 1.5 GB; tailscaled and AdGuard Home out of memory at 128 MB |
| R1 | Felix reads back every 180 s |
| R2 | Cilium: no DNS while the agent is down |
| R3 | 160 to 224 of 3,200 held answers lost where another program rebuilds its table |
`

func (p *page) text() string {
	var b strings.Builder
	var u unix.Utsname
	_ = unix.Uname(&u) // of no consequence
	fmt.Fprintf(&b, intro, time.Now().UTC().Format(time.DateOnly), unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), processor(), runtime.Version())
	slices.SortStableFunc(p.figures, func(a, b figure) int { return strings.Compare(a.row, b.row) })
	for _, f := range p.figures {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(f.cells(), " | "))
	}
	b.WriteString(published)
	return b.String()
}

func processor() string {
	raw, _ := os.ReadFile("/proc/cpuinfo") // of no consequence
	for line := range strings.Lines(string(raw)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": ")
		}
	}
	return runtime.GOARCH
}

// write prints the page, and writes it to a file if one was named.
func (p *page) write(b *testing.B, path string) {
	fmt.Println(p.text())
	if path == "" || b.Failed() {
		return
	}
	if err := os.WriteFile(path, []byte(p.text()), 0o644); err != nil {
		b.Fatal(err)
	}
}

func quantile(d []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[int(float64(len(sorted)-1)*q)]
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
func millis(d time.Duration) float64 { return micros(d) / 1e3 }
