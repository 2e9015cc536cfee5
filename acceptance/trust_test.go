package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mudguard/enforcer/enforcertest"
)

// A shop without its maker's server: files come by hand, signed by the house or approved by hash; an overlay adds and takes
// away; all of it survives a restart. T-29, R8520-1.6-g, R8520-3.2-a, R8520-13.2-b, R8520-13.2-f, T27.
func TestImportAndOverlay(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp, cam := l.device("lamp"), l.device("cam")
	l.dnsmasq()
	l.start()
	dir := filepath.Join(l.dir, "bundle")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string, raw []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	unsigned := func(name string) []byte { // no server has these files
		p := lampProfile(name)
		delete(p.Extra, "mud-signature")
		return p.JSON()
	}
	put("lamp.json", unsigned("lamp"))
	put("lamp.p7s", sign(t, unsigned("lamp"), l.cloud.pki.signer))
	put("cam.json", unsigned("cam"))
	put("junk.json", []byte("{"))
	out, _, code := l.cli("import", dir)
	if code != 1 || strings.Count(out, "not used: ") != 2 || !strings.Contains(out, "used, signed by CN=Maker MUD signer") || !strings.Contains(out, "names no mud-signature") {
		l.complain("import says (exit %d):\n%s", code, out)
	}
	l.udhcpc(lamp, site+"lamp.json")
	l.udhcpc(cam, site+"cam.json")
	l.becomes(lamp, "enforced", "")
	l.becomes(cam, "failed", "404")
	l.rotating(lamp, 5)
	if out := l.order("import", "--approve", filepath.Join(dir, "cam.json")); !strings.Contains(out, "used") {
		l.complain("import --approve says %s", out)
	}
	l.becomes(cam, "enforced", "")
	l.rotating(cam, 5)

	evil := probe{"lamp -> what the overlay adds", func() error { return lamp.tcp(evilAddr + ":80") }, true}
	overlay := l.file("overlay.json", string(enforcertest.Profile{URL: site + "lamp.json",
		From: []enforcertest.ACE{{Net: evilAddr + "/32", Proto: "tcp", Remote: enforcertest.Eq(80)}}}.JSON()), 0o644)
	l.order("overlay", lamp.mac, overlay)
	l.try("with an overlay", []probe{evil, {"cam -> what is laid over another", func() error { return cam.tcp(evilAddr + ":80") }, false}})
	if out := l.order("overlay"); strings.TrimSpace(out) != lamp.mac {
		l.complain("overlay lists %q", out)
	}
	if out := l.order("device", lamp.mac); !strings.Contains(out, "overlay/") {
		l.complain("device does not tell of the overlay: %s", out)
	}
	l.daemon.kill()
	l.start()
	l.becomes(lamp, "enforced", "")
	l.becomes(cam, "enforced", "")
	l.try("after a restart", []probe{evil})
	l.rotating(lamp, 3)
	take := l.file("take.json", string(enforcertest.Profile{URL: site + "lamp.json",
		From: []enforcertest.ACE{{Name: "cloud.example", Proto: "tcp", Drop: true}}}.JSON()), 0o644)
	l.order("overlay", site+"lamp.json", take)
	l.order("overlay", lamp.mac, "--remove")
	evil.want = false
	addrs, err := lamp.resolve(lamp.gateway, "cloud.example")
	if err != nil {
		l.fatal("cloud.example: %v", err)
	}
	l.try("taken away", []probe{evil, {"lamp -> its cloud", func() error { return lamp.tcp(addrs[0].String() + ":8883") }, false}})
	if _, errs, code := l.cli("overlay", lamp.mac, l.file("bad.json", "{", 0o644)); code != 1 || errs == "" {
		l.complain("a broken overlay: exit %d, %q", code, errs)
	}
}
