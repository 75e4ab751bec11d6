package kit

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// SystemNamespace is where TPA runs.
const SystemNamespace = "tpa-system"

// WebhookLabels select the pods of TPA's webhook and controller.
var WebhookLabels = client.MatchingLabels{"app.kubernetes.io/name": "tpa", "app.kubernetes.io/component": "webhook"}

// ProxyLabels select the proxy's pods of a namespace.
var ProxyLabels = client.MatchingLabels{contract.SelectorKey: contract.SelectorValue}

// logLines is how much of the beginning and of the end of each log Diagnose shows.
const logLines = 30

// Diagnose tells what there is to know about TPA's work in a namespace, for the log of a test that failed.
func (c *Cluster) Diagnose(ctx context.Context, namespace string) string {
	var b strings.Builder
	for _, list := range []client.ObjectList{
		&corev1.ServiceList{}, &appsv1.DeploymentList{}, &coordinationv1.LeaseList{}, &corev1.PodList{}, &corev1.EventList{},
	} {
		if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
			fmt.Fprintln(&b, err)
			continue
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			fmt.Fprintln(&b, err)
		}
		for _, item := range items {
			if event, ok := item.(*corev1.Event); ok && event.Reason == "MissingClusterDNS" {
				continue // the test cluster has none, says the kubelet again and again
			}
			fmt.Fprintln(&b, Describe(item.(client.Object)))
		}
	}
	c.logs(ctx, &b, namespace, ProxyLabels, "")
	c.logs(ctx, &b, SystemNamespace, WebhookLabels, namespace)
	return b.String()
}

// logs shows each pod's log: the lines that contain a text.
func (c *Cluster) logs(ctx context.Context, w io.Writer, namespace string, labels client.MatchingLabels, containing string) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(namespace), labels); err != nil {
		fmt.Fprintln(w, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for _, pod := range pods.Items {
		fmt.Fprintf(w, "--- log of %s\n", Describe(&pod))
		log, err := c.Log(ctx, &pod, time.Time{})
		if err != nil {
			fmt.Fprintln(w, err)
		}
		var lines []string
		for line := range strings.Lines(log) {
			if strings.Contains(line, containing) {
				lines = append(lines, line)
			}
		}
		if skip := len(lines) - 2*logLines; skip > 0 {
			lines = slices.Replace(lines, logLines, logLines+skip, fmt.Sprintf("... %d lines ...\n", skip))
		}
		fmt.Fprint(w, strings.Join(lines, ""))
	}
}

// Log is what the container of a pod with one has logged since a time; the zero time: all.
func (c *Cluster) Log(ctx context.Context, pod *corev1.Pod, since time.Time) (string, error) {
	options := &corev1.PodLogOptions{}
	if !since.IsZero() {
		options.SinceTime = &metav1.Time{Time: since}
	}
	log, err := c.clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("log of pod %s: %w", pod.Name, err)
	}
	return string(log), nil
}
