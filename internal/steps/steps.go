//go:build linux && amd64

// Package steps stops a program at its system calls, to kill it there, to have a call fail, or to note what it did. So crashes and
// the kernel's errors are tried on the program as it is released, without a line for it in the program.
//
// It is for tests only, and must not be imported by anything else.
package steps

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is one system call of the program, which stands still at its beginning, or at its end.
type Call struct {
	PID  int // of the process
	Nr   uint64
	Args [6]uint64
	Done bool  // at its end
	Ret  int64 // then: the result, or the negative errno

	tid  int
	fail unix.Errno
	skip bool
	kill bool
}

// Fail makes a call end with an error: from its beginning without having happened, from its end although it has.
func (c *Call) Fail(errno unix.Errno) { c.fail, c.skip = errno, !c.Done }

// Kill ends the program, as SIGKILL does, before it goes on.
func (c *Call) Kill() { c.kill = true }

// Read gives n bytes of the program's memory.
func (c *Call) Read(addr uint64, n int) []byte {
	b := make([]byte, n)
	got, err := unix.PtracePeekData(c.tid, uintptr(addr), b)
	if err != nil {
		return nil
	}
	return b[:got]
}

// Write changes the program's memory.
func (c *Call) Write(addr uint64, b []byte) error {
	_, err := unix.PtracePokeData(c.tid, uintptr(addr), b)
	return err
}

// Text gives a string that the program passes to the kernel.
func (c *Call) Text(addr uint64) string {
	text, _, _ := bytes.Cut(c.Read(addr, 512), []byte{0})
	return string(text)
}

// File is what a descriptor of the program is open on, as /proc says.
func (c *Call) File(fd uint64) string {
	name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.PID, int32(fd)))
	if err != nil {
		return ""
	}
	return name
}

// tracer is one program and where its threads are.
type tracer struct {
	pid     int
	see     func(*Call)
	pending map[int]Call // by thread: the call that it is in
}

// Run starts a program and shows see every call that it makes, at its beginning and its end, until it has ended. start has to ask
// for tracing and a process group of its own (Ptrace and Setpgid of syscall.SysProcAttr), and runs on the thread that Run stays
// on. What the program becomes by exec is watched too.
func Run(start func() (pid int, err error), see func(*Call)) (unix.WaitStatus, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, err := start()
	if err != nil {
		return 0, err
	}
	t := &tracer{pid: pid, see: see, pending: map[int]Call{}}
	var ws unix.WaitStatus
	if _, err := t.wait(&ws); err != nil {
		return 0, err
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	if err := errors.Join(unix.PtraceSetOptions(pid, options), unix.PtraceSyscall(pid, 0)); err != nil {
		return 0, err
	}
	return t.follow()
}

// wait waits for a thread of the program, and for no other child of ours.
func (t *tracer) wait(ws *unix.WaitStatus) (int, error) {
	for {
		got, err := unix.Wait4(-t.pid, ws, unix.WALL|unix.WNOTHREAD, nil)
		if err != unix.EINTR {
			return got, err
		}
	}
}

func (t *tracer) follow() (unix.WaitStatus, error) {
	for {
		var ws unix.WaitStatus
		tid, err := t.wait(&ws)
		switch {
		case err != nil:
			return ws, err
		case !ws.Stopped() && tid == t.pid: // the first thread is the last to go
			return ws, nil
		case !ws.Stopped():
			continue
		}
		if err := unix.PtraceSyscall(tid, t.stopped(tid, ws)); err != nil && err != unix.ESRCH { // killed meanwhile
			return ws, err
		}
	}
}

// stopped handles one stop, and gives the signal that the thread is to get.
func (t *tracer) stopped(tid int, ws unix.WaitStatus) int {
	switch sig := ws.StopSignal(); {
	case sig == unix.SIGTRAP|0x80:
		t.call(tid)
		return 0
	case sig == unix.SIGTRAP, sig == unix.SIGSTOP: // an event, or the first stop of a new thread
		return 0
	default:
		return int(sig)
	}
}

// Numbers of struct ptrace_syscall_info.
const (
	infoSize  = 88
	infoEntry = 1
	infoExit  = 2
)

func (t *tracer) call(tid int) {
	var info [infoSize]byte
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), infoSize, uintptr(unsafe.Pointer(&info)), 0, 0); errno != 0 {
		return // killed meanwhile
	}
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(info[24+8*i:]) }
	var c Call
	switch info[0] {
	case infoEntry:
		c = Call{PID: t.pid, Nr: word(0), tid: tid}
		for i := range c.Args {
			c.Args[i] = word(1 + i)
		}
	case infoExit:
		var there bool
		if c, there = t.pending[tid]; !there {
			return
		}
		c.Done, c.Ret = true, int64(word(0))
		delete(t.pending, tid)
	default:
		return
	}
	if !c.skip {
		t.see(&c)
	}
	t.carryOut(&c)
}

// carryOut does to the program what see asked for.
func (t *tracer) carryOut(c *Call) {
	if c.kill {
		_ = unix.Kill(t.pid, unix.SIGKILL) // it may have ended by itself
		return
	}
	if !c.Done {
		t.pending[c.tid] = *c
	}
	if c.fail == 0 {
		return
	}
	var regs unix.PtraceRegs
	if unix.PtraceGetRegs(c.tid, &regs) != nil {
		return // killed meanwhile
	}
	if c.Done {
		regs.Rax = uint64(-int64(c.fail))
	} else {
		regs.Orig_rax = ^uint64(0) // no such call
	}
	_ = unix.PtraceSetRegs(c.tid, &regs)
}
