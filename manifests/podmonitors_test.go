package manifests

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// podMonitor is what TPA uses of one.
type podMonitor struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port string `json:"port"`
			TLS  struct {
				ServerName string `json:"serverName"`
			} `json:"tlsConfig"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

// TestPodMonitorsFindThePods: by their labels, at a port that they have, under a name that the certificate has.
func TestPodMonitorsFindThePods(t *testing.T) {
	base := load(t)
	var webhook appsv1.Deployment
	data, err := base["Deployment/tpa-webhook"].MarshalJSON()
	if err == nil {
		err = yaml.Unmarshal(data, &webhook)
	}
	if err != nil {
		t.Fatal(err)
	}
	pods := map[string]corev1.PodTemplateSpec{"tpa-webhook": webhook.Spec.Template, "tpa-proxies": proxyTemplate(t)}
	file, err := os.ReadFile("monitoring/podmonitors.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reader, found := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(file))), 0
	for doc, err := reader.Read(); err == nil; doc, err = reader.Read() {
		var m podMonitor
		if err := yaml.Unmarshal(doc, &m); err != nil {
			t.Fatal(err)
		}
		found++
		pod := pods[m.Metadata.Name]
		selector, err := metav1.LabelSelectorAsSelector(&m.Spec.Selector)
		if err != nil || !selector.Matches(labels.Set(pod.Labels)) {
			t.Errorf("%s selects %s, %v, and the pods have %v", m.Metadata.Name, selector, err, pod.Labels)
		}
		for _, e := range m.Spec.Endpoints {
			if !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == e.Port }) {
				t.Errorf("%s: no port %s among %v", m.Metadata.Name, e.Port, pod.Spec.Containers[0].Ports)
			}
			names, _, _ := unstructured.NestedStringSlice(base["Certificate/tpa-webhook"].Object, "spec", "dnsNames")
			if e.TLS.ServerName != "" && !slices.Contains(names, e.TLS.ServerName) {
				t.Errorf("%s: the certificate is for %v, not %s", m.Metadata.Name, names, e.TLS.ServerName)
			}
		}
	}
	if found != len(pods) {
		t.Errorf("%d PodMonitors, want %d", found, len(pods))
	}
}
