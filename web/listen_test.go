package web

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// ok answers every request with an empty object.
func ok() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
}

// serve starts h at path; stop ends it and gives what Serve gave.
func serve(t *testing.T, path string, h http.Handler) (stop func() error) {
	t.Helper()
	ln, err := Listen(path)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, h) }()
	return sync.OnceValue(func() error { cancel(); return <-done })
}

func TestListen(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "run", "m.sock")
	stop := serve(t, path, ok())
	info, err := os.Lstat(path)
	must(t, err)
	if info.Mode() != os.ModeSocket|socketMode {
		t.Errorf("socket has mode %v", info.Mode())
	}
	dir, err := os.Stat(filepath.Dir(path))
	must(t, err)
	if dir.Mode().Perm() != 0o755 {
		t.Errorf("folder has mode %v", dir.Mode())
	}
	if _, err := NewClient(path).Get(t.Context(), "/api/v1/status", nil); err != nil {
		t.Error(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another daemon is running") {
		t.Errorf("second daemon: %v", err)
	}
	must(t, stop())
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	ln.SetUnlinkOnClose(false) // as after a crash
	must(t, ln.Close())
	stop := serve(t, path, ok())
	if _, err := NewClient(path).Get(t.Context(), "/", nil); err != nil {
		t.Error(err)
	}
	must(t, stop())
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	must(t, os.WriteFile(file, []byte("keep"), 0o600))
	must(t, os.Symlink(file, link))
	for _, tc := range []struct{ path, text string }{
		{file, "no socket"},
		{link, "no socket"},
		{dir, "no socket"},
		{filepath.Join(dir, "a", "b", "m.sock"), "folder"},
		{filepath.Join(file, "m.sock"), "opening the socket"},
		{filepath.Join(dir, strings.Repeat("x", 108)), "too long"},
	} {
		if _, err := Listen(tc.path); err == nil || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("Listen(%q): %v, want %q", tc.path, err, tc.text)
		}
	}
	if raw, err := os.ReadFile(file); err != nil || string(raw) != "keep" {
		t.Errorf("a file that is no socket was touched: %q, %v", raw, err)
	}
}

// R8520-16-q, T23.
func TestAllowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	must(t, os.WriteFile(path, nil, 0o600))
	own := uint32(os.Geteuid())
	g := &guarded{path: path}
	check := func(uid, gid uint32, want bool) {
		t.Helper()
		if got := g.allowed(syscall.Ucred{Uid: uid, Gid: gid}); got != want {
			t.Errorf("uid %d gid %d: allowed %v, want %v", uid, gid, got, want)
		}
	}
	check(0, 4711, true)
	check(own, 4711, true)
	check(own+1000, 4711, false)
	if os.Geteuid() != 0 {
		t.Skip("the rest gives the socket to a group, which needs root")
	}
	check(own+1000, 0, false) // the socket's group is root's
	must(t, os.Chown(path, 0, 4711))
	check(own+1000, 4711, true)
	check(own+1000, 4712, false)
	g.path += ".gone"
	check(own+1000, 4711, false)
}

// TestOtherUser lets another user connect to a socket whose mode would let it in (T23, R8520-16-o, R8520-16-q). The child is this test binary.
func TestOtherUser(t *testing.T) {
	if path := os.Getenv("MUDGUARD_TEST_SOCKET"); path != "" {
		_, err := NewClient(path).Get(t.Context(), "/api/v1/status", nil)
		if _, refused := errors.AsType[*UnreachableError](err); !refused {
			t.Fatalf("not refused: %v", err)
		}
		t.Log(err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("another user's process needs root")
	}
	log := captureLog(t)
	dir, err := os.MkdirTemp("/tmp", "mudguard")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "m.sock")
	stop := serve(t, path, ok())
	must(t, os.Chmod(path, 0o777))
	self := filepath.Join(dir, "child") // go test's own folder is closed to others
	raw, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(self, raw, 0o755))
	child := exec.Command(self, "-test.run=^TestOtherUser$", "-test.v")
	child.Dir = "/"
	child.Env = []string{"MUDGUARD_TEST_SOCKET=" + path}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "it closed the connection") {
		t.Errorf("child: %v\n%s", err, out)
	}
	if _, err := NewClient(path).Get(t.Context(), "/api/v1/status", nil); err != nil {
		t.Errorf("root is refused too: %v", err)
	}
	must(t, stop())
	if !strings.Contains(log.String(), "uid=65534") {
		t.Errorf("the refusal is not logged: %s", log.String())
	}
}

// captureLog collects what goes to the default logger.
func captureLog(t *testing.T) *lockedBuffer {
	var b lockedBuffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
	return &b
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestServeEndsWithRequestPending(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	entered := make(chan struct{})
	stop := serve(t, path, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	go func() { _, _ = NewClient(path).Get(context.WithoutCancel(t.Context()), "/", nil) }()
	<-entered
	start := time.Now()
	must(t, stop())
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("took %v to stop", d)
	}
}

func TestClientErrors(t *testing.T) {
	dir := t.TempDir()
	_, err := NewClient(filepath.Join(dir, "none")).Get(t.Context(), "/", nil)
	if _, unreachable := errors.AsType[*UnreachableError](err); !unreachable || !strings.Contains(err.Error(), "is it running") {
		t.Errorf("no socket: %v", err)
	}
	path := filepath.Join(dir, "m.sock")
	stop := serve(t, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusConflict)
		if r.URL.Path == "/json" {
			_, _ = w.Write([]byte(`{"detail":"no\u001b[31m"}`))
		}
	}))
	defer func() { must(t, stop()) }()
	_, err = NewClient(path).Get(t.Context(), "/", nil)
	if r, refused := errors.AsType[*ReplyError](err); !refused || r.Code != 409 || !strings.Contains(r.Message, "409") {
		t.Errorf("no JSON: %v", err)
	}
	_, err = NewClient(path).Post(t.Context(), "/json", nil)
	if r, refused := errors.AsType[*ReplyError](err); !refused || strings.Contains(r.Message, "\x1b") {
		t.Errorf("hostile error: %q", err)
	}
}
