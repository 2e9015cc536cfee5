package vmtest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite the parts of docs/kernels.md that are about the kernels at hand")

const (
	kernelsPage = "../docs/kernels.md"
	pageIntro   = "# Kernels\n\nWhat the kernels that the tests run on can do, and what ran there. Written by `go test ./vmtest -update`; do not edit. " +
		"A test fails where a kernel that is here does something else by now.\n"
)

// TestHostKernel: what this machine's kernel can do is what docs/kernels.md says of it.
func TestHostKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		need(t, "root", os.ErrPermission)
	}
	bin := filepath.Join(t.TempDir(), "guest.test")
	if out, err := exec.Command("go", "test", "-c", "-o", bin, "mudguard/vmtest/guest").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(bin, "-test.run", "^TestCapabilities$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	comparePage(t, unix.ByteSliceToString(u.Release[:]), "this machine's, on which all tests run but those below", capabilities(string(out)))
}

// capabilities gives what package guest found, as lines of a list.
func capabilities(console string) (list []string) {
	for line := range strings.Lines(console) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "cap "); ok {
			list = append(list, "- "+text)
		}
	}
	return list
}

// shown gives the parts of the story that went well in a machine.
func shown(mode, console string) string {
	var parts []string
	for line := range strings.Lines(console) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "ok "); ok {
			name, _, _ = strings.Cut(name, " ")
			parts = append(parts, name)
		}
	}
	return fmt.Sprintf("- shown with %s: %s", mode, strings.Join(parts, ", "))
}

// series is the part of a release by which the page knows kernels: 6.1 of 6.1.0-32-cloud-amd64.
func series(release string) string { return regexp.MustCompile(`^\d+\.\d+`).FindString(release) }

// comparePage holds a part of the page against what was found. A kernel that the page does not know is no failure.
func comparePage(t *testing.T, release, what string, list []string) {
	t.Helper()
	raw, _ := os.ReadFile(kernelsPage) // there is none yet
	have := map[string]string{}
	for _, part := range strings.Split(string(raw), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		have[title] = body
	}
	title := fmt.Sprintf("Linux %s: %s", series(release), what)
	want := "\n" + strings.Join(list, "\n") + "\n"
	known, ok := have[title]
	switch {
	case *update:
		have[title] = want
		writePage(t, have)
	case !ok:
		t.Logf("%s does not know Linux %s, which has:\n%s", kernelsPage, release, want)
	case strings.TrimSpace(known) != strings.TrimSpace(want):
		t.Errorf("%s says of Linux %s:\n%s\nbut:\n%s", kernelsPage, series(release), known, want)
	}
}

func writePage(t *testing.T, parts map[string]string) {
	t.Helper()
	text := pageIntro
	var titles []string
	for title := range parts {
		titles = append(titles, title)
	}
	slices.Sort(titles)
	for _, title := range titles {
		text += "\n## " + title + "\n\n" + strings.TrimSpace(parts[title]) + "\n"
	}
	if err := os.WriteFile(kernelsPage, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
