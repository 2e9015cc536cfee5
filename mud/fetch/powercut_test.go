//go:build linux && amd64

package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"mudguard/internal/steps"
)

// TestCachePowerCut: F11. A program that keeps one version of a signed profile after the other is watched, and the power is cut
// after each of its steps, with all that the disk may then have: Load gives what had been kept or what was being kept, with a
// signature that is good, and only what was never kept may be missing.
func TestCachePowerCut(t *testing.T) {
	const versions, fromEnv, dirEnv, urlEnv = 5, "MUDGUARD_TEST_KEEP_FROM", "MUDGUARD_TEST_KEEP_IN", "MUDGUARD_TEST_KEEP_URL"
	file := func(dir string, i int, suffix string) string { return filepath.Join(dir, strconv.Itoa(i+1)+suffix) }
	if from := os.Getenv(fromEnv); from != "" {
		c := &Client{cache: cache{dir: os.Getenv(dirEnv), maxFile: 1 << 20}}
		for i := range versions {
			raw, err := os.ReadFile(file(from, i, ".json"))
			must(t, err)
			sig, err := os.ReadFile(file(from, i, ".p7s"))
			must(t, err)
			must(t, c.Keep(Document{URL: mudURL(t, os.Getenv(urlEnv)), Raw: raw, SHA256: digest(raw), Signed: true, Signature: sig, FetchedAt: time.Now()}))
			fmt.Println("saved")
		}
		return
	}
	s, from := store(t), t.TempDir()
	for i := range versions {
		raw := bytes.Replace(s.doc.Raw, []byte("A lamp"), fmt.Appendf(nil, "Version %d", i+1), 1)
		must(t, os.WriteFile(file(from, i, ".json"), raw, 0o600))
		must(t, os.WriteFile(file(from, i, ".p7s"), sign(t, raw, s.signer), 0o600))
	}
	disk := steps.Disk{Dir: filepath.Join(t.TempDir(), "profiles")}
	must(t, disk.Record(os.Args[0], []string{"-test.run=^TestCachePowerCut$"}, fromEnv+"="+from, dirEnv+"="+disk.Dir, urlEnv+"="+s.url.String()))
	dir := filepath.Join(t.TempDir(), "now")
	c := s.restart(t, func(c *Config) { c.CacheDir = filepath.Join(dir, "profiles") })
	n := disk.Cuts(12, 1, func(cut steps.Cut) {
		must(t, os.RemoveAll(dir))
		must(t, cut.Write(dir))
		doc, err := c.Load(s.url)
		version := 0
		_, _ = fmt.Sscanf(doc.Profile.SystemInfo, "Version %d", &version)
		if cut.Saved == 0 && errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil || !doc.Signed || version != cut.Saved && version != cut.Saved+1 {
			t.Fatalf("cut after %s: kept %d, loaded %d, signed %v: %v", cut.When, cut.Saved, version, doc.Signed, err)
		}
	})
	if n < 1000 {
		t.Errorf("%d cuts", n)
	}
	t.Logf("%d cuts", n)
}
