package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mudguard/configs"
)

func TestLogForTheJournal(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(logHandler(configs.Log{Level: configs.Debug, Format: configs.Text}, &out, true))
	log.Debug("a", "mac", "02:00:5e:10:00:01")
	log.Info("b\n<0>forged")
	log.With("part", "dns").Warn("c")
	log.WithGroup("g").Error("d", "err", "x")
	const want = "<7>msg=a mac=02:00:5e:10:00:01\n<6>msg=\"b\\n<0>forged\"\n<4>msg=c part=dns\n<3>msg=d g.err=x\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	slog.New(logHandler(configs.Log{Level: configs.Info, Format: configs.JSON}, &out, true)).Info("b", "mac", "x")
	if got := out.String(); got != "<6>{\"msg\":\"b\",\"mac\":\"x\"}\n" {
		t.Error(got)
	}
}

func TestLogForOthers(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(logHandler(configs.Log{Level: configs.Warning, Format: configs.JSON}, &out, false))
	log.Info("not at this level")
	log.Warn("a", "err", "b")
	var line map[string]string
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["level"] != "WARN" || line["msg"] != "a" || line["time"] == "" {
		t.Errorf("%v %s", err, out.String())
	}
}

// The journal is known by its socket: a daemon whose stderr was sent elsewhere inherits the variable too (systemd.exec(5)).
func TestJournalStream(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(w.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]bool{fmt.Sprintf("%d:%d", st.Dev, st.Ino): true, fmt.Sprintf("%d:%d", st.Dev, st.Ino+1): false, "": false} {
		if isJournal(w, stream) != want {
			t.Errorf("%q: want %v", stream, want)
		}
	}
}

// logKeys are all keys of log lines, for who filters them. Time, level and msg are slog's own.
func logKeys() []string {
	return []string{"mac", "device", "state", "direction", "enforced", "chains", "addr", "text", "flows", "repairs", "limit", // the engine
		"url", "announced", "announcer", "source", "why", "signer", "sha256", "fetched", "cache_validity", "cut", // of MUD URLs and profiles
		"err", "part", "times", "what", "file", "interface", "name", // of parts of the daemon
		"socket", "uid", "gid", "pid", // the API
		"target"} // news
}

// Every log call of the product has a constant message and keys of the list, so that lines can be filtered by them.
func TestLogKeys(t *testing.T) {
	seen := map[string]bool{}
	calls := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && isLogCall(call) {
				calls++
				checkLogCall(t, path, call, seen)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 25 {
		t.Errorf("only %d log calls were found", calls)
	}
	for _, key := range logKeys() {
		if !seen[key] {
			t.Errorf("no log call has the key %s", key)
		}
	}
}

// isLogCall knows calls of x.log, x.Log, log and slog.
func isLogCall(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, sel.Sel.Name) || len(call.Args) == 0 {
		return false
	}
	switch x := sel.X.(type) {
	case *ast.Ident:
		return x.Name == "log" || x.Name == "slog"
	case *ast.SelectorExpr:
		return x.Sel.Name == "log" || x.Sel.Name == "Log"
	}
	return false
}

func checkLogCall(t *testing.T, path string, call *ast.CallExpr, seen map[string]bool) {
	t.Helper()
	for i, arg := range call.Args {
		if i > 0 && i%2 == 0 {
			continue // a value
		}
		lit, ok := arg.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			t.Errorf("%s: a log call whose message or key is no constant", path)
			return
		}
		key, _ := strconv.Unquote(lit.Value)
		if i > 0 && !slices.Contains(logKeys(), key) {
			t.Errorf("%s: the log key %q is not in the list", path, key)
		}
		if i > 0 {
			seen[key] = true
		}
	}
	if len(call.Args)%2 == 0 {
		t.Errorf("%s: a key without a value", path)
	}
}
