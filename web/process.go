package web

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// process writes the numbers of this process and of Go's runtime, by the names that Prometheus' own client has for them.
func (x *exposition) process() {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		x.one("process_cpu_seconds_total", counterType, "Total user and system CPU time spent in seconds.",
			time.Duration(use.Utime.Nano()+use.Stime.Nano()).Seconds())
	}
	if raw, err := os.ReadFile("/proc/self/statm"); err == nil {
		if pages := bytes.Fields(raw); len(pages) > 1 {
			x.one("process_virtual_memory_bytes", gaugeType, "Virtual memory size in bytes.", inBytes(pages[0]))
			x.one("process_resident_memory_bytes", gaugeType, "Resident memory size in bytes.", inBytes(pages[1]))
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		x.one("process_open_fds", gaugeType, "Number of open file descriptors.", float64(len(fds)-1)) // less that of ReadDir
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		x.one("process_max_fds", gaugeType, "Maximum number of open file descriptors.", float64(limit.Cur))
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	x.family("go_info", gaugeType, "Information about the Go environment.")(1, "version", runtime.Version())
	x.one("go_goroutines", gaugeType, "Number of goroutines that currently exist.", float64(runtime.NumGoroutine()))
	x.one("go_memstats_alloc_bytes", gaugeType, "Number of bytes allocated in heap and currently in use.", float64(m.Alloc))
	x.one("go_memstats_alloc_bytes_total", counterType, "Total number of bytes allocated in heap until now, even if released already.", float64(m.TotalAlloc))
	x.one("go_memstats_heap_inuse_bytes", gaugeType, "Number of heap bytes that are in use.", float64(m.HeapInuse))
	x.one("go_memstats_sys_bytes", gaugeType, "Number of bytes obtained from system.", float64(m.Sys))
}

func inBytes(pages []byte) float64 {
	n, _ := strconv.ParseUint(string(pages), 10, 64) // the kernel wrote it
	return float64(n) * float64(os.Getpagesize())
}
