//go:build mudguard_omit_demo

package main

import (
	"fmt"
	"os"
)

// demoCmd stands in where the demo was left out to save space: it brings a DHCP, a DNS and a web server of its own.
func demoCmd([]string) int {
	fmt.Fprintln(os.Stderr, "mudguard: this build for small routers has no demo; the one for amd64 or arm64 has it")
	return 2
}
