// Package web is the JSON API by which people and scripts see and steer the daemon, over a unix socket, and the client that
// the command line uses for it.
//
// It keeps no state: everything is asked of the engine, inside its loop. It must not decide policy, speak netlink, or
// change anything on a GET. Whoever can reach a handler may do everything: who that is, the listener decides (Listen:
// peer credentials). Text from devices and profiles is hostile; JSON encodes it, and whoever shows it must clean it.
package web

import (
	"net/http"
	"time"

	"mudguard/enforcer"
)

// Status is the state of the daemon (CONTRACT.md, status).
type Status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Kernel  Kernel    `json:"kernel"`
	Tables  []string  `json:"tables"`
	Sources []Source  `json:"sources"`
	Devices int       `json:"devices"`
	Held    int       `json:"held"`
	Repairs int       `json:"repairs"` // how often somebody else's change of our tables was undone
	// LastRepair is what the last one was; null where there was none.
	LastRepair *enforcer.Repair `json:"last_repair"`
	Gaps       []enforcer.Gap   `json:"gaps"`
}

// HostStatus is the part of the status that the daemon knows and the engine does not.
type HostStatus struct {
	Version string
	Kernel  Kernel
	Tables  []string
	Sources []Source
	Gaps    []enforcer.Gap
}

// Kernel is what the kernel of this host can do.
type Kernel struct {
	Queue       string `json:"queue"`  // how DNS answers are held: native, xt or none
	Bridge      string `json:"bridge"` // how replies between LAN hosts are told from new flows
	BrNetfilter bool   `json:"br_netfilter"`
	Fib         bool   `json:"fib"`
}

// Source is something that tells us about devices.
type Source struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`
	LastSeen time.Time `json:"last_seen"`
}

func (a *api) status(r *http.Request) (any, error) {
	if err := onlyQuery(r); err != nil {
		return nil, err
	}
	host := a.host() // outside the loop: it may take locks of its own
	s := Status{Version: host.Version, Kernel: host.Kernel, Tables: orEmpty(host.Tables), Sources: orEmpty(host.Sources)}
	err := a.do(r, func(e *enforcer.Engine) {
		sum := e.Summary()
		s.Started, s.Devices, s.Held, s.Repairs, s.LastRepair = sum.Started, sum.Devices, sum.Held, sum.Repairs, sum.Last
		s.Gaps = append(orEmpty(sum.Gaps), host.Gaps...)
	})
	return s, err
}

// orEmpty makes an empty list [] in JSON, not null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
