package acceptance

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// browser is a client on the LAN that keeps cookies and was told to trust the gateway's certificate.
type browser struct {
	*lab
	client *http.Client
	base   string
}

func (l *lab) browser(d *device, base string) *browser {
	l.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		l.Fatal(err)
	}
	dial := func(_ context.Context, network, addr string) (net.Conn, error) { return d.dial(network, addr) }
	return &browser{l, &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, base}
}

// ask gives the code and the body of an answer; 0 and why where there is none.
func (b *browser) ask(method, path, body string) (int, string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(raw)
}

func (b *browser) want(code int, method, path, body string) string {
	b.Helper()
	got, text := b.ask(method, path, body)
	if got != code {
		b.fatal("%s %s%s: %d, want %d: %s", method, b.base, path, got, code, text)
	}
	return text
}

// reload changes the configuration of the web server while the daemon runs, and waits for what the status says of it.
func (l *lab) reload(http map[string]any, want string) {
	l.Helper()
	l.config["http"] = http
	raw, err := json.Marshal(l.config)
	if err != nil {
		l.Fatal(err)
	}
	l.file("mudguard.yaml", string(raw), 0o644)
	l.daemon.signal(l.T, syscall.SIGHUP)
	await(l.T, "the web server is as configured", patience, func() string {
		out, errs, _ := l.cli("status")
		if strings.Contains(out, want) {
			return ""
		}
		return out + errs + l.log.tail()
	})
}

// TestWeb: T22. The web server listens where it may and nowhere else, is set up with the token, and shows what the command line
// shows. The daemon has given up its rights by then. A change of its address takes a reload, and it costs less than 8 MiB.
func TestWeb(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	phone, lamp := l.device("phone"), l.device("lamp")
	l.static(phone, 30)
	l.start()
	l.order("assign", lamp.mac, site+"nowhere.json")
	without := l.resident()
	l.reload(map[string]any{"listen": "198.51.100.1:8520"}, "198.51.100.1 is not an address of a LAN interface ("+gateway+", "+gateway6)
	if code, text := l.browser(phone, "https://198.51.100.1:8520").ask("GET", "/", ""); code != 0 {
		t.Errorf("it listens on the WAN: %d %s", code, text)
	}
	l.reload(map[string]any{"listen": gateway + ":8520"}, "https://"+gateway+":8520/ (listening); no password is set yet")
	b := l.browser(phone, "https://"+gateway+":8520")
	b.want(200, "GET", "/", "")
	b.want(401, "GET", "/api/v1/devices", "")
	token, err := os.ReadFile(filepath.Join(l.dir, "state", "setup-token"))
	if err != nil {
		t.Fatal(err)
	}
	b.want(200, "POST", "/api/v1/setup", fmt.Sprintf(`{"token":%q,"password":"correct horse"}`, strings.TrimSpace(string(token))))
	var shown, said []view
	if err := json.Unmarshal([]byte(b.want(200, "GET", "/api/v1/devices", "")), &shown); err != nil {
		t.Fatal(err)
	}
	isLamp := func(v view) bool { return v.MAC == lamp.mac }
	if l.decode(&said, "devices", "--json"); len(shown) != len(said) || !slices.ContainsFunc(shown, isLamp) || !slices.ContainsFunc(said, isLamp) {
		t.Errorf("the page has %+v, the command line %+v", shown, said)
	}
	b.want(200, "POST", "/api/v1/devices/"+lamp.mac+"/quarantine", "")
	if v := l.view(lamp); v.State != "quarantined" {
		t.Errorf("it is %s", v.State)
	}
	b.want(200, "POST", "/api/v1/devices/"+lamp.mac+"/release", "")
	await(t, "the web server costs less than 8 MiB", patience, func() string {
		if with := l.resident(); with > without+8<<10 {
			return fmt.Sprintf("%d KiB with, %d KiB without", with, without)
		}
		return ""
	})
	t.Logf("%d KiB with, %d KiB without", l.resident(), without)
	l.reload(map[string]any{"listen": gateway + ":8521", "tls": "never"}, "http://"+gateway+":8521/ (listening)")
	if code, _ := b.ask("GET", "/", ""); code != 0 {
		t.Errorf("the old address still answers: %d", code)
	}
	b = l.browser(phone, "http://"+gateway+":8521")
	b.want(401, "GET", "/api/v1/devices", "")
	b.want(200, "POST", "/api/v1/session", `{"password":"correct horse"}`)
	b.want(200, "GET", "/api/v1/devices", "")
}
