package enforcer

import (
	"fmt"
	"strings"

	"mudguard/mud"
)

// describeProfile puts what a profile accepts into a sentence, shortened where it is long.
func describeProfile(p *mud.Profile) string {
	const most = 6
	var parts []string
	seen := map[string]bool{}
	for _, dir := range []struct {
		aces []*mud.ACE
		in   bool
	}{{aces(p.FromDevice), false}, {unmirrored(aces(p.ToDevice), aces(p.FromDevice)), true}} {
		for _, a := range dir.aces {
			if a.Action != mud.Accept || !dir.in && a.Match.Initiated == mud.ToDevice || dir.in && a.Match.Initiated == mud.FromDevice {
				continue
			}
			text := describeACE(a)
			if dir.in {
				text = "being reached: " + text
			}
			if !seen[text] {
				seen[text] = true
				parts = append(parts, text)
			}
		}
	}
	switch {
	case len(parts) == 0:
		return "nothing"
	case len(parts) > most:
		parts = append(parts[:most], fmt.Sprintf("and %d more", len(parts)-most))
	}
	return strings.Join(parts, ", ")
}

// describeACE puts one ACE into a few words: "tcp/443 with cloud.example".
func describeACE(a *mud.ACE) string {
	m := a.Match
	what := "everything"
	if m.Protocol != nil {
		what = protoName(*m.Protocol)
	}
	if m.RemotePort.Set {
		what += "/" + describePorts(m.RemotePort)
	}
	if m.LocalPort.Set {
		what += " at its port " + describePorts(m.LocalPort)
	}
	if m.Family != mud.FamilyAny {
		what += fmt.Sprintf(" over IPv%d", m.Family)
	}
	if len(m.Remotes) == 0 {
		return what + " with anyone"
	}
	var who []string
	for _, r := range m.Remotes {
		who = append(who, describeRemote(r))
	}
	return what + " with " + strings.Join(who, " that is also ")
}

func describePorts(p mud.Ports) string {
	s := fmt.Sprint(p.Lo)
	if p.Hi != p.Lo {
		s = fmt.Sprintf("%d-%d", p.Lo, p.Hi)
	}
	return pick(p.Not, "all but ", "") + s
}

func describeRemote(r mud.Remote) string {
	switch r.Kind {
	case mud.RemoteName:
		return clean(r.Value)
	case mud.RemotePrefix:
		if r.Prefix.IsSingleIP() {
			return r.Prefix.Addr().String()
		}
		return r.Prefix.String()
	case mud.RemoteLocalNetworks:
		return "the local network"
	case mud.RemoteMyController:
		return "its controller"
	case mud.RemoteSameManufacturer:
		return "devices of its manufacturer"
	case mud.RemoteManufacturer:
		return "devices of " + clean(r.Value)
	case mud.RemoteModel:
		return "devices with profile " + clean(r.Value)
	}
	switch r.Value {
	case ClassDNS:
		return "this network's DNS"
	case ClassNTP:
		return "this network's NTP"
	}
	return "controllers " + clean(r.Value)
}
