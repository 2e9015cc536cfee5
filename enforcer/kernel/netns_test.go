package kernel

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// needRoot skips where namespaces cannot be made; in CI that is an error instead.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("kernel tests need root and must not be skipped in CI")
	}
	t.Skip("needs root: makes network namespaces and programs nftables in them")
}

// space is a network namespace of its own.
type space struct {
	t  testing.TB
	ns netns.NsHandle
}

func newSpace(t testing.TB) *space {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &space{t: t, ns: ns}
	t.Cleanup(func() { ns.Close() })
	defer func() {
		if err := netns.Set(old); err != nil {
			panic(err) // the thread must not go on in the wrong namespace
		}
	}()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do runs fn on a thread inside the namespace. Sockets that it opens stay there.
func (s *space) do(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := netns.Set(s.ns); err != nil {
			s.t.Error(err)
			return
		}
		fn()
	}()
	<-done
}

// run runs a program inside the namespace and gives what it says.
func (s *space) run(stdin string, name string, args ...string) string {
	s.t.Helper()
	var out []byte
	var err error
	s.do(func() {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		var b bytes.Buffer
		cmd.Stdout, cmd.Stderr = &b, &b
		err = cmd.Run()
		out = b.Bytes()
	})
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// list is the ruleset as nft lists it, without the counters' values.
func (s *space) list() string { return s.run("", "nft", "-s", "list", "ruleset") }

func (s *space) open() *Nft {
	s.t.Helper()
	n, err := Open(Options{NetNS: int(s.ns)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { n.Close() })
	return n
}
