package fetch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mudguard/mud"
)

// A slow host delays its own URLs only; a URL in flight is not fetched twice (T25).
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		got := map[string]time.Duration{}
		busy, most := map[string]int{}, 0
		start := time.Now()
		p := NewPool(t.Context(), func(_ context.Context, u mud.URL) (Document, error) {
			mu.Lock()
			busy[u.Host()]++
			most = max(most, busy[u.Host()])
			mu.Unlock()
			if u.Host() == "slow.example" {
				time.Sleep(10 * time.Second)
			}
			mu.Lock()
			busy[u.Host()]--
			mu.Unlock()
			return Document{URL: u}, nil
		}, func(u mud.URL, doc Document, err error) {
			mu.Lock()
			defer mu.Unlock()
			if _, twice := got[u.String()]; twice || doc.URL != u || err != nil {
				t.Errorf("result for %s: %+v, %v, twice: %v", u, doc.URL, err, twice)
			}
			got[u.String()] = time.Since(start)
		})
		for _, u := range []string{"https://slow.example/1", "https://slow.example/1", "https://slow.example/2", "https://fast.example/1"} {
			if !p.Submit(mudURL(t, u)) {
				t.Errorf("%s refused", u)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		p.Close()
		want := map[string]time.Duration{"https://slow.example/1": 10 * time.Second,
			"https://slow.example/2": 20 * time.Second, "https://fast.example/1": 0}
		if fmt.Sprint(got) != fmt.Sprint(want) || most != 1 {
			t.Errorf("results at %v, want %v; %d at once on one host", got, want, most)
		}
	})
}

// However many URLs somebody announces, so many are fetched at once and wait (R8520-1.6-l, T-34, T7).
func TestPoolBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most, done := 0, 0, 0
		var p *Pool
		p = NewPool(t.Context(), func(ctx context.Context, u mud.URL) (Document, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
			mu.Lock()
			running--
			mu.Unlock()
			return Document{}, ctx.Err()
		}, func(u mud.URL, _ Document, _ error) {
			mu.Lock()
			done++
			again := done == 1
			mu.Unlock()
			if again && !p.Submit(u) {
				t.Error("a URL can't be submitted from its own result")
			}
		})
		refused := 0
		for i := range slots + maxQueue + 5 {
			if !p.Submit(mudURL(t, fmt.Sprintf("https://h%d.example/", i))) {
				refused++
			}
		}
		if refused != 5 {
			t.Errorf("%d refused", refused)
		}
		time.Sleep(25 * time.Second)
		synctest.Wait()
		p.Close()
		if most != slots || done != 2*slots || p.Submit(mudURL(t, "https://late.example/")) {
			t.Errorf("%d at once, %d done", most, done)
		}
	})
}
