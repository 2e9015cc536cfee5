package web

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"mudguard/mud"
)

// exposition is a page in the text format of Prometheus, version 0.0.4.
type exposition struct{ bytes.Buffer }

const expositionType = "text/plain; version=0.0.4; charset=utf-8"

// Types of metrics.
const (
	counterType = "counter"
	gaugeType   = "gauge"
)

// family begins a metric: all its samples follow before the next one begins.
func (x *exposition) family(name, kind, help string) func(value float64, labels ...string) {
	x.WriteString("# HELP " + name + " " + escaped(help, false) + "\n# TYPE " + name + " " + kind + "\n")
	return func(value float64, labels ...string) {
		x.WriteString(name)
		for i := 0; i+1 < len(labels); i += 2 {
			x.WriteByte("{,"[min(i, 1)])
			x.WriteString(labels[i] + `="` + escaped(mud.Clean(labels[i+1], 100), true) + `"`)
		}
		if len(labels) > 0 {
			x.WriteByte('}')
		}
		x.WriteString(" " + number(value) + "\n")
	}
}

func escaped(s string, quotes bool) string {
	s = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s)
	if quotes {
		s = strings.ReplaceAll(s, `"`, `\"`)
	}
	return s
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
