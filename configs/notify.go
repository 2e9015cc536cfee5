package configs

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

func news() value[News] { return enum(NewDevice, Hold, Denial, Repaired) }

func shortText() value[string] {
	return plain("a text of at most 100 characters", func(s string) (string, bool) {
		return s, len(s) <= 100 && !strings.ContainsFunc(s, unicode.IsControl)
	})
}

// topic reads the beginning of an MQTT topic; its wildcards, and topics of the broker itself, are none.
func topic() value[string] {
	return plain("levels of an MQTT topic, such as home/mudguard, without + # and $", func(s string) (string, bool) {
		return s, printable(s) && len(s) <= 100 && !strings.ContainsAny(s, "+#$") && !strings.HasPrefix(s, "/") && !strings.HasSuffix(s, "/")
	})
}

// endpoint reads a URL with a host. What is wrong with one is not said: it may hold a secret.
func endpoint(s string, schemes ...string) (*url.URL, bool) {
	u, err := url.Parse(s)
	if err != nil || !printable(s) || len(s) > 1000 || u.Fragment != "" {
		return nil, false
	}
	known := false
	for _, scheme := range schemes {
		known = known || u.Scheme == scheme
	}
	_, named := domain(u.Hostname())
	_, err = netip.ParseAddr(u.Hostname())
	port, perr := strconv.ParseUint(u.Port(), 10, 16)
	return u, known && (named || err == nil) && (u.Port() == "" || perr == nil && port > 0)
}

func webhookURL() value[string] {
	return plain("the URL of a webhook, which begins with https:// or http://", func(s string) (string, bool) {
		_, ok := endpoint(s, "https", "http")
		return s, ok
	})
}

func brokerURL() value[string] {
	return plain(`"" for none, or an MQTT broker such as mqtts://broker.home.arpa:8883 or mqtt://192.168.1.5`, func(s string) (string, bool) {
		if s == "" {
			return s, true
		}
		u, ok := endpoint(s, "mqtts", "mqtt")
		return s, ok && u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == ""
	})
}

// Address is the broker's host and port, and whether TLS is spoken there.
func (m MQTT) Address() (host, port string, tls bool) {
	u, err := url.Parse(m.Broker)
	if err != nil {
		return "", "", false // checked by Parse
	}
	host, port, tls = u.Hostname(), u.Port(), u.Scheme == "mqtts"
	if port == "" {
		port = map[bool]string{false: "1883", true: "8883"}[tls]
	}
	return host, port, tls
}

// Host is the part of a webhook's URL that may be shown.
func (w Webhook) Host() string {
	u, err := url.Parse(w.URL)
	if err != nil {
		return ""
	}
	if u.Port() != "" {
		return net.JoinHostPort(u.Hostname(), u.Port())
	}
	return u.Hostname()
}
