package web

import (
	"strings"
	"testing"

	"mudguard/enforcer"
)

const lampPath = "/api/v1/devices/" + lampMAC

// TestPause: a pause is in the kernel when it is answered, and ends when somebody says so.
func TestPause(t *testing.T) {
	b := newBench(t)
	before := b.inKernel(lampMAC)
	var d enforcer.DeviceView
	b.ask("POST", lampPath+"/pause", `{"for": "15m"}`, 200, &d)
	if d.State != enforcer.StatusPaused || d.PausedTill == nil || b.inKernel(lampMAC) == before {
		t.Errorf("paused: %+v, kernel has %s", d, b.inKernel(lampMAC))
	}
	b.ask("POST", lampPath+"/resume", "", 200, &d)
	if d.State != enforcer.StatusEnforced || b.inKernel(lampMAC) != before {
		t.Errorf("resumed: %+v, kernel has %s", d, b.inKernel(lampMAC))
	}
	for body, code := range map[string]int{`{"for": "59s"}`: 400, `{"for": "25h"}`: 400, `{"for": 15}`: 400, `{}`: 400, `{"for": "1h", "x": 1}`: 400} {
		b.ask("POST", lampPath+"/pause", body, code, &Problem{})
	}
	b.ask("POST", lampPath+"/resume", "", 409, &Problem{})
	b.ask("POST", "/api/v1/devices/"+plugMAC+"/pause", `{"for": "15m"}`, 409, &Problem{})
	b.ask("POST", "/api/v1/devices/02:00:5e:10:00:77/pause", `{"for": "15m"}`, 404, &Problem{})
}

// TestExceptions: a preview changes nothing; an exception is listed until it is removed.
func TestExceptions(t *testing.T) {
	b := newBench(t)
	const order = `{"direction": "out", "proto": "tcp", "remote": "evil.example", "port": 23, "for": "24h", "note": "<b>try</b>"`
	before := b.inKernel(lampMAC)
	var v enforcer.ExceptionView
	b.ask("POST", lampPath+"/exceptions", order+`, "preview": true}`, 200, &v)
	if !strings.Contains(v.Text, "may open port 23/tcp to evil.example") || b.inKernel(lampMAC) != before {
		t.Errorf("preview %+v, kernel has %s", v, b.inKernel(lampMAC))
	}
	b.ask("POST", lampPath+"/exceptions", order+`}`, 200, &v)
	if v.ID == "" || !v.Active || b.inKernel(lampMAC) == before {
		t.Errorf("exception %+v, kernel has %s", v, b.inKernel(lampMAC))
	}
	var list []enforcer.ExceptionView
	b.ask("GET", lampPath+"/exceptions", "", 200, &list)
	if len(list) != 1 || list[0].Note != "<b>try</b>" {
		t.Errorf("%+v", list)
	}
	var d enforcer.DeviceView
	b.ask("GET", lampPath, "", 200, &d)
	if len(d.Exceptions) != 1 || !strings.Contains(d.Reason, "exceptions of the administrator") {
		t.Errorf("%+v", d)
	}
	b.ask("DELETE", lampPath+"/exceptions/"+v.ID, "", 200, &d)
	if b.inKernel(lampMAC) != before {
		t.Error("it is not removed from the kernel")
	}
	b.ask("DELETE", lampPath+"/exceptions/"+v.ID, "", 404, &Problem{})
	for _, body := range []string{`{}`, order + `, "for": "soon"}`, order + `, "for": "-1h"}`, `{"direction": "out", "for": "1h", "extra": 1}`} {
		b.ask("POST", lampPath+"/exceptions", body, 400, &Problem{})
	}
	b.ask("POST", lampPath+"/exceptions", `{"direction": "out", "proto": "tcp", "remote": "10.0.0.0/8", "for": "1h"}`, 409, &Problem{})
}

// TestName: what a device is called is for the administrator to say, within bounds, and without what cannot be shown.
func TestName(t *testing.T) {
	b := newBench(t)
	var d enforcer.DeviceView
	b.ask("PUT", lampPath+"/name", `{"name": " Küche\u001b[31m\u202e "}`, 400, &Problem{})
	b.ask("PUT", lampPath+"/name", `{"name": " Küche "}`, 200, &d)
	if d.Name != "Küche" || d.Label != d.Name || !d.PrivateMAC {
		t.Errorf("%q, %+v", d.Name, d)
	}
	var list []enforcer.DeviceView
	b.ask("GET", "/api/v1/devices?q=k%C3%BCche", "", 200, &list)
	if len(list) != 1 {
		t.Errorf("found %d by that name", len(list))
	}
	b.ask("PUT", lampPath+"/name", `{"name": ""}`, 200, &d)
	if d.Name != "" || d.Label == "" {
		t.Errorf("%+v", d)
	}
	b.ask("PUT", lampPath+"/name", `{"name": "`+strings.Repeat("x", 65)+`"}`, 400, &Problem{})
	b.ask("PUT", lampPath+"/name", `{}`, 400, &Problem{})
}

// TestAttempts: what was denied comes grouped, and what was only observed is in the report.
func TestAttempts(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.denied(4444)
	}
	var list []enforcer.Attempt
	b.ask("GET", "/api/v1/attempts?device="+lampMAC, "", 200, &list)
	if len(list) != 1 || list[0].Count != 3 || list[0].Hours[23] != 3 || list[0].Reason == "" || list[0].Allow.Port != list[0].Port {
		t.Fatalf("%+v", list)
	}
	var r enforcer.Report
	b.ask("GET", lampPath+"/report", "", 200, &r)
	if len(r.Flows) != 0 || !strings.Contains(r.Text, "nothing") {
		t.Errorf("%+v", r)
	}
	b.ask("GET", "/api/v1/report", "", 200, &r)
	b.ask("GET", "/api/v1/attempts?mac=x", "", 400, &Problem{})
	b.ask("GET", "/api/v1/devices/02:00:5e:10:00:77/report", "", 404, &Problem{})
	var d enforcer.DeviceView
	b.ask("GET", lampPath, "", 200, &d)
	if d.Activity.Denied[23] != 3 {
		t.Errorf("activity %+v", d.Activity)
	}
}

// TestWaiting: what was looked at is what is approved.
func TestWaiting(t *testing.T) {
	b := newBench(t)
	var d enforcer.DeviceView
	b.ask("POST", lampPath+"/hold", "", 200, &d)
	var list []enforcer.Waiting
	b.ask("GET", "/api/v1/waiting", "", 200, &list)
	if len(list) != 1 || list[0].Kind != enforcer.WaitingProfile || list[0].SHA256 != "5a" || list[0].Allows == "" {
		t.Fatalf("%+v", list)
	}
	b.ask("POST", lampPath+"/approve", `{"sha256": "5b"}`, 409, &Problem{})
	b.ask("POST", lampPath+"/approve", `{"sha": "5b"}`, 400, &Problem{})
	b.ask("POST", lampPath+"/approve", `{"sha256": "5a"}`, 200, &d)
	if d.State != enforcer.StatusEnforced {
		t.Errorf("%+v", d)
	}
}
