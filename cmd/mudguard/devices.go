package main

import (
	"net/netip"
	"strings"

	"mudguard/enforcer"
)

// devicesCmd lists the devices.
func (c *cli) devicesCmd(args []string) int {
	k, code := c.watches(newFlags("devices"), args, 0, 0)
	if code >= 0 {
		return code
	}
	var list []enforcer.DeviceView
	return k.show("/api/v1/devices", nil, &list, func() { c.printDevices(list) })
}

func (c *cli) printDevices(list []enforcer.DeviceView) {
	if len(list) == 0 {
		c.say("No device was seen yet.")
		return
	}
	const state = 1
	rows := [][]string{}
	for _, d := range list {
		rows = append(rows, []string{d.MAC.String(), string(d.State), d.Label, addresses(d.Addresses, 2), d.Reason})
	}
	c.table([]string{"MAC", "STATE", "DEVICE", "ADDRESSES", "WHY"}, rows, func(col int, cell string) tone {
		if col != state {
			return plain
		}
		return stateTone(enforcer.Status(cell))
	})
}

func stateTone(s enforcer.Status) tone {
	switch s {
	case enforcer.StatusEnforced:
		return good
	case enforcer.StatusHeld, enforcer.StatusObserved, enforcer.StatusFetching, enforcer.StatusPaused:
		return poor
	case enforcer.StatusFailed, enforcer.StatusQuarantined:
		return bad
	}
	return plain
}

// addresses lists at most that many.
func addresses(list []netip.Addr, most int) string {
	var parts []string
	for i, a := range list {
		if i == most {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, a.String())
	}
	return strings.Join(parts, " ")
}
