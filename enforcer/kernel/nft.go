package kernel

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"mudguard/enforcer"
)

// ErrSetFull says that a set holds as many elements as its size allows; the kernel calls it ENFILE (N9).
var ErrSetFull = errors.New("set is full")

const (
	applyBuffer  = 256 << 20 // N2: a batch for 1000 models, and the replies to it; memory is taken only as it is used
	learnBuffer  = 1 << 20
	replyTimeout = 10 * time.Second // N3: never wait forever for a reply that the kernel dropped, or to send
	bulk         = 1000             // N1: more elements than this are read back
)

// Options say where to work.
type Options struct {
	NetNS int // descriptor of a network namespace; 0: the current one
}

// Nft is the kernel's packet filter. Its methods may be called concurrently.
type Nft struct {
	opt     Options
	refresh bool // adding a known element renews its timeout (Linux 6.12, N7)
	applyMu sync.Mutex
	apply   *session
	learnMu sync.Mutex
	learn   *session
	sets    map[enforcer.TableFamily]map[string]learnSet // nil: not known; guarded by learnMu
	learned atomic.Uint32                                // Learn's transactions, to tell them from others'
	ports   portSet
}

var _ enforcer.Kernel = (*Nft)(nil)

// Open connects to nftables. It needs CAP_NET_ADMIN.
func Open(opt Options) (*Nft, error) {
	n := &Nft{opt: opt}
	var err error
	if n.learn, err = n.dialOwn(learnBuffer); err != nil {
		return nil, err
	}
	if n.refresh, err = n.probeRefresh(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Close closes the connections; what is in the kernel stays (invariant 1).
func (n *Nft) Close() error {
	n.applyMu.Lock()
	defer n.applyMu.Unlock()
	n.learnMu.Lock()
	defer n.learnMu.Unlock()
	err := errors.Join(n.apply.close(), n.learn.close())
	n.apply, n.learn = nil, nil
	return err
}

// session is one lasting nftables connection. It is thrown away after any error: the connection keeps the first one,
// and replies may be left in it.
type session struct {
	c  *nftables.Conn
	nl *netlink.Conn
}

func (n *Nft) dial(buffer int) (*session, error) {
	s := &session{}
	opts := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		s.nl = c
		// Both use the FORCE variants where they may, and fall back (N2).
		return errors.Join(c.SetReadBuffer(buffer), c.SetWriteBuffer(buffer))
	})}
	if n.opt.NetNS != 0 {
		opts = append(opts, nftables.WithNetNSFd(n.opt.NetNS))
	}
	c, err := nftables.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("opening nftables: %w", err)
	}
	s.c = c
	return s, nil
}

// dialOwn opens a session for changes of our tables, which Watch must know as ours.
func (n *Nft) dialOwn(buffer int) (*session, error) {
	s, err := n.dial(buffer)
	if err == nil {
		n.ports.add(s.nl.PID())
	}
	return s, err
}

func (s *session) close() error {
	if s == nil {
		return nil
	}
	return s.c.CloseLasting()
}

// flush sends what was put into the connection as one transaction.
func (s *session) flush() error {
	if err := s.nl.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	return s.c.Flush()
}

// Apply makes one change as one transaction.
func (n *Nft) Apply(d enforcer.Delta) error {
	if d.Empty() {
		return nil
	}
	n.applyMu.Lock()
	defer n.applyMu.Unlock()
	if n.apply == nil {
		s, err := n.dialOwn(applyBuffer)
		if err != nil {
			return err
		}
		n.apply = s
	}
	gen, _ := n.generation() // 0 where it fails: then settle compares contents
	err := n.transact(d)
	if err != nil {
		_ = n.apply.close() // its state is unknown; the error that matters is err
		n.apply = nil
		err = n.settle(d, gen, err)
	}
	if err != nil {
		n.noteUnknown()
		return err
	}
	n.noteDelta(d)
	return n.verify(d)
}

func (n *Nft) transact(d enforcer.Delta) error {
	b := batch{c: n.apply.c}
	for _, t := range d.Tables {
		if err := b.table(t); err != nil {
			return err
		}
	}
	return n.apply.flush()
}

// settle decides after an error whether the change is in the kernel nevertheless (N3). An answer of the kernel to one
// of our messages means that it is not; a lost answer means nothing.
func (n *Nft) settle(d enforcer.Delta, gen uint32, err error) error {
	errno, ok := firstErrno(err)
	if ok && !ambiguous(errno) {
		return n.explain(d, errno, err)
	}
	if !ok && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("applying: %w", err)
	}
	if now, e := n.generation(); e == nil && now == gen {
		return fmt.Errorf("applying: nothing was changed: %w", err)
	}
	if have, e := n.readStable(); e == nil && inPlace(have, d) {
		return nil
	}
	return fmt.Errorf("applying: %w", err)
}

func firstErrno(err error) (syscall.Errno, bool) {
	var errno syscall.Errno
	ok := errors.As(err, &errno)
	return errno, ok
}

// ambiguous errors may come from the socket instead of the transaction.
func ambiguous(e syscall.Errno) bool {
	switch e {
	case syscall.ENOBUFS, syscall.EAGAIN, syscall.EINTR, syscall.ETIMEDOUT, syscall.ENOMEM:
		return true
	}
	return false
}

// explain says in words what the kernel said with a number.
func (n *Nft) explain(d enforcer.Delta, errno syscall.Errno, err error) error {
	switch errno {
	case syscall.ENFILE:
		return fmt.Errorf("applying: %w (%w)", ErrSetFull, errno)
	case syscall.EPERM:
		return fmt.Errorf("applying: changing nftables needs CAP_NET_ADMIN: %w", errno)
	case syscall.ENOENT, syscall.EOPNOTSUPP:
		if lacks := n.lacking(d); len(lacks) > 0 {
			return fmt.Errorf("applying: this kernel lacks %v: %w", lacks, errno)
		}
	}
	return fmt.Errorf("applying: %w", errno)
}

// verify reads back what was written in bulk (N1).
func (n *Nft) verify(d enforcer.Delta) error {
	for _, t := range d.Tables {
		for _, se := range t.AddElements {
			if len(se.Elements) < bulk {
				continue
			}
			if err := n.verifySet(t.Family, se); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifySet believes in a loss only after it looked some times: see bigSet.
func (n *Nft) verifySet(f enforcer.TableFamily, se enforcer.SetElements) error {
	missing := 0
	for try := range readTries {
		have, err := n.elements(f, se.Set)
		if err != nil && !errors.Is(err, errTorn) {
			return fmt.Errorf("reading back set %s: %w", se.Set.Name, err)
		}
		if missing = countMissing(have, se.Elements); missing == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond << try)
	}
	return fmt.Errorf("set %s: the kernel lost %d of %d elements", se.Set.Name, missing, len(se.Elements))
}

func countMissing(have, want map[enforcer.Key]enforcer.Element) int {
	n := 0
	for k := range want {
		if _, ok := have[k]; !ok {
			n++
		}
	}
	return n
}

// portSet remembers the netlink addresses of our recent connections, so that Watch knows our own changes. The process
// id in the kernel's message would not do: it is that of one of our threads, in the first pid namespace.
type portSet struct {
	mu     sync.Mutex
	recent [16]uint32
	next   int
}

func (p *portSet) add(port uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent[p.next%len(p.recent)] = port
	p.next++
}

func (p *portSet) has(port uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.recent {
		if q == port && port != 0 {
			return true
		}
	}
	return false
}
