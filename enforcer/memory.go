package enforcer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
)

// Memory is a Kernel in memory: what dry runs and tests use. It keeps the same promises as the real one, which a
// contract test checks: a change is applied wholly or not at all, and what is named must be there.
type Memory struct {
	mu    sync.Mutex
	rules Ruleset
	flows []Flow
	// Fail, when set, is asked before each change and can refuse it.
	Fail func(Delta) error
}

var _ Kernel = (*Memory)(nil)

// Apply implements Kernel.
func (m *Memory) Apply(d Delta) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail != nil {
		if err := m.Fail(d); err != nil {
			return err
		}
	}
	next := Ruleset{Inet: cloneTable(m.rules.Inet), Bridge: cloneTable(m.rules.Bridge)}
	for _, t := range d.Tables {
		slot := &next.Inet
		if t.Family == Bridge {
			slot = &next.Bridge
		}
		if err := applyTable(slot, t); err != nil {
			return fmt.Errorf("applying to table %s %s: %w", t.Family, TableName, err)
		}
	}
	m.rules = next
	return nil
}

func cloneTable(t *Table) *Table {
	if t == nil {
		return nil
	}
	out := &Table{Family: t.Family, Sets: map[string]*Set{}, Chains: maps.Clone(t.Chains)}
	for name, s := range t.Sets {
		c := *s
		c.Elements = maps.Clone(s.Elements)
		out.Sets[name] = &c
	}
	return out
}

func applyTable(slot **Table, d TableDelta) error {
	if d.Drop {
		if *slot == nil {
			return fmt.Errorf("there is no such table")
		}
		*slot = nil
		return nil
	}
	if *slot == nil {
		if !d.Create {
			return fmt.Errorf("there is no such table")
		}
		*slot = newTable(d.Family)
	}
	t := *slot
	for _, s := range d.AddSets {
		if _, there := t.Sets[s.Name]; there {
			return fmt.Errorf("set %s is there already", s.Name)
		}
		c := *s
		c.Elements = map[Key]Element{}
		t.Sets[s.Name] = &c
	}
	if err := addChains(t, d); err != nil {
		return err
	}
	if err := applyElements(t, d); err != nil {
		return err
	}
	if err := deletions(t, d); err != nil {
		return err
	}
	return checkReferences(t)
}

// addChains refuses a chain that is there and is not emptied first: the kernel would append to its rules.
func addChains(t *Table, d TableDelta) error {
	for _, name := range d.FlushChains {
		if t.Chains[name] == nil {
			return fmt.Errorf("there is no chain %s to empty", name)
		}
	}
	for _, c := range d.AddChains {
		if t.Chains[c.Name] != nil && !slices.Contains(d.FlushChains, c.Name) {
			return fmt.Errorf("chain %s is there already", c.Name)
		}
		t.Chains[c.Name] = c
	}
	return nil
}

func deletions(t *Table, d TableDelta) error {
	for _, name := range d.DelChains {
		if t.Chains[name] == nil {
			return fmt.Errorf("there is no chain %s to delete", name)
		}
		delete(t.Chains, name)
	}
	if err := checkReferences(t); err != nil { // of a map that goes too, but later
		return err
	}
	for _, name := range d.DelSets {
		if t.Sets[name] == nil {
			return fmt.Errorf("there is no set %s to delete", name)
		}
		delete(t.Sets, name)
	}
	return nil
}

func applyElements(t *Table, d TableDelta) error {
	for _, del := range d.DelElements {
		s := t.Sets[del.Set.Name]
		if s == nil {
			return fmt.Errorf("there is no set %s", del.Set.Name)
		}
		for k := range del.Elements {
			if _, there := s.Elements[k]; !there && !s.HasTTL {
				return fmt.Errorf("set %s has no element %s", s.Name, k.Text(s.Key))
			}
			delete(s.Elements, k)
		}
	}
	for _, add := range d.AddElements {
		s := t.Sets[add.Set.Name]
		if s == nil {
			return fmt.Errorf("there is no set %s", add.Set.Name)
		}
		maps.Copy(s.Elements, add.Elements)
	}
	return nil
}

// checkReferences refuses what the kernel would: names of chains and sets that are not there.
func checkReferences(t *Table) error {
	verdict := func(where string, v Verdict) error {
		if v.Chain != "" && t.Chains[v.Chain] == nil {
			return fmt.Errorf("%s names chain %s, which is not there", where, v.Chain)
		}
		return nil
	}
	for _, name := range sortedKeys(t.Sets) {
		for _, e := range t.Sets[name].Elements {
			if err := verdict("an element of "+name, e.Verdict); err != nil {
				return err
			}
		}
	}
	for _, name := range sortedKeys(t.Chains) {
		for _, r := range t.Chains[name].Rules {
			for _, e := range r.Exprs {
				if v, ok := e.(Verdict); ok {
					if err := verdict("chain "+name, v); err != nil {
						return err
					}
				}
				if s := setOf(e); s != "" && t.Sets[s] == nil {
					return fmt.Errorf("chain %s names set %s, which is not there", name, s)
				}
			}
		}
	}
	return nil
}

// setOf gives the set that an expression refers to, or "".
func setOf(e Expr) string {
	switch e := e.(type) {
	case IfIn:
		return e.Set
	case EtherIn:
		return e.Set
	case EtherMap:
		return e.Map
	case AddrIn:
		return e.Set
	case AddrMap:
		return e.Map
	case UpdateAddr:
		return e.Set
	case Ask:
		return e.Set
	case Answer:
		return e.Set
	case Limit:
		return e.Set
	}
	return ""
}

// Ruleset implements Kernel.
func (m *Memory) Ruleset() (Ruleset, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Ruleset{Inet: cloneTable(m.rules.Inet), Bridge: cloneTable(m.rules.Bridge)}, nil
}

// Learn implements Kernel.
func (m *Memory) Learn(list []Learned) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.rules.Tables() {
		for _, l := range list {
			if s := t.Sets[l.Set]; s != nil {
				s.Elements[Key{Addr: l.Addr}] = Element{Timeout: l.Timeout}
			}
		}
	}
	return nil
}

// Cut implements Kernel.
func (m *Memory) Cut(addr netip.Addr, keep func(Flow) bool) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var kept []Flow
	for _, f := range m.flows {
		if (f.Src == addr || f.Dst == addr) && (keep == nil || !keep(f)) {
			continue
		}
		kept = append(kept, f)
	}
	n := len(m.flows) - len(kept)
	m.flows = kept
	return n, nil
}

// Send gives what happens to a packet, and tracks its flow when it is let through.
func (m *Memory) Send(site *Site, p Packet) Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.State == "" {
		p.State, p.Reply = m.track(p)
	}
	res := Evaluate(m.rules, site, p, nil)
	for _, a := range res.Asked {
		t := m.rules.Inet
		if a.Family == Bridge {
			t = m.rules.Bridge
		}
		t.Sets[a.Set].Elements[a.Key] = Element{}
	}
	if res.Accept && p.State == "new" {
		m.flows = append(m.flows, p.Flow)
	}
	return res
}

func (m *Memory) track(p Packet) (state string, reply bool) {
	f := p.Flow
	if p.EtherType != 0 { // to connection tracking
		return "invalid", false
	}
	back := f
	back.Src, back.Dst, back.Sport, back.Dport = f.Dst, f.Src, f.Dport, f.Sport
	icmp, answers := f.Proto == protoICMP || f.Proto == protoICMPv6, true
	if icmp {
		back.ICMPType, answers = echoRequest(f)
	}
	for _, known := range m.flows {
		switch {
		case known == f:
			return "established", false
		case known == back && answers:
			return "established", true
		}
	}
	if icmp && answers { // nothing, so it opens nothing
		return "invalid", false
	}
	return "new", false
}

// echoRequest gives the type of ICMP message that f answers. No other is tracked both ways, least of all neighbour discovery.
func echoRequest(f Flow) (uint8, bool) {
	if f.Proto == protoICMPv6 {
		return 128, f.ICMPType == 129
	}
	return 8, f.ICMPType == 0
}
