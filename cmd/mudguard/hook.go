package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/web"
)

// hookTime bounds a call of the hook: dnsmasq runs one at a time.
const hookTime = time.Second

// Bounds of what is passed on. The daemon has tighter ones of its own; an over-long URL is refused there, and must not look like
// a shorter one here.
const (
	maxHookText   = 1024
	maxHookLeases = 32
	infinite      = "4294967295" // RFC 2131 section 3.3
)

// hookCmd tells the daemon what a DHCP server tells us, in arguments and environment, both of which clients can write to
// (R8520-10.2-c). It runs nothing, and fails for nobody but who calls it with another server's name.
func (c *cli) hookCmd(args []string) int {
	socket := c.env("MUDGUARD_SOCKET")
	if len(args) > 1 && args[0] == "--socket" { // no flag after it is one: these are a client's words
		socket, args = args[1], args[2:]
	}
	if socket == "" {
		socket = defaultSocket
	}
	read := map[string]func(*cli, []string) ([]web.HookEvent, error){"dnsmasq": (*cli).dnsmasqEvents, "kea": (*cli).keaEvents}
	if len(args) == 0 || read[args[0]] == nil {
		return c.misuse("hook", "the name of the DHCP server is missing: dnsmasq or kea")
	}
	events, err := read[args[0]](c, args[1:])
	if len(events) > 0 {
		ctx, cancel := context.WithTimeout(c.ctx, hookTime)
		defer cancel()
		err = cmp.Or(web.NewClient(socket).Sightings(ctx, web.HookEvents{Source: dhcp.Source(args[0]), Events: events}), err)
	}
	if err != nil {
		c.complain("%s hook: %v", args[0], err)
	}
	return exitOK
}

// dnsmasqEvents reads what dnsmasq's dhcp-script and OpenWrt's hotplug scripts get.
func (c *cli) dnsmasqEvents(args []string) ([]web.HookEvent, error) {
	kinds := map[string]string{"add": "bound", "old": "bound", "update": "bound", "del": "released", "remove": "released"}
	switch {
	case len(args) == 0:
		return nil, errors.New("the action is missing: add, old or del")
	case kinds[args[0]] == "":
		return nil, nil // tftp, arp-add and the like
	case len(args) < 3:
		return nil, errors.New("the MAC or the address is missing")
	}
	ev := web.HookEvent{Kind: kinds[args[0]], MAC: args[1], Addr: args[2], Lease: c.dnsmasqLease(), URL: c.word("DNSMASQ_MUD_URL"),
		Interface: c.word("DNSMASQ_INTERFACE"), ClientID: c.word("DNSMASQ_CLIENT_ID")}
	if len(args) > 3 {
		ev.Hostname = cutText(args[3])
	}
	if addr, err := netip.ParseAddr(ev.Addr); err == nil && addr.Is6() {
		ev.MAC, ev.ClientID = c.word("DNSMASQ_MAC"), cutText(args[1]) // the DUID
	}
	switch {
	case c.env("DNSMASQ_DATA_MISSING") != "" && ev.Kind == "bound" && ev.URL == "":
		return nil, nil // it read its lease file: no news of anybody (T-05)
	case ev.Kind == "released" && ev.Lease == "0":
		ev.Kind = "expired"
	}
	query := strings.IndexByte(ev.URL, '?')
	ev.MaybeCut = query >= 0 && !strings.Contains(ev.URL[query:], "=") // dnsmasq cuts at the first one (T-03)
	return onEthernet(ev)
}

// dnsmasqLease gives the seconds that are left of a lease.
func (c *cli) dnsmasqLease() string {
	if c.env("DNSMASQ_LEASE_EXPIRES") == "0" {
		return infinite
	}
	for _, name := range []string{"DNSMASQ_TIME_REMAINING", "DNSMASQ_LEASE_LENGTH"} {
		if s := c.env(name); isSeconds(s) {
			return s
		}
	}
	return ""
}

// keaEvents reads what Kea's libdhcp_run_script gives. It has no options, so no MUD URL.
func (c *cli) keaEvents(args []string) ([]web.HookEvent, error) {
	if len(args) == 0 {
		return nil, errors.New("the event is missing")
	}
	v := "4"
	if strings.Contains(args[0], "6_") {
		v = "6"
	}
	event := strings.Replace(args[0], v, "", 1)
	if event == "leases_committed" {
		bound, err := c.keaLeases("bound", "LEASES"+v, v)
		gone, err2 := c.keaLeases("released", "DELETED_LEASES"+v, v)
		return append(bound, gone...), cmp.Or(err, err2)
	}
	kind := map[string]string{"lease_renew": "bound", "lease_rebind": "bound", "lease_release": "released", "lease_expire": "expired",
		"lease_decline": "declined"}[event]
	if kind == "" {
		return nil, nil // lease4_recover and what comes later
	}
	return c.keaLease(kind, "LEASE"+v, v)
}

// keaLeases reads a list of leases, as far as their devices are known.
func (c *cli) keaLeases(kind, name, v string) (out []web.HookEvent, err error) {
	n, _ := strconv.Atoi(c.env(name + "_SIZE"))
	for i := range min(max(n, 0), maxHookLeases) {
		events, e := c.keaLease(kind, name+"_AT"+strconv.Itoa(i), v)
		out, err = append(out, events...), cmp.Or(err, e)
	}
	return out, err
}

func (c *cli) keaLease(kind, prefix, v string) ([]web.HookEvent, error) {
	if t := c.env(prefix + "_TYPE"); v == "6" && t != "" && t != "IA_NA" { // a delegated prefix is no device's address
		return nil, nil
	}
	ev := web.HookEvent{Kind: kind, MAC: c.word(prefix + "_HWADDR"), Addr: c.word(prefix + "_ADDRESS"), Hostname: c.word(prefix + "_HOSTNAME"),
		Interface: c.word("QUERY" + v + "_IFACE_NAME"), ClientID: c.word(prefix + map[string]string{"4": "_CLIENT_ID", "6": "_DUID"}[v])}
	if s := c.env(prefix + "_VALID_LIFETIME"); isSeconds(s) {
		ev.Lease = s
	}
	return onEthernet(ev)
}

// onEthernet gives an event whose device is known by an Ethernet address, which is all that the daemon goes by.
func onEthernet(ev web.HookEvent) ([]web.HookEvent, error) {
	if ev.MAC == "" {
		return nil, fmt.Errorf("the server doesn't know the MAC of %s, so nothing can be said of it", ev.Addr)
	}
	mac, err := dhcp.ParseMAC(ev.MAC)
	if err != nil {
		return nil, err
	}
	ev.MAC = mac.String()
	return []web.HookEvent{ev}, nil
}

// word gives a variable of the environment, of bounded length.
func (c *cli) word(name string) string { return cutText(c.env(name)) }

func cutText(s string) string { return s[:min(len(s), maxHookText)] }

func isSeconds(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}
