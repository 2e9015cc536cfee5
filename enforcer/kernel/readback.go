package kernel

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

const readTries = 5

// Ruleset reads back our tables.
func (n *Nft) Ruleset() (enforcer.Ruleset, error) {
	n.applyMu.Lock()
	defer n.applyMu.Unlock()
	return n.readStable()
}

// readStable reads until nothing changed meanwhile (N6). Our own learning does change the generation, all the time,
// but only elements; in the last try it has to wait.
func (n *Nft) readStable() (enforcer.Ruleset, error) {
	for try := range readTries {
		rs, stable, err := n.readOnce(try == readTries-1)
		if err != nil || stable {
			return rs, err
		}
		time.Sleep(time.Duration(try) * 2 * time.Millisecond)
	}
	return enforcer.Ruleset{}, errTorn
}

func (n *Nft) readOnce(last bool) (rs enforcer.Ruleset, stable bool, err error) {
	if last {
		n.learnMu.Lock()
		defer n.learnMu.Unlock()
	}
	r, err := n.reader()
	if err != nil {
		return rs, false, err
	}
	defer r.nl.Close()
	learned := n.learned.Load()
	before, err := r.generation()
	if err != nil {
		return rs, false, fmt.Errorf("reading generation: %w", err)
	}
	if rs, err = r.ruleset(); errors.Is(err, errTorn) {
		return rs, false, nil
	}
	if err != nil {
		// What was listed a moment ago may be gone: torn, not broken.
		if now, e := r.generation(); e == nil && now != before {
			return rs, false, nil
		}
		return rs, false, err
	}
	after, err := r.generation()
	if err != nil {
		return rs, false, fmt.Errorf("reading generation: %w", err)
	}
	same := after-before == n.learned.Load()-learned
	return rs, !r.torn && (same || last), nil
}

func (r *reader) ruleset() (rs enforcer.Ruleset, err error) {
	for _, p := range []struct {
		f   enforcer.TableFamily
		dst **enforcer.Table
	}{{enforcer.Inet, &rs.Inet}, {enforcer.Bridge, &rs.Bridge}} {
		there, err := r.hasTable(p.f)
		if err != nil {
			return rs, fmt.Errorf("listing %s tables: %w", p.f, err)
		}
		if !there {
			continue
		}
		if *p.dst, err = r.table(p.f); err != nil {
			return rs, fmt.Errorf("reading table %s %s: %w", p.f, enforcer.TableName, err)
		}
	}
	return rs, nil
}

func (r *reader) hasTable(f enforcer.TableFamily) (there bool, err error) {
	err = r.dump(unix.NFT_MSG_GETTABLE, f, nil, func(_ byte, ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if ad.Type() == unix.NFTA_TABLE_NAME && ad.String() == enforcer.TableName {
				there = true
			}
		}
		return ad.Err()
	})
	return there, err
}

func (r *reader) table(f enforcer.TableFamily) (*enforcer.Table, error) {
	t := &enforcer.Table{Family: f, Chains: map[string]*enforcer.Chain{}}
	if err := r.dump(unix.NFT_MSG_GETCHAIN, f, nil, chainsInto(t)); err != nil {
		return nil, fmt.Errorf("chains: %w", err)
	}
	own := []netlink.Attribute{stringAttr(unix.NFTA_RULE_TABLE, enforcer.TableName)}
	if err := r.dump(unix.NFT_MSG_GETRULE, f, own, rulesInto(t)); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	var err error
	if t.Sets, err = r.sets(f); err != nil {
		return nil, fmt.Errorf("sets: %w", err)
	}
	for _, s := range t.Sets {
		if s.Elements, err = r.stableElements(f, s); err != nil {
			return nil, fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	return t, nil
}

func chainsInto(t *enforcer.Table) func(byte, *netlink.AttributeDecoder) error {
	return func(_ byte, ad *netlink.AttributeDecoder) error {
		c, table := &enforcer.Chain{}, ""
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_CHAIN_TABLE:
				table = ad.String()
			case unix.NFTA_CHAIN_NAME:
				c.Name = ad.String()
			case unix.NFTA_CHAIN_HOOK:
				if err := nested(ad.Bytes(), func(ad *netlink.AttributeDecoder) error { return readHook(c, ad) }); err != nil {
					return err
				}
			}
		}
		if table == enforcer.TableName {
			t.Chains[c.Name] = c
		}
		return ad.Err()
	}
}

func readHook(c *enforcer.Chain, ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_HOOK_HOOKNUM:
			c.Hook = hookName(ad.Uint32())
		case unix.NFTA_HOOK_PRIORITY:
			c.Priority = int32(ad.Uint32())
		}
	}
	return ad.Err()
}

// hookName never gives "": a base chain that somebody else made at another hook must not pass for a regular one.
func hookName(n uint32) enforcer.Hook {
	switch n {
	case unix.NF_INET_LOCAL_IN:
		return enforcer.HookInput
	case unix.NF_INET_FORWARD:
		return enforcer.HookForward
	case unix.NF_INET_LOCAL_OUT:
		return enforcer.HookOutput
	}
	return enforcer.Hook(fmt.Sprintf("hook%d", n))
}

func rulesInto(t *enforcer.Table) func(byte, *netlink.AttributeDecoder) error {
	return func(_ byte, ad *netlink.AttributeDecoder) error {
		var table, chain string
		var rule enforcer.Rule
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_RULE_TABLE:
				table = ad.String()
			case unix.NFTA_RULE_CHAIN:
				chain = ad.String()
			case unix.NFTA_RULE_USERDATA:
				rule.Comment, _ = udata(ad.Bytes(), byte(userdata.TypeComment))
			}
		}
		if c := t.Chains[chain]; c != nil && table == enforcer.TableName {
			c.Rules = append(c.Rules, rule)
		}
		return ad.Err()
	}
}

func (r *reader) sets(f enforcer.TableFamily) (map[string]*enforcer.Set, error) {
	out := map[string]*enforcer.Set{}
	own := []netlink.Attribute{stringAttr(unix.NFTA_SET_TABLE, enforcer.TableName)}
	err := r.dump(unix.NFT_MSG_GETSET, f, own, func(_ byte, ad *netlink.AttributeDecoder) error {
		s, err := readSet(ad)
		if err == nil {
			out[s.Name] = s
		}
		return err
	})
	return out, err
}

func readSet(ad *netlink.AttributeDecoder) (*enforcer.Set, error) {
	s := &enforcer.Set{}
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_SET_NAME:
			s.Name = ad.String()
		case unix.NFTA_SET_FLAGS:
			flags := ad.Uint32()
			s.Map = flags&unix.NFT_SET_MAP != 0
			s.Interval = flags&unix.NFT_SET_INTERVAL != 0
			s.Dynamic = flags&unix.NFT_SET_EVAL != 0
			s.HasTTL = flags&unix.NFT_SET_TIMEOUT != 0
		case unix.NFTA_SET_KEY_TYPE:
			s.Key = keyType(ad.Uint32())
		case unix.NFTA_SET_TIMEOUT:
			s.Timeout = time.Duration(ad.Uint64()) * time.Millisecond
		case unix.NFTA_SET_DESC:
			if err := nested(ad.Bytes(), func(ad *netlink.AttributeDecoder) error { return readDesc(s, ad) }); err != nil {
				return nil, err
			}
		case unix.NFTA_SET_USERDATA:
			s.Comment, _ = udata(ad.Bytes(), byte(userdata.NFTNL_UDATA_SET_COMMENT))
		}
	}
	// What is learned cannot be told from the kernel; only learned sets have timeouts.
	s.Learned = s.HasTTL
	return s, ad.Err()
}

func readDesc(s *enforcer.Set, ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() == unix.NFTA_SET_DESC_SIZE {
			s.Size = ad.Uint32()
		}
	}
	return ad.Err()
}

func keyType(magic uint32) enforcer.KeyType {
	for _, k := range []enforcer.KeyType{enforcer.TypeMAC, enforcer.TypeIPv4, enforcer.TypeIPv6, enforcer.TypeIfname,
		enforcer.TypeMACIPv4, enforcer.TypeMACIPv6, enforcer.TypeMACPorts, enforcer.TypeIPv4Ports, enforcer.TypeIPv6Ports} {
		if dt, err := setDatatype(k); err == nil && dt.GetNFTMagic() == magic {
			return k
		}
	}
	return enforcer.KeyType(fmt.Sprintf("type%d", magic))
}

// inPlace says that the kernel has what d wanted to make of it.
func inPlace(have enforcer.Ruleset, d enforcer.Delta) bool {
	for _, t := range d.Tables {
		got := have.Inet
		if t.Family == enforcer.Bridge {
			got = have.Bridge
		}
		if t.Drop != (got == nil) || got != nil && !tableInPlace(got, t) {
			return false
		}
	}
	return true
}

func tableInPlace(got *enforcer.Table, d enforcer.TableDelta) bool {
	for _, c := range d.AddChains {
		have := got.Chains[c.Name]
		if have == nil || !slices.EqualFunc(have.Rules, c.Rules, func(a, b enforcer.Rule) bool { return a.Comment == b.Comment }) {
			return false
		}
	}
	for _, s := range d.AddSets {
		if got.Sets[s.Name] == nil {
			return false
		}
	}
	for _, se := range d.AddElements {
		s := got.Sets[se.Set.Name]
		if s == nil || !holds(s.Elements, se.Elements) {
			return false
		}
	}
	return goneInPlace(got, d)
}

// holds compares what Diff compares, so a moved element counts only at its new place.
func holds(have, want map[enforcer.Key]enforcer.Element) bool {
	for k, w := range want {
		h, ok := have[k]
		if !ok || h.Verdict != w.Verdict || h.Comment != w.Comment {
			return false
		}
	}
	return true
}

func goneInPlace(got *enforcer.Table, d enforcer.TableDelta) bool {
	added := map[string]map[enforcer.Key]enforcer.Element{}
	for _, se := range d.AddElements {
		added[se.Set.Name] = se.Elements
	}
	for _, se := range d.DelElements {
		s := got.Sets[se.Set.Name]
		for k := range se.Elements {
			if _, again := added[se.Set.Name][k]; again || s == nil {
				continue
			}
			if _, still := s.Elements[k]; still {
				return false
			}
		}
	}
	return !slices.ContainsFunc(d.DelChains, func(n string) bool { return got.Chains[n] != nil }) &&
		!slices.ContainsFunc(d.DelSets, func(n string) bool { return got.Sets[n] != nil })
}
