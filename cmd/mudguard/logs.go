package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"mudguard/configs"
)

// newLogger logs to the standard error, in the form that who reads it there wants.
func newLogger(c configs.Log) *slog.Logger {
	return slog.New(logHandler(c, os.Stderr, isJournal(os.Stderr, os.Getenv("JOURNAL_STREAM"))))
}

// isJournal says that f is the socket of systemd's journal, whose device and inode JOURNAL_STREAM names (systemd.exec(5)).
func isJournal(f *os.File, stream string) bool {
	info, err := f.Stat()
	if err != nil || stream == "" {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", uint64(st.Dev), st.Ino)
}

// logHandler writes lines to w. The journal gets the priority before each (sd-daemon(3)), and notes time and level itself; so does
// syslog where it reads from the journal.
func logHandler(c configs.Log, w io.Writer, journal bool) slog.Handler {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked by configs
	opts := &slog.HandlerOptions{Level: level}
	if !journal {
		return formatted(c.Format, w, opts)
	}
	opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	line := &prefixed{w: w}
	return &journalHandler{formatted(c.Format, line, opts), line}
}

func formatted(f configs.LogFormat, w io.Writer, opts *slog.HandlerOptions) slog.Handler {
	if f == configs.JSON {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

// journalHandler writes the priority of syslog(3) before each line.
type journalHandler struct {
	slog.Handler
	line *prefixed
}

// prefixed writes a prefix before what it is given, which is one line: slog writes a record at once.
type prefixed struct {
	mu     sync.Mutex
	w      io.Writer
	prefix string
}

func (p *prefixed) Write(line []byte) (int, error) {
	n, err := p.w.Write(append([]byte(p.prefix), line...))
	return max(0, n-len(p.prefix)), err
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	defer h.line.mu.Unlock()
	h.line.prefix = priority(r.Level)
	return h.Handler.Handle(ctx, r)
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.Handler.WithAttrs(attrs), h.line}
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.Handler.WithGroup(name), h.line}
}

func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}
