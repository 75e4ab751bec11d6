package controller

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

var (
	servicesDesc = prometheus.NewDesc("tpa_services", "Managed Services, by phase.", []string{"namespace", "phase"}, nil)
	proxiesDesc  = prometheus.NewDesc("tpa_proxies", "Proxies that the namespace should have.", []string{"namespace"}, nil)
	readyDesc    = prometheus.NewDesc("tpa_proxies_ready", "Proxies of the namespace that are ready.", []string{"namespace"}, nil)
	asideDesc    = prometheus.NewDesc("tpa_services_stepped_aside",
		"Services that work as without TPA because no proxy of the namespace was ready for long.", []string{"namespace"}, nil)
)

// collectTimeout bounds what is read for one scrape. All of it is watched.
const collectTimeout = 2 * time.Second

// fleet tells how all namespaces stand.
type fleet struct {
	watched client.Reader
	elected <-chan struct{}
}

// NewCollector returns what a leader knows of all namespaces, as metrics: tpa_services, tpa_proxies, tpa_proxies_ready and
// tpa_services_stepped_aside. Until elected is closed there are none: other replicas watch nothing.
func NewCollector(watched client.Reader, elected <-chan struct{}) prometheus.Collector {
	return fleet{watched, elected}
}

// Describe implements prometheus.Collector.
func (f fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{servicesDesc, proxiesDesc, readyDesc, asideDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f fleet) Collect(ch chan<- prometheus.Metric) {
	select {
	case <-f.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	var services corev1.ServiceList
	var proxies appsv1.DeploymentList
	if f.watched.List(ctx, &services, managed) != nil || f.watched.List(ctx, &proxies, client.MatchingLabels(proxyobjects.Labels())) != nil {
		return // the watches have not begun yet
	}
	send := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	phases := map[string]map[contract.Phase]int{}
	for _, svc := range managedServices(services.Items) {
		if phases[svc.Namespace] == nil {
			phases[svc.Namespace] = map[contract.Phase]int{}
		}
		phases[svc.Namespace][phaseOf(svc)]++
	}
	for namespace, n := range phases {
		for _, phase := range []contract.Phase{contract.Pending, contract.Active, contract.Restoring} {
			send(servicesDesc, n[phase], namespace, string(phase))
		}
	}
	for i := range proxies.Items {
		d := &proxies.Items[i]
		replicas, aside := 1, 0
		if d.Spec.Replicas != nil {
			replicas = int(*d.Spec.Replicas)
		}
		if parseRecord(d.Annotations[RecordKey]).Asides > 0 {
			aside = phases[d.Namespace][contract.Pending]
		}
		send(proxiesDesc, replicas, d.Namespace)
		send(readyDesc, int(d.Status.ReadyReplicas), d.Namespace)
		send(asideDesc, aside, d.Namespace)
	}
}
