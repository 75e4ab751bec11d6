package cluster

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view/reader"
)

// Restore has TPA give every Service back and take no new one over.
func (c *Client) Restore(ctx context.Context, own string) error {
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, contract.UninstallLabel, contract.UninstallTrue)
	_, err := c.CoreV1().Namespaces().Patch(ctx, own, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	return err
}

// Left lists what TPA still holds in users' namespaces, as KIND NAMESPACE/NAME.
func (c *Client) Left(ctx context.Context) ([]string, error) {
	var left []string
	services, err := c.CoreV1().Services("").List(ctx, metav1.ListOptions{LabelSelector: contract.ManagedLabel + "=" + contract.ManagedTrue})
	if err != nil {
		return nil, err
	}
	for _, svc := range services.Items {
		left = append(left, fmt.Sprintf("service %s/%s", svc.Namespace, svc.Name))
	}
	deployments, err := c.AppsV1().Deployments("").List(ctx, metav1.ListOptions{LabelSelector: reader.ProxyLabels()})
	if err != nil {
		return nil, err
	}
	for _, d := range deployments.Items {
		left = append(left, fmt.Sprintf("deployment %s/%s", d.Namespace, d.Name))
	}
	slices.Sort(left)
	return left, nil
}

// Release is the Helm release that installed TPA; empty if none did.
func (c *Client) Release(ctx context.Context, own string) (name, namespace string, err error) {
	d, err := c.AppsV1().Deployments(own).Get(ctx, "tpa-webhook", metav1.GetOptions{})
	if err != nil {
		return "", "", err
	}
	return d.Annotations["meta.helm.sh/release-name"], d.Annotations["meta.helm.sh/release-namespace"], nil
}
