//go:build integration

package truth

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	k8s "sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// page is one of manifests/gitops, taken at its word.
type page struct {
	*testing.T
	namespace string
	blocks    map[string][]string // by language
}

func openPage(t *testing.T, file, namespace string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../manifests/gitops", file))
	if err != nil {
		t.Fatal(err)
	}
	p := page{t, namespace, map[string][]string{}}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllSubmatch(text, -1) {
		p.blocks[string(m[1])] = append(p.blocks[string(m[1])], string(m[2]))
	}
	if err := createNamespace(t.Context(), namespace, true); err != nil {
		t.Fatal(err)
	}
	return p
}

// objects are those of the page's YAML, in the test's own namespace.
func (p page) objects() []*unstructured.Unstructured {
	p.Helper()
	var all []*unstructured.Unstructured
	for _, block := range p.blocks["yaml"] {
		documents := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(block), 4096)
		for {
			o := &unstructured.Unstructured{}
			if err := documents.Decode(o); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				p.Fatalf("%v in\n%s", err, block)
			}
			all = append(all, o)
		}
	}
	return all
}

// object is the page's only one of a kind.
func (p page) object(kind string) *unstructured.Unstructured {
	p.Helper()
	for _, o := range p.objects() {
		if o.GetKind() == kind {
			if kind == "Service" || kind == "Deployment" {
				o.SetNamespace(p.namespace)
			}
			return o
		}
	}
	p.Fatalf("the page has no %s", kind)
	return nil
}

// apply is a server-side apply; it returns what the API server answers.
func (p page) apply(o *unstructured.Unstructured, manager string, opts ...k8s.PatchOption) *unstructured.Unstructured {
	p.Helper()
	data, err := o.MarshalJSON()
	if err != nil {
		p.Fatal(err)
	}
	o = o.DeepCopy()
	if err := server.Admin.Patch(p.Context(), o, k8s.RawPatch(types.ApplyPatchType, data), append(opts, k8s.FieldOwner(manager))...); err != nil {
		p.Fatal(err)
	}
	return o
}

func (p page) service() *corev1.Service {
	p.Helper()
	svc, err := get(p.Context(), p.namespace)
	if err != nil {
		p.Fatal(err)
	}
	return svc
}

func (p page) activate() {
	p.Helper()
	ctx := p.Context()
	err := errors.Join(
		controller(ctx, p.namespace, contract.PortsKey, "80:20001"),
		controller(ctx, p.namespace, contract.PhaseKey, string(contract.Active)))
	if err != nil {
		p.Fatal(err)
	}
}

// scale plays the proxy.
func scale(ctx context.Context, namespace string, replicas int32) error {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	s := &autoscalingv1.Scale{}
	if err := server.Admin.SubResource("scale").Get(ctx, d, s); err != nil {
		return err
	}
	s.Spec.Replicas = replicas
	return server.Admin.SubResource("scale").Update(ctx, d, k8s.WithSubResourceBody(s), k8s.FieldOwner(contract.FieldManager))
}

func (p page) replicas(want int32) {
	p.Helper()
	d := &appsv1.Deployment{}
	if err := server.Admin.Get(p.Context(), k8s.ObjectKey{Namespace: p.namespace, Name: name}, d); err != nil {
		p.Fatal(err)
	}
	if *d.Spec.Replicas != want {
		p.Errorf("%d replicas, want %d", *d.Spec.Replicas, want)
	}
}

// restored ends the page: opted out, the Service is what its manifest says.
func (p page) restored() {
	p.Helper()
	if err := fits(p.service(), contract.Restoring); err != nil {
		p.Error(err)
	}
	if err := controller(p.Context(), p.namespace, contract.PhaseKey, ""); err != nil {
		p.Fatal(err)
	}
	svc := p.service()
	if err := fits(svc, ""); err != nil {
		p.Error(err)
	}
	if got, want := show(svc.Spec), "app=web | http 80>http"; got != want {
		p.Errorf("after opting out %s, want %s", got, want)
	}
}
