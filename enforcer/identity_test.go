package enforcer_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

// TestQRCode: R9238-3.2.1-a, R9238-3.2.3-a. What a QR code says of the device is compared with its file.
func TestQRCode(t *testing.T) {
	w := newWorld(t).start()
	lamp := enforcertest.HostNamed("lamp").MAC
	if err := w.e.AssignAs(lamp, enforcer.Announcement{URL: url(t, lampURL), Source: enforcer.SourceQR, Company: "Lamps", Model: "Other"}); err != nil {
		t.Fatal(err)
	}
	doc := signed(t, lampURL, "1", "S", "ca", "a.example")
	doc.Profile.MfgName, doc.Profile.ModelName = "LAMPS", "L1"
	w.fetched(doc, nil)
	for range 2 {
		d, _ := w.e.Device(lamp)
		w.want(d, enforcer.StatusEnforced)
		if r := w.e.Judge(d).Reason; !strings.Contains(r, "its QR code names the model Other, and its profile L1") || strings.Contains(r, "company") {
			t.Error(r)
		}
		w.start()
	}
}

// TestMudsigner: R8520-13.2-d. A certificate says who signs the file of its device.
func TestMudsigner(t *testing.T) {
	for name, want := range map[string]enforcer.Status{"S": enforcer.StatusEnforced, "X": enforcer.StatusHeld, "": enforcer.StatusHeld} {
		w := newWorld(t).start()
		lamp := enforcertest.HostNamed("lamp").MAC
		if err := w.e.AssignAs(lamp, enforcer.Announcement{URL: url(t, lampURL), Source: "x509", Mudsigner: nameOf("S")}); err != nil {
			t.Fatal(err)
		}
		doc := signed(t, lampURL, "1", name, "ca", "a.example")
		w.fetched(doc, nil)
		d, _ := w.e.Device(lamp)
		w.want(d, want)
		w.start()
		d, _ = w.e.Device(lamp)
		w.want(d, want)
	}
}

// nameOf is a DER Name.
func nameOf(cn string) []byte {
	der, err := asn1.Marshal(pkix.Name{CommonName: cn}.ToRDNSequence())
	if err != nil {
		panic(err)
	}
	return der
}
