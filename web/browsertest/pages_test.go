package browsertest

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// shown are the pages and what each must say with these devices.
var shown = []struct{ name, hash, title, says string }{
	{"devices", "#/devices", "Devices", "Waiting for you"},
	{"lamp", "#/device/" + lampMAC, "Lamp", "May reach api.lamp.example on TCP 443 (secure web)"},
	{"camera", "#/device/" + cameraMAC, "camera", "Waiting for your decision"},
	{"plug", "#/device/" + plugMAC, "plug", "It announced no profile"},
	{"attempts", "#/attempts", "Attempts", "tried to reach evil.example (203.0.113.66) on TCP 23 (Telnet)"},
	{"waiting", "#/waiting", "Waiting", "Its profile waits for you"},
	{"health", "#/health", "Health", "DNS answers"},
}

// Every page, on every screen, says what it should, has no barriers and nothing to complain of in the console.
func TestEveryPage(t *testing.T) {
	b := newBench(t, 3)
	b.await(cameraMAC, "held")
	for _, s := range []Screen{Desktop(), {"desktop-dark", 1280, 900, true}, {"phone-light", 360, 740, false}, Phone()} {
		t.Run(s.Name, func(t *testing.T) {
			p := b.open(t, s, true)
			for _, page := range shown {
				p.Visit(page.hash, page.title)
				p.Shows(page.says)
				if s == Desktop() || s == Phone() { // both widths and both shades are among them
					p.Barriers()
				}
				p.Fits()
				p.Picture(page.name + "-" + s.Name)
			}
		})
	}
}

// Without a device every page says what to do next.
func TestNoDevices(t *testing.T) {
	b := newBench(t, 0)
	for _, s := range []Screen{Desktop(), Phone()} {
		p := b.open(t, s, true)
		for _, page := range []struct{ hash, title, says string }{
			{"#/devices", "Devices", "Switch one on"},
			{"#/attempts", "Attempts", "Nothing was denied"},
			{"#/waiting", "Waiting", "Nothing waits for you"},
			{"#/health", "Health", "dhcpv4 on br-lan"},
			{"#/device/02:00:5e:10:00:77", "cannot be shown", "there is no device"},
		} {
			p.Expects = "404" // of the device that is not there
			p.Visit(page.hash, page.title)
			p.Shows(page.says)
			p.Barriers()
			p.Picture("empty-" + page.title + "-" + s.Name)
		}
	}
}

// Five hundred devices: the list is there, searched and brought up to date in place.
func TestManyDevices(t *testing.T) {
	b := newBench(t, 500)
	p := b.open(t, Desktop(), true)
	p.Visit("#/devices", "Devices")
	p.Until(`document.querySelectorAll("table.devices tbody tr").length === 500`)
	p.Picture("devices-500")
	p.Do()
	Eval[any](p, `document.querySelector("table.devices tbody tr:nth-child(400)").dataset.same = "yes"`)
	p.Fill("#search", "device-123")
	p.Until(`[...document.querySelectorAll("table.devices tbody tr")].filter((r) => !r.hidden).length === 1`)
	p.Shows("1 of 500 devices")
	p.Fill("#search", "no such device")
	p.Shows("No device matches")
	b.ask("POST", "/devices/02:00:5e:10:01:2c/quarantine", map[string]any{})
	p.Fill("#search", "device-300")
	p.Shows("Quarantined")
	if !Eval[bool](p, `!!document.querySelector("[data-same]")`) {
		t.Error("rows were made anew for a change of one device")
	}
	for _, page := range []string{"attempts", "waiting", "health"} {
		p.Visit("#/"+page, map[string]string{"attempts": "Attempts", "waiting": "Waiting", "health": "Health"}[page])
	}
}

// The first page is small with all its devices, and loads nothing from elsewhere; the chart's code comes only where there is a chart.
func TestFirstPageIsSmall(t *testing.T) {
	b := newBench(t, 500)
	p := b.open(t, Desktop(), true)
	p.Visit("#/devices", "Devices")
	p.Until(`document.querySelectorAll("table.devices tbody tr").length === 500`)
	type resource struct {
		Name string
		Size int
	}
	total := 0
	for _, r := range Eval[[]resource](p, `[...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")].map((e) =>
		({ Name: e.name, Size: e.transferSize }))`) {
		t.Logf("%7d %s", r.Size, r.Name)
		if len(r.Name) < len(b.url) || r.Name[:len(b.url)] != b.url {
			t.Errorf("the page asks %s", r.Name)
		}
		total += r.Size
	}
	if total == 0 || total > 100<<10 {
		t.Errorf("the first page is %d bytes", total)
	}
	if Eval[bool](p, `!!window.uPlot`) {
		t.Error("the chart's code was loaded where there is no chart")
	}
	p.firstRows()
}

// firstRows logs how long after a navigation the rows are in a frame: a figure where the machine does nothing else, else a hint.
func (p *Tab) firstRows() {
	p.Helper()
	p.Do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`new MutationObserver((_, o) => {
			if (!document.querySelector("table.devices tbody tr")) return;
			o.disconnect();
			requestAnimationFrame(() => { window.rowsAt = performance.now(); });
		}).observe(document, { childList: true, subtree: true })`).Do(ctx)
		return err
	}))
	for range 5 {
		p.Do(chromedp.Reload())
		p.Until(`window.rowsAt`)
		p.Logf("rows %.0f ms after the navigation (ends of answers: %s)", Eval[float64](p, `rowsAt`), Eval[string](p, `performance.getEntriesByType("resource")
			.filter((e) => /app.js|session|devices$/.test(e.name)).map((e) => e.name.replace(/.*\//, "") + " " + Math.round(e.responseEnd)).join(", ")`))
	}
}
