package enforcer

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Denial is one packet that was stopped, or would have been where Enforced is false, in words for people.
type Denial struct {
	ID          uint64     `json:"id"`
	Time        time.Time  `json:"time"`
	MAC         dhcp.MAC   `json:"mac"`
	Device      string     `json:"device"`
	Direction   string     `json:"direction"` // out, in or lateral
	Src         netip.Addr `json:"src"`
	Dst         netip.Addr `json:"dst"`
	Proto       string     `json:"proto"`
	Sport       uint16     `json:"sport"`
	Dport       uint16     `json:"dport"`
	Name        string     `json:"name"` // of the other side, where a DNS answer told it
	Explanation string     `json:"explanation"`
	Reason      string     `json:"reason"` // the same in a few fixed words
	Enforced    bool       `json:"enforced"`
}

// ring keeps the last maxDenials denials.
type ring struct {
	list []Denial
	next uint64
}

func (r *ring) add(d *Denial) {
	r.next++
	d.ID = r.next
	if len(r.list) >= maxDenials {
		r.list = slices.Delete(r.list, 0, maxDenials/10)
	}
	r.list = append(r.list, *d)
}

// Denied takes a packet that the kernel logged.
func (e *Engine) Denied(l LogEvent) {
	if l.Prefix == LogSource {
		e.heardAt(l)
		return
	}
	d, in := e.subject(l)
	f, proto := l.Packet, protoName(l.Packet.Proto)
	if !f.Src.IsValid() && l.Claims.IsValid() {
		f.Src, proto = l.Claims, "arp"
	}
	if d == nil || !f.Src.IsValid() {
		return
	}
	d.LastSeen = e.Now()
	other := f.Dst
	if in {
		other = f.Src
	}
	direction := "out"
	switch {
	case e.site.OnLAN(f.Src) && e.site.OnLAN(f.Dst) && !e.site.OwnAddr(f.Src) && !e.site.OwnAddr(f.Dst):
		direction = "lateral"
	case in:
		direction = "in"
	}
	den := Denial{Time: e.Now().UTC(), MAC: d.MAC, Device: e.label(d), Direction: direction, Src: f.Src, Dst: f.Dst,
		Proto: proto, Sport: f.Sport, Dport: f.Dport, Name: mud.Clean(e.Names.NameOf(other), 253),
		Enforced: !isObserved(l.Prefix)}
	den.Explanation = e.sentence(d, l, in, den.Name)
	den.Reason = e.reason(d, l, in, den.Name)
	e.denials.add(&den)
	e.counted(d, &den)
	e.attempted(d, &den, in)
	e.publish(Event{Kind: EventDenial, MAC: den.MAC, Denial: &den})
	if e.denialLines.add(fmt.Sprint(den.MAC, direction, f.Src, f.Dst, f.Proto, f.Dport), e.Now()) {
		e.Log.Info("denied", "mac", d.MAC.String(), "direction", direction, "enforced", den.Enforced, "what", den.Explanation)
	}
}

// counted counts a denial, and passes it on.
func (e *Engine) counted(d *Device, den *Denial) {
	if den.Enforced {
		d.denials++
		e.count.denied++
	} else {
		d.wouldDeny++
		e.count.observed++
	}
	if e.Tell != nil {
		e.Tell(News{Kind: NewsDenial, Time: den.Time, MAC: d.MAC, Device: den.Device, State: e.judge(d).Status, Text: den.Explanation, Denial: den})
	}
}

// Bounds of lines of the log that hosts of the LAN can cause: the log is for people, and often on flash.
const (
	maxLines  = 1024
	linesTime = 10 * time.Minute
)

// lines are those of one kind that were written in the last ten minutes, to write no more of them, and none again.
type lines struct {
	since time.Time
	of    map[string]bool
}

// add says whether a line is to be written.
func (l *lines) add(what string, now time.Time) bool {
	if now.Sub(l.since) >= linesTime {
		l.since, l.of = now, map[string]bool{}
	}
	if l.of[what] || len(l.of) >= maxLines {
		return false
	}
	l.of[what] = true
	return true
}

func isObserved(prefix string) bool {
	return len(prefix) >= len(logWould) && prefix[len(prefix)-len(logWould):] == logWould
}

// subject is the device whose policy stopped a packet, and whether the packet was on its way to it.
func (e *Engine) subject(l LogEvent) (d *Device, in bool) {
	if l.Prefix == LogSpoof {
		return e.meet(l.MAC), false // its address says nothing
	}
	in = l.Prefix == LogIn || l.Prefix == LogIn+logWould
	mac := l.MAC
	if in {
		mac = l.DstMAC
	}
	if d = e.devices[mac]; d != nil {
		return d, in
	}
	addr := l.Packet.Src
	if in {
		addr = l.Packet.Dst
	}
	if d = e.devices[e.macOf(addr)]; d == nil && !in && !mac.IsZero() && e.site.BlockUnmanaged {
		d = e.meet(mac)
	}
	return d, in
}

// Denials gives those after the one with the given id, of one device or of all (the zero MAC).
func (e *Engine) Denials(after uint64, mac dhcp.MAC) []Denial {
	out := []Denial{}
	for _, d := range e.denials.list {
		if d.ID > after && (mac.IsZero() || d.MAC == mac) {
			out = append(out, d)
		}
	}
	return out
}
