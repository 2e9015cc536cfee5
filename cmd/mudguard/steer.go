package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/web"
)

// pauseCmd takes a device's policy off for a while.
func (c *cli) pauseCmd(args []string) int {
	k, code := c.asks(newFlags("pause"), args, 2, 2)
	if code >= 0 {
		return code
	}
	return k.change("pause", k.pos[0], func(mac dhcp.MAC) (web.Reply, error) {
		return k.client.Post(c.ctx, devicePath(mac, "pause"), map[string]string{"for": k.pos[1]})
	})
}

// nameCmd gives a device a name.
func (c *cli) nameCmd(args []string) int {
	k, code := c.asks(newFlags("name"), args, 2, 2)
	if code >= 0 {
		return code
	}
	return k.change("name", k.pos[0], func(mac dhcp.MAC) (web.Reply, error) {
		return k.client.Put(c.ctx, devicePath(mac, "name"), map[string]string{"name": k.pos[1]})
	})
}

// allowCmd makes an exception for a device, or says what one would open.
func (c *cli) allowCmd(args []string) int {
	fs := newFlags("allow")
	order := web.ExceptionOrder{}
	fs.StringVar(&order.For, "for", "24h", "how `long`: 1h, 24h, 168h or another time, or always")
	fs.StringVar(&order.Note, "note", "", "why")
	fs.BoolVar(&order.Preview, "preview", false, "say what it would open, and change nothing")
	k, code := c.asks(fs, args, 4, 5)
	if code >= 0 {
		return code
	}
	mac, err := dhcp.ParseMAC(k.pos[0])
	if err != nil {
		return c.misuse("allow", err.Error())
	}
	order.Direction, order.Proto, order.Remote = k.pos[1], strings.ToLower(k.pos[2]), k.pos[3]
	if len(k.pos) == 5 {
		port, err := strconv.ParseUint(k.pos[4], 10, 16)
		if err != nil || port == 0 {
			return c.misuse("allow", fmt.Sprintf("%q is no port", k.pos[4]))
		}
		order.Port = uint16(port)
	}
	reply, err := k.client.Post(c.ctx, devicePath(mac, "exceptions"), order)
	if err != nil {
		return k.failed(err)
	}
	if k.json {
		k.printJSON(reply.JSON)
		return exitOK
	}
	var v enforcer.ExceptionView
	if err := json.Unmarshal(reply.JSON, &v); err != nil {
		return k.failed(err)
	}
	if order.Preview {
		k.say("%s. Nothing was changed.", v.Text)
	} else {
		k.say("%s. To take it back: mudguard revoke %s %s", v.Text, mac, v.ID)
	}
	return exitOK
}

// revokeCmd takes an exception back.
func (c *cli) revokeCmd(args []string) int {
	k, code := c.asks(newFlags("revoke"), args, 2, 2)
	if code >= 0 {
		return code
	}
	return k.change("revoke", k.pos[0], func(mac dhcp.MAC) (web.Reply, error) {
		return k.client.Delete(c.ctx, devicePath(mac, "exceptions", url.PathEscape(k.pos[1])))
	})
}

// exceptionsCmd lists what a device is allowed beyond its manufacturer's policy.
func (c *cli) exceptionsCmd(args []string) int {
	k, code := c.asks(newFlags("exceptions"), args, 1, 1)
	if code >= 0 {
		return code
	}
	mac, err := dhcp.ParseMAC(k.pos[0])
	if err != nil {
		return c.misuse("exceptions", err.Error())
	}
	var list []enforcer.ExceptionView
	return k.show(devicePath(mac, "exceptions"), nil, &list, func() {
		rows := [][]string{}
		for _, x := range list {
			rows = append(rows, []string{x.ID, x.Direction, x.Proto, x.Remote, portText(x.Port), until(x.Until), x.By, x.Note})
		}
		if len(rows) == 0 {
			k.say("%s has no exceptions.", mac)
			return
		}
		k.table([]string{"ID", "OPENED", "PROTO", "OTHER SIDE", "PORT", "UNTIL", "BY", "NOTE"}, rows, nil)
	})
}

func portText(p uint16) string {
	if p == 0 {
		return "any"
	}
	return strconv.Itoa(int(p))
}

func until(t time.Time) string {
	if t.IsZero() {
		return "revoked"
	}
	return t.UTC().Format(time.RFC3339)
}

// attemptsCmd lists denials, equal ones together.
func (c *cli) attemptsCmd(args []string) int {
	fs := newFlags("attempts")
	device := fs.String("device", "", "of one device")
	k, code := c.asks(fs, args, 0, 0)
	if code >= 0 {
		return code
	}
	query := url.Values{}
	if err := ofDevice(query, *device); err != nil {
		return c.misuse("attempts", err.Error())
	}
	var list []enforcer.Attempt
	return k.show("/api/v1/attempts", query, &list, func() {
		if len(list) == 0 {
			k.say("Nothing was denied yet.")
			return
		}
		k.printAttempts(list)
	})
}

func (k call) printAttempts(list []enforcer.Attempt) {
	rows := [][]string{}
	for _, a := range list {
		remote := a.Name
		if remote == "" {
			remote = a.Remote.String()
		}
		rows = append(rows, []string{a.MAC.String(), a.Device, a.Direction, a.Proto, remote, portText(a.Port), strconv.FormatUint(a.Count, 10),
			k.when(a.Last), a.Reason})
	}
	k.table([]string{"MAC", "DEVICE", "WAY", "PROTO", "OTHER SIDE", "PORT", "COUNT", "LAST", "WHY"}, rows, nil)
}

// reportCmd says what enforcement would deny, of one device or of all.
func (c *cli) reportCmd(args []string) int {
	k, code := c.asks(newFlags("report"), args, 0, 1)
	if code >= 0 {
		return code
	}
	path := "/api/v1/report"
	if len(k.pos) == 1 {
		mac, err := dhcp.ParseMAC(k.pos[0])
		if err != nil {
			return c.misuse("report", err.Error())
		}
		path = devicePath(mac, "report")
	}
	var r enforcer.Report
	return k.show(path, nil, &r, func() {
		k.say("%s.", r.Text)
		if len(r.Flows) > 0 {
			k.printAttempts(r.Flows)
			k.say("To allow one: mudguard allow MAC out|in PROTO NAME_OR_ADDRESS PORT --preview")
		}
	})
}

// waitingCmd lists what waits for approval.
func (c *cli) waitingCmd(args []string) int {
	k, code := c.asks(newFlags("waiting"), args, 0, 0)
	if code >= 0 {
		return code
	}
	var list []enforcer.Waiting
	return k.show("/api/v1/waiting", nil, &list, func() {
		for _, w := range list {
			k.say("%s (%s): %s", w.Label, w.MAC, w.Reason)
			k.pairs("kind", w.Kind, "url", w.URL, "signer", w.Signer, "allows", w.Allows, "newly", strings.Join(w.NewlyAllows, "; "),
				"no longer", strings.Join(w.NoLongerAllows, "; "))
		}
		if len(list) == 0 {
			k.say("Nothing waits for approval.")
		}
	})
}
