package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/apiserver"
)

// The namespaces of the Services that are compared with managed ones.
const (
	unmanaged = "unmanaged"  // no admission webhook is asked
	agreed    = "always-yes" // the one that always says yes is asked
)

// applyServices applies manifests that differ in an annotation from what is there, through the API server.
func (b *bench) applyServices(ctx context.Context, r *report) error {
	for _, namespace := range []string{unmanaged, agreed} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if err := b.server.Admin.Create(ctx, ns); err != nil {
			return fmt.Errorf("create namespace %s: %w", namespace, err)
		}
		if err := b.server.Admin.Apply(ctx, service(namespace, "web-0", "1"), client.FieldOwner(manager)); err != nil {
			return fmt.Errorf("create service %s/web-0: %w", namespace, err)
		}
	}
	if err := b.installYes(ctx); err != nil {
		return err
	}
	revision := 1
	apply := func(namespace string) func() error {
		return func() error {
			revision++
			return b.server.Admin.Apply(ctx, service(namespace, "web-0", strconv.Itoa(revision)), client.FieldOwner(manager))
		}
	}
	before, err := b.tpa.scrape(ctx)
	if err != nil {
		return err
	}
	calls := b.calls / 10
	r.Apply.Latency, err = compare(b.rounds, calls, variant{"unmanaged", apply(unmanaged)},
		variant{"always yes", apply(agreed)}, variant{"managed", apply(namespaceName(0))})
	if err != nil {
		return err
	}
	after, err := b.tpa.scrape(ctx)
	if err != nil {
		return err
	}
	r.Apply.Calls = (after.Sum(admissionCalls) - before.Sum(admissionCalls)) / float64(b.rounds*(calls+warmUp(calls)))
	return nil
}

// admissionCalls is the metric of how often a webhook was asked.
const admissionCalls = "controller_runtime_webhook_requests_total"

// installYes has the API server ask the webhook that always says yes about the Services of its namespace, as it asks TPA.
func (b *bench) installYes(ctx context.Context) error {
	hooks, err := apiserver.Webhooks(b.yes.url(), b.ca)
	if err != nil {
		return err
	}
	hooks.Name = agreed
	hooks.Webhooks = hooks.Webhooks[:1]
	hook := &hooks.Webhooks[0]
	hook.Name = "yes.tpa.dev"
	hook.MatchConditions = nil
	hook.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: agreed}}
	if err := b.server.Admin.Create(ctx, hooks); err != nil {
		return fmt.Errorf("create webhook configuration %s: %w", agreed, err)
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		before, err := b.yes.scrape(ctx)
		if err != nil {
			return false, err
		}
		if err := b.server.Admin.Apply(ctx, service(agreed, "web-0", "1"), client.FieldOwner(manager)); err != nil {
			return false, err
		}
		after, err := b.yes.scrape(ctx)
		return err == nil && after.Sum(admissionCalls) > before.Sum(admissionCalls), err
	})
	if err != nil {
		return fmt.Errorf("wait until the API server asks the webhook that always says yes: %w", err)
	}
	return nil
}
