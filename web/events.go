package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
)

// Bounds of server-sent events.
const (
	maxStreams    = 16
	streamBuffer  = 256 // events that a client may lag behind before it is dropped
	heartbeatTime = 15 * time.Second
	retryTime     = 3 * time.Second // after which a client that lost us comes back
	writeTime     = 10 * time.Second
)

// events tells what changes, for as long as the client listens. A client that comes back with the id of the last denial that it
// was told gets those that it missed; what else it missed it must ask for, as the first event (status) says.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	after, err := a.lastEvent(r)
	if n := a.streams.Add(1); err == nil && n > maxStreams {
		err = fail(http.StatusServiceUnavailable, "%d clients listen already, and the limit is %d", maxStreams, maxStreams)
	}
	defer a.streams.Add(-1)
	ch := make(chan enforcer.Event, streamBuffer)
	defer a.Engine.Post(func(e *enforcer.Engine) { e.Unsubscribe(ch) })
	var missed []enforcer.Denial
	if err == nil {
		err = a.do(r, func(e *enforcer.Engine) {
			missed = e.Denials(after, dhcp.MAC{})
			e.Subscribe(ch)
		})
	}
	if err != nil {
		reply(w, nil, err)
		return
	}
	s := &stream{w: w, ctl: http.NewResponseController(w), instance: a.instance}
	_ = s.ctl.SetReadDeadline(time.Time{}) // fails only where nobody sets one
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	s.text("retry: %d\n\n", retryTime.Milliseconds())
	s.send(enforcer.Event{Kind: enforcer.EventStatus})
	for _, d := range missed {
		s.send(enforcer.Event{Kind: enforcer.EventDenial, Denial: &d})
	}
	s.pass(r.Context(), ch)
}

// lastEvent is the denial that a client was told last; all are old for who was told none, or by another life of the daemon.
func (a *api) lastEvent(r *http.Request) (uint64, error) {
	if err := onlyQuery(r); err != nil {
		return 0, err
	}
	const none = 1<<64 - 1
	instance, id, _ := strings.Cut(r.Header.Get("Last-Event-ID"), "-")
	n, err := strconv.ParseUint(id, 10, 64)
	switch {
	case err != nil:
		return none, nil
	case instance != a.instance:
		return 0, nil
	}
	return n, nil
}

// stream writes events to one client.
type stream struct {
	w        io.Writer
	ctl      *http.ResponseController
	instance string
	err      error
}

// pass sends what comes until the client or the engine goes, or the client was too slow.
func (s *stream) pass(ctx context.Context, ch <-chan enforcer.Event) {
	beat := time.NewTicker(heartbeatTime)
	defer beat.Stop()
	for s.err == nil {
		select {
		case <-ctx.Done():
			return
		case ev, open := <-ch:
			if !open {
				return
			}
			s.send(ev)
		case <-beat.C:
			s.text(": still here\n\n")
		}
	}
}

func (s *stream) send(ev enforcer.Event) {
	var data any = struct{}{}
	id := ""
	switch {
	case ev.Denial != nil:
		data, id = ev.Denial, fmt.Sprintf("id: %s-%d\n", s.instance, ev.Denial.ID)
	case ev.Device != nil:
		data = ev.Device
	case ev.Kind == enforcer.EventDevice:
		data = Forgotten{ev.MAC, true}
	case ev.Kind == enforcer.EventProfile:
		data = map[string]any{"mac": ev.MAC}
	}
	raw, err := json.Marshal(data) // escapes line ends, so that text of a device cannot be an event of its own
	if err != nil {
		s.err = err
		return
	}
	s.text("event: %s\n%sdata: %s\n\n", ev.Kind, id, raw)
}

func (s *stream) text(format string, args ...any) {
	if s.err == nil {
		_ = s.ctl.SetWriteDeadline(time.Now().Add(writeTime)) // fails only where nobody sets one
		if _, s.err = fmt.Fprintf(s.w, format, args...); s.err == nil {
			s.err = s.ctl.Flush()
		}
	}
}
