package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

func tenDevices(url string) enforcer.State {
	s := enforcer.State{Version: stateVersion}
	for i := range 10 {
		s.Devices = append(s.Devices, &enforcer.Device{MAC: dhcp.MAC{2, 5: byte(i)}, Hostname: fmt.Sprint(url, i)})
	}
	return s
}

// TestStateCut: F4, F10, F11. The power goes at every byte of every step of a save: what is loaded then is the old state or the new
// one, whole. A file that is cut, damaged or of another version is named in the error, and the one before it is used.
func TestStateCut(t *testing.T) {
	s := store{dir: t.TempDir()}
	must(t, s.save(tenDevices("first")))
	must(t, s.save(tenDevices("old")))
	old, err := os.ReadFile(s.path())
	must(t, err)
	loads := func(when, want string, broken bool) {
		t.Helper()
		got, err := s.load()
		if len(got.Devices) != 10 || got.Devices[9].Hostname != want || got.Lost != broken || (err != nil) != broken {
			t.Fatalf("%s: %d devices, lost %v, %v", when, len(got.Devices), got.Lost, err)
		}
		if broken && !strings.Contains(err.Error(), s.path()) {
			t.Fatalf("%s: %v", when, err)
		}
	}
	for n := range len(old) { // the new file is being written
		must(t, os.WriteFile(s.path()+".new", old[:n], 0o600))
		loads("while writing", "old9", false)
	}
	must(t, os.Link(s.path(), s.path()+".old.new"))
	loads("with the copy begun", "old9", false)
	must(t, os.Remove(s.path()+".old.new"))
	must(t, s.save(tenDevices("new")))
	loads("saved", "new9", false)
	for n := range len(old) { // a disk that keeps no promise
		must(t, os.WriteFile(s.path(), old[:n], 0o600))
		loads(fmt.Sprint("cut at ", n), "old9", true)
	}
	for n := range len(old) { // or returns what was never written
		flipped := bytes.Clone(old)
		flipped[n] ^= 1
		must(t, os.WriteFile(s.path(), flipped, 0o600))
		loads(fmt.Sprint("another bit at ", n), "old9", true)
	}
	other, err := seal(enforcer.State{Version: stateVersion + 1})
	must(t, err)
	must(t, os.WriteFile(s.path(), other, 0o600))
	loads("of another version", "old9", true)
	next := tenDevices("next")
	next.Version, next.Oldest = stateVersion+1, stateVersion+1
	writeState(t, s, next)
	loads("of another version that says who can read it, and not we", "old9", true)
	next.Oldest = stateVersion
	writeState(t, s, next)
	loads("of the next version, which we can read", "next9", false)
	must(t, s.save(tenDevices("again")))
	loads("written by this version after it", "again9", false)
	must(t, os.WriteFile(s.path(), other, 0o600))
	must(t, os.WriteFile(s.path()+".old", nil, 0o600))
	if got, err := s.load(); err == nil || !got.Lost || len(got.Devices) > 0 {
		t.Errorf("with neither: %d devices, lost %v, %v", len(got.Devices), got.Lost, err)
	}
}

// writeState writes what the program of another version would: with a field that we do not know.
func writeState(t *testing.T, s store, st enforcer.State) {
	t.Helper()
	raw, err := json.Marshal(st)
	must(t, err)
	raw = bytes.Replace(raw, []byte(`{"version"`), []byte(`{"new":{"in":"that version"},"version"`), 1)
	file, err := json.Marshal(sealed{fmt.Sprintf("%x", sha256.Sum256(raw)), raw})
	must(t, err)
	must(t, os.WriteFile(s.path(), file, 0o600))
}
