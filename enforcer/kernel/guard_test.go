package kernel

import (
	"iter"
	"testing"

	"github.com/mdlayher/netlink"
)

// early is a kernel that sends a packet before each acknowledgement.
type early struct{ replies [][]netlink.Message }

func (e *early) Send(m netlink.Message) error {
	packet := netlink.Message{Header: netlink.Header{Type: 0x300}, Data: []byte("packet")}
	ack := netlink.Message{Header: netlink.Header{Type: netlink.Error, Sequence: m.Header.Sequence, PID: m.Header.PID}, Data: make([]byte, 20)}
	e.replies = append(e.replies, []netlink.Message{packet}, []netlink.Message{ack})
	return nil
}

func (e *early) SendMessages([]netlink.Message) error { return nil }

func (e *early) Receive() ([]netlink.Message, error) {
	first := e.replies[0]
	e.replies = e.replies[1:]
	return first, nil
}

func (e *early) ReceiveIter() iter.Seq2[netlink.Message, error] {
	msgs, err := e.Receive()
	return func(yield func(netlink.Message, error) bool) { yield(msgs[0], err) }
}

func (e *early) Close() error { return nil }

// TestGuardEarlyPackets: what a queue delivers while it is being set up neither fails the setting nor is lost.
func TestGuardEarlyPackets(t *testing.T) {
	c := guarded(netlink.NewConn(&early{}, 7))
	for i := range 2 {
		request := netlink.Message{Header: netlink.Header{Flags: netlink.Request | netlink.Acknowledge}}
		if reply, err := c.Execute(request); err != nil || len(reply) != 1 || reply[0].Header.Type != netlink.Error {
			t.Fatalf("setting %d: %v, %v", i, reply, err)
		}
	}
	got, err := c.Receive()
	if err != nil || len(got) != 2 || string(got[0].Data) != "packet" {
		t.Errorf("received %v, %v", got, err)
	}
}
