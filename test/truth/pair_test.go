//go:build integration

package truth

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/proxy/contract"
)

// pair is a Service and its twin, which TPA does not know.
type pair struct {
	*testing.T
	live, twin string // namespaces
}

// newPair lets a client create both, and brings the one to Active.
func newPair(t *testing.T, namespace string, create func(batch, bool) (answer, error)) pair {
	t.Helper()
	t.Parallel()
	p := pair{t, namespace, namespace + "-twin"}
	for _, ns := range []string{p.live, p.twin} {
		if err := createNamespace(t.Context(), ns, ns == p.live); err != nil {
			t.Fatal(err)
		}
		if err := p.send(ns, sameAgain, create); err != nil {
			t.Fatal(err)
		}
	}
	if err := activate(t.Context(), p.live); err != nil {
		t.Fatal(err)
	}
	return p
}

// send lets a client bring one of the two to what an edit makes of the manifest.
func (p pair) send(namespace string, e edit, how func(batch, bool) (answer, error)) error {
	m := base(namespace)
	e.do(m)
	_, err := how(batch{ctx: p.Context(), docs: []doc{{namespace, m, e}}}, false)
	return err
}

// both does the same to both.
func (p pair) both(e edit, how func(batch, bool) (answer, error)) {
	p.Helper()
	for _, ns := range []string{p.live, p.twin} {
		if err := p.send(ns, e, how); err != nil {
			p.Fatal(err)
		}
	}
}

func (p pair) service(namespace string) *corev1.Service {
	p.Helper()
	svc, err := get(p.Context(), namespace)
	if err != nil {
		p.Fatal(err)
	}
	return svc
}

// same checks that the user has what the twin has, now and after opting out.
func (p pair) same() {
	p.Helper()
	live, twin := p.service(p.live), p.service(p.twin)
	if err := fits(live, contract.Active); err != nil {
		p.Error(err)
	}
	spec, err := meant(live)
	if err != nil {
		p.Fatal(err)
	}
	if diff := sameSpec(twin.Spec, spec); diff != "" {
		p.Errorf("what the user has by TPA's account (-twin +got):\n%s", diff)
	}
	back, err := optOut(p.Context(), p.live)
	if err != nil {
		p.Fatal(err)
	}
	if diff := sameSpec(twin.Spec, back.Spec); diff != "" {
		p.Errorf("after opting out (-twin +got):\n%s", diff)
	}
}

var (
	clientSide = kubectl("apply")
	serverSide = kubectl("apply", "--server-side")
)

// by is a server-side apply of a field manager, which forces nothing.
func by(manager string) func(batch, bool) (answer, error) {
	return kubectl("apply", "--server-side", "--field-manager="+manager)
}
