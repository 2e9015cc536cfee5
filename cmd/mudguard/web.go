package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mudguard/configs"
	"mudguard/web"
)

// certFile holds the certificate that mudguard makes for itself, and its key.
const certFile = "web.pem"

// newAuth gives who knows the password of the web server.
func newAuth(cfg configs.Config) (*web.Auth, error) {
	return web.NewAuth(web.AuthConfig{Dir: cfg.StateDir, Write: writeFile, Hosts: cfg.HTTP.Hosts, MetricsToken: cfg.HTTP.MetricsToken, Now: time.Now},
		cfg.HTTP.Listen != "")
}

// serveWeb serves pages and API over TCP, as soon as it can: the LAN may not be there yet. That it cannot is shown in the status,
// and keeps nobody from enforcing.
func (d *daemon) serveWeb(ctx context.Context, serve func(context.Context, net.Listener) error) error {
	last := ""
	for ctx.Err() == nil {
		ln, err := d.openWeb()
		if err == nil {
			d.setWeb("listening")
			d.log.Info("web server", "url", d.webURL())
			if open, token := d.auth.Setup(); open {
				d.log.Info("no password is set for the web server; mudguard password sets one", "file", token)
			}
			err = serve(ctx, ln)
		}
		if err != nil && err.Error() != last {
			last = err.Error()
			d.setWeb(last)
			d.log.Error("web server not available, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
	return nil
}

func (d *daemon) openWeb() (net.Listener, error) {
	h, at := d.cfg.HTTP, webAddr(d.cfg.HTTP.Listen)
	if !h.AllowWAN && !at.Addr().IsLoopback() && !d.ownLAN(at.Addr()) {
		return nil, fmt.Errorf("http.listen: %s is not an address of a LAN interface (%s); choose one, or set http.allow_wan", at.Addr(), strings.Join(d.lanAddrs(), ", "))
	}
	if d.authErr != nil {
		return nil, fmt.Errorf("the password is not known: %w", d.authErr)
	}
	secure, err := d.webTLS(at.Addr())
	if err != nil {
		return nil, err
	}
	ln, err := web.ListenTCP(at)
	switch {
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%w: the daemon gave up the right to ports below 1024; choose a higher one", err)
	case err != nil || secure == nil:
		return ln, err
	}
	return tls.NewListener(ln, secure), nil
}

// webAddr is the address to listen on.
func webAddr(listen string) netip.AddrPort {
	listen = strings.Replace(listen, "localhost:", "127.0.0.1:", 1)
	at, _ := netip.ParseAddrPort(listen) // checked by configs
	return at
}

// secureWeb says whether the web server speaks https.
func secureWeb(h configs.HTTP) bool {
	return h.TLS == configs.TLSAlways || h.TLS == configs.TLSAuto && !webAddr(h.Listen).Addr().IsLoopback()
}

// webTLS is nil for http.
func (d *daemon) webTLS(at netip.Addr) (*tls.Config, error) {
	h := d.cfg.HTTP
	switch {
	case !secureWeb(h):
		return nil, nil
	case h.CertFile != "":
		return web.FileConfig(h.CertFile, h.KeyFile)
	}
	own := &web.OwnCertificate{Path: filepath.Join(d.cfg.StateDir, certFile), Write: writeFile, Now: d.clock.Now, Names: slices.Clone(h.Hosts)}
	if at.IsUnspecified() {
		own.Names = append(own.Names, d.lanAddrs()...)
	} else {
		own.Names = append(own.Names, at.WithZone("").String())
	}
	return own.Config(), nil
}

// ownLAN says that an address is one of this host's on a LAN interface.
func (d *daemon) ownLAN(a netip.Addr) bool {
	return slices.Contains(d.lanAddrs(), a.WithZone("").String())
}

func (d *daemon) lanAddrs() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lan {
		for _, p := range l.Prefixes {
			list = append(list, p.Addr().String())
		}
	}
	return list
}

// webURL is where the pages are.
func (d *daemon) webURL() string {
	at, scheme := webAddr(d.cfg.HTTP.Listen), "http"
	if secureWeb(d.cfg.HTTP) {
		scheme = "https"
	}
	host := at.Addr().WithZone("").String()
	if len(d.cfg.HTTP.Hosts) > 0 {
		host = d.cfg.HTTP.Hosts[0]
	} else if lan := d.lanAddrs(); at.Addr().IsUnspecified() && len(lan) > 0 {
		host = lan[0]
	}
	return scheme + "://" + net.JoinHostPort(host, fmt.Sprint(at.Port())) + "/"
}

func (d *daemon) setWeb(state string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.web = state
}

// webStatus is the web server's part of the status.
func (d *daemon) webStatus() web.WebStatus {
	if d.cfg.HTTP.Listen == "" {
		return web.WebStatus{State: "off"}
	}
	d.mu.Lock()
	state := cmp.Or(d.web, "starting")
	d.mu.Unlock()
	s := web.WebStatus{URL: d.webURL(), State: state}
	if open, token := d.auth.Setup(); open {
		s.Setup, s.Token = true, token
	}
	return s
}
