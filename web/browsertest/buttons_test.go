package browsertest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"mudguard/enforcer"
)

// Setting the first password, signing out and in again, and what is said of a wrong one (T22).
func TestSignIn(t *testing.T) {
	b := newBench(t, 3)
	p := b.open(t, phone, false)
	p.expects = "Failed to load resource" // what is refused
	p.visit("", "Welcome to mudguard")
	p.barriers()
	p.picture("setup-phone-dark")
	p.fill("#f-token", "wrong")
	p.fill("#f-password", password)
	p.fill("#f-again", "another")
	p.press("Set the password")
	p.shows("The two passwords differ.")
	p.fill("#f-again", password)
	p.press("Set the password")
	p.shows("this is not the setup token")
	p.fill("#f-token", b.token)
	p.press("Set the password")
	p.shows("3 devices")
	p.press("Sign out")
	p.shows("Sign in")
	p.barriers()
	p.picture("sign-in-phone-dark")
	p.fill("#f-password", "wrong password")
	p.press("Sign in")
	p.shows("the password is wrong")
	p.fill("#f-password", password)
	p.press("Sign in")
	p.shows("3 devices")
}

// Every button of a device does what it says, and the daemon has it.
func TestDeviceButtons(t *testing.T) {
	b := newBench(t, 3)
	b.await(cameraMAC, enforcer.StatusHeld)
	p := b.open(t, desktop, true)
	p.visit("#/device/"+lampMAC, "Lamp")
	for _, step := range []struct {
		press, ask, yes string // ask is what the dialog says
		want            enforcer.Status
	}{
		{"Pause …", "nothing is denied to it", "Pause", enforcer.StatusPaused},
		{"End the pause", "", "", enforcer.StatusEnforced},
		{"Observe …", "Nothing is denied to it until you enforce again", "Observe", enforcer.StatusObserved},
		{"Enforce …", "nothing else", "Enforce", enforcer.StatusEnforced},
		{"Quarantine …", "cut off from the Internet", "Quarantine", enforcer.StatusQuarantined},
		{"Release", "", "", enforcer.StatusEnforced},
	} {
		p.press(step.press)
		if step.ask != "" {
			p.shows(step.ask)
			p.press(step.yes)
		}
		b.await(lampMAC, step.want)
		p.until(`!document.querySelector("dialog")`)
		p.until(`document.querySelector("main .chip").textContent === ` + quoted(words[step.want]))
	}
	p.press("Rename …")
	p.fill("#d-name", "Hall lamp")
	p.press("Rename")
	p.until(`document.querySelector("h1").textContent === "Hall lamp"`)
	if got := b.view(lampMAC).Name; got != "Hall lamp" {
		t.Errorf("the device's name is %q", got)
	}
	p.press("Forget …")
	p.press("Forget")
	p.shows("2 devices")
	if got := b.state(lampMAC); got != "" {
		t.Errorf("a forgotten device is %s", got)
	}
}

// words are what the pages call a state.
var words = map[enforcer.Status]string{enforcer.StatusPaused: "Paused", enforcer.StatusEnforced: "Enforced", enforcer.StatusObserved: "Observed",
	enforcer.StatusQuarantined: "Quarantined"}

// Allowing an attempt says first what that opens; the exception is listed, and can be taken away.
func TestAllowAttempt(t *testing.T) {
	b := newBench(t, 3)
	p := b.open(t, phone, true)
	p.visit("#/attempts", "Attempts")
	p.press("Allow …")
	p.shows("This opens:")
	p.shows("23/tcp")
	p.barriers()
	p.picture("allow-phone-dark")
	if n := len(b.view(lampMAC).Exceptions); n != 0 {
		t.Fatalf("the preview made %d exceptions", n)
	}
	p.press("Allow")
	p.shows("Allowed, as an exception of yours.")
	if x := b.view(lampMAC).Exceptions; len(x) != 1 || x[0].Remote != "evil.example" || x[0].Port != 23 || x[0].Until.IsZero() {
		t.Fatalf("exceptions: %+v", x)
	}
	p.visit("#/device/"+lampMAC, "Lamp")
	p.shows("Your exceptions")
	p.press("Remove")
	p.hides("Your exceptions")
	if n := len(b.view(lampMAC).Exceptions); n != 0 {
		t.Errorf("%d exceptions are left", n)
	}
}

// A profile is assigned by its URL and by the text of its QR code; what is wrong with one is said in words.
func TestAssign(t *testing.T) {
	b := newBench(t, 3)
	p := b.open(t, desktop, true)
	p.expects = "Failed to load resource" // what is refused
	p.visit("#/device/"+plugMAC, "plug")
	p.press("Assign a profile …")
	p.fill("#d-code", "http://mud.lamp.example/lamp/v1")
	p.press("Assign")
	p.shows("the QR code:")
	p.picture("assign-desktop-light")
	p.fill("#d-code", lampURL)
	p.press("Assign")
	p.until(`!document.querySelector("dialog")`)
	b.await(plugMAC, enforcer.StatusEnforced)
	p.press("Assign a profile …")
	p.fill("#d-code", "[)>\x1e06\x1d12N\x1dM180"+hostileURL+"\x1e\x04")
	p.press("Assign")
	p.until(`!document.querySelector("dialog")`)
	if v := b.view(plugMAC); v.URL != hostileURL || v.Source != enforcer.SourceQR {
		t.Errorf("after the QR code: %s from %s", v.URL, v.Source)
	}
}

// What waits is approved after a look at what that allows.
func TestApprove(t *testing.T) {
	b := newBench(t, 2)
	b.await(cameraMAC, enforcer.StatusHeld)
	p := b.open(t, desktop, true)
	p.visit("#/waiting", "Waiting")
	p.shows("It is not signed")
	p.shows("reach api.lamp.example on TCP 443 (secure web)") // what approval would allow
	p.pressIn("camera", "Approve …")
	p.shows("Nobody signed this file")
	p.picture("approve-desktop-light")
	p.press("Approve")
	b.await(cameraMAC, enforcer.StatusEnforced)
	p.shows("Approved.")
}

// What changes is shown without a reload, also where events cannot be had.
func TestLive(t *testing.T) {
	for _, events := range []bool{true, false} {
		b := newBench(t, 3)
		p := b.open(t, desktop, true)
		if !events {
			p.do(withoutEvents())
			p.expects = "events"
		}
		p.visit("#/attempts", "Attempts")
		p.shows(map[bool]string{true: "Live", false: "Every few seconds"}[events])
		b.denied(2323, "other.example")
		p.shows("other.example (203.0.113.66) on TCP 2323 (Telnet)")
		p.visit("#/devices", "Devices")
		b.device(3)
		p.shows("4 devices")
	}
}

// The keyboard alone gets everywhere: to the content, into a dialog and out of it, with the focus where it was.
func TestKeyboard(t *testing.T) {
	b := newBench(t, 3)
	p := b.open(t, desktop, true)
	p.visit("#/device/"+lampMAC, "Lamp")
	p.until(`document.activeElement === document.querySelector("h1")`)
	for range 20 {
		if eval[string](p, `document.activeElement.textContent`) == "Pause …" {
			break
		}
		p.do(chromedp.KeyEvent("\t"))
	}
	p.do(chromedp.KeyEvent("\r"))
	p.until(`document.querySelector("dialog")?.contains(document.activeElement)`)
	p.do(chromedp.KeyEvent("\x1b"))
	p.until(`!document.querySelector("dialog") && document.activeElement.textContent === "Pause …"`)
	if eval[string](p, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
		t.Error("the focus cannot be seen")
	}
	if b.state(lampMAC) != enforcer.StatusEnforced {
		t.Error("Escape did what was asked about")
	}
}

// The colours can be chosen, and stay chosen.
func TestTheme(t *testing.T) {
	b := newBench(t, 0)
	p := b.open(t, desktop, true)
	p.visit("#/health", "Health")
	before := eval[string](p, `getComputedStyle(document.body).backgroundColor`)
	p.do(chromedp.Click(`[aria-label="Dark colours"]`, chromedp.ByQuery))
	p.visit("#/health", "Health")
	if after := eval[string](p, `getComputedStyle(document.body).backgroundColor`); after == before {
		t.Errorf("the colours are as before: %s", after)
	}
	p.do(chromedp.Click(`[aria-label="Light colours"]`, chromedp.ByQuery))
}

// What is exported says what the page does; a text that a spreadsheet would calculate stays text.
func TestExport(t *testing.T) {
	b := newBench(t, 3)
	b.denied(99, "=cmd|calc.example")
	p := b.open(t, desktop, true)
	dir := t.TempDir()
	p.do(browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir))
	p.visit("#/attempts", "Attempts")
	p.shows("evil.example")
	p.press("Export as CSV")
	p.press("Export as JSON")
	csv, raw := saved(t, dir, "mudguard-attempts.csv"), saved(t, dir, "mudguard-attempts.json")
	if !strings.Contains(csv, `"evil.example","23","1"`) || strings.Contains(csv, `"=cmd`) {
		t.Errorf("CSV: %s", csv)
	}
	var list []enforcer.Attempt
	must(t, json.Unmarshal([]byte(raw), &list))
	if len(list) != 2 {
		t.Errorf("JSON: %s", raw)
	}
}

// saved waits for a download.
func saved(t *testing.T, dir, name string) string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err == nil && len(raw) > 0 {
			return string(raw)
		}
	}
	t.Fatalf("%s was not saved", name)
	return ""
}
