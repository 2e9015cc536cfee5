package mud

import (
	"fmt"
	"strconv"
)

// maxProblems bounds the list that Parse gives; a file can hold more nodes that nobody understands.
const maxProblems = 1000

// maxText is the longest description in a Profile, in characters (R8520-3.7-a asks for 60).
const maxText = 1024

// report collects what is found in one file.
type report struct {
	problems []Problem
	seen     map[Problem]struct{} // an ACL listed in both directions is read twice
	dropped  int
	fatal    int
	first    Problem // the first fatal one

	flaws map[*value][]Problem // what the YANG modules have against parts whose reader has to answer for it
	soft  []Problem            // what they have against values that are used all the same
	tls   bool                 // the file declares the extension for TLS profiles
}

// add notes a problem; what it gives is only good for adding a mend at once.
func (r *report) add(sev Severity, path, row, format string, args ...any) *Problem {
	p := Problem{Path: Clean(path, 1000), Row: row, Severity: sev, Message: Clean(fmt.Sprintf(format, args...), 1000)}
	if _, dup := r.seen[p]; dup {
		return &p
	}
	if len(r.problems) >= maxProblems {
		r.dropped++
		return &p
	}
	if r.seen == nil {
		r.seen = make(map[Problem]struct{})
	}
	r.seen[p] = struct{}{}
	r.problems = append(r.problems, p)
	return &r.problems[len(r.problems)-1]
}

// mend says what to write instead.
func (p *Problem) mend(format string, args ...any) { p.Mend = Clean(fmt.Sprintf(format, args...), 400) }

// refuse notes what makes the whole file unusable.
func (r *report) refuse(path, row, format string, args ...any) *Problem {
	p := r.add(SeverityError, path, row, format, args...)
	if r.fatal == 0 {
		r.first = *p
	}
	r.fatal++
	return p
}

func (r *report) fail(path, row, format string, args ...any) *Problem {
	return r.add(SeverityError, path, row, format, args...)
}

func (r *report) warn(path, row, format string, args ...any) *Problem {
	return r.add(SeverityWarning, path, row, format, args...)
}

func (r *report) note(path, row, format string, args ...any) *Problem {
	return r.add(SeverityNote, path, row, format, args...)
}

// settle notes what the YANG modules have against values that were used all the same. Where their reader warned about
// the same place already, that warning becomes the error.
func (r *report) settle() {
	for _, s := range r.soft {
		s.Path = Clean(s.Path, 1000)
		told := false
		for i := range r.problems {
			p := &r.problems[i]
			if p.Path == s.Path && p.Severity != SeverityNote {
				p.Severity, told = SeverityError, true
			}
		}
		if !told {
			r.fail(s.Path, s.Row, "%s", s.Message).Mend = s.Mend
		}
	}
}

// err gives what Parse returns: the first reason to refuse the file and how many more there are.
func (r *report) err() error {
	if r.fatal == 0 {
		return nil
	}
	more := ""
	if r.fatal > 1 {
		more = fmt.Sprintf("; and %d more", r.fatal-1)
	}
	where := ""
	if r.first.Path != "" {
		where = " at " + r.first.Path
	}
	return fmt.Errorf("MUD file refused%s: %s (%s)%s", where, r.first.Message, r.first.Row, more)
}

// list gives the problems, with a last one that says how many more there are.
func (r *report) list() []Problem {
	if r.dropped == 0 {
		return r.problems
	}
	sev := SeverityWarning
	if r.fatal > 0 {
		sev = SeverityError
	}
	return append(r.problems, Problem{Row: "R8520-16-l", Severity: sev,
		Message: "there are " + strconv.Itoa(r.dropped) + " more problems; correct these first"})
}
