package proxyobjects

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"tpa.dev/tpa/proxy/contract"
)

func config() Config {
	return Config{
		Image: "proxy:v1", Args: []string{"--log-level=debug"}, Drain: 5 * time.Minute,
		CPU: resource.MustParse("20m"), Memory: resource.MustParse("32Mi"), MemoryLimit: resource.MustParse("512Mi"),
	}
}

func all(t *testing.T, defaults contract.Defaults, c Config) map[string]Object {
	t.Helper()
	objects, err := Wanted("shop", defaults, c)
	if err != nil {
		t.Fatal(err)
	}
	byKind := map[string]Object{}
	for _, o := range objects {
		byKind[o.Kind()] = o
	}
	return byKind
}

func built(t *testing.T, defaults contract.Defaults, c Config) appsv1.Deployment {
	t.Helper()
	var d appsv1.Deployment
	content := all(t, defaults, c)["Deployment"].content.Object
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDeployment(t *testing.T) {
	d := built(t, contract.Defaults{ProxyReplicas: 3}, config())
	if d.Namespace != "shop" || d.Name != contract.ProxyName || *d.Spec.Replicas != 3 {
		t.Errorf("%s/%s with %d replicas", d.Namespace, d.Name, *d.Spec.Replicas)
	}
	if n := *built(t, contract.Defaults{}, config()).Spec.Replicas; n != contract.DefaultProxyReplicas {
		t.Errorf("%d replicas by default", n)
	}
	if u := d.Spec.Strategy.RollingUpdate; u.MaxUnavailable == nil || u.MaxUnavailable.IntValue() != 0 || u.MaxSurge.IntValue() != 1 {
		t.Errorf("rolling update %+v", u)
	}
	pod := d.Spec.Template
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil || !selector.Matches(labels.Set(pod.Labels)) || strings.Contains(selector.String(), contract.SelectorKey) {
		t.Errorf("selector %s, pods %v", selector, pod.Labels)
	}
	if !labels.SelectorFromSet(contract.ProxySelector()).Matches(labels.Set(pod.Labels)) {
		t.Errorf("a rewritten Service does not select %v", pod.Labels)
	}
	c := pod.Spec.Containers[0]
	if want := []string{"--drain-timeout=4m30s", "--log-level=debug"}; !slices.Equal(c.Args, want) {
		t.Errorf("args %v, want %v", c.Args, want)
	}
	for _, port := range c.Ports {
		if port.Name == contract.PendingTargetPort || contract.InPortRange(port.ContainerPort) {
			t.Errorf("port %+v", port)
		}
	}
	if *pod.Spec.TerminationGracePeriodSeconds != 300 {
		t.Errorf("grace period %d s", *pod.Spec.TerminationGracePeriodSeconds)
	}
}

// TestPlacement: where proxies run and what they may take is as it was chosen, and what was not chosen changes no hash:
// who updates TPA does not have every proxy replaced for options that they do not use.
func TestPlacement(t *testing.T) {
	c := config()
	c.NodeSelector, c.Tolerations, c.PullSecrets = map[string]string{}, []corev1.Toleration{}, []string{}
	c.PodLabels, c.PodAnnotations = map[string]string{}, map[string]string{}
	if a, b := all(t, contract.Defaults{}, config())["Deployment"], all(t, contract.Defaults{}, c)["Deployment"]; a.Hash != b.Hash {
		t.Error("empty options change the hash")
	}
	c.NodeSelector = map[string]string{"pool": "infra"}
	c.Tolerations = []corev1.Toleration{{Key: "pool", Operator: corev1.TolerationOpExists}}
	c.PullSecrets, c.PriorityClass, c.CPULimit = []string{"a", "b"}, "high", resource.MustParse("2")
	before, after := built(t, contract.Defaults{}, config()).Spec.Template.Spec, built(t, contract.Defaults{}, c).Spec.Template.Spec
	want := before.DeepCopy()
	want.NodeSelector, want.Tolerations, want.PriorityClassName = c.NodeSelector, c.Tolerations, "high"
	want.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "a"}, {Name: "b"}}
	want.Containers[0].Resources.Limits[corev1.ResourceCPU] = resource.MustParse("2")
	if !equality.Semantic.DeepEqual(*want, after) {
		t.Errorf("got %+v\nwant %+v", after, *want)
	}
}

// TestPodLabels: the pods have what was chosen besides TPA's own, by which they are found and which cannot be taken; the
// Deployment's own labels stay as they are. Another choice shows in the hash, or it would reach no pod.
func TestPodLabels(t *testing.T) {
	own := built(t, contract.Defaults{}, config())
	c := config()
	c.PodLabels = map[string]string{"team": "infra"}
	c.PodAnnotations = map[string]string{"linkerd.io/inject": "disabled"}
	if a, b := all(t, contract.Defaults{}, config())["Deployment"], all(t, contract.Defaults{}, c)["Deployment"]; a.Hash == b.Hash {
		t.Error("labels do not change the hash")
	}
	for key := range own.Spec.Template.Labels {
		if !Reserved(key) {
			t.Errorf("%s is not reserved", key)
		}
		c.PodLabels[key] = "taken"
	}
	got := built(t, contract.Defaults{}, c)
	want := own.DeepCopy()
	want.Annotations[HashKey] = got.Annotations[HashKey]
	want.Spec.Template.Labels["team"] = "infra"
	want.Spec.Template.Annotations = map[string]string{"linkerd.io/inject": "disabled"}
	if !equality.Semantic.DeepEqual(*want, got) {
		t.Errorf("got %+v\nwant %+v", got, *want)
	}
	if Reserved("team") || Reserved("app.kubernetes.io/part-of") || !Reserved(HashKey) {
		t.Error("reserved is something else than what is TPA's own")
	}
}

// The pod security standard "restricted", https://kubernetes.io/docs/concepts/security/pod-security-standards/
func TestRestricted(t *testing.T) {
	spec := built(t, contract.Defaults{}, config()).Spec.Template.Spec
	s, c := spec.SecurityContext, spec.Containers[0].SecurityContext
	for what, ok := range map[string]bool{
		"runAsNonRoot":             *s.RunAsNonRoot && *s.RunAsUser != 0,
		"seccompProfile":           s.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"allowPrivilegeEscalation": c.AllowPrivilegeEscalation != nil && !*c.AllowPrivilegeEscalation,
		"capabilities":             slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(c.Capabilities.Add) == 0,
		"volumes":                  len(spec.Volumes) == 0,
		"host":                     !spec.HostNetwork && !spec.HostPID && !spec.HostIPC,
		"readOnlyRootFilesystem":   *c.ReadOnlyRootFilesystem,
	} {
		if !ok {
			t.Errorf("%s is not at the standard", what)
		}
	}
}

func TestHash(t *testing.T) {
	before, same := all(t, contract.Defaults{}, config()), all(t, contract.Defaults{}, config())
	other := config()
	other.Image = "proxy:v2"
	after := all(t, contract.Defaults{}, other)
	for kind, o := range before {
		if o.Hash != same[kind].Hash {
			t.Errorf("%s: the hash is not stable", kind)
		}
		if (o.Hash != after[kind].Hash) != (kind == "Deployment") {
			t.Errorf("%s: hash after a new image: %s, before: %s", kind, after[kind].Hash, o.Hash)
		}
		if o.content.GetAnnotations()[HashKey] != o.Hash {
			t.Errorf("%s does not carry its hash", kind)
		}
	}
}

// What is not set is not named, or TPA would own it and undo whoever sets it.
func TestNamesNothingThatIsNotSet(t *testing.T) {
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case nil:
			t.Errorf("%s is null", path)
		case map[string]any:
			if len(v) == 0 {
				t.Errorf("%s is empty", path)
			}
			for key, member := range v {
				walk(path+"."+key, member)
			}
		case []any:
			for _, item := range v {
				walk(path+"[]", item)
			}
		}
	}
	for kind, o := range all(t, contract.Defaults{IdleTimeout: time.Hour}, config()) {
		walk(kind, o.content.Object)
		if _, ok := o.content.Object["status"]; ok {
			t.Errorf("%s has a status", kind)
		}
	}
}

func TestDefaultsLease(t *testing.T) {
	if _, ok := all(t, contract.Defaults{}, config())["Lease"]; ok {
		t.Error("a Lease although the namespace has no defaults")
	}
	lease := all(t, contract.Defaults{IdleTimeout: 90 * time.Second}, config())["Lease"].content
	if got := lease.GetLabels()[contract.LeaseLabel]; got != contract.LeaseDefaults {
		t.Errorf("label %q", got)
	}
	if d, err := contract.ParseDefaults(lease.GetAnnotations()); err != nil || d.IdleTimeout != 90*time.Second {
		t.Errorf("proxies read %v, %v", d, err)
	}
	for _, defaults := range []contract.Defaults{
		{Mode: contract.ModeObserve}, {Mode: contract.ModePaused, IdleTimeout: time.Hour}, {IdleTimeout: time.Hour},
	} {
		lease := all(t, defaults, config())["Lease"]
		if d, err := contract.ParseDefaults(lease.content.GetAnnotations()); err != nil || d != defaults {
			t.Errorf("proxies read %v, %v, want %v", d, err, defaults)
		}
	}
	observe, paused := all(t, contract.Defaults{Mode: contract.ModeObserve}, config()), all(t, contract.Defaults{Mode: contract.ModePaused}, config())
	if observe["Lease"].Hash == paused["Lease"].Hash {
		t.Error("another mode does not show in the hash")
	}
}

func TestPresentCoversWanted(t *testing.T) {
	present := map[string]bool{}
	for _, o := range Present("shop") {
		present[o.Kind] = true
	}
	for kind := range all(t, contract.Defaults{IdleTimeout: time.Hour}, config()) {
		if !present[kind] {
			t.Errorf("%s would be left behind", kind)
		}
	}
	if last := Present("shop"); last[len(last)-1].Kind != "Deployment" {
		t.Error("the Deployment must go last")
	}
}
