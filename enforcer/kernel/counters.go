package kernel

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"mudguard/enforcer"
)

// Counts reads the counters of a chain's rules, in their order; zero for rules without one.
func (n *Nft) Counts(f enforcer.TableFamily, chain string) ([]enforcer.Count, error) {
	s, err := n.dial(learnBuffer)
	if err != nil {
		return nil, err
	}
	defer s.close()
	t := &nftables.Table{Name: enforcer.TableName, Family: tableFamily(f)}
	rules, err := s.c.GetRules(t, &nftables.Chain{Name: chain, Table: t})
	if err != nil {
		return nil, fmt.Errorf("reading the counters of chain %s: %w", chain, err)
	}
	out := make([]enforcer.Count, len(rules))
	for i, r := range rules {
		for _, x := range r.Exprs {
			if c, ok := x.(*expr.Counter); ok {
				out[i] = enforcer.Count{Packets: c.Packets, Bytes: c.Bytes}
			}
		}
	}
	return out, nil
}
