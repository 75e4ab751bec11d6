// Package fault breaks a cluster in one way at a time and puts it right again.
//
//	heal, err := f.Strike(ctx, env)
//	...           // for as long as f.For
//	err = heal(ctx)
package fault

import (
	"context"
	"time"

	"tpa.dev/tpa/test/kit"
)

// MayLose says which connections a fault may cost: no other one, ever.
type MayLose int

const (
	// Nothing: clients wait at most.
	Nothing MayLose = iota
	// InKilledProcess are the connections that a killed process held.
	InKilledProcess
	// OnCutNode are the connections from, to and through a node that was cut off.
	OnCutNode
)

func (m MayLose) String() string {
	return [...]string{"nothing", "in a killed process", "on a cut node"}[m]
}

// Env is what a fault may strike.
type Env struct {
	Cluster *kit.Cluster
	// Namespace is where the Services under test and their proxies are.
	Namespace string
	// Targets are the names of the Deployments behind them.
	Targets []string
	// Struck is called with what a fault ends or cuts off, right before it does.
	Struck func(Victim)
}

// Victim is what a fault ended or cut off, so that what was lost can be laid to it, or not.
type Victim struct {
	At time.Time
	// Node is the node that was cut off, or "".
	Node string
	// Pod and IP are the pod whose process was ended, or "".
	Pod, IP string
}

// Fault is one thing that goes wrong.
type Fault struct {
	// Name is a word or two with hyphens, as in --faults=proxy-killed.
	Name string
	// What says in a line what happens, for the table.
	What string
	// For is how long it lasts; zero: it heals by itself, such as a killed process.
	For time.Duration
	// MayLose is what it may cost.
	MayLose MayLose
	// Strike begins it. heal ends it, and is called once, also when ctx has ended; it is not nil when err is.
	Strike func(ctx context.Context, env *Env) (heal func(context.Context) error, err error)
}
