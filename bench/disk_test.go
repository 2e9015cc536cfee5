package bench

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// cachedModels are those of the devices that a daemon starts with.
const cachedModels = 25

func modelURL(model int) string { return fmt.Sprintf("https://example.com/%d", model) }

// state is what a daemon that knows some devices has saved.
func state(b *testing.B, devices int) string {
	type device struct {
		MAC       string   `json:"mac"`
		URL       string   `json:"url"`
		Source    string   `json:"source"`
		Addresses []string `json:"addresses"`
		FirstSeen string   `json:"first_seen"`
	}
	var list []device
	for i := range devices {
		list = append(list, device{mac(i).String(), modelURL(i % cachedModels), "dhcpv4",
			[]string{fmt.Sprintf("192.168.77.%d", 10+i%240)}, "2026-01-01T00:00:00Z"})
	}
	raw, err := json.Marshal(map[string]any{"version": 1, "devices": list})
	if err != nil {
		b.Fatal(err)
	}
	return string(raw)
}

// fillCache writes the profiles as mud/fetch keeps them, so that the daemon needs no server.
func fillCache(b *testing.B, dir string, devices int) {
	b.Helper()
	for i := range min(devices, cachedModels) {
		raw := file(i)
		entry, err := json.Marshal(map[string]any{"url": modelURL(i), "sha256": digest(raw), "accepted_at": time.Now(), "fetched_at": time.Now(),
			"next_refresh": time.Now().Add(48 * time.Hour), "generation": 1})
		if err != nil {
			b.Fatal(err)
		}
		folder := filepath.Join(dir, "profiles", digest(modelURL(i)))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			b.Fatal(err)
		}
		write(b, filepath.Join(folder, digest(raw)+".json"), raw)
		write(b, filepath.Join(folder, "meta.json"), fmt.Sprintf(`{"checksum":%q,"entry":%s}`, digest(string(entry)), entry))
	}
}

func digest(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
