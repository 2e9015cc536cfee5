package mud

import (
	"net/netip"
	"slices"
	"strings"
)

// sharedHost tells whether a name's addresses serve very many others too (RFC 9726 section 4.3): storage, delivery networks and
// platforms where anybody can rent a name. The list is of the common ones; that a name is not on it says nothing.
func sharedHost(name string) bool {
	return below(name,
		"amazonaws.com", "cloudfront.net", "awsglobalaccelerator.com", "elasticbeanstalk.com",
		"azureedge.net", "azurefd.net", "azurewebsites.net", "cloudapp.net", "cloudapp.azure.com", "blob.core.windows.net", "trafficmanager.net",
		"storage.googleapis.com", "googleusercontent.com", "appspot.com", "run.app", "firebaseio.com", "web.app",
		"akamai.net", "akamaiedge.net", "akamaihd.net", "akamaized.net", "edgekey.net", "edgesuite.net",
		"fastly.net", "fastlylb.net", "cdn77.org", "b-cdn.net", "cdn.cloudflare.net", "workers.dev", "pages.dev", "r2.dev",
		"aliyuncs.com", "alicdn.com", "myqcloud.com", "github.io", "githubusercontent.com", "herokuapp.com", "netlify.app", "vercel.app",
		"digitaloceanspaces.com", "backblazeb2.com", "duckdns.org", "no-ip.org", "ddns.net", "dyndns.org")
}

// publicResolver tells whether a name or an address is of a resolver that anybody may ask.
func publicResolver(name string, addr netip.Addr) bool {
	if name != "" {
		return below(name, "dns.google", "dns.google.com", "one.one.one.one", "cloudflare-dns.com", "dns.quad9.net", "dns.opendns.com",
			"doh.opendns.com", "dns.adguard-dns.com", "dns.nextdns.io", "resolver1.opendns.com", "resolver2.opendns.com")
	}
	return slices.Contains([]string{"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112", "208.67.222.222", "208.67.220.220",
		"94.140.14.14", "94.140.15.15", "114.114.114.114", "223.5.5.5", "223.6.6.6", "2001:4860:4860::8888", "2001:4860:4860::8844",
		"2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe", "2620:fe::9"}, addr.String())
}

func below(name string, zones ...string) bool {
	return slices.ContainsFunc(zones, func(z string) bool {
		return name == z || strings.HasSuffix(name, "."+z)
	})
}

// peer notes what a reader of the file should know of a peer that an ACE opens.
func (b *aceReader) peer(path, name string, addr netip.Addr) {
	switch {
	case b.drop:
	case publicResolver(name, addr):
		b.r.note(path, "R9726-5-a", "this is a public resolver: what the device asks it the gateway may not be able to read, so that names in "+
			"this file may stay closed; the device should use the network's own")
	case name != "" && sharedHost(name):
		b.r.note(path, "R9726-4.3-a", "the addresses of %s serve very many others, all of which the device can then reach; the manufacturer "+
			"should use a name with addresses of its own", name)
	}
}
