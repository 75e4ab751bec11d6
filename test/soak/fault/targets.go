package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func targetFaults() []Fault {
	return []Fault{
		{
			Name: "target-crash-loops", What: "a target's pods end as soon as they start", On: Targets,
			For: 30 * time.Second, Back: 2 * time.Minute, MayLose: AtBrokenTarget, Strike: breakTarget(crash),
		},
		{
			Name: "target-no-image", What: "a target's image is missing", On: Targets,
			For: 30 * time.Second, Back: 2 * time.Minute, MayLose: AtBrokenTarget, Strike: breakTarget(noImage),
		},
		{
			Name: "target-slow", What: "a target's pods are ready 8 s later than they could be", On: Targets,
			For: time.Minute, Back: 2 * time.Minute, MayLose: AtBrokenTarget, Strike: slowTarget,
		},
		{
			// A ReplicaSet that may not create a pod tries again ever more rarely: for as long again as it was kept from it.
			Name: "quota-full", What: "the namespace's quota allows no more pods", On: Targets,
			For: 20 * time.Second, Back: 2 * time.Minute, MayLose: Nothing, Strike: fillQuota,
		},
	}
}

// crash adds a flag that none of the test's servers knows: they say so, and end.
func crash(d *appsv1.Deployment) {
	container := &d.Spec.Template.Spec.Containers[0]
	container.Args = append(container.Args, "--crash-loop")
}

func noImage(d *appsv1.Deployment) {
	d.Spec.Template.Spec.Containers[0].Image = "localhost/app:missing"
}

// breakTarget changes a target's template for the worse, and has its pods end before the new ones start: in a rollout that
// waits for the new ones the old ones would stay.
func breakTarget(worse func(*appsv1.Deployment)) func(context.Context, *Env) (Heal, error) {
	return func(ctx context.Context, env *Env) (Heal, error) {
		if len(env.Targets) == 0 {
			return nil, errNoTarget
		}
		d, err := env.target(ctx, env.Targets[env.Rand.IntN(len(env.Targets))])
		if err != nil {
			return nil, err
		}
		env.Struck(Victim{At: time.Now(), Target: d.Name, Down: true})
		return env.change(ctx, d, func(d *appsv1.Deployment) {
			worse(d)
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		})
	}
}

func slowTarget(ctx context.Context, env *Env) (Heal, error) {
	for _, i := range env.Rand.Perm(len(env.Targets)) {
		d, err := env.target(ctx, env.Targets[i])
		if err != nil {
			return nil, err
		}
		if d.Spec.Template.Spec.Containers[0].ReadinessProbe == nil {
			continue
		}
		env.Struck(Victim{At: time.Now(), Target: d.Name})
		heal, err := env.change(ctx, d, func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].ReadinessProbe.InitialDelaySeconds += 8
		})
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			env.Struck(Victim{At: time.Now(), Target: d.Name})
			return heal(ctx)
		}, nil
	}
	return nil, errNoTarget
}

var errNoTarget = fmt.Errorf("no target that this could strike")

func (e *Env) target(ctx context.Context, name string) (*appsv1.Deployment, error) {
	var d appsv1.Deployment
	err := e.Cluster.Get(ctx, client.ObjectKey{Namespace: e.Namespace, Name: name}, &d)
	return &d, err
}

// change changes a Deployment's template and strategy. The Heal gives it back those that it had; its replicas are TPA's.
func (e *Env) change(ctx context.Context, d *appsv1.Deployment, do func(*appsv1.Deployment)) (Heal, error) {
	set := func(spec appsv1.DeploymentSpec) Heal {
		return func(ctx context.Context) error {
			body, err := json.Marshal([]map[string]any{
				{"op": "replace", "path": "/spec/template", "value": spec.Template},
				{"op": "replace", "path": "/spec/strategy", "value": spec.Strategy},
			})
			if err != nil {
				return err
			}
			return e.Cluster.Patch(ctx, d.DeepCopy(), client.RawPatch(types.JSONPatchType, body))
		}
	}
	changed := d.DeepCopy()
	do(changed)
	if err := set(changed.Spec)(ctx); err != nil {
		return nil, undone(ctx, err, set(d.Spec))
	}
	return set(d.Spec), nil
}

// fillQuota leaves what runs alone: what sleeps cannot wake, and what ends is not replaced.
func fillQuota(ctx context.Context, env *Env) (Heal, error) {
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace, Name: "tpa-fault"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}
	heal := func(ctx context.Context) error { return client.IgnoreNotFound(env.Cluster.Delete(ctx, quota)) }
	for _, target := range env.Targets {
		env.Struck(Victim{At: time.Now(), Target: target, Down: true})
	}
	if err := env.Cluster.Create(ctx, quota); err != nil {
		return nil, undone(ctx, err, heal)
	}
	return heal, nil
}
