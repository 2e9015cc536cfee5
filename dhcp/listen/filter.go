package listen

import (
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Filters are programs that the kernel runs on each frame, so that a busy LAN costs us nothing.

// dhcpFilter is for a socket for all protocols. It passes unfragmented UDP from or to the DHCP ports, over IPv4 (RFC 2131
// section 4.1) and over IPv6 without extension headers (RFC 8415 section 7.2).
func dhcpFilter() []bpf.Instruction { return append(noVLAN(), dhcpOnly()...) }

// ndFilter is for a socket for IPv6. It passes neighbour solicitations and advertisements (RFC 4861 section 4).
func ndFilter() []bpf.Instruction { return append(forUs(), ndOnly()...) }

// anyFilter passes all that a socket for one protocol hears.
func anyFilter() []bpf.Instruction { return append(forUs(), bpf.RetConstant{Val: frameSize}) }

// forUs drops frames to other hosts. The kernel says so also of those that carry a VLAN's tag, which it has taken off
// before it shows them to a socket for one protocol; see noVLAN.
func forUs() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
}

// noVLAN drops frames that carry a VLAN's tag, which the kernel keeps beside the frame: they are heard again, without
// it, on the VLAN's own interface. VLAN 0 only marks priority.
func noVLAN() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 4},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0fff},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
}

// dhcpOnly is the part that looks at the octets of the frame.
func dhcpOnly() []bpf.Instruction {
	v4 := slices.Concat([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 23, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 17, SkipTrue: 1}, // UDP
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 20, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: 0x3fff, SkipTrue: 1}, // no fragment, not the first one either
		bpf.RetConstant{Val: 0},
		bpf.LoadMemShift{Off: 14}, // X = length of the IPv4 header
		bpf.LoadIndirect{Off: 14, Size: 2},
	}, ports(67, 68), []bpf.Instruction{bpf.LoadIndirect{Off: 16, Size: 2}}, ports(67, 68), []bpf.Instruction{bpf.RetConstant{Val: 0}})
	v6 := slices.Concat([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 20, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 17, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 54, Size: 2},
	}, ports(546, 547), []bpf.Instruction{bpf.LoadAbsolute{Off: 56, Size: 2}}, ports(546, 547), []bpf.Instruction{bpf.RetConstant{Val: 0}})
	return slices.Concat([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0800, SkipTrue: uint8(len(v4))},
	}, v4, []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x86dd, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}, v6)
}

// ports passes the frame if the port that was loaded is one of two.
func ports(a, b uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: a, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: b, SkipTrue: 1},
		bpf.RetConstant{Val: frameSize},
	}
}

func ndOnly() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 20, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 58, SkipTrue: 4}, // ICMPv6
		bpf.LoadAbsolute{Off: 54, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 135, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 136, SkipTrue: 1},
		bpf.RetConstant{Val: frameSize},
		bpf.RetConstant{Val: 0},
	}
}
