package main

import (
	"fmt"
	"strings"

	"mudguard/enforcer"
	"mudguard/mud"
	"mudguard/web"
)

// statusCmd shows how the daemon is.
func (c *cli) statusCmd(args []string) int {
	k, code := c.watches(newFlags("status"), args, 0, 0)
	if code >= 0 {
		return code
	}
	var s web.Status
	return k.show("/api/v1/status", nil, &s, func() { c.printStatus(s) })
}

func (c *cli) printStatus(s web.Status) {
	c.say("mudguard %s, running since %s", s.Version, c.when(s.Started))
	c.pairs(
		"devices", fmt.Sprintf("%d, of which held: %d", s.Devices, s.Held),
		"kernel", "DNS answers are held by: "+orDash(s.Kernel.Queue)+"; replies between LAN hosts are known by: "+orDash(s.Kernel.Replies),
		"tables", strings.Join(s.Tables, ", "),
		"pages", webText(s.Web),
		"repairs", c.repairs(s))
	rows := [][]string{}
	for _, src := range s.Sources {
		rows = append(rows, []string{src.Name, c.when(src.LastSeen), src.State})
	}
	fmt.Fprintln(c.out)
	c.table([]string{"SOURCE", "LAST HEARD", "STATE"}, rows, nil)
	fmt.Fprintln(c.out)
	if len(s.Alarms) > 0 {
		c.say("Alarms of the last day:")
		c.printAlarms(s.Alarms)
		fmt.Fprintln(c.out)
	}
	if len(s.Gaps) == 0 {
		c.say("Everything is enforced as it should be.")
		return
	}
	c.say("Not enforced here, or not as well as it should be:")
	for _, g := range s.Gaps {
		c.say("  - %s: %s", g.What, g.Why)
	}
}

func webText(w web.WebStatus) string {
	text := w.State
	if w.URL != "" {
		text = w.URL + " (" + w.State + ")"
	}
	if w.Setup && w.URL != "" {
		text += "; no password is set yet: mudguard password, or open the pages and give the token in " + w.Token
	}
	return text
}

func (c *cli) printAlarms(list []enforcer.Alarm) {
	for _, a := range list {
		times := ""
		if a.Count > 1 {
			times = fmt.Sprintf(" (%d times since %s)", a.Count, c.when(a.First))
		}
		c.say("  - %s %s: %s%s", c.when(a.Last), a.What, a.Text, times)
	}
}

func (c *cli) repairs(s web.Status) string {
	text := fmt.Sprintf("%d (our tables were changed by somebody else and put right)", s.Repairs)
	if last := s.LastRepair; last != nil {
		text += fmt.Sprintf(", last %s: %s", c.when(last.At), mud.Clean(last.What, 500))
	}
	return text
}
