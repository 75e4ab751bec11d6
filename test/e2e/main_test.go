//go:build e2e

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/test/kit"
)

// cluster is the cluster under test.
var cluster *kit.Cluster

// suiteLabel marks the namespaces of these tests.
const suiteLabel = "e2e"

func TestMain(m *testing.M) {
	ctx := context.Background()
	if err := connect(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	// Parallel tests mostly wait, so there may be more of them than processors.
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("4")
	}
	code := m.Run()
	if err := namespacesGone(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// connect fails unless everything is there that the tests are about: without it they could only lie.
func connect(ctx context.Context) error {
	c, err := kit.Connect(ctx)
	if err != nil {
		return err
	}
	if len(c.Nodes) < 2 {
		return errors.New("this cluster has one node: start it with `make cluster-up NODES=2`")
	}
	cluster = c
	if err := kit.Wait(ctx, time.Minute, "TPA to be ready (see `make deploy`)", ready); err != nil {
		return err
	}
	return namespacesGone(ctx) // those of a run that was broken off
}

// ready looks whether TPA admits Services.
func ready(ctx context.Context) (bool, string) {
	var d appsv1.Deployment
	if err := cluster.Get(ctx, client.ObjectKey{Namespace: kit.SystemNamespace, Name: "tpa-webhook"}, &d); err != nil {
		return false, err.Error()
	}
	var config admissionv1.MutatingWebhookConfiguration
	if err := cluster.Get(ctx, client.ObjectKey{Name: "tpa"}, &config); err != nil {
		return false, err.Error()
	}
	for _, webhook := range config.Webhooks {
		if len(webhook.ClientConfig.CABundle) == 0 {
			return false, webhook.Name + " has no CA"
		}
	}
	return rolledOut(&d), kit.Describe(&d)
}

// rolledOut reports whether all pods of a Deployment are as it says, and available.
func rolledOut(d *appsv1.Deployment) bool {
	s := d.Status
	return s.ObservedGeneration == d.Generation && s.UpdatedReplicas == kit.Replicas(d) &&
		s.AvailableReplicas == s.UpdatedReplicas && s.Replicas == s.UpdatedReplicas
}

// flagOf is the value of a flag that TPA runs with.
func flagOf(t *testing.T, name string) time.Duration {
	t.Helper()
	var d appsv1.Deployment
	if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: kit.SystemNamespace, Name: "tpa-webhook"}, &d); err != nil {
		t.Fatal(err)
	}
	for _, arg := range slices.Backward(d.Spec.Template.Spec.Containers[0].Args) { // the last one counts
		if text, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			value, err := time.ParseDuration(text)
			if err != nil {
				t.Fatalf("%s: %v", arg, err)
			}
			return value
		}
	}
	t.Fatalf("the local overlay sets no --%s: this test would take as long as the default", name)
	return 0
}

// namespacesGone deletes what namespaces are left and waits until they are gone: nothing of TPA's may hold them.
func namespacesGone(ctx context.Context) error {
	if os.Getenv("KEEP_NAMESPACES") != "" {
		return nil
	}
	deleted := map[string]bool{}
	return kit.Wait(ctx, 3*time.Minute, "the tests' namespaces to be gone", func(ctx context.Context) (bool, string) {
		var left corev1.NamespaceList
		if err := cluster.List(ctx, &left, client.HasLabels{suiteLabel}); err != nil {
			return false, err.Error()
		}
		seen := ""
		for _, ns := range left.Items {
			seen += fmt.Sprintf(" %s %+v", ns.Name, ns.Status.Conditions)
			if !deleted[ns.Name] && cluster.Delete(ctx, &ns) == nil {
				deleted[ns.Name] = true
			}
		}
		return len(left.Items) == 0, seen
	})
}
