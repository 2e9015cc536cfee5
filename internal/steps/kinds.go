//go:build linux && amd64

package steps

import (
	"golang.org/x/sys/unix"
)

// Kinds names the calls by which a program changes something that outlives it, or speaks with the kernel or others. It remembers
// what the program's sockets are.
type Kinds struct{ sockets map[string]string }

// Of gives the kind of a call, such as "send netfilter", "fsync" or "receive tcp"; "" for all others.
func (k *Kinds) Of(c *Call) string {
	switch c.Nr {
	case unix.SYS_FSYNC:
		return "fsync"
	case unix.SYS_RENAMEAT, unix.SYS_RENAME, unix.SYS_RENAMEAT2:
		return "rename"
	case unix.SYS_LINKAT:
		return "link"
	case unix.SYS_UNLINKAT:
		return "unlink"
	case unix.SYS_MKDIRAT:
		return "mkdir"
	case unix.SYS_OPENAT:
		if c.Args[2]&unix.O_CREAT != 0 {
			return "create"
		}
	case unix.SYS_SENDMSG, unix.SYS_SENDTO:
		return k.on("send", c)
	case unix.SYS_RECVMSG, unix.SYS_RECVFROM:
		return k.on("receive", c)
	case unix.SYS_CONNECT:
		return k.on("connect", c)
	case unix.SYS_READ:
		return k.on("receive", c)
	case unix.SYS_WRITE:
		if name := c.File(c.Args[0]); len(name) > 0 && name[0] == '/' && name != "/dev/null" {
			return "write"
		}
		return k.on("send", c)
	}
	return ""
}

func (k *Kinds) on(what string, c *Call) string {
	name := c.File(c.Args[0])
	if len(name) < 7 || name[:7] != "socket:" {
		return ""
	}
	kind, known := k.sockets[name]
	if !known {
		if k.sockets == nil {
			k.sockets = map[string]string{}
		}
		kind = socketKind(c.PID, int(c.Args[0]))
		k.sockets[name] = kind
	}
	if kind == "" {
		return ""
	}
	return what + " " + kind
}

// socketKind asks a copy of the program's socket what it is.
func socketKind(pid, fd int) string {
	mine, err := Steal(pid, fd)
	if err != nil {
		return ""
	}
	defer unix.Close(mine)
	domain, err1 := unix.GetsockoptInt(mine, unix.SOL_SOCKET, unix.SO_DOMAIN)
	proto, err2 := unix.GetsockoptInt(mine, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err1 != nil || err2 != nil {
		return ""
	}
	switch {
	case domain == unix.AF_NETLINK && proto == unix.NETLINK_NETFILTER:
		return "netfilter"
	case domain == unix.AF_NETLINK && proto == unix.NETLINK_ROUTE:
		return "route"
	case (domain == unix.AF_INET || domain == unix.AF_INET6) && proto == unix.IPPROTO_TCP:
		return "tcp"
	}
	return ""
}

// Steal gives a descriptor of our own for what a program has open.
func Steal(pid, fd int) (int, error) {
	p, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(p)
	return unix.PidfdGetfd(p, fd, 0)
}
