package enforcer

import (
	"cmp"
	"fmt"
	"strings"

	"mudguard/dhcp"
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
	what := cmp.Or(describeProto(m), "everything")
	if m.RemotePort.Set {
		what += "/" + describePorts(m.RemotePort)
	}
	if m.LocalPort.Set {
		what += " at its port " + describePorts(m.LocalPort)
	}
	if m.Family != mud.FamilyAny {
		what += fmt.Sprintf(" over IPv%d", m.Family)
	}
	who := []string{"anyone"}
	if len(m.Remotes) > 0 {
		who = nil
	}
	for _, r := range m.Remotes {
		who = append(who, describeRemote(r))
	}
	what += " with " + strings.Join(who, " that is also ")
	if m.Group.IsValid() {
		what += " to the group " + m.Group.String()
	}
	if conditions := describeHead(m); len(conditions) > 0 {
		what += " if " + strings.Join(conditions, " and ")
	}
	if strings.HasPrefix(a.Path, exceptionPath) {
		what += " (the administrator's exception)"
	}
	return what
}

// describeProto names the protocol that a match is about, "" where it is about all.
func describeProto(m mud.Match) string {
	what := ""
	switch {
	case m.EtherType != nil:
		what = "frames of type " + etherTypeName(*m.EtherType)
	case m.Protocol != nil:
		what = protoName(*m.Protocol)
	}
	if m.ICMPType != nil {
		what += fmt.Sprintf(" type %d", *m.ICMPType)
	}
	if m.ICMPCode != nil {
		what += fmt.Sprintf(" code %d", *m.ICMPCode)
	}
	return what
}

// parts fills in what the words about a match are made of.
func (v *ACEView) parts(m mud.Match) {
	v.Proto, v.Family, v.If = describeProto(m), int(m.Family), describeHead(m)
	for _, r := range m.Remotes {
		v.Peers = append(v.Peers, describeRemote(r))
	}
	if m.RemotePort.Set {
		v.Port = describePorts(m.RemotePort)
	}
	if m.LocalPort.Set {
		v.LocalPort = describePorts(m.LocalPort)
	}
}

// describeHead puts conditions on headers into words.
func describeHead(m mud.Match) []string {
	var out []string
	for _, mac := range []struct {
		whose string
		match mud.MACMatch
	}{{"the other side's", m.RemoteMAC}, {"its own", m.LocalMAC}} {
		switch addr := dhcp.MAC(mac.match.Addr).String(); dhcp.MAC(mac.match.Mask) {
		case dhcp.MAC{}:
		case wholeMAC:
			out = append(out, mac.whose+" Ethernet address is "+addr)
		default:
			out = append(out, mac.whose+" Ethernet address is "+addr+" under the mask "+dhcp.MAC(mac.match.Mask).String())
		}
	}
	for _, f := range m.Fields {
		out = append(out, describeField(f))
	}
	return out
}

func describeField(m mud.FieldMatch) string {
	name := map[mud.Field]string{mud.FieldDSCP: "DSCP", mud.FieldECN: "ECN", mud.FieldLength: "the IP length", mud.FieldTTL: "TTL",
		mud.FieldIHL: "the IP header length", mud.FieldIPFlags: "IP flags", mud.FieldOffset: "the fragment offset",
		mud.FieldIdentification: "the IP identification", mud.FieldFlowLabel: "the flow label", mud.FieldTCPSequence: "the TCP sequence number",
		mud.FieldTCPAcknowledgement: "the TCP acknowledgement number", mud.FieldTCPDataOffset: "the TCP data offset",
		mud.FieldTCPReserved: "the reserved TCP bits", mud.FieldTCPFlags: "TCP flags", mud.FieldTCPWindow: "the TCP window",
		mud.FieldTCPUrgent: "the urgent pointer", mud.FieldTCPOptions: "the TCP options", mud.FieldUDPLength: "the UDP length",
		mud.FieldICMPRest: "the rest of the ICMP header"}[m.Field]
	switch m.Field {
	case mud.FieldTCPOptions:
		return fmt.Sprintf("%s are %x", name, m.Bytes)
	case mud.FieldICMPRest:
		return fmt.Sprintf("%s begins with %x", name, m.Bytes)
	case mud.FieldIPFlags:
		return describeFlags(name, m, "more-fragments", "don't-fragment", "reserved")
	case mud.FieldTCPFlags:
		return describeFlags(name, m, "fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")
	}
	return fmt.Sprintf("%s is %d", name, m.Value)
}

// describeFlags says "are" where exactly these are set, and "have" where others may be too. The names begin at the lowest bit.
func describeFlags(what string, m mud.FieldMatch, names ...string) string {
	var set []string
	for i, n := range names {
		if m.Value>>i&1 != 0 {
			set = append(set, n)
		}
	}
	if len(set) == 0 {
		set = []string{"none"}
	}
	return what + pick(m.Mask == m.Value, " have ", " are ") + strings.Join(set, " ")
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
