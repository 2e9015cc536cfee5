package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"mudguard/enforcer"
	"mudguard/mud"
)

// instanceHeader names one life of the daemon: the IDs of denials start over with each.
const instanceHeader = "Mudguard-Instance"

// api answers requests from the engine.
type api struct {
	engine   *enforcer.Engine
	host     func() HostStatus
	judge    Judge
	instance string
}

// Judge says whether a MUD file that the administrator brought, with its detached signature or none, may be used.
type Judge func(file, signature []byte) (enforcer.Verified, error)

// Handler serves the JSON API. The engine must be running. host gives the parts of the status that only the daemon knows.
//
// A request to change something is answered when the kernel has the change. A browser's cross-origin requests are refused.
func Handler(e *enforcer.Engine, host func() HostStatus, judge Judge) http.Handler {
	a := &api{engine: e, host: host, judge: judge, instance: strconv.FormatInt(time.Now().UnixNano(), 36)}
	mux := http.NewServeMux()
	for pattern, f := range map[string]endpoint{
		"GET /v1/status":                     a.status,
		"GET /v1/devices":                    a.devices,
		"GET /v1/devices/{mac}":              a.device,
		"GET /v1/denials":                    a.denials,
		"GET /v1/explain":                    a.explain,
		"GET /v1/overlays":                   a.overlays,
		"POST /v1/sightings":                 a.sightings,
		"POST /v1/devices/{mac}/assign":      a.assign,
		"POST /v1/devices/{mac}/certificate": a.certificate,
		"POST /v1/devices/{mac}/{order}":     a.order,
	} {
		mux.HandleFunc(pattern, a.answer(f, maxBody))
	}
	mux.HandleFunc("POST /v1/profiles", a.answer(a.importProfile, maxImport))
	mux.HandleFunc("POST /v1/overlays", a.answer(a.setOverlay, maxOverlay))
	mux.HandleFunc("GET /metrics", a.metrics)
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(a.answer(func(*http.Request) (any, error) {
		return nil, fail(http.StatusForbidden, "requests from another site are refused")
	}, maxBody))
	return guard.Handler(a.route(mux))
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
		a.write(w, nil, fail(probe.code, "%s", http.StatusText(probe.code)+": "+r.Method+" "+mud.Clean(r.URL.Path, 100)))
	})
}

// codeOnly keeps the status code of a response and drops the rest.
type codeOnly struct {
	http.ResponseWriter
	code int
}

func (c *codeOnly) WriteHeader(code int)        { c.code = code }
func (c *codeOnly) Write(b []byte) (int, error) { return len(b), nil }

// endpoint gives what a request is answered with.
type endpoint func(*http.Request) (any, error)

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
		a.write(w, v, err)
	}
}

func (a *api) write(w http.ResponseWriter, v any, err error) {
	code := http.StatusOK
	if err != nil {
		code = http.StatusInternalServerError
		if f, ok := errors.AsType[*failure](err); ok {
			code = f.code
		}
		v = errorBody{mud.Clean(err.Error(), 1000)}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(instanceHeader, a.instance)
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // fails only where the client is gone
}

type errorBody struct {
	Error string `json:"error"`
}

// failure is an error with the status code that says whose it is.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return f.text }

func fail(code int, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return fail(http.StatusBadRequest, format, args...)
}

// do runs f in the engine's loop.
func (a *api) do(r *http.Request, f func(*enforcer.Engine)) error {
	if err := a.engine.Do(r.Context(), f); err != nil {
		return fail(http.StatusServiceUnavailable, "the engine did not answer: %v", err)
	}
	return nil
}
