package main

import "runtime"

// version is set by the build: -ldflags "-X main.version=…".
var version = "0.1.0-dev"

// versionCmd prints the version.
func (c *cli) versionCmd(args []string) int {
	fs := newFlags("version")
	asJSON := fs.Bool("json", false, "print JSON")
	if _, code := c.parse(fs, args, 0, 0); code >= 0 {
		return code
	}
	if *asJSON {
		c.encode(map[string]string{"version": version, "built": built, "go": runtime.Version(), "arch": runtime.GOARCH})
		return exitOK
	}
	c.say("%s", version)
	return exitOK
}
