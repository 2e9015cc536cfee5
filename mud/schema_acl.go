package mud

import (
	"cmp"
	"strings"
)

// aclsSchema is ietf-access-control-list and ietf-packet-fields (RFC 8519), with what ietf-mud, ietf-acldns and
// ietf-acl-tls add to its matches.
func aclsSchema() schema {
	ace := list("ace", "name",
		leaf("name", stringType(1, 64)).of("R8519-4-b"),
		matchesSchema(),
		container("actions",
			leaf("forwarding", forwardingType).mandatory().of("R8519-4-f"),
			leaf("logging", identityType(aclModule, "log-syslog", "log-none")).of("R8519-4-g"),
		).of("R8519-4-f"),
		container("statistics",
			leaf("matched-packets", counterType),
			leaf("matched-octets", counterType)).answeredBy(aside),
	).answeredBy(ownPart)
	return container(rootACLs,
		list("acl", "name",
			leaf("name", stringType(1, 64)).of("R8519-4-b"),
			leaf("type", aclTypeType).answeredBy(ownPart),
			container("aces", ace)),
		container("attachment-points",
			list("interface", "interface-id", leaf("interface-id", interfaceType))).answeredBy(aside))
}

// forwardingType is what an ACE does (R8520-2-f).
func forwardingType(v *value) *flaw {
	f := identityType(aclModule, "accept", "drop", "reject")(v)
	switch {
	case f == nil:
	case v.kind != kindString:
		f.mend = `"accept"`
	default:
		f.row, f.mend = "R8520-2-f", cmp.Or(f.mend, `"drop"`)
	}
	return f
}

const aclModule = "ietf-access-control-list"

// aclTypeType is the identity of an ACL's type (R8519-4-d, T-14).
func aclTypeType(v *value) *flaw {
	f := identityType(aclModule, aclTypes()...)(v)
	if f != nil && v.kind == kindString {
		f.row = "T-14"
		for _, t := range []struct{ old, is string }{{"ether", "eth-acl-type"}, {"ipv4", "ipv4-acl-type"}, {"ipv6", "ipv6-acl-type"}} {
			if strings.HasPrefix(strings.ToLower(identity(v.text)), t.old) {
				f.mend = quote(t.is)
			}
		}
	}
	return f
}

func aclTypes() []string {
	return []string{"ipv4-acl-type", "ipv6-acl-type", "eth-acl-type", "mixed-eth-ipv4-acl-type", "mixed-eth-ipv6-acl-type",
		"mixed-eth-ipv4-ipv6-acl-type"}
}

func matchesSchema() schema {
	return container("matches",
		container("eth",
			leaf("destination-mac-address", macType),
			leaf("destination-mac-address-mask", macType),
			leaf("source-mac-address", macType),
			leaf("source-mac-address-mask", macType),
			leaf("ethertype", ethertypeType)),
		container("ipv4", append(ipSchema(IPv4),
			leaf("ihl", uintType(5, 60)),
			leaf("flags", bitsType("reserved", "fragment", "more")),
			leaf("offset", uintType(20, 65535)),
			leaf("identification", uintType(0, 65535)))...).in("l3", "ipv4"),
		container("ipv6", append(ipSchema(IPv6),
			leaf("flow-label", uintType(0, 1<<20-1)))...).in("l3", "ipv6"),
		container("tcp", append(portsSchema(),
			leaf("sequence-number", uintType(0, 1<<32-1)),
			leaf("acknowledgement-number", uintType(0, 1<<32-1)),
			leaf("data-offset", uintType(5, 15)),
			leaf("reserved", uintType(0, 255)),
			leaf("flags", bitsType("cwr", "ece", "urg", "ack", "psh", "rst", "syn", "fin")),
			leaf("window-size", uintType(0, 65535)),
			leaf("urgent-pointer", uintType(0, 65535)),
			leaf("options", binaryType(1, 40)),
			leaf("ietf-mud:direction-initiated", oneOf("to-device", "from-device")).of("R8520-4.8-b"))...).in("l4", "tcp"),
		container("udp", append(portsSchema(),
			leaf("length", uintType(0, 65535)),
			leaf("ietf-mud:direction-initiated", never("R8520-4.8-a", "direction-initiated is for TCP only; remove it or match on "+
				"tcp")))...).in("l4", "udp"),
		container("icmp",
			leaf("type", uintType(0, 255)),
			leaf("code", uintType(0, 255)),
			leaf("rest-of-header", binaryType(0, 0))).in("l4", "icmp"),
		leaf("egress-interface", interfaceType),
		leaf("ingress-interface", interfaceType),
		container("ietf-mud:mud",
			leaf("manufacturer", hostType).of("R8520-4.1-a"),
			leaf("same-manufacturer", emptyType),
			leaf("model", uriType).of("R8520-4.4-a"),
			leaf("local-networks", emptyType),
			leaf("controller", uriType).of("R8520-4.6-a"),
			leaf("my-controller", emptyType)),
		profilesSchema())
}

func ipSchema(f Family) []schema {
	network := networkWord(f)
	return []schema{
		leaf("dscp", uintType(0, 63)),
		leaf("ecn", uintType(0, 3)),
		leaf("length", uintType(0, 65535)),
		leaf("ttl", uintType(0, 255)),
		leaf("protocol", uintType(0, 255)),
		leaf("destination"+network, prefixType(f)),
		leaf("source"+network, prefixType(f)),
		leaf("ietf-acldns:src-dnsname", hostType).of("R8520-8.1-a"),
		leaf("ietf-acldns:dst-dnsname", hostType).of("R8520-8.1-a"),
	}
}

// portsSchema has the port conditions of tcp and udp (R8519-4-e). That a range isn't upside down is for its reader.
func portsSchema() []schema {
	side := func(name string) schema {
		return container(name,
			leaf("lower-port", uintType(0, 65535)).in("port", "range").mandatory(),
			leaf("upper-port", uintType(0, 65535)).in("port", "range").mandatory(),
			leaf("operator", oneOf("eq", "neq", "lte", "gte")).in("port", "operator"),
			leaf("port", uintType(0, 65535)).in("port", "operator").mandatory(),
		).of("R8519-4-e")
	}
	return []schema{side("source-port"), side("destination-port")}
}

// profilesSchema is ietf-acl-tls (RFC 9761 section 5). The RFC's own example has the names of a draft (R9761-5.1-b).
func profilesSchema() schema {
	const row = "R9761-5.1-b"
	many := func(name string, t leafType) schema { return leafList(name, t).called(name+"s", row) }
	u16 := uintType(0, 65535)
	return container("ietf-acl-tls:client-profiles",
		list("tls-dtls-profile", "name",
			leaf("name", stringType(1, 64)),
			many("supported-tls-version", oneOf("tls12", "tls13")),
			many("supported-dtls-version", oneOf("dtls12", "dtls13")),
			many("cipher-suite", u16),
			many("extension-type", u16),
			many("accept-list-ta-cert", binaryType(0, 0)),
			many("psk-key-exchange-mode", uintType(0, 255)),
			many("supported-group", u16),
			many("signature-algorithm-cert", u16),
			many("signature-algorithm", u16),
			many("application-protocol", stringType(0, 0)),
			many("cert-compression-algorithm", u16),
			leafList("certificate-authorities", stringType(0, 0)),
		).called("tls-dtls-profiles", row),
	).called("ietf-acl-tls:client-profile", row).of("R9761-5.1-a")
}
