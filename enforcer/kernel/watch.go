package kernel

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

const (
	watchBuffer = 8 << 20
	quiet       = 20 * time.Millisecond // changes in this time become one call
	nftTableTag = 1                     // the table's name in NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, …
)

// Watch calls fn when somebody else changed or deleted one of our tables (N11, R1), until ctx ends. Calls are coalesced
// and come from one goroutine; fn is also called when messages were lost, which onError is told, so that nothing is missed. It
// watches from before ready (may be nil) is called.
func (n *Nft) Watch(ctx context.Context, ready, fn func(), onError func(error)) {
	changed := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		coalesce(ctx, changed, fn)
	}()
	w := watcher{n: n, ready: ready, changed: changed, onError: onError}
	keepRunning(ctx, "watching nftables", w.once, onError)
	<-done
}

// coalesce calls fn once for many signals.
func coalesce(ctx context.Context, changed <-chan struct{}, fn func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(quiet):
		}
		select { // what came meanwhile is part of it
		case <-changed:
		default:
		}
		fn()
	}
}

type watcher struct {
	n       *Nft
	ready   func()
	changed chan<- struct{}
	again   bool
	onError func(error)
	ours    bool // the transaction being reported touched one of our tables
}

func (w *watcher) signal() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watcher) once(ctx context.Context) error {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: w.n.opt.NetNS})
	if err != nil {
		return err
	}
	defer nl.Close()
	if err := nl.SetReadBuffer(watchBuffer); err != nil {
		return err
	}
	if err := nl.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("joining: %w", err)
	}
	if w.again {
		w.signal() // something may have happened while nobody watched
	} else if w.ready != nil {
		w.ready()
	}
	w.again = true
	defer interruptible(ctx, nl)()
	for {
		msgs, err := receive(nl)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case lost(err):
			w.ours = false
			w.signal()
			w.onError(fmt.Errorf("events were lost: %w", err))
			continue
		case err != nil:
			return err
		}
		for _, m := range msgs {
			w.message(m)
		}
	}
}

// message follows a transaction: its parts come first and NEWGEN ends it. The sender's port id tells our own.
func (w *watcher) message(m netlink.Message) {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < 4 {
		return
	}
	if m.Header.Type&0xff == unix.NFT_MSG_NEWGEN {
		if w.ours && !w.n.ports.has(m.Header.PID) {
			w.signal()
		}
		w.ours = false
		return
	}
	w.ours = w.ours || touchesOurs(m.Data)
}

func touchesOurs(data []byte) bool {
	if family := data[0]; family != unix.NFPROTO_INET && family != unix.NFPROTO_BRIDGE {
		return false
	}
	ad, err := netlink.NewAttributeDecoder(data[4:])
	if err != nil {
		return false
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == nftTableTag {
			return ad.String() == enforcer.TableName
		}
	}
	return false
}
