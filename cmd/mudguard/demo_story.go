//go:build !mudguard_omit_demo

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mudguard/enforcer"
	"mudguard/enforcer/kernel"
	"mudguard/mud"
)

// demoStory is one run of the demo.
type demoStory struct {
	*demoPrinter
	ctx     context.Context
	dir     string
	pages   bool // a browser is to see them
	log     *demoLog
	started time.Time

	lan     *demoLAN
	servers *demoServers
	engine  *enforcer.Engine // nil while the daemon does not run
	cancel  context.CancelFunc
	done    chan error

	cloud netip.AddrPort // an address of the lamp's cloud that is open
	open  demoConn       // the lamp's connection to it, open all the time
}

// tell runs the demo. An error means that it could not go on; what was not as expected is kept by the printer.
func (s *demoStory) tell() error {
	for _, part := range []func() error{s.stage, s.announced, s.verified, s.enforced, s.tried, s.attacked, s.household,
		s.withoutDaemon, s.again, s.spared} {
		if err := part(); err != nil {
			return err
		}
		if s.ctx.Err() != nil {
			return fmt.Errorf("it took more than %s", demoLimit)
		}
	}
	return nil
}

// end sums up and gives the exit code.
func (s *demoStory) end(err error) int {
	if err == nil && len(s.broken) == 0 {
		fmt.Fprintf(s.out, "\n%s\n", s.paint(demoGreen, fmt.Sprintf("All %d expectations held, in %.1f s. Nothing of it is left on this computer.",
			s.held, time.Since(s.started).Seconds())))
		return exitOK
	}
	if !s.log.echo {
		fmt.Fprintf(s.out, "\nThe daemon's log ended with:\n%s\n", s.log)
	}
	fmt.Fprintln(s.out)
	for _, what := range s.broken {
		fmt.Fprintln(s.out, s.paint(demoRed, "✗ "+what))
	}
	if err != nil {
		fmt.Fprintln(s.out, s.paint(demoRed, "The demo ended early: "+err.Error()))
	}
	fmt.Fprintf(s.out, "%d expectations held, %d did not.\n", s.held, len(s.broken))
	return exitNo
}

const demoPicture = `lamp    camera    laptop        cloud.lamp.example   maker.example   evil.example
  └────────┼────────┘                     └────────────────┼───────────────┘
           └──────── gateway with mudguard ────────────────┘
`

// stage builds the network and starts everything that answers in it.
func (s *demoStory) stage() error {
	fmt.Fprintln(s.out, s.paint(demoBold, "mudguard demo: a home, its gateway and a small Internet"))
	s.say("All of it is in network namespaces of this process. The packets are real; nothing of this computer is changed.")
	fmt.Fprintln(s.out)
	s.verbatim(demoBlue, demoPicture)
	var err error
	if s.lan, err = newDemoLAN(); err != nil {
		return err
	}
	cert, signer, err := demoPKI(filepath.Join(s.dir, "web-ca.pem"), filepath.Join(s.dir, "signer-ca.pem"))
	if err != nil {
		return err
	}
	files, err := demoFiles(signer)
	if err != nil {
		return err
	}
	if s.servers, err = startDemoServers(s.lan, files, cert); err != nil {
		return err
	}
	if err := s.startDaemon(); err != nil {
		return err
	}
	return s.abilities()
}

// abilities tells what the kernel has for mudguard, and what it lacks.
func (s *demoStory) abilities() error {
	st, err := s.status()
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out)
	queue := map[string]string{"native": "nftables' own queue", "xt": "the xt target NFQUEUE", "none": "nothing: they cannot wait"}
	bridge := map[string]string{"conntrack": "connection tracking of the bridge", "netfilter": "br_netfilter",
		"stateless": "their ports and flags alone", "none": "nothing: there is no bridge"}
	s.say("mudguard runs. What this kernel has for it: DNS answers wait in %s; replies between hosts of the LAN are known by %s.",
		queue[st.Kernel.Queue], bridge[st.Kernel.Replies])
	for _, g := range st.Gaps {
		s.aside("Gap: %s, since %s.", g.What, g.Why)
	}
	if !s.lan.v6 {
		s.aside("This kernel has no IPv6, so nothing is tried over it.")
	}
	return nil
}

// announced lets the devices join the LAN.
func (s *demoStory) announced() error {
	s.section("Announced: the devices join and say what they are")
	for _, d := range []struct {
		host *demoHost
		url  string
	}{{s.lan.lamp, demoLampURL}, {s.lan.camera, demoCameraURL}, {s.lan.laptop, ""}} {
		if err := d.host.announce(s.ctx, d.url); err != nil {
			return err
		}
		says := "says nothing of itself"
		if d.url != "" {
			says = "announces " + d.url
		}
		heard := s.until(func() bool {
			v := s.view(d.host)
			return v.URL == d.url && v.Hostname == d.host.name && len(v.Addresses) > 0
		})
		s.expect(heard, fmt.Sprintf("The %s (%s) gets %s by DHCP and %s.", d.host.name, d.host.mac, d.host.addr, says), s.seen(d.host))
	}
	return nil
}

// seen is how the daemon sees a device, for the account of a failure.
func (s *demoStory) seen(h *demoHost) string {
	v := s.view(h)
	return fmt.Sprintf("state %q, reason %q, URL %q, addresses %v, hostname %q", v.State, v.Reason, v.URL, v.Addresses, v.Hostname)
}

// verified waits for what comes of the announcements.
func (s *demoStory) verified() error {
	s.section("Fetched and verified: the manufacturer's word, if it is the manufacturer's")
	reached := s.until(func() bool { return s.view(s.lan.lamp).State == enforcer.StatusEnforced })
	v := s.view(s.lan.lamp)
	if !s.expect(reached && v.Profile != nil && strings.Contains(v.Profile.Signer, "MUD signer"),
		"The lamp's profile came over https, and its signature is good.", s.seen(s.lan.lamp)) || v.Profile == nil {
		return errors.New("without the lamp's profile there is nothing to show")
	}
	s.aside("signed by %s; sha256 %.16s…", v.Profile.Signer, v.Profile.SHA256)
	s.expect(s.servers.fetches("/lamp.json") == 1 && s.servers.fetches("/lamp.p7s") == 1,
		"The file and its signature were each asked for once.",
		fmt.Sprintf("%d and %d times", s.servers.fetches("/lamp.json"), s.servers.fetches("/lamp.p7s")))
	held := s.until(func() bool { return s.view(s.lan.camera).State == enforcer.StatusHeld })
	s.expect(held, "The camera's profile is not signed: it is held for the administrator, and the camera gets only DHCP, DNS and NTP.",
		s.seen(s.lan.camera))
	s.aside("the reason: %s", s.view(s.lan.camera).Reason)
	laptop := s.view(s.lan.laptop)
	s.expect(laptop.State == enforcer.StatusUnmanaged && laptop.Policy == "", "The laptop announced nothing and is left alone.",
		s.seen(s.lan.laptop))
	return nil
}

// enforced shows the lamp's policy, in words and as it is in the kernel.
func (s *demoStory) enforced() error {
	s.section("Enforced: what the lamp may do now")
	v := s.view(s.lan.lamp)
	s.say("By its profile: %s. By every network's needs: %s.", v.Profile.Allows, strings.Join(v.Infrastructure, "; "))
	for _, a := range v.ACEs {
		s.aside("%s %s/%s: %s (%s)", a.Direction, a.ACL, a.ACE, a.Text, a.Decision)
	}
	name := v.Policy + "_out"
	have, want, err := s.rulesets()
	if err != nil {
		return err
	}
	if have.Inet == nil || have.Inet.Chains[name] == nil || have.Inet.Sets["from_device"] == nil {
		s.expect(false, "The kernel has the lamp's policy.", "there is no chain "+name+" in table inet mudguard")
		return nil
	}
	to := have.Inet.Sets["from_device"].Elements[enforcer.Key{MAC: macOf(s.lan.lamp.mac)}]
	s.expect(to.Verdict.Chain == name, "The kernel has it as a chain named by the hash of what it says, and the lamp's MAC leads there.",
		"the lamp's packets go to: "+to.Verdict.String())
	chain := want.Inet.Chains[name]
	if !s.expect(chain != nil, "The signed file, compiled once more, gives the same name; so this is what the kernel runs:", "it makes no chain "+name) {
		return nil
	}
	s.verbatim(demoBlue, demoChainText(chain))
	return nil
}

// demoChainText is a chain as nft shows it. What every device has is counted only, so that the profile's part is seen.
func demoChainText(c *enforcer.Chain) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n\tchain %s {\n", enforcer.TableName, c.Name)
	common := 0
	for _, r := range c.Rules {
		if strings.HasPrefix(r.Comment, "infrastructure: ") {
			common++
			continue
		}
		fmt.Fprintf(&b, "\t\t%s\n", r.Text(enforcer.Inet))
	}
	fmt.Fprintf(&b, "\t\t# and %d rules for what every device needs: DHCP, neighbour discovery and the like\n\t}\n}\n", common)
	return b.String()
}

// rulesets gives what the kernel has, and what comes of the lamp's file by the way of "mudguard plan". Rules read back
// from the kernel are compared by name only; the plan has their text.
func (s *demoStory) rulesets() (have, want enforcer.Ruleset, err error) {
	n, err := kernel.Open(kernel.Options{})
	if err != nil {
		return have, want, err
	}
	defer n.Close()
	h, err := kernel.OpenHost(kernel.Options{})
	if err != nil {
		return have, want, err
	}
	defer h.Close()
	if have, err = n.Ruleset(); err != nil {
		return have, want, err
	}
	cfg, features := s.config(), n.Probe()
	lan, _ := lanFacts(h, cfg.LAN.Interfaces, features, nil)
	site, err := siteOf(cfg, features, lan)
	if err != nil {
		return have, want, err
	}
	profile, _, err := mud.Parse(s.servers.files["/lamp.json"])
	if err != nil {
		return have, want, err
	}
	return have, enforcer.Plan(engineConfig(cfg), site, enforcer.Member{MAC: macOf(s.lan.lamp.mac)}, profile, false), nil
}

// rounds is how often the lamp looks its cloud up and connects at once.
const rounds = 20

// lookUps lets the lamp ask for its cloud and connect in the same moment, each time to an address that nobody saw before.
func (s *demoStory) lookUps() {
	worked, different, why := 0, map[netip.Addr]bool{}, "no address was given twice"
	for range rounds {
		a, err := s.lan.lamp.resolve(demoGateway, "cloud.lamp.example", demoAllowed)
		if err == nil {
			different[a] = true
			err = s.lan.lamp.talk(netip.Addr{}, netip.AddrPortFrom(a, 443), demoAllowed)
		}
		if err != nil {
			why = err.Error()
			continue
		}
		worked++
		s.cloud = netip.AddrPortFrom(a, 443)
	}
	s.expect(worked == rounds && len(different) == rounds,
		fmt.Sprintf("lamp → cloud.lamp.example:443: allowed, %d times of %d, although every DNS answer names another address.", worked, rounds),
		fmt.Sprintf("%d connections, %d addresses; %s", worked, len(different), why))
	s.aside("Each answer waits in the gateway until its address is open, so the lamp is never too early.")
}

// tried is what happens when devices try things.
func (s *demoStory) tried() error {
	s.section("Tried: what goes through and what does not")
	s.lookUps()
	if !s.cloud.IsValid() {
		return errors.New("the lamp never reached its cloud")
	}
	if err := s.open.dial(s.lan.lamp, s.cloud); err != nil {
		s.expect(false, "lamp → cloud.lamp.example:443: a connection that stays open.", err.Error())
	}
	// What the lamp asks for it gets to know; reaching it is another matter.
	evil, err := s.lan.lamp.resolve(demoGateway, "evil.example", demoAllowed)
	s.expect(err == nil && evil.String() == demoEvil, "lamp → this network's DNS: allowed.", fmt.Sprintf("%s, %v", evil, err))
	for _, p := range s.lampTries() {
		s.denied(p)
	}
	for _, p := range s.triesAtLamp() {
		s.denied(p)
	}
	s.cameraTries()
	s.laptopTries()
	return nil
}

// attacked lets the lamp, which somebody took over, wish for another profile.
func (s *demoStory) attacked() error {
	s.section("Attacked: the lamp, taken over, wishes for more")
	before := s.view(s.lan.lamp)
	if err := s.lan.lamp.announce(s.ctx, demoEvilURL); err != nil {
		return err
	}
	heard := s.until(func() bool { return s.view(s.lan.lamp).PendingURL == demoEvilURL })
	v := s.view(s.lan.lamp)
	s.expect(heard && v.URL == demoLampURL && v.Policy == before.Policy && v.State == enforcer.StatusEnforced,
		"It announces "+demoEvilURL+". The old policy stays; the wish waits for the administrator.", s.seen(s.lan.lamp))
	s.denied(s.evilTry())
	return nil
}

// withoutDaemon is the kernel alone.
func (s *demoStory) withoutDaemon() error {
	s.section("The daemon stops: the kernel goes on")
	if err := s.stopDaemon(); err != nil {
		s.expect(false, "The daemon stops.", err.Error())
	}
	s.openStays()
	s.allowed(demoProbe{what: "lamp → cloud.lamp.example:443, at an address it had", from: s.lan.lamp.demoNS, to: s.cloud})
	s.denied(s.evilTry())
	s.denied(s.triesAtLamp()[0])
	fresh, err := s.lan.lamp.resolve(demoGateway, "cloud.lamp.example", demoAllowed)
	s.expect(err == nil, "lamp → this network's DNS: allowed. A dead daemon holds no answer back.", fmt.Sprint(err))
	if err == nil {
		s.denied(demoProbe{what: "lamp → the new address in that answer", from: s.lan.lamp.demoNS, to: netip.AddrPortFrom(fresh, 443)})
		s.aside("Nobody vouched for that address: looking names up fails open, reaching them never does.")
	}
	s.allowed(demoProbe{what: "laptop → evil.example:443", from: s.lan.laptop.demoNS, to: at(demoEvil, 443)})
	return nil
}

func (s *demoStory) openStays() {
	err := s.open.echo()
	s.expect(err == nil, "The lamp's open connection to its cloud stays open.", fmt.Sprint(err))
}

// again is the next start of the daemon.
func (s *demoStory) again() error {
	s.section("The daemon starts again: nothing has to be built or fetched anew")
	before, err := ruleHandles()
	if err != nil {
		return err
	}
	asked := s.servers.fetches("/lamp.json") + s.servers.fetches("/lamp.p7s")
	if err := s.startDaemon(); err != nil {
		return err
	}
	v := s.view(s.lan.lamp)
	s.expect(v.State == enforcer.StatusEnforced && v.URL == demoLampURL && v.PendingURL == demoEvilURL,
		"It remembers the lamp, its profile, and the wish that waits.", s.seen(s.lan.lamp))
	after, err := ruleHandles()
	if err != nil {
		return err
	}
	s.expect(maps.Equal(before, after), fmt.Sprintf("Its %d chains in the kernel are the very same, rule by rule.", len(after)),
		fmt.Sprintf("they were %v and are %v", before, after))
	now := s.servers.fetches("/lamp.json") + s.servers.fetches("/lamp.p7s")
	s.expect(now == asked, "The lamp's profile came from the disk, not from the network.", fmt.Sprintf("%d more requests", now-asked))
	s.openStays()
	fresh, err := s.lan.lamp.resolve(demoGateway, "cloud.lamp.example", demoAllowed)
	if err == nil {
		err = s.lan.lamp.talk(netip.Addr{}, netip.AddrPortFrom(fresh, 443), demoAllowed)
	}
	s.expect(err == nil, "lamp → cloud.lamp.example:443, at an address never seen before: allowed again.", fmt.Sprint(err))
	s.denied(s.evilTry())
	s.denied(s.triesAtLamp()[0])
	return nil
}

// household shows what people see, by the commands that they use.
func (s *demoStory) household() error {
	s.section("Told: what the household sees")
	lamp := s.lan.lamp.mac.String()
	for _, cmd := range []struct {
		args []string
		code int
	}{
		{[]string{"devices"}, exitOK},
		{[]string{"explain", lamp, "out", "tcp", "cloud.lamp.example", "443"}, exitOK},
		{[]string{"explain", lamp, "out", "tcp", demoEvil, "443"}, exitNo}, // denied, as it says
	} {
		var out, errs bytes.Buffer
		c := &cli{ctx: s.ctx, in: bytes.NewReader(nil), out: &out, err: &errs, env: os.Getenv, zone: time.Local}
		code := c.dispatch(append(slices.Clone(cmd.args), "--socket", s.config().Socket))
		fmt.Fprintf(s.out, "   %s\n", s.paint(demoBold, "$ mudguard "+strings.Join(cmd.args, " ")))
		s.verbatim("", out.String())
		if code != cmd.code {
			s.expect(false, "mudguard "+cmd.args[0]+" works.", fmt.Sprintf("exit code %d: %s", code, errs.String()))
		}
		fmt.Fprintln(s.out)
	}
	list := s.denials(0)
	s.say("And what was denied, in sentences (mudguard denials):")
	for _, d := range list {
		s.wrapped("     "+s.paint(demoDim, d.Time.Local().Format(time.TimeOnly))+"  ", "               ", "", d.Explanation)
	}
	fmt.Fprintln(s.out)
	s.expect(!slices.ContainsFunc(list, func(d enforcer.Denial) bool { return d.MAC == macOf(s.lan.laptop.mac) }),
		fmt.Sprintf("All %d denials are of the lamp and the camera, none of the laptop.", len(list)), sentences(list))
	return nil
}

// spared asks the attacker's host who reached it.
func (s *demoStory) spared() error {
	var reached []string
	for c, n := range s.servers.contacts() {
		evil := c.to.Addr().String() == demoEvil || c.to.Addr().String() == demoEvil6
		if evil && c.from != s.lan.laptop.addr && c.from != s.lan.laptop.addr6 {
			reached = append(reached, fmt.Sprintf("%d times %s", n, c.from))
		}
	}
	fmt.Fprintln(s.out)
	s.expect(len(reached) == 0, "In all this time evil.example never heard of the lamp, of the camera, nor of the gateway.",
		strings.Join(reached, ", "))
	return nil
}
