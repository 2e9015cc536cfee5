package mud

import (
	"net/netip"
	"time"
)

// Profile is one parsed MUD file: what a manufacturer declares for a device (RFC 8520 section 3).
// The zero Profile allows nothing.
type Profile struct {
	URL           URL           // mud-url, normalised
	Signature     string        // mud-signature as an absolute https URL; "" where the file names none
	LastUpdate    time.Time     // last-update
	CacheValidity time.Duration // cache-validity, 1 h to 168 h, default 48 h
	Supported     bool          // is-supported
	SystemInfo    string        // systeminfo; hostile text like every string here
	MfgName       string
	ModelName     string
	FirmwareRev   string
	SoftwareRev   string
	Documentation string
	Extensions    []string // declared, known or not

	Transparency *Transparency // RFC 9472; nil where there is none, as for the next three
	Licences     []Licence     // draft-ietf-iotops-ol
	MASA         string        // URL of the server that vouches for the device when it is installed (ietf-mud-brski-masa)
	TLSProfile   bool          // the device supports the TLS profiles of its ACEs (RFC 9761)

	// FromDevice and ToDevice are the two policies, or nil where the file has no such container.
	// Both nil means that the file states no policy (T-12).
	FromDevice *Policy
	ToDevice   *Policy
}

// Policy is one direction of a profile: its ACEs in the order in which they are evaluated,
// those of several ACLs in file order (T-08).
type Policy struct {
	ACEs []ACE
}

// Action is what a matching ACE does.
type Action uint8

// The actions that a MUD file may use (RFC 8520 section 2); reject is read as Drop.
const (
	Drop Action = iota
	Accept
)

// Direction says which side opens a flow.
type Direction uint8

// Directions of RFC 8520 section 4.8; DirectionAny is an absent direction-initiated.
const (
	DirectionAny Direction = iota
	FromDevice
	ToDevice
)

// ACE is one access control entry, read from the device's point of view: which side of it is the
// device follows from the policy that lists it (RFC 8520 section 2).
type ACE struct {
	ACL, Name string // names in the file
	Path      string // JSON path, e.g. ietf-access-control-list:acls.acl[0].aces.ace[1]
	Match     Match
	Action    Action
	Log       bool         // the file asks for matching packets to be logged (RFC 8519 log-syslog)
	TLS       []TLSProfile // not enforced
	// Refused says why this ACE is not applied; "" for an ACE that is. An accept that is refused opens
	// nothing; a drop is never refused for what it does not understand, it drops more (T-13).
	Refused string
}

// Match is the condition of an ACE. Every field narrows; the zero value matches everything.
type Match struct {
	Family     Family
	Protocol   *uint8   // IP protocol number; nil any. A tcp, udp or icmp container sets it.
	Remotes    []Remote // all of them must hold; none: any peer
	RemotePort Ports    // the peer's port
	LocalPort  Ports    // the device's port
	ICMPType   *uint8
	ICMPCode   *uint8
	Initiated  Direction // direction-initiated; only with TCP
	// EtherType is what the frame carries (eth ethertype); nil any. IPv4 and IPv6 are read as Family instead, so what
	// stands here is another protocol of the link, ARP for example.
	EtherType *uint16
	RemoteMAC MACMatch     // the peer's Ethernet address, as the frame has it
	LocalMAC  MACMatch     // the device's
	Fields    []FieldMatch // header fields that say nothing of who talks to whom; all of them must hold
	// Group is the multicast group that a to-device ACE's destination names (RMX-2.3-a); the zero Prefix is none. In a
	// from-device ACE a group is an ordinary Remote.
	Group netip.Prefix
}

// MACMatch is a condition on an Ethernet address: address & Mask == Addr. The zero value matches every address; Addr has
// no bit outside of Mask.
type MACMatch struct {
	Addr, Mask [6]byte
}

// Field names a header field that an ACE compares (RFC 8519, ietf-packet-fields).
type Field uint8

// Header fields. Those of IP are of the ACE's Family, which is never FamilyAny beside them; those of a transport header come
// with its Protocol.
const (
	FieldDSCP           Field = iota + 1 // 0..63
	FieldECN                             // 0..3
	FieldLength                          // IPv4 total length, IPv6 payload length, in octets
	FieldTTL                             // IPv4 TTL, IPv6 hop limit
	FieldIHL                             // IPv4, in 32-bit words: 5..15
	FieldIPFlags                         // IPv4: IPFlagReserved, IPFlagDontFragment, IPFlagMoreFragments
	FieldOffset                          // IPv4 fragment offset, in units of 8 octets
	FieldIdentification                  // IPv4
	FieldFlowLabel                       // IPv6, 20 bits
	FieldTCPSequence
	FieldTCPAcknowledgement
	FieldTCPDataOffset // in 32-bit words: 5..15
	FieldTCPReserved   // the 4 bits after the data offset (RFC 9293)
	FieldTCPFlags      // the 8 control bits, FIN is 1, CWR is 128
	FieldTCPWindow
	FieldTCPUrgent
	FieldTCPOptions // Bytes: the whole options field without its padding
	FieldUDPLength  // in octets, header included
	FieldICMPRest   // Bytes: the octets after the checksum, as many as there are here
)

// Bits of FieldIPFlags.
const (
	IPFlagMoreFragments = 1
	IPFlagDontFragment  = 2
	IPFlagReserved      = 4
)

// FieldMatch is one condition on a header field: field & Mask == Value, or the field starts with Bytes.
//
// Flags (FieldIPFlags, FieldTCPFlags) are exactly Value in an accept, and at least Value in a drop: of the two ways to read
// RFC 8519 each time the one that lets less through. Mask says which it is.
type FieldMatch struct {
	Field       Field
	Value, Mask uint32
	Bytes       string // of FieldTCPOptions (1 to 40 octets) and FieldICMPRest (1 to 64)
}

// Family is the IP version that an ACE is about.
type Family uint8

// Families; FamilyAny matches both.
const (
	FamilyAny Family = 0
	IPv4      Family = 4
	IPv6      Family = 6
)

// Ports is a port condition: Lo <= port <= Hi, or not that where Not is set. The zero value is any port.
type Ports struct {
	Set    bool
	Not    bool
	Lo, Hi uint16
}

// RemoteKind says by what an ACE names the peer.
type RemoteKind uint8

// The ways to name a peer (RFC 8520 sections 4 and 8, RFC 8519 networks).
const (
	RemoteName             RemoteKind = iota + 1 // Value: lower-case domain name without the trailing dot
	RemotePrefix                                 // Prefix
	RemoteController                             // Value: class URI
	RemoteMyController                           //
	RemoteLocalNetworks                          //
	RemoteSameManufacturer                       //
	RemoteManufacturer                           // Value: host
	RemoteModel                                  // Value: MUD URL, normalised
)

// Remote is one condition on the peer of a flow.
type Remote struct {
	Kind   RemoteKind
	Value  string
	Prefix netip.Prefix
}

// Severity grades a Problem.
type Severity string

// Severities of Problems.
const (
	// SeverityError: the YANG modules or a MUST rule this out. The message says whether the file, this ACE or only this part
	// is not used.
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning" // used, but narrower or riskier than written
	SeverityNote    Severity = "note"    // worth knowing
)

// Problem is one thing found wrong with a file, or a part of it that is not enforced.
type Problem struct {
	Path     string   `json:"path"`     // JSON path
	Row      string   `json:"row"`      // row of the standards checklist, e.g. R8520-4.8-a or T-13
	Severity Severity `json:"severity"` //
	Message  string   `json:"message"`  // what, why and what to do, in plain words

	Mend string `json:"mend,omitempty"` // what to write instead, where that can be said
}
