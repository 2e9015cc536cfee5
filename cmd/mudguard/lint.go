package main

import (
	"fmt"
	"io"
	"os"

	"mudguard/mud"
)

// maxFile bounds a file that is read. mud.Parse has tighter bounds of its own on what is in it.
const maxFile = 16 << 20

// fileProblem is a problem and the file it is in.
type fileProblem struct {
	File string `json:"file"`
	mud.Problem
}

// lintCmd lists what is wrong with MUD files.
func (c *cli) lintCmd(args []string) int {
	fs := newFlags("lint")
	asJSON := fs.Bool("json", false, "print JSON")
	strict := fs.Bool("strict", false, "warnings count too")
	files, code := c.parse(fs, args, 1, -1)
	if code >= 0 {
		return code
	}
	all := []fileProblem{}
	worst := exitOK
	for _, name := range files {
		raw, err := c.readFile(name)
		if err != nil {
			worst = c.fail("%v", err)
			continue
		}
		problems := lint(raw)
		worst = max(worst, lintCode(problems, *strict))
		for _, p := range problems {
			all = append(all, fileProblem{name, p})
		}
		if !*asJSON {
			c.printProblems(name, problems)
		}
	}
	if *asJSON {
		c.encode(all)
	}
	return worst
}

// lint gives the problems of one file; a refused file has an error among them.
func lint(raw []byte) []mud.Problem {
	_, problems, err := mud.Parse(raw)
	if err != nil && lintCode(problems, false) == exitOK {
		problems = append(problems, mud.Problem{Severity: mud.SeverityError, Message: mud.Clean(err.Error(), 1000)})
	}
	return problems
}

func lintCode(problems []mud.Problem, strict bool) int {
	for _, p := range problems {
		if p.Severity == mud.SeverityError || strict && p.Severity == mud.SeverityWarning {
			return exitNo
		}
	}
	return exitOK
}

func (c *cli) printProblems(name string, problems []mud.Problem) {
	if len(problems) == 0 {
		c.say("%s: fine", name)
	}
	for _, p := range problems {
		t := plain
		switch p.Severity {
		case mud.SeverityError:
			t = bad
		case mud.SeverityWarning:
			t = poor
		}
		fmt.Fprintf(c.out, "%s: %s%s\n", safe(name), c.paint(t, safe(string(p.Severity))), safe(p.String()[len(p.Severity):]))
		if p.Mend != "" {
			fmt.Fprintf(c.out, "  write: %s\n", safe(p.Mend))
		}
	}
}

// readFile reads a file, or the standard input for "-".
func (c *cli) readFile(name string) ([]byte, error) {
	from, label := c.in, "the standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from, label = f, name
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", label, maxFile>>20)
	}
	return raw, nil
}
