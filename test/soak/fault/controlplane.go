package fault

import (
	"context"
	"time"
)

func controlPlaneFaults() []Fault {
	return []Fault{
		{
			Name: "apiserver-stopped", What: "the API server is away, and its controllers with it", On: ControlPlane,
			For: 20 * time.Second, Back: 2 * time.Minute, MayLose: Nothing,
			// As when their machine is: on their own, the controllers take up to a minute to notice that it is back.
			Strike: harness("stop", "start", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
		},
		{
			Name: "etcd-paused", What: "etcd hangs (SIGSTOP)", On: ControlPlane,
			For: 10 * time.Second, Back: 2 * time.Minute, MayLose: Nothing,
			Strike: harness("pause", "resume", "etcd"),
		},
	}
}

// harness has a command of test/cluster strike, and another one heal.
func harness(strike, heal string, args ...string) func(context.Context, *Env) (Heal, error) {
	return func(ctx context.Context, env *Env) (Heal, error) {
		run := func(command string) Heal {
			return func(ctx context.Context) error {
				_, err := env.Cluster.Harness(ctx, append([]string{command}, args...)...)
				return err
			}
		}
		if err := run(strike)(ctx); err != nil {
			return nil, undone(ctx, err, run(heal))
		}
		return run(heal), nil
	}
}
