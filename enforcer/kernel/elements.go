package kernel

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

// entry is one element as the kernel lists it; an interval is two of them.
type entry struct {
	key  []byte
	end  bool
	elem enforcer.Element
}

// bigSet is from where on a hash table may be resizing after it was filled. A dump then misses elements, with no
// mark on it (tried here: some hundred of 20 000).
const bigSet = 256

func (n *Nft) elements(f enforcer.TableFamily, s *enforcer.Set) (map[enforcer.Key]enforcer.Element, error) {
	r, err := n.reader()
	if err != nil {
		return nil, err
	}
	defer r.nl.Close()
	return r.stableElements(f, s)
}

// stableElements reads a set until it is whole: no torn dump, and as many elements as the time before. Sets with
// timeouts change all the time, by themselves and by learning, and no policy depends on having read all of them.
func (r *reader) stableElements(f enforcer.TableFamily, s *enforcer.Set) (map[enforcer.Key]enforcer.Element, error) {
	last := -1
	for try := range readTries {
		torn := r.torn
		r.torn = false
		out, err := r.elements(f, s)
		if err != nil {
			return nil, err
		}
		whole := !r.torn && (len(out) < bigSet || len(out) == last)
		r.torn = torn
		if whole || s.HasTTL {
			return out, nil
		}
		last = len(out)
		time.Sleep(time.Millisecond << try)
	}
	r.torn = true
	return nil, errTorn
}

func (r *reader) elements(f enforcer.TableFamily, s *enforcer.Set) (map[enforcer.Key]enforcer.Element, error) {
	var entries []entry
	attrs := []netlink.Attribute{
		stringAttr(unix.NFTA_SET_ELEM_LIST_TABLE, enforcer.TableName),
		stringAttr(unix.NFTA_SET_ELEM_LIST_SET, s.Name),
	}
	err := r.dump(unix.NFT_MSG_GETSETELEM, f, attrs, func(_ byte, ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if ad.Type() == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				if err := nested(ad.Bytes(), func(ad *netlink.AttributeDecoder) error { return readEntries(&entries, ad) }); err != nil {
					return err
				}
			}
		}
		return ad.Err()
	})
	if err != nil {
		return nil, err
	}
	if s.Interval {
		return foldIntervals(entries), nil
	}
	out := make(map[enforcer.Key]enforcer.Element, len(entries))
	for _, e := range entries {
		if k, ok := decodeKey(s.Key, e.key); ok {
			out[k] = e.elem
		}
	}
	return out, nil
}

func readEntries(out *[]entry, ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		var e entry
		if err := nested(ad.Bytes(), e.read); err != nil {
			return err
		}
		*out = append(*out, e)
	}
	return ad.Err()
}

func (e *entry) read(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		var err error
		switch ad.Type() {
		case unix.NFTA_SET_ELEM_KEY:
			err = nested(ad.Bytes(), e.readKey)
		case unix.NFTA_SET_ELEM_DATA:
			err = nested(ad.Bytes(), e.readData)
		case unix.NFTA_SET_ELEM_FLAGS:
			e.end = ad.Uint32()&unix.NFT_SET_ELEM_INTERVAL_END != 0
		case unix.NFTA_SET_ELEM_EXPIRATION:
			e.elem.Timeout = time.Duration(ad.Uint64()) * time.Millisecond
		case unix.NFTA_SET_ELEM_USERDATA:
			e.elem.Comment, _ = udata(ad.Bytes(), byte(userdata.NFTNL_UDATA_SET_ELEM_COMMENT))
		}
		if err != nil {
			return err
		}
	}
	return ad.Err()
}

func (e *entry) readKey(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() == unix.NFTA_DATA_VALUE {
			e.key = slices.Clone(ad.Bytes())
		}
	}
	return ad.Err()
}

func (e *entry) readData(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() == unix.NFTA_DATA_VERDICT {
			if err := nested(ad.Bytes(), e.readVerdict); err != nil {
				return err
			}
		}
	}
	return ad.Err()
}

func (e *entry) readVerdict(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_VERDICT_CODE:
			e.elem.Verdict.Kind = verdictKind(int32(ad.Uint32()))
		case unix.NFTA_VERDICT_CHAIN:
			e.elem.Verdict.Chain = ad.String()
		}
	}
	return ad.Err()
}

func verdictKind(code int32) enforcer.VerdictKind {
	switch expr.VerdictKind(code) {
	case expr.VerdictAccept:
		return enforcer.VerdictAccept
	case expr.VerdictDrop:
		return enforcer.VerdictDrop
	case expr.VerdictReturn:
		return enforcer.VerdictReturn
	case expr.VerdictJump:
		return enforcer.VerdictJump
	case expr.VerdictGoto:
		return enforcer.VerdictGoto
	}
	return "unknown"
}

func decodeKey(t enforcer.KeyType, b []byte) (enforcer.Key, bool) {
	var k enforcer.Key
	switch {
	case t == enforcer.TypeMACIPv4 && len(b) == 8+4, t == enforcer.TypeMACIPv6 && len(b) == 8+16:
		copy(k.MAC[:], b)
		k.Addr, _ = netip.AddrFromSlice(b[8:])
	case concatenated(t) && len(b) > 8:
		who, ports := b[:len(b)-8], b[len(b)-8:]
		if t == enforcer.TypeMACPorts {
			who = bytes.TrimSuffix(who, []byte{0, 0})
		}
		k, ok := decodeKey(addressOf(t), who)
		k.Sport, k.Dport = binary.BigEndian.Uint16(ports), binary.BigEndian.Uint16(ports[4:])
		return k, ok
	case t == enforcer.TypeMAC && len(b) == len(k.MAC):
		copy(k.MAC[:], b)
	case t == enforcer.TypeIfname:
		k.Name, _, _ = strings.Cut(string(b), "\x00")
	case t == enforcer.TypeIPv4 && len(b) == 4, t == enforcer.TypeIPv6 && len(b) == 16:
		k.Addr, _ = netip.AddrFromSlice(b)
	default:
		return k, false
	}
	return k, true
}

// foldIntervals makes ranges of starts and ends. The kernel lists them in no useful order; at one address the end of
// a range comes before the start of the next. nft leaves out the end of a range that another follows at once, and all
// leave it out where the range ends with the last address.
func foldIntervals(entries []entry) map[enforcer.Key]enforcer.Element {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(slices.Compare(a.key, b.key), cmp.Compare(boolInt(b.end), boolInt(a.end)))
	})
	out := map[enforcer.Key]enforcer.Element{}
	var open *entry
	var start netip.Addr
	shut := func(last netip.Addr) {
		if open != nil {
			out[enforcer.Key{Addr: start, End: last}] = open.elem
			open = nil
		}
	}
	for i := range entries {
		addr, ok := netip.AddrFromSlice(entries[i].key)
		if !ok {
			continue
		}
		shut(addr.Prev())
		if !entries[i].end {
			open, start = &entries[i], addr
		}
	}
	shut(lastAddr(start))
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func lastAddr(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	for i := range b {
		b[i] = 0xff
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}
