package listen

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// packetSocket is an AF_PACKET socket on one interface (packet(7)).
type packetSocket struct {
	conn *packet.Conn
	raw  syscall.RawConn
	ifi  *net.Interface
}

// openPacketSocket listens for every protocol, since frames that this host sends, its DHCP server's answers among them,
// are only shown to such sockets. The filter is attached before the socket is bound, so no other frame gets in.
func openPacketSocket(ifi *net.Interface) (*packetSocket, error) {
	filter, err := bpf.Assemble(frameFilter())
	if err != nil {
		return nil, fmt.Errorf("assembling the frame filter: %w", err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
	if err != nil {
		return nil, gone(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &packetSocket{conn: conn, raw: raw, ifi: ifi}, nil
}

// gone adds ErrNoInterface to the kernel's ways to say that an interface is no more.
func gone(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%w: %w", ErrNoInterface, err)
	}
	return err
}

// ReadFrame reads with recvfrom itself: packet.Conn.ReadFrom keeps the direction of a frame to itself.
func (s *packetSocket) ReadFrame(buf []byte) (n int, own bool, err error) {
	var from unix.Sockaddr
	waitErr := s.raw.Read(func(fd uintptr) bool {
		n, from, err = recvFrom(int(fd), buf)
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr != nil {
		return 0, false, waitErr
	}
	if err != nil {
		return 0, false, gone(os.NewSyscallError("recvfrom", err))
	}
	return n, s.sentByUs(buf[:n], from), nil
}

func recvFrom(fd int, buf []byte) (int, unix.Sockaddr, error) {
	for {
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return n, from, err
		}
	}
}

// sentByUs reports whether this host made a frame: it went out, and bears the interface's own address. Going out is not
// enough, since a port of a bridge also sends what came in on another; nor is the address, which anybody can write.
func (s *packetSocket) sentByUs(frame []byte, from unix.Sockaddr) bool {
	link, ok := from.(*unix.SockaddrLinklayer)
	if !ok || link.Pkttype != unix.PACKET_OUTGOING || len(frame) < 12 {
		return false
	}
	if bytes.Equal(frame[6:12], s.ifi.HardwareAddr) {
		return true
	}
	// A bridge takes a new address when its ports change.
	now, err := net.InterfaceByIndex(s.ifi.Index)
	if err != nil {
		return false
	}
	s.ifi = now
	return bytes.Equal(frame[6:12], s.ifi.HardwareAddr)
}

// Interrupt ends a wait with a deadline rather than by closing, so that no descriptor is reused under a reader.
func (s *packetSocket) Interrupt() {
	// The only error is that the socket is closed already, and then nothing waits.
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// Close frees the socket.
func (s *packetSocket) Close() error { return s.conn.Close() }
