//go:build linux && amd64

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"mudguard/internal/steps"
)

// TestStatePowerCut: F11. A program that saves states and notes the time is watched, and the power is cut after each of its steps,
// with all that the disk may then have: what had been saved is there, or what was being saved, and no error.
func TestStatePowerCut(t *testing.T) {
	const saves, dirEnv = 6, "MUDGUARD_TEST_SAVE_IN"
	if dir := os.Getenv(dirEnv); dir != "" {
		for i := range saves {
			must(t, store{dir}.save(tenDevices(fmt.Sprintf("%d-", i+1))))
			must(t, writeFile(filepath.Join(dir, clockFile), []byte(strconv.Itoa(i+1))))
			fmt.Println("saved")
		}
		return
	}
	disk := steps.Disk{Dir: filepath.Join(t.TempDir(), "state")}
	must(t, disk.Record(os.Args[0], []string{"-test.run=^TestStatePowerCut$"}, dirEnv+"="+disk.Dir))
	scratch := t.TempDir()
	n := disk.Cuts(15, 1, func(c steps.Cut) {
		dir := filepath.Join(scratch, "now")
		must(t, os.RemoveAll(dir))
		must(t, c.Write(dir))
		got, err := store{filepath.Join(dir, "state")}.load()
		version := 0
		if len(got.Devices) == 10 {
			_, _ = fmt.Sscanf(got.Devices[9].Hostname, "%d-", &version)
		}
		if err != nil || version != c.Saved && version != c.Saved+1 || got.Lost != (version == 0) {
			t.Fatalf("cut after %s: saved %d, loaded %d, lost %v, %v", c.When, c.Saved, version, got.Lost, err)
		}
		noted := string(c.Files["state/"+clockFile])
		if noted != strconv.Itoa(c.Saved) && noted != strconv.Itoa(c.Saved+1) && (noted != "" || c.Saved > 0) {
			t.Fatalf("cut after %s: noted %d, and there is %q", c.When, c.Saved, noted)
		}
	})
	if n < 1000 {
		t.Errorf("%d cuts", n)
	}
	t.Logf("%d cuts", n)
}
