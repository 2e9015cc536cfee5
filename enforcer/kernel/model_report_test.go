package kernel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest/model"
	"mudguard/mud"
)

// TestEveryProfile puts every profile into a kernel, each in place of the one before, reads it back, and reports what becomes
// of its ACEs. T-01 T-02 T-13 T-14
func TestEveryProfile(t *testing.T) {
	for _, mode := range []enforcer.BridgeMode{enforcer.BridgeMark, enforcer.BridgeNone} {
		t.Run("own/"+string(mode), func(t *testing.T) { everyProfile(t, mode, ownProfiles(t)) })
		t.Run("corpus/"+string(mode), func(t *testing.T) { everyProfile(t, mode, corpusProfiles(t)) })
	}
}

// outcome is what becomes of an ACE.
type outcome int

const (
	enforced outcome = iota // as it is written
	narrowed                // enforced, but less is let through than a literal reader would
	refused                 // not applied
)

func everyProfile(t *testing.T, mode enforcer.BridgeMode, files []modelFile) {
	n := newSpace(t).open()
	var table strings.Builder
	var total [3]int
	whys := map[string]int{}
	all := 0
	for _, f := range files {
		w := newModelWorld(mode, &f.profile)
		c, rules := w.ruleset(&f.profile)
		roundTrip(t, n, rules)
		count := fates(t, f, c, whys)
		fmt.Fprintf(&table, "%5d %5d %5d  %s\n", count[enforced], count[narrowed], count[refused], f.name)
		if sum, has := count[enforced]+count[narrowed]+count[refused], len(allACEs(&f.profile)); sum != has {
			t.Errorf("%s: of %d ACEs %d are accounted for", f.name, has, sum)
		}
		for i := range total {
			total[i] += count[i]
		}
		all += len(allACEs(&f.profile))
	}
	t.Logf("%s: ACEs enforced, narrowed and refused of each file:\n%s%5d %5d %5d  all %d files, %d ACEs", mode, table.String(), total[enforced],
		total[narrowed], total[refused], len(files), all)
	for _, why := range slices.Sorted(maps.Keys(whys)) {
		t.Logf("%5d %s", whys[why], why)
	}
	if len(files) == 0 || total[enforced] == 0 {
		t.Error("nothing is enforced")
	}
}

// fates counts what becomes of the ACEs of a file. What is not enforced as it is written has a reason.
func fates(t *testing.T, f modelFile, c *enforcer.Compiled, whys map[string]int) (count [3]int) {
	t.Helper()
	acts := map[*mud.ACE]bool{} // it opens flows, or drops packets
	for name, origins := range c.Origins {
		opening := slices.Contains([]string{"out", "gw", "in", "lan"}, name[strings.LastIndex(name, "_")+1:])
		for _, a := range origins {
			if a != nil && (opening || a.Action == mud.Drop) {
				acts[a] = true
			}
		}
	}
	for _, pol := range []*mud.Policy{f.profile.FromDevice, f.profile.ToDevice} {
		for i := 0; pol != nil && i < len(pol.ACEs); i++ {
			o, why := fate(f, &pol.ACEs[i], pol == f.profile.FromDevice, acts[&pol.ACEs[i]])
			count[o]++
			if o != enforced {
				whys[why]++
			}
			if o != enforced && why == "" {
				t.Errorf("%s: ACE %s is not enforced as written, and nothing says why", f.name, pol.ACEs[i].Path)
			}
		}
	}
	return count
}

// fate says what becomes of an ACE and, where it is not enforced as it is written, why: in the words of the parser, or of the
// standards. acts says that some rule came from it.
func fate(f modelFile, a *mud.ACE, fromDevice, acts bool) (outcome, string) {
	switch less := f.left(a); {
	case a.Refused != "":
		return refused, a.Refused
	case a.Match.Group.IsValid():
		return narrowed, "is about what reaches the device by a group, which is not judged (RMX-2.3-a)"
	case model.RepliesOnly(&f.profile, a, fromDevice):
		return narrowed, "is about replies only (T-01, T-02)"
	case less:
		return narrowed, "drops more than written (T-13)"
	case acts:
		return enforced, ""
	case a.Match.RemoteMAC != mud.MACMatch{} || a.Match.LocalMAC != mud.MACMatch{} || a.Match.EtherType != nil:
		return narrowed, "is about frames, and the LAN is no bridge"
	case len(a.Match.Fields) > 0:
		return narrowed, "is about header fields that no packet here has (T-13)"
	}
	return narrowed, ""
}

// left says that the parser left a condition of an ACE out.
func (f modelFile) left(a *mud.ACE) bool {
	return slices.ContainsFunc(f.problems, func(p mud.Problem) bool {
		return (p.Path == a.Path || strings.HasPrefix(p.Path, a.Path+".")) && strings.HasSuffix(p.Message, "drops more than written")
	})
}
