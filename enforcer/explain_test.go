package enforcer_test

import (
	"fmt"
	"strings"
	"testing"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// explained is a world with the sensor of testdata under its profile and a neighbour that is known.
func explained(t *testing.T) (*world, *enforcer.Device) {
	w := newWorld(t).start()
	w.sight("neighbour", "")
	p := sensor(t)
	d := w.sight("lamp", p.URL.String())
	w.fetched(enforcer.Verified{URL: p.URL, SHA256: "sha", Profile: *p, NextRefresh: w.now.AddDate(1, 0, 0)}, nil)
	w.resolve("api.sensors.example", enforcertest.HostNamed("cloud").V4)
	w.resolve("evil.example", enforcertest.HostNamed("evil").V4)
	return w, d
}

// TestDenialSentences: exact words, as people see them; a name is there where an answer told it (R9726-4.1-a).
func TestDenialSentences(t *testing.T) {
	w, d := explained(t)
	lamp, neighbour, gateway := enforcertest.HostNamed("lamp"), enforcertest.HostNamed("neighbour"), enforcertest.HostNamed("gateway")
	probe := func(p enforcertest.Probe, prefix string) enforcer.LogEvent {
		k := p.Packet()
		return enforcer.LogEvent{Prefix: prefix, MAC: k.SrcMAC, DstMAC: k.DstMAC, Packet: k.Flow}
	}
	from := func(to, proto string, port uint16) enforcertest.Probe {
		return enforcertest.Probe{From: "lamp", To: to, Proto: proto, Sport: 50000, Dport: port}
	}
	six := from("cloud", "tcp", 443)
	six.V6 = true
	for _, l := range []enforcer.LogEvent{
		probe(from("evil", "tcp", 23), enforcer.LogOut),
		probe(from("evil", "udp", 53), enforcer.LogOut+" observed"),
		probe(six, enforcer.LogOut),
		probe(from("neighbour", "tcp", 445), enforcer.LogOut),
		probe(from("gateway", "tcp", 22), enforcer.LogOut),
		probe(enforcertest.Probe{From: "lamp", To: "evil", Proto: "icmp", ICMPType: 8}, enforcer.LogOut),
		probe(enforcertest.Probe{From: "neighbour", To: "lamp", Proto: "tcp", Sport: 1, Dport: 22}, enforcer.LogIn),
		probe(enforcertest.Probe{From: "evil", To: "lamp", Proto: "udp", Sport: 1, Dport: 5353}, enforcer.LogIn),
		probe(enforcertest.Probe{From: "gateway", To: "lamp", Proto: "tcp", Sport: 1, Dport: 80}, enforcer.LogIn),
		probe(enforcertest.Probe{From: "lamp", To: "evil", Proto: "udp", Dport: 53, Spoof: addr("198.51.100.9")}, enforcer.LogSpoof),
		probe(from("evil", "tcp", 80), enforcer.LogFlood),
		probe(from("cloud", "tcp", 443), enforcer.LogOut), // was not resolved then, and is now
	} {
		w.e.Denied(l)
	}
	w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: lamp.MAC})                                              // no address: no IP
	w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: mac(9), Packet: enforcer.Flow{Src: addr("192.0.2.1")}}) // of nobody that is known
	w.e.Denied(probe(enforcertest.Probe{From: "gateway", To: "lamp", Proto: "icmp", ICMPType: 8}, enforcer.LogIn))     // a DHCP server's
	var b strings.Builder
	for _, x := range w.e.Denials(0, d.MAC) {
		fmt.Fprintf(&b, "%d %s %s enforced=%v name=%q\n\t%s\n", x.ID, x.Direction, x.Proto, x.Enforced, x.Name, x.Explanation)
	}
	golden(t, "denials.txt", b.String())
	if len(w.e.Denials(11, dhcp.MAC{})) != 1 || len(w.e.Denials(0, neighbour.MAC)) != 0 || len(w.e.Denials(0, gateway.MAC)) != 0 {
		t.Error("not those that were asked for")
	}
}

// TestDenialsAreBounded: T21.
func TestDenialsAreBounded(t *testing.T) {
	w, d := explained(t)
	k := enforcertest.Probe{From: "lamp", To: "evil", Proto: "tcp", Sport: 1, Dport: 23}.Packet()
	for range enforcer.MaxDenials * 3 {
		w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: k.SrcMAC, Packet: k.Flow})
	}
	list := w.e.Denials(0, d.MAC)
	if len(list) > enforcer.MaxDenials || list[len(list)-1].ID != enforcer.MaxDenials*3 {
		t.Errorf("%d denials, the last %d", len(list), list[len(list)-1].ID)
	}
}

// TestExplain: exact words.
func TestExplain(t *testing.T) {
	w, d := explained(t)
	var b strings.Builder
	ask := func(q enforcer.Query) {
		x, err := w.e.Explain(d, q)
		fmt.Fprintf(&b, "in=%v proto=%d host=%s port=%d\n\tallowed=%v rule=%v error=%v\n\t%s\n", q.In, q.Proto, q.Host, q.Port, x.Allowed, x.Rule != nil, err, x.Reason)
		if x.Rule != nil {
			fmt.Fprintf(&b, "\t%s %s %s\n", x.Rule.ACL, x.Rule.ACE, x.Rule.Path)
		}
	}
	asks := func() {
		for _, q := range []enforcer.Query{
			{Proto: 6, Host: "api.sensors.example", Port: 443}, {Proto: 6, Host: "API.Sensors.Example.", Port: 443},
			{Proto: 6, Host: "203.0.113.10", Port: 443}, {Proto: 6, Host: "203.0.113.10", Port: 22}, {Proto: 6, Host: "unheard.example", Port: 443},
			{Proto: 6, Host: "203.0.113.66", Port: 443}, {Proto: 17, Host: "192.168.77.1", Port: 53}, {Proto: 6, Host: "192.168.77.1", Port: 22},
			{Proto: 58, Host: "fd77::50"}, {In: true, Proto: 6, Host: "192.168.77.50", Port: 8080}, {In: true, Proto: 6, Host: "203.0.113.66", Port: 8080},
			{Proto: 6, Host: "not a name", Port: 1}, {Proto: 6, Host: "", Port: 1},
		} {
			ask(q)
		}
	}
	asks()
	for _, step := range []func(){func() { w.e.SetMode(d, "observe") }, func() { w.e.SetMode(d, ""); w.e.Quarantine(d) }} {
		step()
		w.sync()
		b.WriteString("\n")
		asks()
	}
	golden(t, "explain.txt", b.String())
}

// TestHostileSentences: T21. What a device calls itself reaches no terminal as it is.
func TestHostileSentences(t *testing.T) {
	w := newWorld(t).start()
	h := enforcertest.HostNamed("lamp")
	d := w.hear(dhcp.Sighting{MAC: h.MAC, Kind: dhcp.Bound, Addr: h.V4, Hostname: "x\x1b[2J\n\u202e", URL: lampURL})
	k := enforcertest.Probe{From: "lamp", To: "evil", Proto: "tcp", Sport: 1, Dport: 23}.Packet()
	w.e.Denied(enforcer.LogEvent{Prefix: enforcer.LogOut, MAC: h.MAC, Packet: k.Flow})
	x, err := w.e.Explain(d, enforcer.Query{Proto: 6, Host: "evil\x1b.example", Port: 1})
	if err != nil {
		t.Log(err)
	}
	v := w.e.View(d, true)
	for _, s := range []string{w.e.Denials(0, d.MAC)[0].Explanation, w.e.Denials(0, d.MAC)[0].Device, x.Reason, v.Hostname, v.Label, w.text()} {
		if strings.ContainsAny(strings.ReplaceAll(strings.ReplaceAll(s, "\t", ""), "}\n", ""), "\x1b\u202e") {
			t.Errorf("%q", s)
		}
	}
}
