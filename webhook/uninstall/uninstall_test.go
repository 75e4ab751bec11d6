package uninstall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

const (
	uid  = "3b4c"
	none = "none"
)

var opts = Options{
	Namespace: "tpa-system", ServiceAccount: "tpa-webhook", WebhookConfiguration: "tpa", Wait: time.Minute,
}

func cluster(managed int) []client.Object {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tpa-system", Labels: map[string]string{"team": "infra"}}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "tpa-system", Name: "tpa-webhook", UID: uid}},
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "tpa"}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "plain"}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}},
	}
	for i := range managed {
		objects = append(objects, &corev1.Service{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: fmt.Sprintf("web-%02d", i), Labels: map[string]string{contract.ManagedLabel: contract.ManagedTrue},
			Annotations: map[string]string{contract.PhaseKey: string(contract.Restoring)},
		}})
	}
	if managed > 0 {
		objects = append(objects, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: contract.ProxyName, Labels: proxyobjects.Labels(),
		}})
	}
	return objects
}

// TestRun runs it beside what a controller does after a while.
func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name    string
		managed int
		// restored is when the controller has restored all, or never.
		restored time.Duration
		// away is until when the API server lists nothing.
		away time.Duration
		// forbidden is from when on the API server refuses to list, -1 from the start; 0: never.
		forbidden time.Duration
		// gone says that TPA's ServiceAccount is; every, that no ServiceAccount is named.
		gone, every bool
		err         string
		hooks       bool
		took        time.Duration
		mention     string
		// label is what TPA's Namespace has in the end; empty: the UID.
		label string
	}{
		{name: "nothing is managed"},
		{name: "all is restored", managed: 2, restored: 30500 * time.Millisecond, took: 31 * time.Second, mention: "restoring: 3 Services and proxies left (10s)"},
		{name: "an outage", managed: 1, away: 30 * time.Second, took: 31 * time.Second, restored: 30500 * time.Millisecond, mention: "cannot see what is left: list the managed services: away (7s)"},
		{name: "a long outage", away: time.Hour, err: "after 1m0s it is not known what TPA still holds: list the managed services: away", hooks: true, took: time.Minute},
		{name: "not in time", managed: 1, err: "after 1m0s TPA still holds:\n  service shop/web-00 (Restoring)\n  deployment shop/tpa-proxy\nNothing was removed", hooks: true, took: time.Minute},
		{name: "many", managed: 25, err: "web-19 (Restoring)\n  and 6 more\n", hooks: true, took: time.Minute},
		{name: "a TPA that is gone", gone: true, label: none},
		{name: "a TPA that is gone and has left something", gone: true, label: none, managed: 1, err: "service shop/web-00", hooks: true, took: time.Minute},
		{name: "any TPA", every: true, gone: true, label: contract.UninstallTrue, managed: 1, restored: 1500 * time.Millisecond, took: 2 * time.Second},
		{name: "who may not see", managed: 1, forbidden: -1, label: none, err: "list the managed services: services is forbidden", hooks: true},
		{name: "who may not see any more", managed: 1, forbidden: 5 * time.Second, took: 5 * time.Second, hooks: true,
			err: "after 5s it may not be seen any more what TPA still holds: list the managed services: services is forbidden"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				objects := cluster(tt.managed)
				theirs := objects[len(cluster(0)):]
				if tt.gone {
					objects = slices.Delete(slices.Clone(objects), 1, 2)
				}
				o := opts
				if tt.every {
					o.ServiceAccount = ""
				}
				c := fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
					List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
						switch passed := time.Since(start); {
						case passed < tt.away:
							return errors.New("away")
						case tt.forbidden != 0 && passed >= tt.forbidden:
							return apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no rule"))
						}
						return c.List(ctx, l, opts...)
					},
				}).Build()
				if tt.restored > 0 {
					go func() {
						time.Sleep(tt.restored)
						for _, o := range theirs {
							if err := c.Delete(t.Context(), o); err != nil {
								t.Error(err)
							}
						}
					}()
				}
				var out strings.Builder
				err := Run(t.Context(), c, o, &out)
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				if held := tt.err != "" && tt.away == 0 && tt.forbidden == 0; errors.Is(err, ErrHeld) != held {
					t.Errorf("%v: ErrHeld is %t", err, !held)
				}
				if !strings.Contains(out.String(), tt.mention) {
					t.Errorf("it says\n%s\nwant %s", &out, tt.mention)
				}
				hooks := &admissionv1.MutatingWebhookConfiguration{}
				if left := c.Get(t.Context(), client.ObjectKey{Name: "tpa"}, hooks); apierrors.IsNotFound(left) == tt.hooks {
					t.Errorf("the webhook configuration: %v, want it there: %t", left, tt.hooks)
				}
				var ns corev1.Namespace
				if err := c.Get(t.Context(), client.ObjectKey{Name: "tpa-system"}, &ns); err != nil {
					t.Fatal(err)
				}
				if label := cmp.Or(tt.label, uid); cmp.Or(ns.Labels[contract.UninstallLabel], none) != label || ns.Labels["team"] != "infra" {
					t.Errorf("namespace labels %v", ns.Labels)
				}
			})
		})
	}
}

// TestRunIsStopped: a pod that is told to end does.
func TestRunIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		c := fake.NewClientBuilder().WithObjects(cluster(1)...).Build()
		if err := Run(ctx, c, opts, &strings.Builder{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
