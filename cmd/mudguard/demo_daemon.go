//go:build !mudguard_omit_demo

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/nftables"

	"mudguard/configs"
	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/web"
)

// demoWait is how long something may take that should happen at once; only a failure takes that long.
const demoWait = 10 * time.Second

// until waits for something, and says whether it came.
func (s *demoStory) until(f func() bool) bool {
	deadline := time.Now().Add(demoWait)
	for {
		if f() {
			return true
		}
		if s.ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// config is what an administrator would write into mudguard.yaml, with files in the demo's folder.
func (s *demoStory) config() configs.Config {
	cfg := configs.Default()
	cfg.LAN.Interfaces = []string{demoBridge}
	cfg.StateDir = filepath.Join(s.dir, "state")
	cfg.Socket = filepath.Join(s.dir, "run", "mudguard.sock")
	cfg.Fetch.CAFiles = []string{filepath.Join(s.dir, "web-ca.pem")}
	cfg.Signatures.CAFiles = []string{filepath.Join(s.dir, "signer-ca.pem")}
	if s.pages {
		cfg.HTTP.Listen = demoWeb
	}
	return cfg
}

// startDaemon runs the daemon, the one of "mudguard run", until stopDaemon.
func (s *demoStory) startDaemon() error {
	ctx, cancel := context.WithCancel(s.ctx)
	done, ready := make(chan error, 1), make(chan *enforcer.Engine, 1)
	cfg := s.config()
	go func() {
		done <- runDaemon(ctx, cfg, slog.New(logHandler(cfg.Log, s.log, false)), newEars(ctx), func(e *enforcer.Engine) { ready <- e })
	}()
	s.cancel, s.done = cancel, done
	select {
	case s.engine = <-ready:
	case err := <-done:
		done <- err // for stopDaemon
		return fmt.Errorf("the daemon does not start: %w", err)
	case <-time.After(demoWait):
		return errors.New("the daemon does not start in time")
	}
	if !s.until(func() bool { st, err := s.status(); return err == nil && listening(st) }) {
		return errors.New("the daemon does not listen to the LAN in time")
	}
	return nil
}

func listening(s web.Status) bool {
	return len(s.Sources) > 0 && !slices.ContainsFunc(s.Sources, func(x web.Source) bool { return x.State != "listening" })
}

// stopDaemon ends the daemon, if it runs.
func (s *demoStory) stopDaemon() error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	s.cancel, s.engine = nil, nil
	select {
	case err := <-s.done:
		return err
	case <-time.After(demoWait):
		return errors.New("the daemon does not stop in time")
	}
}

// status asks the daemon by its socket, as "mudguard status" does.
func (s *demoStory) status() (st web.Status, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, demoWait)
	defer cancel()
	r, err := web.NewClient(s.config().Socket).Get(ctx, "/api/v1/status", nil)
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(r.JSON, &st)
}

func macOf(m net.HardwareAddr) dhcp.MAC { return dhcp.MAC(m) }

// view is a device as the daemon sees it; the zero view where it does not know it.
func (s *demoStory) view(h *demoHost) (v enforcer.DeviceView) {
	if s.engine == nil {
		return v
	}
	ctx, cancel := context.WithTimeout(s.ctx, demoWait)
	defer cancel()
	_ = s.engine.Do(ctx, func(e *enforcer.Engine) { // no answer shows as a device that is not known
		if d, ok := e.Device(macOf(h.mac)); ok {
			v = e.View(d, true)
		}
	})
	return v
}

// denials are those after the one with the given id.
func (s *demoStory) denials(after uint64) (list []enforcer.Denial) {
	if s.engine == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, demoWait)
	defer cancel()
	_ = s.engine.Do(ctx, func(e *enforcer.Engine) { list = e.Denials(after, dhcp.MAC{}) }) // as in view
	return list
}

func lastID(list []enforcer.Denial) uint64 {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].ID
}

// ruleHandles are the numbers that the kernel gave to the rules in mudguard's chains: a rule made anew has another one.
func ruleHandles() (map[string]string, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("listing chains: %w", err)
	}
	out := map[string]string{}
	for _, ch := range chains {
		if ch.Table.Name != enforcer.TableName {
			continue
		}
		rules, err := c.GetRules(ch.Table, ch)
		if err != nil {
			return nil, fmt.Errorf("listing rules of %s: %w", ch.Name, err)
		}
		var handles []uint64
		for _, r := range rules {
			handles = append(handles, r.Handle)
		}
		out[fmt.Sprintf("%d %s", ch.Table.Family, ch.Name)] = fmt.Sprint(handles)
	}
	return out, nil
}
