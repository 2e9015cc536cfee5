package enforcer

import (
	"net/netip"
	"slices"
	"time"

	"mudguard/mud"
)

func (b *builder) commonSets() {
	lan := b.inet.set(Set{Name: setLAN, Key: TypeIfname})
	for _, l := range b.site.LAN {
		lan.Elements[Key{Name: l.Name}] = Element{}
	}
	b.inet.set(Set{Name: setDevices, Key: TypeMAC, Comment: "devices under policy"})
	b.inet.set(Set{Name: mapFrom, Key: TypeMAC, Map: true})
	b.inet.set(Set{Name: mapGateway, Key: TypeMAC, Map: true})
	b.inet.set(Set{Name: mapReplies, Key: TypeMAC, Map: true})
	b.inet.set(meter(setNewFlows, TypeMAC))
	b.inet.set(meter(setQuestions, TypeMAC))
	b.inet.set(Set{Name: setLimited, Key: TypeMAC, Comment: "devices whose questions to DNS are limited"})
	b.inet.set(meter(setDenials, TypeMAC))
	for _, v6 := range []bool{false, true} {
		res := b.inet.set(Set{Name: setResolvers + suffix(v6), Key: addrType(v6), Comment: "whose answers open names"})
		far := b.inet.set(Set{Name: setFar + suffix(v6), Key: addrType(v6), Comment: "of these, those that are not this host"})
		for _, a := range b.site.resolvers() {
			if a.Is6() == v6 {
				res.Elements[Key{Addr: a}] = Element{}
			}
			if a.Is6() == v6 && !b.site.OwnAddr(a) {
				far.Elements[Key{Addr: a}] = Element{}
			}
		}
		clients := meter(setDNSClients+suffix(v6), addrType(v6))
		clients.Timeout = time.Hour
		b.inet.set(clients)
		if b.site.routed() {
			b.inet.set(Set{Name: mapTo + suffix(v6), Key: addrType(v6), Map: true})
			b.inet.set(meter(setDenials+suffix(v6), addrType(v6)))
		}
	}
	here := b.inet.set(Set{Name: setHere, Key: TypeIPv6, Comment: "addresses of this gateway"})
	for _, a := range b.site.ownAddrs() {
		if a.Is6() {
			here.Elements[Key{Addr: a}] = Element{}
		}
	}
	b.identity(b.inet, ClaimIPv4, ClaimIPv6, ClaimND)
	if b.bridge != nil {
		b.identity(b.bridge, ClaimIPv4, ClaimIPv6, ClaimARP, ClaimND)
		b.bridge.set(Set{Name: setDevices, Key: TypeMAC, Comment: "devices under policy"})
		b.bridge.set(Set{Name: mapFrom, Key: TypeMAC, Map: true})
		b.bridge.set(Set{Name: mapTo, Key: TypeMAC, Map: true})
		b.bridge.set(meter(setDenials, TypeMAC))
		b.bridge.set(meter(setDenials+"_to", TypeMAC))
		if b.site.Bridge != BridgeMark {
			b.bridge.set(meter(setNewFlows, TypeMAC))
		}
	}
}

// rareSets are there where some policy needs them.
func (b *builder) rareSets() {
	if b.checksOut {
		b.inet.set(Set{Name: mapChecked, Key: TypeMAC, Map: true})
		b.inet.set(Set{Name: mapCheckedGW, Key: TypeMAC, Map: true})
	}
	for _, v6 := range []bool{false, true} {
		if b.checksIn && b.site.routed() {
			b.inet.set(Set{Name: mapCheckedTo + suffix(v6), Key: addrType(v6), Map: true})
		}
		if !b.asks {
			continue
		}
		for _, t := range []*Table{b.inet, b.bridge} {
			if t != nil {
				asked := meter(setAsked+suffix(v6), askedBy(t.Family, v6))
				asked.Timeout, asked.Comment = answerTime, "who asked a group"
				t.set(asked)
			}
		}
	}
}

// answerTime is how long answers to a question to a group are let in (T-17).
const answerTime = 10 * time.Second

// meter is a set in which rules count.
func meter(name string, key KeyType) Set {
	return Set{Name: name, Key: key, Dynamic: true, HasTTL: true, Learned: true, Timeout: time.Minute, Size: meterSize}
}

// resolvers are those whose answers may open names: by default this host's own.
func (s *Site) resolvers() []netip.Addr {
	if len(s.Resolvers) > 0 {
		return s.Resolvers
	}
	var out []netip.Addr
	for _, l := range s.LAN {
		for _, p := range l.Prefixes {
			out = append(out, p.Addr())
		}
	}
	return out
}

func (b *builder) elements(p *Compiled, s *Set) map[Key]Element {
	switch {
	case s.Learned:
		if b.known == nil {
			return nil
		}
		return b.known(s.Name)
	case s.Interval:
		ranges := b.site.localRanges()
		if s.Name == setLink+suffix(s.Key == TypeIPv6) {
			ranges = b.site.linkRanges()
		} else if s.Name == setNets+suffix(s.Key == TypeIPv6) {
			ranges = b.site.netRanges()
		}
		for k := range ranges {
			if k.Addr.Is6() != (s.Key == TypeIPv6) {
				delete(ranges, k)
			}
		}
		return ranges
	}
	out := map[Key]Element{}
	for _, c := range p.Classes {
		for _, v6 := range []bool{false, true} {
			if c.Set+suffix(v6) == s.Name {
				for _, a := range b.classMembers(c) {
					if a.Is6() == v6 {
						out[Key{Addr: a}] = Element{}
					}
				}
			}
		}
	}
	return out
}

// classMembers gives the addresses of who is in a class now.
func (b *builder) classMembers(c Class) []netip.Addr {
	var out []netip.Addr
	add := func(hosts []Host) {
		for _, h := range hosts {
			if h.Addr.IsValid() {
				out = append(out, h.Addr)
			}
		}
	}
	switch c.Kind {
	case mud.RemoteController:
		add(b.site.Controllers[c.Value])
		return out
	case mud.RemoteMyController:
		for u, hosts := range b.site.MyControllers {
			if u.String() == c.Value {
				add(hosts)
			}
		}
		return out
	}
	for _, m := range b.members {
		if !m.URL.IsZero() && m.Strong == c.Strong && inClass(c, m.URL) {
			for _, a := range m.Addrs {
				if !slices.Contains(m.Claimed, a) {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

func inClass(c Class, u mud.URL) bool {
	switch c.Kind {
	case mud.RemoteSameManufacturer:
		return u.Authority() == c.Value
	case mud.RemoteManufacturer:
		return u.Host() == c.Value
	case mud.RemoteModel:
		return u.String() == c.Value
	}
	return false
}
