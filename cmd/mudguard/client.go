package main

import (
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/url"
	"strings"

	"mudguard/dhcp"
	"mudguard/web"
)

const defaultSocket = "/run/mudguard/mudguard.sock"

// socketFlag defines --socket.
func (c *cli) socketFlag(fs *flag.FlagSet) *string {
	path := c.env("MUDGUARD_SOCKET")
	if path == "" {
		path = defaultSocket
	}
	return fs.String("socket", path, "the daemon's socket")
}

// call is a command that asks the daemon.
type call struct {
	*cli
	client *web.Client
	json   bool
	watch  bool
	pos    []string
}

// asks reads the arguments of a command that asks the daemon. code is negative where the command is to go on.
func (c *cli) asks(fs *flag.FlagSet, args []string, least, most int) (k call, code int) {
	socket := c.socketFlag(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	pos, code := c.parse(fs, args, least, most)
	if code >= 0 {
		return call{}, code
	}
	return call{cli: c, client: web.NewClient(*socket), json: *asJSON, pos: pos}, -1
}

// show asks for something, prints it as JSON or as words by text, and gives the exit code.
func (k call) show(path string, query url.Values, into any, text func()) int {
	if k.watch {
		return k.watching(path, query, into, text)
	}
	reply, err := k.client.Get(k.ctx, path, query)
	if err != nil {
		return k.failed(err)
	}
	if err := json.Unmarshal(reply.JSON, into); err != nil {
		return k.failed(err)
	}
	if k.json {
		k.printJSON(reply.JSON)
	} else {
		text()
	}
	return exitOK
}

// failed reports an error of the daemon, and gives the exit code for it.
func (c *cli) failed(err error) int {
	c.complain("%v", err)
	if _, ok := errors.AsType[*web.UnreachableError](err); ok {
		return exitUnreachable
	}
	r, ok := errors.AsType[*web.ReplyError](err)
	if ok && (r.Code == http.StatusBadRequest || r.Code == http.StatusNotFound) {
		return exitUsage
	}
	return exitNo
}

// devicePath is where the API has a device.
func devicePath(mac dhcp.MAC, more ...string) string {
	return strings.Join(append([]string{"/api/v1/devices/" + mac.String()}, more...), "/")
}
