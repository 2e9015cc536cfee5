//go:build !mudguard_omit_demo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The environment by which the process that stays on the host tells the one in the namespaces what it is, and where it
// may keep files.
const (
	demoRoleEnv = "MUDGUARD_DEMO"
	demoDirEnv  = "MUDGUARD_DEMO_DIR"
	demoRole    = "gateway"
)

// demoLimit ends a demo that hangs, whatever in it waits.
const demoLimit = 2 * time.Minute

// demoCmd shows a whole gateway at work: devices, servers and the daemon in network namespaces, with real packets. It
// exits with 0 only if everything was as it should be. Nothing of the host is changed: the process starts itself once
// more in a network and a mount namespace of its own, and all the others are made there; they go with it.
func demoCmd(args []string) int {
	fs := newFlags("demo")
	verbose := fs.Bool("v", false, "show the daemon's log")
	pages := fs.Bool("web", false, "stay, and let a browser see the pages")
	fs.SetOutput(io.Discard)
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "mudguard: usage: mudguard demo [-v] [--web]   (-v shows the daemon's log, --web stays and serves the pages)")
		return exitUsage
	}
	if os.Getenv(demoRoleEnv) == demoRole {
		return demoInside(*verbose, *pages)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "mudguard: demo needs root, to make network namespaces of its own (nothing else of this computer is touched).\n"+
			"Try: sudo mudguard demo")
		return exitUsage
	}
	code, err := demoOutside(args, *pages)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mudguard: demo:", err)
	}
	return code
}

// demoOutside starts the demo in its namespaces and waits for it. Where a browser is to see the pages, the demo gets a socket that
// listens out here, as nothing else leads into its namespaces.
func demoOutside(args []string, pages bool) (int, error) {
	// The child dies with the thread that started it (prctl PR_SET_PDEATHSIG), so this one must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dir, err := os.MkdirTemp("", "mudguard-demo-")
	if err != nil {
		return exitNo, err
	}
	defer os.RemoveAll(dir)
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	if pages {
		door, err := demoDoor()
		if err != nil {
			return exitNo, err
		}
		defer door.Close()
		files = append(files, door)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	p, err := os.StartProcess("/proc/self/exe", append([]string{"mudguard", "demo"}, args...), &os.ProcAttr{
		Env:   append(os.Environ(), demoRoleEnv+"="+demoRole, demoDirEnv+"="+dir),
		Files: files,
		Sys:   &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return exitNo, fmt.Errorf("making a network namespace: %w", err)
	}
	go func() {
		for s := range signals {
			_ = p.Signal(s) // it may have ended already
		}
	}()
	state, err := p.Wait()
	if err != nil {
		return exitNo, err
	}
	if !state.Exited() {
		return exitNo, fmt.Errorf("ended by %s", state)
	}
	return state.ExitCode(), nil
}

// demoInside is the gateway.
func demoInside(verbose, pages bool) int {
	if err := demoAlone(); err != nil {
		fmt.Fprintln(os.Stderr, "mudguard: demo:", err)
		return exitNo
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	late := time.AfterFunc(demoLimit, cancel)
	dir := os.Getenv(demoDirEnv)
	demoMounts(dir)
	s := &demoStory{ctx: ctx, dir: dir, pages: pages, log: &demoLog{echo: verbose}, demoPrinter: newDemoPrinter(os.Stdout), started: time.Now()}
	stay := s.interruptible(cancel)
	err := s.tell()
	if pages && err == nil && late.Stop() {
		err = s.stay(stay)
	}
	return s.end(errors.Join(err, s.stopDaemon()))
}

// interruptible ends the program by Ctrl-C, and once stay was called only what waits for ctx.
func (s *demoStory) interruptible(cancel context.CancelFunc) (stay func()) {
	var staying atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "\nInterrupted.")
		if !staying.Load() {
			os.Exit(exitNo) // all that was made goes with this process
		}
		cancel()
	}()
	return func() { staying.Store(true) }
}

// demoAlone makes sure that this is a network namespace of its own: what follows would turn a real gateway upside down.
func demoAlone() error {
	ours, err1 := os.Readlink("/proc/self/ns/net")
	theirs, err2 := os.Readlink("/proc/" + strconv.Itoa(os.Getppid()) + "/ns/net")
	links, err3 := net.Interfaces()
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	for _, l := range links {
		if l.Flags&net.FlagUp != 0 {
			return fmt.Errorf("%s is set for the program's own use only; unset it", demoRoleEnv)
		}
	}
	if ours == theirs {
		return fmt.Errorf("%s is set for the program's own use only; unset it", demoRoleEnv)
	}
	return nil
}

// demoMounts lets files go to memory, and names be asked of the demo's own resolver. Both are seen only in here. Where it
// cannot be done the demo works as well, since the folder is removed after it, and the fetcher asks the LAN's resolver
// when the system's does not answer.
func demoMounts(dir string) {
	if unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") != nil {
		return // else a mount could show outside
	}
	_ = unix.Mount("mudguard-demo", dir, "tmpfs", 0, "size=64m,mode=0700")
	_ = unix.Mount("", "/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND, "") // read-only in containers
	conf := filepath.Join(dir, "resolv.conf")
	if os.WriteFile(conf, []byte("nameserver "+demoGateway+"\n"), 0o644) == nil {
		_ = unix.Mount(conf, "/etc/resolv.conf", "", unix.MS_BIND, "")
	}
}
