package dhcp_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
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
			return nil, errors.New("cut record")
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
		s, ok, err := dhcp.ParseFrame(frame)
		if err != nil {
			refused = append(refused, err.Error())
		}
		if ok {
			checkSighting(t, frame, s)
			out = append(out, s)
		}
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
