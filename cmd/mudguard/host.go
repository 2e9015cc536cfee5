package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mudguard/enforcer"
	"mudguard/enforcer/kernel"
	"mudguard/mud"
	"mudguard/mud/fetch"
	"mudguard/web"
)

// host is this host's part of the status.
func (d *daemon) host() web.HostStatus {
	pages := d.webStatus()
	d.mu.Lock()
	defer d.mu.Unlock()
	bridge := bridgeMode(d.features, d.lan)
	s := web.HostStatus{Version: version, Web: pages, Kernel: web.Kernel{Queue: d.features.Queue, Bridge: string(bridge), Replies: string(bridge),
		BrNetfilter: d.features.BrNetfilter, Fib: d.features.Fib}, Tables: []string{"inet " + enforcer.TableName}}
	if bridge == enforcer.BridgeMark {
		s.Kernel.Bridge = string(enforcer.BridgeStateless) // it is the inet table that knows replies then
	}
	if bridge != enforcer.BridgeNone {
		s.Tables = append(s.Tables, "bridge "+enforcer.TableName)
	}
	s.Sources = d.ears.sources(d.cfg.LAN.Interfaces)
	gap := func(what, why string) { s.Gaps = append(s.Gaps, enforcer.Gap{What: what, Why: why}) }
	for _, name := range d.missing {
		gap("LAN interface "+name, "it is not there; mudguard waits for it")
	}
	if state := d.clock.State(); state != fetch.ClockSynced {
		gap("clock", clockText(state))
	}
	if d.misread != nil {
		gap("the configuration was not reread", "the one of before stays in force: "+mud.Clean(d.misread.Error(), 500))
	}
	if d.loadErr != nil {
		gap("state was not read at the start", d.loadErr.Error())
	}
	if !d.features.Bridge && slices.ContainsFunc(d.lan, func(l enforcer.LANInterface) bool { return d.isBridge(l.Name) }) {
		gap("traffic between hosts of one bridge", "the kernel has no bridge family of nftables (on OpenWrt: kmod-nft-bridge)")
	}
	for _, l := range d.lan {
		for _, text := range kernel.Unseen(l.Name) {
			gap("traffic that this host may not see", text)
		}
	}
	if d.queue != nil && d.queue.Stats().Late > 0 {
		gap("DNS hold", fmt.Sprintf("%d answers went on before their addresses were in, since this host was too busy", d.queue.Stats().Late))
	}
	if d.queue != nil && d.queue.Stats().Taken > 0 {
		gap("DNS answers that were held", fmt.Sprintf("the kernel dropped %d of them when another program deleted a base chain, as a firewall's restart does; who asked asks again", d.queue.Stats().Taken))
	}
	if on, err := d.nft.Offloaded(); err == nil && len(on) > 0 {
		gap("flow offload", offloadText(on, d.cfg.LAN.Interfaces))
	}
	for _, part := range []string{nftEvents, linkEvents, neighbourEvents} {
		if n := d.problems[part]; n > 0 {
			gap(part, fmt.Sprintf("%d times the kernel had more to tell than there was room for, or stopped; all was looked at again", n))
		}
	}
	s.Counters = d.counters()
	if s.Web.State != "listening" && s.Web.State != "off" {
		gap("web server", s.Web.State)
	}
	return s
}

// counters are the numbers of the parts around the engine. d.mu is held.
func (d *daemon) counters() web.HostCounters {
	c := web.HostCounters{Fetched: d.fetcher.fetched.Load(), FetchesHeld: d.fetcher.heldBack.Load(), FetchesFailed: d.fetcher.failed.Load()}
	for _, n := range d.news.Counts() {
		c.Notified = append(c.Notified, web.Notified(n))
	}
	if d.queue != nil {
		q := d.queue.Stats()
		c.AnswersHeld, c.AnswersLate, c.QueueErrors = q.Held, q.Late, q.Errors
	}
	if d.nflog != nil {
		l := d.nflog.Stats()
		c.LogPackets, c.LogLost, c.LogErrors = l.Events, l.Lost, l.Errors
	}
	return c
}

func (d *daemon) isBridge(name string) bool {
	i, err := d.rtnl.Interface(name)
	return err == nil && i.IsBridge
}

// offloadText says what flow offload means here. New flows are judged all the same, and flows that a policy no longer allows
// are cut with their offload.
func offloadText(on, lan []string) string {
	text := "flow tables on " + strings.Join(on, ", ") + ": packets of offloaded flows are not counted, and answers to DNS queries that reuse a port may not be held"
	for _, name := range lan {
		if slices.Contains(on, name) {
			text += "; with " + name + " itself in a flow table, what is sent to devices under policy loses its mark and is dropped: list its ports instead, or turn offload off"
		}
	}
	return text
}

// resolvers are those that we ask, as the LAN is now.
func (d *daemon) resolvers() []netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	return resolvers(d.cfg, d.lan)
}

// askAt is where the fetcher asks for names that the system's resolver does not know.
func (d *daemon) askAt() []netip.AddrPort {
	var out []netip.AddrPort
	for _, a := range resolvers(d.cfg, d.lan) {
		out = append(out, netip.AddrPortFrom(a, 53))
	}
	return out
}

// onLAN says that an address is of our own networks: a MUD URL must not make us knock there.
func (d *daemon) onLAN(a netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	site := enforcer.Site{LAN: d.lan}
	return site.OnLAN(a)
}
