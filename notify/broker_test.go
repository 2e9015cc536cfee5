package notify

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mudguard/configs"
	"mudguard/enforcer"
)

const password = "pass-w0rd"

// mosquitto is a broker with password and TLS, and its files.
type mosquitto struct {
	t    *testing.T
	dir  string
	port int
	cmd  *exec.Cmd
}

func startMosquitto(t *testing.T) *mosquitto {
	t.Helper()
	m := &mosquitto{t: t, dir: t.TempDir(), port: freePort(t)}
	m.certify()
	m.write("password", password+"\n")
	m.must(exec.Command(path(t, "mosquitto_passwd"), "-b", "-c", m.file("users"), "mud", password))
	m.write("conf", fmt.Sprintf("listener %d 127.0.0.1\nuser root\nallow_anonymous false\npassword_file %s\ncertfile %s\nkeyfile %s\n",
		m.port, m.file("users"), m.file("cert.pem"), m.file("key.pem")))
	m.start()
	return m
}

// path finds a program that Debian has in /usr/sbin.
func path(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/bin/", "/usr/sbin/"} {
		if p, err := exec.LookPath(dir + name); err == nil {
			return p
		}
	}
	t.Fatalf("%s is missing: make deps installs it", name)
	return ""
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func (m *mosquitto) file(name string) string { return filepath.Join(m.dir, name) }

func (m *mosquitto) write(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(m.file(name), []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mosquitto) must(cmd *exec.Cmd) {
	m.t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
}

func (m *mosquitto) certify() {
	m.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		m.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	m.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})))
}

func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command(path(m.t, "mosquitto"), "-c", m.file("conf"))
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(m.stop)
	eventually(m.t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (m *mosquitto) stop() {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill() // it may be gone
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

func (m *mosquitto) config() configs.MQTT {
	return configs.MQTT{Broker: fmt.Sprintf("mqtts://127.0.0.1:%d", m.port), Username: "mud", PasswordFile: m.file("password"),
		Topic: "home/mud", DiscoveryPrefix: "homeassistant", CAFile: m.file("cert.pem")}
}

// listen gives what is published, as "topic payload".
func (m *mosquitto) listen() <-chan string {
	m.t.Helper()
	cmd := exec.Command(path(m.t, "mosquitto_sub"), "-h", "127.0.0.1", "-p", fmt.Sprint(m.port), "--cafile", m.file("cert.pem"),
		"-u", "mud", "-P", password, "-q", "1", "-t", "#", "-F", "%r %t %p")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := make(chan string, 100)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
		close(lines)
	}()
	return lines
}

// next waits for what is published to a topic.
func next(t *testing.T, lines <-chan string, topic string) (retained bool, payload string) {
	t.Helper()
	end := time.After(20 * time.Second)
	for {
		select {
		case l := <-lines:
			part := strings.SplitN(l, " ", 3)
			if len(part) == 3 && part[1] == topic {
				return part[0] == "1", part[2]
			}
		case <-end:
			t.Fatal("nothing was published to " + topic)
		}
	}
}

func TestBroker(t *testing.T) {
	m := startMosquitto(t)
	n, log := running(t, configs.Notify{MQTT: m.config()})
	n.Tell(news(enforcer.NewsHold, "the first waits until we are connected"))
	eventually(t, "the first", func() bool { return n.Counts()[0].Sent == 1 })
	lines := m.listen()
	if retained, status := next(t, lines, "home/mud/status"); !retained || status != "online" {
		t.Errorf("status: %v %q", retained, status)
	}
	n.Tell(news(enforcer.NewsDenial, `Lamp "tried"`))
	retained, payload := next(t, lines, "home/mud/news")
	var got message
	if err := json.Unmarshal([]byte(payload), &got); err != nil || retained || got.Kind != enforcer.NewsDenial || got.Text != `Lamp "tried"` {
		t.Errorf("%v %v: %s", err, retained, payload)
	}
	// The broker goes and comes back: what happened meanwhile is told.
	m.stop()
	n.Tell(news(enforcer.NewsRepaired, "while it was away"))
	eventually(t, "a failed try", func() bool { return strings.Contains(log.String(), "not delivered") })
	m.start()
	eventually(t, "delivery after it came back", func() bool { return n.Counts()[0].Sent == 3 })
	if s := log.String(); strings.Contains(s, password) {
		t.Errorf("the password is in the log: %s", s)
	}
}

// A broker says that we are gone, whether we say so or not.
func TestBrokerKnowsWhenWeAreGone(t *testing.T) {
	m := startMosquitto(t)
	lines := m.listen()
	b := newBroker(m.config(), gateway)
	for _, leave := range []func(){b.close, func() { b.session.conn.Close(); b.session = nil }} {
		if err := b.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, s := next(t, lines, "home/mud/status"); s != "online" {
			t.Errorf("status %q", s)
		}
		leave()
		if _, s := next(t, lines, "home/mud/status"); s != "offline" {
			t.Errorf("status %q", s)
		}
		b.session = nil
	}
}

func TestBrokerRefuses(t *testing.T) {
	m := startMosquitto(t)
	for want, change := range map[string]func(*configs.MQTT){
		"refuses user and password": func(c *configs.MQTT) { c.Username = "other" },
		"certificate":               func(c *configs.MQTT) { c.CAFile = "" },
		"waiting for the broker":    func(c *configs.MQTT) { c.Broker = strings.Replace(c.Broker, "mqtts", "mqtt", 1) },
		"no such file":              func(c *configs.MQTT) { c.PasswordFile += ".none" },
	} {
		cfg := m.config()
		change(&cfg)
		if err := newBroker(cfg, gateway).tick(t.Context()); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), password) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What Home Assistant documents for MQTT discovery (home-assistant.io/integrations/mqtt, event.mqtt and sensor.mqtt); other keys are
// slips of the pen that it ignores.
func documented() map[string][]string {
	common := []string{"availability_topic", "default_entity_id", "device", "device_class", "enabled_by_default", "encoding", "entity_category",
		"entity_picture", "icon", "json_attributes_template", "json_attributes_topic", "name", "origin", "payload_available",
		"payload_not_available", "platform", "qos", "state_topic", "unique_id", "value_template"}
	return map[string][]string{
		"event":  append(slices.Clone(common), "event_types"),
		"sensor": append(slices.Clone(common), "expire_after", "force_update", "options", "state_class", "unit_of_measurement"),
		"device": {"configuration_url", "connections", "hw_version", "identifiers", "manufacturer", "model", "model_id", "name",
			"serial_number", "suggested_area", "sw_version", "via_device"},
		"origin": {"name", "sw_version", "support_url"},
	}
}

func TestHomeAssistantDiscovery(t *testing.T) {
	m := startMosquitto(t)
	b := newBroker(m.config(), gateway)
	if err := b.tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	lines := m.listen()
	for component, want := range map[string][]string{"event": {"event_types", "state_topic"}, "sensor": {"state_topic", "value_template"}} {
		lines := lines
		if component == "sensor" {
			lines = m.listen()
		}
		retained, payload := next(t, lines, "homeassistant/"+component+"/"+b.id+"/news/config")
		var config map[string]any
		if err := json.Unmarshal([]byte(payload), &config); err != nil || !retained {
			t.Fatalf("%v %v: %s", err, retained, payload)
		}
		onlyKeys(t, component, config)
		for _, key := range append(want, "unique_id", "device", "origin", "availability_topic") {
			if config[key] == nil {
				t.Errorf("%s has no %s", component, key)
			}
		}
	}
}

func onlyKeys(t *testing.T, of string, config map[string]any) {
	t.Helper()
	for key, v := range config {
		if !slices.Contains(documented()[of], key) {
			t.Errorf("%s: Home Assistant documents no %s", of, key)
		}
		if inner, ok := v.(map[string]any); ok {
			onlyKeys(t, key, inner)
		}
	}
}
