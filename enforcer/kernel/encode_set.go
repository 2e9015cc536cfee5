package kernel

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"

	"mudguard/enforcer"
)

// Bounds of one NFT_MSG_NEWSETELEM: google/nftables v0.3.0 silently wraps the 16-bit length of the element list (N1).
const (
	maxChunkElements = 1000
	maxChunkBytes    = 32 << 10
	ifnameLen        = 16 // IFNAMSIZ: a shorter key would match as a prefix
)

func setDatatype(k enforcer.KeyType) (nftables.SetDatatype, error) {
	switch k {
	case enforcer.TypeMAC:
		return nftables.TypeEtherAddr, nil
	case enforcer.TypeIPv4:
		return nftables.TypeIPAddr, nil
	case enforcer.TypeIPv6:
		return nftables.TypeIP6Addr, nil
	case enforcer.TypeIfname:
		return nftables.TypeIFName, nil
	case enforcer.TypeMACIPv4:
		return nftables.ConcatSetType(nftables.TypeEtherAddr, nftables.TypeIPAddr)
	case enforcer.TypeMACIPv6:
		return nftables.ConcatSetType(nftables.TypeEtherAddr, nftables.TypeIP6Addr)
	case enforcer.TypeMACPorts:
		return nftables.ConcatSetType(nftables.TypeEtherAddr, nftables.TypeInetService, nftables.TypeInetService)
	case enforcer.TypeIPv4Ports:
		return nftables.ConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService, nftables.TypeInetService)
	case enforcer.TypeIPv6Ports:
		return nftables.ConcatSetType(nftables.TypeIP6Addr, nftables.TypeInetService, nftables.TypeInetService)
	}
	return nftables.SetDatatype{}, fmt.Errorf("kernel: unknown key type %q", k)
}

// encodeSet gives the set without its elements. The id only has to be unique in the transaction; it is ours, since
// the library's own counter is global and unguarded.
func encodeSet(t *nftables.Table, s *enforcer.Set, id uint32) (*nftables.Set, error) {
	key, err := setDatatype(s.Key)
	if err != nil {
		return nil, err
	}
	out := &nftables.Set{
		Table: t, ID: id, Name: s.Name, KeyType: key, IsMap: s.Map,
		Interval: s.Interval, Dynamic: s.Dynamic, HasTimeout: s.HasTTL, Timeout: s.Timeout,
		Size: s.Size, Comment: s.Comment,
	}
	if s.Key == enforcer.TypeIfname {
		out.KeyByteOrder = binaryutil.NativeEndian // else nft lists the names reversed
	}
	if s.Map {
		out.DataType = nftables.TypeVerdict
	}
	return out, nil
}

func concatenated(t enforcer.KeyType) bool { return addressOf(t) != t }

// addressOf is the type of what a key begins with.
func addressOf(t enforcer.KeyType) enforcer.KeyType {
	switch t {
	case enforcer.TypeMACPorts:
		return enforcer.TypeMAC
	case enforcer.TypeIPv4Ports:
		return enforcer.TypeIPv4
	case enforcer.TypeIPv6Ports:
		return enforcer.TypeIPv6
	}
	return t
}

// encodeKey is the key as the kernel has it.
func encodeKey(t enforcer.KeyType, k enforcer.Key) ([]byte, error) {
	switch {
	case t == enforcer.TypeMACIPv4 && k.Addr.Is4(), t == enforcer.TypeMACIPv6 && k.Addr.Is6() && !k.Addr.Is4In6():
		return append(append(k.MAC[:], 0, 0), k.Addr.AsSlice()...), nil
	case concatenated(t):
		who, err := encodeKey(addressOf(t), k)
		if err != nil {
			return nil, err
		}
		for _, part := range [][]byte{nil, big16(k.Sport), big16(k.Dport)} { // each begins at a register of four octets
			who = append(who, part...)
			who = append(who, make([]byte, -len(who)&3)...)
		}
		return who, nil
	case t == enforcer.TypeMAC:
		return k.MAC[:], nil
	case t == enforcer.TypeIPv4 && k.Addr.Is4(), t == enforcer.TypeIPv6 && k.Addr.Is6() && !k.Addr.Is4In6():
		return k.Addr.AsSlice(), nil
	case t == enforcer.TypeIfname && len(k.Name) > 0 && len(k.Name) < ifnameLen:
		b := make([]byte, ifnameLen)
		copy(b, k.Name)
		return b, nil
	}
	return nil, fmt.Errorf("kernel: key %+v is no %s", k, t)
}

// encodeElement gives the one or, in interval sets, two entries that hold an element. Where the range ends with the
// last address there is, no end entry follows.
func encodeElement(s *enforcer.Set, k enforcer.Key, e enforcer.Element, del bool) ([]nftables.SetElement, error) {
	key, err := encodeKey(s.Key, k)
	if err != nil {
		return nil, fmt.Errorf("set %s: %w", s.Name, err)
	}
	out := []nftables.SetElement{{Key: key}}
	if !del {
		out[0].Timeout, out[0].Comment = e.Timeout, e.Comment
		if s.Map {
			if out[0].VerdictData, err = verdictExpr(e.Verdict); err != nil {
				return nil, fmt.Errorf("map %s: %w", s.Name, err)
			}
		}
	}
	if !s.Interval {
		return out, nil
	}
	last := k.End
	if !last.IsValid() || last.Less(k.Addr) || last.Is4() != k.Addr.Is4() {
		return nil, fmt.Errorf("kernel: set %s: range %s-%s", s.Name, k.Addr, last)
	}
	if end := last.Next(); end.IsValid() {
		out = append(out, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
	}
	return out, nil
}

// encodeElements gives the elements in order, in chunks that are safe to send (N1).
func encodeElements(se enforcer.SetElements, del bool) ([][]nftables.SetElement, error) {
	var chunks [][]nftables.SetElement
	var chunk []nftables.SetElement
	size := 0
	for _, k := range enforcer.SortedElements(se.Elements) {
		entries, err := encodeElement(se.Set, k, se.Elements[k], del)
		if err != nil {
			return nil, err
		}
		n := 0
		for i := range entries {
			n += entrySize(&entries[i])
		}
		if len(chunk) > 0 && (len(chunk)+len(entries) > maxChunkElements || size+n > maxChunkBytes) {
			chunks, chunk, size = append(chunks, chunk), nil, 0
		}
		chunk, size = append(chunk, entries...), size+n
	}
	if len(chunk) > 0 {
		chunks = append(chunks, chunk)
	}
	return chunks, nil
}

// entrySize is an upper bound of the encoded size: attribute headers, flags, timeout and padding come to less than 64.
func entrySize(e *nftables.SetElement) int {
	n := 64 + len(e.Key) + len(e.Comment)
	if e.VerdictData != nil {
		n += 32 + len(e.VerdictData.Chain)
	}
	return n
}
