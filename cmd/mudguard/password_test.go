package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mudguard/web"
)

// TestPassword: T22. The password is the first line of the standard input, and none is no password.
func TestPassword(t *testing.T) {
	f, socket := start(t, map[string]any{"POST /api/v1/setup": web.Session{Authenticated: true}})
	if got := invokeWith(socket, "correct horse\r\nmore\n", false, "password"); got.code != exitOK || !strings.Contains(got.out, "is set") {
		t.Errorf("%+v", got)
	}
	if want := []string{`POST /api/v1/setup {"password":"correct horse"}`}; !slices.Equal(f.asked, want) {
		t.Errorf("asked %v, want %v", f.asked, want)
	}
	if got := invokeWith(socket, "", false, "password"); got.code != exitUsage || !strings.Contains(got.err, "no password") || len(f.asked) != 1 {
		t.Errorf("without one: %+v", got)
	}
}

// TestPasswordAtTerminal: what is typed is not shown, is asked for twice, and the terminal is afterwards as it was.
func TestPasswordAtTerminal(t *testing.T) {
	for typed, want := range map[string]string{"correct horse\ncorrect horse\n": "", "correct horse\ncorrect house\n": "not the same"} {
		master, slave := terminal(t)
		_, err := master.WriteString(typed)
		must(t, err)
		var errs bytes.Buffer
		was, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		must(t, err)
		got, err := (&cli{in: slave, err: &errs}).readPassword()
		if want == "" && (err != nil || got != "correct horse") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
		if strings.Count(errs.String(), ": ") != 2 || strings.Contains(errs.String(), "horse") {
			t.Errorf("shown: %q", errs.String())
		}
		if now, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil || *now != *was {
			t.Errorf("the terminal is %+v, was %+v, %v", now, was, err)
		}
	}
	_, slave := terminal(t)
	restore, err := noEcho(int(slave.Fd()))
	must(t, err)
	if now, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil || now.Lflag&unix.ECHO != 0 {
		t.Errorf("it shows what is typed: %+v, %v", now, err)
	}
	restore()
}

// Whoever changes his mind at the prompt ends the program, and sees again what he types.
func TestPasswordInterrupted(t *testing.T) {
	master, slave := terminal(t)
	was, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), program(t), "password", "--socket", filepath.Join(t.TempDir(), "none"))
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	errs, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	_, err = bufio.NewReader(errs).ReadString(':')
	must(t, err)
	_, err = master.WriteString("\x03")
	must(t, err)
	_ = cmd.Wait() // tells of the signal
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGINT {
		t.Errorf("it ended otherwise: %v", cmd.ProcessState)
	}
	if now, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil || *now != *was {
		t.Errorf("the terminal is %+v, was %+v, %v", now, was, err)
	}
}

// terminal is a pseudo-terminal: what is written to master is typed.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { master.Close() })
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { slave.Close() })
	return master, slave
}
