package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// onlyQuery refuses parameters that are not known or stand there twice: a filter with a slip of the pen is no filter.
func onlyQuery(r *http.Request, names ...string) error {
	for name, values := range r.URL.Query() {
		switch {
		case !slices.Contains(names, name):
			return badRequest("there is no parameter %.40q here", name)
		case len(values) > 1:
			return badRequest("parameter %s is there more than once", name)
		}
	}
	return nil
}

func pathMAC(r *http.Request) (dhcp.MAC, error) {
	if err := onlyQuery(r); err != nil {
		return dhcp.MAC{}, err
	}
	return parseMAC(r.PathValue("mac"))
}

func parseMAC(s string) (dhcp.MAC, error) {
	mac, err := dhcp.ParseMAC(s)
	if err != nil {
		return mac, badRequest("%v", err)
	}
	if mac.IsZero() {
		return mac, badRequest("%s is no device's MAC", mac)
	}
	return mac, nil
}

// denials lists those that are kept: all in the order of their time, or newest first in parts.
func (a *api) denials(r *http.Request) (any, error) {
	w, err := readWindow(r, "after", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	s, err := readSpan(r)
	if err != nil {
		return nil, err
	}
	after, err := readID(r, "after")
	if err != nil {
		return nil, err
	}
	before, err := readID(r, "cursor")
	if err != nil {
		return nil, err
	}
	var list []enforcer.Denial
	if err := a.do(r, func(e *enforcer.Engine) { list = e.Denials(after, w.mac) }); err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(d enforcer.Denial) bool { return !w.has(d.Time) || before > 0 && d.ID >= before })
	if !s.asked {
		return list, nil
	}
	slices.Reverse(list)
	return cut(s, list, func(d enforcer.Denial) string { return strconv.FormatUint(d.ID, 10) }), nil
}

// readID reads the id of a denial; 0 for none.
func readID(r *http.Request, name string) (uint64, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, badRequest("%s must be the id of a denial, not %.40q", name, s)
	}
	return id, nil
}

// window is whose events of which time are asked for.
type window struct {
	mac          dhcp.MAC // zero: of all
	since, until time.Time
}

func (w window) has(t time.Time) bool {
	return !t.Before(w.since) && (w.until.IsZero() || t.Before(w.until))
}

// readWindow reads device, since and until, and refuses what is neither these nor more.
func readWindow(r *http.Request, more ...string) (w window, err error) {
	if err = onlyQuery(r, append(more, "device", "since", "until")...); err != nil {
		return w, err
	}
	q := r.URL.Query()
	if q.Has("device") {
		if w.mac, err = parseMAC(q.Get("device")); err != nil {
			return w, err
		}
	}
	for name, to := range map[string]*time.Time{"since": &w.since, "until": &w.until} {
		if s := q.Get(name); s != "" {
			if *to, err = time.Parse(time.RFC3339, s); err != nil {
				return w, badRequest("%s must be a time like 2026-01-31T12:00:00Z, not %.40q", name, s)
			}
		}
	}
	return w, nil
}

func (a *api) explain(r *http.Request) (any, error) {
	mac, query, err := explainQuery(r)
	if err != nil {
		return nil, err
	}
	var x enforcer.Explanation
	doErr := a.do(r, func(e *enforcer.Engine) {
		var d *enforcer.Device
		if d, err = known(e, mac); err != nil {
			return
		}
		if x, err = e.Explain(d, query); err != nil {
			err = badRequest("%v", err)
		}
	})
	if doErr != nil {
		return nil, doErr
	}
	return x, err
}

// explainQuery reads the flow that is asked about.
func explainQuery(r *http.Request) (mac dhcp.MAC, out enforcer.Query, err error) {
	if err = onlyQuery(r, "mac", "direction", "proto", "host", "port"); err != nil {
		return mac, out, err
	}
	q := r.URL.Query()
	if mac, err = parseMAC(q.Get("mac")); err != nil {
		return mac, out, err
	}
	if out.Proto, err = enforcer.ParseProto(q.Get("proto")); err != nil {
		return mac, out, badRequest("%v", err)
	}
	switch q.Get("direction") {
	case "out":
	case "in":
		out.In = true
	default:
		return mac, out, badRequest("direction must be out or in, not %.40q", q.Get("direction"))
	}
	if out.Host = q.Get("host"); out.Host == "" {
		return mac, out, badRequest("host is missing: an address or a name")
	}
	out.Port, err = explainPort(q.Get("port"), out.Proto)
	return mac, out, err
}

// Protocols that have ports.
const (
	protoTCP = 6
	protoUDP = 17
)

func explainPort(s string, proto uint8) (uint16, error) {
	ports := proto == protoTCP || proto == protoUDP
	switch {
	case s == "" && ports:
		return 0, badRequest("a port is needed with tcp and udp")
	case s == "":
		return 0, nil
	case !ports:
		return 0, badRequest("only tcp and udp are asked about with a port")
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, badRequest("port must be a number from 1 to 65535, not %.40q", s)
	}
	return uint16(n), nil
}
