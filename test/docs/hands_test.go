//go:build integration

package docs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// desk is an API server with TPA's admission and Service web of namespace shop, at which a reader sits.
type desk struct {
	*testing.T
	server *apiserver.Server
	self   client.Client // TPA's own ServiceAccount
	before corev1.ServiceSpec
}

func openDesk(t *testing.T) *desk {
	t.Helper()
	server, err := apiserver.Start(t.Context(), apiserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	d := &desk{T: t, server: server}
	config, err := server.As(apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+apiserver.Namespace)
	d.must(err)
	d.self, err = client.New(config, client.Options{})
	d.must(err)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	for _, o := range []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, service} {
		d.must(server.Admin.Create(t.Context(), o))
	}
	d.before = service.Spec
	return d
}

func (d *desk) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// run runs a command of the documents as it stands, in the repository's root.
func (d *desk) run(command string) (string, error) {
	d.Helper()
	if _, said := table[command]; !said {
		d.Errorf("no document says %q", command)
	}
	kubeconfig, err := d.server.Kubeconfig("")
	d.must(err)
	path := "PATH=" + os.Getenv("KUBEBUILDER_ASSETS") + ":" + os.Getenv("PATH")
	out, err := apiserver.Run(d.Context(), "", kubeconfig, "env", "-C", root, path, "bash", "-euc", command)
	return out.Stdout, err
}

func (d *desk) service() *corev1.Service {
	d.Helper()
	service := &corev1.Service{}
	d.must(d.server.Admin.Get(d.Context(), client.ObjectKey{Namespace: "shop", Name: "web"}, service))
	return service
}

// annotate plays the controller; a nil value takes an annotation off.
func (d *desk) annotate(key string, value any) {
	d.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}})
	d.must(err)
	d.must(d.self.Patch(d.Context(), d.service(), client.RawPatch(types.MergePatchType, patch)))
}

// active has TPA take the Service over.
func (d *desk) active() {
	d.Helper()
	for _, step := range Walk[:2] {
		_, err := d.run(step)
		d.must(err)
	}
	d.annotate(contract.PortsKey, contract.Ports{80: contract.PortMin + 1}.String())
	d.annotate(contract.PhaseKey, contract.Active)
	if service := d.service(); !contract.IsProxySelector(service.Spec.Selector) {
		d.Fatalf("the Service is not TPA's: %v", service.Spec.Selector)
	}
}

// restored checks that the Service is as it was before TPA, but for what the reader wrote.
func (d *desk) restored(annotations ...string) {
	d.Helper()
	service := d.service()
	if diff := cmp.Diff(d.before, service.Spec); diff != "" {
		d.Errorf("the Service is not as it was (-before +after):\n%s", diff)
	}
	left := make([]string, 0, len(service.Annotations))
	for key := range service.Annotations {
		left = append(left, key)
	}
	slices.Sort(left)
	if !slices.Equal(left, annotations) || len(service.Labels) > 0 {
		d.Errorf("left on the Service: %v, labels %v; want %v", left, service.Labels, annotations)
	}
}

// TestOptOut runs the README's ways to opt out: TPA gives the Service back, and then it is what it was.
func TestOptOut(t *testing.T) {
	d := openDesk(t)
	d.active()
	_, err := d.run("kubectl annotate service web tpa.dev/target- -n shop")
	d.must(err)
	if phase := d.service().Annotations[contract.PhaseKey]; phase != string(contract.Restoring) {
		t.Fatalf("phase %q after the opt-out", phase)
	}
	d.annotate(contract.PhaseKey, nil)
	d.restored(contract.IdleTimeoutKey)

	_, err = d.run("kubectl label namespace shop tpa.dev/inject-")
	d.must(err)
	shop := &corev1.Namespace{}
	d.must(d.server.Admin.Get(t.Context(), client.ObjectKey{Name: "shop"}, shop))
	if _, labelled := shop.Labels[contract.InjectLabel]; labelled {
		t.Errorf("labels %v after the opt-out", shop.Labels)
	}
}

// byHand are the commands that the README gives for when TPA is gone and its Services are not restored, in its order.
var byHand = []string{
	"kubectl delete mutatingwebhookconfiguration tpa",
	"kubectl get services -A -l tpa.dev/managed=true",
	`kubectl get lease tpa-deployments-web -n shop -o jsonpath='{.metadata.annotations.tpa\.dev/state}'`,
	"kubectl scale deployment web -n shop --replicas=2",
	`kubectl get service web -n shop -o jsonpath='{.metadata.annotations.tpa\.dev/original}'`,
	`kubectl patch service web -n shop -p '{"spec":{"selector":{"$patch":"replace","app":"web"},"ports":[{"port":80,"targetPort":80}]}}'`,
	"kubectl annotate service web -n shop tpa.dev/phase- tpa.dev/ports- tpa.dev/original-",
	"kubectl label service web -n shop tpa.dev/managed-",
	"kubectl delete deployment,poddisruptionbudget,rolebinding,serviceaccount tpa-proxy -n shop",
	"kubectl delete leases -n shop -l tpa.dev/lease",
}

// TestByHand gives a sleeping Service back with nothing but kubectl, after TPA's webhook has gone for good: the README's
// commands as they stand, and nothing of TPA is left.
func TestByHand(t *testing.T) {
	d := openDesk(t)
	d.active()
	pods, none := map[string]string{"app": "web"}, int32(0)
	target, err := contract.ParseTarget("deployment/web")
	d.must(err)
	state := sleep.State{Phase: sleep.Asleep, Since: time.Now(), Replicas: 2}
	for _, o := range []client.Object{
		&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
			Spec: appsv1.DeploymentSpec{
				Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: pods},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: pods},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:v1"}}},
				},
			},
		},
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: target.Lease(), Labels: map[string]string{contract.LeaseLabel: contract.LeaseTarget},
			Annotations: map[string]string{contract.StateKey: state.String()},
		}},
	} {
		d.must(d.server.Admin.Create(t.Context(), o))
	}
	objects, err := proxyobjects.Wanted("shop", contract.Defaults{IdleTimeout: time.Minute}, proxyobjects.Config{Image: "proxy:v1", Drain: time.Minute})
	d.must(err)
	for _, o := range objects {
		d.must(d.server.Admin.Apply(t.Context(), o.Configuration(), client.FieldOwner(contract.FieldManager)))
	}

	prints := map[string]string{
		"get services": " web ", "get lease": `"replicas":2`, "get service web": d.service().Annotations[contract.OriginalKey],
	}
	for i, command := range byHand {
		out, err := d.run(command)
		d.must(err)
		if i == 0 {
			d.unasked()
		}
		for begin, want := range prints {
			if strings.HasPrefix(command, "kubectl "+begin+" ") && (want == "" || !strings.Contains(strings.Join(strings.Fields(out), " "), strings.TrimSpace(want))) {
				t.Errorf("%s prints %q, want %q", command, out, want)
			}
		}
	}
	d.restored(contract.IdleTimeoutKey, contract.TargetKey)
	web := &appsv1.Deployment{}
	d.must(d.server.Admin.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "web"}, web))
	if *web.Spec.Replicas != state.Replicas {
		t.Errorf("%d replicas, want %d", *web.Spec.Replicas, state.Replicas)
	}
	for _, o := range proxyobjects.Present("shop") {
		if err := d.server.Admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
			t.Errorf("%s %s is left: %v", o.Kind, o.Name, err)
		}
	}
	var leases coordinationv1.LeaseList
	d.must(d.server.Admin.List(t.Context(), &leases, client.InNamespace("shop")))
	if len(leases.Items) > 0 {
		t.Errorf("%d Leases are left", len(leases.Items))
	}
}

// unasked waits until the API server asks no webhook any more, which it learns of a while after the deletion.
func (d *desk) unasked() {
	d.Helper()
	err := wait.PollUntilContextTimeout(d.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		service := d.service()
		service.Annotations[contract.IdleTimeoutKey] = "nonsense" // refused by TPA
		return d.server.Admin.Update(ctx, service, client.DryRunAll) == nil, nil
	})
	d.must(err)
}

// TestNetworkPolicies: an API server takes the sample.
func TestNetworkPolicies(t *testing.T) {
	d := openDesk(t)
	out, err := d.run("kubectl apply -n shop -f manifests/samples/networkpolicies.yaml")
	d.must(err)
	for _, name := range []string{"tpa-proxy", "from-tpa-proxy"} {
		if want := fmt.Sprintf("networkpolicy.networking.k8s.io/%s created\n", name); !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}
