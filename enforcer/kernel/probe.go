package kernel

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"

	"mudguard/enforcer"
)

// Features is what this kernel can do.
type Features struct {
	Queue           string // how a Queue is spelled: native, xt or none
	Bridge          bool   // tables of the bridge family
	BridgeConntrack bool   // ct in the bridge family (Linux 5.3, nf_conntrack_bridge)
	BridgeLog       bool   // log in the bridge family
	BrNetfilter     bool   // bridged packets pass the inet hooks too
	Fib             bool   // fib, for NoRouteBack
}

// Spellings of Features.Queue.
const (
	QueueNative = "native"
	QueueXT     = "xt"
	QueueNone   = "none"
)

// brNetfilterFile says whether bridged frames pass the inet hooks; it is not there where br_netfilter is not.
const brNetfilterFile = "/proc/sys/net/bridge/bridge-nf-call-iptables"

// Probe tries what the kernel can do, in a scratch table without base chains: deleting one of those would drop every
// packet that is held in any queue (R3).
func (n *Nft) Probe() Features {
	f := Features{
		Queue:           QueueNone,
		Bridge:          n.loads(enforcer.Bridge, enforcer.Counter{}),
		BridgeConntrack: n.loads(enforcer.Bridge, enforcer.CtState{State: "established"}),
		BridgeLog:       n.loads(enforcer.Bridge, enforcer.Log{Group: 1}),
		Fib:             n.loads(enforcer.Inet, enforcer.NoRouteBack{}),
		BrNetfilter:     BrNetfilter(),
	}
	switch {
	case n.loads(enforcer.Inet, enforcer.Queue{Num: 1}):
		f.Queue = QueueNative
	case n.loads(enforcer.Inet, enforcer.Queue{Num: 1, XT: true}):
		f.Queue = QueueXT
	}
	return f
}

// BrNetfilter says whether bridged IPv4 frames pass the inet hooks here.
func BrNetfilter() bool {
	b, err := os.ReadFile(brNetfilterFile)
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// scratch is a table of our own for probes. Its name never collides with the real one.
func scratch(f enforcer.TableFamily) *nftables.Table {
	return &nftables.Table{Name: fmt.Sprintf("%s_probe_%d", enforcer.TableName, os.Getpid()), Family: tableFamily(f)}
}

// loads says that the kernel takes a rule of exactly this expression. The table is made, filled and deleted in one
// transaction, so that nothing of it is ever seen.
func (n *Nft) loads(f enforcer.TableFamily, x enforcer.Expr) bool {
	exprs, err := encodeRule(f, enforcer.Rule{Exprs: []enforcer.Expr{x}})
	if err != nil {
		return false
	}
	s, err := n.dial(learnBuffer)
	if err != nil {
		return false
	}
	defer s.close()
	t := scratch(f)
	c := &nftables.Chain{Table: t, Name: "c"}
	s.c.AddTable(t)
	s.c.AddChain(c)
	for _, name := range setNames(x) {
		if err := s.c.AddSet(probeSet(t, name, x), nil); err != nil {
			return false
		}
	}
	s.c.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: exprs})
	s.c.DelTable(t)
	return s.flush() == nil
}

// setNames gives the set that a dynamic expression needs; those that only look up are never lacking.
func setNames(x enforcer.Expr) []string {
	switch x := x.(type) {
	case enforcer.Limit:
		return []string{x.Set}
	case enforcer.UpdateAddr:
		return []string{x.Set}
	case enforcer.NoteClaim:
		return []string{x.Set}
	case enforcer.Ask:
		return []string{x.Set}
	}
	return nil
}

func probeSet(t *nftables.Table, name string, x enforcer.Expr) *nftables.Set {
	s := &nftables.Set{Table: t, ID: 1, Name: name, Dynamic: true, HasTimeout: true, Timeout: time.Minute, Size: 16}
	switch x := x.(type) {
	case enforcer.Limit:
		s.KeyType = nftables.TypeEtherAddr
		if x.By == enforcer.ByIPv4Dst {
			s.KeyType = nftables.TypeIPAddr
		} else if x.By == enforcer.ByIPv6Dst {
			s.KeyType = nftables.TypeIP6Addr
		}
	case enforcer.UpdateAddr:
		s.KeyType = nftables.TypeIPAddr
		if x.V6 {
			s.KeyType = nftables.TypeIP6Addr
		}
	case enforcer.NoteClaim:
		s.KeyType, _ = setDatatype(x.KeyType())
	case enforcer.Ask:
		s.KeyType, _ = setDatatype(x.By) // of our own three
	}
	return s
}

// lacking names the kinds of expressions of d that the kernel does not take, each tried alone.
func (n *Nft) lacking(d enforcer.Delta) []string {
	tried, lacks := map[string]bool{}, []string{}
	for _, t := range d.Tables {
		for _, c := range t.AddChains {
			for _, r := range c.Rules {
				for _, x := range r.Exprs {
					name, ok := kernelModule(x)
					name = string(t.Family) + " " + name
					if !ok || tried[name] {
						continue
					}
					tried[name] = true
					if !n.loads(t.Family, x) {
						lacks = append(lacks, name)
					}
				}
			}
		}
	}
	slices.Sort(lacks)
	return lacks
}

// kernelModule names the part of the kernel that an expression needs, for those that may be left out of one.
func kernelModule(x enforcer.Expr) (string, bool) {
	switch x := x.(type) {
	case enforcer.Queue:
		if x.XT {
			return "xt NFQUEUE (nft_compat, xt_NFQUEUE)", true
		}
		return "queue (nft_queue)", true
	case enforcer.CtState, enforcer.CtFresh, enforcer.CtReply:
		return "ct (nft_ct)", true
	case enforcer.NoRouteBack:
		return "fib (nft_fib)", true
	case enforcer.Log:
		return "log (nft_log)", true
	case enforcer.Limit:
		return "limit (nft_limit)", true
	case enforcer.UpdateAddr, enforcer.NoteClaim, enforcer.Ask:
		return "dynamic sets", true
	}
	return "", false
}

// probeRefresh tries whether adding a known element renews its timeout (N7). The scratch table is deleted whatever
// happens.
func (n *Nft) probeRefresh() (bool, error) {
	s, err := n.dial(learnBuffer)
	if err != nil {
		return false, err
	}
	defer s.close()
	t := scratch(enforcer.Inet)
	set := &nftables.Set{Table: t, ID: 1, Name: "s", KeyType: nftables.TypeIPAddr, HasTimeout: true}
	s.c.AddTable(t)
	err = errors.Join(s.c.AddSet(set, nil), s.c.SetAddElements(set, probeElement(time.Minute)), s.flush())
	if err != nil {
		return false, fmt.Errorf("trying nftables: %w", err)
	}
	defer func() {
		s.c.DelTable(t)
		_ = s.flush() // a table without chains hurts nobody, and its name tells whose it is
	}()
	if err := errors.Join(s.c.SetAddElements(set, probeElement(time.Hour)), s.flush()); err != nil {
		return false, fmt.Errorf("trying nftables: %w", err)
	}
	elems, err := s.c.GetSetElements(set)
	if err != nil {
		return false, fmt.Errorf("trying nftables: %w", err)
	}
	return len(elems) == 1 && elems[0].Expires > 2*time.Minute, nil
}

func probeElement(d time.Duration) []nftables.SetElement {
	return []nftables.SetElement{{Key: []byte{192, 0, 2, 1}, Timeout: d}}
}
