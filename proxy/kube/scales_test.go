package kube

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// deploymentConfigs is what OpenShift says of the one kind that has its scale in extensions/v1beta1.
var deploymentConfigs = map[string]string{
	"/apis/apps.openshift.io": `{"kind":"APIGroup","apiVersion":"v1","name":"apps.openshift.io",
		"versions":[{"groupVersion":"apps.openshift.io/v1","version":"v1"}],
		"preferredVersion":{"groupVersion":"apps.openshift.io/v1","version":"v1"}}`,
	"/apis/apps.openshift.io/v1": `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps.openshift.io/v1","resources":[
		{"name":"deploymentconfigs","namespaced":true,"kind":"DeploymentConfig","verbs":["get"]},
		{"name":"deploymentconfigs/scale","namespaced":true,"group":"extensions","version":"v1beta1","kind":"Scale","verbs":["get"]}]}`,
}

// TestScaleOfAnotherVersion is about what no API server of today answers by itself; the others are asked in test/integration.
func TestScaleOfAnotherVersion(t *testing.T) {
	const scale = `{"kind":"Scale","apiVersion":"extensions/v1beta1","metadata":{"namespace":"shop","name":"web","resourceVersion":"7"},
		"spec":{"replicas":2},"status":{"replicas":1,%s}}`
	for status, want := range map[string]string{
		`"selector":{"b":"2","a":"1"},"targetSelector":"a=1,b=2"`: "a=1,b=2",
		`"selector":{"b":"2","a":"1"}`:                            "a=1,b=2",
		`"selector":{}`:                                           "",
		`"selector":null`:                                         "",
	} {
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			asked = append(asked, r.Method+" "+r.URL.String()+" "+string(body))
			answer, ok := deploymentConfigs[r.URL.Path]
			if !ok {
				answer = fmt.Sprintf(scale, status)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer)
		}))
		defer server.Close()
		c, err := New(&rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		configs := schema.GroupResource{Group: "apps.openshift.io", Resource: "deploymentconfigs"}
		if kind, known := c.Scales.Kind(configs); known {
			t.Errorf("kind %s before it was asked for", kind)
		}
		got, err := c.Scales.Get(t.Context(), "shop", configs, "web")
		if err != nil {
			t.Fatal(err)
		}
		if kind, known := c.Scales.Kind(configs); !known || kind != configs.WithVersion("v1").GroupVersion().WithKind("DeploymentConfig") {
			t.Errorf("kind %s, %t", kind, known)
		}
		meta := metav1.ObjectMeta{Namespace: "shop", Name: "web", ResourceVersion: "7"}
		if diff := cmp.Diff(&autoscalingv1.Scale{
			ObjectMeta: meta, Spec: autoscalingv1.ScaleSpec{Replicas: 2}, Status: autoscalingv1.ScaleStatus{Replicas: 1, Selector: want},
		}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", status, diff)
		}
		got.Spec.Replicas = 0
		if _, err := c.Scales.Update(t.Context(), configs, got, "tpa"); err != nil {
			t.Error(err)
		}
		const path = "/apis/apps.openshift.io/v1/namespaces/shop/deploymentconfigs/web/scale"
		if diff := cmp.Diff([]string{
			"GET /apis/apps.openshift.io ", "GET /apis/apps.openshift.io/v1 ", "GET " + path + " ",
			"PUT " + path + `?fieldManager=tpa {"kind":"Scale","apiVersion":"extensions/v1beta1","metadata":{"name":"web","namespace":"shop",` +
				`"resourceVersion":"7"},"spec":{},"status":{"replicas":0}}`,
		}, asked); diff != "" {
			t.Errorf("%s (-want +got):\n%s", status, diff)
		}
	}
}
