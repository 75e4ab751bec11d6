package check

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view/reader"
)

// proxyImage is the variable that tells the controller which image proxies have.
const proxyImage = "PROXY_IMAGE"

// versions compares the images of the webhook and of the proxies with this command.
func versions(ctx context.Context, o Options) []Line {
	d, err := o.Client.AppsV1().Deployments(o.Namespace).Get(ctx, webhookName, metav1.GetOptions{})
	if err != nil || len(d.Spec.Template.Spec.Containers) == 0 {
		return nil // said by webhook
	}
	container := d.Spec.Template.Spec.Containers[0]
	lines := []Line{sameVersion(o.Version, container.Image)}
	i := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == proxyImage })
	list, err := proxyDeployments(ctx, o)
	if err != nil || i < 0 || len(list) == 0 {
		return lines
	}
	return append(lines, sameImages(container.Env[i].Value, list))
}

func proxyDeployments(ctx context.Context, o Options) ([]appsv1.Deployment, error) {
	list, err := o.Client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{LabelSelector: reader.ProxyLabels()})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b appsv1.Deployment) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return list.Items, nil
}

// tag is the tag of an image; empty if it has none.
func tag(image string) string {
	image, _, _ = strings.Cut(image, "@")
	i := strings.LastIndexByte(image, ':')
	if i < 0 || strings.Contains(image[i:], "/") { // a port of the registry
		return ""
	}
	return image[i+1:]
}

// sameVersion compares this command with the webhook's image. Only releases can be compared.
func sameVersion(mine, image string) Line {
	a, err1 := version.ParseSemantic(mine)
	b, err2 := version.ParseSemantic(tag(image))
	if err1 == nil && err2 == nil && (a.Major() != b.Major() || a.Minor() != b.Minor()) {
		return note("use the kubectl-tpa of that version", "kubectl tpa is %s, and the webhook is %s", mine, image)
	}
	return good("kubectl tpa is %s, the webhook is %s", mine, image)
}

// sameImages looks for proxies that have another image than they should.
func sameImages(want string, proxies []appsv1.Deployment) Line {
	others := map[string][]string{}
	for _, d := range proxies {
		for _, c := range d.Spec.Template.Spec.Containers {
			if c.Name == contract.ProxyContainer && c.Image != want {
				others[c.Image] = append(others[c.Image], d.Namespace)
			}
		}
	}
	if len(others) == 0 {
		return good("all proxies are %s", want)
	}
	var texts []string
	for _, image := range slices.Sorted(maps.Keys(others)) {
		texts = append(texts, fmt.Sprintf("%s in %s", image, strings.Join(others[image], ", ")))
	}
	return note("the controller replaces them; if it does not, see its logs", "proxies should be %s and are %s", want, strings.Join(texts, "; "))
}
