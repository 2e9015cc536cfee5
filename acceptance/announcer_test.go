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

	"golang.org/x/sys/unix"
)

// TestAnnouncers: R8520-1.5-b, R8520-1.8-a. A device's URL comes by DHCPv6, by LLDP, by its QR code, by its certificate from a file and
// from a RADIUS server, and its packets then pass; what announces less surely doesn't unsay it.
func TestAnnouncers(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	byDHCPv6, byLLDP, byQR, byFile, byRADIUS := l.device("dhcpv6"), l.device("lldp"), l.device("qr"), l.device("cert"), l.device("radius")
	l.dnsmasq("--dhcp-range=2001:db8:8::1000,2001:db8:8::1fff,64,10m")
	l.start()
	url := map[*device]string{}
	for i, d := range []*device{byDHCPv6, byLLDP, byQR, byFile, byRADIUS} {
		name := fmt.Sprintf("told%d", i)
		url[d] = l.cloud.publish(name, lampProfile(name))
		if d != byDHCPv6 {
			l.static(d, 20+i)
		}
	}
	l.dhclient6(byDHCPv6, url[byDHCPv6])
	l.becomes(byDHCPv6, "enforced", "")
	l.static(byDHCPv6, 20)
	l.lldp(byLLDP, url[byLLDP])
	l.order("assign", "--qr", "[)>\x1e06\x1d12N\x1dB000Lumen\x1fB002Lamp One\x1fM180"+url[byQR]+"\x1fM06C"+byQR.mac+"\x1f\x1e\x04")
	l.order("assign", byFile.mac, "--cert", l.file("device.pem", idevid(t, url[byFile], "Maker MUD signer"), 0o644))
	l.post("/v1/devices/"+byRADIUS.mac+"/certificate", idevid(t, url[byRADIUS], "Somebody Else"))
	for _, d := range []*device{byLLDP, byQR, byFile} {
		l.becomes(d, "enforced", "")
	}
	l.becomes(byRADIUS, "held", "another signs its profile")
	for _, d := range []*device{byDHCPv6, byLLDP, byQR, byFile} {
		if v := l.view(d); v.URL != url[d] {
			l.complain("%s has %s", d.name, v.URL)
		}
		l.rotating(d, 2)
		l.try("announced", []probe{{d.name + " -> elsewhere", func() error { return d.tcp(evilAddr + ":80") }, false}})
	}
	l.try("held", []probe{{"who signs is not who the certificate says", func() error { return byRADIUS.tcp(evilAddr + ":80") }, false}})
	l.lldp(byFile, url[byLLDP]) // a frame doesn't unsay a certificate
	l.becomes(byFile, "enforced", "")
	if v := l.view(byFile); v.URL != url[byFile] {
		l.complain("a frame unsaid the certificate: %s", v.URL)
	}
}

// dhclient6 runs ISC's client, which announces url in option 112 (R8520-10-d), until it has an address.
func (l *lab) dhclient6(d *device, url string) {
	l.Helper()
	conf := l.file("dhclient6.conf", "option dhcp6.mud-url code 112 = text;\nsend dhcp6.mud-url \""+url+"\";\n", 0o644)
	script := l.file("dhclient6.sh", "#!/bin/sh\n[ -z \"$new_ip6_address\" ] || ip addr replace $new_ip6_address/128 dev $interface\nexit 0\n", 0o755)
	await(l.T, "a link-local address", patience, func() string {
		if out := d.in(l.T, "ip -6 -o addr show dev eth0 scope link -tentative"); out == "" {
			return "none"
		}
		return ""
	})
	d.client = launch(l.T, d.space, "dhclient", "-6", "-d", "-cf", conf, "-sf", script, "-lf", filepath.Join(l.dir, d.port+".leases6"),
		"-pf", filepath.Join(l.dir, d.port+".pid6"), "eth0")
}

// lldp sends one frame of a device's LLDP (RFC 8520 section 12).
func (l *lab) lldp(d *device, url string) {
	l.Helper()
	mac, err := net.ParseMAC(d.mac)
	if err != nil {
		l.Fatal(err)
	}
	f := append([]byte{0x01, 0x80, 0xc2, 0, 0, 0x0e}, mac...)
	f = append(append(f, 0x88, 0xcc, 2, 7, 4), mac...) // chassis: the MAC
	f = append(append(f, 4, 7, 3), mac...)             // port: the MAC
	f = append(f, 6, 2, 0, 120)                        // it holds for two minutes
	f = append(f, 127<<1|byte((len(url)+4)>>8), byte(len(url)+4), 0, 0, 0x5e, 1)
	f = append(append(f, url...), 0, 0)
	if err := d.do(func() error { return sendFrame("eth0", f) }); err != nil {
		l.Fatal(err)
	}
}

func sendFrame(name string, frame []byte) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: ifi.Index})
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
