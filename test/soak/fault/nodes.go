package fault

import (
	"context"
	"errors"
	"time"
)

func nodeFaults() []Fault {
	return []Fault{
		{
			Name: "kubelet-stopped", What: "a node's kubelet is away; what runs on it runs on", On: Node,
			For: 30 * time.Second, Back: 2 * time.Minute, MayLose: Nothing,
			Strike: func(ctx context.Context, env *Env) (Heal, error) {
				node, err := env.node()
				if err != nil {
					return nil, err
				}
				env.Struck(Victim{At: time.Now(), Kubelet: node})
				return harness("stop", "start", "kubelet-"+node)(ctx, env)
			},
		},
		{
			Name: "node-cut", What: "a node's network is away (its veth down), and back", On: Node,
			For: 25 * time.Second, Back: 2 * time.Minute, MayLose: OnCutNode,
			Strike: func(ctx context.Context, env *Env) (Heal, error) {
				node, err := env.node()
				if err != nil {
					return nil, err
				}
				env.Struck(Victim{At: time.Now(), Node: node})
				return harness("cut", "join", node)(ctx, env)
			},
		},
	}
}

// node chooses a node other than the first, which has the control plane.
func (e *Env) node() (string, error) {
	n := len(e.Cluster.Nodes)
	if n < 2 {
		return "", errors.New("this cluster has one node: start it with `make cluster-up NODES=2`")
	}
	return e.Cluster.Nodes[1+e.Rand.IntN(n-1)].Name, nil
}
