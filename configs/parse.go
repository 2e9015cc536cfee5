package configs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"
)

// maxFile bounds a configuration file; a real one is a few kilobytes.
const maxFile = 1 << 20

// Load reads and checks the file at path. Relative ca_files are meant as the process sees them.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration %s: %w", path, err)
	}
	return Parse(path, data)
}

// Parse checks the configuration in data, one YAML document (or JSON, which is YAML too). The error joins all problems
// found, each with name, line and key. On an error the Config is the zero value: nothing half-read can be used.
func Parse(name string, data []byte) (Config, error) {
	d := &decoder{file: name, seen: map[string]int{}, wrong: map[string]bool{}}
	if err := checkBytes(name, data); err != nil {
		return Config{}, err
	}
	body, err := document(name, bytes.TrimPrefix(data, []byte("\ufeff")))
	if err != nil {
		return Config{}, err
	}
	c := Default()
	if body != nil {
		section(c.keys()...)(d, "", body)
	}
	d.require("lan", "lan.interfaces")
	if (c.HTTP.CertFile == "") != (c.HTTP.KeyFile == "") {
		d.problem(d.seen["http"], "http: cert_file and key_file go together")
	}
	if err := d.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

func checkBytes(name string, data []byte) error {
	if len(data) > maxFile {
		return fmt.Errorf("%s: the file is larger than 1 MiB", name)
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return fmt.Errorf("%s: the file is not UTF-8 text", name)
	}
	return nil
}

// keys is the language of the file: every key, where its value goes and what it may be.
func (c *Config) keys() []key {
	return []key{
		{"lan", section(
			key{"interfaces", atLeastOne(list(&c.LAN.Interfaces, interfaceName()))},
			key{"trusted", list(&c.LAN.Trusted, deviceMAC())},
		)},
		{"state_dir", one(&c.StateDir, absolutePath(maxPath))},
		{"socket", one(&c.Socket, absolutePath(maxSocket))},
		{"unmanaged", one(&c.Unmanaged, enum(Allow, Block))},
		{"failed", one(&c.Failed, enum(Block, Allow))},
		{"onboarding", one(&c.Onboarding, enum(OnboardAuto, OnboardApprove))},
		{"accept_addresses", list(&c.AcceptAddresses, enum(Global, Multicast))},
		{"mode", one(&c.Mode, enum(Enforce, Observe))},
		{"on_exit", one(&c.OnExit, enum(Keep, Remove))},
		{"mark", one(&c.Mark, markBit())},
		{"limits", section(
			key{"new_flows", one(&c.Limits.NewFlows, rate())},
			key{"burst", one(&c.Limits.Burst, number(1, 1_000_000))},
		)},
		{"fetch", section(c.Fetch.keys()...)},
		{"signatures", section(
			key{"policy", one(&c.Signatures.Policy, enum(Require, Warn, Ignore))},
			key{"ca_files", list(&c.Signatures.CAFiles, filePath())},
		)},
		{"dialect", one(&c.Dialect, enum(Strict, Legacy))},
		{"literal", one(&c.Literal, boolean())},
		{"classes", section(
			key{"controllers", dict(&c.Classes.Controllers, classURI(), host())},
			key{"my_controllers", dict(&c.Classes.MyControllers, mudURL(), host())},
			key{"local_networks", list(&c.Classes.LocalNetworks, network())},
			key{"weak_members", one(&c.Classes.WeakMembers, enum(WeakApprove, WeakAllow, WeakDeny))},
		)},
		{"dns", section(c.DNS.keys()...)},
		{"denials", section(
			key{"nflog_group", one(&c.Denials.NFLOGGroup, number[uint16](0, 65535))},
			key{"rate", one(&c.Denials.Rate, rate())},
		)},
		{"history", section(key{"max_size", one(&c.History.MaxSize, size(64<<10, 1<<30, "64KiB to 1024MiB"))})},
		{"http", section(c.HTTP.keys()...)},
		{"log", section(
			key{"level", one(&c.Log.Level, enum(Debug, Info, Warning, Error))},
			key{"format", one(&c.Log.Format, enum(Text, JSON))},
		)},
		{"notify", section(
			key{"webhooks", sections(&c.Notify.Webhooks, maxWebhooks, "url", (*Webhook).keys)},
			key{"mqtt", section(c.Notify.MQTT.keys()...)},
		)},
	}
}

func (f *Fetch) keys() []key {
	return []key{
		{"ca_files", list(&f.CAFiles, filePath())},
		{"private_hosts", list(&f.PrivateHosts, urlHost())},
		{"allow_hosts", list(&f.AllowHosts, nameSuffix())},
		{"deny_hosts", list(&f.DenyHosts, nameSuffix())},
		{"timeout", one(&f.Timeout, duration(100*time.Millisecond, 10*time.Minute, "100ms to 10m"))},
		{"max_size", one(&f.MaxSize, size(1<<10, 64<<20, "1KiB to 64MiB"))},
	}
}

// maxWebhooks bounds how many are told: each has a queue of its own.
const maxWebhooks = 8

func (w *Webhook) keys() []key {
	return []key{
		{"url", hidden(&w.URL, webhookURL())},
		{"events", list(&w.Events, news())},
		{"token_file", one(&w.TokenFile, filePath())},
		{"ca_file", one(&w.CAFile, filePath())},
	}
}

func (m *MQTT) keys() []key {
	return []key{
		{"broker", hidden(&m.Broker, brokerURL())},
		{"username", one(&m.Username, shortText())},
		{"password_file", one(&m.PasswordFile, orEmpty(filePath()))},
		{"topic", one(&m.Topic, topic())},
		{"discovery_prefix", one(&m.DiscoveryPrefix, orEmpty(topic()))},
		{"ca_file", one(&m.CAFile, orEmpty(filePath()))},
		{"events", list(&m.Events, news())},
	}
}

func (n *DNS) keys() []key {
	return []key{
		{"resolvers", list(&n.Resolvers, unicast())},
		{"min_ttl", one(&n.MinTTL, duration(time.Second, 24*time.Hour, "1s to 24h"))},
		{"private_names", list(&n.PrivateNames, nameSuffix())},
		{"queue", one(&n.Queue, number[uint16](0, 65535))},
	}
}

func (h *HTTP) keys() []key {
	return []key{
		{"listen", one(&h.Listen, listenAddress())},
		{"hosts", list(&h.Hosts, hostName())},
		{"tls", one(&h.TLS, enum(TLSAuto, TLSAlways, TLSNever))},
		{"cert_file", one(&h.CertFile, orEmpty(filePath()))},
		{"key_file", one(&h.KeyFile, orEmpty(filePath()))},
		{"allow_wan", one(&h.AllowWAN, boolean())},
		{"metrics_token", hidden(&h.MetricsToken, orEmpty(secret()))},
	}
}
