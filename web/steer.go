package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// onDevice changes something about a device that is known, and shows how it is then.
func (a *api) onDevice(r *http.Request, f func(*enforcer.Engine, *enforcer.Device) error) (any, error) {
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	if err := a.changeDevice(r, mac, f); err != nil {
		return nil, err
	}
	return a.view(r, mac, false)
}

// changeDevice changes something about a device. What the engine refuses conflicts with how things are.
func (a *api) changeDevice(r *http.Request, mac dhcp.MAC, f func(*enforcer.Engine, *enforcer.Device) error) error {
	return a.change(r, func(e *enforcer.Engine) error {
		d, err := known(e, mac)
		if err != nil {
			return err
		}
		err = f(e, d)
		if _, judged := errors.AsType[*failure](err); err == nil || judged {
			return err
		}
		return fail(http.StatusConflict, "%v", err)
	})
}

// pause takes a device's policy off for a while.
func (a *api) pause(r *http.Request) (any, error) {
	var body struct {
		For string `json:"for"`
	}
	if err := readBody(r.Body, &body, `{"for": "15m"}`); err != nil {
		return nil, err
	}
	length, err := time.ParseDuration(body.For)
	if err != nil || length < enforcer.MinPause || length > enforcer.MaxPause {
		return nil, badRequest("for must be a time from 1m to 24h, not %.40q", body.For)
	}
	return a.onDevice(r, func(e *enforcer.Engine, d *enforcer.Device) error { return e.PauseFor(d, length) })
}

func (a *api) resume(r *http.Request) (any, error) {
	return a.onDevice(r, (*enforcer.Engine).Resume)
}

// rename gives a device the administrator's name.
func (a *api) rename(r *http.Request) (any, error) {
	var body struct {
		Name *string `json:"name"`
	}
	if err := readBody(r.Body, &body, `{"name": "…"}`); err != nil {
		return nil, err
	}
	if body.Name == nil {
		return nil, badRequest(`the body must be one object {"name": "…"}`)
	}
	return a.onDevice(r, func(e *enforcer.Engine, d *enforcer.Device) error {
		if err := e.SetName(d, *body.Name); err != nil {
			return badRequest("%v", err)
		}
		return nil
	})
}

// ExceptionOrder is the body of a request for an exception.
type ExceptionOrder struct {
	enforcer.Permit
	For     string `json:"for"` // 1h, 24h, 168h or another time, or always
	Note    string `json:"note,omitempty"`
	Preview bool   `json:"preview,omitempty"`
}

// except makes an exception for a device, or says what one would open.
func (a *api) except(r *http.Request) (any, error) {
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	var body ExceptionOrder
	const like = `{"direction": "out", "proto": "tcp", "remote": "name or address", "port": 443, "for": "24h", "note": "…"}`
	if err := readBody(r.Body, &body, like); err != nil {
		return nil, err
	}
	var length time.Duration // of always
	if body.For != "always" {
		if length, err = time.ParseDuration(body.For); err != nil || length <= 0 {
			return nil, badRequest("for must be a time such as 24h, or always, not %.40q", body.For)
		}
	}
	var v enforcer.ExceptionView
	err = a.changeDevice(r, mac, func(e *enforcer.Engine, d *enforcer.Device) (err error) {
		v, err = e.Allow(d, body.Permit, length, body.Note, by(r), body.Preview)
		return err
	})
	return v, err
}

// exceptions lists those of a device.
func (a *api) exceptions(r *http.Request) (any, error) {
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	v, err := a.view(r, mac, true)
	return orEmpty(v.Exceptions), err
}

func (a *api) revoke(r *http.Request) (any, error) {
	return a.onDevice(r, func(e *enforcer.Engine, d *enforcer.Device) error {
		if err := e.Revoke(d, r.PathValue("id")); err != nil {
			return fail(http.StatusNotFound, "%v", err)
		}
		return nil
	})
}

// attempts lists denials that are like each other together.
func (a *api) attempts(r *http.Request) (any, error) {
	w, err := readWindow(r)
	if err != nil {
		return nil, err
	}
	var list []enforcer.Attempt
	err = a.do(r, func(e *enforcer.Engine) { list = e.Attempts(w.mac, w.since, w.until) })
	return orEmpty(list), err
}

// waiting lists what waits for approval.
func (a *api) waiting(r *http.Request) (any, error) {
	if err := onlyQuery(r); err != nil {
		return nil, err
	}
	var list []enforcer.Waiting
	err := a.do(r, func(e *enforcer.Engine) { list = e.Waiting() })
	return orEmpty(list), err
}

// report says what enforcement would deny: to one device, or to all.
func (a *api) report(r *http.Request) (any, error) {
	if err := onlyQuery(r); err != nil {
		return nil, err
	}
	return a.reportOf(r, dhcp.MAC{})
}

func (a *api) deviceReport(r *http.Request) (any, error) {
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	if _, err := a.view(r, mac, false); err != nil {
		return nil, err
	}
	return a.reportOf(r, mac)
}

func (a *api) reportOf(r *http.Request, mac dhcp.MAC) (rep enforcer.Report, err error) {
	err = a.do(r, func(e *enforcer.Engine) { rep = e.Report(mac) })
	return rep, err
}

// approve accepts what waits: any, or only the file that the body names.
func (a *api) approve(r *http.Request) (any, error) {
	var body struct {
		SHA256 string `json:"sha256"`
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, badRequest("the body cannot be read: %v", err)
	}
	if len(raw) > 0 {
		if err := readBody(bytes.NewReader(raw), &body, `{"sha256": "…"} or empty`); err != nil {
			return nil, err
		}
	}
	mac, err := pathMAC(r)
	if err != nil {
		return nil, err
	}
	err = a.changeDevice(r, mac, func(e *enforcer.Engine, d *enforcer.Device) error {
		if body.SHA256 != "" {
			return e.ApproveThis(d, by(r), body.SHA256)
		}
		return e.Approve(d, by(r))
	})
	if err != nil {
		return nil, err
	}
	a.afterFetch(r, mac)
	return a.view(r, mac, false)
}

// afterFetch waits while the profile of a device is fetched, as a held one is once more before it is put to use, so that the answer
// shows what came of it.
func (a *api) afterFetch(r *http.Request, mac dhcp.MAC) {
	ctx, cancel := context.WithTimeout(r.Context(), changeTime)
	defer cancel()
	for {
		var busy bool
		err := a.Engine.Do(ctx, func(e *enforcer.Engine) { busy = e.Fetching(mac) })
		if err != nil || !busy {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// history gives what was kept, and what is to be: the newest first.
func (a *api) history(r *http.Request) (any, error) {
	w, err := readWindow(r, "kind", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	s, err := readSpan(r)
	if err != nil {
		return nil, err
	}
	q := enforcer.HistoryQuery{MAC: w.mac, Kind: enforcer.RecordKind(r.URL.Query().Get("kind")), Since: w.since, Until: w.until, Limit: s.limit + 1}
	if q.Before, err = readID(r, "cursor"); err != nil {
		return nil, err
	}
	switch q.Kind {
	case "", enforcer.RecordDenial, enforcer.RecordState, enforcer.RecordCounters:
	default:
		return nil, badRequest("kind must be denial, state or counters, not %.40q", string(q.Kind))
	}
	var list []enforcer.Record
	if q.Before == 0 { // on the first page, ahead of what is written
		if err := a.do(r, func(e *enforcer.Engine) { list = e.Pending(q) }); err != nil {
			return nil, err
		}
	}
	if a.History == nil {
		return nil, fail(http.StatusServiceUnavailable, "there is no history here")
	}
	written, err := a.History(q)
	if err != nil {
		return nil, fail(http.StatusServiceUnavailable, "%v", err)
	}
	p := cut(s, written, func(r enforcer.Record) string { return strconv.FormatUint(r.ID, 10) })
	p.items = append(orEmpty(list), p.items.([]enforcer.Record)...)
	return p, nil
}
