package main

import (
	"fmt"

	"mudguard/configs"
	"mudguard/mud"
)

// convertCmd rewrites a MUD file of an older dialect (T-14).
func (c *cli) convertCmd(args []string) int {
	files, code := c.parse(newFlags("convert"), args, 1, 1)
	if code >= 0 {
		return code
	}
	raw, err := c.readFile(files[0])
	if err != nil {
		return c.fail("%v", err)
	}
	out, changes, err := mud.Convert(raw)
	for _, ch := range changes {
		fmt.Fprintf(c.err, "%s: %s\n", safe(files[0]), safe(ch.String()))
	}
	if err != nil {
		c.complain("%s: %v", files[0], err)
		return exitNo
	}
	if _, err := c.out.Write(out); err != nil {
		return c.fail("%v", err)
	}
	return exitOK
}

// readers gives what reads a file's head and the file in a dialect.
func readers(d configs.Dialect) (func([]byte) (mud.URL, string, error), func([]byte) (mud.Profile, []mud.Problem, error)) {
	if d == configs.Legacy {
		return mud.HeadLegacy, mud.ParseLegacy
	}
	return mud.Head, mud.Parse
}
