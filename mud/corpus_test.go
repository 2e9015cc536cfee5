package mud

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpusDir holds MUD files that others published; README.md there says what they are. Nothing of it is in this project.
func corpusDir(t testing.TB) string {
	dir := os.Getenv("MUDGUARD_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(filepath.Join(dir, "YANGLINT.tsv")); err != nil {
		t.Skipf("needs a corpus of MUD files with YANGLINT.tsv in %s, or in the directory that MUDGUARD_CORPUS names: %v", dir, err)
	}
	return dir
}

// TestCorpus reads each file of the corpus and compares with yanglint's verdict. We may refuse more than it does; what it
// refuses we must not take without a problem of that severity, except for nodes of modules that it wasn't given, which
// RFC 8520 section 3.9 has us ignore.
func TestCorpus(t *testing.T) {
	dir := corpusDir(t)
	verdicts := yanglintTable(t, dir)
	taken, refused, partly, stricter := 0, 0, 0, 0
	err := filepath.WalkDir(filepath.Join(dir, "mud"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		_, problems, err := Parse(raw)
		worst := worstOf(problems)
		verdict := verdicts[filepath.ToSlash(rel)]
		switch {
		case err != nil && worst != SeverityError:
			t.Errorf("%s: refused without a problem: %v", rel, err)
		case err != nil:
			refused++
		case worst == SeverityError:
			taken++
			partly++
		default:
			taken++
		}
		if verdict.extended == "valid" && worst == SeverityError {
			stricter++
			t.Logf("yanglint takes %s: %v", rel, firstError(problems))
		}
		if verdict.extended != "valid" && worst != SeverityError && !ignorable(verdict.extended) && !ignorable(verdict.core) {
			t.Errorf("yanglint refuses %s, and we don't: %s", rel, verdict.extended)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d taken (%d of them but for some ACEs), %d refused; %d that yanglint takes have an error", taken, partly, refused, stricter)
}

func firstError(problems []Problem) Problem {
	for _, p := range problems {
		if p.Severity == SeverityError {
			return p
		}
	}
	return Problem{}
}

func worstOf(problems []Problem) Severity {
	worst := SeverityNote
	for _, p := range problems {
		if p.Severity == SeverityError || worst == SeverityNote {
			worst = p.Severity
		}
	}
	return worst
}

// ignorable tells whether yanglint stumbled over a node outside ACEs that no module it has defines.
func ignorable(verdict string) bool {
	return strings.HasPrefix(verdict, "No module named") ||
		strings.HasPrefix(verdict, "Node ") && (strings.Contains(verdict, `as a child of "mud" node`) ||
			strings.Contains(verdict, `as a child of "transparency" node`))
}

// verdict is what yanglint says with and without the modules of extensions.
type verdict struct{ extended, core string }

func yanglintTable(t testing.TB, dir string) map[string]verdict {
	f, err := os.Open(filepath.Join(dir, "YANGLINT.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := make(map[string]verdict)
	for s := bufio.NewScanner(f); s.Scan(); {
		if cells := strings.Split(s.Text(), "\t"); len(cells) > 2 {
			out[cells[0]] = verdict{cells[1], cells[2]}
		}
	}
	return out
}
