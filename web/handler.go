package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mudguard/enforcer"
	"mudguard/mud"
)

// instanceHeader names one life of the daemon: the IDs of denials start over with each.
const instanceHeader = "Mudguard-Instance"

// api answers requests from the engine.
type api struct {
	Options
	instance string
	streams  atomic.Int32 // clients of events
	zipper   zipper
}

// Options are what the API works on.
type Options struct {
	Engine *enforcer.Engine  // running
	Host   func() HostStatus // the parts of the status that only the daemon knows
	Judge  Judge
	// History gives what was kept; nil: nothing is.
	History func(enforcer.HistoryQuery) ([]enforcer.Record, error)
	Auth    *Auth
}

// Judge says whether a MUD file that the administrator brought, with its detached signature or none, may be used.
type Judge func(file, signature []byte) (enforcer.Verified, error)

// endpoint gives what a request is answered with.
type endpoint func(*http.Request) (any, error)

// route is an endpoint and where it is.
type route struct {
	pattern string // method, and path below prefix
	answer  endpoint
	limit   int64 // of the body; 0: maxBody
}

// prefix is where all endpoints are.
const prefix = "/api/v1"

// routes lists the endpoints.
func (a *api) routes() []route {
	return []route{
		{"GET /openapi.json", a.openAPI, 0},
		{"GET /session", a.session, 0},
		{"POST /session", a.logIn, 0},
		{"DELETE /session", a.logOut, 0},
		{"POST /setup", a.setup, 0},
		{"GET /status", a.status, 0},
		{"GET /devices", a.devices, 0},
		{"GET /devices/{mac}", a.device, 0},
		{"POST /devices/{mac}/assign", a.assign, 0},
		{"POST /devices/{mac}/certificate", a.certificate, 0},
		{"POST /devices/{mac}/approve", a.approve, 0},
		{"POST /devices/{mac}/pause", a.pause, 0},
		{"POST /devices/{mac}/resume", a.resume, 0},
		{"POST /devices/{mac}/hold", a.order(hold), 0},
		{"POST /devices/{mac}/quarantine", a.order(restrict((*enforcer.Engine).Quarantine)), 0},
		{"POST /devices/{mac}/release", a.order(always((*enforcer.Engine).Release)), 0},
		{"POST /devices/{mac}/forget", a.forget, 0},
		{"POST /devices/{mac}/observe", a.order(mode("observe")), 0},
		{"POST /devices/{mac}/enforce", a.order(mode("enforce")), 0},
		{"PUT /devices/{mac}/name", a.rename, 0},
		{"GET /devices/{mac}/exceptions", a.exceptions, 0},
		{"POST /devices/{mac}/exceptions", a.except, 0},
		{"DELETE /devices/{mac}/exceptions/{id}", a.revoke, 0},
		{"GET /devices/{mac}/report", a.deviceReport, 0},
		{"GET /report", a.report, 0},
		{"GET /attempts", a.attempts, 0},
		{"GET /waiting", a.waiting, 0},
		{"GET /history", a.history, 0},
		{"GET /denials", a.denials, 0},
		{"GET /explain", a.explain, 0},
		{"GET /overlays", a.overlays, 0},
		{"POST /overlays", a.setOverlay, maxOverlay},
		{"POST /profiles", a.importProfile, maxImport},
		{"POST /sightings", a.sightings, 0},
	}
}

// Handler serves the JSON API and the pages.
//
// A request to change something is answered when the kernel has the change. A browser's cross-origin requests are refused.
func Handler(o Options) http.Handler {
	a := &api{Options: o, instance: strconv.FormatInt(time.Now().UnixNano(), 36)}
	mux := http.NewServeMux()
	for _, r := range a.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		mux.HandleFunc(method+" "+prefix+path, a.answer(r.answer, cmp.Or(r.limit, maxBody)))
	}
	mux.HandleFunc("GET "+prefix+"/events", a.events)
	for path, p := range newPages(&a.zipper) {
		mux.Handle("GET "+path, p)
	}
	mux.HandleFunc("GET /metrics", a.metrics)
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(a.answer(func(*http.Request) (any, error) {
		return nil, fail(http.StatusForbidden, "requests from another site are refused")
	}, maxBody))
	inner := guarding(guard.Handler(a.route(mux)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(instanceHeader, a.instance)
		inner.ServeHTTP(w, r)
	})
}

// route answers in JSON also where the mux has nothing that fits.
func (a *api) route(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		probe := &codeOnly{ResponseWriter: w, code: http.StatusNotFound}
		h.ServeHTTP(probe, r) // sets the Allow header of a 405
		reply(w, nil, fail(probe.code, "%s", http.StatusText(probe.code)+": "+r.Method+" "+mud.Clean(r.URL.Path, 100)))
	})
}

// codeOnly keeps the status code of a response and drops the rest.
type codeOnly struct {
	http.ResponseWriter
	code int
}

func (c *codeOnly) WriteHeader(code int)        { c.code = code }
func (c *codeOnly) Write(b []byte) (int, error) { return len(b), nil }

// Bounds of the bodies of requests: certificates and the events of DHCP hooks, overlays, and files to import in base64.
const (
	maxBody    = 64 << 10
	maxOverlay = 128 << 10
	maxImport  = (mud.MaxFileSize+64<<10)*4/3 + 4<<10
)

func (a *api) answer(f endpoint, limit int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		v, err := f(r)
		code, body := encode(w.Header(), v, err)
		send(w, code, a.zipper.body(w.Header(), r, body))
	}
}

// reply sends v, or the error.
func reply(w http.ResponseWriter, v any, err error) {
	code, body := encode(w.Header(), v, err)
	send(w, code, body)
}

func send(w http.ResponseWriter, code int, body []byte) {
	w.WriteHeader(code)
	_, _ = w.Write(body) // fails only where the client is gone
}

// encode gives the answer that v is, or the error.
func encode(h http.Header, v any, err error) (int, []byte) {
	code, kind := http.StatusOK, "application/json"
	if err != nil {
		code, kind = http.StatusInternalServerError, "application/problem+json"
		if f, ok := errors.AsType[*failure](err); ok {
			code = f.code
			if f.wait > 0 {
				h.Set("Retry-After", strconv.Itoa(int(f.wait.Seconds())+1))
			}
		}
		v = Problem{"about:blank", http.StatusText(code), code, mud.Clean(err.Error(), 1000)}
	}
	if x, ok := v.(interface{ header(http.Header) any }); ok {
		v = x.header(h)
	}
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // our own types: no error
	return code, body.Bytes()
}

// Problem is the answer to a request that failed (RFC 9457).
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// failure is an error with the status code that says whose it is.
type failure struct {
	code int
	text string
	wait time.Duration // until it is worth trying again
}

func (f *failure) Error() string { return f.text }

func fail(code int, format string, args ...any) error {
	return &failure{code: code, text: fmt.Sprintf(format, args...)}
}

// tooSoon is the answer to who tries too often.
func tooSoon(wait time.Duration) error {
	return &failure{http.StatusTooManyRequests, fmt.Sprintf("too many tries; the next may come in %v", (wait + time.Second).Truncate(time.Second)), wait}
}

func badRequest(format string, args ...any) error {
	return fail(http.StatusBadRequest, format, args...)
}

// do runs f in the engine's loop.
func (a *api) do(r *http.Request, f func(*enforcer.Engine)) error {
	if err := a.Engine.Do(r.Context(), f); err != nil {
		return fail(http.StatusServiceUnavailable, "the engine did not answer: %v", err)
	}
	return nil
}
