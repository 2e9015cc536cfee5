package mud

import (
	"fmt"
	"net/netip"
	"slices"
)

// matches writes the condition of an ACE in an ACL of that type.
func (e *encoder) matches(a *ACE, dir Direction, typ string) value {
	b := &aceReader{dir: dir}
	local, remote := b.sides()
	w := &aceWriter{encoder: e, ace: a, m: a.Match, local: local, remote: remote}
	w.remotes(dir)
	w.protocol()
	w.fields()
	w.ether(typ)
	out := value{kind: kindObject}
	for _, c := range []struct {
		name string
		*value
	}{{"eth", &w.eth}, {w.family(), &w.ip}, {w.transport, &w.l4}, {"ietf-mud:mud", &w.mud}} {
		if c.kind == kindObject {
			out.set(c.name, *c.value)
		}
	}
	if len(a.TLS) > 0 {
		out.set("ietf-acl-tls:client-profiles", object("tls-dtls-profile", leafListOf(a.TLS, encodeTLS)))
	}
	return out
}

// aceWriter has the containers of one ACE's condition. One that nothing was set in isn't written.
type aceWriter struct {
	*encoder
	ace              *ACE
	m                Match
	local, remote    string
	eth, ip, l4, mud value
	transport        string // name of l4
}

// family gives the name of the container for IP. What needs one while the ACE is about both versions can't be written.
func (w *aceWriter) family() string {
	switch w.m.Family {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	}
	if w.ip.kind == kindObject {
		w.fail("the ACE %s has conditions on IP without saying which version", show(w.ace.Name))
	}
	return ""
}

func (w *aceWriter) remotes(dir Direction) {
	network, name := networkWord(w.m.Family), map[string]string{"source": "ietf-acldns:src-dnsname", "destination": "ietf-acldns:dst-dnsname"}
	for _, r := range w.m.Remotes {
		switch r.Kind {
		case RemoteName:
			w.ip.set(name[w.remote], str(r.Value))
		case RemotePrefix:
			w.prefix(r.Prefix, w.remote+network, name[w.remote])
		case RemoteController:
			w.mud.set("controller", str(r.Value))
		case RemoteManufacturer:
			w.mud.set("manufacturer", str(r.Value))
		case RemoteModel:
			w.mud.set("model", str(r.Value))
		case RemoteMyController:
			w.mud.set("my-controller", emptyLeaf())
		case RemoteLocalNetworks:
			w.mud.set("local-networks", emptyLeaf())
		case RemoteSameManufacturer:
			w.mud.set("same-manufacturer", emptyLeaf())
		default:
			w.fail("the ACE %s names its peer in an unknown way", show(w.ace.Name))
		}
	}
	if w.m.Group.IsValid() {
		if w.ip.set("destination"+network, str(w.m.Group.String())); dir != ToDevice {
			w.fail("the from-device ACE %s has a Group, and there a group is a Remote", show(w.ace.Name))
		}
	}
}

// prefix writes an address of the peer. A second one fits only where names go (T-11).
func (w *aceWriter) prefix(p netip.Prefix, network, name string) {
	if slices.ContainsFunc(w.ip.kids, func(m member) bool { return m.name == network }) && p.IsSingleIP() {
		w.ip.set(name, str(p.Addr().String()))
		return
	}
	w.ip.set(network, str(p.String()))
}

func (w *aceWriter) protocol() {
	if w.m.Protocol == nil {
		return
	}
	proto := *w.m.Protocol
	switch {
	case proto == protoTCP:
		w.transport = "tcp"
	case proto == protoUDP:
		w.transport = "udp"
	case proto == protoICMP && w.m.Family == IPv4, proto == protoICMPv6 && w.m.Family == IPv6:
		w.transport = "icmp"
	}
	if w.m.Family != FamilyAny || w.transport == "" {
		w.ip.set("protocol", num(proto))
	} else {
		w.l4.kind = kindObject // an empty container says it too
	}
	w.ports(w.local+"-port", w.m.LocalPort)
	w.ports(w.remote+"-port", w.m.RemotePort)
	if w.m.ICMPType != nil {
		w.l4.set("type", num(*w.m.ICMPType))
	}
	if w.m.ICMPCode != nil {
		w.l4.set("code", num(*w.m.ICMPCode))
	}
	if w.m.Initiated != DirectionAny {
		w.l4.set("ietf-mud:direction-initiated", str(w.m.Initiated.String()))
	}
}

func (w *aceWriter) ports(name string, p Ports) {
	var v value
	switch {
	case !p.Set:
		return
	case p.Not:
		v.set("operator", str("neq"))
		v.set("port", num(p.Lo))
	case p.Lo == p.Hi:
		v.set("operator", str("eq"))
		v.set("port", num(p.Lo))
	default:
		v.set("lower-port", num(p.Lo))
		v.set("upper-port", num(p.Hi))
	}
	w.l4.set(name, v)
}

func (w *aceWriter) fields() {
	specs := fieldSpecs()
	for _, f := range w.m.Fields {
		i := slices.IndexFunc(specs, func(s fieldSpec) bool { return s.field == f.Field })
		if i < 0 {
			w.fail("the ACE %s compares an unknown header field", show(w.ace.Name))
			continue
		}
		to, v := &w.l4, num(f.Value)
		if specs[i].container[:2] == "ip" {
			to = &w.ip
		}
		switch f.Field {
		case FieldIPFlags, FieldTCPFlags:
			v = flagText(f)
		case FieldTCPOptions, FieldICMPRest:
			v = octets([]byte(f.Bytes))
		}
		to.kind = kindObject
		to.kids = append(to.kids, member{name: specs[i].leaf, value: v})
	}
}

func flagText(f FieldMatch) value {
	text := ""
	for i, name := range flagNames(f.Field) {
		if f.Value&(1<<i) != 0 {
			text += " " + name
		}
	}
	return str(text[min(1, len(text)):])
}

// ether writes conditions on the link, and the IP version where nothing else says it.
func (w *aceWriter) ether(typ string) {
	w.mac(w.local+"-mac-address", w.m.LocalMAC)
	w.mac(w.remote+"-mac-address", w.m.RemoteMAC)
	switch {
	case w.m.EtherType != nil:
		w.eth.set("ethertype", num(*w.m.EtherType))
	case typ == "mixed-eth-ipv4-ipv6-acl-type" && w.m.Family != FamilyAny && len(w.ip.kids) == 0:
		w.eth.set("ethertype", str(w.family()))
	}
}

func (w *aceWriter) mac(name string, m MACMatch) {
	if m == (MACMatch{}) {
		return
	}
	w.eth.set(name, str(macText(m.Addr)))
	if m.Mask != [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} {
		w.eth.set(name+"-mask", str(macText(m.Mask)))
	}
}

func macText(m [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

func encodeTLS(p TLSProfile) value {
	v := object("name", str(p.Name))
	v.set("supported-tls-version", leafListOf(p.TLSVersions, str))
	v.set("supported-dtls-version", leafListOf(p.DTLSVersions, str))
	v.set("cipher-suite", leafListOf(p.CipherSuites, num[uint16]))
	v.set("extension-type", leafListOf(p.ExtensionTypes, num[uint16]))
	v.set("accept-list-ta-cert", leafListOf(p.TrustAnchors, octets))
	v.set("psk-key-exchange-mode", leafListOf(p.PSKKeyExchangeModes, num[uint8]))
	v.set("supported-group", leafListOf(p.SupportedGroups, num[uint16]))
	v.set("signature-algorithm-cert", leafListOf(p.SignatureAlgorithmsCert, num[uint16]))
	v.set("signature-algorithm", leafListOf(p.SignatureAlgorithms, num[uint16]))
	v.set("application-protocol", leafListOf(p.ApplicationProtocols, str))
	v.set("cert-compression-algorithm", leafListOf(p.CertCompressionAlgorithms, num[uint16]))
	v.set("certificate-authorities", leafListOf(p.CertificateAuthorities, str))
	return v
}
