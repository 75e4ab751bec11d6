package cluster

import (
	"context"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/webhook/uninstall"
)

// Uninstall has TPA give every Service back and take no new one over, and waits for that; it tells out how it goes.
func (c *Client) Uninstall(ctx context.Context, o uninstall.Options, out io.Writer) error {
	objects, err := client.New(c.config, client.Options{FieldOwner: manager})
	if err != nil {
		return fmt.Errorf("kubernetes client: %w", err)
	}
	return uninstall.Run(ctx, objects, o, out)
}

// Release is the Helm release that installed TPA; empty if none did.
func (c *Client) Release(ctx context.Context, own string) (name, namespace string, err error) {
	d, err := c.AppsV1().Deployments(own).Get(ctx, "tpa-webhook", metav1.GetOptions{})
	if err != nil {
		return "", "", err
	}
	return d.Annotations["meta.helm.sh/release-name"], d.Annotations["meta.helm.sh/release-namespace"], nil
}
