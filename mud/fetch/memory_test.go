package fetch

import (
	"net/http"
	"runtime"
	"testing"
)

// T7: what a server sends without end costs no more memory than the largest file would.
func TestFetchMemory(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{"endless": endless, "gzip": zipped} {
		s := newSite(t)
		s.handle("/lamp", handle)
		cfg := s.config(nil)
		cfg.MaxSize = 1 << 20
		c := newClient(t, cfg)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := c.Fetch(t.Context(), mudURL(t, s.at("/lamp"))); err == nil {
			t.Errorf("%s: fetched", name)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 24<<20 { // the server's part and buffers that grew are in it
			t.Errorf("%s: took %d bytes", name, took)
		}
	}
}
