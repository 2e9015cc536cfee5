package enforcer

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"mudguard/dhcp"
)

// Bounds of alarms: any host of the LAN can cause some.
const (
	maxAlarms = 256
	alarmFor  = 24 * time.Hour // since it was last seen
)

// Alarm is a sign that a host pretends to be another (T13, T15). Nothing is enforced by it: what has to be stopped is stopped.
type Alarm struct {
	What  string    `json:"what"`
	MAC   dhcp.MAC  `json:"mac"`         // of the host that did it
	Of    dhcp.MAC  `json:"of,omitzero"` // the device that it did it to; zero: none
	Text  string    `json:"text"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count uint64    `json:"count"`
}

// Kinds of alarms.
const (
	AlarmAddress = "address of another"
	AlarmClone   = "Ethernet address in two places"
	AlarmMoved   = "another port"
	AlarmLease   = "lease given back"
)

// alarm raises an alarm, or counts it where it was raised before. The oldest makes room.
func (e *Engine) alarm(what string, mac, of dhcp.MAC, text string) {
	now := e.Now().UTC()
	i := slices.IndexFunc(e.alarms, func(a Alarm) bool { return a.What == what && a.MAC == mac && a.Of == of })
	if i < 0 {
		if e.alarmLines.add(fmt.Sprint(what, mac, of), now) {
			e.Log.Warn("alarm", "what", what, "mac", mac.String(), "text", text)
		}
		if len(e.alarms) >= maxAlarms {
			e.alarms = slices.Delete(e.alarms, 0, 1)
		}
		e.alarms = append(e.alarms, Alarm{What: what, MAC: mac, Of: of, Text: text, First: now, Last: now, Count: 1})
		return
	}
	a := e.alarms[i]
	a.Text, a.Last = text, now
	a.Count++
	e.alarms = append(slices.Delete(e.alarms, i, i+1), a)
}

// Alarms gives those about a device, or all (the zero MAC), the latest last.
func (e *Engine) Alarms(mac dhcp.MAC) []Alarm {
	out := []Alarm{}
	for _, a := range e.alarms {
		if mac.IsZero() || a.MAC == mac || a.Of == mac {
			out = append(out, a)
		}
	}
	return out
}

func (e *Engine) ageAlarms(now time.Time) {
	e.alarms = slices.DeleteFunc(e.alarms, func(a Alarm) bool { return now.Sub(a.Last) > alarmFor })
}

// spot is where a device was heard: on which port of a bridge, and where before.
type spot struct {
	port, before string
	moved        time.Time
}

// stays is how long a device stays on a port: one that comes back sooner is in two places at once.
const stays = time.Minute

// HeardOn takes the port of a bridge on which an Ethernet address is heard anew. Wi-Fi stations roam and cables are plugged
// elsewhere, so a move is only told; but who is heard here and there by turns has a double (T13).
func (e *Engine) HeardOn(mac dhcp.MAC, port string) {
	was, now := e.places[mac], e.Now()
	if was.port == port {
		return
	}
	if len(e.places) >= 2*maxDevices { // of hosts that were heard once, and never did anything that made them known
		maps.DeleteFunc(e.places, func(m dhcp.MAC, _ spot) bool { return e.devices[m] == nil })
	}
	e.places[mac] = spot{port, was.port, now}
	d := e.devices[mac]
	if d == nil || was.port == "" {
		return
	}
	e.unforge(d)
	switch {
	case was.before == port && now.Sub(was.moved) < stays:
		e.alarm(AlarmClone, mac, dhcp.MAC{}, e.label(d)+" is heard on "+was.port+" and on "+port+" by turns: another host uses its Ethernet address")
	default:
		e.alarm(AlarmMoved, mac, dhcp.MAC{}, e.label(d)+" moved from "+was.port+" to "+port)
	}
}
