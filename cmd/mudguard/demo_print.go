//go:build !mudguard_omit_demo

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// Where sentences are broken, and where text that is laid out is.
const (
	demoWidth    = 100
	demoVerbatim = 120
)

// Colours of the account; the words and marks carry the meaning too.
const (
	demoBold  = "1"
	demoDim   = "2"
	demoGreen = "32"
	demoRed   = "31"
	demoBlue  = "36"
)

// demoPrinter writes the account.
type demoPrinter struct {
	out    io.Writer
	color  bool
	held   int // expectations that were met
	broken []string
	part   int
}

func newDemoPrinter(out *os.File) *demoPrinter {
	return &demoPrinter{out: out, color: isTerminal(out) && os.Getenv("NO_COLOR") == ""}
}

func (p *demoPrinter) paint(color, text string) string {
	if !p.color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// section begins a part of the account.
func (p *demoPrinter) section(title string) {
	p.part++
	fmt.Fprintf(p.out, "\n%s\n", p.paint(demoBold, fmt.Sprintf("%d  %s", p.part, title)))
}

// say tells something.
func (p *demoPrinter) say(format string, args ...any) {
	p.wrapped("   ", "   ", "", fmt.Sprintf(format, args...))
}

// aside adds to what was said before.
func (p *demoPrinter) aside(format string, args ...any) {
	p.wrapped("     ", "     ", demoDim, fmt.Sprintf(format, args...))
}

// verbatim shows text that is laid out already. Lines that are too long go on below, indented.
func (p *demoPrinter) verbatim(color, text string) {
	const indent = "     "
	for line := range strings.Lines(text) {
		rest := []rune(strings.TrimRight(strings.ReplaceAll(line, "\t", "  "), " \n"))
		for prefix := indent; ; prefix = indent + "        " {
			n := breakAt(rest, demoVerbatim-len(prefix))
			fmt.Fprintln(p.out, prefix+p.paint(color, string(rest[:n])))
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
			rest = rest[1:] // the space
		}
	}
}

// breakAt says where to break a line so that it has at most room characters: at a space, else not at all.
func breakAt(line []rune, room int) int {
	if len(line) <= room {
		return len(line)
	}
	begun := false // not in the indentation
	last := len(line)
	for i, r := range line {
		if r != ' ' {
			begun = true
		} else if begun && (i <= room || last == len(line)) {
			last = i
		}
		if i >= room && last < len(line) {
			break
		}
	}
	return last
}

// expect is an expectation: what should be, whether it is, and what was seen where it is not.
func (p *demoPrinter) expect(met bool, what, seen string) bool {
	if met {
		p.held++
		p.wrapped("   "+p.paint(demoGreen, "✓")+" ", "     ", "", what)
		return true
	}
	p.broken = append(p.broken, what)
	p.wrapped("   "+p.paint(demoRed, "✗")+" ", "     ", demoRed, what)
	p.wrapped("     ", "     ", demoRed, "but: "+seen)
	return false
}

// wrapped breaks a text at spaces.
func (p *demoPrinter) wrapped(first, rest, color, text string) {
	line, room := "", demoWidth-len(rest)
	prefix := first
	flush := func() {
		fmt.Fprintln(p.out, prefix+p.paint(color, line))
		line, prefix = "", rest
	}
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > room {
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	flush()
}

// demoLog takes the daemon's log and keeps the end of it.
type demoLog struct {
	echo bool // also to stderr

	mu   sync.Mutex
	tail []string
}

// Write takes one line, as slog's handlers write them.
func (l *demoLog) Write(b []byte) (int, error) {
	const most = 40
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.echo {
		_, _ = os.Stderr.Write(b)
	}
	l.tail = append(l.tail, string(bytes.TrimSpace(b)))
	l.tail = l.tail[max(0, len(l.tail)-most):]
	return len(b), nil
}

// String gives the end of the log.
func (l *demoLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.tail, "\n")
}
