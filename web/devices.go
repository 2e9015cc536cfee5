package web

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
)

// devices lists the devices, all of them or in parts, in the order of their MACs.
func (a *api) devices(r *http.Request) (any, error) {
	if err := onlyQuery(r, "q", "state", "limit", "cursor"); err != nil {
		return nil, err
	}
	s, err := readSpan(r)
	if err != nil {
		return nil, err
	}
	var list []enforcer.DeviceView
	if err := a.do(r, func(e *enforcer.Engine) { list = e.Views() }); err != nil {
		return nil, err
	}
	q := r.URL.Query()
	list = slices.DeleteFunc(list, func(d enforcer.DeviceView) bool {
		return q.Get("state") != "" && string(d.State) != q.Get("state") || !found(d, q.Get("q")) || d.MAC.String() <= s.cursor
	})
	if !s.asked {
		return list, nil
	}
	return cut(s, list, func(d enforcer.DeviceView) string { return d.MAC.String() }), nil
}

// found says that all words of a search are in what tells devices apart.
func found(d enforcer.DeviceView, search string) bool {
	text := strings.ToLower(fmt.Sprintln(d.MAC, d.Name, d.Label, d.Hostname, d.Vendor, d.URL, d.State, d.Addresses))
	for word := range strings.FieldsSeq(strings.ToLower(search)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func (a *api) device(r *http.Request) (any, error) {
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	return a.view(r, mac, true)
}

// view shows one device that is known.
func (a *api) view(r *http.Request, mac dhcp.MAC, whole bool) (v enforcer.DeviceView, err error) {
	doErr := a.do(r, func(e *enforcer.Engine) {
		var d *enforcer.Device
		if d, err = known(e, mac); err == nil {
			v = e.View(d, whole)
		}
	})
	if doErr != nil {
		return v, doErr
	}
	return v, err
}

// known gives a device, or the error that says it is not known.
func known(e *enforcer.Engine, mac dhcp.MAC) (*enforcer.Device, error) {
	if d, ok := e.Device(mac); ok {
		return d, nil
	}
	return nil, fail(http.StatusNotFound, "there is no device %s", mac)
}

// Forgotten is the answer to forget: there is no device left to show.
type Forgotten struct {
	MAC       dhcp.MAC `json:"mac"`
	Forgotten bool     `json:"forgotten"`
}

// steer is what an order of the administrator does to a device.
type steer = func(*enforcer.Engine, *enforcer.Device) error

// order is the endpoint of an order.
func (a *api) order(give steer) endpoint {
	return func(r *http.Request) (any, error) { return a.onDevice(r, give) }
}

func (a *api) forget(r *http.Request) (any, error) {
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	return Forgotten{mac, true}, a.changeDevice(r, mac, always((*enforcer.Engine).Forget))
}

// always is an order that can't be wrong.
func always(f func(*enforcer.Engine, *enforcer.Device)) steer {
	return func(e *enforcer.Engine, d *enforcer.Device) error { f(e, d); return nil }
}

// restrict is an order that is none to give about who is trusted.
func restrict(f func(*enforcer.Engine, *enforcer.Device)) steer {
	return func(e *enforcer.Engine, d *enforcer.Device) error {
		if e.View(d, false).State == enforcer.StatusTrusted {
			return fail(http.StatusConflict, "%s is listed in lan.trusted and so never put under policy", d.MAC)
		}
		f(e, d)
		return nil
	}
}

// mode is the order to observe or to enforce.
func mode(name string) steer {
	return restrict(func(e *enforcer.Engine, d *enforcer.Device) { e.SetMode(d, name) })
}

func hold(e *enforcer.Engine, d *enforcer.Device) error {
	switch {
	case e.View(d, false).State == enforcer.StatusTrusted:
		return fail(http.StatusConflict, "%s is listed in lan.trusted and so never put under policy", d.MAC)
	case d.URL.IsZero():
		return fail(http.StatusConflict, "%s has no MUD URL, so there is no profile to hold; to cut it off: mudguard quarantine %s", d.MAC, d.MAC)
	}
	e.Hold(d)
	return nil
}

// assign binds a URL to a device by hand; "" takes it away.
func (a *api) assign(r *http.Request) (any, error) {
	return a.bind(r, bodyAnnouncement)
}

// certificate binds the URL in the certificate by which a device was authenticated, for whoever did that: a RADIUS server, or
// the administrator. It must have been verified; that is not done here.
func (a *api) certificate(r *http.Request) (any, error) {
	return a.bind(r, func(body io.Reader) (enforcer.Announcement, error) {
		raw, err := io.ReadAll(body)
		if err != nil {
			return enforcer.Announcement{}, badRequest("the body must be a certificate in PEM or DER: %v", err)
		}
		info, err := mud.ParseCertificate(raw)
		switch {
		case err != nil:
			return enforcer.Announcement{}, badRequest("%v", err)
		case info.URL.IsZero():
			return enforcer.Announcement{}, badRequest("the certificate of %s names no MUD URL (id-pe-mud-url)", info.Subject)
		}
		return enforcer.Announcement{URL: info.URL, Source: enforcer.SourceX509, Mudsigner: info.Signer}, nil
	})
}

// bind gives a device the URL that read finds in the body.
func (a *api) bind(r *http.Request, read func(io.Reader) (enforcer.Announcement, error)) (any, error) {
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	ann, err := read(r.Body)
	if err != nil {
		return nil, err
	}
	err = a.change(r, func(e *enforcer.Engine) error {
		if _, err := known(e, mac); err != nil && ann.URL.IsZero() {
			return err
		}
		if err := e.AssignAs(mac, ann); err != nil {
			return badRequest("%v", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.view(r, mac, false)
}

// Assignment is the body of assign. Who took the URL from a QR code or a certificate says so in Source.
type Assignment struct {
	URL       *string `json:"url"`
	Source    string  `json:"source,omitempty"`    // admin, if it isn't qr or x509
	Mudsigner []byte  `json:"mudsigner,omitempty"` // DER Name, of x509
	QR        *QRText `json:"qr,omitempty"`
	Code      string  `json:"code,omitempty"` // what a QR code says (RFC 9238), instead of all others
}

// QRText is what a QR code says besides the URL.
type QRText struct {
	Company string `json:"company,omitempty"`
	Product string `json:"product,omitempty"`
	Model   string `json:"model,omitempty"`
}

// bodyAnnouncement reads {"url": "https://…"}.
func bodyAnnouncement(body io.Reader) (ann enforcer.Announcement, err error) {
	const like = `{"url": "https://…"}`
	var b Assignment
	if err := readBody(body, &b, like); err != nil {
		return ann, err
	}
	if b.Code != "" {
		return codeAnnouncement(b)
	}
	if b.URL == nil {
		return ann, badRequest("the body must be one object %s", like)
	}
	if ann.URL, err = parseURL(*b.URL); err != nil {
		return ann, err
	}
	ann.Source, ann.Mudsigner = b.Source, b.Mudsigner
	switch {
	case ann.Source == "":
		ann.Source = enforcer.SourceAdmin
	case ann.Source != enforcer.SourceAdmin && ann.Source != enforcer.SourceQR && ann.Source != enforcer.SourceX509:
		return ann, badRequest("source must be admin, qr or x509, not %.40q", ann.Source)
	}
	if b.QR != nil {
		ann.Company, ann.Model = mud.Clean(b.QR.Company, 255), mud.Clean(b.QR.Model, 255)
	}
	switch {
	case b.QR != nil && ann.Source != enforcer.SourceQR:
		return ann, badRequest("qr goes with the source qr only")
	case ann.Mudsigner != nil && ann.Source != enforcer.SourceX509:
		return ann, badRequest("mudsigner goes with the source x509 only")
	case ann.Mudsigner != nil && !mud.SameName(ann.Mudsigner, ann.Mudsigner):
		return ann, badRequest("mudsigner is no DER Name")
	}
	return ann, nil
}

// codeAnnouncement reads {"code": "…"}, the text of a QR code.
func codeAnnouncement(b Assignment) (enforcer.Announcement, error) {
	if b.URL != nil || b.QR != nil || b.Source != "" || b.Mudsigner != nil {
		return enforcer.Announcement{}, badRequest("code stands alone")
	}
	q, err := mud.ParseQR(b.Code)
	if err != nil {
		return enforcer.Announcement{}, badRequest("this is no QR code of a MUD profile: %v", err)
	}
	return enforcer.Announcement{URL: q.URL, Source: enforcer.SourceQR, Company: mud.Clean(q.Company, 255),
		Model: mud.Clean(q.Model, 255)}, nil
}

// parseURL reads a MUD URL; "" is none.
func parseURL(s string) (mud.URL, error) {
	if s == "" {
		return mud.URL{}, nil
	}
	u, err := mud.ParseURL(s)
	if err != nil {
		return mud.URL{}, badRequest("%v", err)
	}
	return u, nil
}
