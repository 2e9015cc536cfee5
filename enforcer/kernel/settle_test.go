package kernel

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"mudguard/enforcer"
)

// TestSettle: F13. After a lost answer the kernel's state decides (N3), after a real one it is known.
func TestSettle(t *testing.T) {
	n := newSpace(t).open()
	roundTrip(t, n, enforcer.Ruleset{Inet: devices(2)})
	have, err := n.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	want := devices(3)
	delete(want.Chains, "p_00000000_out")
	for k, e := range want.Sets["from_device"].Elements {
		if e.Verdict.Chain == "p_00000000_out" {
			delete(want.Sets["from_device"].Elements, k)
		}
	}
	d := enforcer.Diff(have, enforcer.Ruleset{Inet: want})
	before, _ := n.generation()
	for _, lost := range []error{syscall.ENOBUFS, os.ErrDeadlineExceeded} {
		if err := n.settle(d, before, lost); err == nil {
			t.Errorf("%v with nothing changed passed for success", lost)
		}
	}
	if err := n.Apply(d); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []error{syscall.ENOBUFS, os.ErrDeadlineExceeded} {
		if err := n.settle(d, before, lost); err != nil {
			t.Errorf("%v with the change in place: %v", lost, err)
		}
	}
	if err := n.settle(d, before, syscall.EBUSY); err == nil {
		t.Error("the kernel's own refusal passed for success")
	}
	back := enforcer.Diff(enforcer.Ruleset{Inet: want}, have)
	if err := n.settle(back, before, syscall.ENOBUFS); err == nil {
		t.Error("another change passed for this one")
	}
}

// TestConcurrent: learning, applying, reading and probing at once (N6), as the engine and the DNS workers do.
func TestConcurrent(t *testing.T) {
	n := newSpace(t).open()
	base := learnedSets(50000)
	roundTrip(t, n, base)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := n.Learn([]enforcer.Learned{{Set: "n_4", Addr: v4(w*1000000 + i%2000), Timeout: time.Hour}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 10 {
		want := learnedSets(50000)
		want.Inet.Chains = devices(5 + i%3).Chains
		want.Inet.Sets["from_device"] = devices(5 + i%3).Sets["from_device"]
		roundTrip(t, n, want)
		n.Probe()
	}
	close(stop)
	wg.Wait()
}
