//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/kit"
)

// version is a TPA that can be installed with its Helm chart.
type version struct {
	chart string // its folder
	tag   string // its images'
}

// versions are the one before this and this one.
func versions(t *testing.T) (previous, present version) {
	t.Helper()
	folder := os.Getenv("PREVIOUS")
	if folder == "" {
		t.Fatal("PREVIOUS is not set: it is the folder that test/images/previous.sh prints, whose images the cluster has to have")
	}
	return version{filepath.Join(folder, "chart"), filepath.Base(folder)}, version{"../../manifests/chart", "dev"}
}

func (v version) image(part string) string { return "localhost/tpa-" + part + ":" + v.tag }

// values are those of the local overlay, but for the drain: connections are to outlive two changes of the version.
func (v version) values() string {
	return fmt.Sprintf(`
image: {registry: localhost, tag: %q, pullPolicy: IfNotPresent}
timing: {settleTime: 5s, linger: 5s, proxyDrain: 10m}
uninstall: {wait: 2m}
`, v.tag)
}

// helm runs Helm with TPA's release.
func (f *fixture) helm(stdin string, args ...string) (kit.Output, error) {
	return cluster.Nodes[0].Run(f.ctx, stdin, "../../bin/helm4/helm", append(args, "--namespace="+kit.SystemNamespace)...)
}

// admits waits until the webhooks are of a version, and all of them.
func (f *fixture) admits(v version) {
	f.Helper()
	f.wait("the webhooks of "+v.tag, func(ctx context.Context) (bool, string) {
		if ok, seen := f.runs(ctx, kit.SystemNamespace, "tpa-webhook", v.image("webhook")); !ok {
			return false, seen
		}
		return ready(ctx)
	})
}

// serves waits until the namespace's proxies are of a version, and all of them.
func (f *fixture) serves(v version) {
	f.Helper()
	f.wait("the proxies of "+v.tag, func(ctx context.Context) (bool, string) {
		return f.runs(ctx, f.ns, contract.ProxyName, v.image("proxy"))
	})
}

// runs looks whether a Deployment has rolled out an image.
func (f *fixture) runs(ctx context.Context, namespace, name, image string) (bool, string) {
	var d appsv1.Deployment
	if err := cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &d); err != nil {
		return false, err.Error()
	}
	is := d.Spec.Template.Spec.Containers[0].Image
	return is == image && rolledOut(&d), is + ", " + kit.Describe(&d)
}

// ofTPA names what there is of TPA outside of the namespaces of its users: all that is in its own, but Events, and what is
// named after it and in no namespace.
func (f *fixture) ofTPA(ctx context.Context) ([]string, error) {
	var all []string
	for _, scope := range []struct {
		namespaced bool
		of         string // the beginning of a name
		args       []string
	}{
		{true, "", []string{"--namespace=" + kit.SystemNamespace}},
		{false, "tpa", nil},
	} {
		kinds, err := cluster.Kubectl(ctx, "", "api-resources", "--verbs=list", fmt.Sprintf("--namespaced=%t", scope.namespaced), "--output=name")
		if err != nil {
			return nil, err
		}
		names := slices.DeleteFunc(strings.Fields(kinds.Stdout), func(kind string) bool {
			return kind == "events" || kind == "events.events.k8s.io"
		})
		objects, err := cluster.Kubectl(ctx, "", append([]string{"get", strings.Join(names, ","), "--output=name", "--ignore-not-found"}, scope.args...)...)
		if err != nil {
			return nil, err
		}
		for _, object := range strings.Fields(objects.Stdout) {
			if _, name, _ := strings.Cut(object, "/"); strings.HasPrefix(name, scope.of) {
				all = append(all, object)
			}
		}
	}
	slices.Sort(all)
	return all, nil
}
