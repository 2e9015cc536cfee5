//go:build linux && amd64

package acceptance

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"mudguard/internal/steps"
)

// fault is one thing that goes wrong between the daemon and the kernel.
type fault struct {
	name string
	kind string // of the step that it befalls
	end  bool   // the step has happened all the same
	do   func(c *steps.Call)
}

func failing(errno unix.Errno) func(*steps.Call) { return func(c *steps.Call) { c.Fail(errno) } }

// header changes the first netlink header of what was received.
func header(change func(h []byte)) func(*steps.Call) {
	return func(c *steps.Call) {
		msg := c.Read(c.Args[1], 56) // struct msghdr
		if len(msg) < 56 || c.Ret < 20 {
			return
		}
		iov := c.Read(binary.NativeEndian.Uint64(msg[16:]), 16)
		base := binary.NativeEndian.Uint64(iov)
		h := c.Read(base, 20)
		if binary.NativeEndian.Uint16(h[6:])&unix.NLM_F_MULTI == 0 {
			return // no dump
		}
		change(h)
		_ = c.Write(base, h)
	}
}

// faults are what netlink can do to us (hardening.md N3, N6, 6.5).
func faults() []fault {
	var out []fault
	add := func(kind string, end bool, errnos ...unix.Errno) {
		for _, e := range errnos {
			when := "before"
			if end {
				when = "after"
			}
			out = append(out, fault{fmt.Sprintf("%v %s %s", unix.ErrnoName(e), when, kind), kind, end, failing(e)})
		}
	}
	all := []unix.Errno{unix.ENOBUFS, unix.EMSGSIZE, unix.ENFILE, unix.ERESTART, unix.EBUSY, unix.ENOMEM, unix.EPERM}
	add("send netfilter", false, all...)
	add("receive netfilter", false, all...)
	add("receive netfilter", true, unix.ENOBUFS, unix.EMSGSIZE, unix.ENFILE, unix.ERESTART, unix.EBUSY, unix.ENOMEM)
	add("send netfilter", true, unix.ENOBUFS, unix.ENOMEM, unix.ERESTART)
	out = append(out,
		fault{"torn dump", "receive netfilter", true, header(func(h []byte) {
			binary.NativeEndian.PutUint16(h[6:], binary.NativeEndian.Uint16(h[6:])|unix.NLM_F_DUMP_INTR)
		})},
		fault{"short dump", "receive netfilter", true, header(func(h []byte) {
			binary.NativeEndian.PutUint16(h[4:], unix.NLMSG_DONE)
			binary.NativeEndian.PutUint32(h[16:], 0)
		})})
	return out
}

// TestNetlinkFaults: N3, N6, F13. Whatever the kernel answers to one of the daemon's messages, and whether or not it has done what
// it was told, in the end it has what it should, the daemon goes on, and what is denied stays denied: through a quarantine and its
// end, and a change of somebody else, which is found by reading all tables.
func TestNetlinkFaults(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	l.daemon.kill()
	l.wan.in(t, "nft reset counter inet sink hits")
	f := &faulty{lab: l, lamp: lamp}
	n := l.noise(lamp)
	p := l.trace(f.see)
	if !l.answers(p) {
		t.Fatalf("it ended: %s", l.logged())
	}
	struck := 0
	for i, one := range faults() {
		for act, nth := range []int{1, 2, 3 + i%5} {
			f.arm(one, nth)
			f.act(act)
			if f.disarm() {
				struck++
			}
			if p.ended() {
				t.Fatalf("%s at step %d ended the daemon: %v\n%s", one.name, nth, p.end, l.logged())
			}
		}
	}
	// The library waits until the socket is ready when it is told EINTR, though it was: that ends with our time limit.
	for act, kind := range []string{"send netfilter", "receive netfilter"} {
		f.arm(fault{"EINTR", kind, false, failing(unix.EINTR)}, 1)
		f.act(act)
		if !f.disarm() {
			l.complain("no EINTR at a %s", kind)
		}
	}
	if err := n.end(); err != nil {
		l.complain("the noise ended: %v", err)
	}
	if got := l.sunk(); got > 0 {
		l.complain("%d of %d denied packets leaked", got, n.sent.Load())
	}
	if struck < len(faults())*2 {
		l.complain("only %d faults struck", struck)
	}
	t.Logf("%d faults struck; of %d denied packets none passed", struck, n.sent.Load())
}

// faulty is a daemon to which faults happen.
type faulty struct {
	*lab
	lamp  *device
	kinds steps.Kinds
	armed atomic.Pointer[fault]
	left  atomic.Int64 // steps of its kind until it strikes
}

func (f *faulty) arm(one fault, nth int) {
	f.left.Store(int64(nth))
	f.armed.Store(&one)
}

// disarm says whether the fault struck.
func (f *faulty) disarm() bool { return f.armed.Swap(nil) != nil && f.left.Load() <= 0 }

func (f *faulty) see(c *steps.Call) {
	one := f.armed.Load()
	if one == nil || c.Done != one.end || f.left.Load() <= 0 || f.kinds.Of(c) != one.kind || c.Ret < 0 {
		return
	}
	if strings.HasPrefix(one.kind, "receive") && c.Args[2]&unix.MSG_PEEK != 0 {
		return
	}
	if f.left.Add(-1) == 0 {
		one.do(c)
	}
}

// act is one of three: a quarantine, its end, and an edit by hand.
func (f *faulty) act(i int) {
	f.Helper()
	switch i {
	case 0: // who asks may be told that the kernel refused; then it is tried again by itself
		_ = f.api("POST", "devices/"+f.lamp.mac+"/quarantine", "")
		f.settles("quarantine", "quarantined")
	case 1:
		_ = f.api("POST", "devices/"+f.lamp.mac+"/release", "")
		f.settles("release", "enforced")
	default:
		f.gw.in(f.T, "nft delete element inet mudguard replies_of '{ "+f.lamp.mac+" }'")
		f.settles("edited by hand", "enforced")
	}
}

// settles waits until the kernel has what the daemon says that it has, and what it should.
func (f *faulty) settles(what, state string) {
	f.Helper()
	if why := awaited(2*patience, func() string {
		v, err := f.shown()
		if err != nil || v.State != state {
			return fmt.Sprintf("%v, it is %s: %s", err, v.State, v.Reason)
		}
		for _, m := range []string{"from_device", "to_gateway", "replies_of"} {
			if out := f.gw.in(f.T, "nft list map inet mudguard "+m); !strings.Contains(out, f.lamp.mac) || !strings.Contains(out, v.Policy+"_") {
				return m + " has not " + v.Policy + ":\n" + out
			}
		}
		return ""
	}); why != "" {
		f.Fatalf("%s, with %s: %s\n%s", what, f.armed.Load().name, why, f.logged())
	}
}

// shown is the lamp as the daemon shows it.
func (f *faulty) shown() (v view, err error) {
	raw, err := f.get("devices/" + f.lamp.mac)
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	return v, err
}
