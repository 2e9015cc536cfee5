package acceptance

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mudguard/web/browsertest"
)

// door lets programs outside the lab reach what a device of it can reach, and gives the address where.
func (l *lab) door(d *device, addr string) string {
	l.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { ln.Close() })
	go func() {
		for {
			outside, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				defer outside.Close()
				inside, err := d.dial("tcp", addr)
				if err != nil {
					return // the browser says so
				}
				stop := context.AfterFunc(l.Context(), func() { outside.Close() })
				defer stop()
				go func() { io.Copy(inside, outside); inside.Close() }()
				io.Copy(outside, inside)
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// TestPagesWithTraffic is a household's way through the pages, in a browser, with the daemon, its kernel and real packets: the first
// password, a denial that shows as it happens, an attempt that is allowed after a look at what that opens, and then passes,
// quarantine, which cuts, and a pause, which lets all pass (T22).
func TestPagesWithTraffic(t *testing.T) {
	l := newLab(t, true)
	lamp, phone := l.device("lamp"), l.device("phone")
	l.static(phone, 30)
	l.dnsmasq()
	l.config["http"] = map[string]any{"listen": gateway + ":8520", "tls": "never"}
	url := l.cloud.publish("lamp", lampProfile("lamp"))
	l.start()
	l.udhcpc(lamp, url)
	l.becomes(lamp, "enforced", "")
	passes := func(want bool) {
		t.Helper()
		l.try("in the browser's walk", []probe{l.to("lamp -> another host", lamp.space, evilAddr, 8883, want)})
	}
	token, err := os.ReadFile(filepath.Join(l.dir, "state", "setup-token"))
	if err != nil {
		t.Fatal(err)
	}
	p := browsertest.Open(t, browsertest.Phone(), l.door(phone, gateway+":8520"), "")
	p.Visit("", "Welcome to mudguard")
	p.Fill("#f-token", strings.TrimSpace(string(token)))
	p.Fill("#f-password", "correct horse")
	p.Fill("#f-again", "correct horse")
	p.Press("Set the password")
	p.Shows("Enforced")
	p.Visit("#/attempts", "Attempts")
	passes(false)
	p.Shows("on TCP 8883") // without a reload
	p.PressIn("on TCP 8883", "Allow …")
	p.Shows("This opens:")
	passes(false)
	p.Press("Allow")
	p.Shows("Allowed, as an exception of yours.")
	passes(true)
	p.Visit("#/device/"+lamp.mac, "")
	p.Shows("Your exceptions")
	p.Press("Quarantine …")
	p.Press("Quarantine")
	p.Shows("Quarantined: its connections are cut.")
	passes(false)
	p.Press("Release")
	p.Shows("Released.")
	p.Press("Remove")
	p.Shows("Removed")
	passes(false)
	p.Press("Pause …")
	p.Press("Pause")
	p.Shows("Paused.")
	passes(true)
	p.Press("End the pause")
	p.Shows("The rules are back.")
	passes(false)
	p.Barriers()
}
