package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
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

// patience bounds every wait for something that must happen.
const patience = 60 * time.Second

//go:embed testdata/axe.min.js
var axe string

// chromium starts one browser for all tests of this package.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mudguard-chromium-") // removed by TestMain
	if err != nil {
		return nil, err
	}
	profile = dir
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.WSURLReadTimeout(2 * time.Minute)}
	for _, flag := range strings.Fields("headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking " +
		"disable-component-update disable-sync disable-dev-shm-usage") {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	quiet := func(string, ...any) {} // it does not know all events of this browser, and says so
	ctx, end = chromedp.NewContext(ctx, chromedp.WithErrorf(quiet))
	return ctx, chromedp.Run(ctx)
})

// What TestMain takes away again.
var (
	profile string
	end     context.CancelFunc
)

func TestMain(m *testing.M) {
	code := m.Run()
	if end != nil {
		end()
		os.RemoveAll(profile)
	}
	os.Exit(code)
}

// screen is what somebody looks at the pages with.
type screen struct {
	name          string
	width, height int64
	dark          bool
}

var (
	desktop = screen{"desktop-light", 1280, 900, false}
	phone   = screen{"phone-dark", 360, 740, true}
	screens = []screen{desktop, {"desktop-dark", 1280, 900, true}, {"phone-light", 360, 740, false}, phone}
)

// tab is a page that is open, and what went wrong in it.
type tab struct {
	*testing.T
	ctx     context.Context
	bench   *bench
	mu      sync.Mutex
	wrong   []string
	expects string // part of an error that the test provokes
}

// open opens a tab that is signed in, or not.
func (b *bench) open(t *testing.T, s screen, signedIn bool) *tab {
	t.Helper()
	parent, err := chromium()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs chromium, and must not be skipped in CI: %v", err)
		}
		t.Skipf("needs chromium (make deps): %v", err)
	}
	ctx, cancel := chromedp.NewContext(parent)
	p := &tab{T: t, ctx: ctx, bench: b}
	chromedp.ListenTarget(ctx, p.heard)
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	p.do(network.ClearBrowserCookies(), emulation.SetDeviceMetricsOverride(s.width, s.height, 1, s.width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
	if signedIn {
		b.signIn()
		p.do(network.SetCookie("mudguard", b.cookie).WithURL(b.url).WithHTTPOnly(true))
	}
	t.Cleanup(func() { p.calm(); cancel() })
	return p
}

// heard keeps what a developer would see in red.
func (p *tab) heard(ev any) {
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
func (p *tab) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		if p.expects == "" || !strings.Contains(w, p.expects) {
			p.Errorf("the console says: %s", w)
		}
	}
}

func (p *tab) do(actions ...chromedp.Action) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Run(p.ctx); err != nil { // the target itself must not end with a time
		p.Fatal(err)
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		p.Fatalf("%v\nThe page says:\n%s", err, p.said())
	}
}

// said is all text of the page, for the account of a failure.
func (p *tab) said() (text string) {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	_ = chromedp.Run(ctx, chromedp.Evaluate(`document.body.innerText`, &text))
	return text
}

// eval gives what an expression of the page's script comes to.
func eval[T any](p *tab, js string) (v T) {
	p.Helper()
	p.do(chromedp.Evaluate(js, &v, func(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }))
	return v
}

// until waits until an expression is true.
func (p *tab) until(js string) {
	p.Helper()
	var v any
	p.do(chromedp.Poll(js, &v, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience)))
}

// shows waits until the page says something.
func (p *tab) shows(text string) {
	p.Helper()
	p.until(fmt.Sprintf(`document.body.innerText.includes(%s)`, quoted(text)))
}

func (p *tab) hides(text string) {
	p.Helper()
	p.until(fmt.Sprintf(`!document.body.innerText.includes(%s)`, quoted(text)))
}

func quoted(s string) string { raw, _ := json.Marshal(s); return string(raw) }

// visit opens a page, and waits until it is there with this title.
func (p *tab) visit(hash, title string) {
	p.Helper()
	p.do(chromedp.Navigate("about:blank"), chromedp.Navigate(p.bench.url+"/"+hash))
	p.until(fmt.Sprintf(`document.querySelector("main h1")?.textContent.includes(%s)`, quoted(title)))
}

// press clicks the button that says so, once it is there, enabled and not covered: in the dialog, if there is one. Looking and
// clicking are one step, as the page may make it anew at any time.
func (p *tab) press(label string) { p.Helper(); p.pressIn("", label) }

// pressIn clicks a button in the first element of a kind that says something.
func (p *tab) pressIn(says, label string) {
	p.Helper()
	p.until(fmt.Sprintf(`(() => {
		const within = document.querySelector("dialog") ?? [...document.querySelectorAll(%[1]s ? "article, tr, li" : "body")].find((e) => e.textContent.includes(%[1]s));
		const button = [...within?.querySelectorAll("button") ?? []].find((b) => b.textContent === %[2]s && !b.disabled && b.checkVisibility());
		if (!button) return false;
		button.scrollIntoView({ block: "center" });
		const box = button.getBoundingClientRect();
		if (!button.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2))) return false;
		button.click();
		return true;
	})()`, quoted(says), quoted(label)))
}

// fill writes into a field, as somebody who types.
func (p *tab) fill(selector, text string) {
	p.Helper()
	p.until(fmt.Sprintf(`(() => { const f = document.querySelector(%s); f?.focus(); f?.select(); return !!f; })()`, quoted(selector)))
	p.do(input.InsertText(text))
}

// barriers fails for what axe-core finds.
func (p *tab) barriers() {
	p.Helper()
	type finding struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	p.do(chromedp.Evaluate(axe, nil))
	for _, v := range eval[[]finding](p, `axe.run().then((r) => r.violations)`) {
		p.Errorf("axe: %s: %s\n%+v", v.ID, v.Help, v.Nodes[0])
	}
}

// fits fails for a page that is wider than its screen.
func (p *tab) fits() {
	p.Helper()
	if over := eval[int](p, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		p.Errorf("the page is %d pixels wider than the screen", over)
	}
}

// picture keeps what the page looks like in the folder that MUDGUARD_SCREENSHOTS names, for people to look at.
func (p *tab) picture(name string) {
	p.Helper()
	dir := os.Getenv("MUDGUARD_SCREENSHOTS")
	if dir == "" {
		return
	}
	var png []byte
	p.do(chromedp.FullScreenshot(&png, 100))
	must(p, os.MkdirAll(dir, 0o755))
	must(p, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}
