package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"mudguard/configs"
)

// confine gives up, for the whole process and for good, what the daemon does not need (T24): every capability but those for
// netlink and packet sockets, new privileges, other programs, and writing anywhere but below where its state and its socket are.
// What this kernel or build cannot do is logged, and the daemon runs without.
func confine(cfg configs.Config, log *slog.Logger) {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"no_new_privs", func() error { return everywhere(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0) }},
		{"Landlock", func() error { return writeOnlyBelow(cfg) }},
		{"capabilities", func() error { return keepCapabilities(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW) }},
		{"seccomp", refuseSyscalls},
	} {
		if err := step.do(); err != nil {
			log.Warn("the daemon keeps a right that it does not need", "what", step.what, "err", err)
		}
	}
}

// everywhere makes a system call in every thread, for settings that are a thread's. It needs a build without cgo, as ours are.
//
//go:uintptrescapes
func everywhere(trap, a1, a2, a3 uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, a3, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func keepCapabilities(keep ...uint) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have, want [2]unix.CapUserData
	if err := unix.Capget(&hdr, &have[0]); err != nil {
		return err
	}
	for _, c := range keep {
		want[c/32].Permitted |= have[c/32].Permitted & (1 << (c % 32))
	}
	for i := range want {
		want[i].Effective = want[i].Permitted
	}
	defer runtime.KeepAlive(&hdr)
	defer runtime.KeepAlive(&want)
	return everywhere(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&want[0])), 0)
}

// What Landlock knew from its first version on, but reading: certificates may be anywhere.
const writes = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
	unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
	unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM

func writeOnlyBelow(cfg configs.Config) error {
	attr := struct{ handled uint64 }{writes}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return fmt.Errorf("this kernel has none: %w", errno)
	}
	defer unix.Close(int(fd))
	if err := errors.Join(allowBelow(int(fd), cfg.StateDir, 0o700), allowBelow(int(fd), filepath.Dir(cfg.Socket), 0o755)); err != nil {
		return err
	}
	return everywhere(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
}

func allowBelow(ruleset int, dir string, mode os.FileMode) error {
	if err := makeDir(dir, mode); err != nil {
		return err
	}
	at, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(at)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: writes &^ unix.LANDLOCK_ACCESS_FS_EXECUTE, Parent_fd: int32(at)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// refuseSyscalls has the kernel answer EPERM to what no part of the daemon calls, and to other ABIs than its own.
func refuseSyscalls() error {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "arm": unix.AUDIT_ARCH_ARM,
		"mips": unix.AUDIT_ARCH_MIPS, "mipsle": unix.AUDIT_ARCH_MIPSEL}[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("not known for %s", runtime.GOARCH)
	}
	deny := bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	const otherABI = 0x40000000 // x32
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1}, deny,
		bpf.LoadAbsolute{Off: 0, Size: 4}, bpf.JumpIf{Cond: bpf.JumpLessThan, Val: otherABI, SkipTrue: 1}, deny,
	}
	for _, nr := range []uint32{unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_BPF,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT, unix.SYS_PERF_EVENT_OPEN,
		unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME,
	} {
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nr, SkipTrue: 1}, deny)
	}
	raw, err := bpf.Assemble(append(prog, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}))
	if err != nil {
		return err
	}
	filters := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filters[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filters)), Filter: &filters[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(filters)
	if errno != 0 {
		return errno
	}
	return nil
}
