package acceptance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
)

// What happens is told by MQTT through a real broker, to a webhook, and by the metrics, by the daemon as it runs: with its rights
// given up.
func TestNews(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	p := lampProfile("lamp")
	url := l.cloud.publish("lamp", p)
	l.cloud.name("evil.example", netip.MustParseAddr(evilAddr))
	l.dnsmasq()
	users := filepath.Join(l.dir, "mqtt.users")
	l.gw.in(t, "mosquitto_passwd -b -c "+users+" mud secret")
	launch(t, l.gw, "mosquitto", "-c", l.file("mqtt.conf", fmt.Sprintf("listener 1883 127.0.0.1\nuser root\nallow_anonymous false\npassword_file %s\n",
		users), 0o644))
	await(t, "the broker listens", patience, func() string {
		c, err := l.gw.dial("tcp", "127.0.0.1:1883")
		if err != nil {
			return err.Error()
		}
		c.Close()
		return ""
	})
	heard := launch(t, l.gw, "mosquitto_sub", "-h", "127.0.0.1", "-u", "mud", "-P", "secret", "-t", "#", "-F", "%t %p")
	l.config["notify"] = map[string]any{
		"webhooks": []any{map[string]any{"url": "http://127.0.0.1:9/closed", "events": []string{"hold"}}},
		"mqtt":     map[string]any{"broker": "mqtt://127.0.0.1", "username": "mud", "password_file": l.file("mqtt.password", "secret\n", 0o600)},
	}
	l.start()
	told := func(what ...string) {
		l.Helper()
		await(t, "MQTT tells "+strings.Join(what, " "), patience, func() string {
			for line := range strings.Lines(heard.log.String()) {
				all := true
				for _, w := range what {
					all = all && strings.Contains(line, w)
				}
				if all {
					return ""
				}
			}
			return "not yet: " + heard.log.tail() + l.log.tail()
		})
	}
	told("mudguard/status online")
	told("homeassistant/event/mudguard_", `"event_types":["new_device","hold","denial","repaired"]`)
	l.udhcpc(lamp, url)
	l.becomes(lamp, "enforced", "")
	told("mudguard/news", `"event_type":"new_device"`, lamp.mac)
	if lamp.tcp(evilAddr+":23") == nil {
		l.complain("evil is reached")
	}
	told("mudguard/news", `"event_type":"denial"`, evilAddr, `"enforced":true`)
	l.order("hold", lamp.mac)
	told("mudguard/news", `"event_type":"hold"`, "waits for you")
	l.gw.in(t, "nft flush ruleset")
	told("mudguard/news", `"event_type":"repaired"`)

	await(t, "the metrics tell it", patience, func() string {
		page := l.metrics()
		for _, want := range []string{`mudguard_notifications_total{target="mqtt",result="sent"} `, "mudguard_repairs_total 1",
			`mudguard_device_denials_total{mac="` + lamp.mac + `",enforced="true"} `, `mudguard_devices{state="held"} 1`, `mudguard_fetches_total{result="used"} 1`,
			"process_resident_memory_bytes ", "process_open_fds "} {
			if !strings.Contains(page, want) {
				return "no " + want + " in\n" + page
			}
		}
		return ""
	})
	if log := l.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "/closed") {
		l.complain("a secret is in the log:\n%s", log)
	}
	l.daemon.kill()
	told("mudguard/status offline")
}

// metrics asks for the metrics on the unix socket.
func (l *lab) metrics() string {
	l.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(l.dir, "s"))
	}}}
	resp, err := client.Get("http://mudguard/metrics")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(page)
}
