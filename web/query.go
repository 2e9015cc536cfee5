package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

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

func (a *api) denials(r *http.Request) (any, error) {
	if err := onlyQuery(r, "after", "mac"); err != nil {
		return nil, err
	}
	var after uint64
	var mac dhcp.MAC
	var err error
	q := r.URL.Query()
	if s := q.Get("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 64); err != nil {
			return nil, badRequest("after must be the id of a denial, not %.40q", s)
		}
	}
	if q.Has("mac") {
		if mac, err = parseMAC(q.Get("mac")); err != nil {
			return nil, err
		}
	}
	var list []enforcer.Denial
	err = a.do(r, func(e *enforcer.Engine) { list = e.Denials(after, mac) })
	return orEmpty(list), err
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
	if out.Proto, err = ParseProto(q.Get("proto")); err != nil {
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

// Protocols that have names here.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// ParseProto reads the name or number of an IP protocol.
func ParseProto(s string) (uint8, error) {
	switch strings.ToLower(s) {
	case "tcp":
		return protoTCP, nil
	case "udp":
		return protoUDP, nil
	case "icmp":
		return protoICMP, nil
	case "icmpv6", "ipv6-icmp":
		return protoICMPv6, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, badRequest("protocol must be tcp, udp, icmp, icmpv6 or a number up to 255, not %.40q", s)
	}
	return uint8(n), nil
}

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
