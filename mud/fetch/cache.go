package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mudguard/mud"
)

const (
	maxEntries  = 512 // URLs kept: what a LAN host makes us fetch must not fill the flash
	maxMetaSize = 16 << 10
	metaName    = "meta.json"
	tempPrefix  = ".tmp-"
	confirmed   = 24 * time.Hour // how often an unchanged file's confirmation is worth a write (hardening 3.4)
)

// cache keeps accepted files: one directory for each URL, named by the hash of the whole normalised URL so that
// two makers' "/v1" never meet (T-28). A directory holds meta.json, which names the file and its signature by
// their hashes: replacing meta.json is the one step that changes the entry.
type cache struct {
	dir     string // "": no cache
	maxFile int64
}

// entry is one cached file.
type entry struct {
	meta
	raw []byte
	sig []byte // only one that was found good
}

// meta is meta.json, inside an envelope with a checksum.
type meta struct {
	URL          string    `json:"url"`
	SHA256       string    `json:"sha256"`
	SigSHA256    string    `json:"sig_sha256,omitempty"`
	Signed       bool      `json:"signed"`
	Signer       string    `json:"signer,omitempty"`
	SignerSKI    string    `json:"signer_ski,omitempty"`
	SignedAt     time.Time `json:"signed_at,omitzero"`
	AcceptedAt   time.Time `json:"accepted_at"` // when the signature was found good, or the file let through
	FetchedAt    time.Time `json:"fetched_at"`
	NextRefresh  time.Time `json:"next_refresh"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	Generation   int       `json:"generation"` // counts the contents that this URL had
	Provisional  bool      `json:"provisional,omitempty"`
}

type envelope struct {
	Checksum string          `json:"checksum"` // SHA-256 of Entry as written
	Entry    json.RawMessage `json:"entry"`
}

func (c cache) path(u mud.URL) string { return filepath.Join(c.dir, digest([]byte(u.String()))) }

// read returns the entry for u if every byte of it is as it was written. Errors name the file, and wrap
// fs.ErrNotExist where there is no entry.
func (c cache) read(u mud.URL) (*entry, error) {
	if c.dir == "" {
		return nil, fmt.Errorf("no cache_dir is configured: %w", fs.ErrNotExist)
	}
	dir := c.path(u)
	m, err := readMeta(filepath.Join(dir, metaName))
	if err != nil {
		return nil, err
	}
	if m.URL != u.String() {
		return nil, fmt.Errorf("%q is about %q, not %q", filepath.Join(dir, metaName), m.URL, u)
	}
	e := &entry{meta: m}
	if e.raw, err = readBlob(dir, m.SHA256, ".json", c.maxFile); err != nil {
		return nil, err
	}
	if m.SigSHA256 != "" {
		if e.sig, err = readBlob(dir, m.SigSHA256, ".p7s", MaxSignatureSize); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func readMeta(name string) (meta, error) {
	var m meta
	data, err := readFile(name, maxMetaSize)
	if err != nil {
		return m, err
	}
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return m, fmt.Errorf("%q is damaged: %w", name, err)
	}
	if digest(env.Entry) != env.Checksum {
		return m, fmt.Errorf("%q is damaged: its checksum differs", name)
	}
	if err := json.Unmarshal(env.Entry, &m); err != nil {
		return m, fmt.Errorf("%q is damaged: %w", name, err)
	}
	return m, nil
}

func readBlob(dir, hash, suffix string, limit int64) ([]byte, error) {
	if len(hash) != 64 || strings.Trim(hash, "0123456789abcdef") != "" {
		return nil, fmt.Errorf("%q is damaged: %q is no SHA-256", filepath.Join(dir, metaName), hash)
	}
	name := filepath.Join(dir, hash+suffix)
	data, err := readFile(name, limit)
	if errors.Is(err, fs.ErrNotExist) { // damage, and not an absent entry
		return nil, fmt.Errorf("%q is missing", name)
	}
	if err != nil {
		return nil, err
	}
	if digest(data) != hash {
		return nil, fmt.Errorf("%q is damaged: its checksum differs", name)
	}
	return data, nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%q is larger than %d bytes", name, limit)
	}
	return data, nil
}

// Keep stores a document that is put to use, if that changes anything worth a write: Load gives it then. A file that cannot
// be kept will be missing after a restart.
func (c *Client) Keep(doc Document) error {
	if c.cache.dir == "" {
		return nil
	}
	e := &entry{raw: doc.Raw, sig: doc.Signature, meta: meta{
		URL: doc.URL.String(), SHA256: doc.SHA256, Signed: doc.Signed,
		Signer: doc.Signer, SignerSKI: doc.SignerSKI, SignedAt: doc.SignedAt,
		AcceptedAt: doc.FetchedAt, FetchedAt: doc.FetchedAt, NextRefresh: doc.NextRefresh,
		ETag: doc.ETag, LastModified: doc.LastModified, Provisional: doc.Provisional,
	}}
	if len(e.sig) > 0 {
		e.SigSHA256 = digest(e.sig)
	}
	if old, err := c.cache.read(doc.URL); err == nil {
		e.succeed(old)
		if !e.worthWriting(old) {
			return nil
		}
	}
	if err := c.cache.write(doc.URL, e); err != nil {
		return fmt.Errorf("the file of %s can't be kept for the next start: %w", doc.URL, err)
	}
	return nil
}

// succeed carries over what stays true of the same content: when it was accepted is what Load judges it by.
func (e *entry) succeed(old *entry) {
	e.Generation = old.Generation
	if e.SHA256 != old.SHA256 {
		e.Generation++
	} else if e.Signed == old.Signed && e.SigSHA256 == old.SigSHA256 && !old.Provisional {
		e.AcceptedAt, e.Provisional = old.AcceptedAt, false
	}
}

// worthWriting reports whether e says more than that an unchanged file was confirmed again.
func (e *entry) worthWriting(old *entry) bool {
	since := e.FetchedAt.Sub(old.FetchedAt)
	return e.SHA256 != old.SHA256 || e.Provisional != old.Provisional || e.SigSHA256 != old.SigSHA256 || e.Signed != old.Signed ||
		e.ETag != old.ETag || e.LastModified != old.LastModified || since >= confirmed || since < 0
}

// write stores e: the contents first, then meta.json, each whole or not at all.
func (c cache) write(u mud.URL, e *entry) error {
	dir := c.path(u)
	if err := c.room(dir); err != nil {
		return err
	}
	for _, d := range []string{c.dir, dir} { // a directory stays once the one that it is in is synced
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("creating %q: %w", d, err)
		}
		if err := syncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	if err := writeBlob(dir, e.SHA256+".json", e.raw); err != nil {
		return err
	}
	if len(e.sig) > 0 {
		if err := writeBlob(dir, e.SigSHA256+".p7s", e.sig); err != nil {
			return err
		}
	}
	if err := writeMeta(dir, e.meta); err != nil {
		return err
	}
	return sweep(dir, metaName, e.SHA256+".json", e.SigSHA256+".p7s")
}

// room refuses one more directory when there are too many; what is there is not given up for what is new,
// because whoever floods us would choose what we lose.
func (c cache) room(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	names, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the cache: %w", err)
	}
	if len(names) >= maxEntries {
		return fmt.Errorf("%q already holds %d files", c.dir, maxEntries)
	}
	return nil
}

func writeMeta(dir string, m meta) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding meta of %q: %w", m.URL, err)
	}
	data, err := json.Marshal(envelope{Checksum: digest(body), Entry: body})
	if err != nil {
		return fmt.Errorf("encoding meta of %q: %w", m.URL, err)
	}
	return writeFile(dir, metaName, data)
}

// writeBlob writes nothing where the same content is there already.
func writeBlob(dir, name string, data []byte) error {
	have, err := readFile(filepath.Join(dir, name), int64(len(data)))
	if err == nil && bytes.Equal(have, data) {
		return nil
	}
	return writeFile(dir, name, data)
}

// writeFile replaces a file so that a power cut leaves the old or the new one. On UBIFS a rename alone does
// not: both the file and the directory have to be synced (hardening 3.4).
func writeFile(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, tempPrefix+"*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %q: %w", filepath.Join(dir, name), err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("writing %q: %w", filepath.Join(dir, name), err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing %q: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing %q: %w", dir, err)
	}
	return nil
}

// sweep removes what earlier generations and cut-off writes left in dir.
func sweep(dir string, keep ...string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("tidying %q: %w", dir, err)
	}
	for _, n := range names {
		if !slices.Contains(keep, n.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, n.Name())))
		}
	}
	return err
}

func (c cache) remove(u mud.URL) error {
	if c.dir == "" {
		return nil
	}
	if err := os.RemoveAll(c.path(u)); err != nil {
		return fmt.Errorf("forgetting %q: %w", u, err)
	}
	return nil
}
