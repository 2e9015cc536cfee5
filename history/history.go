// Package history keeps records on disk for people to ask: JSON lines in segments, of which the oldest go when there is no more
// space. It is written once an hour and at the end, with a bound on each write, so that flash lives (hardening.md 3.4).
//
// It must not decide what is worth keeping, nor keep anything open: a cut at any byte loses at most the last write.
package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"mudguard/enforcer"
)

// Bounds of files and writes.
const (
	maxWrite  = 40 << 10 // 24 times a day this is less than 1 MiB
	segments  = 8        // into which the space is divided
	minSize   = 64 << 10
	suffix    = ".jsonl"
	nameWidth = 10
)

// Store is a history in a directory of its own.
type Store struct {
	dir   string
	size  int64 // of one segment
	total int64

	mu   sync.Mutex
	segs []segment // in order
	last uint64    // ID that was given last
}

// segment is one file.
type segment struct {
	number int
	size   int64
	torn   bool // it does not end with a whole line, so nothing may follow
}

// Open gives the history in a directory, which is made if it is not there. It takes at most that many bytes of the disk.
func Open(dir string, most int64) (*Store, error) {
	most = max(most, minSize)
	s := &Store{dir: dir, size: most / segments, total: most}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the history: %w", err)
	}
	entries, err := os.ReadDir(dir) // in the order of the names, which is that of the numbers
	if err != nil {
		return nil, fmt.Errorf("opening the history: %w", err)
	}
	for _, e := range entries {
		n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), suffix))
		if err != nil || n <= 0 || e.Name() != name(n) {
			continue // not ours
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			s.segs = append(s.segs, segment{number: n, size: info.Size()})
		}
	}
	s.findLast()
	return s, nil
}

func name(n int) string { return fmt.Sprintf("%0*d%s", nameWidth, n, suffix) }

func (s *Store) path(n int) string { return filepath.Join(s.dir, name(n)) }

// findLast looks where to go on: after the last record that can be read.
func (s *Store) findLast() {
	for i := len(s.segs) - 1; i >= 0; i-- {
		raw, err := s.read(s.segs[i])
		s.segs[i].torn = err != nil || len(raw) > 0 && raw[len(raw)-1] != '\n'
		for _, r := range parse(raw) {
			s.last = max(s.last, r.ID)
		}
		if s.last > 0 {
			return
		}
	}
}

// read gives a segment, as far as one may be long.
func (s *Store) read(seg segment) ([]byte, error) {
	if seg.size > s.total+maxWrite {
		return nil, errors.New("segment too large")
	}
	return os.ReadFile(s.path(seg.number))
}

// parse reads the lines that are whole; others are what a cut left.
func parse(raw []byte) []enforcer.Record {
	var out []enforcer.Record
	for line := range bytes.Lines(raw) {
		var r enforcer.Record
		if bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &r) == nil && r.ID > 0 {
			out = append(out, r)
		}
	}
	return out
}

// Append writes records, in one go. Where they are too many for one write the last are left out, which the error tells.
func (s *Store) Append(list []enforcer.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	left := 0
	for i, r := range list {
		r.ID = s.last + 1
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("writing the history: %w", err)
		}
		if b.Len()+len(line)+1 > maxWrite {
			left = len(list) - i
			break
		}
		b.Write(append(line, '\n'))
		s.last++
	}
	if err := s.write(b.Bytes()); err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	s.shrink()
	if left > 0 {
		return fmt.Errorf("writing the history: %d of %d records of this hour are left out, as one write has at most %d KiB", left, len(list), maxWrite>>10)
	}
	return nil
}

// write adds to the last segment, or to a new one where that is full or torn.
func (s *Store) write(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	n := len(s.segs)
	fresh := n == 0 || s.segs[n-1].torn || s.segs[n-1].size+int64(len(data)) > s.size
	if fresh {
		next := segment{number: 1}
		if n > 0 {
			next.number = s.segs[n-1].number + 1
		}
		s.segs = append(s.segs, next)
	}
	seg := &s.segs[len(s.segs)-1]
	f, err := os.OpenFile(s.path(seg.number), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		seg.torn = true
		return err
	}
	written, err := f.Write(data)
	seg.size += int64(written)
	err = errors.Join(err, f.Sync(), f.Close())
	if fresh {
		err = errors.Join(err, syncDir(s.dir))
	}
	seg.torn = err != nil
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// shrink removes the oldest segments until the rest fits.
func (s *Store) shrink() {
	var sum int64
	for _, seg := range s.segs {
		sum += seg.size
	}
	for len(s.segs) > 1 && sum > s.total {
		_ = os.Remove(s.path(s.segs[0].number)) // one that stays is found at the next start
		sum -= s.segs[0].size
		s.segs = s.segs[1:]
	}
}

// Query gives records, the newest first.
func (s *Store) Query(q enforcer.HistoryQuery) ([]enforcer.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []enforcer.Record{}
	for _, seg := range slices.Backward(s.segs) {
		raw, err := s.read(seg)
		if err != nil {
			return out, fmt.Errorf("reading the history: %w", err)
		}
		for _, r := range slices.Backward(parse(raw)) {
			if len(out) >= q.Limit {
				return out, nil
			}
			if q.Has(r) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}
