// Package mudguard_test holds what must be true of the whole tree.
package mudguard_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goList runs go list, the authority on who imports whom.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Fields(string(out))
}

// The pure packages decide; they do no I/O. Who imports one of them gets no network code (DESIGN.md, Folders).
func TestPurePackagesStayPure(t *testing.T) {
	banned := func(pkg string) bool {
		return pkg == "net/http" || pkg == "os/exec" || strings.Contains(pkg, "netlink") || strings.Contains(pkg, "nftables") ||
			strings.HasPrefix(pkg, "mudguard/mud/fetch") || strings.HasPrefix(pkg, "mudguard/enforcer/kernel") ||
			strings.HasPrefix(pkg, "mudguard/dhcp/listen") || strings.HasPrefix(pkg, "mudguard/web")
	}
	for _, pure := range []string{"mudguard/mud", "mudguard/dhcp", "mudguard/enforcer", "mudguard/configs"} {
		for _, dep := range goList(t, "-deps", pure) {
			if banned(dep) {
				t.Errorf("%s depends on %s", pure, dep)
			}
		}
	}
}

// mud and dhcp import nothing of ours, so that others can use them.
func TestLibrariesStandAlone(t *testing.T) {
	for _, lib := range []string{"mudguard/mud", "mudguard/dhcp"} {
		for _, dep := range goList(t, "-deps", lib) {
			if strings.HasPrefix(dep, "mudguard/") && dep != lib {
				t.Errorf("%s depends on %s", lib, dep)
			}
		}
	}
}

// A second opinion that shares code with the first is none: the model of the kernel's tests knows the parsed profile only.
func TestModelStandsAlone(t *testing.T) {
	const model = "mudguard/enforcer/enforcertest/model"
	for _, dep := range goList(t, "-deps", model) {
		if strings.HasPrefix(dep, "mudguard/") && dep != model && dep != "mudguard/mud" {
			t.Errorf("%s depends on %s", model, dep)
		}
	}
}

// The product runs no other programs, and nothing that cost megabytes when it was measured comes back (ecosystem.md 3.1,
// N10).
func TestProductImports(t *testing.T) {
	own := goList(t, "-f", `{{if ne .Name "main_test"}}{{.ImportPath}}{{range .Imports}} {{.}}{{end}}{{"\n"}}{{end}}`, "./...")
	for _, imp := range own {
		if imp == "os/exec" || imp == "html/template" {
			t.Errorf("a package of the product imports %s", imp)
		}
	}
	for _, dep := range goList(t, "-deps", "-tags", "nethttpomithttp2,netgo,osusergo", "mudguard/cmd/mudguard") {
		switch dep {
		case "html/template", "text/template", "testing", "mudguard/internal/steps", "os/exec", "plugin", "runtime/cgo":
			t.Errorf("the binary contains %s", dep)
		}
	}
}

// startsPrograms finds every way to another program, or past Go's own rules, that needs no package of its own.
var startsPrograms = regexp.MustCompile(`\b(os\.StartProcess|(syscall|unix)\.(ForkExec|StartProcess|Exec))\(|//go:linkname|import "C"`)

// TestRunsNothing: S1, T24. No file of the product starts a program, but the demo, which starts itself in another namespace and is
// no part of the binaries for small routers.
func TestRunsNothing(t *testing.T) {
	files := goList(t, "-f", `{{if and (not .Standard) (not .DepOnly)}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .CgoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}`, "./...")
	seen := false
	for _, file := range files {
		if strings.Contains(file, "/internal/steps/") {
			continue // of tests; see above
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		demo := filepath.Base(file) == "demo.go"
		for _, found := range startsPrograms.FindAll(src, -1) {
			if seen = seen || demo; !demo || string(found) != "os.StartProcess(" {
				t.Errorf("%s: %s", file, found)
			}
		}
	}
	if !seen {
		t.Error("not even the demo is found: this looks at the wrong files")
	}
}
