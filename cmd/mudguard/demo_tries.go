//go:build !mudguard_omit_demo

package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mudguard/enforcer"
)

// demoProbe is something that a device tries, and what should come of it.
type demoProbe struct {
	what string
	from *demoNS
	src  netip.Addr // "": as it comes
	to   netip.AddrPort
	dns  bool // a DNS question instead of a TCP connection

	// Of what should be denied: the device whose policy does it, and what the household should read.
	device    *demoHost
	direction string
	words     []string
}

func at(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

func (p demoProbe) try(wait time.Duration) error {
	if p.dns {
		_, err := p.from.resolve(p.to.Addr().String(), "evil.example", wait)
		return err
	}
	return p.from.talk(p.src, p.to, wait)
}

func (p demoProbe) proto() string {
	if p.dns {
		return "udp"
	}
	return "tcp"
}

// allowed tries what should work.
func (s *demoStory) allowed(p demoProbe) {
	err := p.try(demoAllowed)
	s.expect(err == nil, p.what+": allowed", fmt.Sprint(err))
}

// denied tries what should not work: nothing comes back, nothing arrives, and the daemon, if it runs, lists the denial
// with the reason in words.
func (s *demoStory) denied(p demoProbe) {
	after, before := lastID(s.denials(0)), s.servers.contacts()
	err := p.try(demoDenied)
	switch {
	case err == nil:
		s.expect(false, p.what+": denied", "it went through")
		return
	case !stopped(err):
		s.expect(false, p.what+": denied", "it failed, but not by silence: "+err.Error())
		return
	}
	for c, n := range s.servers.contacts() {
		if c.to == p.to && before[c] != n { // nobody else tries at the same time
			s.expect(false, p.what+": denied", fmt.Sprintf("no answer came, but the packet reached %s", c.to))
			return
		}
	}
	if s.engine == nil {
		s.expect(true, p.what+": denied", "")
		return
	}
	listed := s.until(func() bool { return slices.ContainsFunc(s.denials(after), p.matches) })
	s.expect(listed, p.what+": denied, and listed", "nothing came through, but no such denial is listed: "+sentences(s.denials(after)))
}

func (p demoProbe) matches(d enforcer.Denial) bool {
	if d.MAC != macOf(p.device.mac) || d.Dst != p.to.Addr() || d.Dport != p.to.Port() || d.Proto != p.proto() ||
		d.Direction != p.direction || !d.Enforced {
		return false
	}
	return !slices.ContainsFunc(p.words, func(w string) bool { return !strings.Contains(d.Explanation, w) })
}

func sentences(list []enforcer.Denial) string {
	if len(list) == 0 {
		return "none at all"
	}
	var out []string
	for _, d := range list {
		out = append(out, fmt.Sprintf("%s %s: %s", d.MAC, d.Direction, d.Explanation))
	}
	return strings.Join(out, " | ")
}

// lampTries are the things that malware on a lamp does first.
func (s *demoStory) lampTries() []demoProbe {
	l := s.lan
	own := []string{"Maker Lamp tried", "its profile allows tcp/443 over IPv4 with cloud.lamp.example"}
	out := func(what string, to netip.AddrPort, words ...string) demoProbe {
		return demoProbe{what: "lamp → " + what, from: l.lamp.demoNS, to: to, device: l.lamp, direction: "out", words: append(words, own...)}
	}
	list := []demoProbe{
		out("evil.example:23 (telnet, as Mirai does)", at(demoEvil, 23), "(evil.example)"),
		out("evil.example:443 (the right port at the wrong host)", at(demoEvil, 443), "(evil.example)"),
		out("its cloud:80 (the right host at the wrong port)", netip.AddrPortFrom(s.cloud.Addr(), 80), "(cloud.lamp.example)"),
		out("the gateway:22 (the router's own ssh)", at(demoGateway, 22), "(this gateway)"),
		out("the laptop:8080 (its neighbour on the same switch)", netip.AddrPortFrom(l.laptop.addr, 8080), "(laptop)"),
		out("a DNS server outside ("+demoForeign+")", at(demoForeign, 53)),
	}
	list[4].direction = "lateral"
	list[5].dns = true
	if l.v6 {
		list = append(list, out("evil.example over IPv6", at(demoEvil6, 443)))
	}
	spoof := out("its cloud from an address that is not its own ("+demoSpoofed+")", s.cloud)
	spoof.src, spoof.words = netip.MustParseAddr(demoSpoofed), []string{"source address that is not of this network"}
	if err := l.lamp.address("lo", demoSpoofed+"/32"); err == nil {
		list = append(list, spoof)
	}
	return list
}

// triesAtLamp are attempts to reach the lamp.
func (s *demoStory) triesAtLamp() []demoProbe {
	l, to := s.lan, netip.AddrPortFrom(s.lan.lamp.addr, 80)
	return []demoProbe{
		{what: "the Internet → lamp:80 (a scan from outside)", from: l.internet, to: to, device: l.lamp, direction: "in",
			words: []string{"tried to reach Maker Lamp at port 80/tcp"}},
		{what: "laptop → lamp:80 (a scan from inside)", from: l.laptop.demoNS, to: to, device: l.lamp, direction: "lateral",
			words: []string{"laptop", "tried to reach Maker Lamp at port 80/tcp"}},
	}
}

func (s *demoStory) cameraTries() {
	l := s.lan
	words := []string{"camera tried", "it has only DHCP, DNS and NTP of this network", "not signed"}
	s.denied(demoProbe{what: "camera (held) → evil.example:443", from: l.camera.demoNS, to: at(demoEvil, 443), device: l.camera,
		direction: "out", words: words})
	s.denied(demoProbe{what: "camera (held) → cloud.lamp.example:443, though its profile asks for it", from: l.camera.demoNS, to: s.cloud,
		device: l.camera, direction: "out", words: words})
	s.allowed(demoProbe{what: "camera (held) → this network's DNS", from: l.camera.demoNS, to: at(demoGateway, 53), dns: true})
}

// laptopTries shows that devices without a policy notice nothing.
func (s *demoStory) laptopTries() {
	l := s.lan
	s.allowed(demoProbe{what: "laptop → evil.example:443", from: l.laptop.demoNS, to: at(demoEvil, 443)})
	if l.v6 {
		s.allowed(demoProbe{what: "laptop → evil.example:443 over IPv6", from: l.laptop.demoNS, to: at(demoEvil6, 443)})
	}
	s.allowed(demoProbe{what: "laptop → the gateway:22", from: l.laptop.demoNS, to: at(demoGateway, 22)})
}

// evilTry is the attempt that the account comes back to.
func (s *demoStory) evilTry() demoProbe {
	return demoProbe{what: "lamp → evil.example:443", from: s.lan.lamp.demoNS, to: at(demoEvil, 443), device: s.lan.lamp,
		direction: "out", words: []string{"Maker Lamp tried"}}
}
