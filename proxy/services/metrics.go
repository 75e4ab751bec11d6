package services

import (
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
	limitDesc       = prometheus.NewDesc("tpa_connections_limit", "Connections that this proxy accepts at once for all Services.", []string{"namespace"}, nil)
	dialErrorsDesc  = desc("dial_errors_total", "Attempts to connect to a backend that failed.")
	asleepDesc      = prometheus.NewDesc("tpa_target_asleep", "Whether the target is asleep, 1 or 0.", []string{"namespace", "target"}, nil)
)

func desc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("tpa_"+name, help, append([]string{"namespace", "service"}, more...), nil)
}

// metrics are what happens now and then; what is counted for each connection is read from the fronts, see Collect.
type metrics struct {
	namespace string
	heldFor   *prometheus.HistogramVec
	sleeps    *prometheus.CounterVec
	wakes     *prometheus.CounterVec
	stages    *prometheus.HistogramVec
}

func newMetrics(namespace string) *metrics {
	labels := []string{"namespace", "target"}
	return &metrics{
		namespace: namespace,
		heldFor: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tpa_hold_duration_seconds", Help: "How long connections were held, by result.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 120, 300},
		}, []string{"namespace", "service", "result"}),
		sleeps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tpa_sleeps_total", Help: "How often this proxy has scaled the target to 0.",
		}, labels),
		wakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tpa_wakes_total", Help: "How often this proxy has scaled the target up.",
		}, labels),
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

func (m *metrics) slept(t contract.Target) { m.sleeps.WithLabelValues(m.namespace, t.String()).Inc() }
func (m *metrics) woke(t contract.Target)  { m.wakes.WithLabelValues(m.namespace, t.String()).Inc() }

func (m *metrics) stage(t contract.Target, s target.Stage, took time.Duration) {
	m.stages.WithLabelValues(m.namespace, t.String(), s.String()).Observe(took.Seconds())
}

// forget drops the stages of a target that is kept no more: of all metrics they are the most.
func (m *metrics) forget(t contract.Target) {
	m.stages.DeletePartialMatch(prometheus.Labels{"target": t.String()})
}

// Describe implements prometheus.Collector.
func (m *Manager) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connectionsDesc, activeDesc, parkedDesc, heldDesc, limitDesc, bytesDesc, dialErrorsDesc, asleepDesc} {
		ch <- d
	}
	m.metrics.heldFor.Describe(ch)
	m.metrics.sleeps.Describe(ch)
	m.metrics.wakes.Describe(ch)
	m.metrics.stages.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Manager) Collect(ch chan<- prometheus.Metric) {
	m.metrics.heldFor.Collect(ch)
	m.metrics.sleeps.Collect(ch)
	m.metrics.wakes.Collect(ch)
	m.metrics.stages.Collect(ch)
	m.mu.Lock()
	defer m.mu.Unlock()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, value, append([]string{m.options.Namespace}, labels...)...)
	}
	send(limitDesc, prometheus.GaugeValue, float64(m.conns.Max()))
	for uid, f := range m.fronts {
		name, stats := m.names[uid], f.Stats()
		for _, outcome := range front.Outcomes() {
			send(connectionsDesc, prometheus.CounterValue, float64(stats.Ended(outcome)), name, outcome.String())
		}
		send(activeDesc, prometheus.GaugeValue, float64(stats.Active()), name)
		send(parkedDesc, prometheus.GaugeValue, float64(stats.Parked()), name)
		send(heldDesc, prometheus.GaugeValue, float64(stats.Held()), name)
		send(bytesDesc, prometheus.CounterValue, float64(stats.BytesToBackend()), name, "to_backend")
		send(bytesDesc, prometheus.CounterValue, float64(stats.BytesToClient()), name, "to_client")
		send(dialErrorsDesc, prometheus.CounterValue, float64(stats.DialErrors()), name)
	}
	for t, k := range m.targets {
		asleep := 0.0
		if state, ok := k.State(); ok && state.Phase == sleep.Asleep {
			asleep = 1
		}
		send(asleepDesc, prometheus.GaugeValue, asleep, t.String())
	}
}
