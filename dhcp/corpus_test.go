package dhcp_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mudguard/dhcp"
)

// readPcap reads the frames of a classic pcap file of Ethernet frames.
func readPcap(b []byte) ([][]byte, error) {
	if len(b) < 24 {
		return nil, errors.New("no pcap header")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if magic := binary.BigEndian.Uint32(b); magic == 0xa1b2c3d4 || magic == 0xa1b23c4d {
		order = binary.BigEndian
	}
	if magic := order.Uint32(b); magic != 0xa1b2c3d4 && magic != 0xa1b23c4d {
		return nil, fmt.Errorf("magic %08x is not pcap", magic)
	}
	if link := order.Uint32(b[20:]); link != 1 {
		return nil, fmt.Errorf("link type %d is not Ethernet", link)
	}
	var frames [][]byte
	for b = b[24:]; len(b) >= 16; {
		n := int(order.Uint32(b[8:]))
		if n > len(b)-16 {
			return frames, errors.New("cut record")
		}
		frames = append(frames, b[16:16+n])
		b = b[16+n:]
	}
	return frames, nil
}

// capture reads a capture of the shared corpus.
func capture(t *testing.T, name string) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../shared/corpus/pcap", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("needs the capture corpus next to the repository: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	frames, err := readPcap(b)
	if err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	return frames
}

// sightings gives what the frames tell, and why others were refused.
func sightings(t *testing.T, frames [][]byte) (out []dhcp.Sighting, refused []string) {
	t.Helper()
	for _, frame := range frames {
		all, err := dhcp.ParseFrame(frame)
		if err != nil {
			refused = append(refused, err.Error())
		}
		for _, s := range all {
			checkSighting(t, frame, s)
		}
		out = append(out, all...)
	}
	return out, refused
}

// TestCorpusMUD compares with tcpdump's decode of its own capture (tcpdump/expected/dhcp-mud.out).
func TestCorpusMUD(t *testing.T) {
	got, refused := sightings(t, capture(t, "tcpdump/dhcp-mud.pcap"))
	if len(got) != 2 || len(refused) != 0 {
		t.Fatalf("%d sightings: %+v; refused %q", len(got), got, refused)
	}
	mac, _ := dhcp.ParseMAC("b8:27:eb:b8:53:c8")
	relay, client := netip.MustParseAddr("62.12.173.121"), netip.MustParseAddr("62.12.173.123")
	seen, bound := got[0], got[1]
	if seen.MAC != mac || seen.Kind != dhcp.Seen || seen.URL != "https://mudctl.example.com/.well-known/mud/v1/rasbp101" ||
		seen.Hostname != "raspberrypi" || seen.Vendor != "dhcpcd-6.11.5:Linux-4.1.18-v7+:armv7l:BCM2709" ||
		seen.Relay != relay || seen.Addr != client {
		t.Errorf("REQUEST: %+v", seen)
	}
	if bound.MAC != mac || bound.Kind != dhcp.Bound || bound.Addr != client || bound.Lease != 10*time.Minute ||
		len(bound.DNS) != 1 || bound.DNS[0] != netip.MustParseAddr("62.12.173.114") || bound.ServerMAC.IsZero() {
		t.Errorf("ACK: %+v", bound)
	}
}

// TestCorpusMUD6 compares with tcpdump/expected/dhcpv6-mud.out: a relayed Solicit, sent five times. The relay, of 2016,
// tells no Ethernet address; the client's DUID has one.
func TestCorpusMUD6(t *testing.T) {
	got, refused := sightings(t, capture(t, "tcpdump/dhcpv6-mud.pcap"))
	if len(got) != 5 || len(refused) != 0 {
		t.Fatalf("%d sightings: %+v; refused %q", len(got), got, refused)
	}
	for _, s := range got {
		if s.MAC.String() != "b8:27:eb:b8:53:c8" || s.Kind != dhcp.Seen || s.URL != "https://mudctl.example.com/.well-known/mud/v1/rasbp101" ||
			s.Vendor != "dhcpcd-6.11.5:Linux-4.1.18-v7+:armv7l:BCM2709" || s.Relay.String() != "2001:8a8:1006:4:223:ebff:fe10:2c29" ||
			!strings.Contains(s.Remark, "DUID") || s.ClientID != fmt.Sprintf("00010001%08xb827ebb853c8", 509769483) {
			t.Errorf("%+v", s)
		}
	}
}

// TestCorpusLLDP compares with tcpdump/expected/lldp_mudurl-v.out.
func TestCorpusLLDP(t *testing.T) {
	got, refused := sightings(t, capture(t, "tcpdump/lldp_mudurl.pcap"))
	if len(got) != 2 || len(refused) != 0 {
		t.Fatalf("%d sightings: %+v; refused %q", len(got), got, refused)
	}
	for _, s := range got {
		if s.MAC.String() != "00:23:54:c2:57:02" || s.URL != "https://imright.mud.example.com/.well-known/mud/v1/vomitv2.0" ||
			s.Hostname != "upstairs.ofcourseimright.com" || s.TTL != 2*time.Minute || s.Remark != "" {
			t.Errorf("%+v", s)
		}
	}
}

// TestCorpusAll reads every capture of Ethernet frames, many of them made to crash parsers: whatever comes of them holds
// what must be true of a sighting.
func TestCorpusAll(t *testing.T) {
	const root = "../../shared/corpus/pcap"
	capture(t, "tcpdump/dhcp-mud.pcap") // skips without the corpus
	told := map[dhcp.Source]int{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".pcap" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		frames, _ := readPcap(b) // other link types give none, a cut file what comes before
		got, _ := sightings(t, frames)
		for _, s := range got {
			told[s.Source]++
		}
		return nil
	})
	if err != nil || told[dhcp.SourceDHCPv4] == 0 || told[dhcp.SourceDHCPv6] == 0 || told[dhcp.SourceLLDP] == 0 || told[dhcp.SourceND] == 0 {
		t.Errorf("%v; sightings of each source %v", err, told)
	}
}

// TestCorpusOthers reads captures of ordinary clients: they give sightings, and no URL. Expected text follows tcpdump's
// decode of the same captures.
func TestCorpusOthers(t *testing.T) {
	for name, want := range map[string]string{
		"tcpdump/dhcp-rfc3004.pcap": `
seen 00:0c:29:1f:74:06 192.168.1.4 0s ""
seen 00:0c:29:1f:74:06 192.168.1.4 0s ""
bound 00:0c:29:1f:74:06 192.168.1.4 24h0m0s ""
`,
		// Made with a packet builder: its DECLINE and RELEASE name no address.
		"zeek/dhcp/dhcp.pcap": `
seen 90:b1:1c:99:49:29 192.168.211.194 0s "btest.is.cool"
seen 90:b1:1c:99:49:29 192.168.211.194 0s "btest.is.cool"
refused 90:b1:1c:99:49:29 invalid IP 0s ""
seen 90:b1:1c:99:49:29 128.2.6.189 0s "btest.is.cool"
bound 90:b1:1c:99:49:29 128.2.6.189 15m0s ""
seen 90:b1:1c:99:49:29 128.2.6.189 0s "btest.is.cool"
90:b1:1c:99:49:29 declined no usable address
90:b1:1c:99:49:29 released no usable address
`,
		// Its addresses were changed by hand, in the Ethernet header only.
		"zeek/dhcp/dhcp_discover_param_req_and_client_id.pcap": `
a host speaks for another device: 00:0a:28:00:fa:41 sent a DHCP message of 00:0b:82:01:fc:42
`,
		"suricata-verify/dhcp-option-52-overload-both/input.pcap": `
seen 00:00:6c:82:dc:4e invalid IP 0s ""
`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := describe(sightings(t, capture(t, name))); got != want {
				t.Errorf("got%s\nwant%s", got, want)
			}
		})
	}
}

// describe writes sightings without a URL, and refusals, one on a line.
func describe(seen []dhcp.Sighting, refused []string) string {
	out := "\n"
	for _, s := range seen {
		out += fmt.Sprintf("%v %v %v %v %q", s.Kind, s.MAC, s.Addr, s.Lease, s.Hostname)
		if s.URL != "" || s.Problem != "" {
			out += " " + s.URL + s.Problem
		}
		out += "\n"
	}
	for _, text := range refused {
		out += text + "\n"
	}
	return out
}
