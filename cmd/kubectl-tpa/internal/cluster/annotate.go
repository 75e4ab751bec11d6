package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Annotate sets an annotation of a Service; nil removes it.
func (c *Client) Annotate(ctx context.Context, namespace, service, key string, value *string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}})
	if err != nil {
		return fmt.Errorf("annotate service %s: %w", service, err)
	}
	_, err = c.CoreV1().Services(namespace).Patch(ctx, service, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	return err
}
