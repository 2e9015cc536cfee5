package kernel

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
	"mudguard/enforcer"
	"mudguard/enforcer/enforcertest"
	"mudguard/enforcer/enforcertest/model"
	"mudguard/mud"
)

// modelPackets is how many random packets are judged twice, by the model and by the kernel, for each seed.
const modelPackets = 100_000

// modelFile is a profile of the model check, and what was found wrong with its file.
type modelFile struct {
	name     string
	profile  mud.Profile
	problems []mud.Problem
}

// TestModel compares the kernel with a model that knows nothing of the compiler, on random packets near what profiles say: of
// our own, and of the corpus where it is there. One seed is fixed, and one drawn anew and named.
// T-01 T-02 T-13 T-17 T-21 T-22 T-23 T-47 R8520-4.8-a R8520-4.8-b R8520-5-b
func TestModel(t *testing.T) {
	for _, seed := range []uint64{1, uint64(time.Now().UnixNano())} {
		t.Run(fmt.Sprintf("own/seed=%d", seed), func(t *testing.T) { checkModel(t, ownProfiles(t), seed, modelPackets/5) })
		t.Run(fmt.Sprintf("corpus/seed=%d", seed), func(t *testing.T) { checkModel(t, corpusProfiles(t), seed, modelPackets) })
	}
}

func checkModel(t *testing.T, files []modelFile, seed uint64, packets int) {
	all := len(files)
	files = slices.DeleteFunc(files, func(f modelFile) bool { return !modelled(&f.profile) })
	t.Logf("%d of %d profiles state no policy, or have conditions on header fields", all-len(files), all)
	total := &modelRun{seed: seed}
	modes := []enforcer.BridgeMode{enforcer.BridgeMark, enforcer.BridgeStateless, enforcer.BridgeNone}
	each := 1 + packets*11/10/(len(modes)*len(files)) // a tenth more, as not all can be known
	want := 0
	for i, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			l := newLab(t, mode)
			want += packets / len(modes)
			for j, f := range files {
				total.file(t, l, f, rand.New(rand.NewPCG(seed, uint64(i*len(files)+j))), each)
			}
		})
	}
	t.Logf("seed %d: %d packets near %d profiles, of which %d are allowed, and %d later ones of flows or alone; %d disagreements", seed,
		total.judged, len(files), total.allowed, total.later, total.wrong)
	if total.judged < want || total.allowed <= total.judged/10 || total.allowed >= total.judged*9/10 {
		t.Errorf("seed %d: %d of %d packets are allowed, of %d wanted: that compares nothing", seed, total.allowed, total.judged, want)
	}
}

// modelled leaves out what the model does not judge: no policy (T-12), and conditions on header fields, which TestScenarioRandom
// is about.
func modelled(p *mud.Profile) bool {
	fields := func(pol *mud.Policy) bool {
		return pol != nil && slices.ContainsFunc(pol.ACEs, func(a mud.ACE) bool { return len(a.Match.Fields) > 0 })
	}
	return (p.FromDevice != nil || p.ToDevice != nil) && !fields(p.FromDevice) && !fields(p.ToDevice)
}

// modelRun is what one seed came to.
type modelRun struct {
	seed                          uint64
	judged, allowed, later, wrong int
}

// sample is a packet as the model and as the lab see it, with the model's verdict.
type sample struct {
	model.Packet
	shot
	pass  bool
	why   string
	later bool // of a flow, or it looks like that
}

func (r *modelRun) file(t *testing.T, l *lab, f modelFile, rnd *rand.Rand, n int) {
	w := newModelWorld(l.mode, &f.profile)
	_, rules := w.ruleset(&f.profile)
	l.enforce(t, rules)
	d := newModelDraw(rnd, w, &f.profile)
	m := model.New(&f.profile, w.World)
	first := make([]sample, n)
	for i := range first {
		first[i] = d.packet(l)
		first[i].pass, first[i].why = m.Judge(first[i].Packet)
		if first[i].known(l.mode) {
			r.judged++
		}
		if first[i].pass {
			r.allowed++
		}
	}
	r.compare(t, l, f, first)
	// The other side answers: in a flow, or alone, where the first packet was stopped. Then the first side goes on.
	var answers, sequels []sample
	for _, p := range first {
		if p.answers() && !p.Peer.IsMulticast() && p.Peer != allHosts && d.IntN(4) == 0 {
			answers = append(answers, p.answered())
			if p.pass {
				sequels = append(sequels, p.goesOn())
			}
		}
	}
	answers = append(answers, d.unasked(l, first)...)
	for _, later := range [][]sample{answers, sequels} {
		for i := range later {
			later[i].pass, later[i].why = m.Judge(later[i].Packet)
			if later[i].known(l.mode) {
				r.later++
			}
		}
		r.compare(t, l, f, later)
	}
}

var allHosts = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// compare sends packets and reports each that the kernel judges otherwise than the model.
func (r *modelRun) compare(t *testing.T, l *lab, f modelFile, list []sample) {
	t.Helper()
	shots := make([]shot, len(list))
	for i := range list {
		shots[i] = list[i].shot
	}
	arrived := l.fire(shots)
	for i, p := range list {
		if got := slices.Contains(arrived[shots[i].id], p.to); got != p.pass && p.known(l.mode) {
			r.wrong++
			t.Errorf("seed %d, %s, profile %s, %s: the kernel says %v, the model %v (%s)\n%+v", r.seed, l.mode, f.name, p.shot, got, p.pass, p.why,
				p.Packet)
		}
	}
	if r.wrong >= 10 {
		t.Fatal("ten disagreements, and perhaps more")
	}
}

// known says that a gateway of a mode can tell what to do with a packet. Where the bridge knows replies by their ports and the
// ACK flag only, it lets pass what looks like one, and no reply of a protocol without these.
func (p sample) known(mode enforcer.BridgeMode) bool {
	return mode != enforcer.BridgeStateless || p.Place != model.Link || p.Flags == enforcertest.SYN || p.pass && !p.later
}

func (p sample) answered() sample {
	p.later = true
	p.Sent = !p.Sent
	p.shot = p.shot.answer()
	p.Type, p.Flags = p.k.ICMPType, p.k.TCPFlags
	return p
}

func (p sample) goesOn() sample {
	p.later = true
	p.shot = p.shot.next()
	p.Flags = p.k.TCPFlags
	return p
}

// modelWorld is the site that the profile is enforced in.
type modelWorld struct {
	model.World
	site  enforcer.Site
	hosts map[string]mud.URL // by host of the LAN
}

var (
	modelController = []netip.Addr{netip.MustParseAddr("203.0.113.201"), netip.MustParseAddr("2001:db8:71::201"),
		enforcertest.HostNamed("hub").V4, enforcertest.HostNamed("hub").V6}
	modelOwn = []netip.Addr{enforcertest.HostNamed(portGateway).V4, enforcertest.HostNamed(portGateway).V6}
)

// newModelWorld gives each class that a profile names members, and each name addresses.
func newModelWorld(mode enforcer.BridgeMode, p *mud.Profile) *modelWorld {
	w := &modelWorld{site: enforcertest.Site(mode), hosts: map[string]mud.URL{}}
	w.Bridge = mode != enforcer.BridgeNone
	w.Names, w.Devices = map[string][]netip.Addr{}, map[netip.Addr]mud.URL{}
	w.Controllers = map[string][]netip.Addr{enforcer.ClassDNS: modelOwn, enforcer.ClassNTP: modelOwn}
	w.remote(mud.Remote{Kind: mud.RemoteName, Value: "controller.example"}) // a member by name
	w.MyController = slices.Concat(modelController, w.Names["controller.example"])
	w.host("hub", "https://"+p.URL.Authority()+"/hub")
	for _, a := range allACEs(p) {
		for _, r := range a.Match.Remotes {
			w.remote(r)
		}
	}
	w.site.NewFlows, w.site.NewFlowsBurst = enforcer.Rate{Count: 1e6, Per: time.Second}, 1e6 // limits are another test's
	w.site.Queue = enforcer.QueueNone
	w.site.MyControllers = map[mud.URL][]enforcer.Host{p.URL: append(asHosts(modelController), enforcer.Host{Name: "controller.example"})}
	w.site.Controllers = map[string][]enforcer.Host{}
	for class, addrs := range w.Controllers {
		w.site.Controllers[class] = asHosts(addrs)
	}
	return w
}

func (w *modelWorld) remote(r mud.Remote) {
	switch r.Kind {
	case mud.RemoteName:
		if w.Names[r.Value] == nil {
			h := sha256.Sum256([]byte(r.Value)) // the same whatever the profile: names share their sets
			w.Names[r.Value] = []netip.Addr{netip.AddrFrom4([4]byte{198, 19, h[0], h[1]}), netip.AddrFrom4([4]byte{198, 19, h[2], h[3]}),
				netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 0x72, 14: h[0], 15: h[1]})}
		}
	case mud.RemoteController:
		if w.Controllers[r.Value] == nil {
			w.Controllers[r.Value] = slices.Concat(modelController, modelOwn)[len(w.Controllers)%3:]
		}
	case mud.RemoteManufacturer:
		w.host("cam", "https://"+r.Value+"/cam")
	case mud.RemoteModel:
		w.host("neighbour", r.Value)
	}
}

// host gives a host of the LAN a MUD URL, unless it has one. Nothing else is asked of it.
func (w *modelWorld) host(name, url string) {
	u, err := mud.ParseURL(url)
	if _, done := w.hosts[name]; done || err != nil {
		return
	}
	h := enforcertest.HostNamed(name)
	w.hosts[name], w.Devices[h.V4], w.Devices[h.V6] = u, u, u
}

func asHosts(addrs []netip.Addr) []enforcer.Host {
	var out []enforcer.Host
	for _, a := range addrs {
		out = append(out, enforcer.Host{Addr: a})
	}
	return out
}

func allACEs(p *mud.Profile) []mud.ACE {
	var out []mud.ACE
	for _, pol := range []*mud.Policy{p.FromDevice, p.ToDevice} {
		if pol != nil {
			out = append(out, pol.ACEs...)
		}
	}
	return out
}

// ruleset compiles a profile for the lamp.
func (w *modelWorld) ruleset(p *mud.Profile) (*enforcer.Compiled, enforcer.Ruleset) {
	lamp := enforcertest.HostNamed("lamp")
	c := enforcer.Compile(enforcer.Policy{Kind: enforcer.PolicyProfile, Profile: p}, &w.site)
	members := []enforcer.Member{{MAC: lamp.MAC, Label: "lamp", Addrs: []netip.Addr{lamp.V4, lamp.V6}, URL: p.URL, Policy: c}}
	for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
		h := enforcertest.HostNamed(name)
		members = append(members, enforcer.Member{MAC: h.MAC, Label: name, Addrs: []netip.Addr{h.V4, h.V6}, URL: w.hosts[name]})
	}
	now, names := time.Now(), enforcer.NewNames()
	names.Configure(time.Hour, nil, nil)
	names.Use(c.Names)
	for name, addrs := range w.Names {
		names.Observe(enforcertest.Answer(name, addrs...), now)
	}
	return c, enforcer.Build(&w.site, members, nil, func(set string) map[enforcer.Key]enforcer.Element { return names.Elements(set, now) })
}

// enforce puts a ruleset into the kernel in one transaction, in place of the one before.
func (l *lab) enforce(t *testing.T, next enforcer.Ruleset) {
	t.Helper()
	learned := takeLearned(next)
	for _, err := range []error{l.nft.Apply(enforcer.Diff(l.rules, next)), l.nft.Learn(learned)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l.rules = next
	l.forget()
}

// corpusProfiles gives the files of the corpus that can be read once they are converted, by name.
func corpusProfiles(t *testing.T) []modelFile {
	t.Helper()
	dir := os.Getenv("MUDGUARD_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	root := filepath.Join(dir, "mud")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("needs a corpus of MUD files in %s, or in the directory that MUDGUARD_CORPUS names: %v", dir, err)
	}
	var out []modelFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if p, problems, err := mud.ParseLegacy(raw); err == nil {
			out = append(out, modelFile{strings.TrimPrefix(path, root+string(filepath.Separator)), p, problems})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(out, func(a, b modelFile) int { return strings.Compare(a.name, b.name) })
	return out
}

// shot makes the packet of a drawn one.
func (d *modelDraw) shot(l *lab, p model.Packet) shot {
	lamp, gw := enforcertest.HostNamed("lamp"), enforcertest.HostNamed(portGateway)
	device, peer := l.port(lamp), d.port(l, p)
	s := shot{from: device, to: peer, viaGW: p.Place == model.Link && l.mode == enforcer.BridgeNone}
	s.k.SrcMAC, s.k.DstMAC = lamp.MAC, dhcp.MAC(p.PeerMAC)
	s.k.Flow = enforcer.Flow{Src: lamp.Addr(p.Peer.Is6()), Dst: p.Peer, Proto: p.Proto, Sport: p.Port, Dport: p.PeerPort, ICMPType: p.Type,
		ICMPCode: p.Code}
	s.k.TCPFlags, s.head = p.Flags, enforcertest.Head{Seq: 1000, Echo: p.ID}
	if !p.Sent {
		s.from, s.to, s.k.SrcMAC, s.k.DstMAC = peer, device, s.k.DstMAC, s.k.SrcMAC
		s.k.Src, s.k.Dst, s.k.Sport, s.k.Dport = s.k.Dst, s.k.Src, s.k.Dport, s.k.Sport
	}
	if p.Place == model.Outside { // the hosts of the WAN are behind another router
		s.k.DstMAC = dhcp.MAC(map[bool][6]byte{true: gw.MAC, false: lamp.MAC}[p.Sent])
	}
	return s
}

// port is where the peer of a packet is plugged in.
func (d *modelDraw) port(l *lab, p model.Packet) string {
	switch p.Place {
	case model.Outside:
		return portWAN
	case model.Gateway:
		return portGateway
	}
	return l.port(hostOf(p.Peer))
}

// hostOf is the host that has an address of the LAN, or that hears a group.
func hostOf(a netip.Addr) enforcertest.Host {
	for _, h := range enforcertest.Hosts() {
		if h.V4 == a || h.V6 == a {
			return h
		}
	}
	return enforcertest.HostNamed("neighbour") // which has the addresses of strangers
}
