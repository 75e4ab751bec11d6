package admission

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/scale"

	"tpa.dev/tpa/proxy/contract"
)

// ExistsByScale looks for a target's /scale, which is the one thing that TPA needs of it.
func ExistsByScale(scales scale.ScalesGetter) func(context.Context, string, contract.Target) (bool, error) {
	return func(ctx context.Context, namespace string, target contract.Target) (bool, error) {
		_, err := scales.Scales(namespace).Get(ctx, target.GroupResource(), target.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			return false, nil
		}
		return err == nil, err
	}
}
