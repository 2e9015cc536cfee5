package enforcer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"mudguard/mud"
)

// PolicyKind is what sort of policy a device is under.
type PolicyKind string

// Kinds of policies.
const (
	PolicyProfile    PolicyKind = "profile"    // its profile, the default classes and infrastructure
	PolicyRestricted PolicyKind = "restricted" // DHCP, DNS and NTP of this site: while fetching, failed or held
	PolicyQuarantine PolicyKind = "quarantine" // DHCP and address resolution, nothing else
)

// Policy is what to compile for a device: equal policies share their chains.
type Policy struct {
	Kind    PolicyKind
	Profile *mud.Profile // of PolicyProfile
	Observe bool         // log what would be denied, deny nothing (invariant 11)
	Paused  bool         // the same, as long as the kernel has the device in the set of who is paused
	Strong  bool         // its classes of devices are those of devices whose URLs nobody can forge (T-39)
}

// Compiled is a policy resolved for a site: chains named by the hash of what they say, and what they refer to.
type Compiled struct {
	Name    string // p_<hash>
	Observe bool
	Paused  bool
	Inet    []*Chain
	Bridge  []*Chain
	Sets    []*Set // name and class sets that the chains refer to, without elements
	Names   []NameRef
	Classes []Class
	// Origins gives, for each chain and rule, the ACE that it came from; nil for rules of our own.
	Origins map[string][]*mud.ACE

	checksOut, checksIn bool // it has rules for packets of admitted flows, from the device or to it
	asks                bool // it lets the device ask groups
}

// NameRef is a domain name that a policy refers to, with the families for which it does (R8520-8-b).
type NameRef struct {
	Name   string
	V4, V6 bool
}

// Class is a group of hosts that a policy refers to, by the set that holds its members' addresses.
type Class struct {
	Set    string // without the family suffix
	Kind   mud.RemoteKind
	Value  string
	Strong bool // of classes of devices: those that are known by a way that others cannot forge (T-39)
}

// Out, In and Gateway name the chains for what leaves a device, what reaches it, and what it sends to this host.
func (c *Compiled) Out() string { return c.Name + "_out" }
func (c *Compiled) In() string  { return c.Name + "_in" }

// Back names the chain for a device's replies in flows that others opened.
func (c *Compiled) Back() string    { return c.Name + "_back" }
func (c *Compiled) Gateway() string { return c.Name + "_gw" }

// chainOut, chainGateway and chainIn name the chains for packets of admitted flows.
func (c *Compiled) chainOut() string     { return c.Name + checkOut }
func (c *Compiled) chainGateway() string { return c.Name + checkGateway }
func (c *Compiled) chainIn() string      { return c.Name + checkIn }

// Limits on names, so that a policy cannot grow without bound (invariant 7).
const (
	MaxAddrsPerName = 256  // addresses that one name may open per family
	nameSetSize     = 1024 // elements in the kernel, some of them about to expire
	meterSize       = 4096
)

// nameSet and classSet give the set for a name or a class, without the family suffix.
func nameSet(name string) string { return "n_" + shortHash("name", name) }

func classSet(kind mud.RemoteKind, value string, strong bool) string {
	if strong {
		return "c_" + shortHash(fmt.Sprint(kind), value, "strong")
	}
	return "c_" + shortHash(fmt.Sprint(kind), value)
}

func suffix(v6 bool) string { return pick(v6, "_6", "_4") }

// shortHash is as long as it is because names are hostile: a profile whose chain, or a domain whose set, is made to collide
// with another's would share it.
func shortHash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:10])
}

// comment makes text fit for an nft comment: printable ASCII without quotes or backslashes, 120 bytes at most.
func comment(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)
	return clean[:min(len(clean), 120)]
}
