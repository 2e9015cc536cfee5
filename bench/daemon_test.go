package bench

import "testing"

func daemonFigures(b *testing.B, p *page) {}
