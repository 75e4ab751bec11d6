package main

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// manager owns the fields of the users' manifests.
const manager = "gitops"

func namespaceName(i int) string { return fmt.Sprintf("shop-%03d", i) }

// populate brings apps that run, behind Services that are annotated, into namespaces that are not opted in yet.
func populate(ctx context.Context, c client.Client, o options) error {
	return parallel(o.namespaces, func(i int) error {
		namespace := namespaceName(i)
		if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			return fmt.Errorf("create namespace %s: %w", namespace, err)
		}
		for j := range o.services / o.namespaces {
			if err := createApp(ctx, c, namespace, fmt.Sprintf("web-%d", j)); err != nil {
				return fmt.Errorf("create app %s/web-%d: %w", namespace, j, err)
			}
		}
		return nil
	})
}

func createApp(ctx context.Context, c client.Client, namespace, name string) error {
	pods := map[string]string{"app": name}
	spec := corev1.PodSpec{Containers: []corev1.Container{{
		Name: "web", Image: "web:v1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
	}}}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: pods},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pods}, Spec: spec},
		},
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-0", Labels: pods}, Spec: spec}
	for _, o := range []client.Object{deployment, pod} {
		if err := c.Create(ctx, o); err != nil {
			return err
		}
	}
	if err := apiserver.SetReady(ctx, c, pod, true); err != nil {
		return err
	}
	return c.Apply(ctx, service(namespace, name, "1"), client.FieldOwner(manager))
}

// service is the user's manifest of a Service, in one of its revisions.
func service(namespace, name, revision string) *applycorev1.ServiceApplyConfiguration {
	return applycorev1.Service(name, namespace).
		WithAnnotations(map[string]string{contract.TargetKey: name, "example.com/revision": revision}).
		WithSpec(applycorev1.ServiceSpec().
			WithSelector(map[string]string{"app": name}).
			WithPorts(applycorev1.ServicePort().WithName("http").WithPort(80).WithProtocol(corev1.ProtocolTCP).
				WithTargetPort(intstr.FromString("http"))))
}

// label opts all namespaces in or out.
func label(ctx context.Context, c client.Client, o options, value string) error {
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, contract.InjectLabel, value)
	return parallel(o.namespaces, func(i int) error {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceName(i)}}
		if err := c.Patch(ctx, namespace, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			return fmt.Errorf("label namespace %s: %w", namespace.Name, err)
		}
		return nil
	})
}

// parallel calls do for each number below n, some at a time.
func parallel(n int, do func(int) error) error {
	var group errgroup.Group
	group.SetLimit(4 * runtime.NumCPU())
	for i := range n {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

// leftovers is how many of TPA's own objects are left in the namespaces.
func leftovers(ctx context.Context, c client.Client) (int, error) {
	n := 0
	for _, object := range proxyobjects.Present("") {
		list := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: object.APIVersion, Kind: object.Kind + "List"}}
		if err := c.List(ctx, list, client.MatchingLabels(proxyobjects.Labels())); err != nil {
			return 0, fmt.Errorf("list what is left of kind %s: %w", object.Kind, err)
		}
		n += len(list.Items)
	}
	var leases coordinationv1.LeaseList
	if err := c.List(ctx, &leases, client.HasLabels{contract.LeaseLabel}); err != nil {
		return 0, fmt.Errorf("list leases that are left: %w", err)
	}
	return n + len(leases.Items), nil
}
