// Package fault breaks a cluster in one way at a time and puts it right again.
//
//	for _, f := range fault.All() {
//		heal, err := f.Strike(ctx, env)
//		...                  // for as long as f.For
//		err = heal(healing)  // whose end is not that of ctx
//		...                  // until env.Normal(ctx) is nil: f.Back at most
//	}
//
// A fault is real: processes are killed and stopped, cables pulled, objects written as a person or another controller
// writes them. What it may cost is for the caller to judge: MayLose says it in general, each Victim in particular.
package fault

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"tpa.dev/tpa/test/kit"
)

// MayLose says which connections a fault may cost: no other one, ever.
type MayLose int

const (
	// Nothing: clients wait at most.
	Nothing MayLose = iota
	// InKilledProcess are the connections that a killed process held, and those that reach its address before its
	// endpoint has gone: nobody listens there for a moment.
	InKilledProcess
	// OnCutNode are the connections from, to and through a node that was cut off. Those made meanwhile are among them: a
	// node is taken out of Services only once it has been silent for the node controller's grace period, 50 s.
	OnCutNode
	// AtBrokenTarget are the connections to the targets that are broken, or whose pods are replaced: see Victim.
	AtBrokenTarget
)

func (m MayLose) String() string {
	return [...]string{
		"nothing", "in a killed process", "on a cut node", "at a broken target",
	}[m]
}

// Subject is what a fault acts on. Two faults with one subject do not go together.
type Subject string

const (
	Proxies      Subject = "proxies"
	Webhook      Subject = "webhook"
	ControlPlane Subject = "control plane"
	Node         Subject = "node"
	Targets      Subject = "targets"
)

// Env is what a fault may strike.
type Env struct {
	Cluster *kit.Cluster
	// Namespace is where the Services under test and their proxies are.
	Namespace string
	// Targets are the names of the Deployments behind them.
	Targets []string
	// Rand chooses among them. Required; the same one gives the same choices.
	Rand *rand.Rand
	// Struck is called with what a fault ends, cuts off or breaks, right before it does: from Strike, and until heal returns
	// from other goroutines too.
	Struck func(Victim)
}

// Victim is what a fault strikes, so that what was lost can be laid to it, or not.
type Victim struct {
	At time.Time
	// Node is the node that was cut off, or "".
	Node string
	// Kubelet is the node whose kubelet is away, or "".
	Kubelet string
	// Pod and IP are the pod whose process was ended, or "".
	Pod, IP string
	// Target is a Deployment whose pods are ended in an orderly way, or "": connections open in them end when they do.
	Target string
	// Down says that the target answers no new connection either, unless it has pods from before, until the fault is healed.
	Down bool
}

// Heal ends a fault. Its context is not the one of Strike, which may have ended.
type Heal func(context.Context) error

// Fault is one thing that goes wrong.
type Fault struct {
	// Name is a word or two with hyphens, as in --faults=proxy-killed.
	Name string
	// What says in a line what happens, for the table.
	What string
	On   Subject
	// For is how long it lasts; zero: it heals by itself, such as a killed process.
	For time.Duration
	// Back is how long after the heal all is normal again, at most.
	Back time.Duration
	// MayLose is what it may cost.
	MayLose MayLose
	// Alone says that no other fault goes with it: without proxies, Services can step aside only if all else is well.
	Alone bool
	// Strike begins it. heal ends it, and is called once, also when ctx has ended; it is not nil when err is.
	Strike func(ctx context.Context, env *Env) (heal Heal, err error)
}

// itself is the Heal of what heals by itself.
func itself(context.Context) error { return nil }

// undone is a Strike's error after it has undone the first half of its work.
func undone(ctx context.Context, err error, heal Heal) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, heal(ctx))
}
