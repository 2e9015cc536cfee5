package acceptance

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mudguard/enforcer/enforcertest"
)

// badFile is a file, or its URL, that must not be used, and the words in which the device's reason says so.
type badFile struct {
	name, state, says string
	url               func(*lab) string // what the device announces
}

// declared is a profile that allows one host over IPv4 and over IPv6.
func declared(name string) enforcertest.Profile {
	p := lampProfile(name)
	four := enforcertest.ACE{Net: v4.net(11), Proto: "tcp", Remote: enforcertest.Eq(8883)}
	six := four.Twin()
	six.Net = v6.net(11)
	p.From, p.To = []enforcertest.ACE{four, six}, nil
	return p
}

// reach is the probes of a device that has, or has not, what declared allows.
func (l *lab) reach(d *device, access bool) []probe {
	probes := []probe{{"device -> DNS of this network", func() error { _, err := d.resolve(gateway, "maker.example"); return err }, true}}
	for _, f := range families {
		probes = append(probes, l.to("device -> what the file declares", d.space, f.host(11), 8883, access),
			l.to("device -> another port", d.space, f.host(11), 80, false), l.to("device -> another host", d.space, f.host(12), 8883, false))
	}
	return probes
}

// badSignatures: NIST IoT-3 is the first, NIST IoT-4 those up to the one of another file.
func badSignatures() []badFile {
	signedBy := func(name string, who func(*pki) identity) func(*lab) string {
		return func(l *lab) string { return l.cloud.publishBy(who(l.cloud.pki), name, declared(name)) }
	}
	return []badFile{
		{"expired at signing", "held", "was expired at signing", signedBy("late", func(p *pki) identity { return p.expired })},
		{"one byte changed", "held", "the file was changed, or the signature is another file's", func(l *lab) string {
			url := l.cloud.publish("changed", declared("changed"))
			l.cloud.file("/changed.json", bytes.Replace(declared("changed").JSON(), []byte("8883"), []byte("8884"), 1))
			return url
		}},
		{"a signer whom nobody knows", "held", "the signer CN=Stranger (issued by CN=Unknown CA) is not known",
			signedBy("rogue", func(p *pki) identity { return p.stranger })},
		{"another file's signature", "held", "the file was changed, or the signature is another file's", func(l *lab) string {
			url := l.cloud.publish("swapped", declared("swapped"))
			l.cloud.file("/swapped.p7s", sign(l.T, declared("other").JSON(), l.cloud.pki.signer))
			return url
		}},
		{"signature not there", "held", "can't be had: the server answered 404", func(l *lab) string {
			p := declared("lonely")
			p.Extra["mud-signature"] = site + "none.p7s"
			return l.cloud.publish("lonely", p)
		}},
		{"not signed", "held", "it is not signed", func(l *lab) string {
			p := declared("bare")
			delete(p.Extra, "mud-signature")
			return l.cloud.publish("bare", p)
		}},
		{"http URL", "failed", "doesn't start with https://", func(l *lab) string {
			return strings.Replace(l.cloud.publish("plain", declared("plain")), "https", "http", 1)
		}},
		{"file of another URL", "held", "the file says that it is " + site + "elsewhere.json, and not " + site + "foreign.json", func(l *lab) string {
			l.cloud.publish("foreign", declared("elsewhere"))
			return site + "foreign.json"
		}},
	}
}

// refuses boots a device and shows that nothing of its file is in force, and that the device's page says why.
func (l *lab) refuses(c badFile) {
	l.Helper()
	d := l.device("bad")
	l.udhcpc(d, c.url(l))
	l.becomes(d, c.state, c.says)
	if out := l.order("device", d.mac); !strings.Contains(strings.Join(strings.Fields(out), " "), c.says) {
		l.complain("mudguard device does not say %q: %s", c.says, out)
	}
	l.try(c.name, l.reach(d, false))
}

// Every signature and URL that must not count, with a device that would have its profile's access if it did.
// R8520-13.2-a, R8520-13.2-b, R8520-13.2-e, R8520-13.2-f, R8520-13.1-c, R8520-13.1-d.
func TestSignatures(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	l.dnsmasq()
	l.start()
	l.run("good", func() {
		d := l.device("good")
		l.udhcpc(d, l.cloud.publish("good", declared("good")))
		l.becomes(d, "enforced", "its profile is enforced")
		l.try("good", l.reach(d, true))
	})
	for _, c := range badSignatures() {
		l.run(c.name, func() { l.refuses(c) })
	}
	l.run("expired since", l.expiredSince)
}

// expiredSince: a certificate that was valid at signing and is not any more. What was accepted before stays, also when it is
// asked for again, and no new file is taken (R8520-13.1-d, erratum 7819).
func (l *lab) expiredSince() {
	end := time.Now().Add(8 * time.Second)
	brief := l.cloud.pki.signers.identity("Brief", end)
	before, after := l.device("before"), l.device("after")
	url := l.cloud.publishBy(brief, "before", declared("before"))
	later := badFile{"a new file", "held", "but that expired since", func(l *lab) string {
		return l.cloud.publishBy(brief, "after", declared("after"))
	}}
	newURL := later.url(l) // signed while the certificate is valid
	l.udhcpc(before, url)
	l.becomes(before, "enforced", "its profile is enforced")
	l.try("while the certificate is valid", l.reach(before, true))
	if time.Now().After(end) {
		l.Fatal("the machine is too slow: the certificate ended before the file was accepted")
	}
	await(l.T, "the certificate's end", patience, func() string { return pickText(time.Now().After(end.Add(time.Second)), "", "not yet") })
	l.udhcpc(after, newURL)
	l.becomes(after, "held", later.says)
	l.try("a new file", l.reach(after, false))
	fetched := l.cloud.fetches()
	l.daemon.kill()
	l.makeDue()
	l.start()
	await(l.T, "a refresh", patience, func() string { return pickText(l.cloud.fetches() > fetched, "", "not yet") })
	l.becomes(before, "enforced", "")
	l.try("accepted before", l.reach(before, true))
}
