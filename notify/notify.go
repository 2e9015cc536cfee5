// Package notify passes news on to webhooks and to an MQTT broker.
//
// It must never make the engine wait, nor let one slow receiver keep news from another: each has a bounded queue, a rate and
// retries of its own, and what does not fit is counted and left out. It does not decide what is news to the engine; of denials
// it passes on the first for each destination of a device.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mudguard/configs"
	"mudguard/enforcer"
)

// Bounds of what waits and of how much is told.
const (
	queueLength = 64
	burst       = 10          // of one kind at once
	refill      = time.Minute // and then one in that time
	stale       = time.Hour   // older news are given up
	tickEvery   = 30 * time.Second
	maxWait     = time.Minute // between tries
	maxSeen     = 8192        // destinations
	ioTime      = 10 * time.Second
	maxSecret   = 4 << 10
)

// message is what a receiver gets.
type message struct {
	enforcer.News
	Gateway string `json:"gateway"`
	LeftOut uint64 `json:"left_out,omitempty"` // news before this one that were too many
}

// receiver is a webhook or a broker. It is used by one goroutine.
type receiver interface {
	deliver(context.Context, message) error
	tick(context.Context) error // now and then, to stay connected
	close()
}

// refusal is an error that another try would not mend.
type refusal struct{ error }

// Gateway is what receivers are told about this host.
type Gateway struct{ Name, Version string }

// Notifier passes news on.
type Notifier struct {
	sinks []*sink
	seen  map[string]bool // destinations of denials that were told
}

// New makes a Notifier. Nothing is connected before Run.
func New(cfg configs.Notify, at Gateway, log *slog.Logger) *Notifier {
	n := &Notifier{seen: map[string]bool{}}
	for i, w := range cfg.Webhooks {
		n.add(fmt.Sprintf("webhook %d (%s)", i+1, w.Host()), w.Events, newWebhook(w, at), at, log)
	}
	if cfg.MQTT.Broker != "" {
		n.add("mqtt", cfg.MQTT.Events, newBroker(cfg.MQTT, at), at, log)
	}
	return n
}

func (n *Notifier) add(name string, events []configs.News, to receiver, at Gateway, log *slog.Logger) {
	n.sinks = append(n.sinks, &sink{name: name, events: events, to: to, gateway: at.Name, log: log, queue: make(chan enforcer.News, queueLength),
		rates: map[enforcer.NewsKind]*bucket{}, backoff: func(try int) time.Duration { return min(maxWait, time.Second<<min(try, 6)) }})
}

// Tell takes news, from one goroutine, and returns at once.
func (n *Notifier) Tell(ev enforcer.News) {
	if len(n.sinks) == 0 || ev.Denial != nil && !n.first(ev.Denial) {
		return
	}
	for _, s := range n.sinks {
		if len(s.events) == 0 || slices.Contains(s.events, configs.News(ev.Kind)) {
			s.take(ev)
		}
	}
}

// first says that a denial is the first for its destination. A device that tries everything makes us forget, not grow.
func (n *Notifier) first(d *enforcer.Denial) bool {
	other := d.Name
	if other == "" {
		other = d.Dst.String()
		if d.Direction == "in" {
			other = d.Src.String()
		}
	}
	key := fmt.Sprint(d.MAC, d.Direction, other, d.Proto, d.Dport)
	if n.seen[key] {
		return false
	}
	if len(n.seen) >= maxSeen {
		clear(n.seen)
	}
	n.seen[key] = true
	return true
}

// Run delivers until ctx ends.
func (n *Notifier) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range n.sinks {
		all.Go(func() { s.run(ctx) })
	}
	all.Wait()
}

// Counts tells how many news a receiver got.
type Counts struct {
	Target                string
	Sent, Failed, Dropped uint64
}

// Counts gives the counts of all receivers.
func (n *Notifier) Counts() []Counts {
	var out []Counts
	for _, s := range n.sinks {
		out = append(out, Counts{s.name, s.sent.Load(), s.failed.Load(), s.dropped.Load()})
	}
	return out
}

// sink is a receiver and what waits for it.
type sink struct {
	name    string
	events  []configs.News
	to      receiver
	gateway string
	log     *slog.Logger
	queue   chan enforcer.News
	rates   map[enforcer.NewsKind]*bucket // a flood of one kind must not hide another
	backoff func(try int) time.Duration
	failing bool

	sent, failed, dropped atomic.Uint64
	leftOut               atomic.Uint64 // dropped since the last message
}

func (s *sink) take(ev enforcer.News) {
	b := s.rates[ev.Kind]
	if b == nil {
		b = &bucket{left: burst, at: ev.Time}
		s.rates[ev.Kind] = b
	}
	if b.take(ev.Time) {
		select {
		case s.queue <- ev:
			return
		default:
		}
	}
	s.dropped.Add(1)
	s.leftOut.Add(1)
}

// bucket is a rate: burst at once, and one more with each refill.
type bucket struct {
	left int
	at   time.Time
}

func (b *bucket) take(now time.Time) bool {
	if n := now.Sub(b.at) / refill; n > 0 {
		b.left, b.at = min(burst, b.left+int(n)), b.at.Add(n*refill)
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

func (s *sink) run(ctx context.Context) {
	defer s.to.close()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	s.report(s.to.tick(ctx))
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.report(s.to.tick(ctx))
		case ev := <-s.queue:
			s.deliver(ctx, message{ev, s.gateway, s.leftOut.Swap(0)})
		}
	}
}

// deliver tries until the receiver has the message, does not want it, or it is old.
func (s *sink) deliver(ctx context.Context, m message) {
	for try := 0; ; try++ {
		err := s.to.deliver(ctx, m)
		s.report(err)
		if err == nil {
			s.sent.Add(1)
			return
		}
		wait := s.backoff(try)
		if _, final := errors.AsType[refusal](err); final || ctx.Err() != nil || time.Since(m.Time)+wait > stale {
			s.failed.Add(1)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// report logs that a receiver fails, and that it is back, once each.
func (s *sink) report(err error) {
	switch {
	case err != nil && !s.failing:
		s.log.Warn("news not delivered, trying again", "target", s.name, "err", err)
	case err == nil && s.failing:
		s.log.Info("news are delivered again", "target", s.name)
	}
	s.failing = err != nil
}

// secret reads a password or token, anew each time: files are replaced.
func secret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(raw))
	if len(s) > maxSecret || s == "" || strings.ContainsAny(s, "\r\n\x00") {
		return "", fmt.Errorf("%s: it must hold one line of at most %d bytes", path, maxSecret)
	}
	return s, nil
}
