package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mudguard/enforcer"
)

// store keeps the engine's state in one file. A cut at any byte leaves the old state or the new one: temporary file,
// fsync, rename, fsync of the directory (hardening.md 3.4). The state before is kept beside it.
type store struct{ dir string }

const (
	stateFile    = "state.json"
	stateVersion = 1
	maxState     = 16 << 20
)

func (s store) path() string { return filepath.Join(s.dir, stateFile) }

// load gives the newest state that can be read. A broken file is named in the error and left alone, and the one before it
// is used; with neither the daemon starts empty: the engine then takes from the kernel which devices were under policy, and
// restricts them until they announce their URL again.
func (s store) load() (enforcer.State, error) {
	state, err := readState(s.path())
	if err == nil {
		return state, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return enforcer.State{Lost: true}, nil
	}
	old, oldErr := readState(s.path() + ".old")
	if oldErr != nil {
		old = enforcer.State{}
	}
	old.Lost = true
	return old, err
}

func readState(path string) (enforcer.State, error) {
	var st enforcer.State
	info, err := os.Stat(path)
	if err != nil {
		return st, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxState {
		return st, fmt.Errorf("state file %s is not a file of at most %d bytes", path, maxState)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return st, err
	}
	if err := unseal(raw, &st); err != nil {
		return enforcer.State{}, fmt.Errorf("state file %s cannot be read: %w", path, err)
	}
	if st.Version != stateVersion && (st.Version < stateVersion || st.Oldest == 0 || st.Oldest > stateVersion) {
		return enforcer.State{}, fmt.Errorf("state file %s has version %d, this mudguard reads version %d", path, st.Version, stateVersion)
	}
	for _, d := range st.Devices {
		if d == nil || d.MAC.IsZero() {
			return enforcer.State{}, fmt.Errorf("state file %s holds a device without a MAC", path)
		}
	}
	return st, nil
}

// sealed is what is in the file: a disk may also return what was never written.
type sealed struct {
	Checksum string          `json:"checksum"` // SHA-256 of State as written
	State    json.RawMessage `json:"state"`
}

func seal(st enforcer.State) ([]byte, error) {
	raw, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed{fmt.Sprintf("%x", sha256.Sum256(raw)), raw})
}

func unseal(raw []byte, st *enforcer.State) error {
	var s sealed
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if s.Checksum != fmt.Sprintf("%x", sha256.Sum256(s.State)) {
		return errors.New("its checksum differs")
	}
	return json.Unmarshal(s.State, st)
}

// writeFile replaces a file so that a power cut leaves the old or the new one.
func writeFile(name string, data []byte) error {
	if err := makeDir(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := writeSynced(name+".new", data); err != nil {
		return err
	}
	return errors.Join(os.Rename(name+".new", name), syncDir(filepath.Dir(name)))
}

func (s store) save(st enforcer.State) error {
	raw, err := seal(st)
	if err != nil {
		return fmt.Errorf("encoding state: %w", err)
	}
	if err := makeDir(s.dir, 0o700); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	tmp := s.path() + ".new"
	if err := writeSynced(tmp, raw); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	if err := os.Link(s.path(), s.path()+".old.new"); err == nil {
		_ = os.Rename(s.path()+".old.new", s.path()+".old") // the copy is a help, not a promise
	}
	if err := os.Rename(tmp, s.path()); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	if err := syncDir(s.dir); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	return nil
}

// makeDir makes a directory, and what it is in, so that no power cut takes it away again with all that is written there.
func makeDir(dir string, mode os.FileMode) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent, mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func writeSynced(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
