package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"mudguard/web"
)

// passwordCmd sets the password of the web server, asked for at the terminal, or else the first line of the standard input.
func (c *cli) passwordCmd(args []string) int {
	k, code := c.asks(newFlags("password"), args, 0, 0)
	if code >= 0 {
		return code
	}
	password, err := c.readPassword()
	if err != nil {
		return c.fail("%v", err)
	}
	reply, err := k.client.Post(k.ctx, "/api/v1/setup", web.Credentials{Password: password})
	if err != nil {
		return k.failed(err)
	}
	if k.json {
		k.printJSON(reply.JSON)
	} else {
		k.say("The password is set; who was logged in has to log in again.")
	}
	return exitOK
}

func (c *cli) readPassword() (string, error) {
	in := bufio.NewReader(io.LimitReader(c.in, 4<<10))
	f, ok := c.in.(*os.File)
	if !ok || !isTerminal(f) {
		return readLine(in)
	}
	restore, err := noEcho(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("the terminal cannot be told not to show the password: %w", err)
	}
	defer restore()
	fmt.Fprint(c.err, "New password: ")
	first, err := readLine(in)
	if err != nil {
		return "", err
	}
	fmt.Fprint(c.err, "\nOnce more: ")
	again, err := readLine(in)
	fmt.Fprintln(c.err)
	if err == nil && first != again {
		err = errors.New("the two are not the same")
	}
	return first, err
}

func readLine(in *bufio.Reader) (string, error) {
	s, err := in.ReadString('\n')
	if err != nil && (err != io.EOF || s == "") {
		return "", errors.New("no password was given")
	}
	return strings.TrimRight(s, "\r\n"), nil
}

// noEcho stops a terminal from showing what is typed, until restore, or until a signal ends us (Ctrl-C).
func noEcho(fd int) (restore func(), err error) {
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	show := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) }
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	go func() {
		if s, ok := (<-ends).(unix.Signal); ok {
			show()
			signal.Reset(s)
			_ = unix.Kill(unix.Getpid(), s)
		}
	}()
	restore = func() { signal.Stop(ends); close(ends); show() }
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		restore()
		return nil, err
	}
	return restore, nil
}
