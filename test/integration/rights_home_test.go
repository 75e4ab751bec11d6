//go:build integration

package integration

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// resource is a kind of object as requests name it.
type resource struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
}

// home is a namespace that holds an object of each kind.
type home struct {
	name      string
	admin     dynamic.Interface
	resources map[schema.GroupResource]resource
	manifests map[schema.GroupKind]*unstructured.Unstructured
}

func newHome(t *testing.T, name string) home {
	t.Helper()
	ctx := t.Context()
	admin, err := dynamic.NewForConfig(server.Config)
	must(t, err)
	h := home{name: name, admin: admin, manifests: map[schema.GroupKind]*unstructured.Unstructured{}}
	for _, o := range parse(t, dozerCRD) {
		must(t, client.IgnoreAlreadyExists(server.Admin.Create(ctx, o)))
	}
	must(t, wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		h.resources = discover(t)
		_, served := h.resources[schema.GroupResource{Group: "test.tpa.dev", Resource: "dozers"}]
		return served, nil
	}))
	createNamespace(t, name, map[string]string{contract.InjectLabel: contract.InjectEnabled})
	createNamespace(t, h.bare().name, nil)
	for _, o := range parse(t, strings.ReplaceAll(household, "HOME", name)) {
		h.manifests[o.GroupVersionKind().GroupKind()] = o
		o = o.DeepCopy()
		o.SetNamespace(name)
		must(t, server.Admin.Create(ctx, o))
	}
	for _, o := range parse(t, strings.ReplaceAll(questions, "HOME", name)) {
		h.manifests[o.GroupVersionKind().GroupKind()] = o
	}
	return h
}

// bare is a namespace with nothing in it: to apply an object that is not there is to create it.
func (h home) bare() home {
	h.name += "-bare"
	return h
}

func discover(t *testing.T) map[schema.GroupResource]resource {
	t.Helper()
	d, err := discovery.NewDiscoveryClientForConfig(server.Config)
	must(t, err)
	lists, err := d.ServerPreferredResources()
	must(t, err)
	found := map[schema.GroupResource]resource{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		must(t, err)
		for _, r := range list.APIResources {
			gvr := gv.WithResource(r.Name)
			found[gvr.GroupResource()] = resource{gvr, r.Kind, r.Namespaced}
		}
	}
	return found
}

func parse(t *testing.T, text string) (objects []*unstructured.Unstructured) {
	t.Helper()
	documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := documents.Decode(o)
		if err == io.EOF {
			return objects
		}
		must(t, err)
		objects = append(objects, o)
	}
}

// kind is what is named as in a right, and whether it is installed.
func (h home) kind(what string) (resource, bool) {
	what, _, _ = strings.Cut(what, "/")
	gr := schema.ParseGroupResource(what)
	if r, installed := h.resources[gr]; installed {
		return r, true
	}
	return resource{gr.WithVersion("v1"), gr.Resource, true}, false
}

// fresh is an object of a kind that is not there yet.
func (h home) fresh(what, name string) *unstructured.Unstructured {
	r, _ := h.kind(what)
	o := &unstructured.Unstructured{}
	if manifest, ok := h.manifests[schema.GroupKind{Group: r.Group, Kind: r.kind}]; ok {
		o = manifest.DeepCopy()
	}
	o.SetGroupVersionKind(r.GroupVersion().WithKind(r.kind))
	if _, question := o.Object["spec"]; o.GetName() != "" || !question { // a review is a question and has no name
		o.SetName(name)
	}
	if r.namespaced {
		o.SetNamespace(h.name)
	}
	return o
}

// present is an object as it is; a fresh one if there is none.
func (h home) present(ctx context.Context, what, name string) *unstructured.Unstructured {
	client, sub := asker{Interface: h.admin, home: h}.resource(what)
	o, err := client.Get(ctx, name, metav1.GetOptions{}, sub...)
	if err != nil {
		return h.fresh(what, name)
	}
	return o
}

// user is somebody in this namespace.
func (h home) user(t *testing.T, name string, groups ...string) asker {
	t.Helper()
	config, err := server.As(name, groups...)
	must(t, err)
	d, err := dynamic.NewForConfig(config)
	must(t, err)
	return asker{Interface: d, config: config, home: h}
}

// grant gives a user rights in this namespace, each as RESOURCE.GROUP/SUBRESOURCE: VERB...
func (h home) grant(t *testing.T, user string, rights ...string) {
	t.Helper()
	var rules []rbacv1.PolicyRule
	for _, r := range rights {
		what, verbs, _ := strings.Cut(r, ":")
		what, sub, found := strings.Cut(what, "/")
		gr := schema.ParseGroupResource(what)
		if found {
			gr.Resource += "/" + sub
		}
		rules = append(rules, rbacv1.PolicyRule{
			APIGroups: []string{gr.Group}, Resources: []string{gr.Resource}, Verbs: strings.Fields(verbs),
		})
	}
	meta := metav1.ObjectMeta{Namespace: h.name, Name: user}
	must(t, server.Admin.Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}))
	must(t, server.Admin.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
}

// bringProxy creates the proxy's objects as the controller does, with the controller's rights.
func (h home) bringProxy(t *testing.T, controller asker) {
	t.Helper()
	c, err := client.New(controller.config, client.Options{})
	must(t, err)
	objects, err := proxyobjects.Wanted(h.name, contract.Defaults{}, proxyobjects.Config{Image: "proxy", Drain: time.Minute})
	must(t, err)
	for _, o := range objects {
		must(t, c.Apply(t.Context(), o.Configuration(), client.FieldOwner(contract.FieldManager), client.ForceOwnership))
	}
}

func createNamespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	must(t, server.Admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
