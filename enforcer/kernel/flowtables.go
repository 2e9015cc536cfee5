package kernel

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
)

// Offloaded lists the interfaces that flow tables of others take packets from: those of an offloaded flow pass no forward
// chain any more (ecosystem.md 1.6). A kernel without flow tables has none.
func (n *Nft) Offloaded() ([]string, error) {
	s, err := n.dial(learnBuffer)
	if err != nil {
		return nil, err
	}
	defer s.close()
	tables, err := s.c.ListTables()
	if err != nil {
		return nil, fmt.Errorf("listing tables: %w", err)
	}
	var out []string
	for _, t := range tables {
		if t.Family != nftables.TableFamilyINet && t.Family != nftables.TableFamilyIPv4 && t.Family != nftables.TableFamilyIPv6 {
			continue
		}
		flows, err := s.c.ListFlowtables(t)
		if err != nil {
			return nil, nil // CONFIG_NF_FLOW_TABLE is not set
		}
		for _, f := range flows {
			out = append(out, f.Devices...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
