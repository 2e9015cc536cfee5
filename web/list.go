package web

import (
	"net/http"
	"net/url"
	"strconv"
)

// Bounds of one answer of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// page is a part of a list, and where the next one is.
type page struct {
	items any
	next  string // "" for the last
}

func (p page) header(h http.Header) any {
	if p.next != "" {
		h.Set("Link", "<"+p.next+`>; rel="next"`)
	}
	return p.items
}

// span is what part of a list a request asks for.
type span struct {
	limit  int
	cursor string
	asked  bool // in parts
	url    url.URL
}

// readSpan reads limit and cursor.
func readSpan(r *http.Request) (s span, err error) {
	q := r.URL.Query()
	s = span{limit: defaultLimit, cursor: q.Get("cursor"), asked: q.Has("limit") || q.Has("cursor"), url: *r.URL}
	if q.Has("limit") {
		if s.limit, err = strconv.Atoi(q.Get("limit")); err != nil || s.limit < 1 || s.limit > maxLimit {
			return s, badRequest("limit must be a number from 1 to %d, not %.40q", maxLimit, q.Get("limit"))
		}
	}
	return s, nil
}

// cut gives the first items of those that follow the cursor, and where the next part is: after the one that mark names.
func cut[T any](s span, rest []T, mark func(T) string) page {
	if len(rest) <= s.limit {
		return page{items: rest}
	}
	q := s.url.Query()
	q.Set("cursor", mark(rest[s.limit-1]))
	q.Set("limit", strconv.Itoa(s.limit))
	s.url.RawQuery = q.Encode()
	return page{rest[:s.limit], s.url.RequestURI()}
}
