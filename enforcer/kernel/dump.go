package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

// errTorn says that the ruleset changed while it was dumped (NLM_F_DUMP_INTR, N6).
var errTorn = errors.New("the ruleset changed while it was read")

// reader dumps nftables objects. The library's own lists neither tell torn dumps nor decode verdict maps.
type reader struct {
	nl   *netlink.Conn
	torn bool
}

func (n *Nft) reader() (*reader, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: n.opt.NetNS})
	if err != nil {
		return nil, fmt.Errorf("opening netlink: %w", err)
	}
	if err := nl.SetReadBuffer(learnBuffer); err != nil {
		return nil, errors.Join(err, nl.Close())
	}
	return &reader{nl: nl}, nil
}

// generation is the number of the ruleset's last change in this namespace, whoever made it.
func (n *Nft) generation() (uint32, error) {
	r, err := n.reader()
	if err != nil {
		return 0, err
	}
	defer r.nl.Close()
	return r.generation()
}

func (r *reader) generation() (uint32, error) {
	var gen uint32
	err := r.get(unix.NFT_MSG_GETGEN, unix.AF_UNSPEC, 0, nil, func(_ byte, ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if ad.Type() == unix.NFTA_GEN_ID {
				gen = ad.Uint32()
			}
		}
		return ad.Err()
	})
	return gen, err
}

// dump asks for all objects of a kind and hands each to fn.
func (r *reader) dump(kind uint16, f enforcer.TableFamily, attrs []netlink.Attribute,
	fn func(family byte, ad *netlink.AttributeDecoder) error) error {
	return r.get(kind, byte(tableFamily(f)), netlink.Dump, attrs, fn)
}

func (r *reader) get(kind uint16, family byte, flags netlink.HeaderFlags, attrs []netlink.Attribute,
	fn func(family byte, ad *netlink.AttributeDecoder) error) error {
	if err := r.nl.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	body, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	req, err := r.nl.Send(netlink.Message{
		Header: netlink.Header{Type: nftType(kind), Flags: netlink.Request | flags},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, body...),
	})
	if err != nil {
		return err
	}
	var bad error
	// All messages are read, also after an error: an aborted dump makes the next one fail with EBUSY (N6).
	for m, err := range r.nl.ReceiveIter() {
		if err != nil {
			return errors.Join(bad, err)
		}
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			r.torn = true
		}
		if bad == nil && m.Header.Sequence == req.Header.Sequence && len(m.Data) >= 4 {
			bad = decode(m.Data, fn)
		}
	}
	return bad
}

func decode(data []byte, fn func(byte, *netlink.AttributeDecoder) error) error {
	ad, err := netlink.NewAttributeDecoder(data[4:])
	if err != nil {
		return err
	}
	ad.ByteOrder = binary.BigEndian
	return fn(data[0], ad)
}

func nftType(kind uint16) netlink.HeaderType {
	return netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind)
}

func stringAttr(kind uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(s), 0)}
}

// nested decodes the attributes inside the current one, in network byte order.
func nested(b []byte, fn func(ad *netlink.AttributeDecoder) error) error {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return err
	}
	ad.ByteOrder = binary.BigEndian
	return fn(ad)
}

// udata finds an entry of the kind in user data, which is a list of (kind, length, value) that anyone may have written.
func udata(b []byte, kind byte) (string, bool) {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		value := b[2 : 2+int(b[1])]
		if b[0] == kind {
			if n := len(value); n > 0 && value[n-1] == 0 {
				value = value[:n-1]
			}
			return string(value), true
		}
		b = b[2+int(b[1]):]
	}
	return "", false
}
