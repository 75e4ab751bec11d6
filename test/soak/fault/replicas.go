package fault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// replicaFaults are others who scale what TPA scales.
func replicaFaults() []Fault {
	return []Fault{
		{
			Name: "scaled-by-hand", What: "somebody scales targets to 0 and to 2, asleep or awake, every 3 s", On: Targets,
			For: 30 * time.Second, Back: time.Minute, MayLose: AtBrokenTarget, Strike: scaleByHand,
		},
		{
			Name: "hpa", What: "a HorizontalPodAutoscaler wants two replicas at least", On: Targets,
			For: 45 * time.Second, Back: time.Minute, MayLose: AtBrokenTarget, Strike: autoscale,
		},
		{
			Name: "gitops", What: "a target's manifest, replicas included, is applied every 3 s", On: Targets,
			For: 45 * time.Second, Back: time.Minute, MayLose: AtBrokenTarget, Strike: reapply,
		},
	}
}

// otherwiseEvery is how often somebody else writes replicas.
const otherwiseEvery = 3 * time.Second

func scaleByHand(ctx context.Context, env *Env) (Heal, error) {
	if len(env.Targets) == 0 {
		return nil, errNoTarget
	}
	was := map[string]int32{}
	var order []string
	for _, i := range env.Rand.Perm(len(env.Targets)) {
		order = append(order, env.Targets[i])
	}
	round := 0
	stop := env.repeat(ctx, func(ctx context.Context) error {
		name := order[(round/2)%len(order)]
		d, err := env.target(ctx, name)
		if err != nil {
			return err
		}
		if _, ok := was[name]; !ok {
			was[name] = max(1, kit.Replicas(d))
		}
		to := []int32{0, 2, 2, 0}[round%4] // every other target comes up first
		round++
		return env.scale(ctx, d, to)
	})
	return func(ctx context.Context) error {
		errs := []error{stop(ctx)}
		for name, replicas := range was {
			errs = append(errs, env.giveBack(ctx, name, replicas))
		}
		return errors.Join(errs...)
	}, nil
}

func autoscale(ctx context.Context, env *Env) (Heal, error) {
	d, err := env.anyTarget(ctx)
	if err != nil {
		return nil, err
	}
	two, percent := int32(2), int32(80)
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace, Name: "tpa-fault"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name},
			MinReplicas:    &two, MaxReplicas: 3,
			// Nobody measures in the test cluster. The least number of replicas holds without that.
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
			}}},
		},
	}
	heal := func(ctx context.Context) error {
		err := client.IgnoreNotFound(env.Cluster.Delete(ctx, hpa))
		return errors.Join(err, env.giveBack(ctx, d.Name, max(1, kit.Replicas(d))))
	}
	if err := env.Cluster.Create(ctx, hpa); err != nil {
		return nil, undone(ctx, err, heal)
	}
	return heal, nil
}

// reapply applies the manifest of a target that sleeps now and then, as a GitOps tool does that corrects what differs.
func reapply(ctx context.Context, env *Env) (Heal, error) {
	d, err := env.anyTarget(ctx)
	if err != nil {
		return nil, err
	}
	replicas := int64(max(1, kit.Replicas(d)))
	return env.repeat(ctx, func(ctx context.Context) error {
		env.Struck(Victim{At: time.Now(), Target: d.Name})
		manifest := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": map[string]any{"namespace": d.Namespace, "name": d.Name},
			"spec":     map[string]any{"replicas": replicas},
		}}
		return env.Cluster.Apply(ctx, client.ApplyConfigurationFromUnstructured(manifest), client.FieldOwner("gitops"), client.ForceOwnership)
	}), nil
}

func (e *Env) anyTarget(ctx context.Context) (*appsv1.Deployment, error) {
	if len(e.Targets) == 0 {
		return nil, errNoTarget
	}
	return e.target(ctx, e.Targets[e.Rand.IntN(len(e.Targets))])
}

// scale is what kubectl scale does.
func (e *Env) scale(ctx context.Context, d *appsv1.Deployment, to int32) error {
	e.Struck(Victim{At: time.Now(), Target: d.Name})
	scale := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name}, Spec: autoscalingv1.ScaleSpec{Replicas: to},
	}
	return e.Cluster.SubResource("scale").Update(ctx, d.DeepCopy(), client.WithSubResourceBody(scale))
}

// giveBack scales a target to what it had, unless it sleeps.
func (e *Env) giveBack(ctx context.Context, name string, replicas int32) error {
	d, err := e.target(ctx, name)
	if err != nil || kit.Replicas(d) == 0 || kit.Replicas(d) == replicas {
		return err
	}
	return e.scale(ctx, d, replicas)
}

// repeat does something at once and every otherwiseEvery until it is healed. An API server that cannot be asked meanwhile
// makes no difference: if it failed the last time, the Heal does it once more, and that error is the Heal's.
func (e *Env) repeat(ctx context.Context, do func(context.Context) error) Heal {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var last error
	running.Go(func() {
		ticker := time.NewTicker(otherwiseEvery)
		defer ticker.Stop()
		for {
			if err := do(ctx); ctx.Err() == nil {
				last = err
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func(ctx context.Context) error {
		cancel()
		running.Wait()
		if last != nil {
			last = do(ctx)
		}
		if last != nil {
			return fmt.Errorf("the last time: %w", last)
		}
		return nil
	}
}
