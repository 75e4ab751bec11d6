package admission

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/kube"
)

// ExistsByScale looks for a target's /scale, which is the one thing that TPA needs of it.
func ExistsByScale(scales *kube.Scales) func(context.Context, string, contract.Target) (bool, error) {
	return func(ctx context.Context, namespace string, target contract.Target) (bool, error) {
		_, err := scales.Get(ctx, namespace, target.GroupResource(), target.Name)
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			return false, nil
		}
		return err == nil, err
	}
}
