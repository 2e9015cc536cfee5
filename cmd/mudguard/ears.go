package main

import (
	"context"
	"sync"
	"time"

	"mudguard/dhcp"
	"mudguard/dhcp/listen"
	"mudguard/enforcer"
	"mudguard/web"
)

// ears hear the LAN interfaces for as long as the process runs. While one daemon ends and the next begins with another
// configuration, what is heard waits: a device says only once that it is there.
type ears struct {
	ctx context.Context // of the process

	// passing is held while something is passed on, which may have to wait for room; so nothing is lost between two daemons.
	passing sync.Mutex
	waiting []dhcp.Sighting
	pass    func(dhcp.Sighting) // to the daemon; nil: there is none at the moment

	mu      sync.Mutex
	open    map[string]*ear
	to      *daemon // nil: nobody at the moment
	refresh func()  // has it look at its interfaces
}

// ear is one interface.
type ear struct {
	stop   context.CancelFunc
	source web.Source
}

// maxWaiting bounds what is kept for the next daemon, as the engine's queue is bounded.
const maxWaiting = 1024

func newEars(ctx context.Context) *ears { return &ears{ctx: ctx, open: map[string]*ear{}} }

// attach has a daemon hear its interfaces, and first what waited for it.
func (e *ears) attach(ctx context.Context, d *daemon) {
	e.passing.Lock()
	defer e.passing.Unlock()
	if ctx.Err() != nil {
		return // told to stop while it began
	}
	e.pass = func(s dhcp.Sighting) { d.engine.PostWait(ctx, func(e *enforcer.Engine) { e.Sighted(s) }) }
	for _, s := range e.waiting {
		e.pass(s)
	}
	e.waiting = nil
	e.listenTo(ctx, d)
}

// listenTo opens the interfaces of a daemon that are not open, and closes others.
func (e *ears) listenTo(ctx context.Context, d *daemon) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.to, e.refresh = d, func() { d.refresh(ctx) }
	wanted := map[string]bool{}
	for _, name := range d.cfg.LAN.Interfaces {
		wanted[name] = true
		if e.open[name] == nil {
			ctx, stop := context.WithCancel(e.ctx)
			e.open[name] = &ear{stop: stop, source: web.Source{Name: "dhcpv4 on " + name, State: "starting"}}
			go e.hear(ctx, name, e.open[name])
		}
	}
	for name, ear := range e.open {
		if !wanted[name] {
			ear.stop()
			delete(e.open, name)
		}
	}
}

// misread has the daemon tell that its configuration could not be read again.
func (e *ears) misread(err error) {
	if d := e.daemon(); d != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.misread = err
	}
}

// detach stops the daemon, and has what is heard from then on wait for the next one.
func (e *ears) detach(stop context.CancelFunc) {
	e.passing.Lock()
	defer e.passing.Unlock()
	stop()
	e.pass = nil
	e.mu.Lock()
	defer e.mu.Unlock()
	e.to = nil
}

// hear listens on one LAN interface, and waits for it where it is not there.
func (e *ears) hear(ctx context.Context, name string, ear *ear) {
	wait, last := 200*time.Millisecond, ""
	for ctx.Err() == nil {
		err := e.hearOnce(ctx, name, ear)
		if err == nil {
			return
		}
		if d := e.note(ear, err.Error()); d != nil && err.Error() != last {
			d.log.Warn("LAN interface not heard, trying again", "interface", name, "err", err)
			last = err.Error()
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			wait = min(2*wait, 2*time.Second)
		}
	}
}

func (e *ears) hearOnce(ctx context.Context, name string, ear *ear) error {
	l, err := listen.Open(name)
	if err != nil {
		return err
	}
	l.OnError = func(err error) {
		if d := e.daemon(); d != nil {
			d.onError("dhcp")(err)
		}
	}
	e.note(ear, "listening")
	e.mu.Lock()
	refresh := e.refresh
	e.mu.Unlock()
	refresh()
	return l.Run(ctx, func(s dhcp.Sighting) { e.sighted(ear, s) })
}

func (e *ears) sighted(ear *ear, s dhcp.Sighting) {
	e.mu.Lock()
	ear.source.LastSeen = time.Now().UTC()
	e.mu.Unlock()
	e.passing.Lock()
	defer e.passing.Unlock()
	switch {
	case e.pass != nil:
		e.pass(s)
	case len(e.waiting) < maxWaiting:
		e.waiting = append(e.waiting, s)
	}
}

// note says how an ear is, and gives who is to be told more.
func (e *ears) note(ear *ear, state string) *daemon {
	e.mu.Lock()
	defer e.mu.Unlock()
	ear.source.State = state
	return e.to
}

func (e *ears) daemon() *daemon {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.to
}

// sources are the ears of these interfaces, for the status.
func (e *ears) sources(names []string) (out []web.Source) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range names {
		if ear := e.open[name]; ear != nil {
			out = append(out, ear.source)
		}
	}
	return out
}
