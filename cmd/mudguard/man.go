package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// manCmd writes the manual pages: one for the program, one for each command.
func (c *cli) manCmd(args []string) int {
	pos, code := c.parse(newFlags("man"), args, 1, 1)
	if code >= 0 {
		return code
	}
	if err := os.MkdirAll(pos[0], 0o755); err != nil {
		return c.fail("%v", err)
	}
	pages := map[string][]byte{"mudguard.1": manPage()}
	for _, cmd := range commands() {
		pages["mudguard-"+cmd.name+".1"] = cmd.manPage()
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(pos[0], name), page, 0o644); err != nil {
			return c.fail("%v", err)
		}
	}
	c.say("%d pages are in %s", len(pages), pos[0])
	return exitOK
}

// roff writes a page in the macros of man(7).
type roff struct{ bytes.Buffer }

func newRoff(title, name, short string) *roff {
	date := time.Time{}
	if t, err := time.Parse(time.RFC3339, built); err == nil {
		date = t // the same source gives the same page
	}
	r := &roff{}
	fmt.Fprintf(r, ".TH %s 1 %s %q \"mudguard manual\"\n", title, date.UTC().Format(time.DateOnly), "mudguard "+version)
	r.section("NAME")
	fmt.Fprintf(r, "%s \\- %s\n", name, escapeRoff(short))
	return r
}

func (r *roff) section(title string) { fmt.Fprintf(r, ".SH %s\n", title) }

// text writes paragraphs, line by line as they are.
func (r *roff) text(s string) {
	begun := false
	for line := range strings.SplitSeq(trimBlank(s), "\n") {
		switch {
		case line == "":
			r.WriteString(".PP\n")
		case begun:
			r.WriteString(".br\n")
		}
		if begun = line != ""; begun {
			r.WriteString(escapeRoff(line) + "\n")
		}
	}
}

func (r *roff) item(name, text string) {
	fmt.Fprintf(r, ".TP\n.B %s\n%s\n", escapeRoff(name), escapeRoff(text))
}

// escapeRoff keeps text from being read as macros: at the start of a line, after a backslash, and hyphens as minus signs.
func escapeRoff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `\&...`, "–", `\-`).Replace(strings.TrimSpace(s))
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func (x command) manPage() []byte {
	r := newRoff("MUDGUARD\\-"+strings.ToUpper(x.name), "mudguard\\-"+x.name, x.short)
	r.section("SYNOPSIS")
	fmt.Fprintf(r, ".B mudguard %s\n", escapeRoff(x.name))
	if x.args != "" {
		r.WriteString(escapeRoff(x.args) + "\n")
	}
	r.section("DESCRIPTION")
	r.text(sentence(x.short))
	if long := trimBlank(x.long); long != "" {
		r.WriteString(".PP\n")
		r.text(long)
	}
	r.section("SEE ALSO")
	r.WriteString(".BR mudguard (1)\n")
	return r.Bytes()
}

func manPage() []byte {
	r := newRoff("MUDGUARD", "mudguard", "keeps devices to what their manufacturers declared (RFC 8520)")
	r.section("SYNOPSIS")
	r.WriteString(".B mudguard\n.I COMMAND\n[\\fIARGUMENT\\fR...]\n")
	r.section("COMMANDS")
	for _, cmd := range commands() {
		r.item(strings.TrimSpace(cmd.name+" "+cmd.args), sentence(cmd.short))
	}
	r.section("OPTIONS")
	r.item("--color=auto|always|never", "Colour in tables: on terminals only, always or never.")
	r.item("--socket PATH", "The daemon's socket, for commands that ask it.")
	r.section("ENVIRONMENT")
	r.item("MUDGUARD_SOCKET", "The daemon's socket; default: "+defaultSocket+".")
	r.item("NO_COLOR", "Where it is set, there is no colour.")
	r.section("FILES")
	r.item("/etc/mudguard/mudguard.yaml", "The configuration, where the packages have it.")
	r.section("EXIT STATUS")
	for i, text := range []string{"All is well.", "The thing asked about is not as it should be.", "Wrong usage or configuration.", "The daemon cannot be reached."} {
		r.item(fmt.Sprint(i), text)
	}
	return r.Bytes()
}
