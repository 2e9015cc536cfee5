package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"mudguard/enforcer"
)

// percentiles measures each iteration, and reports the middle and the tail.
func percentiles(b *testing.B, fn func(i int) error) {
	b.Helper()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if err := fn(i); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// BenchmarkLearn: P5, one address into a set of both tables that holds 10 000, as on both sorts of kernels (N7).
func BenchmarkLearn(b *testing.B) {
	for _, refresh := range []bool{true, false} {
		b.Run(fmt.Sprintf("refresh=%v", refresh), func(b *testing.B) {
			n := newSpace(b).open()
			n.refresh = refresh
			roundTrip(b, n, learnedSets(20000))
			var l []enforcer.Learned
			for i := range 10000 {
				l = append(l, enforcer.Learned{Set: "n_4", Addr: v4(i), Timeout: time.Hour})
			}
			for chunk := range slices.Chunk(l, 500) {
				if err := n.Learn(chunk); err != nil {
					b.Fatal(err)
				}
			}
			percentiles(b, func(i int) error { return n.Learn(l[i%10000 : i%10000+1]) })
		})
	}
}

// BenchmarkApplyOneDevice: P6, a device of 20 rules comes next to n others. Removing it again is not measured.
func BenchmarkApplyOneDevice(b *testing.B) {
	for _, others := range []int{0, 1000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			n := newSpace(b).open()
			have, want := enforcer.Ruleset{Inet: devices(others)}, enforcer.Ruleset{Inet: devices(others)}
			roundTrip(b, n, have)
			addDevice(want.Inet, want.Inet.Sets["from_device"], others)
			add, del := enforcer.Diff(have, want), enforcer.Diff(want, have)
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if err := n.Apply(add); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
				if err := n.Apply(del); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
		})
	}
}

// BenchmarkColdApply: P7, everything in one transaction, and reading it back.
func BenchmarkColdApply(b *testing.B) {
	for _, count := range []int{250, 1000} {
		want := enforcer.Ruleset{Inet: devices(count)}
		b.Run(fmt.Sprintf("devices=%d", count), func(b *testing.B) {
			n := newSpace(b).open()
			make, drop := enforcer.Diff(enforcer.Ruleset{}, want), enforcer.Diff(want, enforcer.Ruleset{})
			var applied, read time.Duration
			for b.Loop() {
				start := time.Now()
				if err := n.Apply(make); err != nil {
					b.Fatal(err)
				}
				applied += time.Since(start)
				start = time.Now()
				if _, err := n.Ruleset(); err != nil {
					b.Fatal(err)
				}
				read += time.Since(start)
				if err := n.Apply(drop); err != nil {
					b.Fatal(err)
				}
				runtime.GC()
			}
			b.ReportMetric(float64(applied.Milliseconds())/float64(b.N), "apply-ms")
			b.ReportMetric(float64(read.Milliseconds())/float64(b.N), "read-ms")
		})
	}
}
