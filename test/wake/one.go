package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"tpa.dev/tpa/test/kit"
)

// The ways to wake an app, which are also the names of the Deployments.
const (
	throughTPA = "tpa"
	polled     = "polled"
	byKubectl  = "kubectl"
	direct     = "direct"
)

var ways = []string{throughTPA, polled, byKubectl, direct}

// appCPU is what the app requests: without a request the kernel prefers all else on a busy node to it.
const appCPU = "100m"

// sample is one wake.
type sample struct {
	// took is from the first SYN, or the first request to scale, to the first byte at the backend.
	took   time.Duration
	stages stages
}

// one measures wakes of one app at a time.
func one(ctx context.Context, c *kit.Cluster, o options, out io.Writer) (err error) {
	w, remove, err := newWorld(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	b := &bench{world: w, ways: o.ways, address: map[string]string{}, samples: map[string][]sample{}}
	node := c.Nodes[len(c.Nodes)-1].Name
	for _, name := range b.ways {
		app := kit.App{Name: name, Namespace: w.namespace, NoProbe: !o.probe, Args: []string{"--stop-delay=0s"}, CPU: appCPU}
		idle := time.Duration(0)
		if name == throughTPA {
			idle = time.Second
		}
		if b.address[name], err = w.create(ctx, app, node, idle); err != nil {
			return err
		}
	}
	if err := w.active(ctx, throughTPA); err != nil {
		return err
	}
	if b.lag, err = newLag(ctx, w); err != nil {
		return err
	}
	done := 0
	for ; done <= o.rounds; done++ {
		if err = b.round(ctx, done, done > 0); err != nil { // the first is for caches to be filled
			err = fmt.Errorf("round %d: %w", done, err)
			break
		}
	}
	if done < 2 {
		return err
	}
	return errors.Join(err, b.report(out, done-1, o.probe)) // of a run that is broken off as well
}

// bench is a run of wakes of one app at a time.
type bench struct {
	*world
	ways    []string
	address map[string]string
	samples map[string][]sample
	lag     *lag
}

// round wakes each app once, every round in another order, and keeps the samples of a round that is complete.
func (b *bench) round(ctx context.Context, n int, keep bool) error {
	samples := map[string]sample{}
	for i := range b.ways {
		name := b.ways[(n+i)%len(b.ways)]
		if err := b.rest(ctx, throughTPA); err != nil {
			return err
		}
		s, err := b.wake(ctx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		samples[name] = s
		if name == throughTPA {
			continue // TPA puts it to sleep
		}
		if err := b.scale(ctx, name, 0); err != nil {
			return err
		}
	}
	if err := b.lag.sample(ctx); err != nil || !keep {
		return err
	}
	for name, s := range samples {
		b.samples[name] = append(b.samples[name], s)
	}
	return nil
}

// wake wakes an app in its way.
func (b *bench) wake(ctx context.Context, name string) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	from := b.pods.Len()
	var (
		conn   *kit.Conn
		reply  kit.Reply
		scaled time.Time
		err    error
		start  = time.Now()
	)
	if name != throughTPA {
		if err := b.scaleBy(ctx, name); err != nil {
			return sample{}, err
		}
		scaled = time.Now()
	}
	switch name {
	case throughTPA:
		conn, reply, err = ask(ctx, b.address[name], name, answerWithin, answerWithin)
	case direct:
		conn, reply, err = b.dialWhenReady(ctx, name, from)
	default:
		conn, reply, err = poll(ctx, b.address[name], name, 10*time.Millisecond)
	}
	if err != nil {
		return sample{}, err
	}
	defer conn.Close()
	if err := steady(start); err != nil {
		return sample{}, err
	}
	pod, err := b.trace(ctx, from, reply.Pod)
	if err != nil {
		return sample{}, err
	}
	s := sample{took: reply.Began.Sub(start)}
	if name != throughTPA {
		s.stages = byHand(start, scaled, pod, reply.Began)
		return s, nil
	}
	lines, err := b.woken(ctx, 1, start)
	if err != nil {
		return sample{}, err
	}
	s.stages = lines[0].stages(start, pod, reply.Began)
	return s, nil
}

// scaleBy scales an app to 1.
func (b *bench) scaleBy(ctx context.Context, name string) error {
	if name == byKubectl {
		_, err := b.Kubectl(ctx, "", "scale", "deployment", name, "--replicas=1", "-n", b.namespace)
		return err
	}
	return b.scale(ctx, name, 1)
}

// dialWhenReady dials an app's pod when it is ready: again every millisecond, if what is ready by its state does not listen yet.
func (b *bench) dialWhenReady(ctx context.Context, name string, from int) (*kit.Conn, kit.Reply, error) {
	ready, err := b.pods.Await(ctx, patience, "a pod of "+name+" to be ready", from, readyOf(func(app, _ string) bool { return app == name }))
	if err != nil {
		return nil, kit.Reply{}, err
	}
	return poll(ctx, ready.Object.Status.PodIP+":8080", name, time.Millisecond)
}

// steady fails if somebody has set the clock since a time: what different programs saw cannot be compared then.
func steady(since time.Time) error {
	now := time.Now()
	if by := now.Round(0).Sub(since.Round(0)) - now.Sub(since); by.Abs() > time.Millisecond {
		return fmt.Errorf("the clock was set by %s meanwhile", by)
	}
	return nil
}
