package main

// version is set by the build: -ldflags "-X main.version=…".
var version = "0.1.0-dev"

// versionCmd prints the version.
func (c *cli) versionCmd(args []string) int {
	if _, code := c.parse(newFlags("version"), args, 0, 0); code >= 0 {
		return code
	}
	c.say("%s", version)
	return exitOK
}
