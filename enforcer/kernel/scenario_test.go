package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
)

var bridgeModes = []enforcer.BridgeMode{enforcer.BridgeMark, enforcer.BridgeStateless, enforcer.BridgeNone, enforcer.BridgeConntrack}

// TestScenarioOnKernel sends every probe of the table as a real packet through a real gateway, and compares what arrives
// with the table and with Memory, in every way in which this kernel can tell replies on its bridge.
func TestScenarioOnKernel(t *testing.T) {
	for _, mode := range bridgeModes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			for _, c := range enforcertest.Scenario() {
				if c.Fits(mode) {
					t.Run(c.Name, func(t *testing.T) { l.run(t, c) })
				}
			}
		})
	}
}

// table is one case on its way through the lab.
type table struct {
	*lab
	t       *testing.T
	mem     enforcer.Memory
	setup   enforcertest.Setup
	managed map[string]bool // hosts whose policy is enforced
}

// load compiles a case and puts it into the kernel and into a Memory, as a change to what was there before.
func (l *lab) load(t *testing.T, c enforcertest.Case) *table {
	t.Helper()
	own := c.Site
	c.Site = func(s *enforcer.Site) {
		// The table is about policies: neither limit may stop a flow of a later case.
		s.NewFlows, s.NewFlowsBurst = enforcer.Rate{Count: 1e6, Per: time.Second}, 1e6
		s.Queue = l.queue
		if own != nil {
			own(s)
		}
	}
	setup, err := c.Setup(l.mode)
	if err != nil {
		t.Fatal(err)
	}
	r := &table{lab: l, t: t, setup: setup, managed: map[string]bool{}}
	for _, d := range c.Devices {
		r.managed[d.Host] = (d.Profile != nil || d.Kind != "") && !d.Observe && !d.Trusted
	}
	learned := takeLearned(setup.Ruleset)
	for _, step := range []error{l.nft.Apply(enforcer.Diff(l.rules, setup.Ruleset)), l.nft.Learn(learned),
		r.mem.Apply(enforcer.Diff(enforcer.Ruleset{}, setup.Ruleset)), r.mem.Learn(learned)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	l.rules = setup.Ruleset
	l.forget()
	return r
}

// takeLearned takes the addresses of names out of a ruleset, so that they are learned as they are in life.
func takeLearned(r enforcer.Ruleset) []enforcer.Learned {
	var out []enforcer.Learned
	for _, tab := range r.Tables() {
		for _, s := range tab.Sets {
			if !s.Learned {
				continue
			}
			for k := range s.Elements {
				out = append(out, enforcer.Learned{Set: s.Name, Addr: k.Addr, Timeout: time.Hour})
			}
			s.Elements = map[enforcer.Key]enforcer.Element{}
		}
	}
	return out
}

func (l *lab) run(t *testing.T, c enforcertest.Case) {
	r := l.load(t, c)
	probes := c.Probes
	var shots []shot
	for i, p := range probes {
		// Hosts of one wire meet at the gateway only if they go by it, as behind an access point that isolates its clients.
		hairpin := p.Direction() == "lateral" && l.mode == enforcer.BridgeNone
		s := shot{k: p.Packet(), from: l.port(p.FromHost()), to: l.port(p.ToHost()), head: p.Head, viaGW: hairpin}
		s.head.Echo = uint16(i)
		shots = append(shots, s)
	}
	r.round("", shots, func(i int) (bool, bool) { return probes[i].Want, probes[i].Known(l.mode) })
	// The flows that the table opens have answers, those answers have a sequel, and when they are cut it is over.
	var opened []enforcertest.Probe
	var answers, sequels []shot
	for i, p := range probes {
		if p.Want && shots[i].answers() {
			opened = append(opened, p)
			answers = append(answers, shots[i].answer())
			sequels = append(sequels, shots[i].next())
		}
	}
	always := func(int) (bool, bool) { return true, true }
	r.round("answer to ", answers, always)
	r.round("sequel of ", sequels, always)
	var later []shot
	var steps []enforcertest.Later
	for i, p := range opened {
		for _, l := range p.Later {
			s := sequels[i]
			if l.Reply {
				s = answers[i]
				s.head.Seq++ // its SYN has been heard
			}
			later, steps = append(later, s.later(l)), append(steps, l)
		}
	}
	r.round("later packet of ", later, func(i int) (bool, bool) { return steps[i].Want, true })
	r.cut(sequels)
	r.round("after the cut, answer to ", answers, func(i int) (bool, bool) {
		if late := opened[i].Late; late != "" {
			return late == "pass", opened[i].Tracked(r.mode)
		}
		return false, r.stateful(opened[i])
	})
}

// stateful says whether only connection tracking admits the answers to a probe: SYN/ACK never opens anything.
func (r *table) stateful(p enforcertest.Probe) bool {
	return p.Proto == "tcp" && p.Tracked(r.mode) && (r.managed[p.From] || r.managed[p.To])
}

// cut ends the flows that probes opened, in the kernel and in Memory.
func (r *table) cut(opened []shot) {
	r.t.Helper()
	done := map[netip.Addr]bool{}
	for _, s := range opened {
		for _, a := range []netip.Addr{s.k.Src, s.k.Dst} {
			if done[a] || !r.setup.Site.OnLAN(a) || r.setup.Site.OwnAddr(a) {
				continue
			}
			done[a] = true
			_, err := r.nft.Cut(a, nil)
			_, err2 := r.mem.Cut(a, nil)
			if err := errors.Join(err, err2); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// round sends shots at once and compares what arrived. want gives the table's expectation, and whether it has one.
func (r *table) round(what string, shots []shot, want func(int) (allowed, known bool)) {
	r.t.Helper()
	arrived := r.fire(shots)
	for i, s := range shots {
		res := r.mem.Send(&r.setup.Site, s.judged())
		allowed, known := want(i)
		if !known {
			allowed = res.Accept
		}
		r.compare(r.t, what+s.String(), s, arrived[s.id], res, allowed)
	}
}

// compare reports every way in which the kernel, Evaluate and the table disagree about a packet.
func (l *lab) compare(t *testing.T, name string, s shot, at []string, res enforcer.Result, want bool) {
	t.Helper()
	if stray := slices.DeleteFunc(slices.Clone(at), func(p string) bool { return p == s.to }); len(stray) > 0 || len(at) > 1 {
		t.Errorf("%s: arrived at %v, was for %s", name, at, s.to)
	}
	got := slices.Contains(at, s.to)
	if got == want && res.Accept == want {
		return
	}
	t.Errorf("%s: allowed by the kernel %v, by Evaluate %v, by the table %v\n%+v\nrules that Evaluate matched:\n%s", name, got,
		res.Accept, want, s.k, l.explain(res))
}

// explain gives the rules of a result, and the chain as it is in the kernel where the last one is.
func (l *lab) explain(res enforcer.Result) string {
	var b strings.Builder
	tables := map[enforcer.TableFamily]*enforcer.Table{enforcer.Inet: l.rules.Inet, enforcer.Bridge: l.rules.Bridge}
	for _, st := range res.Steps {
		fmt.Fprintf(&b, "  %s %s: %s\n", st.Family, st.Chain, tables[st.Family].Chains[st.Chain].Rules[st.Rule].Text(st.Family))
	}
	if n := len(res.Steps); n > 0 {
		st := res.Steps[n-1]
		b.WriteString(l.gw.run("", "nft", "list", "chain", string(st.Family), enforcer.TableName, st.Chain))
	}
	return b.String()
}

// String says what a shot is, for messages.
func (s shot) String() string {
	k := s.k
	return fmt.Sprintf("%s %s:%d to %s %s:%d proto %d flags %02x icmp %d/%d", s.from, k.Src, k.Sport, s.to, k.Dst, k.Dport, k.Proto,
		k.TCPFlags, k.ICMPType, k.ICMPCode)
}

// TestScenarioFrames: the packets that the lab makes read as what they should be, or a denial proves nothing.
func TestScenarioFrames(t *testing.T) {
	lamp, cloud := enforcertest.HostNamed("lamp"), enforcertest.HostNamed("cloud")
	for _, six := range []bool{false, true} {
		for _, f := range []enforcer.Flow{{Proto: unix.IPPROTO_TCP, Sport: 1, Dport: 65535}, {Proto: unix.IPPROTO_UDP, Sport: 65535, Dport: 1},
			{Proto: unix.IPPROTO_ICMP, ICMPType: 8, ICMPCode: 3}, {Proto: unix.IPPROTO_ICMPV6, ICMPType: 128, ICMPCode: 1}, {Proto: protoOther}} {
			f.Src, f.Dst = lamp.Addr(six), cloud.Addr(six)
			b := shot{k: enforcer.Packet{Flow: f}}.packet()
			if got, n, ok := parseIP(b); !ok || got != f || n != len(b) {
				t.Errorf("made %+v, which reads as %+v, %d of %d bytes, %v", f, got, n, len(b), ok)
			}
		}
	}
}
