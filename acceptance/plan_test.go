package acceptance

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mudguard/enforcer/enforcertest"
)

// A device that resolved its names before mudguard came goes on with what it has cached: mudguard looks them up itself
// (R9726-3-a).
func TestWarmCache(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	var pool []netip.Addr
	for i := range 4 {
		pool = append(pool, netip.AddrFrom4([4]byte{203, 0, 113, byte(20 + i)}))
	}
	l.cloud.name("warm.example", pool...)
	p := lampProfile("warm")
	p.From[0].Name, p.To[0].Name = "warm.example", "warm.example"
	url := l.cloud.publish("warm", p)
	l.dnsmasq()
	l.static(lamp, 77)
	cached, err := lamp.resolve(gateway, "warm.example")
	if err != nil {
		t.Fatal(err)
	}
	l.start()
	lamp.in(t, "ip -4 addr flush dev eth0")
	l.udhcpc(lamp, url)
	l.becomes(lamp, "enforced", "")
	await(t, "mudguard looks the name up", patience, func() string {
		if out := l.order("device", lamp.mac, "--json"); strings.Count(out, "203.0.113.2") < len(pool) {
			return out
		}
		return ""
	})
	for _, a := range cached {
		if err := lamp.tcp(a.String() + ":8883"); err != nil {
			l.complain("the cached address %s: %v", a, err)
		}
	}
	if err := lamp.tcp(evilAddr + ":8883"); err == nil {
		l.complain("another address passes too")
	}
}

// everything is a profile with every form of ACE that is supported.
func everything(name string) enforcertest.Profile {
	p := lampProfile(name)
	type ACE = enforcertest.ACE
	from := []ACE{
		{Name: "cloud.example", Proto: "udp", Remote: enforcertest.Range(5000, 5010)},
		{Name: "cloud.example", Proto: "tcp", Remote: enforcertest.Op("neq", 25), Local: enforcertest.Op("gte", 1024)},
		{Name: "a.example", Proto: "tcp", Remote: enforcertest.Op("lte", 1023)},
		{Name: "a.example", Proto: "udp"},
		{Net: "198.51.100.128/25", Proto: "tcp", Remote: enforcertest.Eq(443)},
		{Net: "198.51.100.7/32"},
		{Drop: true, Proto: "tcp", Remote: enforcertest.Eq(23)},
		{Name: "cloud.example", ICMP: map[string]any{"type": 8, "code": 0}},
		{Class: enforcertest.Group("local-networks"), Proto: "tcp", Remote: enforcertest.Eq(80)},
		{Both: true, Class: enforcertest.Group("local-networks"), Proto: "udp", Remote: enforcertest.Eq(5353)},
		{Both: true, Class: enforcertest.Class("controller", "https://hub.example/class"), Proto: "tcp"},
		{Both: true, Class: enforcertest.Class("controller", "urn:ietf:params:mud:dns"), Proto: "udp", Remote: enforcertest.Eq(53)},
		{Both: true, Class: enforcertest.Class("controller", "urn:ietf:params:mud:ntp"), Proto: "udp", Remote: enforcertest.Eq(123)},
		{Both: true, Class: enforcertest.Group("my-controller"), Proto: "tcp", Remote: enforcertest.Eq(9000)},
		{Both: true, Class: enforcertest.Group("same-manufacturer"), Proto: "udp"},
		{Both: true, Class: enforcertest.Class("manufacturer", "other.example"), Proto: "udp"},
		{Both: true, Class: enforcertest.Class("model", "https://other.example/cam.json"), Proto: "tcp"},
	}
	for _, a := range slices.Clone(from) {
		if !a.Both && a.Net == "" {
			from = append(from, a.Twin())
		}
	}
	from = append(from, ACE{Net: "2001:db8:7::/48", V6: true, Proto: "tcp", Remote: enforcertest.Eq(443)})
	p.From = append(p.From, from...)
	p.To = append(p.To,
		ACE{Class: enforcertest.Group("local-networks"), Proto: "tcp", Local: enforcertest.Eq(8080), Initiated: "to-device"},
		ACE{Name: "push.example", Proto: "tcp", Local: enforcertest.Eq(8443), Initiated: "to-device"}.Twin(),
		ACE{Name: "cloud.example", ICMP: map[string]any{"type": 8}},
		ACE{Net: "198.51.100.64/26", Proto: "udp", Local: enforcertest.Range(6000, 6001)})
	return p
}

// What plan prints is what the daemon does.
func TestPlanMatchesDaemon(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	p := everything("all")
	url := l.cloud.publish("all", p)
	l.config["classes"] = map[string]any{
		"controllers":    map[string]any{"https://hub.example/class": []string{"192.168.8.60", "hub.example"}},
		"my_controllers": map[string]any{url: []string{"192.168.8.61"}}}
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, url)
	l.becomes(lamp, "enforced", "")

	planner := newSpace(t, "plan")
	l.bridgeIn(planner)
	planner.in(t, `ip link add port type veth peer name plug; ip link set port master br-lan; ip link set port up; ip link set plug up`) // gives it fe80::
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	profile, script := l.file("all.json", string(p.JSON()), 0o644), l.dir+"/plan.nft"
	planner.in(t, bin+" plan --config "+l.dir+"/mudguard.yaml --profile "+profile+" --mac "+lamp.mac+" --ip "+lamp.addr+
		" >"+script+" 2>"+l.dir+"/plan.err")
	errs, _ := os.ReadFile(l.dir + "/plan.err")
	if strings.Contains(string(errs), "error:") {
		t.Errorf("plan complains: %s", errs)
	}
	planner.in(t, "nft -f "+script)
	want, got := comparable(planner.in(t, "nft -s list ruleset")), comparable(l.gw.in(t, "nft -s list ruleset"))
	if want != got {
		l.fatal("plan (-) and daemon (+) differ: %s", difference(want, got))
	}
	if strings.Count(got, "comment \"Lumen Lamp One: from/") < len(p.From) {
		t.Errorf("fewer rules than ACEs: the test does not test what it should:\n%s", got)
	}
}

// comparable drops from a listing what is learned, and what this nft has no words for: the hold of DNS answers, whose spelling
// depends on the kernel, and the targets of neighbour advertisements. Sets
// and chains come in order, since nft lists them as they were made.
func comparable(listing string) string {
	elements := regexp.MustCompile(`(?s)elements = \{.*?\}\n`)
	block := regexp.MustCompile(`(?ms)^\t(set|map|chain) .*?^\t\}\n`)
	hold := regexp.MustCompile(`^\tchain ((forward|output)_dns|claims_nd) `)
	learned := regexp.MustCompile(`^\tset (n_|dns_clients|denials|questions|new_|heard|bound|own_addresses|others)`)
	var out []string
	for table := range strings.SplitSeq(listing, "\ntable ") {
		name, _, _ := strings.Cut(strings.TrimPrefix(table, "table "), " {")
		for _, b := range block.FindAllString(table, -1) {
			if hold.MatchString(b) {
				continue
			}
			if learned.MatchString(b) {
				b = elements.ReplaceAllString(b, "\n")
			}
			head, body, _ := strings.Cut(strings.TrimSpace(b), "\n")
			lines := []string{}
			for line := range strings.Lines(body) {
				if line = strings.TrimSpace(line); line != "" {
					lines = append(lines, line)
				}
			}
			out = append(out, name+", "+head+" "+strings.Join(lines, "; "))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// nft list ruleset reads well: comments name the model and the ACE (N10).
func TestListingReadsWell(t *testing.T) {
	t.Parallel()
	l := newLab(t, true)
	lamp := l.device("lamp")
	url := l.cloud.publish("lamp", lampProfile("lamp"))
	l.dnsmasq()
	l.start()
	l.udhcpc(lamp, url)
	l.becomes(lamp, "enforced", "")
	listing := l.gw.in(t, "nft list ruleset")
	for _, want := range []string{"table inet mudguard", "table bridge mudguard", lamp.mac + ` comment "Lumen Lamp One" : jump p_`,
		`accept comment "Lumen Lamp One: from/from0"`, `comment "cloud.example"`, `accept comment "default: DNS of this network"`} {
		if !strings.Contains(listing, want) {
			l.complain("nft list ruleset has no %q in:\n%s", want, listing)
		}
	}
	if n := len(regexp.MustCompile(`(?m)^table`).FindAllString(listing, -1)); n != 2 {
		l.complain("there are %d tables, not two, in:\n%s", n, listing)
	}
}
