package enforcer

import "mudguard/dhcp"

// What tests in package enforcer_test need of the inside: they cannot be in this package, since enforcertest imports it.

// Sync does what Run does after every event.
func (e *Engine) Sync() error { return e.sync() }

// Judge gives what is decided for a device.
func (e *Engine) Judge(d *Device) Judgement { return e.judge(d) }

// Have is the ruleset that the engine believes to be in force.
func (e *Engine) Have() Ruleset { return e.have }

// Known is how many devices there are.
func (e *Engine) Known() int { return len(e.devices) }

// InForce is the policy of a device.
func (e *Engine) InForce(mac dhcp.MAC) *Compiled { return e.inForce[mac] }

// NameSet is the set of a name, without the family suffix.
func NameSet(name string) string { return nameSet(name) }

// Limits, for tests that go to them.
const (
	MaxDevices       = maxDevices
	MaxAnnouncers    = maxAnnouncers
	MaxAddrsOfDevice = maxAddrsOfDevice
	MaxDenials       = maxDenials
	MaxAsked         = maxAsked
	MaxApprovals     = maxApprovals
	MaxOverlays      = maxOverlays
)

// PublishChanges tells who watches what changed, as the loop does every second.
func (e *Engine) PublishChanges() { e.publishChanges() }
