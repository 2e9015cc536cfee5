package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

func logExpr(x enforcer.Log) expr.Any {
	return &expr.Log{
		Key:     1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_PREFIX,
		Group:   x.Group,
		Snaplen: logSnapLen,
		Data:    []byte(x.Prefix),
	}
}

// queueExpr gives the native statement or, where the kernel has no nft_queue, struct xt_NFQ_info_v3 of the xt target
// NFQUEUE: queue, number of queues, flags (1: bypass), padded to eight bytes.
func queueExpr(x enforcer.Queue) expr.Any {
	if !x.XT {
		return &expr.Queue{Num: x.Num, Total: 1, Flag: expr.QueueFlagBypass}
	}
	info := make([]byte, 8)
	binary.NativeEndian.PutUint16(info[0:], x.Num)
	binary.NativeEndian.PutUint16(info[2:], 1)
	binary.NativeEndian.PutUint16(info[4:], 1)
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: (*xt.Unknown)(&info)}
}

func verdictExpr(v enforcer.Verdict) (*expr.Verdict, error) {
	kinds := map[enforcer.VerdictKind]expr.VerdictKind{
		enforcer.VerdictAccept: expr.VerdictAccept, enforcer.VerdictDrop: expr.VerdictDrop,
		enforcer.VerdictReturn: expr.VerdictReturn, enforcer.VerdictJump: expr.VerdictJump,
		enforcer.VerdictGoto: expr.VerdictGoto,
	}
	k, ok := kinds[v.Kind]
	if !ok {
		return nil, fmt.Errorf("kernel: unknown verdict %q", v.Kind)
	}
	return &expr.Verdict{Kind: k, Chain: v.Chain}, nil
}

func eqOr(not bool) expr.CmpOp {
	if not {
		return expr.CmpOpNeq
	}
	return expr.CmpOpEq
}

func l3Of(v6 bool) l3 {
	if v6 {
		return l3IPv6
	}
	return l3IPv4
}

func etherTypeOf(v6 bool) uint16 {
	if v6 {
		return unix.ETH_P_IPV6
	}
	return unix.ETH_P_IP
}

func nfprotoOf(v6 bool) byte {
	if v6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

func addrField(v6, dst bool) (offset, length uint32) {
	switch {
	case v6 && dst:
		return offIP6Dst, 16
	case v6:
		return offIP6Src, 16
	case dst:
		return offIP4Dst, 4
	}
	return offIP4Src, 4
}

func maskBytes(length, bits int) []byte {
	m := make([]byte, length)
	for i := range bits {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}

func big16(v uint16) []byte    { return binary.BigEndian.AppendUint16(nil, v) }
func native16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func tableFamily(f enforcer.TableFamily) nftables.TableFamily {
	if f == enforcer.Bridge {
		return nftables.TableFamilyBridge
	}
	return nftables.TableFamilyINet
}
