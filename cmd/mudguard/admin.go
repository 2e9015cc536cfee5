package main

import (
	"encoding/json"
	"flag"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
	"mudguard/web"
)

// orderCmd gives an order about a device: approve, hold and so on.
func (c *cli) orderCmd(name string, args []string) int {
	return c.steer(newFlags(name), args, 1, func(k call, mac dhcp.MAC) (web.Reply, error) {
		return k.client.Post(c.ctx, devicePath(mac, name), nil)
	})
}

// assignCmd gives a device a MUD URL by hand.
func (c *cli) assignCmd(args []string) int {
	return c.steer(newFlags("assign"), args, 2, func(k call, mac dhcp.MAC) (web.Reply, error) {
		if s := k.pos[1]; s != "" {
			if _, err := mud.ParseURL(s); err != nil {
				return web.Reply{}, &web.ReplyError{Code: 400, Message: err.Error()}
			}
		}
		return k.client.Post(c.ctx, devicePath(mac, "assign"), map[string]string{"url": k.pos[1]})
	})
}

// steer is a command that changes something about a device, and says how it is then.
func (c *cli) steer(fs *flag.FlagSet, args []string, n int, ask func(call, dhcp.MAC) (web.Reply, error)) int {
	k, code := c.asks(fs, args, n, n)
	if code >= 0 {
		return code
	}
	mac, err := dhcp.ParseMAC(k.pos[0])
	if err != nil {
		return c.misuse(fs.Name(), err.Error())
	}
	reply, err := ask(k, mac)
	if err != nil {
		return c.failed(err)
	}
	if k.json {
		c.printJSON(reply.JSON)
		return exitOK
	}
	var d struct {
		enforcer.DeviceView
		Forgotten bool `json:"forgotten"`
	}
	if err := json.Unmarshal(reply.JSON, &d); err != nil {
		return c.failed(err)
	}
	if d.Forgotten {
		c.say("%s is forgotten; if it speaks again it is new", mac)
	} else {
		c.say("%s (%s) is %s: %s", d.Label, d.MAC, d.State, d.Reason)
	}
	return exitOK
}
