package web

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
)

// maxEvents bounds the events of one call; a server's hook tells of the leases of one client at a time.
const maxEvents = 64

// HookEvents is what the hook of a DHCP server tells (RFC 8520 section 10.2, R8520-10.2-a). All text in it is hostile: servers
// pass on what clients say.
type HookEvents struct {
	Source dhcp.Source `json:"source"` // dnsmasq or kea
	Events []HookEvent `json:"events"`
}

// HookEvent is news about one lease.
type HookEvent struct {
	Kind      string `json:"kind"` // bound, seen, released, expired or declined
	MAC       string `json:"mac"`
	Addr      string `json:"addr,omitempty"`
	Lease     string `json:"lease,omitempty"` // its end as RFC 3339, or the seconds that are left; 4294967295 without end
	Hostname  string `json:"hostname,omitempty"`
	URL       string `json:"url,omitempty"`       // MUDstring as announced; none is no news (T-05)
	MaybeCut  bool   `json:"maybe_cut,omitempty"` // the server may have cut it at a = (T-03)
	ClientID  string `json:"client_id,omitempty"` // client identifier or DUID, hexadecimal
	Interface string `json:"interface,omitempty"`
}

// Taken is the answer to events.
type Taken struct {
	Events int `json:"events"`
}

// Sightings passes on what a hook heard.
func (c *Client) Sightings(ctx context.Context, h HookEvents) error {
	_, err := c.Post(ctx, "/api/v1/sightings", h)
	return err
}

// sightings takes events of a hook. One that is wrong refuses them all: the hook sends none such.
func (a *api) sightings(r *http.Request) (any, error) {
	if err := onlyQuery(r); err != nil {
		return nil, err
	}
	list, err := readEvents(r.Body, time.Now())
	if err != nil {
		return nil, err
	}
	err = a.do(r, func(e *enforcer.Engine) {
		for _, s := range list {
			e.Sighted(s)
		}
	})
	return Taken{len(list)}, err
}

func readEvents(body io.Reader, now time.Time) ([]dhcp.Sighting, error) {
	var h HookEvents
	if err := readBody(body, &h, `{"source": "dnsmasq", "events": […]}`); err != nil {
		return nil, err
	}
	switch {
	case h.Source != dhcp.SourceDnsmasq && h.Source != dhcp.SourceKea:
		return nil, badRequest("source must be dnsmasq or kea, not %.40q", h.Source)
	case len(h.Events) > maxEvents:
		return nil, badRequest("there are %d events and the limit is %d", len(h.Events), maxEvents)
	}
	var list []dhcp.Sighting
	for i, ev := range h.Events {
		s, err := ev.sighting(now)
		if err != nil {
			return nil, badRequest("event %d: %v", i, err)
		}
		s.Source = h.Source
		list = append(list, s)
	}
	return list, nil
}

// sighting checks an event. An address counts only with what gives or takes one.
func (ev HookEvent) sighting(now time.Time) (s dhcp.Sighting, err error) {
	switch ev.Kind {
	case "seen":
		s.Kind = dhcp.Seen
	case "bound":
		s.Kind = dhcp.Bound
	case "released":
		s.Kind = dhcp.Released
	case "expired":
		s.Kind = dhcp.Expired
	case "declined":
		s.Kind = dhcp.Declined
	default:
		return s, badRequest("kind must be bound, seen, released, expired or declined, not %.40q", ev.Kind)
	}
	if s.MAC, err = parseMAC(ev.MAC); err != nil {
		return s, err
	}
	if s.MAC.IsMulticast() {
		return s, badRequest("%s is no device's MAC", s.MAC)
	}
	if ev.Addr != "" || s.Kind != dhcp.Seen {
		if s.Addr, err = netip.ParseAddr(ev.Addr); err != nil || s.Addr.Zone() != "" {
			return s, badRequest("addr must be an IP address, not %.60q", ev.Addr)
		}
	}
	if s.Kind == dhcp.Bound {
		if s.Lease, err = leaseTime(ev.Lease, now); err != nil {
			return s, err
		}
	}
	if len(ev.Interface) > 15 { // IFNAMSIZ
		return s, badRequest("interface must have at most 15 characters, not %.40q", ev.Interface)
	}
	s.Hostname, s.Interface = mud.Clean(ev.Hostname, 64), mud.Clean(ev.Interface, 15)
	if ev.URL != "" {
		s.Announce(ev.URL)
	}
	if ev.MaybeCut && s.URL != "" {
		s.Remark = "the DHCP server may have cut the URL at a = in its query"
	}
	return s, nil
}

// leaseTime gives how long a lease goes on; one that isn't said counts as without end.
func leaseTime(s string, now time.Time) (time.Duration, error) {
	if s == "" {
		return math.MaxInt64, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return max(t.Sub(now), 0), nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	switch {
	case err != nil:
		return 0, badRequest("lease must be a time like 2026-01-31T12:00:00Z or a number of seconds, not %.40q", s)
	case n == math.MaxUint32: // RFC 2131 section 3.3, RDHCP-2131-e
		return math.MaxInt64, nil
	}
	return time.Duration(n) * time.Second, nil
}

// readBody reads one JSON object without members that into doesn't have; like is how it should look.
func readBody(body io.Reader, into any, like string) error {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badRequest("the body must be %s: %v", like, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return badRequest("the body must be one object %s", like)
	}
	return nil
}
