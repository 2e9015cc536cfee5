package mudguard_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite generated pages")

// row is one requirement or threat: docs/*.tsv lists them.
type row struct {
	id, text string
	status   string // "": a test shows it; else not applicable, not yet, or partly
	reason   string
}

// TestPages holds the pages that say which test shows what against the tests themselves: a test shows a row by naming its id,
// in its own text or in that of what it uses. A row without a test must say why. With -update the pages are written anew.
func TestPages(t *testing.T) {
	cited := citations(t)
	for _, page := range []struct{ name, title, intro string }{
		{"standards", "Standards", "What RFC 8520 and its neighbours ask for, and the test that shows it."},
		{"threats", "Threats", "What goes wrong or is done on purpose (N: pitfalls, R: reliability, F: failures, T: threats), and the test that shows that it is met."},
	} {
		rows := readRows(t, "docs/"+page.name+".tsv")
		var b strings.Builder
		fmt.Fprintf(&b, "# %s\n\n%s Generated from docs/%s.tsv and the tests by `go test . -run Pages -update`; do not edit.\n\n"+
			"| row | what | status | shown by |\n| --- | --- | --- | --- |\n", page.title, page.intro, page.name)
		for _, r := range rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.id, cell(r.text), cell(r.state(t, cited[r.id])), strings.Join(cited[r.id], "<br>"))
		}
		comparePage(t, "docs/"+page.name+".md", b.String())
	}
}

func (r row) state(t *testing.T, tests []string) string {
	switch {
	case r.status == "" && len(tests) == 0:
		t.Errorf("%s (%s): no test names it, and docs does not say why", r.id, r.text)
		return "?"
	case r.status == "":
		return "tested"
	case r.reason == "":
		t.Errorf("%s is %q without a reason", r.id, r.status)
	case r.status != "partly" && len(tests) > 0:
		t.Errorf("%s is %q, but %s names it", r.id, r.status, tests[0])
	}
	return r.status + ": " + r.reason
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func comparePage(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(name); err != nil || string(have) != want {
		t.Errorf("%s is not what the tests say: go test . -run Pages -update, and read the difference (%v)", name, err)
	}
}

func readRows(t *testing.T, name string) []row {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []row
	for i, line := range strings.Split(strings.TrimRight(string(raw), "\n"), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 4 {
			t.Fatalf("%s:%d: %d fields, want 4", name, i+1, len(f))
		}
		out = append(out, row{f[0], f[1], f[2], f[3]})
	}
	return out
}

// rowID matches ids of rows as they are cited.
var rowID = regexp.MustCompile(`\b(?:R\d{4}|RAU|RDHCP|RMX|RSUIT|RREP|T)-[A-Za-z0-9][A-Za-z0-9.]*(?:[-/][a-z0-9]+)*\b|\bBBF-LAN\.FW\.[A-Z0-9.]*\d(?:-\d)?\b|\b[TNPRSF]\d{1,2}\b`)

// decl is one top-level declaration of a Go file: what it cites and what it mentions.
type decl struct {
	test string // "" where it is none
	ids  []string
	uses map[string]bool
}

// citations gives, for each row, the tests that name it. Tables and helpers count for the tests of their package that use
// them; what package enforcertest cites, for the tests that send its cases.
func citations(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	add := func(id, test string) {
		if !slices.Contains(out[id], test) {
			out[id] = append(out[id], test)
		}
	}
	packages := map[string]map[string]decl{}
	for _, file := range goFiles(t) {
		dir := filepath.Dir(file)
		if packages[dir] == nil {
			packages[dir] = map[string]decl{}
		}
		decls(t, file, packages[dir])
	}
	for dir, all := range packages {
		for name, d := range all {
			switch {
			case d.test != "":
				for _, id := range d.ids {
					add(id, dir+": "+d.test)
				}
			case strings.HasSuffix(dir, "enforcertest"):
				for _, id := range d.ids {
					add(id, "enforcer: TestScenario")
					add(id, "enforcer/kernel: TestScenarioOnKernel")
				}
			default:
				for _, user := range users(all, name) {
					if strings.HasPrefix(user, "Fuzz") {
						continue // to it a table is where to start from
					}
					for _, id := range d.ids {
						add(id, dir+": "+user)
					}
				}
			}
		}
	}
	for _, tests := range out {
		slices.Sort(tests)
	}
	return out
}

// users gives the tests that mention a declaration, through at most three others.
func users(all map[string]decl, name string) []string {
	var out []string
	seen := map[string]bool{name: true}
	for frontier, depth := []string{name}, 0; len(frontier) > 0 && depth < 4; depth++ {
		var next []string
		for user, d := range all {
			if seen[user] || !slices.ContainsFunc(frontier, func(n string) bool { return d.uses[n] }) {
				continue
			}
			seen[user] = true
			if d.test != "" {
				out = append(out, d.test)
			} else {
				next = append(next, user)
			}
		}
		frontier = next
	}
	return out
}

// goFiles lists the files of tests, without the one whose rows are reasons to differ from others.
func goFiles(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".go") && strings.HasSuffix(filepath.Dir(path), "enforcertest")) && path != "docs_test.go" && path != "mud/agree_test.go" {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func decls(t *testing.T, file string, into map[string]decl) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range f.Decls {
		from, to := d.Pos(), d.End()
		name := fmt.Sprint(file, "#", i)
		switch d := d.(type) {
		case *ast.FuncDecl:
			if name = d.Name.Name; d.Recv != nil {
				name = "." + name
			}
			if d.Doc != nil {
				from = d.Doc.Pos()
			}
		case *ast.GenDecl:
			if v, ok := d.Specs[0].(*ast.ValueSpec); ok {
				name = v.Names[0].Name
			}
			if d.Doc != nil {
				from = d.Doc.Pos()
			}
		}
		text := string(src[fset.Position(from).Offset:fset.Position(to).Offset])
		x := decl{ids: rowID.FindAllString(text, -1), uses: mentioned(d)}
		if strings.HasPrefix(name, "Test") && name != "TestMain" || strings.HasPrefix(name, "Fuzz") {
			x.test = name
		}
		into[name] = x
	}
}

// mentioned gives the identifiers in a declaration; methods with a dot before them.
func mentioned(d ast.Decl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			out["."+n.Sel.Name] = true
		case *ast.Ident:
			out[n.Name] = true
		}
		return true
	})
	return out
}
