package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"mudguard/enforcer"
)

func TestStatus(t *testing.T) {
	b := newBench(t)
	var s Status
	b.ask("GET", "/api/v1/status", "", 200, &s)
	if s.Version != "1.2.3" || s.Devices != 3 || s.Started.IsZero() || s.Kernel.Bridge != "conntrack" {
		t.Errorf("status: %+v", s)
	}
	if n := len(s.Gaps); n < 2 || s.Gaps[n-1].What != "of the host" {
		t.Errorf("gaps of engine and host expected: %v", s.Gaps)
	}
	var fields map[string]any
	b.ask("GET", "/api/v1/status", "", 200, &fields)
	for _, name := range []string{"version", "started", "kernel", "tables", "sources", "devices", "held", "repairs", "gaps"} {
		if fields[name] == nil {
			t.Errorf("status has no %s (or null)", name)
		}
	}
}

func TestDevices(t *testing.T) {
	b := newBench(t)
	var list []enforcer.DeviceView
	b.ask("GET", "/api/v1/devices", "", 200, &list)
	if len(list) != 3 || list[0].MAC.String() != lampMAC || list[0].State != enforcer.StatusEnforced || list[0].ACEs != nil {
		t.Fatalf("devices: %+v", list)
	}
	if strings.ContainsAny(list[1].Hostname, "\x1b\n") {
		t.Errorf("hostname not cleaned: %q", list[1].Hostname)
	}
	var one enforcer.DeviceView
	b.ask("GET", "/api/v1/devices/02-00-5E-10-00-01", "", 200, &one)
	if len(one.ACEs) == 0 || len(one.Infrastructure) == 0 || one.Profile == nil || one.Profile.ModelName != "L1" {
		t.Errorf("device: %+v", one)
	}
}

// Every order is answered when the kernel has what it asks for.
func TestOrders(t *testing.T) {
	b := newBench(t)
	before := b.inKernel(lampMAC)
	for _, tc := range []struct {
		order   string
		state   enforcer.Status
		changes bool // from the policy of the profile
	}{
		{"quarantine", enforcer.StatusQuarantined, true},
		{"quarantine", enforcer.StatusQuarantined, true}, // again: nothing to do, and answered
		{"release", enforcer.StatusEnforced, false},
		{"hold", enforcer.StatusHeld, true},
		{"approve", enforcer.StatusEnforced, false},
		{"observe", enforcer.StatusObserved, true},
		{"enforce", enforcer.StatusEnforced, false},
	} {
		var d enforcer.DeviceView
		b.ask("POST", "/api/v1/devices/"+lampMAC+"/"+tc.order, "", 200, &d)
		got := b.inKernel(lampMAC)
		if d.State != tc.state || (got != before) != tc.changes || d.Policy+"_out" != got {
			t.Errorf("%s: state %s (want %s), policy %s, kernel has %s, at first %s", tc.order, d.State, tc.state, d.Policy, got, before)
		}
	}
	var f Forgotten
	b.ask("POST", "/api/v1/devices/"+lampMAC+"/forget", "", 200, &f)
	if !f.Forgotten || b.inKernel(lampMAC) != "" {
		t.Errorf("forget: %+v, kernel has %q", f, b.inKernel(lampMAC))
	}
	var e Problem
	b.ask("GET", "/api/v1/devices/"+lampMAC, "", 404, &e)
}

// Orders that come at once, so that the engine handles them in one batch, are all answered after the kernel's change.
func TestOrdersAtOnce(t *testing.T) {
	b := newBench(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			var d enforcer.DeviceView
			b.ask("POST", "/api/v1/devices/"+lampMAC+"/quarantine", "", 200, &d)
			if chain := b.inKernel(lampMAC); d.Policy+"_out" != chain || d.State != enforcer.StatusQuarantined {
				t.Errorf("answered before the kernel had it: %s, %s", d.Policy, chain)
			}
		})
	}
	wg.Wait()
}

// A change that the kernel refuses is not reported as done.
func TestKernelRefuses(t *testing.T) {
	b := newBench(t)
	b.refuse.Store(true)
	var e Problem
	b.ask("POST", "/api/v1/devices/"+lampMAC+"/quarantine", "", 503, &e)
	if !strings.Contains(e.Detail, "no buffer space") {
		t.Errorf("error: %s", e.Detail)
	}
	b.refuse.Store(false)
	var d enforcer.DeviceView
	b.ask("POST", "/api/v1/devices/"+lampMAC+"/quarantine", "", 200, &d)
	if b.inKernel(lampMAC) != d.Policy+"_out" {
		t.Error("not in force at the second try")
	}
}

func TestAssign(t *testing.T) {
	b := newBench(t)
	var d enforcer.DeviceView
	b.ask("POST", "/api/v1/devices/"+plugMAC+"/assign", `{"url":"`+lampURL+`"}`, 200, &d)
	if d.URL != lampURL || d.Source != "admin" || d.State != enforcer.StatusEnforced || b.inKernel(plugMAC) != d.Policy+"_out" {
		t.Errorf("assigned: %+v", d)
	}
	d = enforcer.DeviceView{}
	b.ask("POST", "/api/v1/devices/"+plugMAC+"/assign", `{"url":""}`, 200, &d)
	if d.URL != "" || d.State != enforcer.StatusUnmanaged || b.inKernel(plugMAC) != "" {
		t.Errorf("taken away: %+v", d)
	}
	b.ask("POST", "/api/v1/devices/02:00:5e:10:00:77/assign", `{"url":"`+lampURL+`"}`, 200, &d) // not seen yet
}

func TestExplain(t *testing.T) {
	b := newBench(t)
	var x enforcer.Explanation
	b.ask("GET", "/api/v1/explain?mac="+lampMAC+"&direction=out&proto=tcp&host=api.lamp.example&port=443", "", 200, &x)
	if !x.Allowed || x.Rule == nil || x.Rule.ACE != "cloud" {
		t.Errorf("declared: %+v", x)
	}
	x = enforcer.Explanation{}
	b.ask("GET", "/api/v1/explain?mac="+lampMAC+"&direction=out&proto=6&host=203.0.113.9&port=23", "", 200, &x)
	if x.Allowed || x.Reason == "" {
		t.Errorf("not declared: %+v", x)
	}
	b.ask("GET", "/api/v1/explain?mac="+lampMAC+"&direction=in&proto=icmp&host=203.0.113.9", "", 200, &x)
}

func TestDenials(t *testing.T) {
	b := newBench(t)
	var list []enforcer.Denial
	b.ask("GET", "/api/v1/denials", "", 200, &list)
	if list == nil {
		t.Error("no denials must be [], not null")
	}
	for _, port := range []uint16{23, 24} {
		l := enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: mac(t, lampMAC),
			Packet: enforcer.Flow{Src: addr("192.168.1.50"), Dst: addr("203.0.113.9"), Proto: 6, Sport: 40000, Dport: port}}
		must(t, b.engine.Do(t.Context(), func(e *enforcer.Engine) { e.Denied(l) }))
	}
	b.ask("GET", "/api/v1/denials?after=1", "", 200, &list)
	if len(list) != 1 || list[0].Dport != 24 || !list[0].Enforced {
		t.Errorf("after=1: %+v", list)
	}
	b.ask("GET", "/api/v1/denials?after=0&device="+plugMAC, "", 200, &list)
	if len(list) != 0 {
		t.Errorf("of another device: %+v", list)
	}
}

// TestBadRequests: T22. An order by GET is none, and what is not understood is refused.
func TestBadRequests(t *testing.T) {
	b := newBench(t)
	lamp, plug := "/api/v1/devices/"+lampMAC, "/api/v1/devices/"+plugMAC
	for _, tc := range []struct {
		method, target, body string
		code                 int
		text                 string
	}{
		{"GET", "/assets/", "", 404, "Not Found"},
		{"GET", "/v2/status", "", 404, "Not Found"},
		{"POST", "/api/v1/status", "", 405, "Method Not Allowed"},
		{"GET", lamp + "/quarantine", "", 405, "Method Not Allowed"},
		{"DELETE", lamp, "", 405, "Method Not Allowed"},
		{"POST", lamp + "/explode", "", 404, "Not Found"},
		{"GET", "/api/v1/devices/lamp", "", 400, "not an Ethernet address"},
		{"GET", "/api/v1/devices/02:00:5e:10:00:ff", "", 404, "no device"},
		{"POST", "/api/v1/devices/02:00:5e:10:00:ff/quarantine", "", 404, "no device"},
		{"POST", lamp + "/quarantine?force=1", "", 400, "force"},
		{"POST", plug + "/approve", "", 409, "no MUD URL"},
		{"POST", plug + "/hold", "", 409, "no MUD URL"},
		{"POST", "/api/v1/devices/" + adminPC + "/quarantine", "", 409, "trusted"},
		{"POST", lamp + "/assign", "", 400, "body"},
		{"POST", lamp + "/assign", "{}", 400, "body"},
		{"POST", lamp + "/assign", `{"url":"https://a.example/b"} x`, 400, "body"},
		{"POST", lamp + "/assign", `{"uri":"https://a.example/b"}`, 400, "unknown field"},
		{"POST", lamp + "/assign", `{"url":"http://a.example/b"}`, 400, "https"},
		{"POST", lamp + "/assign", `{"url":"` + strings.Repeat("x", maxBody) + `"}`, 400, "too large"},
		{"POST", "/api/v1/devices/ff:ff:ff:ff:ff:ff/assign", `{"url":"` + lampURL + `"}`, 400, "cannot be"},
		{"POST", "/api/v1/devices/02:00:5e:10:00:ff/assign", `{"url":""}`, 404, "no device"},
		{"GET", "/api/v1/devices?stat=held", "", 400, "stat"},
		{"GET", "/api/v1/denials?after=-1", "", 400, "after"},
		{"GET", "/api/v1/denials?after=1&after=2", "", 400, "more than once"},
		{"GET", "/api/v1/denials?device=", "", 400, "Ethernet"},
		{"GET", "/api/v1/denials?device=00:00:00:00:00:00", "", 400, "no device"},
		{"GET", "/api/v1/explain", "", 400, "Ethernet"},
		{"GET", "/api/v1/explain?mac=" + lampMAC + "&direction=up&proto=tcp&host=a.example&port=1", "", 400, "direction"},
		{"GET", "/api/v1/explain?mac=" + lampMAC + "&direction=out&proto=256&host=a.example&port=1", "", 400, "protocol"},
		{"GET", "/api/v1/explain?mac=" + lampMAC + "&direction=out&proto=tcp&host=a.example", "", 400, "port"},
		{"GET", "/api/v1/explain?mac=" + lampMAC + "&direction=out&proto=tcp&host=a.example&port=70000", "", 400, "port"},
		{"GET", "/api/v1/explain?mac=" + lampMAC + "&direction=out&proto=icmp&host=a.example&port=1", "", 400, "port"},
		{"GET", "/api/v1/explain?mac=" + lampMAC + "&direction=out&proto=tcp&port=1", "", 400, "host"},
		{"GET", "/api/v1/explain?mac=" + lampMAC + "&direction=out&proto=tcp&host=a%20b&port=1", "", 400, "neither"},
		{"GET", "/api/v1/explain?mac=02:00:5e:10:00:ff&direction=out&proto=tcp&host=a.example&port=1", "", 404, "no device"},
	} {
		var e Problem
		b.ask(tc.method, tc.target, tc.body, tc.code, &e)
		if !strings.Contains(e.Detail, tc.text) {
			t.Errorf("%s %s: error %q does not say %q", tc.method, tc.target, e.Detail, tc.text)
		}
	}
}

// A page of another site must not steer the daemon through somebody's browser (T22).
func TestCrossOrigin(t *testing.T) {
	b := newBench(t)
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/devices/"+lampMAC+"/forget", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	b.http.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("code %d, want 403", w.Code)
	}
}
