package mud

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// coreModules are those of RFC 8520, extensionModules those of the extensions that are known here.
var (
	coreModules      = []string{"ietf-mud@2019-01-28.yang", "ietf-acldns@2019-01-28.yang", "ietf-access-control-list@2019-03-04.yang"}
	extensionModules = []string{"ietf-mud-transparency@2023-10-10.yang", "ietf-mud-tls@2025-04-18.yang", "ietf-acl-tls@2025-04-18.yang",
		"ietf-mud-detext-example@2019-01-28.yang", "draft/ietf-ol@2024-04-26.yang", "draft/ietf-mud-brski-masa@2018-02-14.yang",
		"draft/ietf-mud-reporter-extension@2019-06-21.yang", "draft/ietf-mud-controller-candidate@2019-06-20.yang"}
)

// oracle is yanglint with the YANG modules of the corpus.
type oracle struct {
	modules string // a copy of them
	home    string
	corpus  string
}

// newOracle copies the modules. In its interactive mode, which judges thousands of files in a second, yanglint takes RFC
// 6991's types where the command line takes RFC 9911's, so the copies import these by their revision.
func newOracle(t testing.TB) *oracle {
	o := &oracle{corpus: corpusDir(t), modules: t.TempDir(), home: t.TempDir()}
	if _, err := exec.LookPath("yanglint"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test compares with yanglint, which is not installed")
		}
		t.Skip("this test compares with yanglint: apt-get install libyang2-tools")
	}
	imports := regexp.MustCompile(`import (ietf-inet-types|ietf-yang-types)\s*\{\s*prefix [^;]*;`)
	for _, pattern := range []string{"*.yang", "rfc9911/*.yang", "draft/*.yang"} {
		files, err := filepath.Glob(filepath.Join(o.corpus, "yang", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s in the corpus: %v", pattern, err)
		}
		for _, f := range files {
			text := imports.ReplaceAll(mustRead(t, f), []byte("$0 revision-date 2025-12-22;"))
			if err := os.WriteFile(filepath.Join(o.modules, filepath.Base(f)), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return o
}

// judgement is what yanglint says of one file; the empty one is that it is valid.
type judgement struct {
	text    string
	crashed bool // yanglint did, on this file
}

// judge validates files, many in one process. After each comes a file that isn't there: the complaint about that one ends
// the complaints about the one before, and where it doesn't come yanglint has crashed.
func (o *oracle) judge(t testing.TB, files [][]byte) []judgement {
	dir := t.TempDir()
	for i, f := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)+".json"), f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := make([]judgement, 0, len(files))
	for len(out) < len(files) {
		said := o.run(t, dir, len(out), len(files))
		out = append(out, said...)
		if len(out) < len(files) {
			out = append(out, judgement{crashed: true})
		}
	}
	return out
}

func (o *oracle) run(t testing.TB, dir string, from, to int) []judgement {
	var script strings.Builder
	fmt.Fprintf(&script, "searchpath %s\nadd", o.modules)
	for _, m := range append(coreModules, extensionModules...) {
		fmt.Fprintf(&script, " %s", filepath.Join(o.modules, filepath.Base(m)))
	}
	for i := from; i < to; i++ {
		fmt.Fprintf(&script, "\ndata -t data -F json %s/%d.json\ndata -t data -F json %s/none", dir, i, dir)
	}
	cmd := exec.Command("sh", "-c", "ulimit -c 0; exec yanglint")
	cmd.Stdin = strings.NewReader(script.String() + "\nquit\n")
	cmd.Env = append(os.Environ(), "HOME="+o.home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	// What the first run on a machine says of its own files.
	said := regexp.MustCompile(`(?m)^YANGLINT\[W\]: (Configuration directory|No saved history).*\n`).ReplaceAllString(stderr.String(), "")
	parts := regexp.MustCompile(`(?m)^.*`+regexp.QuoteMeta(dir)+`/none.*\n`).Split(said, -1)
	if len(parts) <= 1 && from == 0 {
		t.Fatalf("yanglint judges nothing: %v\n%s", err, stderr.String())
	}
	var out []judgement
	for _, p := range parts[:len(parts)-1] {
		out = append(out, judgement{text: strings.TrimSpace(p)})
	}
	return out
}

// command validates a file as the corpus's README says, and gives the first complaint.
func (o *oracle) command(t testing.TB, file string, modules ...string) string {
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-p", ".", "-t", "data", "-f", "json"}, modules...)
	cmd := exec.Command("yanglint", append(args, file)...)
	cmd.Dir = filepath.Join(o.corpus, "yang")
	cmd.Env = append(os.Environ(), "HOME="+o.home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if cmd.Run() == nil {
		return ""
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(stderr.String(), "libyang err : "), "\n")
	return text
}
