package kernel

import (
	"bytes"
	"fmt"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

// reg32 is the first of the registers of four octets (NFT_REG32_00); reg is the same as the first four of them.
const reg32 = 8

// masked compares what is in the register with value, where mask says.
func (e *encoder) masked(mask, value []byte) {
	if bytes.Count(mask, []byte{0xff}) < len(mask) {
		e.mask(mask, make([]byte, len(mask)))
	}
	e.cmp(expr.CmpOpEq, value)
}

func (e *encoder) field(x enforcer.HeaderField) error {
	base := expr.PayloadBaseTransportHeader
	switch x.Header {
	case enforcer.HeaderIPv4, enforcer.HeaderIPv6:
		base = expr.PayloadBaseNetworkHeader
		e.needL3(x.Header == enforcer.HeaderIPv6)
	case enforcer.HeaderTCP:
		e.needL4(unix.IPPROTO_TCP)
	case enforcer.HeaderUDP:
		e.needL4(unix.IPPROTO_UDP)
	default:
		return fmt.Errorf("kernel: unknown header %q", x.Header)
	}
	at, mask, value := x.Octets()
	e.payload(base, uint32(at), uint32(len(mask)))
	e.masked(mask, value)
	return nil
}

// claim loads the address that a packet says is its sender's, with the frame's source before it where pair.
func (e *encoder) claim(of enforcer.ClaimKind, pair bool) {
	if pair {
		e.needEther()
	}
	base, off, length := expr.PayloadBaseNetworkHeader, uint32(offARPSender), uint32(4)
	switch of {
	case enforcer.ClaimARP:
		if e.l3 != l3ARP {
			e.headerType(unix.ETH_P_ARP)
			e.l3 = l3ARP
		}
	case enforcer.ClaimND: // in a chain that only neighbour advertisements come to
		base, off, length = expr.PayloadBaseTransportHeader, offNDTarget, 16
	default:
		v6 := of == enforcer.ClaimIPv6
		e.needL3(v6)
		off, length = addrField(v6, false)
	}
	at := uint32(reg)
	if pair {
		e.payload(expr.PayloadBaseLLHeader, offEtherSrc, 6)
		at = reg32 + 2
	}
	e.put(&expr.Payload{DestRegister: at, Base: base, Offset: off, Len: length})
}

// asked loads the key of a question to a group, or that by which its answer is looked up: an address and two ports.
func (e *encoder) asked(by enforcer.KeyType, answer bool) {
	base, off, length := expr.PayloadBaseLLHeader, uint32(offEtherSrc), uint32(6)
	switch {
	case by != enforcer.TypeMACPorts:
		base = expr.PayloadBaseNetworkHeader
		off, length = addrField(by == enforcer.TypeIPv6Ports, answer)
		e.needL3(by == enforcer.TypeIPv6Ports)
	case answer:
		off = offEtherDst
	}
	e.needL4(unix.IPPROTO_UDP)
	first, second := uint32(0), uint32(2) // source and destination port
	if answer {
		first, second = second, first
	}
	next := reg32 + (length+3)/4
	e.payload(base, off, length)
	e.put(&expr.Payload{DestRegister: next, Base: expr.PayloadBaseTransportHeader, Offset: first, Len: 2},
		&expr.Payload{DestRegister: next + 1, Base: expr.PayloadBaseTransportHeader, Offset: second, Len: 2})
}
