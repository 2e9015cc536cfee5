package main

import (
	"fmt"
	"net"
	"net/netip"

	"mudguard/configs"
	"mudguard/enforcer"
	"mudguard/enforcer/kernel"
	"mudguard/mud"
)

// siteOf puts together what the administrator and this host say. lan are the LAN interfaces as they are now.
func siteOf(cfg configs.Config, f kernel.Features, lan []enforcer.LANInterface) (enforcer.Site, error) {
	s := enforcer.Site{
		LAN: lan, Mark: cfg.Mark,
		NewFlows: rate(cfg.Limits.NewFlows), NewFlowsBurst: uint32(cfg.Limits.Burst),
		DenialRate: rate(cfg.Denials.Rate), NFLOGGroup: cfg.Denials.NFLOGGroup, QueueNum: cfg.DNS.Queue,
		Queue: enforcer.QueueMode(f.Queue), Bridge: bridgeMode(f, lan), Literal: cfg.Literal,
		BlockUnmanaged: cfg.Unmanaged == configs.Block, Trusted: cfg.LAN.Trusted, Resolvers: cfg.DNS.Resolvers,
		LocalNetworks: cfg.Classes.LocalNetworks, NoFib: !f.Fib,
		Controllers: map[string][]enforcer.Host{}, MyControllers: map[mud.URL][]enforcer.Host{},
	}
	for text, list := range cfg.Classes.Controllers {
		class, err := mud.ParseClass(text)
		if err != nil {
			return s, fmt.Errorf("classes.controllers: %w", err)
		}
		s.Controllers[class] = hosts(list)
	}
	for text, list := range cfg.Classes.MyControllers {
		u, err := mud.ParseURL(text)
		if err != nil {
			return s, fmt.Errorf("classes.my_controllers: %q is no MUD URL: %w", text, err)
		}
		s.MyControllers[u] = hosts(list)
	}
	return s, nil
}

func bridgeMode(f kernel.Features, lan []enforcer.LANInterface) enforcer.BridgeMode {
	bridged, shown := false, f.BrNetfilter
	for _, l := range lan {
		bridged, shown = bridged || l.Bridge, shown && !l.Tagged
	}
	switch {
	case !bridged:
		return enforcer.BridgeNone
	case f.BridgeConntrack:
		return enforcer.BridgeConntrack
	case shown:
		return enforcer.BridgeMark
	}
	return enforcer.BridgeStateless
}

func rate(r configs.Rate) enforcer.Rate { return enforcer.Rate{Count: r.Count, Per: r.Per} }

func hosts(list []configs.Host) []enforcer.Host {
	out := make([]enforcer.Host, 0, len(list))
	for _, h := range list {
		out = append(out, enforcer.Host{Addr: h.Addr, Name: h.Name})
	}
	return out
}

// engineConfig is the part of the configuration that decides about devices.
func engineConfig(cfg configs.Config) enforcer.Config {
	e := enforcer.Config{FailedAllow: cfg.Failed == configs.Allow, Onboarding: string(cfg.Onboarding),
		Observe: cfg.Mode == configs.Observe, WeakMembers: string(cfg.Classes.WeakMembers)}
	for _, kind := range cfg.AcceptAddresses {
		e.AcceptAddresses = append(e.AcceptAddresses, string(kind))
	}
	return e
}

// privateNames are the names that may stand for private addresses: those listed, and those that the administrator
// named as controllers, which are mostly on the LAN.
func privateNames(cfg configs.Config) []string {
	out := append([]string{}, cfg.DNS.PrivateNames...)
	for _, m := range []map[string][]configs.Host{cfg.Classes.Controllers, cfg.Classes.MyControllers} {
		for _, list := range m {
			for _, h := range list {
				if h.Name != "" {
					out = append(out, h.Name)
				}
			}
		}
	}
	return out
}

// lanFacts reads the LAN interfaces. One that is not there yet stays as it was last seen, or as an interface without
// addresses: its name is in the rules, so that it is restricted the moment it appears.
func lanFacts(rtnl *kernel.Host, names []string, f kernel.Features, last []enforcer.LANInterface) (lan []enforcer.LANInterface, missing []string) {
	for _, name := range names {
		l := enforcer.LANInterface{Name: name}
		for _, old := range last {
			if old.Name == name {
				l = old
			}
		}
		if i, err := rtnl.Interface(name); err != nil {
			missing = append(missing, name)
		} else {
			l.Bridge, l.Tagged, l.Prefixes = i.IsBridge && f.Bridge, i.Tagged, i.Prefixes
		}
		lan = append(lan, l)
	}
	return lan, missing
}

// hostAddrs are the addresses of all interfaces. Where they cannot be read, those of the LAN are known all the same.
func hostAddrs() map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all[p.Addr()] = true
		}
	}
	return all
}

// resolvers are asked by us: those configured, else this host's own addresses on the LAN, where the devices ask too
// (R9726-3.1-a).
func resolvers(cfg configs.Config, lan []enforcer.LANInterface) []netip.Addr {
	if len(cfg.DNS.Resolvers) > 0 {
		return cfg.DNS.Resolvers
	}
	var out []netip.Addr
	for _, l := range lan {
		for _, p := range l.Prefixes {
			if !p.Addr().IsLinkLocalUnicast() {
				out = append(out, p.Addr())
			}
		}
	}
	return append(out, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}
