//go:build !mudguard_omit_demo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// Where the pages are: inside the demo, and on this computer, where another port will do as well.
const (
	demoWeb    = "127.0.0.1:8520"
	demoDoorFD = 3
)

// demoDoor listens on this computer's loopback address, for the demo to accept from.
func demoDoor() (*os.File, error) {
	ln, err := net.Listen("tcp4", demoWeb)
	if err != nil {
		ln, err = net.Listen("tcp4", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listening for a browser: %w", err)
	}
	defer ln.Close() // the file stays
	return ln.(*net.TCPListener).File()
}

// stay lets people look at the pages until they press Ctrl-C. The lamp goes on as it is: it fetches from its cloud, and now and
// then it tries what it should not.
func (s *demoStory) stay(staying func()) error {
	file := os.NewFile(demoDoorFD, "door")
	ln, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("taking over the socket for a browser: %w", err)
	}
	defer file.Close()
	token, err := s.setupToken()
	if err != nil {
		return err
	}
	staying()
	s.section("The pages: see and steer it yourself")
	s.say("Open http://%s/ in a browser on this computer, and give this setup token:", ln.Addr())
	s.verbatim(demoBold, token+"\n")
	s.aside("Ctrl-C ends it, and nothing stays.")
	var all sync.WaitGroup
	all.Go(func() { s.life() })
	stop := context.AfterFunc(s.ctx, func() { ln.Close() })
	defer stop()
	for {
		c, err := ln.Accept()
		if err != nil {
			all.Wait()
			if s.ctx.Err() != nil {
				return nil // somebody has seen enough
			}
			return fmt.Errorf("accepting a browser: %w", err)
		}
		go s.carry(c)
	}
}

// setupToken waits for the web server, and reads with what its first password can be set.
func (s *demoStory) setupToken() (string, error) {
	ready := s.until(func() bool { st, err := s.status(); return err == nil && st.Web.State == "listening" })
	st, err := s.status()
	if err != nil || !ready {
		return "", errors.Join(fmt.Errorf("the web server does not start: %s", st.Web.State), err)
	}
	raw, err := os.ReadFile(st.Web.Token)
	return strings.TrimSpace(string(raw)), err
}

// carry passes on what a browser outside and the web server inside say to each other.
func (s *demoStory) carry(outside net.Conn) {
	inside, err := net.Dial("tcp", demoWeb)
	if err != nil {
		outside.Close() // the browser says so
		return
	}
	stop := context.AfterFunc(s.ctx, func() { outside.Close(); inside.Close() })
	defer stop()
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // whoever ends it, it has ended
		to.Close()
	}
	both.Go(func() { pass(inside, outside) })
	pass(outside, inside)
	both.Wait()
}

// life goes on until ctx ends.
func (s *demoStory) life() {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for i := 0; s.ctx.Err() == nil; i++ {
		if a, err := s.lan.lamp.resolve(demoGateway, "cloud.lamp.example", demoAllowed); err == nil {
			_ = s.lan.lamp.talk(netip.Addr{}, netip.AddrPortFrom(a, 443), demoAllowed) // the pages tell what became of it
		}
		if tries := s.triesAtLamp(); i%5 == 4 {
			_ = s.evilTry().try(demoDenied)
			_ = tries[i/5%len(tries)].try(demoDenied)
		}
		select {
		case <-s.ctx.Done():
		case <-tick.C:
		}
	}
}
