package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed pages
var pages embed.FS

//go:embed openapi.json
var openAPI []byte

// openAPI describes the API (OpenAPI 3.1).
func (a *api) openAPI(r *http.Request) (any, error) {
	return json.RawMessage(openAPI), onlyQuery(r)
}

// asset is a file of the pages.
type asset struct {
	kind, tag string
	content   []byte
	short     func() []byte // the content, compressed
}

// newPages gives the pages by where they are: index.html at /, the others below /assets/. A host may have no table of media
// types, so those in use are said here.
func newPages(z *zipper) map[string]http.Handler {
	kinds := map[string]string{".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
		".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".json": "application/json", ".webmanifest": "application/manifest+json",
		".png": "image/png", ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8"}
	out := map[string]http.Handler{}
	_ = fs.WalkDir(pages, "pages", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := pages.ReadFile(name)
		if err != nil {
			return err // of an embedded file: never
		}
		at := "/assets" + strings.TrimPrefix(name, "pages")
		if name == "pages/index.html" {
			at = "/{$}"
		}
		sum := sha256.Sum256(content)
		short := sync.OnceValue(func() []byte { return z.zip(content) })
		out[at] = asset{kinds[path.Ext(name)], fmt.Sprintf("%x", sum[:12]), content, short}
		return nil
	})
	return out
}

// ServeHTTP implements http.Handler. The browser keeps the file and asks whether it is still the same.
func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	content, tag := a.content, a.tag
	if takesGzip(r) {
		content, tag = a.short(), tag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// guarding sets what keeps a browser from doing with our answers what they are not for (T22): no script but our files, no frames,
// no guessing of types, nothing told to other sites.
func guarding(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(self), geolocation=(), microphone=()")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		next.ServeHTTP(w, r)
	})
}
