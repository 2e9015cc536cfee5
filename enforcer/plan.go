package enforcer

import (
	"log/slog"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Plan gives the ruleset for one device with a profile, as the engine would make it: same judgement, same compiler.
func Plan(cfg Config, site Site, m Member, profile mud.Profile, observe bool) Ruleset {
	d := &Device{MAC: m.MAC, URL: profile.URL, Addrs: m.Addrs, Approved: "plan", Trusted: true} // as once it is enforced
	if observe {
		d.Mode = "observe"
	}
	e := New(cfg, site, State{Devices: []*Device{d}}, Deps{Kernel: &Memory{}, Names: NewNames(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	e.profiles[profile.URL] = &profileState{doc: &Verified{URL: profile.URL, SHA256: "plan", Profile: profile}}
	return e.build(map[dhcp.MAC]*Compiled{d.MAC: e.compile(e.judge(d).Policy)})
}
