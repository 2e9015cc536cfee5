// Package mudguard_test holds what must be true of the whole tree.
package mudguard_test

import (
	"os/exec"
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
	for _, dep := range goList(t, "-deps", "mudguard/cmd/mudguard") {
		switch dep {
		case "html/template", "text/template", "testing", "mudguard/internal/steps":
			t.Errorf("the binary contains %s", dep)
		}
	}
}
