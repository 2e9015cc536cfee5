package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"mudguard/configs"
	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/kernel"
	"mudguard/mud"
)

// planCmd prints the nft script that a profile comes to, by the same compiler as the daemon's. It needs no kernel: what
// depends on this host is asked for by flags, with what most hosts have as the default.
func planCmd(args []string) int {
	p, code := parsePlan(args)
	if code >= 0 {
		return code
	}
	cfg, err := configs.Load(p.config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mudguard:", err)
		return 2
	}
	raw, err := os.ReadFile(p.profile)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mudguard:", err)
		return 2
	}
	_, parse := readers(cfg.Dialect)
	profile, problems, err := parse(raw)
	for _, pr := range problems {
		fmt.Fprintf(os.Stderr, "%s: %s: %s (%s)\n", p.profile, pr.Severity, pr.Message, pr.Row)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mudguard:", err)
		return 1
	}
	site, err := siteOf(cfg, p.features(), p.lan(cfg))
	if err != nil {
		fmt.Fprintln(os.Stderr, "mudguard:", err)
		return 2
	}
	fmt.Print(p.script(cfg, site, profile))
	return 0
}

type plan struct {
	config, profile string
	mac             dhcp.MAC
	addr            netip.Addr
	bridge, queue   string
	gateway         string
	observe         bool
}

func parsePlan(args []string) (plan, int) {
	var p plan
	var mac, ip string
	fs := flag.NewFlagSet("plan", flag.ContinueOnError)
	fs.StringVar(&p.config, "config", "", "configuration `file`")
	fs.StringVar(&p.profile, "profile", "", "MUD `file`")
	fs.StringVar(&mac, "mac", "02:00:00:00:00:01", "the device's `MAC`")
	fs.StringVar(&ip, "ip", "", "the device's `address`")
	fs.StringVar(&p.gateway, "gateway", "", "this host's LAN `prefix`, e.g. 192.168.1.1/24; default: as the interface has it here")
	fs.StringVar(&p.bridge, "bridge", "", "whether the LAN is a bridge, and how it knows replies: conntrack, netfilter, stateless, none; default: as here")
	fs.StringVar(&p.queue, "queue", "xt", "how the kernel spells the DNS hold: native, xt (a comment in its place: nft cannot load it) or none")
	fs.BoolVar(&p.observe, "observe", false, "deny nothing")
	if err := fs.Parse(args); err != nil {
		return p, 2
	}
	if p.config == "" || p.profile == "" || fs.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "mudguard: usage: mudguard plan --config FILE --profile FILE [--mac MAC] [--ip ADDR]")
		return p, 2
	}
	var err error
	if p.mac, err = dhcp.ParseMAC(mac); err == nil && ip != "" {
		p.addr, err = netip.ParseAddr(ip)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mudguard:", err)
		return p, 2
	}
	return p, -1
}

func (p plan) features() kernel.Features {
	f := kernel.Features{Queue: p.queue, Bridge: p.bridge != "none", Fib: true, BridgeConntrack: p.bridge == "conntrack",
		BrNetfilter: p.bridge == "netfilter"}
	if p.bridge == "" {
		f.BrNetfilter = kernel.BrNetfilter()
	}
	return f
}

// lan is the LAN as the flags say it, else as this host has it.
func (p plan) lan(cfg configs.Config) []enforcer.LANInterface {
	rtnl, err := kernel.OpenHost(kernel.Options{})
	if err != nil {
		rtnl = nil // no network here: the flags say what there is
	} else {
		defer rtnl.Close()
	}
	lan, _ := lanFacts(rtnl, cfg.LAN.Interfaces, kernel.Features{Bridge: p.bridge != "none"}, nil)
	for i := range lan {
		if p.bridge != "" {
			lan[i].Bridge = p.bridge != "none"
		}
	}
	if prefix, err := netip.ParsePrefix(p.gateway); err == nil && len(lan) > 0 {
		lan[0].Prefixes = []netip.Prefix{prefix}
	}
	return lan
}

func (p plan) script(cfg configs.Config, site enforcer.Site, profile mud.Profile) string {
	var addrs []netip.Addr
	if p.addr.IsValid() {
		addrs = append(addrs, p.addr)
	}
	e := enforcer.Plan(engineConfig(cfg), site, enforcer.Member{MAC: p.mac, Addrs: addrs}, profile, p.observe)
	var b strings.Builder
	fmt.Fprintf(&b, "# mudguard plan: %s for %s\n", mud.Clean(profile.URL.String(), 255), p.mac)
	if p.queue != string(enforcer.QueueNative) {
		b.WriteString("# The DNS hold is left out: the daemon adds it in the spelling that the kernel has (--queue native prints it).\n")
	}
	return b.String() + enforcer.Text(e)
}
