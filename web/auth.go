package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Bounds of sessions. They are not kept across restarts of the daemon.
const (
	maxSessions = 32
	idleTime    = 24 * time.Hour
	longestTime = 30 * 24 * time.Hour
)

// Files of the state directory.
const (
	passwordFile = "password"
	tokenFile    = "setup-token"
	maxSecret    = 1 << 10
)

// Auth knows the password of the web server, and who is logged in.
type Auth struct {
	AuthConfig
	hash hasher

	mu       sync.Mutex
	kept     string // hash of the password; "" where none is set
	token    string // with which the first password may be set; "" where it may not
	sessions map[[sha256.Size]byte]*session
	throttle throttle
}

// AuthConfig is what Auth needs to know.
type AuthConfig struct {
	Dir          string                               // of its files
	Write        func(name string, data []byte) error // replaces a file, at once or not at all, readable by us alone
	Hosts        []string                             // names under which we are asked
	MetricsToken string                               // "": none
	Now          func() time.Time
}

// session is somebody who gave the password. ctx ends with it.
type session struct {
	ctx           context.Context
	end           context.CancelFunc
	started, used time.Time
}

// NewAuth reads the password. Where none is set, and setup is true, it makes the token by which the first one can be set. With
// an error, setting a password is all that the Auth is good for.
func NewAuth(c AuthConfig, setup bool) (*Auth, error) {
	a := &Auth{AuthConfig: c, hash: newHasher(), sessions: map[[sha256.Size]byte]*session{}}
	var err error
	if a.kept, err = readSecret(a.path(passwordFile)); err != nil || a.kept != "" || !setup {
		return a, err
	}
	if a.token, err = readSecret(a.path(tokenFile)); err != nil || len(a.token) >= len(rand.Text()) {
		return a, err
	}
	a.token = rand.Text()
	return a, a.Write(a.path(tokenFile), []byte(a.token+"\n"))
}

func (a *Auth) path(name string) string { return filepath.Join(a.Dir, name) }

// readSecret reads a line that is there or not.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() > maxSecret:
		return "", fmt.Errorf("%s is not a file of at most %d bytes", path, maxSecret)
	}
	raw, err := os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}

// Setup says whether a first password is still to be set, and where the token for it is.
func (a *Auth) Setup() (open bool, token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept == "", a.path(tokenFile)
}

// setPassword sets the password, ends all sessions, and with it the time of the token.
func (a *Auth) setPassword(ctx context.Context, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	hash, err := a.hash.hash(ctx, password)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.Write(a.path(passwordFile), []byte(hash+"\n")); err != nil {
		return fmt.Errorf("the password cannot be kept: %w", err)
	}
	a.kept, a.token = hash, ""
	for key := range a.sessions {
		a.drop(key)
	}
	if err := os.Remove(a.path(tokenFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the password is set, but %s, which is of no use any more, stays: %w", a.path(tokenFile), err)
	}
	return nil
}

// try counts a try to guess the password or the token.
func (a *Auth) try(from netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := a.throttle.try(from, a.Now()); wait > 0 {
		return tooSoon(wait)
	}
	return nil
}

// first sets the first password, for who has the token.
func (a *Auth) first(ctx context.Context, from netip.Addr, token, password string) error {
	if err := a.try(from); err != nil {
		return err
	}
	a.mu.Lock()
	kept, want := a.kept, a.token
	a.mu.Unlock()
	switch {
	case kept != "" || want == "":
		return fail(http.StatusConflict, "a password is set already; on the gateway itself, mudguard password sets another")
	case subtle.ConstantTimeCompare([]byte(token), []byte(want)) != 1:
		return fail(http.StatusForbidden, "this is not the setup token; it is in %s on the gateway", a.path(tokenFile))
	}
	return a.setPassword(ctx, password)
}

// logIn starts a session for who knows the password, and gives its secret.
func (a *Auth) logIn(ctx context.Context, from netip.Addr, password string) (string, error) {
	if err := a.try(from); err != nil {
		return "", err
	}
	a.mu.Lock()
	kept := a.kept
	a.mu.Unlock()
	if kept == "" {
		return "", fail(http.StatusConflict, "no password is set yet; on the gateway, mudguard password sets one")
	}
	if len(password) > maxPassword {
		return "", errWrong()
	}
	ok, err := a.hash.matches(ctx, password, kept)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", errWrong()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept != kept { // it was changed meanwhile
		return "", errWrong()
	}
	a.throttle.right(from)
	return a.start(), nil
}

// begin starts a session for who set the password.
func (a *Auth) begin(from netip.Addr) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.throttle.right(from)
	return a.start()
}

func errWrong() error { return fail(http.StatusUnauthorized, "the password is wrong") }

// start begins a session. Only the hash of its secret is kept.
func (a *Auth) start() string {
	a.sweep()
	if len(a.sessions) >= maxSessions {
		var oldest [sha256.Size]byte
		for key, s := range a.sessions {
			if o := a.sessions[oldest]; o == nil || s.used.Before(o.used) {
				oldest = key
			}
		}
		a.drop(oldest)
	}
	secret, now := rand.Text()+rand.Text(), a.Now()
	s := &session{started: now, used: now}
	s.ctx, s.end = context.WithCancel(context.Background())
	a.sessions[sha256.Sum256([]byte(secret))] = s
	return secret
}

// session gives the session of a secret, and counts it as used; nil where there is none.
func (a *Auth) session(secret string) *session {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	s := a.sessions[sha256.Sum256([]byte(secret))]
	if s != nil {
		s.used = a.Now()
	}
	return s
}

// logOut ends a session.
func (a *Auth) logOut(secret string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(sha256.Sum256([]byte(secret)))
}

// sweep ends the sessions whose time is over.
func (a *Auth) sweep() {
	now := a.Now()
	for key, s := range a.sessions {
		if now.Sub(s.used) > idleTime || now.Sub(s.started) > longestTime {
			a.drop(key)
		}
	}
}

func (a *Auth) drop(key [sha256.Size]byte) {
	if s := a.sessions[key]; s != nil {
		s.end()
		delete(a.sessions, key)
	}
}
