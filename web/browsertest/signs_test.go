package browsertest

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// A double and a change of the tables by somebody else are shown, and what a device calls itself in them is text (T13, T21).
func TestSigns(t *testing.T) {
	b := newBench(t, 3)
	b.sighted(dhcp.Sighting{MAC: mac(t, plugMAC), Kind: dhcp.Bound, Source: dhcp.SourceDHCPv4, Hostname: markup})
	must(t, b.kernel.Apply(enforcer.Delta{Tables: []enforcer.TableDelta{{Family: enforcer.Inet, Drop: true}}}))
	must(t, b.engine.Do(t.Context(), func(e *enforcer.Engine) {
		for _, port := range []string{"lan1", "lan2", "lan1"} {
			e.HeardOn(mac(t, plugMAC), port)
		}
		e.Repair()
	}))
	p := b.open(t, Phone(), true)
	for hash, title := range map[string]string{"#/health": "Health", "#/device/" + plugMAC: "<img"} {
		p.Visit(hash, title)
		p.Shows("Its hardware address is in two places at once")
		p.Shows("is heard on lan2 and on lan1 by turns")
		p.Shows("It moved to another port")
		p.Barriers()
		p.Fits()
		p.Picture("alarms-" + title[:1])
	}
	p.Visit("#/health", "Health")
	p.Shows("1 alarm and 2 gaps")
	p.Shows("The last repair")
	p.Shows("table inet mudguard was deleted")
	if Eval[bool](p, `!!window.owned || !!document.querySelector("main img, main b")`) {
		t.Error("text became markup")
	}
	p.Visit("#/device/"+lampMAC, "Lamp")
	p.Hides("pretends to be another")
}

// Where the daemon says what to type, the pages say what to press; and they offer no exception that would not help.
func TestAdviceIsForThePages(t *testing.T) {
	b := newBench(t, 3)
	b.sighted(dhcp.Sighting{MAC: mac(t, lampMAC), Kind: dhcp.Seen, Source: dhcp.SourceLLDP, URL: lampNext, TTL: time.Hour})
	b.await(lampMAC, enforcer.StatusHeld)
	l := enforcer.LogEvent{Prefix: enforcer.LogSpoof, MAC: mac(t, plugMAC), Packet: enforcer.Flow{Src: netip.MustParseAddr("198.51.100.7"),
		Dst: netip.MustParseAddr(otherHost), Proto: 6, Sport: 40000, Dport: 80}}
	must(t, b.engine.Do(t.Context(), func(e *enforcer.Engine) { e.Denied(l) }))
	p := b.open(t, Desktop(), true)
	p.Visit("#/device/"+lampMAC, "Lamp")
	p.Shows("to take the second: press “Approve”")
	p.Visit("#/waiting", "Waiting")
	p.Shows("Lamp")
	if said := p.said(); said == "" || strings.Contains(said, "mudguard approve") {
		t.Errorf("the page says what to type: %s", said)
	}
	p.Visit("#/device/"+plugMAC, "plug")
	p.Shows("its source address is not of this network")
	if Eval[bool](p, `[...document.querySelectorAll("button")].some((b) => b.textContent === "Allow …")`) {
		t.Error("an exception is offered for a spoofed source")
	}
}
