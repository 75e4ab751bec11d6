package fault

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// asideWithin is how long it takes Services to step aside, at most: the controller's 30 s after the last proxy, and a wake.
const asideWithin = 90 * time.Second

func goneFaults() []Fault {
	return []Fault{
		{
			Name: "proxies-unschedulable", What: "all proxies go, and no node takes new ones", On: Proxies,
			For: asideWithin, Back: 3 * time.Minute, MayLose: Nothing, Alone: true, Strike: unschedulable,
		},
		{
			Name: "proxies-no-image", What: "all proxies go, and the image of new ones is missing", On: Proxies,
			For: asideWithin, Back: 4 * time.Minute, MayLose: Nothing, Alone: true, Strike: imageGone,
		},
	}
}

// unschedulable asks for a node that does not exist, as somebody might in the proxies' Deployment, and ends the proxies.
func unschedulable(ctx context.Context, env *Env) (Heal, error) {
	const template = `{"spec":{"template":{"spec":{"nodeSelector":{"tpa.dev/fault":%s}}}}}`
	set := func(value string) Heal {
		return func(ctx context.Context) error {
			body := fmt.Appendf(nil, template, value)
			return env.Cluster.Patch(ctx, env.proxyDeployment(), client.RawPatch(types.MergePatchType, body))
		}
	}
	heal := set("null")
	if err := set(`"nowhere"`)(ctx); err != nil {
		return nil, undone(ctx, err, heal)
	}
	if err := env.endProxies(ctx, func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Spec.NodeSelector["tpa.dev/fault"] != ""
	}); err != nil {
		return nil, undone(ctx, err, heal)
	}
	return heal, nil
}

func imageGone(ctx context.Context, env *Env) (Heal, error) {
	const missing = "localhost/tpa-proxy:missing"
	heal, err := env.setProxyImage(ctx, missing)
	if err != nil {
		return nil, err
	}
	if err := env.endProxies(ctx, func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Spec.Containers[0].Image == missing
	}); err != nil {
		return nil, undone(ctx, err, heal)
	}
	return heal, nil
}

// endProxies waits until the proxies' Deployment has changed, and deletes the ReplicaSets that it had: a rollout would keep
// the old proxies for as long as there are no new ones.
func (e *Env) endProxies(ctx context.Context, changed func(*appsv1.Deployment) bool) error {
	d := e.proxyDeployment()
	err := kit.Wait(ctx, 2*time.Minute, "the proxies' Deployment to be broken", func(ctx context.Context) (bool, string) {
		if err := e.Cluster.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
			return false, err.Error()
		}
		return changed(d) && d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas > 0, kit.Describe(d)
	})
	if err != nil {
		return err
	}
	var sets appsv1.ReplicaSetList
	if err := e.Cluster.List(ctx, &sets, client.InNamespace(e.Namespace), client.MatchingLabels(d.Spec.Selector.MatchLabels)); err != nil {
		return err
	}
	newest := d.Annotations[revision]
	for _, set := range sets.Items {
		if set.Annotations[revision] == newest {
			continue
		}
		if err := e.Cluster.Delete(ctx, &set, client.PropagationPolicy("Background")); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// revision is where the Deployment controller notes which ReplicaSet is of which template.
const revision = "deployment.kubernetes.io/revision"
