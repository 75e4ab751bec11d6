package controller

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

func TestMetricsOfAllNamespaces(t *testing.T) {
	k := newKit(t)
	for name, phase := range map[string]contract.Phase{"a": contract.Active, "b": contract.Active, "c": contract.Pending} {
		svc := annotated(name)
		svc.Labels = map[string]string{contract.ManagedLabel: contract.ManagedTrue}
		svc.Annotations[contract.PhaseKey] = string(phase)
		k.must(k.raw.Create(t.Context(), svc))
	}
	two := int32(2)
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: shop, Name: contract.ProxyName, Labels: proxyobjects.Labels(),
			Annotations: map[string]string{RecordKey: record{Asides: 1}.String()},
		},
		Spec: appsv1.DeploymentSpec{Replicas: &two},
	}
	k.must(k.raw.Create(t.Context(), d))
	d.Status.ReadyReplicas = 1
	k.must(k.raw.Status().Update(t.Context(), d))

	elected := make(chan struct{})
	c := NewCollector(k.raw, elected)
	if n := testutil.CollectAndCount(c); n != 0 {
		t.Errorf("%d samples of a replica that does not lead", n)
	}
	close(elected)
	want := `
# HELP tpa_proxies Proxies that the namespace should have.
# TYPE tpa_proxies gauge
tpa_proxies{namespace="shop"} 2
# HELP tpa_proxies_ready Proxies of the namespace that are ready.
# TYPE tpa_proxies_ready gauge
tpa_proxies_ready{namespace="shop"} 1
# HELP tpa_services Managed Services, by phase.
# TYPE tpa_services gauge
tpa_services{namespace="shop",phase="Active"} 2
tpa_services{namespace="shop",phase="Pending"} 1
tpa_services{namespace="shop",phase="Restoring"} 0
# HELP tpa_services_stepped_aside Services that work as without TPA because no proxy of the namespace was ready for long.
# TYPE tpa_services_stepped_aside gauge
tpa_services_stepped_aside{namespace="shop"} 1
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
