package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// socketMode lets root, the daemon's user and the socket's group in; the peer's credentials are checked besides (T23).
const socketMode = 0o660

// maxSocketPath is what fits into sockaddr_un.
const maxSocketPath = 107

// Listen opens the unix socket at path for the API. A socket that a dead daemon left there is replaced; one on which
// somebody answers, and a file that is no socket, are errors. The last element of its folder is made if it is missing.
// Connections of users who may not steer the daemon are closed.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket path %q is too long: %d bytes at most", path, maxSocketPath)
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	narrow := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error // a mode set before bind is the mode from the first moment on
		cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), socketMode) })
		return errors.Join(cerr, err)
	}}
	ln, err := narrow.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil { // what the umask took
		ln.Close()
		return nil, fmt.Errorf("opening the socket: %w", err)
	}
	return &guarded{Listener: ln, path: path}, nil
}

func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return fmt.Errorf("making the folder of the socket: %w", err)
	}
	return os.Chmod(dir, 0o755) // whatever the umask is
}

// clearStale removes a socket on which nobody listens.
func clearStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("opening the socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%q is there and no socket: remove it, or configure another path (socket:)", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("another daemon is running: it answers on %q", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("cannot tell whether another daemon is running: %w", err)
	}
	return os.Remove(path)
}

// guarded accepts only peers who may steer the daemon.
type guarded struct {
	net.Listener
	path string
}

// Accept implements net.Listener.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		cred, err := Peer(c)
		if err == nil && g.allowed(cred) {
			return c, nil
		}
		c.Close()
		slog.Warn("connection refused: its user may not steer the daemon", "socket", g.path, "uid", cred.Uid, "gid", cred.Gid,
			"pid", cred.Pid, "err", err)
	}
}

// allowed says whether a peer may steer the daemon: root, the daemon's own user, and the socket's group, except root's.
func (g *guarded) allowed(c syscall.Ucred) bool {
	if c.Uid == 0 || c.Uid == uint32(os.Geteuid()) {
		return true
	}
	info, err := os.Lstat(g.path) // each time: the group may be changed while we run
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Gid != 0 && st.Gid == c.Gid
}

// Peer gives the credentials that a peer had when it connected.
func Peer(c net.Conn) (cred syscall.Ucred, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return cred, errors.New("no unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return cred, err
	}
	cerr := raw.Control(func(fd uintptr) {
		var got *syscall.Ucred
		if got, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			cred = *got
		}
	})
	return cred, errors.Join(cerr, err)
}

// withPeer notes in a connection's context whose it is, for the record of what he decides.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if cred, err := Peer(c); err == nil {
		return context.WithValue(ctx, callerKey{}, caller{who: fmt.Sprintf("uid %d", cred.Uid), local: true})
	}
	return ctx
}

// Serve answers on ln until ctx ends, and closes it.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ConnContext:       withPeer,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      changeTime + 20*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		defer close(stopped)
		shutDown(srv)
	})
	err := srv.Serve(ln)
	if end() { // not asked to stop
		srv.Close()
		return fmt.Errorf("serving the API: %w", err)
	}
	<-stopped
	return nil
}

// shutDown lets requests end, but not for long.
func shutDown(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		srv.Close()
	}
}
