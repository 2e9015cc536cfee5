package acceptance

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReload: F3, R2, T14. Devices that say once that they are there, while the configuration is reread again and again, are known
// and under a policy all the same, and the tables are taken over as they are.
func TestReload(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, l.cloud.publish("lamp", lampProfile("lamp")))
	l.becomes(lamp, "enforced", "")
	before := handles(l)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for i := range 80 {
		if i%8 == 0 {
			l.daemon.signal(t, syscall.SIGHUP)
		}
		d := &device{space: lamp.space, mac: fmt.Sprintf("02:00:00:00:ee:%02x", i)}
		l.lldp(d, site+"lamp.json")
		<-tick.C
	}
	await(t, "all are under their policy", patience, func() string {
		var list []view
		l.decode(&list, "devices", "--json")
		n := 0
		for _, v := range list {
			if v.State == "enforced" {
				n++
			}
		}
		return pickText(n == 81, "", fmt.Sprintf("%d of 81 are", n))
	})
	if n := strings.Count(l.log.String(), "configuration reread"); n < 5 {
		l.complain("it was reread %d times", n)
	}
	after := handles(l)
	for line := range strings.Lines(before) {
		if !strings.Contains(after, strings.TrimSpace(line)) {
			l.complain("made anew: %s", line)
		}
	}
	l.rotating(lamp, 3)
}
