package history

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

var (
	lamp  = dhcp.MAC{2, 0, 0, 0, 0, 1}
	plug  = dhcp.MAC{2, 0, 0, 0, 0, 2}
	epoch = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
)

func open(t *testing.T, dir string, most int64) *Store {
	t.Helper()
	s, err := Open(dir, most)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hour is what one hour of a house comes to.
func hour(n int) []enforcer.Record {
	at := epoch.Add(time.Duration(n) * time.Hour)
	return []enforcer.Record{{Kind: enforcer.RecordState, Time: at, MAC: plug, Device: "plug", State: enforcer.StatusHeld},
		{Kind: enforcer.RecordCounters, Time: at, MAC: lamp, Device: "lamp", Counters: &enforcer.CounterRecord{Allowed: uint32(n), Denied: 1}},
		{Kind: enforcer.RecordDenial, Time: at, MAC: lamp, Device: "lamp", Denial: &enforcer.DenialRecord{Count: 7, First: at, Last: at,
			AttemptKey: enforcer.AttemptKey{MAC: lamp, Direction: "out", Proto: "tcp", Name: "evil.example", Port: 23, Enforced: true}}}}
}

func ask(t *testing.T, s *Store, q enforcer.HistoryQuery) []enforcer.Record {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1 << 20
	}
	list, err := s.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestHistory: what was written is there after a restart, by device, kind and time, the newest first (BBF-LAN.FW.2-5).
func TestHistory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	for n := range 48 {
		if err := s.Append(hour(n)); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, 1<<20)
	all := ask(t, s, enforcer.HistoryQuery{})
	if len(all) != 3*48 || all[0].ID != 3*48 || all[len(all)-1].ID != 1 {
		t.Fatalf("%d records, the first is %+v", len(all), all[0])
	}
	denials := ask(t, s, enforcer.HistoryQuery{Kind: enforcer.RecordDenial, MAC: lamp, Since: epoch.Add(24 * time.Hour), Until: epoch.Add(34 * time.Hour)})
	if len(denials) != 10 || denials[0].Denial.Name != "evil.example" || denials[0].Denial.Count != 7 || !denials[0].Time.Equal(epoch.Add(33*time.Hour)) {
		t.Errorf("%d denials, the first is %+v", len(denials), denials[0])
	}
	if list := ask(t, s, enforcer.HistoryQuery{Before: 10, Limit: 4}); len(list) != 4 || list[0].ID != 9 {
		t.Errorf("%+v", list)
	}
	if list := ask(t, s, enforcer.HistoryQuery{MAC: plug, Kind: enforcer.RecordCounters}); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if err := s.Append(hour(48)); err != nil || ask(t, s, enforcer.HistoryQuery{})[0].ID != 3*49 {
		t.Error("the IDs do not go on", err)
	}
}

// TestCut: a cut at any byte of the last write loses no more than that write, and what comes later is readable (hardening.md 3.4).
func TestCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	if err := s.Append(hour(1)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name(1))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(hour(2)); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(before); cut <= len(after); cut++ {
		torn := t.TempDir()
		if err := os.WriteFile(filepath.Join(torn, name(1)), after[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, torn, 1<<20)
		kept := len(ask(t, s, enforcer.HistoryQuery{}))
		if want := 3 + strings.Count(string(after[len(before):cut]), "\n"); kept != want {
			t.Fatalf("cut at %d: %d records, want %d", cut, kept, want)
		}
		if cut%16 != 0 && cut != len(after) { // writing is slow
			continue
		}
		if err := s.Append(hour(3)); err != nil {
			t.Fatal(err)
		}
		if n := len(ask(t, open(t, torn, 1<<20), enforcer.HistoryQuery{})); n != kept+3 {
			t.Fatalf("cut at %d, then written: %d records, want %d", cut, n, kept+3)
		}
	}
}

// TestSpace: the oldest goes, the rest stays within its bound, and one write has one, too.
func TestSpace(t *testing.T) {
	dir := t.TempDir()
	const most = 128 << 10
	s := open(t, dir, most)
	for n := range 600 {
		if err := s.Append(hour(n)); err != nil {
			t.Fatal(err)
		}
	}
	if n := diskUse(t, dir); n > most || n < most/2 {
		t.Errorf("%d bytes on the disk", n)
	}
	if list := ask(t, s, enforcer.HistoryQuery{}); len(list) < 100 || list[0].ID != 1800 {
		t.Errorf("%d records, the last is %d", len(list), list[0].ID)
	}
	var flood []enforcer.Record
	for n := range 1000 {
		flood = append(flood, hour(n)...)
	}
	was := diskUse(t, dir)
	if err := s.Append(flood); err == nil || !strings.Contains(err.Error(), "left out") {
		t.Errorf("a flood was written: %v", err)
	}
	if n := diskUse(t, dir); n > was+maxWrite || n > most {
		t.Errorf("%d bytes after %d", n, was)
	}
}

func diskUse(t *testing.T, dir string) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// TestForeign: what is no record of ours does no harm.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{"notes.txt": "x", "7.jsonl": "{}", "-000000001.jsonl": "{}", name(3): "\x00\x00\n[]\n{\"id\":-1}\nnull\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, 0)
	if err := s.Append(hour(1)); err != nil {
		t.Fatal(err)
	}
	if list := ask(t, s, enforcer.HistoryQuery{}); len(list) != 3 {
		t.Errorf("%+v", list)
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.txt")); err != nil {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(dir, "notes.txt"), 0); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(fmt.Sprintf("%+v\n", hour(1))))
	f.Add([]byte(`{"id":1,"kind":"state","mac":"02:00:00:00:00:01"}` + "\n{"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, r := range parse(raw) {
			if r.ID == 0 {
				t.Error("a record without an ID")
			}
		}
	})
}
