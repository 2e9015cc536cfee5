package notify

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Packets of MQTT 3.1.1 (OASIS, 2014) that a publisher needs, with their flags.
const (
	mqttConnect    = 0x10
	mqttConnack    = 0x20
	mqttPublish    = 0x30
	mqttPuback     = 0x40
	mqttPingreq    = 0xc0
	mqttPingresp   = 0xd0
	mqttDisconnect = 0xe0

	publishRetain = 0x01
	publishQoS1   = 0x02
)

// keepAlive is after how many seconds of silence a broker takes us for dead, half of them more by its own rule.
const keepAlive = 60

// session is a connection to a broker that only publishes. As nothing is subscribed, whatever comes is the answer to what was
// just sent: no goroutine reads.
type session struct {
	conn net.Conn
	in   *bufio.Reader
	id   uint16
}

// greeting is what a client says of itself, and what the broker is to publish when it is gone.
type greeting struct {
	id, user, password, willTopic, will string
}

// dial connects to a broker; conf is nil for one without TLS.
func dial(ctx context.Context, addr string, conf *tls.Config, g greeting) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, ioTime)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil && conf != nil {
		secure := tls.Client(conn, conf)
		if err = secure.HandshakeContext(ctx); err != nil {
			conn.Close()
		}
		conn = secure
	}
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, in: bufio.NewReaderSize(conn, 512)}
	if err := s.greet(g); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) greet(g greeting) error {
	flags := byte(0x02 | 0x04 | 0x08 | 0x20) // a clean session, and a will of QoS 1 that is retained
	body := text(nil, g.id)
	body = text(text(body, g.willTopic), g.will)
	if g.user != "" {
		flags |= 0x80
		body = text(body, g.user)
	}
	if g.user != "" && g.password != "" { // a password needs a user (MQTT-3.1.2-22)
		flags |= 0x40
		body = text(body, g.password)
	}
	head := append(text(nil, "MQTT"), 4, flags, 0, keepAlive)
	reply, err := s.exchange(mqttConnect, append(head, body...), mqttConnack)
	switch {
	case err != nil:
		return err
	case len(reply) != 2:
		return errors.New("this is no MQTT broker")
	case reply[1] == 4 || reply[1] == 5:
		return errors.New("the broker refuses user and password")
	case reply[1] != 0:
		return fmt.Errorf("the broker refuses us with code %d", reply[1])
	}
	return nil
}

// publish returns when the broker has the message.
func (s *session) publish(topic string, payload []byte, retain bool) error {
	s.id = max(s.id+1, 1) // 0 is no identifier
	kind := byte(mqttPublish | publishQoS1)
	if retain {
		kind |= publishRetain
	}
	body := binary.BigEndian.AppendUint16(text(nil, topic), s.id)
	reply, err := s.exchange(kind, append(body, payload...), mqttPuback)
	if err == nil && (len(reply) != 2 || binary.BigEndian.Uint16(reply) != s.id) {
		err = errors.New("the broker confirmed another message")
	}
	return err
}

func (s *session) ping() error {
	_, err := s.exchange(mqttPingreq, nil, mqttPingresp)
	return err
}

// bye ends the session without the will, but for what a topic is to hold now. Nothing is waited for.
func (s *session) bye(topic, last string) {
	_ = s.send(mqttPublish|publishRetain, append(text(nil, topic), last...)) // we go anyway
	_ = s.send(mqttDisconnect, nil)
	s.conn.Close()
}

// exchange sends a packet and reads its answer.
func (s *session) exchange(kind byte, body []byte, answer byte) ([]byte, error) {
	if err := s.send(kind, body); err != nil {
		return nil, err
	}
	got, err := s.in.ReadByte()
	if err != nil {
		return nil, fmt.Errorf("waiting for the broker: %w", err)
	}
	n, err := s.in.ReadByte() // every answer that we wait for is shorter than 128 bytes
	if err != nil {
		return nil, fmt.Errorf("waiting for the broker: %w", err)
	}
	if got != answer || n > 2 {
		return nil, fmt.Errorf("the broker sent %#x where %#x was due", got, answer)
	}
	reply := make([]byte, n)
	_, err = io.ReadFull(s.in, reply)
	return reply, err
}

func (s *session) send(kind byte, body []byte) error {
	if err := s.conn.SetDeadline(time.Now().Add(ioTime)); err != nil {
		return err
	}
	packet := binary.AppendUvarint([]byte{kind}, uint64(len(body))) // a Remaining Length is a varint
	_, err := s.conn.Write(append(packet, body...))
	return err
}

// text appends a string with its length.
func text(to []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(len(s))), s...)
}
