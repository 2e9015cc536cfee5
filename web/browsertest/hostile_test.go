package browsertest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"mudguard/dhcp"
)

// withoutEvents lets the browser not have what comes from /events.
func withoutEvents() chromedp.Action { return network.SetBlockedURLs([]string{"*/api/v1/events"}) }

// A device, its profile, host names and notes that are markup, invisible, from right to left and far too long are shown as text,
// on every page, and no page breaks by them (T21).
func TestHostileText(t *testing.T) {
	b := newBench(t, 3)
	b.sighted(dhcp.Sighting{MAC: mac(t, plugMAC), Kind: dhcp.Bound, Source: dhcp.SourceDHCPv4, Hostname: hostile, Vendor: hostile, URL: hostileURL})
	b.await(plugMAC, "enforced")
	b.denied(4444, "<b>bold</b>."+strings.Repeat("w", 60)+"."+strings.Repeat("w", 60)+".example")
	for _, s := range []screen{desktop, phone} {
		p := b.open(t, s, true)
		for _, page := range []struct{ name, hash, title, says string }{
			{"devices", "#/devices", "Devices", "<img src=x"},
			{"device", "#/device/" + plugMAC, "<img", "<img src=x"},
			{"lamp", "#/device/" + lampMAC, "Lamp", "<b>bold</b>"},
			{"attempts", "#/attempts", "Attempts", "<b>bold</b>"},
			{"waiting", "#/waiting", "Waiting", "<img src=x"},
			{"health", "#/health", "Health", "<img src=x"},
		} {
			p.visit(page.hash, page.title)
			p.shows(page.says)
			if eval[bool](p, `!!window.owned || !!document.querySelector("main img, main b")`) {
				t.Errorf("%s: text became markup", page.name)
			}
			if eval[bool](p, `/[\u0000-\u0008\u000b-\u001f\u202a-\u202e\u2066-\u2069]/.test(document.body.innerText)`) {
				t.Errorf("%s: a control character is shown", page.name)
			}
			p.fits()
			p.picture("hostile-" + page.name + "-" + s.name)
		}
	}
}

// No file of the pages has a way by which text could become markup or script, nor one that the policy of the pages forbids, nor
// asks anything of other sites (T21).
func TestPagesHaveNoWayForMarkup(t *testing.T) {
	banned := regexp.MustCompile(`(?i)innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|\beval\(|new Function|` +
		`setHTML|srcdoc|javascript:|\sstyle=|<style|\son[a-z]+=|setAttribute\("on|https?://[^w…]|//cdn|localStorage\.setItem\("(?:[^t])`)
	files, err := filepath.Glob("../pages/*")
	must(t, err)
	if len(files) < 10 {
		t.Fatalf("only %d files", len(files))
	}
	for _, name := range files {
		info, err := os.Stat(name)
		must(t, err)
		if info.IsDir() { // what others made
			continue
		}
		raw, err := os.ReadFile(name)
		must(t, err)
		for i, line := range strings.Split(string(raw), "\n") {
			if found := banned.FindString(line); found != "" && !strings.Contains(found, "…") {
				t.Errorf("%s:%d: %q", name, i+1, found)
			}
		}
	}
}
