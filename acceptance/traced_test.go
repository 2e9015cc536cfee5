//go:build linux && amd64

package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"mudguard/internal/steps"
)

// traced is a daemon whose system calls somebody sees.
type traced struct {
	pid   int
	calls chan struct{} // closed once it has ended
	end   unix.WaitStatus
}

// trace runs the daemon, as it is released, and shows see its system calls.
func (l *lab) trace(see func(c *steps.Call)) *traced {
	l.Helper()
	bin, err := program()
	if err != nil {
		l.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", l.gw.name, bin, "run", "--config", l.file("mudguard.yaml", l.yaml(), 0o644))
	log, err := os.OpenFile(filepath.Join(l.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		l.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	p, started, isOurs := &traced{calls: make(chan struct{})}, make(chan error, 1), false
	go func() {
		defer close(p.calls)
		p.end, err = steps.Run(func() (int, error) {
			err := cmd.Start()
			if err == nil {
				p.pid = cmd.Process.Pid
				_ = cmd.Process.Release() // waited for by steps
			}
			started <- err
			return p.pid, err
		}, func(c *steps.Call) {
			if !isOurs { // still ip
				exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.PID))
				isOurs = exe == bin
			}
			if isOurs {
				see(c)
			}
		})
		if err != nil {
			l.home.Errorf("following the daemon: %v", err)
		}
	}()
	if err := <-started; err != nil {
		l.Fatal(err)
	}
	log.Close()
	l.home.Cleanup(p.kill)
	return p
}

// kill ends the daemon and waits until it is gone.
func (p *traced) kill() {
	select {
	case <-p.calls: // the number may be another's by now
	default:
		_ = unix.Kill(p.pid, unix.SIGKILL)
		<-p.calls
	}
}

func (p *traced) ended() bool {
	select {
	case <-p.calls:
		return true
	default:
		return false
	}
}

// logged is what traced daemons said.
func (l *lab) logged() string {
	raw, _ := os.ReadFile(filepath.Join(l.dir, "log")) // none where nobody said anything
	return string(raw)
}

// answers waits until a traced daemon answers, and says whether it lives to do so.
func (l *lab) answers(p *traced) bool {
	l.Helper()
	why := awaited(patience, func() string {
		if p.ended() {
			return ""
		}
		if err := l.api("GET", "status", ""); err != nil {
			return err.Error()
		}
		return ""
	})
	if why != "" {
		l.Fatalf("the daemon does not answer: %s\n%s", why, l.logged())
	}
	return !p.ended()
}
