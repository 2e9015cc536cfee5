package listen

import "golang.org/x/net/bpf"

// frameFilter is the program that the kernel runs on each frame of the interface, so that a busy LAN costs us nothing:
// unfragmented UDP over IPv4 from or to the DHCP ports passes (RFC 2131 section 4.1).
func frameFilter() []bpf.Instruction {
	return append(noVLAN(), dhcpOnly()...)
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
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0800, SkipTrue: 11}, // IPv4
		bpf.LoadAbsolute{Off: 23, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 17, SkipTrue: 9}, // UDP
		bpf.LoadAbsolute{Off: 20, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x3fff, SkipTrue: 7}, // a fragment, the first one too
		bpf.LoadMemShift{Off: 14},                                   // X = length of the IPv4 header
		bpf.LoadIndirect{Off: 14, Size: 2},                          // source port
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 67, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 68, SkipTrue: 4},
		bpf.LoadIndirect{Off: 16, Size: 2}, // destination port
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 67, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 68, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: frameSize},
	}
}
