package main

import (
	"fmt"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// deviceCmd shows one device.
func (c *cli) deviceCmd(args []string) int {
	k, code := c.watches(newFlags("device"), args, 1, 1)
	if code >= 0 {
		return code
	}
	mac, err := dhcp.ParseMAC(k.pos[0])
	if err != nil {
		return c.misuse("device", err.Error())
	}
	var d enforcer.DeviceView
	return k.show(devicePath(mac), nil, &d, func() { c.printDevice(d) })
}

func (c *cli) printDevice(d enforcer.DeviceView) {
	c.say("%s (%s)", d.Label, d.MAC)
	url := d.URL
	if url != "" {
		url += " (from " + orDash(d.Source) + ")"
	}
	pending := d.PendingURL
	if pending != "" {
		pending += " (announced later; it waits for: mudguard approve " + d.MAC.String() + ")"
	}
	c.pairs("state", string(d.State)+": "+d.Reason, "policy", policyText(d), "MUD URL", url, "other URL", pending,
		"addresses", addresses(d.Addresses, len(d.Addresses)), "hostname", d.Hostname, "vendor", d.Vendor,
		"first seen", c.when(d.FirstSeen), "last seen", c.when(d.LastSeen))
	c.printProfile(d.Profile)
	c.printACEs(d.ACEs)
	c.printNames(d.Names)
	c.section("Allowed besides its profile, by this network", d.Infrastructure)
	var problems []string
	for _, p := range d.Problems {
		problems = append(problems, p.String())
	}
	c.section("Problems of the profile", problems)
	if len(d.Alarms) > 0 {
		fmt.Fprintln(c.out)
		c.say("Alarms:")
		c.printAlarms(d.Alarms)
	}
	c.printDenials(d.Denials)
}

func policyText(d enforcer.DeviceView) string {
	if d.Policy == "" {
		return "none: it is not restricted"
	}
	return "chains " + d.Policy
}

func (c *cli) printProfile(p *enforcer.ProfileView) {
	if p == nil {
		return
	}
	signer := p.Signer
	if signer == "" {
		signer = "nobody"
	}
	name := p.MfgName
	if p.ModelName != "" {
		name += " " + p.ModelName
	}
	supported := ""
	if !p.Supported {
		supported = "the manufacturer no longer supports this device"
	}
	fmt.Fprintln(c.out)
	c.say("Profile:")
	c.pairs("is", p.SystemInfo, "of", name, "updated", c.when(p.LastUpdate), "refresh", c.when(p.NextRefresh), "signed by", signer,
		"note", supported, "allows", p.Allows)
}

func (c *cli) printACEs(list []enforcer.ACEView) {
	if len(list) == 0 {
		return
	}
	rows := [][]string{}
	for _, a := range list {
		rows = append(rows, []string{a.Direction, a.Action, a.Text, fmt.Sprint(a.Packets), fmt.Sprint(a.Bytes), a.ACL + "/" + a.ACE, a.Decision})
	}
	fmt.Fprintln(c.out)
	c.table([]string{"DIRECTION", "ACTION", "WHAT", "FLOWS", "BYTES", "ACL/ACE", "DECISION"}, rows, nil)
}

func (c *cli) printNames(list []enforcer.NameView) {
	if len(list) == 0 {
		return
	}
	rows := [][]string{}
	for _, n := range list {
		text := addresses(n.Addresses, len(n.Addresses))
		if text == "" {
			text = "none known yet"
		}
		rows = append(rows, []string{n.Name, text})
	}
	fmt.Fprintln(c.out)
	c.table([]string{"NAME", "OPEN ADDRESSES"}, rows, nil)
}

func (c *cli) section(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(c.out)
	c.say("%s:", title)
	for _, l := range lines {
		c.say("  - %s", l)
	}
}

// latest is how many denials are shown with a device.
const latest = 20

func (c *cli) printDenials(list []enforcer.Denial) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(c.out)
	c.say("Denied, or what would have been:")
	if more := len(list) - latest; more > 0 {
		c.say("(%d older ones: mudguard denials --device %s)", more, list[0].MAC)
		list = list[more:]
	}
	for _, d := range list {
		c.printDenial(d)
	}
}
