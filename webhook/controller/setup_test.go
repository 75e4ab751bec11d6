package controller

import (
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

func TestSetup(t *testing.T) {
	mapper := meta.NewDefaultRESTMapper(nil)
	for gvk := range scheme.Scheme.AllKnownTypes() {
		mapper.Add(gvk, meta.RESTScopeNamespace)
	}
	mgr, err := ctrl.NewManager(&rest.Config{Host: "http://127.0.0.1:1"}, ctrl.Options{ // where nobody answers
		Cache: Cache(), Metrics: metricsserver.Options{BindAddress: "0"},
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Setup(mgr, Options{}); err == nil || !strings.Contains(err.Error(), "--proxy-image") {
		t.Errorf("without an image: %v", err)
	}
	var opts Options
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	opts.BindFlags(fs)
	if err := fs.Parse([]string{"--proxy-image=proxy:v1", "--proxy-arg=--a=1", "--proxy-arg=--b"}); err != nil {
		t.Fatal(err)
	}
	opts.Namespace = own
	if err := Setup(mgr, opts); err != nil {
		t.Fatal(err)
	}
	if len(opts.ProxyArgs) != 2 || opts.Linger != time.Minute || opts.StepAsideAfter != 30*time.Second {
		t.Errorf("%+v", opts)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for flags, want := range map[string]string{
		"":                                     "--proxy-image",
		"--proxy-image-pull-policy=Often":      "--proxy-image-pull-policy",
		"--proxy-drain=10ms":                   "--proxy-drain",
		"--linger=-1s":                         "--linger",
		"--proxy-memory=many":                  "--proxy-memory",
		"--proxy-cpu=-1 --restore-timeout=-5m": "--restore-timeout",
		"--proxy-cpu-limit=x":                  `--proxy-cpu-limit: "x"`,
		"--proxy-pull-secret=A_b":              `--proxy-pull-secret: "A_b"`,
		"--proxy-priority-class=a/b":           `--proxy-priority-class: "a/b"`,
		"--proxy-node-selector=pool":           `--proxy-node-selector: "pool"`,
		"--proxy-tolerations={}":               "--proxy-tolerations: \"{}\"",
		`--proxy-tolerations=[{"name":"a"}]`:   `unknown field "name"`,
		`--proxy-tolerations=[{"operator":"Is"},{"effect":"No"}]`: `--proxy-tolerations: operator "Is"`,
		`--proxy-tolerations=[{"effect":"No"}]`:                   `--proxy-tolerations: effect "No"`,
		"--namespace-selector=env=in=x":                           `--namespace-selector: "env=in=x"`,
		"--proxy-pod-labels=team":                                 `--proxy-pod-labels: "team" is not accepted: write key=value`,
		"--proxy-pod-labels=a=b,tpa.dev/proxy=x":                  `--proxy-pod-labels: "tpa.dev/proxy=x" is not accepted: tpa.dev/proxy is TPA's own`,
		"--proxy-pod-labels=app.kubernetes.io/name=x":             "any key but app.kubernetes.io/name, app.kubernetes.io/managed-by and tpa.dev/*",
		"--proxy-pod-labels=app.kubernetes.io/managed-by=x":       "app.kubernetes.io/managed-by is TPA's own",
		"--proxy-pod-labels=a=b=c":                                `--proxy-pod-labels: "a=b=c" is not accepted: a valid label must be`,
		"--proxy-pod-labels=-a=b":                                 `--proxy-pod-labels: "-a=b" is not accepted: name part must consist of`,
		`--proxy-pod-labels="a=b,c"`:                              `--proxy-pod-labels: "a=b,c" is not accepted: a valid label must be`,
		"--proxy-pod-annotations=a/b/c=d":                         `--proxy-pod-annotations: "a/b/c=d" is not accepted: a valid label key`,
		"--proxy-pod-annotations=tpa.dev/spec-hash=0":             `--proxy-pod-annotations: "tpa.dev/spec-hash=0" is not accepted: tpa.dev/spec-hash is TPA's own`,
		`--proxy-pod-annotations=a={"b":1}`:                       "write key=value,..., with double quotes around a pair",
	} {
		var opts Options
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		opts.BindFlags(fs)
		if err := fs.Parse(strings.Fields(flags)); err != nil {
			t.Fatal(err)
		}
		opts.Namespace = own
		if _, err := opts.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", flags, err)
		}
	}
}

func TestPlacement(t *testing.T) {
	var opts Options
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	opts.BindFlags(fs)
	if err := fs.Parse([]string{
		"--proxy-image=proxy:v1", "--proxy-pull-secret=a", "--proxy-pull-secret=b", "--proxy-priority-class=high",
		"--proxy-node-selector=pool=infra,kubernetes.io/os=linux", "--proxy-cpu-limit=2",
		"--proxy-pod-labels=sidecar.istio.io/inject=false,team=",
		`--proxy-pod-annotations=linkerd.io/inject=disabled,"a.example/b={""c"":""d=e,f""}"`,
		`--proxy-tolerations=[{"key":"pool","operator":"Equal","value":"infra","effect":"NoExecute","tolerationSeconds":60}]`,
	}); err != nil {
		t.Fatal(err)
	}
	opts.Namespace = own
	got, err := opts.validate()
	if err != nil {
		t.Fatal(err)
	}
	seconds := int64(60)
	if want := (proxyobjects.Config{
		Image: "proxy:v1", Drain: 5 * time.Minute, PullSecrets: []string{"a", "b"}, PriorityClass: "high",
		NodeSelector: map[string]string{"pool": "infra", "kubernetes.io/os": "linux"},
		Tolerations: []corev1.Toleration{{
			Key: "pool", Operator: corev1.TolerationOpEqual, Value: "infra", Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
		}},
		PodLabels:      map[string]string{"sidecar.istio.io/inject": "false", "team": ""},
		PodAnnotations: map[string]string{"linkerd.io/inject": "disabled", "a.example/b": `{"c":"d=e,f"}`},
		CPU:            resource.MustParse("20m"), Memory: resource.MustParse("32Mi"),
		CPULimit: resource.MustParse("2"), MemoryLimit: resource.MustParse("512Mi"),
	}); !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// What the watches keep must be enough to work with.
func TestStrip(t *testing.T) {
	annotations := func() map[string]string {
		return map[string]string{contract.PhaseKey: "Active", corev1.LastAppliedConfigAnnotation: "{}"}
	}
	svc := annotated("web")
	svc.Annotations = annotations()
	svc.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "x"}}
	pod := pod("web")
	pod.Spec.Containers = []corev1.Container{{Name: "c"}}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Annotations: annotations()}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c"}}
	for _, o := range []client.Object{svc, pod, deployment, &coordinationv1.Lease{}, metadata("v1", "Namespace")} {
		got, err := strip(o)
		if err != nil {
			t.Fatal(err)
		}
		kept := got.(client.Object)
		if kept.GetName() != o.GetName() || len(kept.GetManagedFields()) > 0 || kept.GetAnnotations()[corev1.LastAppliedConfigAnnotation] != "" {
			t.Errorf("%T: kept %+v", o, kept)
		}
		switch kept := kept.(type) {
		case *corev1.Service:
			if phaseOf(kept) != contract.Active || len(kept.Spec.Ports) != 1 {
				t.Errorf("service %+v", kept)
			}
		case *corev1.Pod:
			if !isReady(kept) || len(kept.Spec.Containers) > 0 {
				t.Errorf("pod %+v", kept)
			}
		case *appsv1.Deployment:
			if len(kept.Spec.Template.Spec.Containers) > 0 {
				t.Errorf("deployment %+v", kept)
			}
		}
	}
	if got, err := strip("a tombstone"); err != nil || got != "a tombstone" {
		t.Error(got, err)
	}
}

// A target that sleeps and wakes does not wake the controller, nor does what others write on a Service.
func TestQuietEvents(t *testing.T) {
	k := newKit(t)
	lease := func(kind, state, held string) *coordinationv1.Lease {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{contract.LeaseLabel: kind},
			Annotations: map[string]string{contract.StateKey: state, contract.ListeningKey: state},
		}}
		if held != "" {
			l.Annotations[heldKey] = held
		}
		return l
	}
	used := func(l *coordinationv1.Lease) *coordinationv1.Lease {
		l.Annotations[contract.UsageKey] = "{}"
		return l
	}
	for _, tt := range []struct {
		what          string
		before, after client.Object
		want          bool
	}{
		{"a target sleeps", lease(contract.LeaseTarget, "a", ""), lease(contract.LeaseTarget, "b", ""), false},
		{"a target is held", lease(contract.LeaseTarget, "a", ""), lease(contract.LeaseTarget, "a", "x"), true},
		{"a proxy listens", lease(contract.LeaseProxy, "a", ""), lease(contract.LeaseProxy, "b", ""), true},
		{"a proxy is used", lease(contract.LeaseProxy, "a", ""), used(lease(contract.LeaseProxy, "a", "")), false},
		{"a proxy says the same", lease(contract.LeaseProxy, "a", ""), lease(contract.LeaseProxy, "a", ""), false},
	} {
		if got := k.r.leasesDiffer(tt.before, tt.after); got != tt.want {
			t.Errorf("%s: %t", tt.what, got)
		}
	}
	svc, balanced, named := annotated("web"), annotated("web"), annotated("web")
	again, renumbered := annotated("web"), annotated("web")
	balanced.ResourceVersion, balanced.Status.LoadBalancer.Ingress = "2", []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	named.Annotations[contract.TargetKey] = "db"
	again.UID = "another"
	renumbered.Spec.Ports[0].Port = 81
	if servicesDiffer(svc, balanced) || !servicesDiffer(svc, named) || !servicesDiffer(svc, again) || !servicesDiffer(svc, renumbered) {
		t.Error("services")
	}
	ready, same, unready := pod("a"), pod("a"), pod("a")
	same.ResourceVersion = "2"
	unready.Status.Conditions[0].Status = corev1.ConditionFalse
	if podsDiffer(ready, same) || !podsDiffer(ready, unready) {
		t.Error("pods")
	}
	d, counted := &appsv1.Deployment{}, &appsv1.Deployment{}
	counted.Status.Replicas = 2
	available := counted.DeepCopy()
	available.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue}}
	if deploymentsDiffer(d, counted) || !deploymentsDiffer(counted, available) {
		t.Error("deployments")
	}
}

func TestNamespaceEvents(t *testing.T) {
	k := active(t, "web") // in shop, which is opted in
	metaOf := func(o *corev1.Namespace) *metav1.PartialObjectMetadata {
		m := metadata("v1", "Namespace")
		m.ObjectMeta = o.ObjectMeta
		return m
	}
	plain, invited := metaOf(namespace("other", nil)), metaOf(optedIn())
	invited.Name = "other"
	touched := plain.DeepCopy()
	touched.ResourceVersion = "2"
	uninstall := metaOf(namespace(own, map[string]string{contract.UninstallLabel: contract.UninstallTrue}))
	h := k.r.namespaceEvents()
	for _, tt := range []struct {
		what string
		send func(workqueue.TypedRateLimitingInterface[reconcile.Request])
		want string
	}{
		{"at the start, not opted in", func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			h.Create(t.Context(), event.CreateEvent{Object: plain}, q)
		}, ""},
		{"at the start, opted in", func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			h.Create(t.Context(), event.CreateEvent{Object: invited}, q)
		}, "other"},
		{"nothing of ours changed", func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: plain, ObjectNew: touched}, q)
		}, ""},
		{"opted in", func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: plain, ObjectNew: invited}, q)
		}, "other"},
		{"deleted", func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			h.Delete(t.Context(), event.DeleteEvent{Object: invited}, q)
		}, "other"},
		{"TPA is to go", func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: metaOf(namespace(own, nil)), ObjectNew: uninstall}, q)
		}, shop},
	} {
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		tt.send(q)
		got := ""
		if q.Len() > 0 {
			r, _ := q.Get()
			got = r.Name
		}
		if got != tt.want || q.Len() > 0 {
			t.Errorf("%s: woke %q, want %q", tt.what, got, tt.want)
		}
		q.ShutDown()
	}
}
