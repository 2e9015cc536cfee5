package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"mudguard/configs"
	"mudguard/web"
)

// check is one thing that was looked at, and what to do about it where it is not as it should be.
type check struct {
	Name  string `json:"name"`
	State health `json:"state"`
	Found string `json:"found"`
	Do    string `json:"do,omitempty"`
}

// health is what a check came to.
type health string

const (
	fine    health = "ok"
	warning health = "warning"
	broken  health = "broken"
)

// doctorCmd looks at everything that must be right, and says what to do where it is not.
func (c *cli) doctorCmd(args []string) int {
	flags := newFlags("doctor")
	config := flags.String("config", "", "configuration `file`")
	k, code := c.asks(flags, args, 0, 0)
	if code >= 0 {
		return code
	}
	checks := []check{checkConfig(*config)}
	reply, err := k.client.Get(k.ctx, "/api/v1/status", nil)
	var s web.Status
	if err == nil {
		err = json.Unmarshal(reply.JSON, &s)
	}
	if err != nil {
		checks = append(checks, check{"daemon", broken, err.Error(), "start it (systemctl start mudguard, /etc/init.d/mudguard start) and look at its log"})
	} else {
		checks = append(checks, diagnose(s)...)
	}
	code = k.report(checks)
	if _, ok := errors.AsType[*web.UnreachableError](err); ok {
		return exitUnreachable
	}
	return code
}

// checkConfig reads a configuration file: the one given, or the first of where packages have it.
func checkConfig(path string) check {
	places := []string{path}
	if path == "" {
		places = []string{"/etc/mudguard/mudguard.yaml", "/etc/mudguard.yaml", "/var/etc/mudguard.yaml"}
	}
	for _, place := range places {
		_, err := configs.Load(place)
		switch {
		case err == nil:
			return check{Name: "configuration", State: fine, Found: place}
		case path == "" && errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission) || errors.Is(err, os.ErrNotExist):
			return check{"configuration", warning, err.Error(), "say which file it is with --config, as a user who may read it"}
		default:
			return check{"configuration", broken, err.Error(), "put that right; the comments in the reference file say what each key takes"}
		}
	}
	return check{"configuration", warning, "none of " + strings.Join(places, ", ") + " is there", "say which file it is with --config"}
}

// diagnose looks at what the daemon tells of itself.
func diagnose(s web.Status) []check {
	out := []check{{Name: "daemon", State: fine, Found: "version " + s.Version + fmt.Sprintf(" with %d devices", s.Devices)}}
	add := func(name string, ok bool, found, do string) {
		x := check{Name: name, State: fine, Found: found}
		if !ok {
			x.State, x.Do = warning, do
		}
		out = append(out, x)
	}
	add("DNS answers", s.Kernel.Queue != "none", "held by: "+orDash(s.Kernel.Queue), "load nft_queue (OpenWrt: kmod-nft-queue), then restart mudguard")
	add("spoofed sources", s.Kernel.Fib, map[bool]string{true: "are seen", false: "cannot be told"}[s.Kernel.Fib], "load nft_fib_inet (OpenWrt: kmod-nft-fib)")
	for _, src := range s.Sources {
		switch {
		case src.State != "listening":
			add(src.Name, false, src.State, "is the interface of lan.interfaces the one that your devices are on?")
		case src.LastSeen.IsZero():
			add(src.Name, false, "listening, but nothing was heard yet", "restart a device; if that stays so, your devices are on another interface")
		default:
			add(src.Name, true, "listening", "")
		}
	}
	add("other programs", s.Repairs == 0, fmt.Sprintf("our tables were changed %d times by somebody else", s.Repairs),
		"find who runs nft flush ruleset or reloads a firewall that does; nft monitor shows it. The tables were put right each time")
	add("waiting devices", s.Held == 0, fmt.Sprintf("%d wait for you", s.Held), "mudguard devices says why; mudguard approve MAC lets one in")
	for _, g := range s.Gaps {
		add(g.What, false, g.Why, remedy(g.What))
	}
	return out
}

// remedy says what can be done about a gap, by the beginning of its name.
func remedy(what string) string {
	for _, r := range [][2]string{
		{"the kernel does not have", "it is tried again each second; see the log, and nft list ruleset for what is in the way"},
		{"state is not saved", "make room on the disk of state_dir, or make it writable for mudguard"},
		{"state was not read", "see the log; devices that were under policy stay so until they announce their URL again"},
		{"new devices", "forget devices that are gone (mudguard forget MAC), or set unmanaged: block"},
		{"traffic between hosts", "make the LAN interface a bridge (OpenWrt: br-lan, kmod-nft-bridge), or separate devices by Wi-Fi client isolation"},
		{"replies between LAN hosts", "load nf_conntrack_bridge"},
		{"literal reading", "set literal: false, if this is no lab"},
		{"a name of a profile", "mudguard device MAC shows the profile and its names"},
		{"a profile is out of date", "see the log for why it cannot be fetched; mudguard import takes it from a file"},
		{"LAN interface", "is it spelt as ip link shows it? mudguard takes it as soon as it appears"},
		{"clock", "start a time service (ntpd, chrony, systemd-timesyncd)"},
		{"DNS hold", "the host is too busy; give mudguard more CPU time, or lower the load"},
		{"flow offload", "turn flow offload off, or list only ports that devices under policy do not use"},
	} {
		if strings.HasPrefix(what, r[0]) {
			return r[1]
		}
	}
	return "see mudguard status and the log"
}

// report prints checks, and gives the exit code for them.
func (k call) report(checks []check) int {
	code := exitOK
	for _, x := range checks {
		if x.State != fine {
			code = exitNo
		}
	}
	if k.json {
		k.encode(checks)
		return code
	}
	tones := map[health]tone{fine: good, warning: poor, broken: bad}
	for _, x := range checks {
		found := strings.ReplaceAll(strings.TrimSpace(x.Found), "\n", "; ")
		fmt.Fprintf(k.out, "%s  %s: %s\n", k.paint(tones[x.State], fmt.Sprintf("%-7s", x.State)), safe(x.Name), safe(found))
		if x.Do != "" {
			fmt.Fprintf(k.out, "         %s\n", safe("→ "+x.Do))
		}
	}
	if code == exitOK {
		k.say("All is as it should be.")
	}
	return code
}
