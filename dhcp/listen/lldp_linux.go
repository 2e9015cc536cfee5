package listen

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxMasters bounds the way from an interface to a LAN: a member of a bond that is a port of a bridge.
const maxMasters = 4

// lldpSocket hears LLDP on the LAN interface and on the ports below it. A bridge forwards LLDP to nobody, not even to its
// own interface (IEEE 802.1Q section 8.6.3), so it must be heard on the ports, which come and go: the socket is bound to
// no interface, and looks whether that of a frame is of this LAN now.
type lldpSocket struct {
	*packetSocket
	lan   int             // index of the LAN interface
	links *netlink.Handle // stays in the network namespace in which it was opened
	ports map[int]bool    // by index: whether an interface is of this LAN
	end   time.Time       // of what ports says
}

func openLLDP(ifi *net.Interface) (*lldpSocket, error) {
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	s, err := openPacketSocket(&net.Interface{}, unix.ETH_P_LLDP, anyFilter())
	if err != nil {
		links.Close()
		return nil, err
	}
	out := &lldpSocket{packetSocket: s, lan: ifi.Index, links: links}
	if err := out.join(); err != nil {
		return nil, errors.Join(gone(err), out.Close())
	}
	return out, nil
}

// join has the network card let LLDP in (IEEE 802.1AB table 7-1). One that is a port of a bridge lets everything in.
func (s *lldpSocket) join() (err error) {
	controlErr := s.raw.Control(func(fd uintptr) {
		for _, last := range []uint8{0x0e, 0x03, 0x00} {
			group := unix.PacketMreq{Ifindex: int32(s.lan), Type: unix.PACKET_MR_MULTICAST, Alen: 6,
				Address: [8]uint8{0x01, 0x80, 0xc2, 0, 0, last}}
			err = errors.Join(err, unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &group))
		}
	})
	return errors.Join(controlErr, err)
}

// ReadFrame waits for a frame; one of another network is given as nothing.
func (s *lldpSocket) ReadFrame(buf []byte) (n int, own bool, err error) {
	n, link, err := s.receive(buf)
	if err != nil || !s.onLAN(link.Ifindex) {
		return 0, false, err
	}
	return n, false, nil
}

// onLAN reports whether an interface is the LAN's or below it. What was looked up holds for a second.
func (s *lldpSocket) onLAN(index int) bool {
	if now := time.Now(); !now.Before(s.end) {
		s.ports, s.end = map[int]bool{}, now.Add(time.Second)
	}
	lan, known := s.ports[index]
	if !known {
		var err error
		if lan, err = s.below(index); err == nil { // a lookup that failed says nothing of the next
			s.ports[index] = lan
		}
	}
	return lan
}

func (s *lldpSocket) below(index int) (bool, error) {
	for range maxMasters {
		if index == s.lan || index == 0 {
			return index != 0, nil
		}
		link, err := s.links.LinkByIndex(index)
		if err != nil {
			return false, err
		}
		index = link.Attrs().MasterIndex
	}
	return false, nil
}

// Close frees both sockets.
func (s *lldpSocket) Close() error {
	s.links.Close()
	return s.packetSocket.Close()
}
