package kernel

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
)

// errPanic says that a library panicked over a message.
var errPanic = errors.New("panic while receiving")

const (
	minBackoff = 20 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// receive reads what is there, and turns a panic over it into an error: one of the kernel's messages once made the
// library panic (mdlayher/netlink before v1.11.2), and a packet of the wrong size must not end the daemon.
func receive(nl *netlink.Conn) (msgs []netlink.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			msgs, err = nil, fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return nl.Receive()
}

// guard is a netlink socket to put under a library that receives in a goroutine of its own, where nobody could recover:
// its Receive does not panic. It also lets a request have its answer where other messages come before it: the library
// takes the first packet of a queue for the answer to its next setting, gives up, and the packet is dropped.
type guard struct {
	*netlink.Conn
	// Both are used by whoever holds the lock of the connection above: Execute alone, or one Receive.
	awaiting bool // an acknowledgement
	early    []netlink.Message
}

func guarded(nl *netlink.Conn) *netlink.Conn { return netlink.NewConn(&guard{Conn: nl}, nl.PID()) }

// Send implements netlink.Socket.
func (g *guard) Send(m netlink.Message) error {
	if m.Header.Flags&netlink.Acknowledge != 0 { // never a verdict, which others send while we receive
		g.awaiting = true
	}
	_, err := g.Conn.Send(m)
	return err
}

// SendMessages implements netlink.Socket.
func (g *guard) SendMessages(m []netlink.Message) error {
	_, err := g.Conn.SendMessages(m)
	return err
}

// Receive implements netlink.Socket.
func (g *guard) Receive() ([]netlink.Message, error) {
	if !g.awaiting {
		if msgs := g.early; len(msgs) > 0 {
			g.early = nil
			return msgs, nil
		}
		return receive(g.Conn)
	}
	var answer []netlink.Message
	for g.awaiting {
		msgs, err := receive(g.Conn)
		if err != nil {
			g.awaiting = false
			return nil, err
		}
		for _, m := range msgs {
			if g.awaiting && m.Header.Type == netlink.Error {
				g.awaiting, answer = false, []netlink.Message{m}
			} else {
				g.early = append(g.early, m)
			}
		}
	}
	return answer, nil
}

// ReceiveIter implements netlink.Socket.
func (g *guard) ReceiveIter() iter.Seq2[netlink.Message, error] {
	return func(yield func(netlink.Message, error) bool) {
		msgs, err := g.Receive()
		if err != nil {
			yield(netlink.Message{}, err)
			return
		}
		for _, m := range msgs {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// lost says that the socket dropped messages but goes on working.
func lost(err error) bool { return errors.Is(err, syscall.ENOBUFS) }

// keepRunning runs once again and again until ctx ends, waiting longer the more often it fails at once.
func keepRunning(ctx context.Context, what string, once func(context.Context) error, onError func(error)) {
	wait := minBackoff
	for {
		start := time.Now()
		err := once(ctx)
		if ctx.Err() != nil {
			return
		}
		onError(fmt.Errorf("%s: %w", what, err))
		if time.Since(start) > maxBackoff {
			wait = minBackoff
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, maxBackoff)
	}
}

// interruptible makes the end of ctx end a blocking receive; the caller stops it when it is done with nl.
func interruptible(ctx context.Context, nl *netlink.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = nl.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket, whose receive has ended
	})
}
