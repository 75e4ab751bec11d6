package fault

import (
	"context"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

func webhookFaults() []Fault {
	return []Fault{
		{
			Name: "webhook-killed", What: "a webhook that does not lead is killed outright", On: Webhook,
			Back: time.Minute, MayLose: Nothing, Strike: killWebhook(false),
		},
		{
			Name: "leader-killed", What: "the webhook whose controller leads is killed outright", On: Webhook,
			Back: time.Minute, MayLose: Nothing, Strike: killWebhook(true),
		},
	}
}

func killWebhook(leader bool) func(context.Context, *Env) (Heal, error) {
	return func(ctx context.Context, env *Env) (Heal, error) {
		pods, err := env.pods(ctx, kit.SystemNamespace, kit.WebhookLabels)
		if err != nil {
			return nil, err
		}
		lease, err := env.leaderLease(ctx)
		if err != nil {
			return nil, err
		}
		for i := range pods {
			if leads(lease, &pods[i]) == leader {
				env.Struck(Victim{At: time.Now(), Pod: pods[i].Name, IP: pods[i].Status.PodIP})
				return itself, kit.Crash(&pods[i])
			}
		}
		return nil, fmt.Errorf("no ready webhook of which it is %t that it leads", leader)
	}
}

// leaderLease is the Lease that the webhooks elect their leader by.
func (e *Env) leaderLease(ctx context.Context) (*coordinationv1.Lease, error) {
	var lease coordinationv1.Lease
	err := e.Cluster.Get(ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: "tpa-controller"}, &lease)
	return &lease, err
}

// leads reports whether a pod holds the Lease, under its name and a number.
func leads(lease *coordinationv1.Lease, pod *corev1.Pod) bool {
	holder := lease.Spec.HolderIdentity
	return holder != nil && strings.HasPrefix(*holder, pod.Name+"_")
}
