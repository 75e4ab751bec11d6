package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

func proxyFaults() []Fault {
	return []Fault{
		{
			Name: "proxy-deleted", What: "a proxy's pod is deleted", On: Proxies,
			Back: 2 * time.Minute, MayLose: Nothing, Strike: deleteProxy,
		},
		{
			Name: "proxy-killed", What: "a proxy's process is killed outright (SIGKILL)", On: Proxies,
			Back: time.Minute, MayLose: InKilledProcess, Strike: killProxy,
		},
		{
			Name: "proxies-rolled", What: "all proxies are replaced, as by kubectl rollout restart", On: Proxies,
			Back: 2 * time.Minute, MayLose: Nothing, Strike: rollProxies,
		},
		{
			Name: "clocks-stepped", What: "each proxy's clock is wrong by up to 30 s and steps every 20 to 40 s", On: Proxies,
			For: 90 * time.Second, Back: 3 * time.Minute, MayLose: Nothing, Strike: stepClocks,
		},
	}
}

func deleteProxy(ctx context.Context, env *Env) (Heal, error) {
	pod, err := env.proxy(ctx)
	if err == nil {
		err = env.Cluster.Delete(ctx, pod)
	}
	return itself, err
}

func killProxy(ctx context.Context, env *Env) (Heal, error) {
	pod, err := env.proxy(ctx)
	if err != nil {
		return nil, err
	}
	env.Struck(Victim{At: time.Now(), Pod: pod.Name, IP: pod.Status.PodIP})
	return itself, kit.Crash(pod)
}

func rollProxies(ctx context.Context, env *Env) (Heal, error) {
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{"kubectl.kubernetes.io/restartedAt": time.Now().Format(time.RFC3339)},
	}}}})
	if err != nil {
		return nil, err
	}
	return itself, env.Cluster.Patch(ctx, env.proxyDeployment(), client.RawPatch(types.MergePatchType, body))
}

// stepClocks has the proxies replaced by ones whose clocks are wrong, see proxy/target/now_skewed.go: the machine's own
// clock is everybody's.
func stepClocks(ctx context.Context, env *Env) (Heal, error) {
	heal, err := env.setProxyImage(ctx, skewedImage)
	if err != nil {
		return nil, err
	}
	if err := kit.Wait(ctx, 3*time.Minute, "all proxies to have wrong clocks", env.proxiesRun(skewedImage)); err != nil {
		return nil, undone(ctx, err, heal)
	}
	return heal, nil
}

// skewedImage is made by `make soak-images`.
const skewedImage = "localhost/tpa-proxy-skewed:dev"

// proxy chooses one of the ready proxies.
func (e *Env) proxy(ctx context.Context) (*corev1.Pod, error) {
	pods, err := e.pods(ctx, e.Namespace, kit.ProxyLabels)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, fmt.Errorf("no proxy is ready in %s", e.Namespace)
	}
	return &pods[e.Rand.IntN(len(pods))], nil
}

// pods returns the ready ones, in the order of their names.
func (e *Env) pods(ctx context.Context, namespace string, labels client.MatchingLabels) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := e.Cluster.List(ctx, &pods, client.InNamespace(namespace), labels); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return !kit.Ready(&p) }), nil
}

func (e *Env) proxyDeployment() *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: contract.ProxyName}}
}

// proxiesRun looks whether all proxies run an image, and are ready.
func (e *Env) proxiesRun(image string) func(context.Context) (bool, string) {
	return func(ctx context.Context) (bool, string) {
		d := e.proxyDeployment()
		if err := e.Cluster.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
			return false, err.Error()
		}
		return d.Spec.Template.Spec.Containers[0].Image == image && rolledOut(d), kit.Describe(d)
	}
}

// rolledOut reports whether a Deployment has all the pods that it wants, of its present template, and no others that count.
func rolledOut(d *appsv1.Deployment) bool {
	s, want := d.Status, kit.Replicas(d)
	return s.ObservedGeneration == d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want
}

// setProxyImage changes the webhook's setting that the controller deploys proxies by.
func (e *Env) setProxyImage(ctx context.Context, image string) (Heal, error) {
	const variable = "PROXY_IMAGE"
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: kit.SystemNamespace, Name: "tpa-webhook"}}
	if err := e.Cluster.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
		return nil, err
	}
	container := d.Spec.Template.Spec.Containers[0]
	at := slices.IndexFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == variable })
	if at < 0 {
		return nil, fmt.Errorf("the webhook has no %s", variable)
	}
	set := func(image string) Heal {
		return func(ctx context.Context) error {
			body, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
				"containers": []any{map[string]any{
					"name": container.Name, "env": []any{map[string]any{"name": variable, "value": image}},
				}},
			}}}})
			if err != nil {
				return err
			}
			return e.Cluster.Patch(ctx, d.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, body))
		}
	}
	return set(container.Env[at].Value), set(image)(ctx)
}
