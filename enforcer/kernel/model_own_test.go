package kernel

import (
	"net/netip"
	"testing"

	"mudguard/enforcer/enforcertest"
	"mudguard/mud"
)

// ownProfiles are profiles of our own with what few published ones have: drops in either direction, entries of several kinds
// for one peer, every direction-initiated, groups and Ethernet addresses. With them the model check never is empty.
func ownProfiles(t *testing.T) []modelFile {
	t.Helper()
	type ace = enforcertest.ACE
	eq, op, span, class, group := enforcertest.Eq, enforcertest.Op, enforcertest.Range, enforcertest.Class, enforcertest.Group
	cloud := ace{Name: "cloud.example", Proto: "tcp", Remote: eq(443)}
	ntp := ace{Name: "time.example", Proto: "udp", Remote: eq(123)}
	icmp := func(n int) map[string]any { return map[string]any{"type": n} }
	drops := enforcertest.Profile{URL: enforcertest.LampURL, Model: "drops",
		From: []ace{{Drop: true, Both: true, Proto: "tcp", Remote: eq(23)}, cloud, cloud.Twin(), ntp, {Net: "198.18.0.0/25", Proto: "tcp"},
			{Both: true, Class: class("controller", mud.ClassDNS), Proto: "udp", Drop: true, Remote: eq(53)},
			{Both: true, Class: group("local-networks"), Proto: "tcp", Remote: op("neq", 80)}, {Drop: true, Both: true, Class: group("my-controller")},
			{Net: "192.168.77.0/24", Proto: "udp", Remote: eq(80)}, // not this gateway, though it is in that network
			{Name: "cloud.example", ICMP: icmp(8)}, ace{Name: "cloud.example", ICMP: icmp(128)}.Twin()},
		To: []ace{{Drop: true, Both: true, Proto: "tcp", Local: eq(24)}, cloud, ntp, {Drop: true, Name: "cloud.example", ICMP: icmp(0)},
			{Both: true, Class: group("local-networks"), Proto: "tcp", Local: span(22, 30), Initiated: "to-device"},
			{Net: "203.0.113.0/26", Proto: "tcp", Remote: op("gte", 8000)}, {Both: true, Class: group("same-manufacturer"), Proto: "udp"},
			{Drop: true, Both: true, Proto: "udp", Remote: eq(5000)}}}
	directions := enforcertest.Profile{URL: enforcertest.LampURL, Model: "directions"}
	for i, from := range []string{"", "from-device", "to-device"} {
		for j, to := range []string{"", "from-device", "to-device"} {
			a := ace{Both: true, Proto: "tcp", Remote: eq(1000 + 10*i + j), Class: group("local-networks"), Initiated: from}
			if j == 1 {
				a.Both, a.Class, a.Name = false, nil, "cloud.example"
			}
			b := a
			b.Initiated = to
			directions.From, directions.To = append(directions.From, a), append(directions.To, b)
		}
	}
	groups := enforcertest.Profile{URL: enforcertest.LampURL, Model: "groups",
		From: []ace{{Net: "239.255.255.250/32", Proto: "udp", Remote: eq(1900)}, {Net: "224.0.0.0/4", Proto: "udp", Remote: eq(5353)},
			ace{Net: "ff02::fb/128", Proto: "udp", Remote: eq(5353)}.Twin(), {Net: "192.168.77.1/32", Proto: "tcp", Remote: span(443, 444)},
			{Both: true, Class: class("controller", "urn:example:hub"), Proto: "tcp"}, {Net: "203.0.113.0/24", Proto: "tcp", Remote: eq(80)},
			{Both: true, Class: class("model", enforcertest.CamURL), Proto: "udp", Remote: op("lte", 1023)}, {Net: "192.168.0.0/16", Proto: "tcp"},
			{Both: true}, {Both: true, Class: group("my-controller")}},
		To: []ace{{Both: false, Proto: "udp", Local: eq(1900)}, {Both: true, Class: class("manufacturer", "example.org"), Proto: "tcp", Local: op("gte", 60000)},
			{Both: true, Drop: true, Proto: "udp", Local: eq(5353)}, {Both: true, Class: group("local-networks")},
			{Net: "203.0.113.0/24", Proto: "tcp", Local: eq(8443)}, {Drop: true, Both: true, Proto: "tcp", Local: eq(8444)},
			{Net: "203.0.113.0/24", Proto: "tcp", Local: span(8443, 8445)}}}
	return []modelFile{own(t, drops, nil), own(t, directions, nil), own(t, groups, func(p *mud.Profile) {
		p.ToDevice.ACEs[0].Match.Group = netip.MustParsePrefix("239.255.255.250/32") // RMX-2.3-a
		p.FromDevice.ACEs[5].Match.RemoteMAC = enforcertest.MAC(enforcertest.HostNamed(portGateway).MAC)
		p.ToDevice.ACEs[4].Match.RemoteMAC = p.FromDevice.ACEs[5].Match.RemoteMAC
		p.ToDevice.ACEs[5].Match.RemoteMAC = enforcertest.MAC(enforcertest.HostNamed("hub").MAC)
		p.FromDevice.ACEs[8].Match.EtherType, p.FromDevice.ACEs[8].Match.Family = new(uint16(0x88b5)), mud.FamilyAny
		p.FromDevice.ACEs[7].Match.RemoteMAC = enforcertest.MAC(enforcertest.HostNamed("hub").MAC)
	})}
}

func own(t *testing.T, p enforcertest.Profile, change func(*mud.Profile)) modelFile {
	t.Helper()
	read, problems, err := mud.Parse(p.JSON())
	if err != nil {
		t.Fatal(err, problems)
	}
	for _, a := range allACEs(&read) {
		if a.Refused != "" {
			t.Fatalf("%s: %s is not applied: %s", p.Model, a.Name, a.Refused)
		}
	}
	if change != nil {
		change(&read)
	}
	return modelFile{p.Model, read, problems}
}
