// Package configs turns mudguard's YAML configuration into checked Go values, and carries the files that a packager
// installs: the commented reference configuration, the systemd unit and the OpenWrt scripts.
//
// It must not open sockets, run programs or speak netlink, and it must not guess: a key it doesn't know, or a value it
// doesn't understand, is an error that says where it stands and what would be right there.
package configs

import (
	"net/netip"
	"time"

	"mudguard/dhcp"
)

// Config is the whole configuration, checked. The yaml tags are the keys of the file; a test holds them, the parser's
// table and the reference file together. Empty lists and maps are nil.
type Config struct {
	LAN             LAN           `yaml:"lan"`
	StateDir        string        `yaml:"state_dir"`
	Socket          string        `yaml:"socket"`
	Unmanaged       Fallback      `yaml:"unmanaged"`
	Failed          Fallback      `yaml:"failed"`
	Onboarding      Onboarding    `yaml:"onboarding"`
	AcceptAddresses []AddressKind `yaml:"accept_addresses"` // kinds of addresses that a profile may name without a look at it
	Mode            Mode          `yaml:"mode"`
	OnExit          OnExit        `yaml:"on_exit"`
	Mark            uint32        `yaml:"mark"` // exactly one bit: a reply of an established flow, told to the bridge table
	Limits          Limits        `yaml:"limits"`
	Fetch           Fetch         `yaml:"fetch"`
	Signatures      Signatures    `yaml:"signatures"`
	Dialect         Dialect       `yaml:"dialect"`
	Literal         bool          `yaml:"literal"`
	Classes         Classes       `yaml:"classes"`
	DNS             DNS           `yaml:"dns"`
	Denials         Denials       `yaml:"denials"`
	History         History       `yaml:"history"`
	HTTP            HTTP          `yaml:"http"`
	Log             Log           `yaml:"log"`
	Notify          Notify        `yaml:"notify"`
}

// LAN says where the devices are.
type LAN struct {
	Interfaces []string   `yaml:"interfaces"` // never empty in a parsed Config
	Trusted    []dhcp.MAC `yaml:"trusted"`    // never put under policy
}

// Limits bound the new flows of one device, whatever its profile allows.
type Limits struct {
	NewFlows Rate `yaml:"new_flows"`
	Burst    int  `yaml:"burst"`
}

// Fetch says how profiles are fetched.
type Fetch struct {
	CAFiles      []string      `yaml:"ca_files"`      // in addition to the system's
	PrivateHosts []string      `yaml:"private_hosts"` // lower-case names, or addresses in canonical text
	AllowHosts   []string      `yaml:"allow_hosts"`   // if any, no other host is asked; with all names below
	DenyHosts    []string      `yaml:"deny_hosts"`    // never asked; with all names below
	Timeout      time.Duration `yaml:"timeout"`
	MaxSize      int64         `yaml:"max_size"` // bytes
}

// Signatures says which profiles are believed.
type Signatures struct {
	Policy  SignaturePolicy `yaml:"policy"`
	CAFiles []string        `yaml:"ca_files"` // trust anchors of MUD signers
}

// Classes is what the administrator says about this site.
type Classes struct {
	Controllers   map[string][]Host `yaml:"controllers"`    // by class URI; a key with no hosts means: nobody
	MyControllers map[string][]Host `yaml:"my_controllers"` // by MUD URL, as written
	LocalNetworks []netip.Prefix    `yaml:"local_networks"` // masked; empty: what leaves by a LAN interface
	WeakMembers   WeakMembers       `yaml:"weak_members"`
}

// DNS says whose answers may open names, and how.
type DNS struct {
	Resolvers    []netip.Addr  `yaml:"resolvers"` // empty: this host's own addresses
	MinTTL       time.Duration `yaml:"min_ttl"`
	PrivateNames []string      `yaml:"private_names"` // lower-case, no leading or trailing dot; with all names below
	Queue        uint16        `yaml:"queue"`
}

// Denials says how denied packets are reported; Rate is per device.
type Denials struct {
	NFLOGGroup uint16 `yaml:"nflog_group"`
	Rate       Rate   `yaml:"rate"`
}

// History is what is kept below state_dir of denials, states and counters.
type History struct {
	MaxSize int64 `yaml:"max_size"` // bytes
}

// HTTP is the web server. An empty Listen means none.
type HTTP struct {
	Listen       string   `yaml:"listen"`
	Hosts        []string `yaml:"hosts"` // names that it is asked by, lower-case, besides addresses and localhost
	TLS          TLS      `yaml:"tls"`
	CertFile     string   `yaml:"cert_file"` // both or neither; neither: a certificate of its own
	KeyFile      string   `yaml:"key_file"`
	AllowWAN     bool     `yaml:"allow_wan"`     // also on addresses that are not of a LAN interface
	MetricsToken string   `yaml:"metrics_token"` // empty: metrics need a session
}

// TLS says whether the web server speaks https.
type TLS string

// Choices of TLS.
const (
	TLSAuto   TLS = "auto" // but on loopback addresses
	TLSAlways TLS = "always"
	TLSNever  TLS = "never"
)

// Log says what is logged on stderr and in which form.
type Log struct {
	Level  LogLevel  `yaml:"level"`
	Format LogFormat `yaml:"format"`
}

// Notify says who is told of news.
type Notify struct {
	Webhooks []Webhook `yaml:"webhooks"`
	MQTT     MQTT      `yaml:"mqtt"`
}

// Webhook is a URL that news are posted to. It may hold a secret.
type Webhook struct {
	URL       string `yaml:"url"`
	Events    []News `yaml:"events"`     // empty: all
	TokenFile string `yaml:"token_file"` // of a bearer token
	CAFile    string `yaml:"ca_file"`    // in place of the system's
}

// MQTT is a broker that news are published to. An empty Broker means none.
type MQTT struct {
	Broker          string `yaml:"broker"` // mqtt://host[:port] or mqtts://host[:port]
	Username        string `yaml:"username"`
	PasswordFile    string `yaml:"password_file"`
	Topic           string `yaml:"topic"`
	DiscoveryPrefix string `yaml:"discovery_prefix"` // empty: no discovery by Home Assistant
	CAFile          string `yaml:"ca_file"`
	Events          []News `yaml:"events"` // empty: all
}

// News is a kind of news.
type News string

// Kinds of news.
const (
	NewDevice News = "new_device"
	Hold      News = "hold"
	Denial    News = "denial"
	Repaired  News = "repaired"
)

// Rate is Count events in Per, which is one second, minute, hour or day.
type Rate struct {
	Count uint64
	Per   time.Duration
}

// Host is an address or a name; exactly one of the two is set. Name is lower-case without a trailing dot.
type Host struct {
	Addr netip.Addr
	Name string
}

// Fallback is what happens to a device without a policy of its own.
type Fallback string

// Fallbacks. A blocked device still reaches the infrastructure (DHCP, DNS, NTP).
const (
	Allow Fallback = "allow"
	Block Fallback = "block"
)

// Onboarding says whether a verified profile waits for the administrator.
type Onboarding string

// Ways of onboarding.
const (
	OnboardAuto    Onboarding = "auto"
	OnboardApprove Onboarding = "approve"
)

// AddressKind is a kind of address in a profile.
type AddressKind string

// Kinds of addresses that can be accepted unseen. Private ones can't: they mean something else in every network.
const (
	Global    AddressKind = "global"
	Multicast AddressKind = "multicast"
)

// WeakMembers says whether devices whose URL came by a way that any host can forge (DHCP, LLDP, a sticker) may be in classes
// of devices such as same-manufacturer.
type WeakMembers string

// Weak members.
const (
	WeakApprove WeakMembers = "approve" // once the administrator approved the device
	WeakAllow   WeakMembers = "allow"
	WeakDeny    WeakMembers = "deny"
)

// Mode says whether what a profile forbids is dropped, or only listed.
type Mode string

// Modes.
const (
	Enforce Mode = "enforce"
	Observe Mode = "observe"
)

// OnExit says what becomes of the tables when the daemon stops.
type OnExit string

// What becomes of the tables.
const (
	Keep   OnExit = "keep"
	Remove OnExit = "remove"
)

// SignaturePolicy says what an unsigned or badly signed profile is worth.
type SignaturePolicy string

// Signature policies.
const (
	Require SignaturePolicy = "require"
	Warn    SignaturePolicy = "warn"
	Ignore  SignaturePolicy = "ignore"
)

// Dialect says whether known pre-RFC forms of profiles are converted.
type Dialect string

// Dialects.
const (
	Strict Dialect = "strict"
	Legacy Dialect = "legacy"
)

// LogLevel is the least severe level that is logged; slog.Level's UnmarshalText takes it as it is.
type LogLevel string

// Log levels.
const (
	Debug   LogLevel = "debug"
	Info    LogLevel = "info"
	Warning LogLevel = "warn"
	Error   LogLevel = "error"
)

// LogFormat is the form of a log line.
type LogFormat string

// Log formats.
const (
	Text LogFormat = "text"
	JSON LogFormat = "json"
)

// Default returns what holds for every key that a file leaves out. It is not complete: LAN.Interfaces is required.
func Default() Config {
	return Config{
		StateDir:        "/var/lib/mudguard",
		Socket:          "/run/mudguard/mudguard.sock",
		Unmanaged:       Allow,
		Failed:          Block,
		Onboarding:      OnboardAuto,
		AcceptAddresses: []AddressKind{Global, Multicast},
		Mode:            Enforce,
		OnExit:          Keep,
		Mark:            0x10000000,
		Limits:          Limits{NewFlows: Rate{100, time.Second}, Burst: 200},
		Fetch:           Fetch{Timeout: 10 * time.Second, MaxSize: 1 << 20},
		Signatures:      Signatures{Policy: Require},
		Dialect:         Strict,
		Classes:         Classes{WeakMembers: WeakApprove},
		DNS:             DNS{MinTTL: time.Minute, Queue: 8520},
		Denials:         Denials{NFLOGGroup: 8520, Rate: Rate{10, time.Second}},
		History:         History{MaxSize: 2 << 20},
		HTTP:            HTTP{TLS: TLSAuto},
		Log:             Log{Level: Info, Format: Text},
		Notify:          Notify{MQTT: MQTT{Topic: "mudguard", DiscoveryPrefix: "homeassistant"}},
	}
}
