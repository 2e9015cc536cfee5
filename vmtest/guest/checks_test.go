package guest

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// hold: the device tries its cloud the moment it knows where that is, twenty times at twenty addresses. The first packet
// of each must pass. An answer is held for 50 ms at most: where this machine stood still as long, it is tried again.
func (h *house) hold() error {
	const times = 20
	seen, errs := map[string]bool{}, error(nil)
	_, _ = h.lamp.resolve("cloud.example") // the first time the emulator translates the code on the way, which takes it long
	for i, stalls, bad := 0, 0, 0; i < times && bad < 3; i++ {
		stalled := meter()
		addr, err := h.lamp.resolve("cloud.example")
		if err == nil {
			seen[addr] = true
			err = h.lamp.talk(addr, cloudPort)
		}
		if pause := stalled(); err != nil && pause > 5*time.Millisecond && stalls < 5 {
			note("the machine stood still for %s: try %d does not count: %v", pause, i, err)
			i, stalls = i-1, stalls+1
		} else if err != nil {
			bad++
			errs = errors.Join(errs, fmt.Errorf("try %d, no pause longer than %s: %w", i, pause, err))
		}
	}
	if errs == nil && len(seen) < times {
		errs = fmt.Errorf("only %d addresses", len(seen))
	}
	return errs
}

// meter measures the longest time that this process got no processor, until what it gives is called.
func meter() (longest func() time.Duration) {
	quit, result := make(chan struct{}), make(chan time.Duration)
	go func() {
		last, most := time.Now(), time.Duration(0)
		for {
			select {
			case <-quit:
				result <- most
				return
			case <-time.After(time.Millisecond):
			}
			most, last = max(most, time.Since(last)), time.Now()
		}
	}()
	return func() time.Duration { close(quit); return <-result }
}

// denied is what no profile allows: to the Internet, to the gateway, to and from a neighbour.
func (h *house) denied() error {
	addr, err := h.lamp.resolve("cloud.example")
	if err != nil {
		return err
	}
	if _, err := h.lamp.resolve("evil.example"); err != nil {
		return err
	}
	return together(
		silent("lamp to evil", h.lamp, h.wan, evilAddr, cloudPort),
		silent("lamp to evil's telnet", h.lamp, h.wan, evilAddr, 23),
		silent("lamp to its cloud's telnet", h.lamp, h.wan, addr, 23),
		silent("lamp to the gateway", h.lamp, h.gateway, gatewayAddr, 22),
		silent("lamp to a neighbour", h.lamp, h.next, neighbourAddr, 8081),
		silent("neighbour to the lamp", h.next, h.lamp, h.lampAddr.String(), 80),
		silent("gateway to the lamp", h.gateway, h.lamp, h.lampAddr.String(), 80),
		silent("Internet to the lamp", h.wan, h.lamp, h.lampAddr.String(), 80),
		silent("Internet to the lamp's LAN port", h.wan, h.lamp, h.lampAddr.String(), 9999),
		func() error { // nothing depends on his first packet, and he may have to find the gateway first
			if h.next.talk(fixedAddr, 23) == nil {
				return nil
			}
			return wrap("neighbour, whom nobody restricts", h.next.talk(fixedAddr, 23))
		},
	)
}

// lateral is what the profile allows on the LAN, in both directions, with answers.
func (h *house) lateral() error {
	return together(works("lamp to a neighbour", h.lamp, neighbourAddr, 8080),
		works("neighbour to the lamp", h.next, h.lampAddr.String(), 9999),
		silent("lamp to a neighbour's other port", h.lamp, h.next, neighbourAddr, 8081),
		silent("neighbour to the lamp's other port", h.next, h.lamp, h.lampAddr.String(), 80))
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// unsolicited: a packet that looks like part of a connection opens none.
func (h *house) unsolicited() error {
	next := netip.MustParseAddr(neighbourAddr)
	err := errors.Join(
		h.lone("neighbour's ACK to the lamp", h.next, h.lamp, next, h.lampAddr, 40000, 80),
		h.lone("lamp's ACK to a neighbour", h.lamp, h.next, h.lampAddr, next, 40000, 8081),
	)
	if h.mode == modeStateless || h.mode == modeTagged { // what may open a connection cannot be told from what is part of one
		return err
	}
	return errors.Join(err, h.lone("neighbour's ACK to the lamp's open port", h.next, h.lamp, next, h.lampAddr, 40000, 9999))
}

func (h *house) lone(what string, from, at *space, src, dst netip.Addr, sport, dport uint16) error {
	count, stop, err := at.watch(dst.String(), int(dport))
	if err != nil {
		return err
	}
	defer stop()
	for range 3 {
		if err := from.ack(src, dst, sport, dport); err != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	if n := count(); n > 0 {
		return fmt.Errorf("%s: %d arrived", what, n)
	}
	return nil
}

// refresh: an address that goes on being the answer stays open (N7), and one that does not is closed in time.
func (h *house) refresh() error {
	note("N7: this kernel renews an element that is added again: %v", renews())
	h.zone.stay(fixedAddr)
	defer h.zone.stay("")
	start := time.Now()
	for time.Since(start) < 2*minTTL+minTTL/3 {
		if _, err := h.lamp.resolve("cloud.example"); err != nil {
			return err
		}
		time.Sleep(minTTL / 3)
		if err := h.lamp.talk(fixedAddr, cloudPort); err != nil {
			return fmt.Errorf("%.1fs after it was learned: %w", time.Since(start).Seconds(), err)
		}
	}
	h.zone.stay("")
	time.Sleep(minTTL + time.Second)
	return isSilent("address that is no answer any more", h.lamp, h.wan, fixedAddr, cloudPort)
}

// killed: the kernel goes on alone, and the next daemon finds everything as it should be.
func (h *house) killed() error {
	before, err := h.chains()
	if err != nil {
		return err
	}
	addr, err := h.lamp.resolve("cloud.example")
	if err != nil {
		return err
	}
	open, err := h.lamp.dial(addr, cloudPort)
	if err != nil {
		return err
	}
	defer open.Close()
	err = h.daemon.Process.Signal(syscall.SIGKILL)
	_ = h.daemon.Wait() // killed, as it should be
	err = errors.Join(err, wrap("open flow without the daemon", echoed(open, patience)))
	err = errors.Join(err,
		wrap("without the daemon", h.denied()), wrap("without the daemon", h.lateral()), h.startDaemon(),
		wrap("open flow after the restart", echoed(open, patience)))
	after, e := h.chains()
	if e == nil && after != before {
		err = errors.Join(err, fmt.Errorf("chains before: %s after: %s", before, after))
	}
	return errors.Join(err, e, wrap("after the restart", h.hold()), wrap("after the restart", h.denied()))
}

// lateBrNetfilter: somebody (Docker does it) loads br_netfilter while we run; bridged frames then pass both tables.
func (h *house) lateBrNetfilter() error {
	err := errors.Join(modprobe("br_netfilter"), sysctl("net/bridge/bridge-nf-call-iptables", "1"))
	return errors.Join(err, h.hold(), h.lateral(), h.unsolicited(), h.denied())
}
