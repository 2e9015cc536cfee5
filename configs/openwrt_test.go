package configs

import (
	"os/exec"
	"reflect"
	"testing"
	"time"

	"mudguard/dhcp"
)

// openwrtStubs stand for OpenWrt's shell library: an option is the variable o_NAME, a list l_NAME, one value a line.
const openwrtStubs = `
config_get() { eval "$1=\"\${o_$3}\""; }
config_list_foreach() {
	local IFS values value
	eval "values=\"\${l_$2}\""
	IFS='
'
	for value in $values; do "$3" "$value"; done
}
network_get_device() { [ "$2" = lan ] && eval "$1=br-lan"; }
uci() { [ "$3" = network.iot.device ] && echo br-iot; }
. ./openwrt/mudguard.init
`

// render runs the init script's rendering after the shell text given.
func render(t *testing.T, options string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", openwrtStubs+options+"\nrender /etc/mudguard")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestOpenWrtMinimal(t *testing.T) {
	got, err := Parse("uci", []byte(render(t, "l_network=lan")))
	want := Default()
	want.LAN.Interfaces = []string{"br-lan"}
	want.StateDir = "/etc/mudguard"
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOpenWrtFull(t *testing.T) {
	out := render(t, `
l_network='lan
iot
gone'
l_trusted=02:00:5e:10:00:01 l_fetch_ca=/a.pem l_private_host=mud.lan l_signature_ca='/b c'"'"'s: #.pem'
l_local_network=10.0.0.0/8 l_resolver=10.0.0.1 l_private_name=lan
o_unmanaged=block o_failed=allow o_onboarding=approve o_mode=observe o_on_exit=remove o_dialect=legacy
o_mark=0x20000000 o_new_flows=5/minute o_burst=7 o_signatures=warn o_listen='[::1]:80' l_web_host=router.lan o_tls=never o_web_cert=/c o_web_key=/k o_log_level=debug`)
	got, err := Parse("uci", []byte(out))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := Default()
	want.LAN = LAN{[]string{"br-lan", "br-iot"}, []dhcp.MAC{{2, 0, 0x5e, 0x10, 0, 1}}}
	want.StateDir, want.Unmanaged, want.Failed, want.Onboarding = "/etc/mudguard", Block, Allow, OnboardApprove
	want.Mode, want.OnExit, want.Dialect, want.Mark = Observe, Remove, Legacy, 0x20000000
	want.Limits = Limits{Rate{5, time.Minute}, 7}
	want.Fetch.CAFiles, want.Fetch.PrivateHosts = []string{"/a.pem"}, []string{"mud.lan"}
	want.Signatures = Signatures{Warn, []string{"/b c's: #.pem"}}
	want.Classes.LocalNetworks = got.Classes.LocalNetworks
	want.DNS.Resolvers, want.DNS.PrivateNames = got.DNS.Resolvers, []string{"lan"}
	want.HTTP, want.Log.Level = HTTP{Listen: "[::1]:80", Hosts: []string{"router.lan"}, TLS: TLSNever, CertFile: "/c", KeyFile: "/k"}, Debug
	if !reflect.DeepEqual(got, want) || len(got.Classes.LocalNetworks) != 1 || len(got.DNS.Resolvers) != 1 {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A value can't become another key.
func TestOpenWrtQuotes(t *testing.T) {
	out := render(t, "l_network=lan\no_mode=\"observe'\nliteral: true\"\no_burst='5\nliteral: true'")
	if c, err := Parse("uci", []byte(out)); err == nil {
		t.Errorf("%+v\n%s", c, out)
	}
}
