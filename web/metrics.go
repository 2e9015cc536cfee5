package web

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"mudguard/enforcer"
)

// HostCounters are what the daemon counts and the engine does not.
type HostCounters struct {
	AnswersHeld, AnswersLate, QueueErrors uint64
	LogPackets, LogLost, LogErrors        uint64
	Fetched, FetchesHeld, FetchesFailed   uint64
	Notified                              []Notified
}

// Notified counts news to one receiver.
type Notified struct {
	Target                string
	Sent, Failed, Dropped uint64
}

// metrics answers with the numbers of the daemon, for Prometheus. Numbers of single devices are of those under policy only, which
// the device table bounds: series of every phone that passes by would pile up in the database.
func (a *api) metrics(w http.ResponseWriter, r *http.Request) {
	host := a.Host()
	var sum enforcer.Summary
	var t enforcer.Totals
	err := onlyQuery(r)
	if err == nil {
		err = a.do(r, func(e *enforcer.Engine) { sum, t = e.Summary(), e.Totals() })
	}
	if err != nil {
		reply(w, nil, err)
		return
	}
	var x exposition
	x.daemon(host, sum, t)
	x.traffic(host.Counters, t)
	x.devices(t)
	x.notified(host.Counters.Notified)
	x.process()
	h := w.Header()
	h.Set("Content-Type", expositionType)
	h.Set("Cache-Control", "no-store")
	send(w, http.StatusOK, a.zipper.body(h, r, x.Bytes()))
}

func (x *exposition) one(name, kind, help string, value float64) { x.family(name, kind, help)(value) }

func (x *exposition) daemon(host HostStatus, sum enforcer.Summary, t enforcer.Totals) {
	x.family("mudguard_build_info", gaugeType, "The version of mudguard.")(1, "version", host.Version)
	x.one("mudguard_start_time_seconds", gaugeType, "When the daemon started or took its configuration, since the epoch.", seconds(t.Started))
	x.family("mudguard_kernel_info", gaugeType, "How this kernel holds DNS answers and knows replies between LAN hosts.")(1,
		"queue", host.Kernel.Queue, "replies", host.Kernel.Replies)
	x.one("mudguard_gaps", gaugeType, "What is not enforced here, or not as well as it should be; mudguard status says what.",
		float64(len(sum.Gaps)+len(host.Gaps)))
	x.one("mudguard_repairs_total", counterType, "Times that somebody else's change of our tables was undone.", float64(t.Repairs))
	transactions := x.family("mudguard_transactions_total", counterType, "Changes of the kernel's tables by result.")
	transactions(float64(t.Transactions-t.Refusals), "result", "done")
	transactions(float64(t.Refusals), "result", "refused")
	x.one("mudguard_events_dropped_total", counterType, "Events from the network that were dropped, as the daemon was too busy.", float64(t.EventsDropped))
	sightings := x.family("mudguard_sightings_total", counterType, "Messages of devices by who heard them.")
	for _, source := range slices.Sorted(maps.Keys(t.Sightings)) {
		sightings(float64(t.Sightings[source]), "source", source)
	}
	up, heard := 0, time.Time{}
	for _, s := range host.Sources {
		if s.State == "listening" {
			up++
		}
		if s.LastSeen.After(heard) {
			heard = s.LastSeen
		}
	}
	x.one("mudguard_sources", gaugeType, "LAN interfaces that are configured.", float64(len(host.Sources)))
	x.one("mudguard_sources_listening", gaugeType, "LAN interfaces that are heard.", float64(up))
	x.one("mudguard_last_sighting_timestamp_seconds", gaugeType, "When a device was heard last, since the epoch; 0: not yet.", seconds(heard))
}

func (x *exposition) traffic(c HostCounters, t enforcer.Totals) {
	x.one("mudguard_dns_answers_held_total", counterType, "DNS answers that waited until their addresses were in the rules.", float64(c.AnswersHeld))
	x.one("mudguard_dns_answers_late_total", counterType, "Of these, let go before their addresses were in.", float64(c.AnswersLate))
	x.one("mudguard_queue_errors_total", counterType, "Errors of the netfilter queue.", float64(c.QueueErrors))
	x.one("mudguard_names", gaugeType, "Names that policies in force refer to.", float64(t.Names))
	x.one("mudguard_log_packets_total", counterType, "Denied packets that the kernel logged to us.", float64(c.LogPackets))
	x.one("mudguard_log_lost_total", counterType, "Times that the kernel's log lost packets.", float64(c.LogLost))
	x.one("mudguard_log_errors_total", counterType, "Errors of the kernel's log.", float64(c.LogErrors))
	denials := x.family("mudguard_denials_total", counterType, "Packets told as denied, or as what enforcing would deny (enforced=false).")
	denials(float64(t.Denied), "enforced", "true")
	denials(float64(t.Observed), "enforced", "false")
	fetches := x.family("mudguard_fetches_total", counterType, "Profiles that were fetched, by result; held ones wait for the administrator.")
	fetches(float64(c.Fetched), "result", "used")
	fetches(float64(c.FetchesHeld), "result", "held")
	fetches(float64(c.FetchesFailed), "result", "failed")
}

func (x *exposition) devices(t enforcer.Totals) {
	states := map[enforcer.Status]int{}
	var under []enforcer.DeviceTotals
	for _, d := range t.Devices {
		states[d.State]++
		if d.Restricted {
			under = append(under, d)
		}
	}
	devices := x.family("mudguard_devices", gaugeType, "Devices by state.")
	for _, s := range enforcer.Statuses() {
		devices(float64(states[s]), "state", string(s))
	}
	x.one("mudguard_devices_limit", gaugeType, "How many devices the table holds.", float64(t.Full))
	info := x.family("mudguard_device_info", gaugeType, "What a device under policy is called.")
	for _, d := range under {
		info(1, "mac", d.MAC.String(), "device", d.Label)
	}
	state := x.family("mudguard_device_state", gaugeType, "1 for the state that a device under policy is in.")
	for _, d := range under {
		state(1, "mac", d.MAC.String(), "state", string(d.State))
	}
	denials := x.family("mudguard_device_denials_total", counterType, "Packets of a device under policy told as denied, or as what enforcing would deny.")
	for _, d := range under {
		denials(float64(d.Denied), "mac", d.MAC.String(), "enforced", "true")
		denials(float64(d.Observed), "mac", d.MAC.String(), "enforced", "false")
	}
	seen := x.family("mudguard_device_last_seen_timestamp_seconds", gaugeType, "When a device under policy was heard last, since the epoch; 0: not since the start.")
	for _, d := range under {
		seen(seconds(d.LastSeen), "mac", d.MAC.String())
	}
}

func (x *exposition) notified(list []Notified) {
	news := x.family("mudguard_notifications_total", counterType, "News to webhooks and MQTT by result.")
	for _, n := range list {
		news(float64(n.Sent), "target", n.Target, "result", "sent")
		news(float64(n.Failed), "target", n.Target, "result", "failed")
		news(float64(n.Dropped), "target", n.Target, "result", "dropped")
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
