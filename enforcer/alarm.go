package enforcer

import (
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
		e.Log.Warn("alarm", "what", what, "mac", mac.String(), "text", text)
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
