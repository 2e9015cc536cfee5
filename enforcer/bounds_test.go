package enforcer_test

import (
	"fmt"
	"strings"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

// TestBounds: T14, F15. Every table has a bound, beyond which nothing is taken, nothing that is there is lost, and a person is told.
// Those of addresses and denials are TestManyAddresses, TestManyMACs and TestDenialsAreBounded.
func TestBounds(t *testing.T) {
	t.Run("devices", func(t *testing.T) {
		w := newWorld(t).start()
		lamp := w.enforced("lamp", lampURL)
		u, err := mud.ParseURL(hubURL)
		if err != nil {
			t.Fatal(err)
		}
		for i := range enforcer.MaxDevices { // the administrator knows all of them, so none may be forgotten
			err = w.e.AssignAs(mac(i), enforcer.Announcement{URL: u})
		}
		if err == nil {
			t.Error("one too many was taken")
		}
		w.sync()
		if n := w.e.Known(); n != enforcer.MaxDevices {
			t.Errorf("%d devices, want %d", n, enforcer.MaxDevices)
		}
		w.want(lamp, enforcer.StatusEnforced)
		if why := w.gap("new devices"); !strings.Contains(why, "full") || !strings.Contains(why, "forget") {
			t.Errorf("status says %q", why)
		}
	})
	t.Run("approvals", func(t *testing.T) {
		w := newWorld(t).start()
		u, err := mud.ParseURL(lampURL)
		if err != nil {
			t.Fatal(err)
		}
		for i := range enforcer.MaxApprovals {
			if err := w.e.ApproveFile(u, fmt.Sprint("sha-", i), enforcer.Approval{}); err != nil {
				t.Fatal(err)
			}
		}
		told(t, w.e.ApproveFile(u, "one more", enforcer.Approval{}), enforcer.MaxApprovals)
	})
	t.Run("overlays", func(t *testing.T) {
		w := newWorld(t).start()
		for i := range enforcer.MaxOverlays {
			if err := w.e.SetOverlay(mac(i).String(), overlayOf(t)); err != nil {
				t.Fatal(err)
			}
		}
		told(t, w.e.SetOverlay(mac(enforcer.MaxOverlays).String(), overlayOf(t)), enforcer.MaxOverlays)
	})
}

func told(t *testing.T, err error, limit int) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(limit)) {
		t.Errorf("beyond the bound of %d: %v", limit, err)
	}
}

func overlayOf(t *testing.T) []byte {
	t.Helper()
	return enforcertest.Profile{URL: "https://house.example/overlay", Model: "overlay",
		From: []enforcertest.ACE{{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Eq(443)}}}.JSON()
}
