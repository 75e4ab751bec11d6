package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// The namespaces: one with many Services and a pair of proxies, and one to compare with, that has one Service and one proxy.
const (
	fullNamespace  = "full"
	emptyNamespace = "empty"
	// napApp is the Service, in both, that sleeps after a second and is woken again and again.
	napApp = "nap"
)

// calmness is a pair of proxies that has little to do.
type calmness struct {
	options
	w           *world
	full, empty *fleet
	pair        []*proxy // of full
	single      *proxy   // of empty
	table
}

// rest measures what a pair of proxies costs that has many Services, of which nobody wants anything.
func rest(ctx context.Context, o options, out io.Writer) error {
	w, err := newWorld(ctx, fullNamespace, emptyNamespace)
	if err != nil {
		return err
	}
	c := &calmness{options: o, w: w}
	nap := func() *app {
		return &app{name: napApp, port: echoPort, annotations: map[string]string{contract.IdleTimeoutKey: "1s"}}
	}
	apps := []*app{nap()}
	for i := range o.services - 1 {
		apps = append(apps, &app{name: fmt.Sprintf("web-%d", i), port: echoPort})
	}
	say("create %d Services", o.services)
	if c.full, err = w.newFleet(ctx, fullNamespace, apps); err != nil {
		return err
	}
	if c.empty, err = w.newFleet(ctx, emptyNamespace, []*app{nap()}); err != nil {
		return err
	}
	if c.single, err = c.empty.newProxy(ctx, o.proxy, 20_000); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"start a pair of proxies", c.start}, {"all awake", c.peaceful("all awake")}, {"wake one of them", c.wakes},
		{"start the pair again", c.restart}, {"all fall asleep", c.fallAsleep}, {"look for the Events", c.told},
		{"all asleep", c.peaceful("all asleep")},
		{"wake one of them", c.wakes},
	} {
		say("%s", step.what)
		if err := step.do(ctx); err != nil {
			_ = c.print(out)
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return c.print(out)
}

// start starts the pair for the first time: no target has a Lease yet.
func (c *calmness) start(ctx context.Context) error {
	return c.counted(fmt.Sprintf("first start of two proxies with %d Services", c.services), func() error {
		for range 2 {
			p, err := c.full.newProxy(ctx, c.proxy, 20_000)
			if err != nil {
				return err
			}
			c.pair = append(c.pair, p)
		}
		return c.settle(ctx)
	})
}

// restart starts the pair again.
func (c *calmness) restart(ctx context.Context) error {
	return c.counted("start again", func() error {
		for _, p := range c.pair {
			p.Stop()
			if err := p.start(ctx); err != nil {
				return err
			}
		}
		return c.settle(ctx)
	})
}

// fallAsleep lets all Services be idle for long enough at one time.
func (c *calmness) fallAsleep(ctx context.Context) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{contract.IdleTimeoutKey: "1s"}}})
	if err != nil {
		return err
	}
	return c.counted(fmt.Sprintf("%d targets fall asleep", c.services-1), func() error {
		group, inGroup := errgroup.WithContext(ctx)
		group.SetLimit(8)
		for name := range c.full.apps {
			group.Go(func() error {
				svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: c.full.namespace, Name: name}}
				return c.w.api.Admin.Patch(inGroup, svc, client.RawPatch(types.MergePatchType, patch))
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		if err := asleep(ctx, c.pair[0], c.services, 5*time.Minute); err != nil {
			return err
		}
		return c.settle(ctx)
	})
}

// asleep waits until a proxy knows that many targets to be asleep.
func asleep(ctx context.Context, p *proxy, n int, within time.Duration) error {
	return kit.Wait(ctx, within, fmt.Sprintf("%d targets to be asleep", n), func(ctx context.Context) (bool, string) {
		m, err := p.metrics(ctx)
		return err == nil && int(m.Sum("tpa_target_asleep")) == n, fmt.Sprint(m.Sum("tpa_target_asleep"), " ", err)
	})
}
