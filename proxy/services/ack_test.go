package services

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"tpa.dev/tpa/proxy/contract"
)

func TestAcknowledgementIsMadeAndChanged(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	a := &acknowledger{client: c, options: Options{Namespace: "shop", Pod: "tpa-proxy-x", PodUID: "u1"}}
	for _, want := range []string{`{"s1":[20001]}`, `{"s1":[20001],"s2":[20002]}`, `{}`} {
		if err := a.write(t.Context(), want); err != nil {
			t.Fatalf("write %s: %v", want, err)
		}
		var lease coordinationv1.Lease
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: contract.PodLease("tpa-proxy-x")}, &lease); err != nil {
			t.Fatal(err)
		}
		if got := lease.Annotations[contract.ListeningKey]; got != want {
			t.Errorf("the lease says %s, want %s", got, want)
		}
		if lease.Labels[contract.LeaseLabel] != contract.LeaseProxy || len(lease.OwnerReferences) != 1 {
			t.Errorf("the lease is not the pod's: labels %v, owners %v", lease.Labels, lease.OwnerReferences)
		}
	}
}
