package enforcertest

import (
	"encoding/json"
	"fmt"
	"maps"

	"mudguard/dhcp"
	"mudguard/mud"
)

// ACE is one entry of a MUD file. The zero ACE accepts all of IPv4.
type ACE struct {
	Drop      bool
	V6        bool           // an ipv6 container instead of an ipv4 one
	Both      bool           // neither: the ACE is about both families
	Name      string         // the peer, by domain name
	Net       string         // the peer, by network
	Class     map[string]any // the ietf-mud:mud container
	Proto     string         // tcp, udp, icmp or ""
	Remote    map[string]any // the peer's port
	Local     map[string]any // the device's port
	Initiated string         // direction-initiated
	ICMP      map[string]any
	// Conditions that are not in the JSON but put into the parsed ACE.
	EtherType           uint16 // not IP
	RemoteMAC, LocalMAC mud.MACMatch
	Fields              []mud.FieldMatch
}

// Field is the condition that a header field has a value.
func Field(f mud.Field, value uint32) []mud.FieldMatch {
	return []mud.FieldMatch{{Field: f, Value: value, Mask: ^uint32(0)}}
}

// MAC is the condition that an Ethernet address is this one.
func MAC(a dhcp.MAC) mud.MACMatch {
	return mud.MACMatch{Addr: a, Mask: [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
}

// Class makes the ietf-mud:mud container of an ACE.
func Class(kind, value string) map[string]any { return map[string]any{kind: value} }

// Group is Class for the conditions that have no value, such as local-networks.
func Group(kind string) map[string]any { return map[string]any{kind: []any{nil}} }

// Op is a port condition with an operator.
func Op(op string, port int) map[string]any { return map[string]any{"operator": op, "port": port} }

// Eq is the port condition for one port.
func Eq(port int) map[string]any { return Op("eq", port) }

// Range is a port condition with bounds.
func Range(lo, hi int) map[string]any { return map[string]any{"lower-port": lo, "upper-port": hi} }

// Twin gives the same ACE for IPv6.
func (a ACE) Twin() ACE {
	a.V6 = true
	return a
}

// Profile is a MUD file in the making.
type Profile struct {
	URL, Mfg, Model string
	From, To        []ACE
	NoFrom, NoTo    bool           // leave the container out
	Extra           map[string]any // more members of the mud container
}

// JSON gives the file.
func (p Profile) JSON() []byte {
	top := map[string]any{"mud-version": 1, "mud-url": p.URL, "last-update": "2026-01-01T00:00:00Z", "is-supported": true,
		"mfg-name": p.Mfg, "model-name": p.Model}
	var acls []any
	add := func(container, name string, list []ACE, toDevice bool) {
		top[container] = map[string]any{"access-lists": map[string]any{"access-list": []any{map[string]any{"name": name}}}}
		aces := []any{}
		for i, a := range list {
			aces = append(aces, a.tree(fmt.Sprintf("%s%d", name, i), toDevice))
		}
		acl := map[string]any{"name": name, "aces": map[string]any{"ace": aces}}
		if t := typeOf(list); t != "" {
			acl["type"] = t
		}
		acls = append(acls, acl)
	}
	if !p.NoFrom {
		add("from-device-policy", "from", p.From, false)
	}
	if !p.NoTo {
		add("to-device-policy", "to", p.To, true)
	}
	maps.Copy(top, p.Extra)
	root := map[string]any{"ietf-mud:mud": top}
	if len(acls) > 0 {
		root["ietf-access-control-list:acls"] = map[string]any{"acl": acls}
	}
	b, err := json.Marshal(root)
	if err != nil {
		panic(err) // only maps of strings and numbers are in it
	}
	return b
}

// typeOf is the type of an ACL that may have these ACEs (R8519-4-d).
func typeOf(list []ACE) string {
	var v4, v6, both bool
	for _, a := range list {
		v4, v6, both = v4 || !a.Both && !a.V6, v6 || !a.Both && a.V6, both || a.Both
	}
	switch {
	case v4 && !v6 && !both:
		return "ipv4-acl-type"
	case v6 && !v4 && !both:
		return "ipv6-acl-type"
	case v4 || v6:
		return "mixed-eth-ipv4-ipv6-acl-type"
	}
	return ""
}

// complete puts the conditions that are not in the JSON into the ACEs that were read from it.
func (p Profile) complete(to *mud.Profile) {
	for _, part := range []struct {
		list []ACE
		read *mud.Policy
	}{{p.From, to.FromDevice}, {p.To, to.ToDevice}} {
		for i, a := range part.list {
			m := &part.read.ACEs[i].Match
			m.RemoteMAC, m.LocalMAC, m.Fields = a.RemoteMAC, a.LocalMAC, a.Fields
			if a.EtherType != 0 {
				m.EtherType, m.Family = &a.EtherType, mud.FamilyAny
			}
		}
	}
}

func (a ACE) tree(name string, toDevice bool) map[string]any {
	peer, dns, remote, local := "destination", "ietf-acldns:dst-dnsname", "destination-port", "source-port"
	if toDevice {
		peer, dns, remote, local = "source", "ietf-acldns:src-dnsname", "source-port", "destination-port"
	}
	net := map[string]any{}
	family := "ipv4"
	if a.V6 {
		family = "ipv6"
	}
	if a.Name != "" {
		net[dns] = a.Name
	}
	if a.Net != "" {
		net[peer+"-"+family+"-network"] = a.Net
	}
	matches := map[string]any{}
	if !a.Both {
		matches[family] = net
	}
	if a.Class != nil {
		matches["ietf-mud:mud"] = a.Class
	}
	if a.Proto == "tcp" || a.Proto == "udp" {
		matches[a.Proto] = a.transport(remote, local)
	}
	if a.ICMP != nil {
		matches["icmp"] = a.ICMP
	}
	action := "accept"
	if a.Drop {
		action = "drop"
	}
	return map[string]any{"name": name, "matches": matches, "actions": map[string]any{"forwarding": action}}
}

func (a ACE) transport(remote, local string) map[string]any {
	out := map[string]any{}
	if a.Remote != nil {
		out[remote] = a.Remote
	}
	if a.Local != nil {
		out[local] = a.Local
	}
	if a.Initiated != "" {
		out["ietf-mud:direction-initiated"] = a.Initiated
	}
	return out
}
