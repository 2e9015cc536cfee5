package mud

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// aceWords is what converters know of the members of matches.
type aceWords struct {
	containers words
	leaves     map[string]words // by container
	stray      words            // leaves that drafts had, and files have, elsewhere than RFC 8519
	home       map[string]string
	read       map[string]reading
}

// reading converts the value of a leaf in place, or says why it can't.
type reading struct {
	row  string
	read func(*value) error
}

// place names a container where stray leaves belong.
func (w *aceWords) place(in string) string {
	switch in {
	case "l3":
		return "ipv4 or ipv6"
	case "l4":
		return "tcp or udp"
	}
	return in
}

func newAceWords() aceWords {
	w := aceWords{leaves: make(map[string]words), stray: make(words), home: make(map[string]string), read: make(map[string]reading)}
	w.containers = newWords("eth ethernet eth-acl ethernet-acl l2-acl", "ipv4 ipv4-acl", "ipv6 ipv6-acl", "tcp tcp-acl", "udp udp-acl",
		"icmp icmp-acl", "ietf-mud:mud mud-acl", "l2", "l3", "l4")
	whole := func(lo, hi uint64) func(*value) error { return func(v *value) error { return uintLeaf(v, lo, hi) } }
	// The containers of a leaf, its name and what else it was called, the row about its value, and how to read it. One whose
	// containers are in brackets is known only in them.
	for _, l := range []struct {
		in, names, row string
		read           func(*value) error
	}{
		{"ipv4 ipv6", "protocol", "R7951-6-b", protocolLeaf},
		{"(ipv4 ipv6)", "dscp", "R7951-6-b", whole(0, 63)},
		{"(ipv4 ipv6)", "ecn", "R7951-6-b", whole(0, 3)},
		{"(ipv4 ipv6 udp)", "length", "R7951-6-b", whole(0, 65535)},
		{"(ipv4 ipv6)", "ttl", "R7951-6-b", whole(0, 255)},
		{"(ipv4)", "ihl", "R7951-6-b", whole(5, 60)},
		{"(ipv4)", "offset", "R7951-6-b", whole(20, 65535)},
		{"(ipv4)", "identification", "R7951-6-b", whole(0, 65535)},
		{"(ipv6)", "flow-label", "R7951-6-b", whole(0, 1<<20-1)},
		{"(ipv4 tcp)", "flags", "R8520-2-e", stringLeaf},
		{"ipv4", "destination-ipv4-network dst-ipv4-network destination-ipv4-address", "R8520-2-b", networkLeaf(IPv4)},
		{"ipv4", "source-ipv4-network src-ipv4-network source-ipv4-address", "R8520-2-b", networkLeaf(IPv4)},
		{"ipv6", "destination-ipv6-network dst-ipv6-network destination-ipv6-address", "R8520-2-b", networkLeaf(IPv6)},
		{"ipv6", "source-ipv6-network src-ipv6-network source-ipv6-address", "R8520-2-b", networkLeaf(IPv6)},
		{"ipv4 ipv6", "ietf-acldns:src-dnsname source-dnsname src-hostname source-hostname", "R8520-8.1-a", hostLeaf},
		{"ipv4 ipv6", "ietf-acldns:dst-dnsname destination-dnsname dst-hostname destination-hostname", "R8520-8.1-a", hostLeaf},
		{"tcp udp", "source-port source-port-range source-port-range-or-operator src-port", "R8519-4-e", portLeaf},
		{"tcp udp", "destination-port destination-port-range destination-port-range-or-operator dst-port", "R8519-4-e", portLeaf},
		{"tcp", initiated, "R8520-4.8-b", directionLeaf},
		{"(tcp)", "sequence-number", "R7951-6-b", whole(0, math.MaxUint32)},
		{"(tcp)", "acknowledgement-number", "R7951-6-b", whole(0, math.MaxUint32)},
		{"(tcp)", "data-offset", "R7951-6-b", whole(5, 15)},
		{"(tcp)", "reserved", "R7951-6-b", whole(0, 255)},
		{"(tcp)", "window-size", "R7951-6-b", whole(0, 65535)},
		{"(tcp)", "urgent-pointer", "R7951-6-b", whole(0, 65535)},
		{"(tcp)", "options", "R8520-2-e", stringLeaf},
		{"(icmp)", "type icmp-type", "R7951-6-b", whole(0, 255)},
		{"(icmp)", "code icmp-code", "R7951-6-b", whole(0, 255)},
		{"(icmp)", "rest-of-header", "R8520-2-e", stringLeaf},
		{"ietf-mud:mud", "manufacturer", "R8520-4.1-a", manufacturerLeaf},
		{"ietf-mud:mud", "same-manufacturer", "R7951-6.9-a", toEmptyLeaf},
		{"ietf-mud:mud", "model", "R8520-4.4-a", modelLeaf},
		{"ietf-mud:mud", "local-networks local-network", "R7951-6.9-a", toEmptyLeaf},
		{"ietf-mud:mud", "controller", "R8520-4.6-a", classLeaf},
		{"ietf-mud:mud", "my-controller", "R7951-6.9-a", toEmptyLeaf},
		{"eth", "destination-mac-address dst-mac-address destination-mac", "T-14", macLeaf},
		{"eth", "destination-mac-address-mask", "T-14", macLeaf},
		{"eth", "source-mac-address src-mac-address source-mac", "T-14", macLeaf},
		{"eth", "source-mac-address-mask", "T-14", macLeaf},
		{"eth", "ethertype", "T-14", ethertypeLeaf},
	} {
		w.add(l.in, l.names, reading{l.row, l.read})
	}
	return w
}

func (w *aceWords) add(in, names string, r reading) {
	name, _, _ := strings.Cut(names, " ")
	w.read[name] = r
	for _, c := range strings.Fields(strings.Trim(in, "()")) {
		if w.leaves[c] == nil {
			w.leaves[c] = make(words)
		}
		for s, canonical := range newWords(names) {
			w.leaves[c][s] = canonical
			if in[0] != '(' {
				w.stray[s] = canonical
			}
		}
	}
	w.home[name] = map[string]string{"ipv4 ipv6": "l3", "tcp udp": "l4"}[in]
	if w.home[name] == "" {
		w.home[name] = in
	}
}

// digits gives the decimal digits of a whole number that may be in quotes, in hexadecimal, or have a fraction of nothing.
func digits(v *value) (uint64, bool) {
	if v.kind != kindNumber && v.kind != kindString {
		return 0, false
	}
	s := strings.TrimSpace(v.text)
	if hex, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		x, err := strconv.ParseUint(hex, 16, 32)
		return x, err == nil
	}
	if x, err := strconv.ParseUint(s, 10, 32); err == nil {
		return x, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if v.kind != kindNumber || err != nil || f != math.Trunc(f) || f < 0 || f > math.MaxUint32 {
		return 0, false
	}
	return uint64(f), true
}

func uintLeaf(v *value, lo, hi uint64) error {
	x, ok := digits(v)
	if !ok || x < lo || x > hi {
		return fmt.Errorf("%s is not a whole number from %d to %d", brief(v), lo, hi)
	}
	*v = number(strconv.FormatUint(x, 10))
	return nil
}

// protocolLeaf also knows the names that tools write (IANA protocol numbers). Protocol 0 stays what it says, HOPOPT, though
// some meant any (T-30): nobody can tell, and Parse refuses it.
func protocolLeaf(v *value) error {
	for i, name := range []string{"icmp", "igmp", "tcp", "udp", "gre", "esp", "ah", "icmpv6", "ipv6-icmp", "sctp"} {
		if v.kind == kindString && strings.EqualFold(strings.TrimSpace(v.text), name) {
			*v = number(strconv.Itoa([]int{1, 2, 6, 17, 47, 50, 51, 58, 58, 132}[i]))
		}
	}
	return uintLeaf(v, 0, 255)
}

func stringLeaf(v *value) error {
	if v.kind != kindString {
		return fmt.Errorf("expected a string, found %s", v.kind)
	}
	return nil
}

// hostLeaf keeps a domain name or address. Nothing can be made of a wildcard: the names that it means are not in the file.
func hostLeaf(v *value) error {
	if err := stringLeaf(v); err != nil {
		return err
	}
	s := strings.TrimSpace(v.text)
	if _, _, err := parseHost(s); err != nil {
		return err
	}
	v.text = s
	return nil
}

// networkLeaf makes a network of an address, and of one with a netmask.
func networkLeaf(f Family) func(*value) error {
	return func(v *value) error {
		if err := stringLeaf(v); err != nil {
			return err
		}
		s := strings.TrimSpace(v.text)
		addr, length, found := strings.Cut(s, "/")
		a, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(addr), "[]"))
		if err != nil || familyOf(a) != f || a.Zone() != "" {
			return fmt.Errorf("%s is no %s network", show(v.text), f)
		}
		bits := a.BitLen()
		if found {
			bits, err = prefixBits(strings.TrimSpace(length), f)
		}
		if err != nil || bits < 0 || bits > a.BitLen() {
			return fmt.Errorf("%s is no %s network", show(v.text), f)
		}
		if p, err := netip.ParsePrefix(v.text); err != nil || p != netip.PrefixFrom(a, bits) {
			v.text = netip.PrefixFrom(a, bits).String()
		}
		return nil
	}
}

// prefixBits reads a prefix length, or a netmask of ones and then noughts.
func prefixBits(s string, f Family) (int, error) {
	mask, err := netip.ParseAddr(s)
	if err != nil || f != IPv4 || !mask.Is4() {
		return strconv.Atoi(s)
	}
	for bits := range 33 {
		if netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), bits).Masked().Addr() == mask {
			return bits, nil
		}
	}
	return 0, errors.New("no netmask")
}

func directionLeaf(v *value) error {
	for _, d := range []string{"from-device", "to-device"} {
		if v.kind == kindString && squash(v.text) == squash(d) {
			v.text = d
			return nil
		}
	}
	return fmt.Errorf("%s is no direction", brief(v))
}

// toEmptyLeaf takes what says that a condition is there in another way than [null].
func toEmptyLeaf(v *value) error {
	if !isSet(v) {
		return fmt.Errorf("an empty leaf is written [null], found %s", brief(v))
	}
	*v = value{kind: kindArray, kids: []member{{}}}
	return nil
}

// manufacturerLeaf makes a host of a URL that is nothing but one.
func manufacturerLeaf(v *value) error {
	if err := stringLeaf(v); err != nil {
		return err
	}
	if u, err := ParseURL(mendURL(v.text)); strings.Contains(v.text, "://") && err == nil && u.s == "https://"+u.Host()+"/" {
		v.text = u.Host()
		return nil
	}
	return hostLeaf(v)
}

func modelLeaf(v *value) error {
	if err := stringLeaf(v); err != nil {
		return err
	}
	s := mendURL(v.text)
	if _, err := ParseURL(s); err != nil {
		return err
	}
	v.text = s
	return nil
}

// classLeaf makes a URI of a class that is only a word. It means nobody until the administrator says whom (T-15), but for dns
// and ntp, which mean what they say.
func classLeaf(v *value) error {
	if err := stringLeaf(v); err != nil {
		return err
	}
	s := strings.TrimSpace(v.text)
	_, err := ParseClass(s)
	if err != nil && !hasScheme(s) {
		word := strings.ReplaceAll(strings.ToLower(s), " ", "-")
		name, _, hostErr := parseHost(word)
		switch {
		case validLabel(word):
			s = mudURN + word
		case hostErr == nil && name != "":
			s = "https://" + name
		default:
			return fmt.Errorf("the class %s is no URI", show(s))
		}
		_, err = ParseClass(s)
	}
	if err != nil {
		return err
	}
	v.text = s
	return nil
}

func macLeaf(v *value) error {
	hex := strings.Map(func(r rune) rune {
		if strings.ContainsRune(":-. ", r) {
			return -1
		}
		return r
	}, v.text)
	if v.kind != kindString || len(hex) != 12 || strings.Trim(hex, "0123456789abcdefABCDEF") != "" {
		return fmt.Errorf("%s is no Ethernet address", brief(v))
	}
	v.text = colons(hex)
	return nil
}

// ethertypeLeaf makes a number of the hexadecimal text that most tools write. RFC 8519 has names, too.
func ethertypeLeaf(v *value) error {
	if v.kind == kindString {
		name := strings.ToLower(strings.TrimSpace(v.text))
		if slices.Contains(strings.Fields("ipv4 arp wlan trill srp decnet rarp appletalk aarp vlan ipx qnx ipv6 efc esp cobranet "+
			"mpls-unicast mpls-multicast pppoe-discovery pppoe-session intel-ans jumbo-frames homeplug eap profinet hyperscsi aoe "+
			"ethercat provider-bridging ethernet-powerlink goose gse sv lldp sercos wsmp homeplug-av-mme mrp macsec pbb cfm fcoe "+
			"fcoe-ip roce tte hsr"), name) {
			v.text = name
			return nil
		}
	}
	return uintLeaf(v, 0, 65535)
}

// portLeaf makes a range or an operator with a port of what stands for one (R8519-4-e).
func portLeaf(v *value) error {
	if p, err := readPorts(v); err != nil {
		return err
	} else if p != nil {
		*v = *p
	}
	return nil
}

// readPorts gives nil where v is right as it is.
func readPorts(v *value) (*value, error) {
	if v.kind != kindObject {
		return portText(v)
	}
	known := newWords("operator op", "port port-number", "lower-port lower", "upper-port upper")
	leaf := make(map[string]*value)
	for i := range v.kids {
		m := &v.kids[i]
		name := known.find(m.name)
		if name == "" || leaf[name] != nil {
			return nil, fmt.Errorf("%s is not understood in a port", show(m.name))
		}
		m.name, leaf[name] = name, &m.value
		if name == "operator" {
			continue
		}
		if m.kind == kindString && name == "port" && strings.Contains(m.text, "-") && len(v.kids) == 1 {
			return portText(&m.value)
		}
		if err := uintLeaf(&m.value, 0, 65535); err != nil {
			return nil, err
		}
	}
	op, err := operator(leaf["operator"], leaf["port"])
	if err != nil {
		return nil, err
	}
	return oneCase(leaf, op)
}

// portText reads a port or a range that is only a number or a text.
func portText(v *value) (*value, error) {
	if lo, hi, found := strings.Cut(v.text, "-"); found && v.kind == kindString {
		v = &value{kind: kindObject, kids: []member{{name: "lower-port", value: str(lo)}, {name: "upper-port", value: str(hi)}}}
		for i := range v.kids {
			if err := uintLeaf(&v.kids[i].value, 0, 65535); err != nil {
				return nil, err
			}
		}
		_, err := oneCase(map[string]*value{"lower-port": &v.kids[0].value, "upper-port": &v.kids[1].value}, "")
		return v, err
	}
	if err := uintLeaf(v, 0, 65535); err != nil {
		return nil, err
	}
	return portObject("eq", v.text), nil
}

// operator writes an operator as RFC 8519 does; lt and gt become lte and gte of the next port. "range" is none, and says only
// that there is one.
func operator(op, port *value) (string, error) {
	if op == nil {
		return "", nil
	}
	if op.kind != kindString {
		return "", fmt.Errorf("%s is no operator", brief(op))
	}
	next := 0
	switch s := strings.ToLower(strings.TrimSpace(op.text)); s {
	case "eq", "neq", "lte", "gte":
		op.text = s
	case "range":
		op.text = ""
	case "=", "==", "equal":
		op.text = "eq"
	case "!=", "ne":
		op.text = "neq"
	case "<=", "le":
		op.text = "lte"
	case ">=", "ge":
		op.text = "gte"
	case "<", "lt":
		op.text, next = "lte", -1
	case ">", "gt":
		op.text, next = "gte", 1
	default:
		return "", fmt.Errorf("%s is no operator", show(op.text))
	}
	if next != 0 && port != nil {
		x, _ := strconv.Atoi(port.text)
		if x += next; x < 0 || x > 65535 {
			return "", fmt.Errorf("no port is %s %s", show(op.text), port.text)
		}
		port.text = strconv.Itoa(x)
	}
	return op.text, nil
}

// oneCase decides between the two cases of a port. Where both are there and hold together the single port is what both say.
func oneCase(leaf map[string]*value, op string) (*value, error) {
	lower, upper, port := leaf["lower-port"], leaf["upper-port"], leaf["port"]
	var lo, hi int
	if lower != nil && upper != nil {
		lo, _ = strconv.Atoi(lower.text)
		hi, _ = strconv.Atoi(upper.text)
	}
	switch {
	case lower == nil && upper == nil && port == nil && leaf["operator"] == nil:
		return nil, nil // empty: any port
	case lower == nil && upper == nil && port == nil:
		return nil, errors.New("the operator has no port")
	case lower == nil && upper == nil && leaf["operator"] != nil && op == "":
		return nil, errors.New("the range has no bounds")
	case lower == nil && upper == nil:
		return nil, nil
	case lower == nil || upper == nil:
		return nil, errors.New("a range needs both lower-port and upper-port")
	case lo > hi:
		return nil, fmt.Errorf("the range %d to %d is upside down", lo, hi)
	case port == nil && leaf["operator"] == nil:
		return nil, nil
	case port == nil && (op == "" || op == "eq"):
		return &value{kind: kindObject, kids: []member{{name: "lower-port", value: *lower}, {name: "upper-port", value: *upper}}}, nil
	}
	if port != nil && (op == "" || op == "eq") {
		if p, _ := strconv.Atoi(port.text); lo <= p && p <= hi {
			return portObject("eq", port.text), nil
		}
	}
	return nil, errors.New("its range and its operator contradict each other")
}

func portObject(op, port string) *value {
	return &value{kind: kindObject, kids: []member{{name: "operator", value: str(op)}, {name: "port", value: number(port)}}}
}
