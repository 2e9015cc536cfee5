package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The cost of a password: one of those that OWASP holds equal (Password Storage Cheat Sheet), and of these the one with the least
// memory, as routers have little. Only one password is computed at a time.
const (
	argonMemory = 7 << 10 // KiB
	argonTime   = 5
	argonLength = 32
	saltLength  = 16
)

// Bounds of a password (NIST SP 800-63B, 5.1.1).
const (
	minPassword = 8
	maxPassword = 256
)

func checkPassword(s string) error {
	switch {
	case !utf8.ValidString(s) || len(s) > maxPassword:
		return badRequest("the password must be text of at most %d bytes", maxPassword)
	case utf8.RuneCountInString(s) < minPassword:
		return badRequest("the password must have at least %d characters", minPassword)
	}
	return nil
}

// hasher computes passwords, one after the other.
type hasher chan struct{}

func newHasher() hasher { return make(hasher, 1) }

// hash gives what is kept of a password, in the PHC string format.
func (h hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails
	key, err := h.key(ctx, password, salt)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%s%s$%s", params(), b64(salt), b64(key)), nil
}

func params() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$", argon2.Version, argonMemory, argonTime)
}

// matches says whether a password is the one of which hash was kept.
func (h hasher) matches(ctx context.Context, password, hash string) (bool, error) {
	rest, ours := strings.CutPrefix(hash, params())
	salt64, key64, two := strings.Cut(rest, "$")
	salt, err1 := base64.RawStdEncoding.DecodeString(salt64)
	want, err2 := base64.RawStdEncoding.DecodeString(key64)
	if !ours || !two || err1 != nil || err2 != nil || len(salt) != saltLength || len(want) != argonLength {
		return false, fmt.Errorf("the password file cannot be read; mudguard password makes a new one")
	}
	got, err := h.key(ctx, password, salt)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

func (h hasher) key(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case h <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() {
		debug.FreeOSMemory() // what it took is not needed for the rest of the day
		<-h
	}()
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, 1, argonLength), nil
}
