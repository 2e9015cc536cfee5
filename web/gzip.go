package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// leastZip is what one packet carries anyway.
const leastZip = 1 << 10

// zipper compresses answers, one at a time with one writer, whose tables are most of a megabyte. What it gives is whole, so that no
// slow client keeps the others waiting. No answer holds a secret that its length could betray.
type zipper struct {
	mu     sync.Mutex
	writer *gzip.Writer // nil before the first answer
}

func (z *zipper) zip(body []byte) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	out := bytes.NewBuffer(make([]byte, 0, len(body)/4))
	if z.writer == nil {
		z.writer = gzip.NewWriter(out)
	} else {
		z.writer.Reset(out)
	}
	_, _ = z.writer.Write(body) // to memory: no error
	_ = z.writer.Close()
	return out.Bytes()
}

// body gives the body of an answer as the client takes it, and says so in the answer's header.
func (z *zipper) body(h http.Header, r *http.Request, body []byte) []byte {
	if r.Method != http.MethodGet || len(body) < leastZip {
		return body
	}
	h.Add("Vary", "Accept-Encoding")
	if !takesGzip(r) {
		return body
	}
	h.Set("Content-Encoding", "gzip")
	return z.zip(body)
}

// takesGzip says that a client names gzip, and does not refuse it by a weight of zero.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, weighed := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			f, err := strconv.ParseFloat(q, 64)
			return !weighed || err == nil && f > 0
		}
	}
	return false
}
