package enforcer_test

import (
	"strings"
	"testing"
	"time"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// told gives the news since the last call, as "kind device".
func (w *world) told() string {
	w.t.Helper()
	var out []string
	for _, n := range w.news {
		out = append(out, string(n.Kind)+" "+n.MAC.String())
		if n.Text == "" || n.Time.IsZero() {
			w.t.Errorf("%+v", n)
		}
	}
	w.news = nil
	return strings.Join(out, ", ")
}

func TestNewsOfDevices(t *testing.T) {
	w := newWorld(t).start()
	lamp := enforcertest.HostNamed("lamp").MAC.String()
	d := w.sight("lamp", "https://lamp.example/mud")
	if got := w.told(); got != "" {
		t.Errorf("told before anybody knows what it is: %s", got)
	}
	w.fetched(verified(t, "https://lamp.example/mud", "sha-1", "cloud.example"), nil)
	if got := w.told(); got != "new_device "+lamp {
		t.Errorf("told %q", got)
	}
	w.e.Hold(d)
	w.sync()
	w.sync()
	if len(w.news) != 1 || !strings.Contains(w.news[0].Text, "waits for you: held by the administrator") || w.news[0].State != enforcer.StatusHeld {
		t.Errorf("%+v", w.news)
	}
	w.told()
	w.e.Release(d)
	w.sync()
	if got := w.told(); got != "" {
		t.Errorf("told %q", got)
	}
	// A newer file that allows more waits, while the old one stays in force.
	w.fetched(verified(t, "https://lamp.example/mud", "sha-2", "other.example"), nil)
	if got := w.told(); got != "hold "+lamp {
		t.Errorf("told %q", got)
	}
	w.start() // what was so is no news
	w.sync()
	if got := w.told(); got != "" {
		t.Errorf("told after a restart: %q", got)
	}
}

// Of devices that only speak nothing is kept, so that after a start nobody knows which are new.
func TestNewsAfterAStart(t *testing.T) {
	w := newWorld(t).start()
	w.sight("cam", "")
	if got := w.told(); got != "" {
		t.Errorf("told %q", got)
	}
	w.now = w.now.Add(11 * time.Minute)
	w.sight("hub", "")
	w.sight("cam", "")
	if got, want := w.told(), "new_device "+enforcertest.HostNamed("hub").MAC.String(); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestNewsOfDenialsAndRepairs(t *testing.T) {
	w := newWorld(t).start()
	d := w.enforced("lamp", "https://lamp.example/mud")
	w.told()
	for _, prefix := range []string{enforcer.LogOut, enforcer.LogOut + " observed"} {
		w.e.Denied(enforcer.LogEvent{Prefix: prefix, MAC: d.MAC, Packet: enforcertest.Probe{From: "lamp", To: "evil", Proto: "tcp", Dport: 23}.Packet().Flow})
	}
	if len(w.news) != 2 || w.news[0].Denial == nil || !w.news[0].Denial.Enforced || w.news[1].Denial.Enforced || w.news[0].Denial.ID == 0 {
		t.Errorf("%+v", w.news)
	}
	totals := w.e.Totals()
	if totals.Denied != 1 || totals.Observed != 1 || totals.Transactions == 0 || totals.Sightings["dhcpv4"] != 1 || len(totals.Devices) != 1 || totals.Devices[0].Denied != 1 {
		t.Errorf("%+v", totals)
	}
	w.told()
	if err := w.kernel.Apply(enforcer.Delta{Tables: []enforcer.TableDelta{{Family: enforcer.Inet, Drop: true}}}); err != nil {
		t.Fatal(err)
	}
	w.e.Repair()
	w.sync()
	if len(w.news) != 1 || w.news[0].Kind != enforcer.NewsRepaired || w.e.Totals().Repairs != 1 {
		t.Errorf("%+v", w.news)
	}
}
