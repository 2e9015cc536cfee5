package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Patience bounds every wait for something that must happen.
const Patience = 60 * time.Second

//go:embed testdata/axe.min.js
var axe string

// chromium is the browser of all tests of a package. It starts with the first one that needs it.
var chromium struct {
	once sync.Once
	ctx  context.Context
	end  func()
	err  error
}

func start() {
	dir, err := os.MkdirTemp("", "mudguard-chromium-")
	if err != nil {
		chromium.err = err
		return
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath("/usr/bin/chromium"), chromedp.UserDataDir(dir), chromedp.WSURLReadTimeout(2 * time.Minute)}
	for _, flag := range strings.Fields("headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking " +
		"disable-component-update disable-sync disable-dev-shm-usage") {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	quiet := func(string, ...any) {} // it does not know all events of this browser, and says so
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithErrorf(quiet))
	chromium.ctx, chromium.err, chromium.end = ctx, chromedp.Run(ctx), func() { cancel(); os.RemoveAll(dir) }
}

// Run runs the tests of a package, and ends the browser, if they had one.
func Run(m *testing.M) int {
	code := m.Run()
	if chromium.end != nil {
		chromium.end()
	}
	return code
}

// Screen is what somebody looks at the pages with.
type Screen struct {
	Name          string
	Width, Height int64
	Dark          bool
}

// Desktop and Phone are the two that differ most.
func Desktop() Screen { return Screen{"desktop-light", 1280, 900, false} }
func Phone() Screen   { return Screen{"phone-dark", 360, 740, true} }

// Tab is a page that is open, and what went wrong in it.
type Tab struct {
	*testing.T
	ctx     context.Context
	base    string
	mu      sync.Mutex
	wrong   []string
	Expects string // part of an error that the test provokes
}

// Open opens a tab for the pages that are at base. cookie is that of a session, "" for none.
func Open(t *testing.T, s Screen, base, cookie string) *Tab {
	t.Helper()
	chromium.once.Do(start)
	switch {
	case chromium.err != nil && os.Getenv("CI") == "true":
		t.Fatalf("needs chromium, and must not be skipped in CI: %v", chromium.err)
	case chromium.err != nil:
		t.Skipf("needs chromium (make deps): %v", chromium.err)
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx)
	p := &Tab{T: t, ctx: ctx, base: base}
	chromedp.ListenTarget(ctx, p.heard)
	scheme := "light"
	if s.Dark {
		scheme = "dark"
	}
	p.Do(network.ClearBrowserCookies(), emulation.SetDeviceMetricsOverride(s.Width, s.Height, 1, s.Width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
	if cookie != "" {
		p.Do(network.SetCookie("mudguard", cookie).WithURL(base).WithHTTPOnly(true))
	}
	t.Cleanup(func() { p.calm(); cancel() })
	return p
}

// heard keeps what a developer would see in red.
func (p *Tab) heard(ev any) {
	said := ""
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		said = ev.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.LevelError || ev.Entry.Level == log.LevelWarning {
			said = ev.Entry.Text + " " + ev.Entry.URL
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.APITypeError || ev.Type == runtime.APITypeWarning {
			said = fmt.Sprint(ev.Args)
		}
	}
	if said != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.wrong = append(p.wrong, said)
	}
}

// calm fails the test where the console had something to complain of.
func (p *Tab) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		if p.Expects == "" || !strings.Contains(w, p.Expects) {
			p.Errorf("the console says: %s", w)
		}
	}
}

// Do lets the browser do something.
func (p *Tab) Do(actions ...chromedp.Action) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	if err := chromedp.Run(p.ctx); err != nil { // the target itself must not end with a time
		p.Fatal(err)
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		p.Fatalf("%v\nThe page says:\n%s", err, p.said())
	}
}

// said is all text of the page, for the account of a failure.
func (p *Tab) said() (text string) {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	_ = chromedp.Run(ctx, chromedp.Evaluate(`document.body.innerText.slice(0, 3000)`, &text))
	return text
}

// Eval gives what an expression of the page's script comes to.
func Eval[T any](p *Tab, js string) (v T) {
	p.Helper()
	p.Do(chromedp.Evaluate(js, &v, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
	return v
}

// Until waits until an expression is true.
func (p *Tab) Until(js string) {
	p.Helper()
	var v any
	p.Do(chromedp.Poll(js, &v, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(Patience)))
}

// Shows waits until the page says something.
func (p *Tab) Shows(text string) {
	p.Helper()
	p.Until(fmt.Sprintf(`document.body.innerText.includes(%s)`, Quoted(text)))
}

// Hides waits until it says it no more.
func (p *Tab) Hides(text string) {
	p.Helper()
	p.Until(fmt.Sprintf(`!document.body.innerText.includes(%s)`, Quoted(text)))
}

// Quoted is a text as the page's script has it.
func Quoted(s string) string { raw, _ := json.Marshal(s); return string(raw) }

// Visit opens a page, and waits until it is there with this title.
func (p *Tab) Visit(hash, title string) {
	p.Helper()
	p.Do(chromedp.Navigate("about:blank"), chromedp.Navigate(p.base+"/"+hash))
	p.Until(fmt.Sprintf(`document.querySelector("main h1")?.textContent.includes(%s)`, Quoted(title)))
}

// Press clicks the button that says so, once it is there, enabled and not covered: in the dialog, if there is one. Looking and
// clicking are one step, as the page may make it anew at any time.
func (p *Tab) Press(label string) { p.Helper(); p.PressIn("", label) }

// PressIn clicks a button in the first element of a kind that says something.
func (p *Tab) PressIn(says, label string) {
	p.Helper()
	p.Until(fmt.Sprintf(`(() => {
		const within = document.querySelector("dialog") ?? [...document.querySelectorAll(%[1]s ? "article, tr, li" : "body")].find((e) => e.textContent.includes(%[1]s));
		const button = [...within?.querySelectorAll("button") ?? []].find((b) => b.textContent === %[2]s && !b.disabled && b.checkVisibility());
		if (!button) return false;
		button.scrollIntoView({ block: "center" });
		const box = button.getBoundingClientRect();
		if (!button.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2))) return false;
		button.click();
		return true;
	})()`, Quoted(says), Quoted(label)))
}

// Fill writes into a field, as somebody who types.
func (p *Tab) Fill(selector, text string) {
	p.Helper()
	p.Until(fmt.Sprintf(`(() => { const f = document.querySelector(%s); f?.focus(); f?.select(); return !!f; })()`, Quoted(selector)))
	p.Do(input.InsertText(text))
}

// Barriers fails for what axe-core finds.
func (p *Tab) Barriers() {
	p.Helper()
	type finding struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	p.Do(chromedp.Evaluate(axe, nil))
	for _, v := range Eval[[]finding](p, `axe.run().then((r) => r.violations)`) {
		p.Errorf("axe: %s: %s\n%+v", v.ID, v.Help, v.Nodes[0])
	}
}

// Fits fails for a page that is wider than its screen.
func (p *Tab) Fits() {
	p.Helper()
	if over := Eval[int](p, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		p.Errorf("the page is %d pixels wider than the screen", over)
	}
}

// Picture keeps what the page looks like in the folder that MUDGUARD_SCREENSHOTS names, for people to look at.
func (p *Tab) Picture(name string) {
	p.Helper()
	dir := os.Getenv("MUDGUARD_SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	shoot := chromedp.FullScreenshot(&png, 100)
	if Eval[int](p, `document.documentElement.scrollHeight`) > 6000 { // nobody looks at so much
		shoot = chromedp.CaptureScreenshot(&png)
	}
	p.Do(shoot)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.Fatal(err)
	}
}
