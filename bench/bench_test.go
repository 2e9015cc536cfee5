package bench

import (
	"flag"
	"testing"
)

var (
	pageFile = flag.String("page", "", "write the figures to this `file`")
	trials   = flag.Int("trials", 100_000, "`times` that a device resolves a name and connects at once")
)

// BenchmarkFigures measures everything, once: run it with -benchtime 1x.
func BenchmarkFigures(b *testing.B) {
	p := &page{}
	for _, part := range []struct {
		name    string
		measure func(*testing.B, *page)
	}{
		{"packets", packetFigures}, {"names", nameFigures}, {"changes", changeFigures}, {"daemon", daemonFigures},
	} {
		b.Run(part.name, func(b *testing.B) {
			for b.Loop() {
				part.measure(b, p)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	p.write(b, *pageFile)
}
