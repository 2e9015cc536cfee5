package fetch

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mudguard/mud"
)

// stored is a client with a disk cache that accepted one signed file.
type stored struct {
	*site
	maker, signer *identity
	cfg           Config
	client        *Client
	url           mud.URL
	doc           Document
	now           time.Time
}

func store(t *testing.T) *stored {
	t.Helper()
	s := &stored{site: newSite(t), maker: makeCA(t, "Maker CA"), now: time.Now()}
	s.signer = makeSigner(t, s.maker)
	s.publish(t, s.signer)
	s.cfg = s.config(s.maker)
	s.cfg.CacheDir = filepath.Join(t.TempDir(), "mud")
	s.cfg.Clock = clockAt(func() time.Time { return s.now })
	s.client = newClient(t, s.cfg)
	s.url = mudURL(t, s.at("/lamp"))
	var err error
	s.doc, err = fetchAndKeep(t, s.client, s.url)
	must(t, err)
	s.requests()
	return s
}

// fetchAndKeep fetches a file and puts it to use.
func fetchAndKeep(t testing.TB, c *Client, u mud.URL) (Document, error) {
	t.Helper()
	doc, err := c.Fetch(t.Context(), u)
	if err == nil {
		err = c.Keep(doc)
	}
	return doc, err
}

// restart is a new process over the same directory.
func (s *stored) restart(t *testing.T, change func(*Config)) *Client {
	t.Helper()
	cfg := s.cfg
	if change != nil {
		change(&cfg)
	}
	return newClient(t, cfg)
}

func (s *stored) files(t *testing.T) map[string]os.FileInfo {
	t.Helper()
	m := map[string]os.FileInfo{}
	must(t, filepath.WalkDir(s.cfg.CacheDir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		m[p], err = d.Info()
		return err
	}))
	return m
}

func (s *stored) file(t *testing.T, suffix string) string {
	t.Helper()
	for name := range s.files(t) {
		if strings.HasSuffix(name, suffix) && !(suffix == ".json" && filepath.Base(name) == metaName) {
			return name
		}
	}
	t.Fatalf("no file %s", suffix)
	return ""
}

// TestCacheLoad: F12.
func TestCacheLoad(t *testing.T) {
	s := store(t)
	for name, info := range s.files(t) {
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	for name, now := range map[string]time.Time{"now": time.Now(), "1970": time.Unix(0, 0), "in 30 years": time.Now().AddDate(30, 0, 0)} {
		c := s.restart(t, func(c *Config) { c.Clock = clockAt(func() time.Time { return now }) })
		doc, err := c.Load(s.url)
		if err != nil {
			t.Fatalf("clock %s: %v", name, err)
		}
		if doc.SHA256 != s.doc.SHA256 || doc.Profile.SystemInfo != "A lamp" || !doc.Signed || doc.Signer != s.doc.Signer ||
			doc.SignerSKI != s.doc.SignerSKI || !doc.SignedAt.Equal(s.doc.SignedAt) || !doc.FromCache ||
			!doc.NextRefresh.Equal(s.doc.NextRefresh) || !doc.FetchedAt.Equal(s.doc.FetchedAt) || doc.ETag != s.doc.ETag {
			t.Errorf("clock %s: got %+v", name, doc)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("Load made %d requests", n)
	}
}

func TestCacheAbsent(t *testing.T) {
	s := store(t)
	_, err := s.client.Load(mudURL(t, "https://other.example/lamp"))
	if e := wantError(t, err, KindCache, ""); !errors.Is(err, fs.ErrNotExist) || e.Held() {
		t.Errorf("got %v", err)
	}
	must(t, s.client.Forget(s.url))
	must(t, s.client.Forget(s.url))
	if _, err = s.client.Load(s.url); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v after Forget", err)
	}
	none := s.restart(t, func(c *Config) { c.CacheDir = "" })
	if _, err = none.Load(s.url); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v without a cache", err)
	}
	must(t, none.Forget(s.url))
}

// A conditional request answered 304 costs one small answer and, within a day, no write (RAU-6-a, hardening 3.4).
func TestCacheConditional(t *testing.T) {
	s := store(t)
	before := s.files(t)
	s.now = s.now.Add(2 * time.Hour)
	doc, err := fetchAndKeep(t, s.client, s.url)
	must(t, err)
	seen := s.requests()
	if len(seen) != 1 || seen[0].Header.Get("If-None-Match") != s.doc.ETag {
		t.Fatalf("asked %d times, first with %v", len(seen), seen[0].Header)
	}
	if !doc.FromCache || !doc.Signed || doc.SHA256 != s.doc.SHA256 || doc.ETag != s.doc.ETag || !doc.FetchedAt.Equal(s.now) ||
		!doc.NextRefresh.After(s.now) || doc.Profile.SystemInfo != "A lamp" {
		t.Errorf("got %+v", doc)
	}
	for name, info := range s.files(t) {
		if before[name] == nil || !os.SameFile(info, before[name]) {
			t.Errorf("%s was written", name)
		}
	}
	s.now = s.now.Add(25 * time.Hour)
	_, err = fetchAndKeep(t, s.client, s.url)
	must(t, err)
	for name, info := range s.files(t) {
		written := before[name] == nil || !os.SameFile(info, before[name])
		if written != (filepath.Base(name) == metaName) {
			t.Errorf("after a day: %s written is %v", name, written)
		}
	}
	doc, err = s.restart(t, nil).Load(s.url)
	must(t, err)
	if !doc.FetchedAt.Equal(s.now) || !doc.Signed {
		t.Errorf("got %+v", doc)
	}
}

// A file that was accepted stays so when its signer's certificate expires; a new file by the same signer is held
// (erratum 7819, R8520-13.1-d).
func TestCacheExpiredSince(t *testing.T) {
	s := store(t)
	s.now = s.signer.cert.NotAfter.Add(time.Hour)
	c := s.restart(t, nil)
	doc, err := fetchAndKeep(t, c, s.url)
	must(t, err)
	if !doc.Signed || !doc.FromCache {
		t.Errorf("got %+v", doc)
	}
	doc, err = s.restart(t, nil).Load(s.url)
	must(t, err)
	if !doc.Signed {
		t.Errorf("got %+v", doc)
	}
	raw := append(mudFile(s.at("/lamp"), s.at("/lamp.p7s")), '\n')
	s.put("/lamp", mediaFile, raw)
	s.put("/lamp.p7s", mediaSignature, sign(t, raw, s.signer))
	_, err = fetchAndKeep(t, c, s.url)
	wantError(t, err, KindExpired, "expired since")
	doc, err = c.Load(s.url)
	must(t, err)
	if doc.SHA256 != s.doc.SHA256 {
		t.Error("a held file replaced the accepted one")
	}
}

// A failing server changes nothing in the cache (R8520-1.6-i); a new file replaces the old and leaves no litter (F8).
func TestCacheReplace(t *testing.T) {
	s := store(t)
	s.handle("/lamp", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	_, err := fetchAndKeep(t, s.client, s.url)
	wantError(t, err, KindHTTP, "500")
	_, err = s.client.Load(s.url)
	must(t, err)

	must(t, os.WriteFile(filepath.Join(filepath.Dir(s.file(t, metaName)), tempPrefix+"1"), []byte("cut"), 0o600))
	raw := append(mudFile(s.at("/lamp"), s.at("/lamp.p7s")), '\n')
	s.put("/lamp", mediaFile, raw)
	s.put("/lamp.p7s", mediaSignature, sign(t, raw, s.signer))
	doc, err := fetchAndKeep(t, s.client, s.url)
	must(t, err)
	again, err := s.restart(t, nil).Load(s.url)
	must(t, err)
	if doc.FromCache || again.SHA256 != digest(raw) {
		t.Errorf("got %+v", again)
	}
	if n := len(s.files(t)); n != 3 {
		t.Errorf("%d files: %v", n, s.files(t))
	}
	e, err := s.client.cache.read(s.url)
	must(t, err)
	if e.Generation != 1 {
		t.Errorf("generation %d", e.Generation)
	}
}

// A stricter policy and a trust anchor taken away count at once, for what is cached too (R8520-16-h).
func TestCacheAfterConfigChange(t *testing.T) {
	s := store(t)
	c := s.restart(t, func(c *Config) { c.SignerCAFiles = []string{makeCA(t, "Other").certFile} })
	_, err := c.Load(s.url)
	wantError(t, err, KindSignature, "is not known")
	_, err = fetchAndKeep(t, c, s.url)
	wantError(t, err, KindSignature, "is not known")

	s.put("/unsigned", mediaFile, mudFile(s.at("/unsigned"), ""))
	u := mudURL(t, s.at("/unsigned"))
	lax := s.restart(t, func(c *Config) { c.Policy = Warn })
	_, err = fetchAndKeep(t, lax, u)
	must(t, err)
	doc, err := lax.Load(u)
	must(t, err)
	if doc.Signed || !strings.Contains(doc.Warning, "names no mud-signature") {
		t.Errorf("got %+v", doc)
	}
	_, err = s.client.Load(u)
	wantError(t, err, KindSignature, "names no mud-signature")
}

// An unsigned file that is signed later with the same bytes needs the signature under require, though the server
// answers 304 for the file.
func TestCacheSignedLater(t *testing.T) {
	s := store(t)
	must(t, s.client.Forget(s.url))
	lax := s.restart(t, func(c *Config) { c.Policy = Ignore })
	_, err := fetchAndKeep(t, lax, s.url)
	must(t, err)
	_, err = s.client.Load(s.url)
	wantError(t, err, KindSignature, "not here")
	doc, err := fetchAndKeep(t, s.client, s.url)
	must(t, err)
	if !doc.Signed || !doc.FromCache {
		t.Errorf("got %+v", doc)
	}
	_, err = s.restart(t, nil).Load(s.url)
	must(t, err)
}

// Whatever a power cut or a hand left in a file, Load says which one it is, and Fetch repairs it (F10).
func TestCacheDamage(t *testing.T) {
	for _, suffix := range []string{metaName, ".json", ".p7s"} {
		for name, damage := range map[string]func(t *testing.T, file string){
			"empty":     func(t *testing.T, f string) { must(t, os.Truncate(f, 0)) },
			"cut":       func(t *testing.T, f string) { must(t, os.Truncate(f, 100)) },
			"changed":   func(t *testing.T, f string) { edit(t, f, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) },
			"huge":      func(t *testing.T, f string) { must(t, os.Truncate(f, 1<<30)) },
			"directory": func(t *testing.T, f string) { must(t, os.Remove(f)); must(t, os.Mkdir(f, 0o700)) },
		} {
			t.Run(suffix+" "+name, func(t *testing.T) {
				s := store(t)
				file := s.file(t, suffix)
				damage(t, file)
				_, err := s.client.Load(s.url)
				if e := wantError(t, err, KindCache, filepath.Base(file)); e.Held() || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("got %v", e)
				}
				_, err = fetchAndKeep(t, s.client, s.url)
				if name == "directory" { // what somebody made there is not ours to remove
					if err == nil {
						t.Error("no word of the failing write")
					}
					return
				}
				must(t, err)
				_, err = s.client.Load(s.url)
				must(t, err)
			})
		}
	}
	t.Run("missing file", func(t *testing.T) {
		s := store(t)
		must(t, os.Remove(s.file(t, ".p7s")))
		_, err := s.client.Load(s.url)
		wantError(t, err, KindCache, "is missing")
	})
}

func edit(t *testing.T, file string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, change(b), 0o600))
}

// Power cuts: after each prefix of the files' writes, Load gives the old entry or the new one (F11).
func TestCacheCut(t *testing.T) {
	s := store(t)
	old, err := s.client.cache.read(s.url)
	must(t, err)
	dir := s.client.cache.path(s.url)
	next := []byte("{}")
	steps := []func(){
		func() { must(t, writeBlob(dir, digest(next)+".json", next)) },
		func() { must(t, writeBlob(dir, digest(next)+".p7s", next)) },
		func() {
			m := old.meta
			m.SHA256, m.SigSHA256 = digest(next), digest(next)
			must(t, writeMeta(dir, m))
		},
		func() { must(t, sweep(dir, metaName, digest(next)+".json", digest(next)+".p7s")) },
	}
	for i, step := range steps {
		step()
		e, err := s.client.cache.read(s.url)
		must(t, err)
		if wantNew := i >= 2; (e.SHA256 == digest(next)) != wantNew {
			t.Errorf("after step %d: %s", i, e.SHA256)
		}
	}
}

// Two makers' "/v1" are two entries, and an entry in the wrong place is not believed (T-28).
func TestCacheKeys(t *testing.T) {
	s := store(t)
	a, b := mudURL(t, "https://a.example/v1"), mudURL(t, "https://b.example/v1")
	if s.client.cache.path(a) == s.client.cache.path(b) {
		t.Fatal("one directory for two URLs")
	}
	must(t, os.Rename(s.client.cache.path(s.url), s.client.cache.path(a)))
	_, err := s.client.Load(a)
	wantError(t, err, KindCache, "is about")
}

// A file that can't be stored is still a good file (F10).
func TestCacheUnwritable(t *testing.T) {
	s := store(t)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	c := s.restart(t, func(c *Config) { c.CacheDir = file })
	doc, err := fetchAndKeep(t, c, s.url)
	if err == nil || !strings.Contains(err.Error(), file) || !doc.Signed {
		t.Errorf("got %v, %+v", err, doc)
	}
	if _, err = c.Load(s.url); err == nil {
		t.Error("loaded from a file that is no directory")
	}
}

// The cache holds so many URLs and no more: a LAN host can announce as many as it likes.
func TestCacheFull(t *testing.T) {
	s := store(t)
	for i := range maxEntries {
		must(t, os.MkdirAll(filepath.Join(s.cfg.CacheDir, digest([]byte{byte(i), byte(i >> 8)})), 0o700))
	}
	must(t, s.client.Forget(s.url))
	_, err := fetchAndKeep(t, s.client, s.url)
	if err == nil || !strings.Contains(err.Error(), "already holds") {
		t.Errorf("got %v", err)
	}
}

func FuzzCacheMeta(f *testing.F) {
	f.Add([]byte(`{"checksum":"","entry":{}}`))
	f.Add([]byte(`{"checksum":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","entry":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), metaName)
		must(t, os.WriteFile(name, data, 0o600))
		if m, err := readMeta(name); err == nil {
			_, _ = readBlob(filepath.Dir(name), m.SHA256, ".json", 100)
		}
	})
}
