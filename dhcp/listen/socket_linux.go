package listen

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// openSockets opens the sockets of an interface, that for DHCP first. The kernel asks their filters only about frames of
// their protocol. What this host itself sends, of which ARP and neighbour discovery need no attention, it shows to none
// that is for one protocol.
func openSockets(ifi *net.Interface) (all []Socket, err error) {
	defer func() {
		if err != nil {
			err, all = errors.Join(err, closeAll(all)), nil
		}
	}()
	for _, o := range []struct {
		protocol int
		filter   []bpf.Instruction
	}{{unix.ETH_P_ALL, dhcpFilter()}, {unix.ETH_P_ARP, anyFilter()}, {unix.ETH_P_IPV6, ndFilter()}} {
		s, err := openPacketSocket(ifi, o.protocol, o.filter)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	s, err := openLLDP(ifi)
	if err != nil {
		return all, err
	}
	return append(all, s), nil
}

// packetSocket is an AF_PACKET socket on one interface (packet(7)).
type packetSocket struct {
	conn *packet.Conn
	raw  syscall.RawConn
	ifi  *net.Interface
}

// openPacketSocket listens for one protocol, or for all: frames that this host sends, its DHCP server's answers among
// them, are only shown to sockets for all. The filter is attached before the socket is bound, so no other frame gets in.
func openPacketSocket(ifi *net.Interface, protocol int, filter []bpf.Instruction) (*packetSocket, error) {
	program, err := bpf.Assemble(filter)
	if err != nil {
		return nil, fmt.Errorf("assembling a frame filter: %w", err)
	}
	conn, err := packet.Listen(ifi, packet.Raw, protocol, &packet.Config{Filter: program})
	if err != nil {
		return nil, gone(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := raw.Control(moreRoom); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &packetSocket{conn: conn, raw: raw, ifi: ifi}, nil
}

// room is for a house whose power comes back: some thousand frames at the same moment (F15). Memory is taken only as it is used.
const room = 4 << 20

// moreRoom asks for it beyond what is usual, or as much of it as is. A socket with less works too.
func moreRoom(fd uintptr) {
	if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, room)
	}
}

// gone adds ErrNoInterface to the kernel's ways to say that an interface is no more.
func gone(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%w: %w", ErrNoInterface, err)
	}
	return err
}

// ReadFrame waits for a frame.
func (s *packetSocket) ReadFrame(buf []byte) (n int, own bool, err error) {
	n, link, err := s.receive(buf)
	if err != nil {
		return 0, false, err
	}
	return n, s.sentByUs(buf[:n], link), nil
}

// receive reads with recvfrom itself: packet.Conn.ReadFrom keeps direction and interface of a frame to itself.
func (s *packetSocket) receive(buf []byte) (n int, link *unix.SockaddrLinklayer, err error) {
	var from unix.Sockaddr
	waitErr := s.raw.Read(func(fd uintptr) bool {
		n, from, err = recvFrom(int(fd), buf)
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr != nil {
		return 0, nil, waitErr
	}
	if err != nil {
		return 0, nil, gone(os.NewSyscallError("recvfrom", err))
	}
	link, ok := from.(*unix.SockaddrLinklayer)
	if !ok {
		return 0, nil, fmt.Errorf("a packet socket gave an address of type %T", from)
	}
	return n, link, nil
}

func recvFrom(fd int, buf []byte) (int, unix.Sockaddr, error) {
	for {
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			return n, from, err
		}
	}
}

// sentByUs reports whether this host made a frame: it went out, with the interface's own Ethernet address and an IP
// address of this interface. Going out is not enough, since a port of a bridge also sends what came in on another; nor is the
// Ethernet address, which anybody can write; and a router's own is on whatever it forwards. Nor would the IP address be where
// the enforcer did not see to it that nothing is forwarded from it.
func (s *packetSocket) sentByUs(frame []byte, link *unix.SockaddrLinklayer) bool {
	if link.Pkttype != unix.PACKET_OUTGOING || len(frame) < 12 {
		return false
	}
	if !bytes.Equal(frame[6:12], s.ifi.HardwareAddr) {
		// A bridge takes a new address when its ports change.
		now, err := net.InterfaceByIndex(s.ifi.Index)
		if err != nil || !bytes.Equal(frame[6:12], now.HardwareAddr) {
			return false
		}
		s.ifi = now
	}
	addrs, err := s.ifi.Addrs()
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == source(frame)
	})
}

// source is the address from which an IP packet comes, if the frame is one.
func source(frame []byte) netip.Addr {
	switch {
	case len(frame) >= 34 && frame[14]>>4 == 4:
		return netip.AddrFrom4([4]byte(frame[26:]))
	case len(frame) >= 54 && frame[14]>>4 == 6:
		return netip.AddrFrom16([16]byte(frame[22:]))
	}
	return netip.Addr{}
}

// Interrupt ends a wait with a deadline rather than by closing, so that no descriptor is reused under a reader.
func (s *packetSocket) Interrupt() {
	// The only error is that the socket is closed already, and then nothing waits.
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// Close frees the socket.
func (s *packetSocket) Close() error { return s.conn.Close() }
