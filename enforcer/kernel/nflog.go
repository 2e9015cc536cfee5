package kernel

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

// Numbers of linux/netfilter/nfnetlink_log.h.
const (
	nfulnlMsgPacket = 0
	nfulnlMsgConfig = 1

	nfulaCfgCmd     = 1
	nfulaCfgMode    = 2
	nfulaCfgTimeout = 4
	nfulaCfgQThresh = 5

	nfulnlCmdBind    = 1
	nfulnlCopyPacket = 2

	nfulaPacketHdr = 1
	nfulaHwAddr    = 8
	nfulaPayload   = 9
	nfulaPrefix    = 10
	nfulaHwHeader  = 16
	nfulaL2Hdr     = 21
)

const (
	logBuffer  = 4 << 20
	logBatch   = 32 // packets a message; N18: a flood costs one wakeup for many
	logFlush   = 10 // hundredths of a second until a smaller message comes
	prefixMax  = 127
	etherAddrs = 12 // two MACs at the start of an Ethernet header
)

// LogReader hands the packets of an NFLOG group to a function. It speaks netlink itself: go-nflog v2.3.0 races when it
// is closed, slices attributes unchecked and receives in a goroutine where a panic cannot be caught.
type LogReader struct {
	Group   uint16
	NetNS   int                       // descriptor of a network namespace; 0: the current one
	Handle  func(e enforcer.LogEvent) // called from one goroutine
	OnError func(error)               // may be nil

	events, lost, errors atomic.Uint64
}

// LogStats counts what happened since the start.
type LogStats struct {
	Events uint64 // packets handed on
	Lost   uint64 // times that the socket dropped some: the rules' counters carry the truth (N18)
	Errors uint64
}

// Stats gives the counters.
func (l *LogReader) Stats() LogStats {
	return LogStats{Events: l.events.Load(), Lost: l.lost.Load(), Errors: l.errors.Load()}
}

// Run works until ctx ends, and reopens the group after errors.
func (l *LogReader) Run(ctx context.Context) {
	keepRunning(ctx, fmt.Sprintf("log group %d", l.Group), l.open, l.report)
}

func (l *LogReader) report(err error) {
	l.errors.Add(1)
	if l.OnError != nil {
		l.OnError(err)
	}
}

func (l *LogReader) open(ctx context.Context) error {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: l.NetNS})
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer nl.Close()
	if err := nl.SetReadBuffer(logBuffer); err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	if err := l.bind(nl); err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	defer interruptible(ctx, nl)()
	for {
		msgs, err := receive(nl)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case lost(err):
			l.lost.Add(1)
			continue
		case err != nil:
			return err
		}
		for _, m := range msgs {
			l.message(m)
		}
	}
}

func (l *LogReader) bind(nl *netlink.Conn) error {
	mode := binary.BigEndian.AppendUint32(nil, logSnapLen)
	for _, attrs := range [][]netlink.Attribute{
		{{Type: nfulaCfgCmd, Data: []byte{nfulnlCmdBind}}},
		{{Type: nfulaCfgMode, Data: append(mode, nfulnlCopyPacket, 0)}},
		{{Type: nfulaCfgTimeout, Data: binary.BigEndian.AppendUint32(nil, logFlush)},
			{Type: nfulaCfgQThresh, Data: binary.BigEndian.AppendUint32(nil, logBatch)}},
	} {
		body, err := netlink.MarshalAttributes(attrs)
		if err != nil {
			return err
		}
		head := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, l.Group)
		if err := l.configure(nl, append(head, body...)); err != nil {
			return err
		}
	}
	return nil
}

// configure sends one request and waits for its answer; packets may come in between, since the group is bound.
func (l *LogReader) configure(nl *netlink.Conn, data []byte) error {
	if err := nl.SetReadDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	req, err := nl.Send(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_ULOG<<8 | nfulnlMsgConfig, Flags: netlink.Request | netlink.Acknowledge},
		Data:   data,
	})
	if err != nil {
		return err
	}
	for {
		msgs, err := receive(nl)
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if m.Header.Type == netlink.Error && m.Header.Sequence == req.Header.Sequence {
				return nl.SetReadDeadline(time.Time{})
			}
			l.message(m)
		}
	}
}

func (l *LogReader) message(m netlink.Message) {
	if m.Header.Type != unix.NFNL_SUBSYS_ULOG<<8|nfulnlMsgPacket {
		return
	}
	e, ok := parseLog(m.Data)
	if !ok {
		l.errors.Add(1)
		return
	}
	l.events.Add(1)
	defer func() {
		if p := recover(); p != nil {
			l.report(fmt.Errorf("log group %d: handler: panic: %v", l.Group, p))
		}
	}()
	l.Handle(e)
}

// parseLog reads one NFULNL_MSG_PACKET. Nothing of b is kept.
func parseLog(b []byte) (e enforcer.LogEvent, ok bool) {
	if len(b) < 4 {
		return e, false
	}
	ad, err := netlink.NewAttributeDecoder(b[4:])
	if err != nil {
		return e, false
	}
	var payload, header []byte
	var proto uint16
	for ad.Next() {
		v := ad.Bytes()
		switch ad.Type() {
		case nfulaPacketHdr:
			if len(v) >= 2 {
				proto = binary.BigEndian.Uint16(v)
			}
		case nfulaHwAddr: // be16 length, padding, address
			if len(v) >= 4+len(e.MAC) && binary.BigEndian.Uint16(v) == uint16(len(e.MAC)) {
				copy(e.MAC[:], v[4:])
			}
		case nfulaPayload:
			payload = v
		case nfulaPrefix:
			e.Prefix = cString(v, prefixMax)
		case nfulaHwHeader, nfulaL2Hdr:
			if len(v) >= etherAddrs {
				header = v
			}
		}
	}
	if header != nil {
		copy(e.DstMAC[:], header)
		copy(e.MAC[:], header[6:])
	}
	e.Len = len(payload)
	e.Claims = claims(proto, payload)
	if proto == 0 || proto == unix.ETH_P_IP || proto == unix.ETH_P_IPV6 {
		if f, n, isIP := parseIP(payload); isIP {
			e.Packet, e.Len = f, max(n, e.Len)
		}
	}
	return e, ad.Err() == nil
}

// cString is b up to the first zero byte.
func cString(b []byte, most int) string {
	for i, c := range b {
		if c == 0 || i == most {
			return string(b[:i])
		}
	}
	return string(b)
}
