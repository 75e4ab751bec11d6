//go:build e2e

package e2e

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"tpa.dev/tpa/test/kit"
)

// annotate sets an annotation of a Service; the empty value removes it.
func (f *fixture) annotate(service, key, value string) {
	f.Helper()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: f.ns, Name: service}}
	f.must(cluster.Patch(f.ctx, s, merge("annotations", key, value)))
}

// labelNamespace sets a namespace's label; the empty value removes it.
func (f *fixture) labelNamespace(key, value string) {
	f.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.ns}}
	f.must(cluster.Patch(f.ctx, ns, merge("labels", key, value)))
}

// merge is a patch of one label or annotation; the empty value removes it.
func merge(field, key, value string) client.Patch {
	quoted := "null"
	if value != "" {
		quoted = fmt.Sprintf("%q", value)
	}
	return client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{%q:{%q:%s}}}`, field, key, quoted))
}

// manifest is an object as a person keeps it in a file, for kubectl.
func (f *fixture) manifest(objects ...client.Object) string {
	f.Helper()
	text := ""
	for _, o := range objects {
		document, err := yaml.Marshal(o)
		f.must(err)
		text += "---\n" + string(document)
	}
	return text
}

// kubectl runs kubectl in the test's namespace.
func (f *fixture) kubectl(stdin string, args ...string) (kit.Output, error) {
	return cluster.Kubectl(f.ctx, stdin, append([]string{"-n", f.ns}, args...)...)
}

// scaleWebhook sets the number of TPA's webhook pods, and waits until there are so many.
func scaleWebhook(ctx context.Context, replicas int) error {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: kit.SystemNamespace, Name: "tpa-webhook"}}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas))
	if err := cluster.Patch(ctx, d, patch); err != nil {
		return err
	}
	if replicas > 0 {
		return kit.Wait(ctx, patience, "TPA to be ready again", ready)
	}
	return kit.Wait(ctx, patience, "the last webhook pod to be gone", func(ctx context.Context) (bool, string) {
		var pods corev1.PodList
		if err := cluster.List(ctx, &pods, client.InNamespace(kit.SystemNamespace), kit.WebhookLabels); err != nil {
			return false, err.Error()
		}
		return len(pods.Items) == 0, fmt.Sprint(len(pods.Items), " pods")
	})
}
