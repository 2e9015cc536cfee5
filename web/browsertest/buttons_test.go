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
	p := b.open(t, Phone(), false)
	p.Expects = "Failed to load resource" // what is refused
	p.Visit("", "Welcome to mudguard")
	p.Barriers()
	p.Picture("setup-phone-dark")
	p.Fill("#f-token", "wrong")
	p.Fill("#f-password", password)
	p.Fill("#f-again", "another")
	p.Press("Set the password")
	p.Shows("The two passwords differ.")
	p.Fill("#f-again", password)
	p.Press("Set the password")
	p.Shows("this is not the setup token")
	p.Fill("#f-token", b.token)
	p.Press("Set the password")
	p.Shows("3 devices")
	p.Press("Sign out")
	p.Shows("Sign in")
	p.Barriers()
	p.Picture("sign-in-phone-dark")
	p.Fill("#f-password", "wrong password")
	p.Press("Sign in")
	p.Shows("the password is wrong")
	p.Fill("#f-password", password)
	p.Press("Sign in")
	p.Shows("3 devices")
}

// Every button of a device does what it says, and the daemon has it.
func TestDeviceButtons(t *testing.T) {
	b := newBench(t, 3)
	b.await(cameraMAC, enforcer.StatusHeld)
	p := b.open(t, Desktop(), true)
	p.Visit("#/device/"+lampMAC, "Lamp")
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
		p.Press(step.press)
		if step.ask != "" {
			p.Shows(step.ask)
			p.Press(step.yes)
		}
		b.await(lampMAC, step.want)
		p.Until(`!document.querySelector("dialog")`)
		p.Until(`document.querySelector("main .chip").textContent === ` + Quoted(words[step.want]))
	}
	p.Press("Rename …")
	p.Fill("#d-name", "Hall lamp")
	p.Press("Rename")
	p.Until(`document.querySelector("h1").textContent === "Hall lamp"`)
	if got := b.view(lampMAC).Name; got != "Hall lamp" {
		t.Errorf("the device's name is %q", got)
	}
	p.Press("Forget …")
	p.Press("Forget")
	p.Shows("2 devices")
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
	p := b.open(t, Phone(), true)
	p.Visit("#/attempts", "Attempts")
	p.Press("Allow …")
	p.Shows("This opens:")
	p.Shows("23/tcp")
	p.Barriers()
	p.Picture("allow-phone-dark")
	if n := len(b.view(lampMAC).Exceptions); n != 0 {
		t.Fatalf("the preview made %d exceptions", n)
	}
	p.Press("Allow")
	p.Shows("Allowed, as an exception of yours.")
	if x := b.view(lampMAC).Exceptions; len(x) != 1 || x[0].Remote != "evil.example" || x[0].Port != 23 || x[0].Until.IsZero() {
		t.Fatalf("exceptions: %+v", x)
	}
	p.Visit("#/device/"+lampMAC, "Lamp")
	p.Shows("Your exceptions")
	p.Press("Remove")
	p.Hides("Your exceptions")
	if n := len(b.view(lampMAC).Exceptions); n != 0 {
		t.Errorf("%d exceptions are left", n)
	}
}

// A profile is assigned by its URL and by the text of its QR code; what is wrong with one is said in words.
func TestAssign(t *testing.T) {
	b := newBench(t, 3)
	p := b.open(t, Desktop(), true)
	p.Expects = "Failed to load resource" // what is refused
	p.Visit("#/device/"+plugMAC, "plug")
	p.Press("Assign a profile …")
	p.Fill("#d-code", "http://mud.lamp.example/lamp/v1")
	p.Press("Assign")
	p.Shows("start with https://")
	p.Picture("assign-desktop-light")
	p.Fill("#d-code", lampURL)
	p.Press("Assign")
	p.Until(`!document.querySelector("dialog")`)
	b.await(plugMAC, enforcer.StatusEnforced)
	p.Press("Assign a profile …")
	p.Fill("#d-code", "[)>\x1e06\x1d12N\x1dM180"+hostileURL+"\x1e\x04")
	p.Press("Assign")
	p.Until(`!document.querySelector("dialog")`)
	if v := b.view(plugMAC); v.URL != hostileURL || v.Source != enforcer.SourceQR {
		t.Errorf("after the QR code: %s from %s", v.URL, v.Source)
	}
}

// What waits is approved after a look at what that allows.
func TestApprove(t *testing.T) {
	b := newBench(t, 2)
	b.await(cameraMAC, enforcer.StatusHeld)
	p := b.open(t, Desktop(), true)
	p.Visit("#/waiting", "Waiting")
	p.Shows("It is not signed")
	p.Shows("reach api.lamp.example on TCP 443 (secure web)") // what approval would allow
	p.PressIn("camera", "Approve …")
	p.Shows("Nobody signed this file")
	p.Picture("approve-desktop-light")
	p.Press("Approve")
	b.await(cameraMAC, enforcer.StatusEnforced)
	p.Shows("Approved.")
}

// What changes is shown without a reload, also where events cannot be had.
func TestLive(t *testing.T) {
	for name, events := range map[string]bool{"events": true, "polling": false} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 3)
			p := b.open(t, Desktop(), true)
			if !events {
				p.Do(withoutEvents())
				p.Expects = "events"
			}
			p.Visit("#/attempts", "Attempts")
			p.Shows(map[bool]string{true: "Live", false: "Every few seconds"}[events])
			b.denied(2323, "other.example")
			p.Shows("other.example (203.0.113.66) on TCP 2323 (Telnet)")
			p.Visit("#/devices", "Devices")
			b.device(3)
			p.Shows("4 devices")
		})
	}
}

// The keyboard alone gets everywhere: to the content, into a dialog and out of it, with the focus where it was.
func TestKeyboard(t *testing.T) {
	b := newBench(t, 3)
	p := b.open(t, Desktop(), true)
	p.Visit("#/device/"+lampMAC, "Lamp")
	p.Until(`document.activeElement === document.querySelector("h1")`)
	for range 20 {
		if Eval[string](p, `document.activeElement.textContent`) == "Pause …" {
			break
		}
		p.Do(chromedp.KeyEvent("\t"))
	}
	p.Do(chromedp.KeyEvent("\r"))
	p.Until(`document.querySelector("dialog")?.contains(document.activeElement)`)
	p.Do(chromedp.KeyEvent("\x1b"))
	p.Until(`!document.querySelector("dialog") && document.activeElement.textContent === "Pause …"`)
	if Eval[string](p, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
		t.Error("the focus cannot be seen")
	}
	if b.state(lampMAC) != enforcer.StatusEnforced {
		t.Error("Escape did what was asked about")
	}
}

// The colours can be chosen, and stay chosen.
func TestTheme(t *testing.T) {
	b := newBench(t, 0)
	p := b.open(t, Desktop(), true)
	p.Visit("#/health", "Health")
	before := Eval[string](p, `getComputedStyle(document.body).backgroundColor`)
	p.Do(chromedp.Click(`[aria-label="Dark colours"]`, chromedp.ByQuery))
	p.Visit("#/health", "Health")
	if after := Eval[string](p, `getComputedStyle(document.body).backgroundColor`); after == before {
		t.Errorf("the colours are as before: %s", after)
	}
	p.Do(chromedp.Click(`[aria-label="Light colours"]`, chromedp.ByQuery))
}

// What is exported says what the page does; a text that a spreadsheet would calculate stays text.
func TestExport(t *testing.T) {
	b := newBench(t, 3)
	b.denied(99, "=cmd|calc.example")
	p := b.open(t, Desktop(), true)
	dir := t.TempDir()
	p.Do(browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(dir))
	p.Visit("#/attempts", "Attempts")
	p.Shows("evil.example")
	p.Press("Export as CSV")
	p.Press("Export as JSON")
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
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err == nil && len(raw) > 0 {
			return string(raw)
		}
	}
	t.Fatalf("%s was not saved", name)
	return ""
}
