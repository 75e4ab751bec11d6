package check

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
)

// proxies looks at the proxies of each namespace that has a managed Service.
func proxies(ctx context.Context, o Options) []Line {
	services, err := o.Client.CoreV1().Services("").List(ctx, metav1.ListOptions{
		LabelSelector: contract.ManagedLabel + "=" + contract.ManagedTrue,
	})
	if err != nil {
		return []Line{note("ask for the right to list them", "managed Services of all namespaces: %v", err)}
	}
	deployments, err := proxyDeployments(ctx, o)
	if err != nil {
		return []Line{note("ask for the right to list them", "proxies of all namespaces: %v", err)}
	}
	return judgeProxies(services.Items, deployments)
}

// judgeProxies compares the managed Services with the proxies that should serve them.
func judgeProxies(services []corev1.Service, deployments []appsv1.Deployment) []Line {
	served := map[string]*appsv1.Deployment{}
	for i := range deployments {
		served[deployments[i].Namespace] = &deployments[i]
	}
	var lines []Line
	seen := map[string]bool{}
	for _, svc := range services {
		if seen[svc.Namespace] {
			continue
		}
		seen[svc.Namespace] = true
		look := fmt.Sprintf("kubectl describe pods -n %s -l %s=%s", svc.Namespace, contract.SelectorKey, contract.SelectorValue)
		d := served[svc.Namespace]
		switch {
		case d == nil:
			lines = append(lines, bad("kubectl events -n "+svc.Namespace, "namespace %s has managed Services and no Deployment %s", svc.Namespace, contract.ProxyName))
		case d.Status.ReadyReplicas == 0:
			lines = append(lines, bad(look, "namespace %s has no ready proxy", svc.Namespace))
		case d.Spec.Replicas != nil && d.Status.ReadyReplicas < *d.Spec.Replicas:
			lines = append(lines, note(look, "namespace %s has %d of %d proxies ready", svc.Namespace, d.Status.ReadyReplicas, *d.Spec.Replicas))
		}
	}
	if len(services) == 0 {
		return []Line{good("no Service is managed yet")}
	}
	if len(lines) == 0 {
		lines = []Line{good("%d managed Services in %d namespaces, all proxies are ready", len(services), len(seen))}
	}
	return lines
}

// rights looks for what the user needs in their own namespace.
func rights(ctx context.Context, o Options) []Line {
	var lines []Line
	for _, right := range []struct {
		what authorizationv1.ResourceAttributes
		so   string
	}{
		{authorizationv1.ResourceAttributes{Verb: "patch", Resource: "services"}, "annotate Services"},
		{authorizationv1.ResourceAttributes{Verb: "update", Group: "apps", Resource: "deployments", Subresource: "scale"}, "have Deployments sleep, or wake them"},
		{authorizationv1.ResourceAttributes{Verb: "update", Group: "apps", Resource: "statefulsets", Subresource: "scale"}, "have StatefulSets sleep, or wake them"},
		{authorizationv1.ResourceAttributes{Verb: "list", Group: "coordination.k8s.io", Resource: "leases"}, "see how targets stand"},
		{authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods"}, "see which pods are ready"},
	} {
		right.what.Namespace = o.Home
		may, err := o.Client.May(ctx, right.what)
		resource := right.what.Resource
		if right.what.Subresource != "" {
			resource += "/" + right.what.Subresource
		}
		switch {
		case err != nil:
			return []Line{note("kubectl auth can-i --list -n "+o.Home, "%v", err)}
		case !may:
			lines = append(lines, note("ask for it, if you need it", "you may not %s %s in namespace %s, so you cannot %s", right.what.Verb, resource, o.Home, right.so))
		}
	}
	if len(lines) == 0 {
		lines = []Line{good("you may annotate Services and scale targets in namespace %s", o.Home)}
	}
	return lines
}
