package kube

import (
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// Client makes requests of an API server.
type Client struct {
	Leases   Resource[*coordinationv1.Lease]
	Pods     Resource[*corev1.Pod]
	Services Resource[*corev1.Service]
	Events   Resource[*eventsv1.Event]
	Scales   *Scales
}

// New returns a Client of the API server of a configuration. It makes no request.
func New(config *rest.Config) (*Client, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(corev1.AddToScheme, coordinationv1.AddToScheme, eventsv1.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("kubernetes types: %w", err)
	}
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	if config.UserAgent == "" {
		config.UserAgent = rest.DefaultKubernetesUserAgent() // it names who manages the fields that are written
	}
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	clients := map[schema.GroupVersion]*rest.RESTClient{}
	for _, version := range []schema.GroupVersion{corev1.SchemeGroupVersion, coordinationv1.SchemeGroupVersion, eventsv1.SchemeGroupVersion} {
		config.GroupVersion, config.APIPath = &version, "/apis"
		if version.Group == corev1.GroupName {
			config.APIPath = "/api"
		}
		if clients[version], err = rest.RESTClientForConfigAndClient(config, http); err != nil {
			return nil, fmt.Errorf("kubernetes client for %s: %w", version, err)
		}
	}
	core := clients[corev1.SchemeGroupVersion]
	return &Client{
		Leases: Resource[*coordinationv1.Lease]{
			clients[coordinationv1.SchemeGroupVersion], "leases", func() *coordinationv1.Lease { return &coordinationv1.Lease{} },
		},
		Pods:     Resource[*corev1.Pod]{core, "pods", func() *corev1.Pod { return &corev1.Pod{} }},
		Services: Resource[*corev1.Service]{core, "services", func() *corev1.Service { return &corev1.Service{} }},
		Events: Resource[*eventsv1.Event]{
			clients[eventsv1.SchemeGroupVersion], "events", func() *eventsv1.Event { return &eventsv1.Event{} },
		},
		Scales: &Scales{rest: core, kinds: map[schema.GroupResource]scaleKind{}},
	}, nil
}
