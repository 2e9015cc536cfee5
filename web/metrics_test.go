package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// scrape reads the metrics as Prometheus does.
func (b *bench) scrape() map[string]*dto.MetricFamily {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.http.ServeHTTP(w, httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		b.t.Fatalf("%d %v", w.Code, w.Header())
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(w.Body)
	must(b.t, err)
	return families
}

// value is a sample of the metrics, by its labels.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels map[string]string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		if maps.Equal(have, labels) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Errorf("no sample %s%v", name, labels)
	return -1
}

func TestMetricsTellWhatHappened(t *testing.T) {
	b := newBench(t)
	must(t, b.engine.Do(t.Context(), func(e *enforcer.Engine) {
		for _, prefix := range []string{enforcer.LogOut, enforcer.LogOut, enforcer.LogOut + " observed"} {
			e.Denied(enforcer.LogEvent{Prefix: prefix, MAC: mac(t, lampMAC), Packet: enforcer.Flow{
				Src: netip.MustParseAddr("192.168.1.50"), Dst: netip.MustParseAddr("203.0.113.9"), Proto: 6, Dport: 23}})
		}
	}))
	m := b.scrape()
	for _, c := range []struct {
		name   string
		labels map[string]string
		want   float64
	}{
		{"mudguard_build_info", map[string]string{"version": "1.2.3"}, 1},
		{"mudguard_devices", map[string]string{"state": "enforced"}, 1},
		{"mudguard_devices", map[string]string{"state": "unmanaged"}, 1},
		{"mudguard_devices", map[string]string{"state": "trusted"}, 1},
		{"mudguard_devices", map[string]string{"state": "held"}, 0},
		{"mudguard_denials_total", map[string]string{"enforced": "true"}, 2},
		{"mudguard_denials_total", map[string]string{"enforced": "false"}, 1},
		{"mudguard_device_denials_total", map[string]string{"mac": lampMAC, "enforced": "true"}, 2},
		{"mudguard_device_state", map[string]string{"mac": lampMAC, "state": "enforced"}, 1},
		{"mudguard_sightings_total", map[string]string{"source": "dhcpv4"}, 1},
		{"mudguard_notifications_total", map[string]string{"target": "mqtt", "result": "sent"}, 7},
	} {
		if got := value(t, m, c.name, c.labels); got != c.want {
			t.Errorf("%s%v: %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if n := len(m["mudguard_device_info"].GetMetric()); n != 1 {
		t.Errorf("series of %d devices; only one is under policy", n)
	}
	if value(t, m, "mudguard_transactions_total", map[string]string{"result": "done"}) < 1 {
		t.Error("no transaction was counted")
	}
}

// Names, types and help as Prometheus wants them (prometheus.io/docs/practices/naming; promtool check metrics).
func TestMetricNames(t *testing.T) {
	unit := regexp.MustCompile(`_(milliseconds|minutes|hours|kilobytes|ms|kb|percent)(_|$)`)
	for name, f := range newBench(t).scrape() {
		ours := regexp.MustCompile(`^(mudguard|process|go)_[a-z_]+$`).MatchString(name)
		counts := f.GetType() == dto.MetricType_COUNTER
		switch help := f.GetHelp(); {
		case !ours || unit.MatchString(name):
			t.Errorf("%s: an odd name", name)
		case counts != strings.HasSuffix(name, "_total") || strings.Contains(strings.TrimSuffix(name, "_total"), "total"):
			t.Errorf("%s: counters end in _total, others don't: %s", name, f.GetType())
		case f.GetType() != dto.MetricType_COUNTER && f.GetType() != dto.MetricType_GAUGE:
			t.Errorf("%s: type %s", name, f.GetType())
		case len(help) < 10 || !strings.HasSuffix(help, "."):
			t.Errorf("%s: help %q", name, help)
		case strings.HasSuffix(name, "_timestamp") || strings.HasSuffix(name, "_time"):
			t.Errorf("%s: without its unit", name)
		}
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) > 2 {
				t.Errorf("%s: %d labels", name, len(m.GetLabel()))
			}
		}
	}
}

// What a device calls itself reaches the database as text of one label, and forges no sample.
func TestMetricsHostileText(t *testing.T) {
	b := newBench(t)
	evil := "x\"} 1\nmudguard_devices{state=\"held\"} 99\n\\\x1b[2J\u202e" + strings.Repeat("a", 10_000)
	b.sighted(dhcp.Sighting{MAC: mac(t, plugMAC), Kind: dhcp.Seen, Hostname: evil, URL: "https://none.example/x"})
	for b.inKernel(plugMAC) == "" {
		must(t, b.engine.Do(t.Context(), func(*enforcer.Engine) {}))
	}
	m := b.scrape()
	if got := value(t, m, "mudguard_devices", map[string]string{"state": "held"}); got != 0 {
		t.Errorf("held: %v", got)
	}
	found := false
	for _, s := range m["mudguard_device_info"].GetMetric() {
		for _, l := range s.GetLabel() {
			found = found || strings.Contains(l.GetValue(), `x"} 1`)
			if len([]rune(l.GetValue())) > 100 || strings.ContainsAny(l.GetValue(), "\n\x1b\u202e") {
				t.Errorf("label %q", l.GetValue())
			}
		}
	}
	if !found {
		t.Error("the device is missing")
	}
}

// The dashboard asks only for what is there, and shows all that is ours but one-time facts.
func TestDashboard(t *testing.T) {
	raw, err := os.ReadFile("../configs/grafana-dashboard.json")
	must(t, err)
	var board struct {
		Panels []struct {
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	must(t, json.Unmarshal(raw, &board))
	have := newBench(t).scrape()
	name := regexp.MustCompile(`\b(mudguard|process|go)_[a-z_]+`)
	used := []string{"mudguard_kernel_info", "mudguard_devices_limit", "mudguard_names", "mudguard_last_sighting_timestamp_seconds",
		"mudguard_sources", "mudguard_sources_listening", "mudguard_denials_total"}
	for _, found := range name.FindAllString(string(raw), -1) {
		used = append(used, found)
		if have[found] == nil {
			t.Errorf("the dashboard names %s, which is not exported", found)
		}
	}
	for n := range have {
		if strings.HasPrefix(n, "mudguard_") && !slices.Contains(used, n) {
			t.Errorf("%s is on no panel", n)
		}
	}
	if len(board.Panels) < 10 {
		t.Errorf("%d panels", len(board.Panels))
	}
	for _, p := range board.Panels {
		if p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %+v", p)
		}
	}
}
