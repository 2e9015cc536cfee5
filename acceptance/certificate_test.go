package acceptance

import (
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCertificates: R8520-11-a, R8520-13.2-d, R8520-1.8-a. A device's URL comes from its certificate, by a file or from a RADIUS
// server, and so does who signs its profile; a frame doesn't unsay it. NIST IoT-11 has the other ways.
func TestCertificates(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	byFile, byRADIUS := l.device("cert"), l.device("radius")
	l.dnsmasq()
	l.start()
	url := map[*device]string{}
	for i, d := range []*device{byFile, byRADIUS} {
		name := fmt.Sprintf("told%d", i)
		url[d] = l.cloud.publish(name, lampProfile(name))
		l.static(d, 20+i)
	}
	l.order("assign", byFile.mac, "--cert", l.file("device.pem", idevid(t, url[byFile], "Maker MUD signer"), 0o644))
	l.post("/api/v1/devices/"+byRADIUS.mac+"/certificate", idevid(t, url[byRADIUS], "Somebody Else"))
	l.becomes(byFile, "enforced", "")
	l.becomes(byRADIUS, "held", "another signs its profile")
	l.rotating(byFile, 2)
	elsewhere := []probe{{"by file -> elsewhere", func() error { return byFile.tcp(evilAddr + ":80") }, false},
		{"held -> elsewhere", func() error { return byRADIUS.tcp(evilAddr + ":80") }, false}}
	l.try("announced", elsewhere)
	l.lldp(byFile, url[byRADIUS])
	await(t, "the frame is heard", patience, func() string {
		if out := l.order("device", byFile.mac, "--json"); !strings.Contains(out, `"lldp"`) {
			return out
		}
		return ""
	})
	if v := l.becomes(byFile, "enforced", ""); v.URL != url[byFile] {
		l.complain("a frame unsaid the certificate: %s", v.URL)
	}
}

// idevid is a device's certificate with id-pe-mud-url and id-pe-mudsigner (RFC 8520 section 11).
func idevid(t *testing.T, url, signer string) string {
	t.Helper()
	c := template("device")
	for oid, v := range map[int]any{25: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(url)}, 30: pkix.Name{CommonName: signer}.ToRDNSequence()} {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, oid}, Value: must(asn1.Marshal(v))})
	}
	der, _ := newAuthority("Maker of devices").issue(c)
	raw, err := os.ReadFile(writePEM(strings.ReplaceAll(t.Name(), "/", "-")+".pem", "CERTIFICATE", der))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// post asks the daemon as another program does: over its socket.
func (l *lab) post(path, body string) {
	l.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(l.dir, "s"))
	}}}
	resp, err := client.Post("http://mudguard"+path, "application/octet-stream", strings.NewReader(body))
	if err != nil {
		l.fatal("%v", err)
	}
	defer resp.Body.Close()
	var answer any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		l.fatal("POST %s: %s: %v %v", path, resp.Status, answer, err)
	}
}
