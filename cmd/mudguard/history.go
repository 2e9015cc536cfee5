package main

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mudguard/enforcer"
	"mudguard/history"
)

// maxRecalled bounds what is read of the last day at the start.
const maxRecalled = 20000

// openHistory opens the history and gives what it says of the last day, the oldest first. Without one the daemon enforces all the
// same, and says so.
func (d *daemon) openHistory() []enforcer.Record {
	var err error
	if d.history, err = history.Open(filepath.Join(d.cfg.StateDir, "history"), d.cfg.History.MaxSize); err != nil {
		d.log.Error("no history", "err", err)
		return nil
	}
	past, err := d.history.Query(enforcer.HistoryQuery{Since: time.Now().Add(-24 * time.Hour), Limit: maxRecalled})
	if err != nil {
		d.log.Error("history not read", "err", err)
	}
	slices.Reverse(past)
	return past
}

func (d *daemon) record(list []enforcer.Record) error {
	if d.history == nil {
		return errors.New("there is no history")
	}
	return d.history.Append(list)
}

func (d *daemon) past(q enforcer.HistoryQuery) ([]enforcer.Record, error) {
	if d.history == nil {
		return nil, errors.New("there is no history; the log says why")
	}
	return d.history.Query(q)
}

// historyCmd shows what was kept.
func (c *cli) historyCmd(args []string) int {
	fs := newFlags("history")
	device := fs.String("device", "", "of one device")
	kind := fs.String("kind", "", "denial, state or counters")
	since := fs.Duration("since", 24*time.Hour, "how `long` ago at most")
	k, code := c.asks(fs, args, 0, 0)
	if code >= 0 {
		return code
	}
	query := url.Values{"limit": {"1000"}, "since": {time.Now().Add(-*since).UTC().Format(time.RFC3339)}}
	if err := ofDevice(query, *device); err != nil {
		return c.misuse("history", err.Error())
	}
	if *kind != "" {
		query.Set("kind", *kind)
	}
	var list []enforcer.Record
	return k.show("/api/v1/history", query, &list, func() {
		rows := [][]string{}
		for _, r := range list {
			rows = append(rows, []string{k.when(r.Time), r.MAC.String(), r.Device, string(r.Kind), recordText(r)})
		}
		if len(rows) == 0 {
			k.say("Nothing was kept of that time.")
			return
		}
		k.table([]string{"TIME", "MAC", "DEVICE", "KIND", "WHAT"}, rows, nil)
	})
}

func recordText(r enforcer.Record) string {
	switch {
	case r.Denial != nil:
		n := r.Denial
		remote := n.Name
		if remote == "" {
			remote = n.Remote.String()
		}
		return strings.TrimSpace(fmt.Sprintf("%d x %s %s/%s %s: %s", n.Count, n.Direction, n.Proto, portText(n.Port), remote, n.Reason))
	case r.Counters != nil:
		return fmt.Sprintf("%d flows allowed, %d attempts denied", r.Counters.Allowed, r.Counters.Denied)
	}
	return string(r.State) + ": " + r.Why
}
