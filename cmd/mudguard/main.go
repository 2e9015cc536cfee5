// Command mudguard keeps the devices of a LAN to what their manufacturers declared (RFC 8520).
//
// This package wires: it must not decide anything about policies itself. One file per subcommand.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Exit codes (CONTRACT.md).
const (
	exitOK          = 0
	exitNo          = 1 // the thing asked about is not as it should be
	exitUsage       = 2 // usage or configuration error
	exitUnreachable = 3 // the daemon cannot be reached
)

func main() {
	c := &cli{ctx: context.Background(), in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, zone: time.Local,
		terminal: isTerminal(os.Stdout)}
	c.color = c.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	os.Exit(c.dispatch(calledAs(os.Args)))
}

// calledAs gives the arguments. DHCP servers run one program and can't give it arguments of ours, so a link of that name to the
// program is the hook.
func calledAs(args []string) []string {
	if server, ok := strings.CutSuffix(filepath.Base(args[0]), "-hook"); ok && (server == "dnsmasq" || server == "kea") {
		return append([]string{"hook", server}, args[1:]...)
	}
	return args[1:]
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// cli is one call of the program.
type cli struct {
	ctx      context.Context
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	zone     *time.Location // of times in text
	terminal bool           // out is one
	color    bool
}

// command is a subcommand.
type command struct {
	name  string
	args  string // synopsis
	short string
	long  string
	run   func(c *cli, args []string) int
}

// dispatch runs the subcommand that args name, and gives the exit code.
func (c *cli) dispatch(args []string) int {
	if len(args) == 0 {
		c.usage(c.err)
		return exitUsage
	}
	args, err := c.takeColor(args)
	if err != nil {
		return c.fail("%v", err)
	}
	if len(args) > 2 && args[0] == "--socket" { // the one flag that people put first
		args = append([]string{args[2], "--socket", args[1]}, args[3:]...)
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return c.help(rest)
	case "--version", "-version":
		name = "version"
	}
	cmd, ok := find(name)
	if !ok {
		return c.unknown(name)
	}
	if len(rest) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, rest[0]) {
		return c.help([]string{name})
	}
	return cmd.run(c, rest)
}

// takeColor takes --color from the arguments, wherever it stands before --.
func (c *cli) takeColor(args []string) ([]string, error) {
	var out []string
	for i, arg := range args {
		when, ok := strings.CutPrefix(arg, "--color=")
		switch {
		case arg == "--":
			return append(out, args[i:]...), nil
		case !ok:
			out = append(out, arg)
		case when == "always":
			c.color = true
		case when == "never":
			c.color = false
		case when != "auto":
			return nil, fmt.Errorf("--color is auto, always or never, not %q", when)
		}
	}
	return out, nil
}

func find(name string) (command, bool) {
	all := commands()
	if i := slices.IndexFunc(all, func(x command) bool { return x.name == name }); i >= 0 {
		return all[i], true
	}
	return command{}, false
}

// parse reads flags and positional arguments in any order; after -- everything is positional. code is negative where the
// command is to go on.
func (c *cli) parse(fs *flag.FlagSet, args []string, least, most int) (pos []string, code int) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for {
		if err := fs.Parse(args); err == flag.ErrHelp {
			return nil, c.help([]string{fs.Name()})
		} else if err != nil {
			return nil, c.misuse(fs.Name(), err.Error()+meant(fs, err.Error()))
		}
		rest := fs.Args()
		if read := len(args) - len(rest); len(rest) == 0 || read > 0 && args[read-1] == "--" {
			pos = append(pos, rest...)
			break
		}
		pos, args = append(pos, rest[0]), rest[1:]
	}
	switch {
	case len(pos) < least:
		return nil, c.misuse(fs.Name(), "something is missing")
	case most >= 0 && len(pos) > most:
		return nil, c.misuse(fs.Name(), fmt.Sprintf("%q is too much", pos[most]))
	}
	return pos, -1
}

// meant names the flag that was probably meant where one is not known.
func meant(fs *flag.FlagSet, problem string) string {
	name, unknown := strings.CutPrefix(problem, "flag provided but not defined: -")
	name = strings.TrimPrefix(name, "-")
	best, least := "", 3
	fs.VisitAll(func(f *flag.Flag) {
		if d := distance(name, f.Name); d < least && d < len(f.Name)-1 {
			best, least = f.Name, d
		}
	})
	if !unknown || best == "" {
		return ""
	}
	return "; did you mean --" + best + "?"
}

func newFlags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ContinueOnError) }

// fail reports a usage error.
func (c *cli) fail(format string, args ...any) int {
	c.complain(format, args...)
	return exitUsage
}

// misuse reports what is wrong with the arguments of a command, and how it is called.
func (c *cli) misuse(name, what string) int {
	c.complain("%s: %s", name, what)
	if cmd, ok := find(name); ok {
		fmt.Fprintf(c.err, "usage: %s\n", cmd.synopsis())
	}
	return exitUsage
}

func (c *cli) unknown(name string) int {
	c.complain("there is no command %q", name)
	if near := nearest(name); near != "" {
		fmt.Fprintf(c.err, "Did you mean: mudguard %s\n", near)
	} else {
		fmt.Fprintln(c.err, "mudguard help lists the commands.")
	}
	return exitUsage
}

// nearest gives the command that name is probably a slip of the pen for, or "".
func nearest(name string) string {
	best, least := "", 3
	for _, cmd := range commands() {
		d := distance(name, cmd.name)
		if len(name) >= 3 && strings.HasPrefix(cmd.name, name) {
			d = 1
		}
		if d < least && d < len(cmd.name)-1 {
			best, least = cmd.name, d
		}
	}
	return best
}

// distance is the number of letters to put in, take out or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
