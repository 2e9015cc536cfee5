package acceptance

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/dhcpv6/nclient6"
	"golang.org/x/sys/unix"
)

// client is a device's DHCP client: BusyBox's for IPv4, and for IPv6 one of a library, since no program lets a test say when.
type client interface {
	boot()               // a lease, with the URL
	release()            // gives it back; the device goes on using the address
	shorten(seconds int) // lets our server give the same lease for so long only
}

// client gives a device a lease of a family, and announces url.
func (l *lab) client(d *device, url string, f family) (c client) {
	l.Helper()
	if f.six {
		c = l.newClient6(d, url)
	} else {
		c = &client4{l, d, url}
	}
	c.boot()
	return c
}

type client4 struct {
	*lab
	d   *device
	url string
}

func (c *client4) boot() {
	c.Helper()
	if c.d.client != nil {
		c.d.client.kill()
	}
	c.udhcpc(c.d, c.url)
}

func (c *client4) release() {
	c.Helper()
	c.d.client.signal(c.T, syscall.SIGUSR2)
}

func (c *client4) shorten(seconds int) {
	c.Helper()
	c.answer4(c.d, dhcpv4.MessageTypeAck, dhcpv4.WithYourIP(net.ParseIP(c.d.addr)), dhcpv4.WithLeaseTime(uint32(seconds)))
}

// answer4 is a message of our DHCP server.
func (l *lab) answer4(d *device, kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) {
	l.Helper()
	mac, err := net.ParseMAC(d.mac)
	if err != nil {
		l.Fatal(err)
	}
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(mac), dhcpv4.WithMessageType(kind),
		dhcpv4.WithServerIP(net.ParseIP(d.gateway)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(d.gateway)))}, mods...)...)
	if err != nil {
		l.Fatal(err)
	}
	m.OpCode = dhcpv4.OpcodeBootReply
	l.say(d.gateway+":67", func(net.Interface) *net.UDPAddr { return &net.UDPAddr{IP: net.ParseIP(d.addr), Port: 68} }, m.ToBytes())
}

// say sends a datagram from a port that the DHCP server has open too.
func (l *lab) say(from string, to func(net.Interface) *net.UDPAddr, raw []byte) {
	l.Helper()
	err := l.gw.do(func() error {
		lan, err := net.InterfaceByName(l.lan[0])
		if err != nil {
			return err
		}
		shared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
			inner := c.Control(func(fd uintptr) {
				err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
					unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
			})
			return errors.Join(inner, err)
		}}
		conn, err := shared.ListenPacket(context.Background(), "udp", from)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.WriteTo(raw, to(*lan))
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
}

type client6 struct {
	*lab
	d     *device
	url   string
	conn  *nclient6.Client
	lease *dhcpv6.Message
}

func (l *lab) newClient6(d *device, url string) *client6 {
	l.Helper()
	c := &client6{lab: l, d: d, url: url}
	err := d.do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		// The zone as a number: Go remembers the names of other namespaces.
		servers := &net.UDPAddr{IP: dhcpv6.AllDHCPRelayAgentsAndServers, Port: dhcpv6.DefaultServerPort, Zone: strconv.Itoa(eth0.Index)}
		pc, err := net.ListenUDP("udp6", &net.UDPAddr{Port: dhcpv6.DefaultClientPort})
		if err != nil {
			return err
		}
		c.conn, err = nclient6.NewWithConn(pc, eth0.HardwareAddr, nclient6.WithBroadcastAddr(servers), nclient6.WithTimeout(time.Second), nclient6.WithRetry(10))
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { c.conn.Close() })
	return c
}

func (c *client6) boot() {
	c.Helper()
	url := dhcpv6.WithOption(&dhcpv6.OptionGeneric{OptionCode: 112, OptionData: []byte(c.url)})
	offer, err := c.conn.Solicit(context.Background(), url)
	if err == nil {
		c.lease, err = c.conn.Request(context.Background(), offer, url)
	}
	if err != nil {
		c.fatal("DHCPv6: %v", err)
	}
	addr := c.lease.Options.OneIANA().Options.OneAddress()
	if addr == nil {
		c.fatal("DHCPv6: no address in %s", c.lease.Summary())
	}
	if was := c.d.addr6; was != addr.IPv6Addr.String() { // the route to the LAN goes with the last address
		c.d.addr6 = addr.IPv6Addr.String()
		c.d.in(c.T, "ip addr add "+c.d.addr6+"/64 dev eth0 nodad; ip addr del "+was+"/64 dev eth0")
	}
}

// about is a message about the lease.
func (c *client6) about(kind dhcpv6.MessageType) *dhcpv6.Message {
	c.Helper()
	m, err := dhcpv6.NewMessage(dhcpv6.WithOption(dhcpv6.OptClientID(c.lease.Options.ClientID())),
		dhcpv6.WithOption(dhcpv6.OptServerID(c.lease.Options.ServerID())), dhcpv6.WithOption(c.lease.Options.OneIANA()))
	if err != nil {
		c.Fatal(err)
	}
	m.MessageType = kind
	return m
}

func (c *client6) release() {
	c.Helper()
	answered := nclient6.IsMessageType(dhcpv6.MessageTypeReply)
	if _, err := c.conn.SendAndRead(context.Background(), c.conn.RemoteAddr(), c.about(dhcpv6.MessageTypeRelease), answered); err != nil {
		c.fatal("DHCPv6 release: %v", err)
	}
}

func (c *client6) shorten(seconds int) {
	c.Helper()
	short := time.Duration(seconds) * time.Second
	m := c.about(dhcpv6.MessageTypeReply)
	a := m.Options.OneIANA().Options.OneAddress()
	a.PreferredLifetime, a.ValidLifetime = short, short
	mac, err := net.ParseMAC(c.d.mac)
	if err != nil {
		c.Fatal(err)
	}
	host := net.IP{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
	c.say("[::]:547", func(lan net.Interface) *net.UDPAddr {
		return &net.UDPAddr{IP: host, Port: 546, Zone: strconv.Itoa(lan.Index)}
	}, m.ToBytes())
}

// lldp sends one LLDPDU with the TLV of RFC 8520 section 12.
func (l *lab) lldp(d *device, url string) {
	l.Helper()
	mac, err := net.ParseMAC(d.mac)
	if err != nil {
		l.Fatal(err)
	}
	tlv := func(kind byte, value ...byte) []byte {
		return append([]byte{kind<<1 | byte(len(value)>>8), byte(len(value))}, value...)
	}
	frame := append([]byte{0x01, 0x80, 0xc2, 0, 0, 0x0e}, mac...)
	frame = append(frame, 0x88, 0xcc)
	for _, t := range [][]byte{tlv(1, append([]byte{4}, mac...)...), tlv(2, append([]byte{3}, mac...)...), tlv(3, 0, 120),
		tlv(127, append([]byte{0, 0, 0x5e, 1}, url...)...), tlv(0)} {
		frame = append(frame, t...)
	}
	err = d.do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: eth0.Index})
	})
	if err != nil {
		l.Fatal(err)
	}
}

// sticker is the text of a QR code (RFC 9238).
func sticker(url, mac string) string {
	return "[)>\x1e06\x1d12NB000Lumen\x1fB001Lamp\x1fB002Lamp One\x1fM180" + url + "\x1fM06C" + mac + "\x1f\x1e\x04"
}

// certificate writes a device certificate with id-pe-mud-url (RFC 8520 section 11).
func (l *lab) certificate(d *device, url string) string {
	l.Helper()
	conf := l.file("cert.cnf", "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=Lamp\n"+
		"[v3]\n1.3.6.1.5.5.7.1.25=ASN1:IA5STRING:"+url+"\n", 0o644)
	path := filepath.Join(l.dir, strings.ReplaceAll(d.mac, ":", "")+".pem")
	shell(l.T, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "+os.DevNull+" -config "+conf+" -out "+path+" 2>&1")
	return path
}
