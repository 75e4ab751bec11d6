package cluster

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view"
	"tpa.dev/tpa/webhook/view/reader"
)

// Read reads a namespace, or all that have a Service of interest for the empty name, in the order of their names.
func (c *Client) Read(ctx context.Context, namespace string) ([]*view.Namespace, error) {
	return reader.Reader{Client: c.Interface, Scales: c.scales}.Read(ctx, namespace)
}

// ReadMore adds to a namespace what only an explanation of a Service needs.
func (c *Client) ReadMore(ctx context.Context, n *view.Namespace, service string) error {
	events, err := c.EventsV1().Events(n.Name).List(ctx, metav1.ListOptions{})
	if ok, err := reader.Allowed(err); err != nil {
		return err
	} else if ok {
		n.Events = append([]eventsv1.Event{}, events.Items...) // not nil, even if there are none
	}
	i := slices.IndexFunc(n.Services, func(svc *corev1.Service) bool { return svc.Name == service })
	if i < 0 {
		return nil
	}
	n.ProxyMayScale = map[contract.Target]bool{}
	for _, t := range view.Targets(n.Services[i]) {
		may, known, err := c.proxyMayScale(ctx, n.Name, t)
		if err != nil {
			return err
		}
		if known {
			n.ProxyMayScale[t] = may
		}
	}
	return nil
}
