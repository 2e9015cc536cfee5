package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"mudguard/enforcer/enforcertest"
)

// badCase is something that devices, manufacturers or DNS get wrong.
type badCase struct {
	name  string
	url   func(*lab) string // what the device announces
	state string
	says  string // in the device's reason, a gap of the status, or the log
}

// plain announces a URL as it is.
func plain(url string) func(*lab) string { return func(*lab) string { return url } }

// serving announces a URL behind which f serves.
func serving(name string, f http.HandlerFunc) func(*lab) string {
	return func(l *lab) string {
		l.cloud.page("/"+name+".json", f)
		return site + name + ".json"
	}
}

func body(raw []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) }
}

// published announces a profile that is published and then changed by f.
func published(name string, change func(*enforcertest.Profile), after func(*lab, []byte)) func(*lab) string {
	return func(l *lab) string {
		p := lampProfile(name)
		if change != nil {
			change(&p)
		}
		url := l.cloud.publish(name, p)
		if after != nil {
			after(l, p.JSON())
		}
		return url
	}
}

// drip sends a file so slowly that it never ends.
func drip(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// huge sends 64 MiB, or as much of it as the other side takes.
func huge(w http.ResponseWriter, _ *http.Request) {
	mib := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		if _, err := w.Write(mib); err != nil {
			return
		}
	}
}

func badCases() []badCase {
	deep := []byte(`{"ietf-mud:mud":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "}")
	return []badCase{
		{"http URL", plain("http://maker.example/lamp.json"), "failed", "doesn't start with https://"},
		{"URL of 300 octets", plain(site + strings.Repeat("x", 300-len(site))), "failed", "300 octets long"},
		{"URL with control characters", plain(site + "a\x07\x1b[2J.json"), "failed", "control character"},
		{"server down", plain("https://down.example/lamp.json"), "failed", "can't be reached"},
		{"name of the server unknown", plain("https://nowhere.example/lamp.json"), "failed", "can't be resolved: no such host"},
		{"server slow", serving("slow", drip), "failed", "too long to answer"},
		{"404", plain(site + "missing.json"), "failed", "404 Not Found"},
		{"64 MiB", serving("huge", huge), "failed", "larger than 1048576 bytes"},
		{"certificate of another host", plain("https://other.example/lamp.json"), "failed", "certificate is not for"},
		{"certificate of an unknown authority", plain("https://untrusted.example/lamp.json"), "failed", "authority that is not trusted"},
		{"JSON cut off", serving("cut", body(lampProfile("cut").JSON()[:200])), "held", "is no MUD file"},
		{"JSON too deep", serving("deep", body(deep)), "held", "nested more than 32 deep"},
		{"not signed", published("unsigned", func(p *enforcertest.Profile) { delete(p.Extra, "mud-signature") }, nil), "held", "not signed"},
		{"tampered", published("tampered", nil, func(l *lab, raw []byte) {
			l.cloud.file("/tampered.json", bytes.Replace(raw, []byte("8883"), []byte("8884"), 1))
		}), "held", "signature"},
		{"unknown signer", published("stranger", nil, func(l *lab, raw []byte) {
			l.cloud.file("/stranger.p7s", sign(l.T, raw, l.cloud.pki.stranger))
		}), "held", "signer"},
		{"name that does not resolve", published("noname", func(p *enforcertest.Profile) { p.From[0].Name = "nowhere.example" }, nil),
			"enforced", "nowhere.example cannot be resolved"},
		{"name with 4000 addresses", published("many", func(p *enforcertest.Profile) { p.From[0].Name = "many.example" }, nil),
			"enforced", "many.example has more than 256 addresses"},
	}
}

// Whatever comes from outside, the device is restricted, somebody is told why, and the daemon goes on with its work. That the name
// with 4000 addresses has too many is known from an answer over TCP (R9726-3.1-d, F8, T7).
func TestBadInput(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	var many []netip.Addr // as many as fit into one answer over TCP
	for a := netip.MustParseAddr("203.0.112.0"); len(many) < 4000; a = a.Next() {
		many = append(many, a)
	}
	l.cloud.name("many.example", many...)
	l.dnsmasq()
	good, nb := l.device("good"), l.device("nb")
	l.static(nb, 50)
	l.start()
	l.udhcpc(good, l.cloud.publish("good", lampProfile("good")))
	l.becomes(good, "enforced", "")
	for i, c := range badCases() {
		bad := l.device("bad")
		if url := c.url(l); len(url) > 255 {
			l.static(bad, 80)
			l.announceLong(bad, url)
		} else {
			l.udhcpc(bad, url)
		}
		l.becomes(bad, c.state, "")
		if why := awaited(patience, func() string { return l.toldOf(bad, c.says) }); why != "" {
			l.complain("%s: nobody is told %q: %s", c.name, c.says, why)
		}
		l.try(c.name, []probe{
			{"device -> Internet", func() error { return bad.tcp(evilAddr + ":8883") }, false},
			{"device -> gateway's SSH", func() error { return bad.tcp(gateway + ":22") }, false},
			{"device -> neighbour", func() error { return bad.tcp(nb.addr + ":7000") }, false},
			{"neighbour -> device", func() error { return nb.tcp(bad.addr + ":7000") }, false},
			{"device -> DNS of this network", func() error { _, err := bad.resolve(gateway, "maker.example"); return err }, true},
			{"neighbour -> Internet", func() error { return nb.tcp(evilAddr + ":8883") }, true},
		})
		url := l.cloud.publish(fmt.Sprintf("good%d", i), lampProfile(fmt.Sprintf("good%d", i)))
		l.order("assign", good.mac, url)
		if v := l.becomes(good, "enforced", ""); v.URL != url {
			l.complain("%s: another device has %s instead of the profile assigned", c.name, v.URL)
		}
		l.order("status")
	}
}

// toldOf gives "" where a text is in the device's reason, in a gap, or in the log.
func (l *lab) toldOf(d *device, text string) string {
	l.Helper()
	var status struct{ Gaps []struct{ What, Why string } }
	raw := l.order("status", "--json")
	if err := json.Unmarshal([]byte(raw), &status); err != nil {
		l.fatal("status --json: %v", err)
	}
	reason := l.view(d).Reason
	told := []string{reason}
	for _, g := range status.Gaps {
		told = append(told, g.What+": "+g.Why)
	}
	if strings.Contains(strings.Join(told, "\n"), text) {
		return ""
	}
	return "only this: " + strings.Join(told, "\n")
}

// announceLong sends a DISCOVER with a URL that needs two options 161 (RFC 3396), which no client does.
func (l *lab) announceLong(d *device, url string) {
	l.Helper()
	mac, err := net.ParseMAC(d.mac)
	if err != nil {
		l.Fatal(err)
	}
	m, err := dhcpv4.NewDiscovery(mac, dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(161), []byte(url))))
	if err != nil {
		l.Fatal(err)
	}
	err = d.do(func() error {
		c, err := net.DialUDP("udp4", &net.UDPAddr{Port: 68}, &net.UDPAddr{IP: net.IPv4bcast, Port: 67})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write(m.ToBytes())
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
}
