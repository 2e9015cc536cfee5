package kernel

import (
	"context"
	"fmt"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

// flowBuffer holds what the kernel tells of new flows while we do something else.
const flowBuffer = 1 << 20

// WatchFlows calls fn for each flow that the kernel begins to track, until ctx ends. It does so once the first packet is through all
// firewalls, so what is denied is not among them; between hosts of one bridge it tracks only where it has bridge connection tracking or
// br_netfilter. It watches from before ready (may be nil) is called. What comes faster than it is read is lost: the numbers are for people.
func (n *Nft) WatchFlows(ctx context.Context, ready func(), fn func(enforcer.Flow), onError func(error)) {
	keepRunning(ctx, "watching flows", func(ctx context.Context) error { return n.watchFlows(ctx, ready, fn) }, onError)
}

func (n *Nft) watchFlows(ctx context.Context, ready func(), fn func(enforcer.Flow)) error {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: n.opt.NetNS})
	if err != nil {
		return err
	}
	defer nl.Close()
	if err := nl.SetReadBuffer(flowBuffer); err != nil {
		return err
	}
	if err := nl.JoinGroup(unix.NFNLGRP_CONNTRACK_NEW); err != nil {
		return fmt.Errorf("joining: %w", err)
	}
	if ready != nil {
		ready()
	}
	defer interruptible(ctx, nl)()
	for {
		msgs, err := receive(nl)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case lost(err):
			continue
		case err != nil:
			return err
		}
		for _, m := range msgs {
			var ev conntrack.Event
			if err := ev.Unmarshal(m); err == nil && ev.Type == conntrack.EventNew && ev.Flow != nil {
				fn(flowOf(ev.Flow.TupleOrig))
			}
		}
	}
}
