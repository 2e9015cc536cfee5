package acceptance

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mudguard/enforcer/enforcertest"
)

// Orders of the administrator take effect, and say so.
func TestOrders(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.cloud.name("evil.example", netip.MustParseAddr(evilAddr))
	p := lampProfile("lamp")
	delete(p.Extra, "mud-signature")
	l.cloud.file("/lamp.json", p.JSON())
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, p.URL)
	open := l.openName(lamp)
	cloud := func(want bool) probe {
		return probe{"lamp -> cloud", func() error { return lamp.tcp(open + ":8883") }, want}
	}
	evil := func(want bool) probe {
		return probe{"lamp -> evil", func() error { return lamp.tcp(evilAddr + ":23") }, want}
	}

	l.becomes(lamp, "held", "not signed")
	l.try("held", []probe{cloud(false), evil(false)})
	l.order("approve", lamp.mac)
	l.becomes(lamp, "enforced", "approved")
	open = l.openName(lamp)
	l.try("approved", []probe{cloud(true), evil(false)})

	l.order("hold", lamp.mac)
	l.becomes(lamp, "held", "administrator")
	l.try("held by hand", []probe{cloud(false), evil(false)})
	l.order("release", lamp.mac)
	l.becomes(lamp, "enforced", "")
	open = l.openName(lamp) // what a held device learned before is forgotten
	l.try("released", []probe{cloud(true), evil(false)})

	s := l.stream(lamp, open+":8883")
	await(t, "the stream flows", patience, func() string { return pickText(s.lines.Load() > 5, "", "not yet") })
	l.order("quarantine", lamp.mac)
	l.becomes(lamp, "quarantined", "")
	at := s.lines.Load()
	select { // it gives up three seconds after the last echo
	case err := <-s.done:
		if err == nil || s.lines.Load() > at+200 { // a line is sent each 5 ms: a second
			l.complain("an established flow went on in quarantine: %d more lines, then %v", s.lines.Load()-at, err)
		}
	case <-time.After(patience):
		l.complain("an established flow goes on in quarantine: %d more lines; flows at the gateway:\n%s", s.lines.Load()-at,
			l.gw.in(t, "conntrack -L 2>&1"))
	}
	l.try("quarantine", []probe{cloud(false), evil(false),
		{"lamp -> DNS", func() error { _, err := lamp.resolve(gateway, "cloud.example"); return err }, false}})
	l.order("release", lamp.mac)
	l.becomes(lamp, "enforced", "")
	open = l.openName(lamp)

	l.order("observe", lamp.mac)
	l.becomes(lamp, "observed", "")
	if _, err := lamp.resolve(gateway, "evil.example"); err != nil {
		l.complain("evil.example: %v", err)
	}
	l.try("observed", []probe{cloud(true), evil(true)})
	l.denial(lamp, func(d denial) bool { return !d.Enforced && d.Dport == 23 && d.Name == "evil.example" })
	l.order("enforce", lamp.mac)
	l.becomes(lamp, "enforced", "")
	l.try("enforced again", []probe{cloud(true), evil(false)})
	d := l.denial(lamp, func(d denial) bool { return d.Enforced && d.Dport == 23 && d.Name == "evil.example" })
	want := "Lumen Lamp One tried 203.0.113.66:23/tcp (evil.example); its profile allows tcp/8883 over IPv4 with cloud.example"
	if d.Explanation != want || d.Direction != "out" || d.Src != lamp.addr || d.Dst != evilAddr || d.Proto != "tcp" || d.Sport == 0 {
		l.complain("the denial is %+v, and should say %q", d, want)
	}

	l.order("forget", lamp.mac)
	if v := l.view(lamp); v.State != "unknown" {
		l.complain("a forgotten device is still %s", v.State)
	}
	lamp.client.signal(t, syscall.SIGUSR1) // renew
	l.becomes(lamp, "held", "not signed")  // and so is the approval of its file
	l.order("assign", lamp.mac, l.cloud.publish("signed", lampProfile("signed")))
	l.becomes(lamp, "enforced", "")
	open = l.openName(lamp)
	l.try("assigned", []probe{cloud(true), evil(false)})
	l.order("assign", lamp.mac, "")
	l.becomes(lamp, "unmanaged", "")
	l.try("without a URL", []probe{cloud(true), evil(true)})
}

func pickText(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// denial is what denials --json tells.
type denial struct {
	Time        time.Time `json:"time"`
	MAC         string    `json:"mac"`
	Direction   string    `json:"direction"`
	Src         string    `json:"src"`
	Dst         string    `json:"dst"`
	Proto       string    `json:"proto"`
	Sport       int       `json:"sport"`
	Dport       int       `json:"dport"`
	Name        string    `json:"name"`
	Explanation string    `json:"explanation"`
	Enforced    bool      `json:"enforced"`
}

// denial waits until one is listed that is wanted.
func (l *lab) denial(d *device, wanted func(denial) bool) (found denial) {
	l.Helper()
	var list []denial
	why := awaited(patience, func() string {
		list = nil
		raw := l.order("denials", "--json", "--device", d.mac)
		if err := json.Unmarshal([]byte(raw), &list); err != nil {
			return err.Error()
		}
		i := slices.IndexFunc(list, wanted)
		if i < 0 {
			return raw
		}
		found = list[i]
		return ""
	})
	if why != "" {
		l.fatal("a denial that should be listed is not: %s", why)
	}
	return found
}

// explain and the other commands end with the exit codes of the contract.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	open := l.openName(lamp)
	m := lamp.mac
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"explain", m, "out", "tcp", "cloud.example", "8883"}, 0, "allowed"},
		{[]string{"explain", m, "out", "tcp", open, "8883", "--json"}, 0, `"ace": "from0"`},
		{[]string{"explain", m, "out", "tcp", open, "80"}, 1, "denied"},
		{[]string{"explain", m, "out", "tcp", evilAddr, "8883", "--json"}, 1, `"rule": null`},
		{[]string{"explain", m, "out", "udp", gateway, "53"}, 0, "DNS"},
		{[]string{"explain", m, "out", "tcp", gateway, "22"}, 1, "gateway"},
		{[]string{"explain", m, "in", "tcp", evilAddr, "80"}, 1, "denied"},
		{[]string{"explain", m, "in", "tcp", "192.168.8.50", "80"}, 1, "denied"},
		{[]string{"explain", m, "sideways", "tcp", evilAddr, "80"}, 2, "DIRECTION"},
		{[]string{"explain", m, "out", "tcp", evilAddr}, 2, "port"},
		{[]string{"explain", m, "out", "quic", evilAddr, "80"}, 2, "protocol"},
		{[]string{"explain", "02:00:00:00:00:99", "out", "tcp", evilAddr, "80"}, 2, "no device"},
		{[]string{"device", "nonsense"}, 2, "MAC"},
		{[]string{"assign", m, "http://maker.example/x"}, 2, "https"},
		{[]string{"status", "--socket", l.dir + "/nobody"}, 3, "nobody"},
		{[]string{"explain", m, "out", "tcp", evilAddr, "80", "--socket", l.dir + "/nobody"}, 3, "nobody"},
		{[]string{"nonsense"}, 2, "no command"},
		{[]string{"version"}, 0, ""},
	} {
		out, errs, code := l.cli(c.args...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			l.complain("mudguard %s: exit %d, not %d, and should say %q: %s%s", strings.Join(c.args, " "), code, c.code, c.says, out, errs)
		}
	}
}

// JSON has the fields of the contract.
func TestJSONFields(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	p := lampProfile("lamp")
	p.From = append(p.From, enforcertest.ACE{Name: "nowhere.example", Proto: "tcp"}) // a gap to show
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", p))
	l.becomes(lamp, "enforced", "")
	await(t, "a gap is shown", patience, func() string {
		out := l.order("status", "--json")
		return pickText(strings.Contains(out, "nowhere.example"), "", out)
	})
	_ = lamp.tcp(evilAddr + ":23") // is denied
	l.denial(lamp, func(d denial) bool { return d.Dport == 23 })

	status := l.fields([]string{"status", "--json"}, "version started kernel tables sources devices held gaps")
	l.has("kernel", status["kernel"], "queue bridge")
	l.has("a source", first(status["sources"]), "name state last_seen")
	l.has("a gap", first(status["gaps"]), "what why")
	devices := "mac addresses hostname vendor url source state policy reason first_seen last_seen profile"
	d := l.fields([]string{"device", lamp.mac, "--json"}, devices)
	l.has("profile", d["profile"], "systeminfo mfg_name model_name last_update next_refresh signer")
	l.has("an ACE", first(d["aces"]), "acl ace path packets bytes")
	l.has("a name", first(d["names"]), "name addresses")
	l.fields([]string{"devices", "--json"}, devices)
	l.fields([]string{"denials", "--json"}, "time mac direction src dst proto sport dport name explanation enforced")
	l.fields([]string{"explain", lamp.mac, "out", "tcp", "cloud.example", "8883", "--json"}, "allowed rule reason")
	for _, key := range []string{"first_seen", "last_seen"} {
		text, _ := d[key].(string)
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func first(v any) any {
	list, _ := v.([]any)
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// fields runs a command, and looks whether the object, or the first of the array, has these fields.
func (l *lab) fields(args []string, names string) map[string]any {
	l.Helper()
	var v any
	raw := l.order(args...)
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		l.fatal("mudguard %v: %v: %s", args, err, raw)
	}
	if _, array := v.([]any); array {
		v = first(v)
	}
	l.has("mudguard "+args[0], v, names)
	m, _ := v.(map[string]any)
	return m
}

func (l *lab) has(what string, v any, names string) {
	l.Helper()
	m, _ := v.(map[string]any)
	for name := range strings.FieldsSeq(names) {
		if _, there := m[name]; !there {
			l.complain("%s has no field %s, but %v", what, name, slices.Sorted(maps.Keys(m)))
		}
	}
}
