package services

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/front"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/proxy/target"
)

var (
	connectionsDesc = desc("connections_total", "Connections that have ended, by result.", "result")
	activeDesc      = desc("connections_active", "Connections being relayed.")
	parkedDesc      = desc("connections_parked", "Connections among the active that are silent and do not count as use.")
	heldDesc        = desc("connections_held", "Connections waiting for their target or a backend.")
	bytesDesc       = desc("relayed_bytes_total", "Bytes relayed, by direction.", "direction")
	dialErrorsDesc  = desc("dial_errors_total", "Attempts to connect to a backend that failed.")

	limitDesc = prometheus.NewDesc("tpa_connections_limit", "Connections that this proxy accepts at once for all Services.", []string{"namespace"}, nil)
	readyDesc = prometheus.NewDesc("tpa_proxy_ready", "Whether this proxy serves all that it should, 1 or 0.", []string{"namespace"}, nil)

	asleepDesc = targetDesc("target_asleep", "Whether the target is asleep, 1 or 0.")
	awakeDesc  = targetDesc("target_kept_awake",
		"1 if the target does not sleep however idle it is, by the reason of the Event that says why.", "reason")
	asleepSecondsDesc = targetDesc("target_asleep_seconds_total", "How long the target has been asleep."+shared)
	replicasDesc      = targetDesc("saved_replica_seconds_total", "Replicas that did not run because the target slept, times how long."+shared)
	cpuDesc           = targetDesc("saved_cpu_core_seconds_total", "CPU cores that they would have requested, times how long."+shared+unknown)
	memoryDesc        = targetDesc("saved_memory_byte_seconds_total", "Bytes of memory that they would have requested, times how long."+shared+unknown)
)

// What would be without ModeObserve.
var (
	observedAsleepDesc        = targetDesc("observed_target_asleep", "Whether the target would be asleep if TPA did more than observe, 1 or 0.")
	observedSleepsDesc        = targetDesc("observed_sleeps_total", "How often the target would have been put to sleep."+shared)
	observedAsleepSecondsDesc = targetDesc("observed_target_asleep_seconds_total", "How long the target would have been asleep."+shared)
	observedReplicasDesc      = targetDesc("observed_saved_replica_seconds_total", "Replicas that would not have run, times how long, by the pods that were ready at the end of it."+shared)
	observedCPUDesc           = targetDesc("observed_saved_cpu_core_seconds_total", "CPU cores that they requested, times how long."+shared+unknown)
	observedMemoryDesc        = targetDesc("observed_saved_memory_byte_seconds_total", "Bytes of memory that they requested, times how long."+shared+unknown)
)

// shared and unknown are what is to be known of values that come from the target's Lease.
const (
	shared  = " Every proxy says the same, and goes on where the one before it ended: aggregate by max, not by sum."
	unknown = " By the pods that were last seen; what requests nothing, or was never seen ready, counts as 0."
)

func desc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("tpa_"+name, help, append([]string{"namespace", "service"}, more...), nil)
}

func targetDesc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("tpa_"+name, help, append([]string{"namespace", "target"}, more...), nil)
}

// metrics are what happens now and then; what is counted for each connection is read from the fronts, see Collect.
type metrics struct {
	namespace string
	api       apiErrors
	heldFor   *prometheus.HistogramVec
	sleeps    *prometheus.CounterVec
	wakes     *prometheus.CounterVec
	wakeTimes *prometheus.HistogramVec
	stages    *prometheus.HistogramVec

	mu sync.Mutex
	// shown are the histories as they were last exported.
	shown map[contract.Target]contract.History
}

func newMetrics(namespace string) *metrics {
	labels := []string{"namespace", "target"}
	return &metrics{
		namespace: namespace,
		api:       newAPIErrors(namespace),
		shown:     map[contract.Target]contract.History{},
		heldFor: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tpa_hold_duration_seconds", Help: "How long connections were held, by result.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 120, 300},
		}, []string{"namespace", "service", "result"}),
		sleeps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tpa_sleeps_total", Help: "How often this proxy has scaled the target to 0, by reason: nobody was connected, " +
				"connections were silent, somebody asked for it, or another proxy had begun to and not ended it.",
		}, append(labels, "reason")),
		wakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tpa_wakes_total", Help: "How often this proxy has scaled the target up.",
		}, labels),
		wakeTimes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tpa_wake_duration_seconds",
			Help: "How long wakes took for which connections were held here: from when the first began to be held until a backend was " +
				"ready (ready), or nobody waited any more (timed_out).",
			Buckets: []float64{.25, .5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300},
		}, append(labels, "outcome")),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tpa_wake_stage_seconds",
			Help: "How long the stages of wakes took for which connections were held, one after the other: " +
				"decide, scale, ready, notice, dial.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300},
		}, append(labels, "stage")),
	}
}

func (m *metrics) held(service string, waited time.Duration, outcome front.Outcome) {
	m.heldFor.WithLabelValues(m.namespace, service, outcome.String()).Observe(waited.Seconds())
}

func (m *metrics) slept(t contract.Target, why target.SleepReason) {
	m.sleeps.WithLabelValues(m.namespace, t.String(), string(why)).Inc()
}

func (m *metrics) woke(t contract.Target) { m.wakes.WithLabelValues(m.namespace, t.String()).Inc() }

// outcomes are the wakes' as labels.
var outcomes = map[contract.WakeOutcome]string{contract.WakeReady: "ready", contract.WakeTimedOut: "timed_out"}

func (m *metrics) woken(t contract.Target, outcome contract.WakeOutcome, took time.Duration) {
	m.wakeTimes.WithLabelValues(m.namespace, t.String(), outcomes[outcome]).Observe(took.Seconds())
}

func (m *metrics) stage(t contract.Target, s target.Stage, took time.Duration) {
	m.stages.WithLabelValues(m.namespace, t.String(), s.String()).Observe(took.Seconds())
}

// setBack is how far a history may fall behind what was shown of it and be the same one: the clocks of proxies differ, and a
// counter that falls is taken for one that began anew.
const setBack = time.Minute

// show returns a history as it is to be exported: it does not fall.
func (m *metrics) show(t contract.Target, h contract.History) contract.History {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.shown[t]
	if h.Asleep < was.Asleep && was.Asleep-h.Asleep < setBack.Seconds() {
		h.Asleep, h.Saved = was.Asleep, was.Saved
	}
	if was.Observed.Sleeps-h.Observed.Sleeps <= 1 {
		h.Observed = notLess(h.Observed, was.Observed)
	}
	m.shown[t] = h
	return h
}

// notLess raises an Observed to an earlier one: the pods that are ready, by which the present sleep is reckoned, may become fewer, and
// that sleep, which no proxy writes down before it ends, may be lost, or be written by a proxy that has seen less of it. What falls
// behind by more sleeps than that one is a history that begins anew.
func notLess(o, was contract.Observed) contract.Observed {
	return contract.Observed{
		Sleeps: max(o.Sleeps, was.Sleeps),
		Asleep: max(o.Asleep, was.Asleep),
		Saved: contract.Saved{
			Replicas: max(o.Saved.Replicas, was.Saved.Replicas),
			CPU:      max(o.Saved.CPU, was.Saved.CPU),
			Memory:   max(o.Saved.Memory, was.Saved.Memory),
		},
	}
}

// forgetTarget drops the series of a target that is kept no more.
func (m *metrics) forgetTarget(t contract.Target) {
	of := prometheus.Labels{"target": t.String()}
	m.sleeps.DeletePartialMatch(of)
	m.wakes.DeletePartialMatch(of)
	m.wakeTimes.DeletePartialMatch(of)
	m.stages.DeletePartialMatch(of)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.shown, t)
}

// forgetService drops the series of a Service whose last connection has ended, unless there is another one of that name.
func (m *Manager) forgetService(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.names {
		if other == name {
			return
		}
	}
	m.metrics.heldFor.DeletePartialMatch(prometheus.Labels{"service": name})
}

// collectors are what a registry collects from beside the Manager itself.
func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.api.byCode, m.heldFor, m.sleeps, m.wakes, m.wakeTimes, m.stages}
}

// Describe implements prometheus.Collector.
func (m *Manager) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		connectionsDesc, activeDesc, parkedDesc, heldDesc, bytesDesc, dialErrorsDesc, limitDesc, readyDesc,
		asleepDesc, awakeDesc, asleepSecondsDesc, replicasDesc, cpuDesc, memoryDesc,
		observedAsleepDesc, observedSleepsDesc, observedAsleepSecondsDesc, observedReplicasDesc, observedCPUDesc, observedMemoryDesc,
	} {
		ch <- d
	}
	for _, c := range m.metrics.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Manager) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.metrics.collectors() {
		c.Collect(ch)
	}
	ready := 0.0
	if m.Ready() == nil {
		ready = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, value, append([]string{m.options.Namespace}, labels...)...)
	}
	send(limitDesc, prometheus.GaugeValue, float64(m.conns.Max()))
	send(readyDesc, prometheus.GaugeValue, ready)
	fronts := map[string][]*front.Stats{} // a Service that is made anew has two for a while
	for uid, f := range m.fronts {
		fronts[m.names[uid]] = append(fronts[m.names[uid]], f.Stats())
	}
	for name, all := range fronts {
		sum := func(value func(*front.Stats) int64) (n float64) {
			for _, stats := range all {
				n += float64(value(stats))
			}
			return n
		}
		for _, outcome := range front.Outcomes() {
			ended := sum(func(s *front.Stats) int64 { return s.Ended(outcome) })
			send(connectionsDesc, prometheus.CounterValue, ended, name, outcome.String())
		}
		send(activeDesc, prometheus.GaugeValue, sum((*front.Stats).Active), name)
		send(parkedDesc, prometheus.GaugeValue, sum((*front.Stats).Parked), name)
		send(heldDesc, prometheus.GaugeValue, sum((*front.Stats).Held), name)
		send(bytesDesc, prometheus.CounterValue, sum((*front.Stats).BytesToBackend), name, "to_backend")
		send(bytesDesc, prometheus.CounterValue, sum((*front.Stats).BytesToClient), name, "to_client")
		send(dialErrorsDesc, prometheus.CounterValue, sum((*front.Stats).DialErrors), name)
	}
	for t, k := range m.targets {
		asleep := 0.0
		if state, ok := k.State(); ok && state.Phase == sleep.Asleep {
			asleep = 1
		}
		send(asleepDesc, prometheus.GaugeValue, asleep, t.String())
		h := m.metrics.show(t, k.History())
		send(asleepSecondsDesc, prometheus.CounterValue, h.Asleep, t.String())
		send(replicasDesc, prometheus.CounterValue, h.Saved.Replicas, t.String())
		send(cpuDesc, prometheus.CounterValue, h.Saved.CPU, t.String())
		send(memoryDesc, prometheus.CounterValue, h.Saved.Memory, t.String())
		m.sendObserved(send, t, k, h.Observed)
		if reason := m.last.Targets[t].keptAwake(); reason != "" {
			send(awakeDesc, prometheus.GaugeValue, 1, t.String(), reason)
		}
	}
}

// sendObserved sends what would be of a target that is, or was, only observed.
func (m *Manager) sendObserved(send func(*prometheus.Desc, prometheus.ValueType, float64, ...string), t contract.Target, k *target.Keeper, o contract.Observed) {
	observed, since := k.Observed()
	if !observed && o == (contract.Observed{}) {
		return
	}
	if observed {
		asleep := 0.0
		if !since.IsZero() {
			asleep = 1
		}
		send(observedAsleepDesc, prometheus.GaugeValue, asleep, t.String())
	}
	send(observedSleepsDesc, prometheus.CounterValue, float64(o.Sleeps), t.String())
	send(observedAsleepSecondsDesc, prometheus.CounterValue, o.Asleep, t.String())
	send(observedReplicasDesc, prometheus.CounterValue, o.Saved.Replicas, t.String())
	send(observedCPUDesc, prometheus.CounterValue, o.Saved.CPU, t.String())
	send(observedMemoryDesc, prometheus.CounterValue, o.Saved.Memory, t.String())
}
