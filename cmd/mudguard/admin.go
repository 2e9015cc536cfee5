package main

import (
	"encoding/json"
	"flag"
	"fmt"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/mud"
	"mudguard/web"
)

// orderCmd gives an order about a device: approve, hold and so on.
func (c *cli) orderCmd(name string, args []string) int {
	return c.steer(newFlags(name), args, func(k call, mac dhcp.MAC) (web.Reply, error) {
		return k.client.Post(c.ctx, devicePath(mac, name), nil)
	})
}

// assignCmd gives a device a MUD URL by hand, or the one on its sticker (RFC 9238) or in its certificate (RFC 8520 section 11).
func (c *cli) assignCmd(args []string) int {
	fs := newFlags("assign")
	code := fs.String("qr", "", "text of a QR code")
	cert := fs.String("cert", "", "certificate `file`")
	k, exit := c.asks(fs, args, 0, 2)
	if exit >= 0 {
		return exit
	}
	var mac string
	var body web.Assignment
	var err error
	switch n := len(k.pos); {
	case *code != "" && *cert != "":
		return c.misuse("assign", "--qr and --cert exclude each other")
	case *code != "" && n <= 1:
		mac, body, err = c.readQR(*code)
	case *cert != "" && n == 1:
		body, err = c.readCertificate(*cert)
	case *code == "" && *cert == "" && n == 2:
		body, err = readURL(k.pos[1])
	default:
		return c.misuse("assign", "something is missing or too much")
	}
	if err != nil {
		return c.fail("%v", err)
	}
	if len(k.pos) > 0 {
		mac = c.preferred(k.pos[0], mac)
	}
	return k.change("assign", mac, func(mac dhcp.MAC) (web.Reply, error) { return k.client.Post(c.ctx, devicePath(mac, "assign"), body) })
}

// readURL checks a URL that was typed; "" takes the device's away.
func readURL(s string) (web.Assignment, error) {
	if s != "" {
		if _, err := mud.ParseURL(s); err != nil {
			return web.Assignment{}, err
		}
	}
	return web.Assignment{URL: &s}, nil
}

// readQR reads the text of a QR code, from the standard input for "-".
func (c *cli) readQR(s string) (mac string, body web.Assignment, err error) {
	if s == "-" {
		raw, err := c.readFile(s)
		if err != nil {
			return "", body, err
		}
		s = string(raw)
	}
	q, err := mud.ParseQR(s)
	if err != nil {
		return "", body, fmt.Errorf("the QR code: %w", err)
	}
	c.remarks("the QR code", q.Remarks)
	u := q.URL.String()
	return q.MAC, web.Assignment{URL: &u, Source: enforcer.SourceQR, QR: &web.QRText{Company: q.Company, Product: q.Product, Model: q.Model}}, nil
}

func (c *cli) readCertificate(name string) (body web.Assignment, err error) {
	raw, err := c.readFile(name)
	if err != nil {
		return body, err
	}
	info, err := mud.ParseCertificate(raw)
	switch {
	case err != nil:
		return body, err
	case info.URL.IsZero():
		return body, fmt.Errorf("the certificate of %s names no MUD URL (id-pe-mud-url)", info.Subject)
	}
	c.remarks("the certificate", info.Remarks)
	u := info.URL.String()
	return web.Assignment{URL: &u, Source: enforcer.SourceX509, Mudsigner: info.Signer}, nil
}

func (c *cli) remarks(of string, remarks []string) {
	for _, r := range remarks {
		c.complain("%s: %s", of, r)
	}
}

// preferred is the MAC that was typed, with a word about a sticker that has another: a device may have two (T-38).
func (c *cli) preferred(typed, sticker string) string {
	a, err := dhcp.ParseMAC(typed)
	b, err2 := dhcp.ParseMAC(sticker)
	if err == nil && err2 == nil && a != b {
		c.complain("the QR code is for the MAC %s; %s is taken, as you wrote it", b, a)
	}
	return typed
}

// steer is a command that changes something about a device, and says how it is then.
func (c *cli) steer(fs *flag.FlagSet, args []string, ask func(call, dhcp.MAC) (web.Reply, error)) int {
	k, code := c.asks(fs, args, 1, 1)
	if code >= 0 {
		return code
	}
	return k.change(fs.Name(), k.pos[0], func(mac dhcp.MAC) (web.Reply, error) { return ask(k, mac) })
}

// change asks for a change of a device, and says how it is then.
func (k call) change(name, device string, ask func(dhcp.MAC) (web.Reply, error)) int {
	mac, err := dhcp.ParseMAC(device)
	if err != nil {
		return k.misuse(name, err.Error())
	}
	reply, err := ask(mac)
	if err != nil {
		return k.failed(err)
	}
	if k.json {
		k.printJSON(reply.JSON)
		return exitOK
	}
	var d struct {
		enforcer.DeviceView
		Forgotten bool `json:"forgotten"`
	}
	if err := json.Unmarshal(reply.JSON, &d); err != nil {
		return k.failed(err)
	}
	if d.Forgotten {
		k.say("%s is forgotten; if it speaks again it is new", mac)
	} else {
		k.say("%s (%s) is %s: %s", d.Label, d.MAC, d.State, d.Reason)
	}
	return exitOK
}
