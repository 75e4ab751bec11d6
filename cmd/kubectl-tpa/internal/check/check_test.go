package check

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"tpa.dev/tpa/proxy/contract"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestCertificates(t *testing.T) {
	made := func(status map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"status": status}}
	}
	conditions := func(status string) []any {
		return []any{map[string]any{"type": "Issuing", "status": "True"}, map[string]any{"type": "Ready", "status": status, "message": "why"}}
	}
	for _, tt := range []struct {
		name   string
		status map[string]any
		mark   Mark
		text   string
	}{
		{"good", map[string]any{"conditions": conditions("True"), "notAfter": "2026-01-21T12:00:00Z"}, Good, "the webhook's certificate is good for 20d"},
		{"late", map[string]any{"conditions": conditions("True"), "notAfter": "2026-01-03T12:00:00Z"}, Note, "the webhook's certificate ends in 2d and has not been renewed"},
		{"over", map[string]any{"conditions": conditions("True"), "notAfter": "2026-01-01T11:00:00Z"}, Bad, "the webhook's certificate has ended on 2026-01-01T11:00:00Z"},
		{"not issued", map[string]any{"conditions": conditions("True")}, Bad, "the webhook's certificate has not been issued"},
		{"not ready", map[string]any{"conditions": conditions("False")}, Bad, "the webhook's certificate is not ready: why"},
		{"new", nil, Bad, "the webhook's certificate is not ready: cert-manager has not looked at it yet"},
	} {
		unready, ends := certificateStatus(made(tt.status))
		if got := judge(unready, ends, now, "tpa-system"); got.Mark != tt.mark || got.Text != tt.text {
			t.Errorf("%s: %+v, want %s %s", tt.name, got, tt.mark, tt.text)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, tt := range []struct {
		mine, image string
		want        Mark
	}{
		{"v0.1.0", "tpa.dev/tpa-webhook:v0.1.7", Good},
		{"v0.1.0", "registry:5000/tpa-webhook:v0.2.0", Note},
		{"v1.1.0", "tpa.dev/tpa-webhook:v0.1.0@sha256:abc", Note},
		{"(devel)", "tpa.dev/tpa-webhook:v0.1.0", Good},
		{"v0.1.0", "registry:5000/tpa-webhook", Good},
		{"v0.1.0", "tpa.dev/tpa-webhook:dev", Good},
	} {
		if got := sameVersion(tt.mine, tt.image); got.Mark != tt.want {
			t.Errorf("%s and %s: %+v, want %s", tt.mine, tt.image, got, tt.want)
		}
	}
}

func proxy(namespace, image string, replicas, ready int32) appsv1.Deployment {
	d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: contract.ProxyName}}
	d.Spec.Replicas, d.Status.ReadyReplicas = &replicas, ready
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "sidecar", Image: "mesh:v9"}, {Name: contract.ProxyContainer, Image: image}}
	return d
}

func TestImagesOfProxies(t *testing.T) {
	if got := sameImages("p:v1", []appsv1.Deployment{proxy("a", "p:v1", 2, 2)}); got.Mark != Good {
		t.Errorf("%+v", got)
	}
	got := sameImages("p:v2", []appsv1.Deployment{proxy("a", "p:v1", 2, 2), proxy("b", "p:v2", 2, 2), proxy("c", "p:v1", 2, 2)})
	if got.Mark != Note || got.Text != "proxies should be p:v2 and are p:v1 in a, c" {
		t.Errorf("%+v", got)
	}
}

func TestProxies(t *testing.T) {
	service := func(namespace string) corev1.Service {
		return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	}
	services := []corev1.Service{service("a"), service("a"), service("b")}
	if got := judgeProxies(nil, nil); len(got) != 1 || got[0].Mark != Good {
		t.Errorf("nothing to serve: %+v", got)
	}
	for _, tt := range []struct {
		name    string
		proxies []appsv1.Deployment
		want    []Mark
	}{
		{"all ready", []appsv1.Deployment{proxy("a", "", 2, 2), proxy("b", "", 1, 1)}, []Mark{Good}},
		{"one not", []appsv1.Deployment{proxy("a", "", 2, 1), proxy("b", "", 1, 1)}, []Mark{Note}},
		{"none ready, none at all", []appsv1.Deployment{proxy("a", "", 2, 0)}, []Mark{Bad, Bad}},
	} {
		lines := judgeProxies(services, tt.proxies)
		for i, l := range lines {
			if i >= len(tt.want) || l.Mark != tt.want[i] || l.Mark != Good && l.Mend == "" {
				t.Errorf("%s: %+v, want %v", tt.name, lines, tt.want)
				break
			}
		}
		if len(lines) != len(tt.want) {
			t.Errorf("%s: %+v, want %v", tt.name, lines, tt.want)
		}
	}
}
