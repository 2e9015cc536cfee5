package web

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// caller is who makes a request.
type caller struct {
	who     string     // for the record of what he decides; "" for somebody who is not logged in
	local   bool       // by the unix socket, whose peers may do everything
	addr    netip.Addr // of the others
	session string     // secret of it
}

type callerKey struct{}

func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// by names who makes a request.
func by(r *http.Request) string { return callerOf(r).who }

// Guard lets only those to a handler who are logged in, or need not be for what they ask for. It is for listeners that everybody
// can connect to.
func (a *Auth) Guard(next http.Handler) http.Handler {
	return guarding(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.ourHost(r.Host) {
			reply(w, nil, fail(http.StatusForbidden, "this server does not answer by the name that it was asked by; list it in http.hosts of mudguard's configuration"))
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		c := caller{}
		if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			c.addr = ap.Addr()
		}
		if cookie, err := r.Cookie(cookieName(r)); err == nil {
			if s := a.session(cookie.Value); s != nil {
				c.who, c.session = "web session from "+c.addr.String(), cookie.Value
				defer context.AfterFunc(s.ctx, cancel)()
			}
		}
		if c.who == "" && !a.isOpen(r) {
			reply(w, nil, fail(http.StatusUnauthorized, "log in first"))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, callerKey{}, c)))
	}))
}

// ourHost says that a request came by a name of ours. An address is no name that somebody else could make point to us, nor is
// localhost (DNS rebinding, T22).
func (a *Auth) ourHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || slices.Contains(a.Hosts, name)
}

// isOpen says that a request needs no session.
func (a *Auth) isOpen(r *http.Request) bool {
	switch r.URL.Path {
	case "/", prefix + "/openapi.json", prefix + "/session", prefix + "/setup":
		return true
	case "/metrics":
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		return ok && a.MetricsToken != "" && subtle.ConstantTimeCompare([]byte(token), []byte(a.MetricsToken)) == 1
	}
	return strings.HasPrefix(r.URL.Path, "/assets/")
}

// cookieName binds the cookie to this host and to https, where there is https.
func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return "__Host-mudguard"
	}
	return "mudguard"
}

// Session is whether who asks is logged in, and whether a first password is still to be set.
type Session struct {
	Authenticated bool `json:"authenticated"`
	Setup         bool `json:"setup"`
}

// sessionReply sets the cookie, or takes it away where secret is empty.
type sessionReply struct {
	Session
	cookie http.Cookie
}

func (s sessionReply) header(h http.Header) any {
	h.Add("Set-Cookie", s.cookie.String())
	return s.Session
}

func newSessionReply(r *http.Request, secret string) sessionReply {
	c := http.Cookie{Name: cookieName(r), Value: secret, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
		MaxAge: int(longestTime.Seconds())}
	if secret == "" {
		c.MaxAge = -1
	}
	return sessionReply{Session{Authenticated: secret != ""}, c}
}

func (a *api) session(r *http.Request) (any, error) {
	open, _ := a.Auth.Setup()
	return Session{by(r) != "", open}, onlyQuery(r)
}

// Credentials is the body of session and setup. Token is that of the first use.
type Credentials struct {
	Password string `json:"password"`
	Token    string `json:"token,omitempty"`
}

func (a *api) logIn(r *http.Request) (any, error) {
	var c Credentials
	if err := a.credentials(r, &c); err != nil {
		return nil, err
	}
	secret, err := a.Auth.logIn(r.Context(), callerOf(r).addr, c.Password)
	if err != nil {
		return nil, err
	}
	a.Auth.logOut(callerOf(r).session) // the one before
	return newSessionReply(r, secret), nil
}

func (a *api) logOut(r *http.Request) (any, error) {
	if err := onlyQuery(r); err != nil {
		return nil, err
	}
	a.Auth.logOut(callerOf(r).session)
	return newSessionReply(r, ""), nil
}

// setup sets the password: at first use for who has the token, and any time for who may use the unix socket.
func (a *api) setup(r *http.Request) (any, error) {
	var c Credentials
	if err := a.credentials(r, &c); err != nil {
		return nil, err
	}
	if callerOf(r).local {
		return Session{Authenticated: true}, a.Auth.setPassword(r.Context(), c.Password)
	}
	if err := a.Auth.first(r.Context(), callerOf(r).addr, c.Token, c.Password); err != nil {
		return nil, err
	}
	return newSessionReply(r, a.Auth.begin(callerOf(r).addr)), nil
}

func (a *api) credentials(r *http.Request, c *Credentials) error {
	if err := onlyQuery(r); err != nil {
		return err
	}
	return readBody(r.Body, c, `{"password": "…"}`)
}
