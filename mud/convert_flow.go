package mud

import (
	"slices"
	"strings"
)

// flow gives what an ACE says as a set, turned round for the other direction where asked. A loose one leaves out what two
// descriptions of one flow may differ in.
func (e *aceConv) flow(loose, turned bool) []string {
	var out []string
	for _, it := range e.items {
		name, in, v := it.name, it.in, ""
		if it.node.exists() {
			v = it.node.v.String()
		}
		if turned {
			name = turn(name)
		}
		switch {
		case name == initiated && (loose || v == `"from-device"`):
			continue
		case loose && (name == "" || name == "protocol"):
			continue
		case strings.HasSuffix(name, "-port"):
			v = portKey(it.node.v)
		}
		if loose && in != "tcp" && in != "udp" {
			in = ""
		}
		out = append(out, strings.ToLower(in+" "+name+" "+v))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// turn swaps the sides of a condition.
func turn(name string) string {
	for _, p := range [][2]string{{"source-", "destination-"}, {"ietf-acldns:src-", "ietf-acldns:dst-"}} {
		if rest, ok := strings.CutPrefix(name, p[0]); ok {
			return p[1] + rest
		}
		if rest, ok := strings.CutPrefix(name, p[1]); ok {
			return p[0] + rest
		}
	}
	return name
}

// portKey is the same for all ways to write one port.
func portKey(v *value) string {
	n := node{v: v}
	port, op := n.get("port"), n.get("operator")
	if port.exists() && (!op.exists() || op.v.text == "eq") {
		return port.v.text
	}
	return v.String()
}

// subset tells whether all of a is in b.
func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}
