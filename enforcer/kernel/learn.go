package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/nftables"

	"mudguard/enforcer"
)

// learnSet is what Learn has to know of a set.
type learnSet struct {
	key enforcer.KeyType
	set *nftables.Set
}

// learnOp is the elements that go into one set of one table.
type learnOp struct {
	name  string
	set   *nftables.Set
	elems []nftables.SetElement
}

// Learn adds addresses to learned sets, or renews them, in both tables, as one transaction.
//
// From Linux 6.12 on adding a known element renews it. Before, each is added, deleted and added again in the one
// transaction (N7): the first makes the deletion succeed whether or not it was there, so nothing has to be known
// about the set and there is no moment without the element.
func (n *Nft) Learn(l []enforcer.Learned) error {
	if len(l) == 0 {
		return nil
	}
	n.learnMu.Lock()
	defer n.learnMu.Unlock()
	err := n.learnTry(l)
	if err == nil || errors.Is(err, ErrSetFull) && len(l) == 1 {
		return err
	}
	n.sets = nil // a set came or went: look again
	if err = n.learnTry(l); err == nil {
		return nil
	}
	return n.learnEach(l, err)
}

// learnEach saves what can be saved when the transaction as a whole fails, say because one of the sets is full.
func (n *Nft) learnEach(l []enforcer.Learned, whole error) error {
	if len(l) == 1 {
		return whole
	}
	var errs []error
	for _, one := range l {
		if err := n.learnTry([]enforcer.Learned{one}); err != nil && !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == err.Error() }) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (n *Nft) learnTry(l []enforcer.Learned) error {
	if err := n.loadSets(); err != nil {
		return err
	}
	ops := n.learnOps(l)
	if len(ops) == 0 {
		return nil
	}
	if n.learn == nil {
		s, err := n.dialOwn(learnBuffer)
		if err != nil {
			return err
		}
		n.learn = s
	}
	err := n.learnSend(ops)
	n.learned.Add(1)
	if err == nil {
		return nil
	}
	_ = n.learn.close() // its state is unknown; the error that matters is err
	n.learn = nil
	errno, ok := firstErrno(err)
	switch {
	case ok && errno == syscall.ENFILE:
		return fmt.Errorf("learning into %s: %w (%w)", opNames(ops), ErrSetFull, errno)
	case ok:
		return fmt.Errorf("learning into %s: %w", opNames(ops), errno)
	}
	return fmt.Errorf("learning: %w", err)
}

func (n *Nft) learnSend(ops []learnOp) error {
	c := n.learn.c
	for _, op := range ops {
		if err := c.SetAddElements(op.set, op.elems); err != nil {
			return err
		}
		if n.refresh {
			continue
		}
		if err := errors.Join(c.SetDeleteElements(op.set, op.elems), c.SetAddElements(op.set, op.elems)); err != nil {
			return err
		}
	}
	return n.learn.flush()
}

// learnOps sorts the addresses by set. Sets that are not there are skipped.
func (n *Nft) learnOps(l []enforcer.Learned) []learnOp {
	var ops []learnOp
	for _, f := range []enforcer.TableFamily{enforcer.Inet, enforcer.Bridge} {
		for _, one := range l {
			s, ok := n.sets[f][one.Set]
			if !ok {
				continue
			}
			addr := one.Addr.Unmap()
			key, err := encodeKey(s.key, enforcer.Key{Addr: addr})
			if err != nil {
				continue // an address of the other version has no place in this set
			}
			ops = addElem(ops, s.set, nftables.SetElement{Key: key, Timeout: wholeMillis(one.Timeout)})
		}
	}
	return ops
}

// addElem keeps one entry an address, with the longer timeout: twice the same in one deletion would fail.
func addElem(ops []learnOp, set *nftables.Set, e nftables.SetElement) []learnOp {
	for i := range ops {
		o := &ops[i]
		if o.set != set || len(o.elems) >= maxChunkElements {
			continue
		}
		for j := range o.elems {
			if string(o.elems[j].Key) == string(e.Key) {
				o.elems[j].Timeout = max(o.elems[j].Timeout, e.Timeout)
				return ops
			}
		}
		o.elems = append(o.elems, e)
		return ops
	}
	return append(ops, learnOp{name: set.Name, set: set, elems: []nftables.SetElement{e}})
}

// wholeMillis keeps a short timeout from becoming none: zero means the default of the set.
func wholeMillis(d time.Duration) time.Duration {
	if d > 0 && d < time.Millisecond {
		return time.Millisecond
	}
	return d
}

func opNames(ops []learnOp) string {
	var names []string
	for _, o := range ops {
		names = append(names, o.name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// loadSets asks the kernel which sets there are, when Apply did not say.
func (n *Nft) loadSets() error {
	if n.sets != nil {
		return nil
	}
	r, err := n.reader()
	if err != nil {
		return err
	}
	defer r.nl.Close()
	sets := map[enforcer.TableFamily]map[string]learnSet{}
	for _, f := range []enforcer.TableFamily{enforcer.Inet, enforcer.Bridge} {
		there, err := r.sets(f)
		if errors.Is(err, syscall.ENOENT) {
			continue // no such table
		}
		if err != nil {
			return fmt.Errorf("listing sets of %s: %w", f, err)
		}
		sets[f] = map[string]learnSet{}
		for _, s := range there {
			noteSet(sets[f], f, s)
		}
	}
	n.sets = sets
	return nil
}

func noteSet(sets map[string]learnSet, f enforcer.TableFamily, s *enforcer.Set) {
	if !s.HasTTL || s.Map || s.Interval {
		return
	}
	set, err := encodeSet(&nftables.Table{Name: enforcer.TableName, Family: tableFamily(f)}, s, 0)
	if err == nil {
		sets[s.Name] = learnSet{key: s.Key, set: set}
	}
}

// noteDelta keeps what Learn knows of sets in step with Apply.
func (n *Nft) noteDelta(d enforcer.Delta) {
	n.learnMu.Lock()
	defer n.learnMu.Unlock()
	if n.sets == nil {
		return
	}
	for _, t := range d.Tables {
		if t.Drop {
			delete(n.sets, t.Family)
			continue
		}
		if t.Create || n.sets[t.Family] == nil {
			n.sets[t.Family] = map[string]learnSet{}
		}
		for _, s := range t.AddSets {
			noteSet(n.sets[t.Family], t.Family, s)
		}
		for _, name := range t.DelSets {
			delete(n.sets[t.Family], name)
		}
	}
}

func (n *Nft) noteUnknown() {
	n.learnMu.Lock()
	defer n.learnMu.Unlock()
	n.sets = nil
}
