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
	Now     time.Time `json:"now"` // by this host's clock
	Kernel  Kernel    `json:"kernel"`
	Tables  []string  `json:"tables"`
	Sources []Source  `json:"sources"`
	Devices int       `json:"devices"`
	Held    int       `json:"held"`
	Repairs int       `json:"repairs"` // how often somebody else's change of our tables was undone
	// LastRepair is what the last one was; null where there was none.
	LastRepair *enforcer.Repair `json:"last_repair"`
	Gaps       []enforcer.Gap   `json:"gaps"`
	// Alarms are signs of the last day that some host pretends to be another.
	Alarms []enforcer.Alarm `json:"alarms"`
	Web    WebStatus        `json:"web"`
	// What was counted since the daemon started. /metrics has more.
	Counters Counters `json:"counters"`
}

// Counters are those by which one sees whether the daemon keeps up.
type Counters struct {
	Transactions    uint64     `json:"transactions"` // of the kernel
	Refused         uint64     `json:"transactions_refused"`
	LastTransaction *time.Time `json:"last_transaction"`
	EventsDropped   uint64     `json:"events_dropped"`
	AnswersHeld     uint64     `json:"dns_answers_held"`
	AnswersLate     uint64     `json:"dns_answers_late"`
	QueueErrors     uint64     `json:"queue_errors"`
	LogPackets      uint64     `json:"log_packets"`
	LogLost         uint64     `json:"log_packets_lost"`
	LogErrors       uint64     `json:"log_errors"`
	Fetched         uint64     `json:"profiles_fetched"`
	FetchesHeld     uint64     `json:"fetches_held"`
	FetchesFailed   uint64     `json:"fetches_failed"`
}

func counters(h HostCounters, t enforcer.Totals) Counters {
	c := Counters{Transactions: t.Transactions, Refused: t.Refusals, EventsDropped: t.EventsDropped, AnswersHeld: h.AnswersHeld,
		AnswersLate: h.AnswersLate, QueueErrors: h.QueueErrors, LogPackets: h.LogPackets, LogLost: h.LogLost, LogErrors: h.LogErrors,
		Fetched: h.Fetched, FetchesHeld: h.FetchesHeld, FetchesFailed: h.FetchesFailed}
	if !t.LastTransaction.IsZero() {
		c.LastTransaction = &t.LastTransaction
	}
	return c
}

// WebStatus is the state of the web server.
type WebStatus struct {
	URL   string `json:"url"`                  // of the pages; "" where the server is off
	State string `json:"state"`                // listening, off, or why not
	Setup bool   `json:"setup"`                // no password is set yet
	Token string `json:"token_file,omitempty"` // where the token is that the first use needs
}

// HostStatus is the part of the status that the daemon knows and the engine does not.
type HostStatus struct {
	Version  string
	Kernel   Kernel
	Tables   []string
	Sources  []Source
	Gaps     []enforcer.Gap
	Web      WebStatus
	Counters HostCounters // for /metrics
}

// Kernel is what the kernel of this host can do.
type Kernel struct {
	Queue  string `json:"queue"`  // how DNS answers are held: native, xt or none
	Bridge string `json:"bridge"` // what the tables of bridges have for replies: conntrack, stateless or none
	// Replies is how replies between LAN hosts are told from new flows: as Bridge says, or by netfilter, which is br_netfilter.
	Replies     string `json:"replies"`
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
	host := a.Host() // outside the loop: it may take locks of its own
	s := Status{Version: host.Version, Kernel: host.Kernel, Tables: orEmpty(host.Tables), Sources: orEmpty(host.Sources), Web: host.Web, Now: time.Now().UTC()}
	err := a.do(r, func(e *enforcer.Engine) {
		sum := e.Summary()
		s.Started, s.Devices, s.Held, s.Repairs, s.LastRepair = sum.Started, sum.Devices, sum.Held, sum.Repairs, sum.Last
		s.Gaps, s.Alarms = append(orEmpty(sum.Gaps), host.Gaps...), sum.Alarms
		s.Counters = counters(host.Counters, e.Totals())
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
