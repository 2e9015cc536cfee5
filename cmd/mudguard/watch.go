package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"
)

// watchEvery is how often --watch asks anew.
const watchEvery = 2 * time.Second

// clear has a terminal show an empty screen, and the cursor at its top.
const clearScreen = "\x1b[H\x1b[2J\x1b[3J"

// watches is asks for a command that can show itself anew, with --watch.
func (c *cli) watches(fs *flag.FlagSet, args []string, least, most int) (call, int) {
	watch := fs.Bool("watch", false, "show it anew every two seconds")
	k, code := c.asks(fs, args, least, most)
	k.watch = *watch
	return k, code
}

// watching shows something again and again until it is interrupted: on a cleared screen, or below each other where the output
// is no terminal or is JSON, and then only what changed.
func (k call) watching(path string, query url.Values, into any, text func()) int {
	ctx, stop := signal.NotifyContext(k.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var last string
	for {
		page, err := k.page(ctx, path, query, into, text)
		switch {
		case ctx.Err() != nil:
			return exitOK
		case err != nil:
			return k.failed(err)
		case k.terminal && !k.json:
			_, err = k.out.Write([]byte(clearScreen + page)) // at once, so that it does not flicker
		case page != last:
			_, err = k.out.Write([]byte(page))
		}
		if err != nil {
			return exitNo // nobody reads any more
		}
		last = page
		select {
		case <-ctx.Done():
			return exitOK
		case <-tick.C:
		}
	}
}

// page is what show would print, as text.
func (k call) page(ctx context.Context, path string, query url.Values, into any, text func()) (string, error) {
	reply, err := k.client.Get(ctx, path, query)
	if err != nil {
		return "", err
	}
	reflect.ValueOf(into).Elem().SetZero() // nothing of the last page stays
	if err := json.Unmarshal(reply.JSON, into); err != nil {
		return "", err
	}
	var b bytes.Buffer
	out := k.out
	k.cli.out = &b
	defer func() { k.cli.out = out }()
	if k.json {
		k.printLine(reply.JSON)
	} else {
		text()
	}
	return b.String(), nil
}
