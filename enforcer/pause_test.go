package enforcer_test

import (
	"strings"
	"testing"
	"time"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// TestPause: the policy is off until the pause ends, by itself, also in the kernel alone; flows end with it (BBF-LAN.FW.SPI.6).
func TestPause(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", lampURL)
	if err := w.e.PauseFor(d, 15*time.Minute); err != nil {
		t.Fatal(err)
	}
	w.sync()
	w.want(d, enforcer.StatusPaused)
	if !w.can("lamp", "evil", "tcp", 23) {
		t.Error("paused, and denied")
	}
	if text := w.text(); !strings.Contains(text, "timeout 900s") {
		t.Errorf("nothing times out in\n%s", text)
	}
	if v := w.e.View(d, true); v.PausedTill == nil || !v.PausedTill.Equal(w.now.Add(15*time.Minute)) {
		t.Errorf("paused until %v", v.PausedTill)
	}
	w.now = w.now.Add(15 * time.Minute)
	w.e.Tick()
	w.sync()
	w.want(d, enforcer.StatusEnforced)
	if w.can("lamp", "evil", "tcp", 23) {
		t.Error("the pause is over, and it is allowed")
	}
	if strings.Contains(w.text(), "paused") {
		t.Errorf("something is left in\n%s", w.text())
	}
}

// TestPauseRefused: there must be something to pause, and quarantine is no policy that a pause takes away.
func TestPauseRefused(t *testing.T) {
	w := newWorld(t).start()
	free := w.sight("cam", "")
	d := w.enforced("lamp", lampURL)
	for _, length := range []time.Duration{0, time.Second, 25 * time.Hour, -time.Hour} {
		if err := w.e.PauseFor(d, length); err == nil {
			t.Errorf("paused for %s", length)
		}
	}
	if err := w.e.PauseFor(free, time.Hour); err == nil {
		t.Error("paused without a policy")
	}
	if err := w.e.Resume(d); err == nil {
		t.Error("resumed, and was not paused")
	}
	w.e.SetMode(d, "observe")
	if err := w.e.PauseFor(d, time.Hour); err == nil {
		t.Error("paused, and only observed")
	}
	w.e.SetMode(d, "enforce")
	if err := w.e.PauseFor(d, time.Hour); err != nil {
		t.Fatal(err)
	}
	w.e.Quarantine(d)
	w.sync()
	w.want(d, enforcer.StatusQuarantined)
	if w.can("lamp", "evil", "tcp", 23) {
		t.Error("the quarantine is paused")
	}
}

// TestPauseRestart: a pause goes on after a restart, and one that ended meanwhile does not; a clock that was set back before its
// beginning makes none longer.
func TestPauseRestart(t *testing.T) {
	for _, c := range []struct {
		name   string
		passed time.Duration
		want   enforcer.Status
	}{{"goes on", 5 * time.Minute, enforcer.StatusPaused}, {"over", 15 * time.Minute, enforcer.StatusEnforced},
		{"clock set back", -time.Minute, enforcer.StatusEnforced}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t).start()
			d := w.enforced("lamp", lampURL)
			if err := w.e.PauseFor(d, 15*time.Minute); err != nil {
				t.Fatal(err)
			}
			w.sync()
			w.now = w.now.Add(c.passed)
			w.start()
			d, _ = w.e.Device(enforcertest.HostNamed("lamp").MAC)
			w.want(d, c.want)
			if got := w.can("lamp", "evil", "tcp", 23); got != (c.want == enforcer.StatusPaused) {
				t.Errorf("allowed: %v", got)
			}
		})
	}
}
