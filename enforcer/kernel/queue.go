package kernel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	nfqueue "github.com/florianl/go-nfqueue/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	queueLen      = 1024 // packets that the kernel holds; above, it lets them pass (fail open)
	queuePacket   = 4096 // bytes copied of each: EDNS answers fit
	queueBuffer   = 8 << 20
	queueWorkers  = 4
	holdCap       = 50 * time.Millisecond // P3: the longest a packet waits for its handler
	drainCap      = time.Second
	beyondPending = 1 << 16 // further than any packet id that the kernel may hold
)

// Queue hands the packets of an NFQUEUE to a handler and lets each pass when the handler is done with it, panicked or
// took too long: inspection fails open, denial does not depend on it (invariant 2).
type Queue struct {
	Num     uint16
	NetNS   int                  // descriptor of a network namespace; 0: the current one
	Handler func(payload []byte) // called from several goroutines; payload starts at the IP header
	OnError func(error)          // may be nil

	held, late, errors, taken atomic.Uint64
}

// QueueStats counts what happened since the start.
type QueueStats struct {
	Held   uint64 // packets handed to the handler
	Late   uint64 // of these, let pass before the handler was done
	Errors uint64 // of the socket and of handlers
	Taken  uint64 // dropped by the kernel while they were held, since somebody deleted a base chain (R3)
}

// Stats gives the counters.
func (q *Queue) Stats() QueueStats {
	return QueueStats{Held: q.held.Load(), Late: q.late.Load(), Errors: q.errors.Load(), Taken: q.taken.Load()}
}

// held is a packet that waits for its handler.
type heldPacket struct {
	id      uint32
	payload []byte
	nfq     *nfqueue.Nfqueue
	once    sync.Once
	timer   *time.Timer
}

// release lets the packet pass, once, and says whether this call did.
func (p *heldPacket) release() (did bool) {
	p.once.Do(func() {
		did = true
		_ = p.nfq.SetVerdict(p.id, nfqueue.NfAccept) // a closed socket has let all pass already
	})
	return did
}

// Run works until ctx ends, and reopens the queue after errors.
func (q *Queue) Run(ctx context.Context) {
	jobs := make(chan *heldPacket, queueLen)
	var workers sync.WaitGroup
	for range queueWorkers {
		workers.Go(func() { q.work(ctx, jobs) })
	}
	keepRunning(ctx, fmt.Sprintf("queue %d", q.Num), func(ctx context.Context) error { return q.open(ctx, jobs) }, q.report)
	waitAtMost(&workers, drainCap)
}

// waitAtMost leaves a handler that hangs behind.
func waitAtMost(wg *sync.WaitGroup, d time.Duration) {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

func (q *Queue) report(err error) {
	q.errors.Add(1)
	if q.OnError != nil {
		q.OnError(err)
	}
}

// open serves the queue until ctx ends or the socket fails. What is held then passes: closing alone would drop it.
func (q *Queue) open(ctx context.Context, jobs chan<- *heldPacket) error {
	nfq, err := nfqueue.Open(&nfqueue.Config{
		NetNS: q.NetNS, NfQueue: q.Num, MaxQueueLen: queueLen, MaxPacketLen: queuePacket,
		Copymode: nfqueue.NfQnlCopyPacket, Flags: nfqueue.NfQaCfgFlagFailOpen, AfFamily: unix.AF_INET,
	})
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer nfq.Close()
	if err := nfq.Con.SetReadBuffer(queueBuffer); err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	nfq.Con = guarded(nfq.Con)
	_ = nfq.SetOption(netlink.NoENOBUFS, true) // what does not fit passes (fail open); not having the option is no harm
	inner, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last atomic.Uint32
	failed := make(chan error, 1)
	hook := func(a nfqueue.Attribute) int { return q.hold(nfq, a, jobs, &last) }
	if err := nfq.RegisterWithErrorFunc(inner, hook, func(err error) int { return q.failed(inner, err, failed) }); err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	defer func() { _ = nfq.SetVerdictBatch(last.Load()+beyondPending, nfqueue.NfAccept) }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-failed:
		return err
	}
}

// failed decides whether the library goes on receiving (0) or stops.
func (q *Queue) failed(inner context.Context, err error, failed chan<- error) int {
	if errors.Is(err, syscall.ENOENT) && inner.Err() == nil { // a verdict about a packet that is there no more
		q.taken.Add(1)
		return 0
	}
	if lost(err) && inner.Err() == nil {
		q.report(err)
		return 0
	}
	select {
	case failed <- err:
	default:
	}
	<-inner.Done() // the library unbinds when this returns, which drops what is held: open lets it pass before
	return 1
}

func (q *Queue) hold(nfq *nfqueue.Nfqueue, a nfqueue.Attribute, jobs chan<- *heldPacket, last *atomic.Uint32) int {
	if a.PacketID == nil {
		return 0
	}
	last.Store(*a.PacketID)
	p := &heldPacket{id: *a.PacketID, nfq: nfq}
	if a.Payload == nil {
		p.release()
		return 0
	}
	p.payload = *a.Payload // the library's copy (v2.1.0)
	q.held.Add(1)
	p.timer = time.AfterFunc(holdCap, func() {
		if p.release() {
			q.late.Add(1)
		}
	})
	select {
	case jobs <- p:
	default: // all handlers are stuck
		p.timer.Stop()
		if p.release() {
			q.late.Add(1)
		}
	}
	return 0
}

func (q *Queue) work(ctx context.Context, jobs <-chan *heldPacket) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-jobs:
			q.handle(p)
			p.timer.Stop()
			p.release()
		}
	}
}

func (q *Queue) handle(p *heldPacket) {
	defer func() {
		if r := recover(); r != nil {
			q.report(fmt.Errorf("queue %d: handler: panic: %v", q.Num, r))
		}
	}()
	q.Handler(p.payload)
}
