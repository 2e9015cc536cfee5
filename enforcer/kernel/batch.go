package kernel

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"mudguard/enforcer"
)

// batch puts the messages of one transaction into a connection.
type batch struct {
	c      *nftables.Conn
	nextID uint32
}

// table puts the change of one table, in the order that TableDelta demands: nothing is named before it is there, and
// nothing goes while something names it.
func (b *batch) table(d enforcer.TableDelta) error {
	t := &nftables.Table{Name: enforcer.TableName, Family: tableFamily(d.Family)}
	if d.Drop {
		b.c.DelTable(t)
		return nil
	}
	if d.Create {
		b.c.AddTable(t)
	}
	for _, s := range d.AddSets {
		b.nextID++
		set, err := encodeSet(t, s, b.nextID)
		if err != nil {
			return err
		}
		if err := b.c.AddSet(set, nil); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	if err := b.chains(t, d); err != nil {
		return err
	}
	if err := b.elements(t, d.DelElements, true); err != nil {
		return err
	}
	if err := b.elements(t, d.AddElements, false); err != nil {
		return err
	}
	b.deletions(t, d)
	return nil
}

// chains makes all chains empty before any rule, so that rules may name any of them.
func (b *batch) chains(t *nftables.Table, d enforcer.TableDelta) error {
	there := make(map[string]bool, len(d.FlushChains))
	for _, name := range d.FlushChains {
		there[name] = true
	}
	for _, c := range d.AddChains {
		if there[c.Name] {
			continue
		}
		if err := b.chain(t, c); err != nil {
			return err
		}
	}
	for _, name := range d.FlushChains {
		b.c.FlushChain(&nftables.Chain{Table: t, Name: name})
	}
	for _, c := range d.AddChains {
		if err := b.rules(t, d.Family, c); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) chain(t *nftables.Table, c *enforcer.Chain) error {
	out := &nftables.Chain{Table: t, Name: c.Name}
	if c.Hook != "" {
		hook, ok := hookNumber(c.Hook)
		if !ok {
			return fmt.Errorf("kernel: unknown hook %q", c.Hook)
		}
		accept := nftables.ChainPolicyAccept
		out.Type = nftables.ChainTypeFilter
		out.Hooknum = &hook
		out.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(c.Priority))
		out.Policy = &accept
	}
	b.c.AddChain(out)
	return nil
}

func (b *batch) rules(t *nftables.Table, f enforcer.TableFamily, c *enforcer.Chain) error {
	chain := &nftables.Chain{Table: t, Name: c.Name}
	for i, r := range c.Rules {
		exprs, err := encodeRule(f, r)
		if err != nil {
			return fmt.Errorf("chain %s rule %d: %w", c.Name, i, err)
		}
		b.c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: exprs, UserData: ruleComment(r.Comment)})
	}
	return nil
}

func (b *batch) elements(t *nftables.Table, all []enforcer.SetElements, del bool) error {
	for _, se := range all {
		set, err := encodeSet(t, se.Set, 0) // found by name; 0 names no set of this transaction
		if err != nil {
			return err
		}
		chunks, err := encodeElements(se, del)
		if err != nil {
			return err
		}
		for _, chunk := range chunks {
			if del && se.Set.HasTTL { // it may have run out by now: adding it first makes the deletion succeed
				err = b.c.SetAddElements(set, chunk)
			}
			if del {
				err = errors.Join(err, b.c.SetDeleteElements(set, chunk))
			} else {
				err = b.c.SetAddElements(set, chunk)
			}
			if err != nil {
				return fmt.Errorf("set %s: %w", se.Set.Name, err)
			}
		}
	}
	return nil
}

// deletions empties all chains before it deletes one, since they may name each other.
func (b *batch) deletions(t *nftables.Table, d enforcer.TableDelta) {
	for _, name := range d.DelChains {
		b.c.FlushChain(&nftables.Chain{Table: t, Name: name})
	}
	for _, name := range d.DelChains {
		b.c.DelChain(&nftables.Chain{Table: t, Name: name})
	}
	for _, name := range d.DelSets {
		b.c.DelSet(&nftables.Set{Table: t, Name: name})
	}
}

// hookNumber gives the hook's number, which inet and bridge share (NF_INET_*, NF_BR_*).
func hookNumber(h enforcer.Hook) (nftables.ChainHook, bool) {
	switch h {
	case enforcer.HookInput:
		return unix.NF_INET_LOCAL_IN, true
	case enforcer.HookForward:
		return unix.NF_INET_FORWARD, true
	case enforcer.HookOutput:
		return unix.NF_INET_LOCAL_OUT, true
	}
	return 0, false
}
