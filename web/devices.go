package web

import (
	"encoding/json"
	"io"
	"net/http"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
)

func (a *api) devices(r *http.Request) (any, error) {
	if err := onlyQuery(r); err != nil {
		return nil, err
	}
	var list []enforcer.DeviceView
	err := a.do(r, func(e *enforcer.Engine) { list = e.Views() })
	return orEmpty(list), err
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

// order carries out what the administrator says about a device.
func (a *api) order(r *http.Request) (any, error) {
	name := r.PathValue("order")
	give := orders(name, by(r))
	if give == nil {
		return nil, fail(http.StatusNotFound, "there is no order %.40q", name)
	}
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	err = a.change(r, func(e *enforcer.Engine) error {
		d, err := known(e, mac)
		if err != nil {
			return err
		}
		return give(e, d)
	})
	switch {
	case err != nil:
		return nil, err
	case name == "forget":
		return Forgotten{mac, true}, nil
	}
	return a.view(r, mac, false)
}

// orders gives what an order of somebody does, nil where there is no such order.
func orders(name, by string) func(*enforcer.Engine, *enforcer.Device) error {
	always := func(f func(*enforcer.Engine, *enforcer.Device)) func(*enforcer.Engine, *enforcer.Device) error {
		return func(e *enforcer.Engine, d *enforcer.Device) error { f(e, d); return nil }
	}
	restrict := func(f func(*enforcer.Engine, *enforcer.Device)) func(*enforcer.Engine, *enforcer.Device) error {
		return func(e *enforcer.Engine, d *enforcer.Device) error {
			if e.View(d, false).State == enforcer.StatusTrusted {
				return fail(http.StatusConflict, "%s is listed in lan.trusted and so never put under policy", d.MAC)
			}
			f(e, d)
			return nil
		}
	}
	switch name {
	case "approve":
		return func(e *enforcer.Engine, d *enforcer.Device) error {
			if err := e.Approve(d, by); err != nil {
				return fail(http.StatusConflict, "%v", err)
			}
			return nil
		}
	case "hold":
		return hold
	case "quarantine":
		return restrict((*enforcer.Engine).Quarantine)
	case "release":
		return always((*enforcer.Engine).Release)
	case "forget":
		return always((*enforcer.Engine).Forget)
	case "observe", "enforce":
		return restrict(func(e *enforcer.Engine, d *enforcer.Device) { e.SetMode(d, name) })
	}
	return nil
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
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	u, err := bodyURL(r.Body)
	if err != nil {
		return nil, err
	}
	err = a.change(r, func(e *enforcer.Engine) error {
		if _, err := known(e, mac); err != nil && u.IsZero() {
			return err
		}
		if err := e.Assign(mac, u); err != nil {
			return badRequest("%v", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.view(r, mac, false)
}

// bodyURL reads {"url": "https://…"}.
func bodyURL(body io.Reader) (mud.URL, error) {
	var b struct {
		URL *string `json:"url"`
	}
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		return mud.URL{}, badRequest(`the body must be {"url": "https://…"}: %v`, err)
	}
	if _, err := dec.Token(); err != io.EOF || b.URL == nil {
		return mud.URL{}, badRequest(`the body must be one object {"url": "https://…"}`)
	}
	if *b.URL == "" {
		return mud.URL{}, nil
	}
	u, err := mud.ParseURL(*b.URL)
	if err != nil {
		return mud.URL{}, badRequest("%v", err)
	}
	return u, nil
}
