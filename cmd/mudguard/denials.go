package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/web"
)

// followEvery is how often --follow asks for what is new.
const followEvery = 500 * time.Millisecond

// watchedDenials is how many of the last denials --watch shows.
const watchedDenials = 20

// ofDevice asks for one device only; "" is all.
func ofDevice(query url.Values, device string) error {
	if device == "" {
		return nil
	}
	mac, err := dhcp.ParseMAC(device)
	if err == nil {
		query.Set("device", mac.String())
	}
	return err
}

// denialsCmd lists what was denied.
func (c *cli) denialsCmd(args []string) int {
	fs := newFlags("denials")
	follow := fs.Bool("follow", false, "go on with what comes")
	device := fs.String("device", "", "of one device")
	k, code := c.watches(fs, args, 0, 0)
	if code >= 0 {
		return code
	}
	query := url.Values{}
	if err := ofDevice(query, *device); err != nil {
		return c.misuse("denials", err.Error())
	}
	if *follow && k.watch {
		return c.misuse("denials", "--follow and --watch exclude each other")
	}
	if *follow {
		return k.follow(query)
	}
	var list []enforcer.Denial
	return k.show("/api/v1/denials", query, &list, func() {
		if k.watch { // what fits a screen
			list = list[max(0, len(list)-watchedDenials):]
		}
		for _, d := range list {
			c.printDenial(d)
		}
		if len(list) == 0 {
			c.say("Nothing was denied yet.")
		}
	})
}

func (c *cli) printDenial(d enforcer.Denial) {
	what := fmt.Sprintf("%-12s", "denied")
	t := bad
	if !d.Enforced {
		what, t = fmt.Sprintf("%-12s", "would deny"), poor
	}
	fmt.Fprintf(c.out, "%s  %s  %-7.7s  %s%s\n", c.when(d.Time), d.MAC, safe(d.Direction), c.paint(t, what), safe(d.Explanation))
}

// follow prints what there is and then what comes, until it is interrupted. That the daemon was started anew shows by its
// instance: the IDs begin anew too.
func (k call) follow(query url.Values) int {
	ctx, stop := signal.NotifyContext(k.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var after uint64
	var instance string
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		reply, err := k.after(ctx, query, after)
		if err == nil && instance != "" && instance != reply.Instance {
			reply, err = k.after(ctx, query, 0)
		}
		if err == nil {
			instance = reply.Instance
			after, err = k.printNew(reply.JSON, after)
		}
		switch {
		case ctx.Err() != nil:
			return exitOK
		case err != nil:
			return k.failed(err)
		}
		select {
		case <-ctx.Done():
			return exitOK
		case <-tick.C:
		}
	}
}

func (k call) after(ctx context.Context, query url.Values, id uint64) (web.Reply, error) {
	query.Set("after", strconv.FormatUint(id, 10))
	return k.client.Get(ctx, "/api/v1/denials", query)
}

// printNew prints denials one a line, and gives the last one's ID.
func (k call) printNew(raw []byte, last uint64) (uint64, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return last, err
	}
	for _, one := range list {
		var d enforcer.Denial
		if err := json.Unmarshal(one, &d); err != nil {
			return last, err
		}
		last = d.ID
		if k.json {
			k.printLine(one)
		} else {
			k.printDenial(d)
		}
	}
	return last, nil
}
