// Package vmtest runs mudguard on another kernel than this machine's: Debian's, in an emulated machine. There the native
// queue statement, bridge connection tracking and flow tables are to be had, and what Linux before 6.12 does with set
// elements.
//
// It holds tests only. Package guest is what runs inside. The test needs root, qemu-system-x86, busybox-static, kmod,
// nftables, dnsmasq-base, and apt-get to download the kernel (which is unpacked, never installed).
package vmtest
