package guest

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// fw4 is what OpenWrt's firewall makes with flow_offloading, as far as it matters here. %s is the LAN's device.
const fw4 = `table inet fw4 {
	flowtable ft { hook ingress priority 0; devices = { %s, wan0 }; }
	chain forward {
		type filter hook forward priority filter; policy drop;
		meta l4proto { tcp, udp } flow add @ft
		ct state established,related accept
		iifname br-lan accept
	}
}
`

// cutWithin is how long an offloaded flow may go on after its device is cut off.
const cutWithin = 2 * time.Second

// offload: flows that the kernel forwards past all chains are those that were admitted, and they end when their device
// is cut off.
func (h *house) offload(lan string) error {
	if _, err := h.gateway.run(fmt.Sprintf(fw4, lan), "nft", "-f", "-"); err != nil {
		return err
	}
	err := h.offloaded()
	_, e := h.ask("release", lampMAC.String())
	err = errors.Join(err, e)
	if addr, e := h.lamp.resolve("cloud.example"); e != nil {
		err = errors.Join(err, e)
	} else {
		err = errors.Join(err, wrap("after the release", h.lamp.talk(addr, cloudPort)))
	}
	_, e = h.gateway.run("", "nft", "delete", "table", "inet", "fw4")
	return errors.Join(err, e)
}

// halfOffloaded: where the flow table has the bridge or not all of its ports, what comes back goes past the inet table,
// which would mark it, but not past the bridge table, which then takes it for new. That this denies too much is known and
// noted; it must not deny too little.
func (h *house) halfOffloaded(lan string) error {
	if _, err := h.gateway.run(fmt.Sprintf(fw4, lan), "nft", "-f", "-"); err != nil {
		return err
	}
	addr, err := h.lamp.resolve("cloud.example")
	if err == nil {
		if e := h.lamp.talk(addr, cloudPort); e != nil {
			note("KNOWN GAP: with a flow table of %s and wan0, admitted flows stop once they are offloaded: %v", lan, e)
		}
		err = errors.Join(h.denied(), h.lateral(), h.unsolicited())
	}
	_, e := h.gateway.run("", "nft", "delete", "table", "inet", "fw4")
	return errors.Join(err, e, wrap("without the flow table", h.hold()))
}

func (h *house) offloaded() error {
	addr, err := h.lamp.resolve("cloud.example")
	if err != nil {
		return err
	}
	asks, err1 := h.lamp.dial(addr, cloudPort)
	pushed, err2 := h.lamp.dial(addr, cloudPort)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	defer asks.Close()
	defer pushed.Close()
	got := push(pushed)
	for range 5 {
		if err := echoed(asks, patience); err != nil {
			return fmt.Errorf("before the cut: %w", err)
		}
	}
	all, off, err := tracked(h.lampAddr, cloudPort)
	if err != nil || off < 2 {
		return fmt.Errorf("%d flows, %d offloaded: %w", all, off, err)
	}
	if err := h.denied(); err != nil {
		return err
	}
	return h.cut(addr, asks, got)
}

// push has the server send by itself; what arrives is sent to the channel.
func push(c net.Conn) <-chan time.Time {
	got := make(chan time.Time, 1<<12)
	go func() {
		defer close(got)
		if _, err := c.Write([]byte("P")); err != nil {
			return
		}
		b := make([]byte, 64)
		for {
			if _, err := c.Read(b); err != nil {
				return
			}
			select {
			case got <- time.Now():
			default:
			}
		}
	}()
	return got
}

// cut quarantines the lamp: nothing goes out or comes in any more, also of what the server sends by itself.
func (h *house) cut(addr string, asks net.Conn, got <-chan time.Time) error {
	if _, err := h.ask("quarantine", lampMAC.String()); err != nil {
		return err
	}
	start := time.Now()
	var last time.Time
	for time.Since(start) < cutWithin && echoed(asks, 200*time.Millisecond) == nil {
		last = time.Now()
		time.Sleep(10 * time.Millisecond)
	}
	arrived, stop, err := h.wan.watch(addr, cloudPort)
	if err != nil {
		return err
	}
	defer stop()
	time.Sleep(time.Until(start.Add(cutWithin)))
	before := arrived()
	time.Sleep(500 * time.Millisecond)
	pushed := latest(got)
	all, off, err := tracked(h.lampAddr, cloudPort)
	note("after the quarantine: echo until %s, push until %s, then %d packets to the cloud; %d flows, %d offloaded",
		after(last, start), after(pushed, start), arrived()-before, all, off)
	switch {
	case err != nil:
		return err
	case start.Sub(pushed) > time.Second:
		return errors.New("the server did not push before the cut: nothing is proved")
	case last.Sub(start) > cutWithin || pushed.Sub(start) > cutWithin:
		return errors.New("the offloaded flow goes on")
	case arrived() != before:
		return fmt.Errorf("%d packets reached the cloud later", arrived()-before)
	}
	return nil
}

func after(t, start time.Time) time.Duration { return max(0, t.Sub(start)).Round(time.Millisecond) }

func latest(got <-chan time.Time) (t time.Time) {
	for {
		select {
		case at, ok := <-got:
			if !ok {
				return t
			}
			t = at
		default:
			return t
		}
	}
}
