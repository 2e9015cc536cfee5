package bench

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	packets = 10_000
	rounds  = 9
	batch   = 64
)

// BenchmarkForward measures the whole way of a packet through the gateway: a veth runs it in the sender's system call, so
// the time per packet in one thread is the cost of the path. Configurations take turns; each counts by its best round.
func BenchmarkForward(b *testing.B) {
	names := []string{"none", "devices-10", "devices-1000", "linear-100"}
	for _, kind := range []string{"established", "new"} {
		b.Run(kind, func(b *testing.B) {
			var senders []*sender
			for i, name := range names {
				l := newLab(b, fmt.Sprint(i))
				switch name {
				case "devices-10":
					l.enforce(b, 10)
				case "devices-1000":
					l.enforce(b, 1000)
				case "linear-100":
					l.linear(b, 100)
				}
				senders = append(senders, newSender(b, l, kind == "new"))
			}
			for b.Loop() {
				report(b, names, race(b, senders))
			}
		})
	}
}

// race gives, for each sender, the best time per packet.
func race(b *testing.B, senders []*sender) []time.Duration {
	all := make([][]time.Duration, len(senders))
	for range rounds {
		for i, s := range senders {
			all[i] = append(all[i], s.round(b))
		}
	}
	var out []time.Duration
	for _, list := range all {
		out = append(out, slices.Min(list))
	}
	return out
}

func report(b *testing.B, names []string, times []time.Duration) {
	for i, name := range names {
		b.ReportMetric(float64(times[i].Nanoseconds()), name+"-ns/packet")
	}
	ratio := func(x, y int) float64 { return float64(times[x]) / float64(times[y]) }
	b.ReportMetric(ratio(1, 0), "10-to-none")
	b.ReportMetric(ratio(2, 1), "1000-to-10")
	b.ReportMetric(ratio(3, 0), "linear100-to-none")
	b.ReportMetric(0, "ns/op")
}

// sender sends datagrams from the device to the host outside.
type sender struct {
	l     lab
	fresh bool // each batch from ports that were not used before
	conn  *ipv4.PacketConn
	udp   *net.UDPConn
	port  uint16
}

func newSender(b *testing.B, l lab, fresh bool) *sender {
	b.Helper()
	s := &sender{l: l, fresh: fresh, port: 10_000}
	sink := in(b, l.wan, func() (*net.UDPConn, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(wanAddr), cloudPort)))
	})
	_ = sink.SetReadBuffer(1) // what does not fit is dropped, at the end of the path
	s.udp = in(b, l.dev, dialUDP(devAddr+":4000"))
	b.Cleanup(func() { sink.Close(); s.udp.Close() })
	s.conn = ipv4.NewPacketConn(s.udp)
	s.answered(b, sink)
	return s
}

// answered makes the flow established, and proves that the way is open.
func (s *sender) answered(b *testing.B, sink *net.UDPConn) {
	buf := make([]byte, 64)
	for range 5 {
		if _, err := s.udp.Write([]byte("hello")); err != nil {
			b.Fatal(err)
		}
		_ = sink.SetReadDeadline(time.Now().Add(time.Second))
		_, from, err := sink.ReadFromUDP(buf)
		if err != nil {
			continue
		}
		_, _ = sink.WriteToUDP([]byte("welcome"), from)
		_ = s.udp.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := s.udp.Read(buf); err == nil {
			return
		}
	}
	b.Fatal("the declared flow does not pass")
}

// round sends and gives the time per packet.
func (s *sender) round(b *testing.B) time.Duration {
	if s.fresh {
		return s.freshRound(b)
	}
	msgs := make([]ipv4.Message, batch)
	for i := range msgs {
		msgs[i].Buffers = [][]byte{make([]byte, 64)}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, sent := time.Now(), 0
	for sent < packets {
		n, err := s.conn.WriteBatch(msgs, 0)
		if err != nil {
			b.Fatal(err)
		}
		sent += n
	}
	return time.Since(start) / time.Duration(sent)
}

// freshRound opens a flow with each packet. Making and closing the socket is part of the time of every configuration alike.
func (s *sender) freshRound(b *testing.B) time.Duration {
	const flows = 1000
	start := time.Now()
	in(b, s.l.dev, func() (struct{}, error) {
		for range flows {
			s.port++
			if s.port < 10_000 { // it went round
				s.port = 10_000
			}
			c, err := dialUDP(fmt.Sprintf("%s:%d", devAddr, s.port))()
			if err != nil {
				return struct{}{}, err
			}
			_, err = c.Write([]byte("new"))
			c.Close()
			if err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return time.Since(start) / flows
}
