package enforcer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"mudguard/dhcp"
	"mudguard/mud"
)

// Overlay is what the administrator lays over the profiles of one model or of one device: a MUD file whose entries come
// before the manufacturer's, so that an accept adds and a drop takes away (T-29).
type Overlay struct {
	Profile mud.Profile
	File    json.RawMessage
	err     error // why it cannot be read any more
}

// Bounds of overlays; they are part of the state file.
const (
	maxOverlays    = 64
	maxOverlaySize = 64 << 10
)

// overlayKey reads whose an overlay is: a device's MAC, or a MUD URL. It gives the text by which it is kept.
func overlayKey(target string) (string, mud.URL, error) {
	if mac, err := dhcp.ParseMAC(target); err == nil {
		return mac.String(), mud.URL{}, nil
	}
	u, err := mud.ParseURL(target)
	if err != nil {
		return "", u, fmt.Errorf("%q is neither a device's MAC nor a MUD URL", mud.Clean(target, 80))
	}
	return u.String(), u, nil
}

// SetOverlay lays a MUD file over the profiles behind a MUD URL, or over that of one device, in place of the one that was
// there.
func (e *Engine) SetOverlay(target string, file []byte) error {
	key, u, err := overlayKey(target)
	if err != nil {
		return err
	}
	if _, there := e.overlays[key]; !there && len(e.overlays) >= maxOverlays {
		return fmt.Errorf("there are %d overlays already; remove one", maxOverlays)
	}
	o, err := readOverlay(file)
	switch {
	case err != nil:
		return err
	case !u.IsZero() && o.Profile.URL != u:
		return fmt.Errorf("its mud-url is %s and not %s", o.Profile.URL, u)
	}
	e.overlays[key], e.dirty = o, true
	e.meetOverlaid(key)
	return nil
}

// meetOverlaid makes a device known that has an overlay of its own, so that it is restricted before it speaks.
func (e *Engine) meetOverlaid(key string) {
	if mac, err := dhcp.ParseMAC(key); err == nil {
		e.meet(mac)
	}
}

// readOverlay reads an overlay. An entry that is not understood would be missing silently, so there must be none.
func readOverlay(file []byte) (*Overlay, error) {
	if len(file) > maxOverlaySize {
		return nil, fmt.Errorf("an overlay has at most %d KiB", maxOverlaySize>>10)
	}
	p, problems, err := mud.Parse(file)
	if err != nil {
		return nil, err
	}
	for _, pr := range problems {
		if pr.Severity == mud.SeverityError {
			return nil, fmt.Errorf("overlay refused at %s: %s (%s)", pr.Path, pr.Message, pr.Row)
		}
	}
	if p.FromDevice == nil && p.ToDevice == nil {
		return nil, fmt.Errorf("overlay refused: it has neither a from-device-policy nor a to-device-policy")
	}
	var compact json.RawMessage
	if err := json.Unmarshal(file, &compact); err != nil {
		return nil, err
	}
	for _, pol := range []*mud.Policy{p.FromDevice, p.ToDevice} {
		if pol != nil {
			for i := range pol.ACEs {
				pol.ACEs[i].ACL = "overlay/" + pol.ACEs[i].ACL
			}
		}
	}
	return &Overlay{Profile: p, File: compact}, nil
}

// RemoveOverlay takes an overlay away.
func (e *Engine) RemoveOverlay(target string) error {
	key, _, err := overlayKey(target)
	if err != nil {
		return err
	}
	if _, there := e.overlays[key]; !there {
		return fmt.Errorf("there is no overlay for %s", key)
	}
	delete(e.overlays, key)
	e.dirty = true
	return nil
}

// Overlays lists whose there are.
func (e *Engine) Overlays() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for key, o := range e.overlays {
		out[key] = o.File
	}
	return out
}

// restoreOverlays reads overlays from the state file. One that this version cannot read holds its devices: what it took away
// must not come back.
func (e *Engine) restoreOverlays(files map[string]json.RawMessage) {
	for key, file := range files {
		o, err := readOverlay(file)
		if err != nil {
			e.Log.Error("overlay not read", "name", mud.Clean(key, 255), "err", err)
			o = &Overlay{File: file, err: err}
		}
		e.overlays[key] = o
		e.meetOverlaid(key)
	}
}

func (e *Engine) overlaid(d *Device) bool {
	return e.overlays[d.MAC.String()] != nil || e.overlays[d.URL.String()] != nil
}

// stack is one way to put profiles together.
type stack struct {
	base                  *mud.Profile
	device, model, beyond *Overlay
}

// merged gives a profile with what is laid over it for a device: base itself, if that is nothing. Without a base it gives
// what is laid over alone, nil if that is nothing. why says that something is laid over that cannot be read.
func (e *Engine) merged(d *Device, base *mud.Profile) (p *mud.Profile, why string) {
	m := stack{base, e.overlays[d.MAC.String()], e.overlays[d.URL.String()], d.beyond(e.Now())}
	if m.device == nil && m.model == nil && m.beyond == nil {
		return base, ""
	}
	for _, o := range []*Overlay{m.device, m.model} {
		if o != nil && o.err != nil {
			return nil, "its overlay cannot be read: " + o.err.Error()
		}
	}
	if p := e.overlaidProfiles[m]; p != nil {
		return p, ""
	}
	out := mud.Profile{URL: d.URL, Supported: true}
	if base != nil {
		out = *base
	}
	for _, o := range []*Overlay{m.model, m.device, m.beyond} { // the last comes first in the end
		if o != nil {
			out.FromDevice = before(o.Profile.FromDevice, out.FromDevice)
			out.ToDevice = before(o.Profile.ToDevice, out.ToDevice)
		}
	}
	e.overlaidProfiles[m] = &out
	return &out, ""
}

// before puts the ACEs of one policy before those of another.
func before(first, then *mud.Policy) *mud.Policy {
	if first == nil {
		return then
	}
	out := mud.Policy{ACEs: slices.Clone(first.ACEs)}
	if then != nil {
		out.ACEs = append(out.ACEs, then.ACEs...)
	}
	return &out
}

// dropMerged forgets profiles that were put together for nobody any more.
func (e *Engine) dropMerged(used map[*mud.Profile]bool) {
	maps.DeleteFunc(e.overlaidProfiles, func(_ stack, p *mud.Profile) bool { return !used[p] })
}
