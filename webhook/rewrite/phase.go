package rewrite

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tpa.dev/tpa/proxy/contract"
)

// phaseOf reads the phase of a committed Service. Only TPA writes it, but a value may come from before the webhook was
// there; then the live selector says how far the Service is.
func phaseOf(svc *corev1.Service) contract.Phase {
	value, ok := svc.Annotations[contract.PhaseKey]
	if !ok {
		return ""
	}
	switch phase := contract.Phase(value); phase {
	case contract.Pending, contract.Active, contract.Restoring:
		return phase
	}
	switch {
	case !contract.IsProxySelector(svc.Spec.Selector):
		return contract.Pending
	case hasTarget(svc):
		return contract.Active
	}
	return contract.Restoring
}

// nextPhase is the life of a Service: what follows the phase now by this request.
func nextPhase(now contract.Phase, req Request) (contract.Phase, *field.Error) {
	if req.FromTPA && now != "" {
		asked, ok := req.New.Annotations[contract.PhaseKey]
		if !ok {
			return "", nil
		}
		if asked != string(now) {
			return step(now, contract.Phase(asked), hasTarget(req.New))
		}
	}
	wanted := hasTarget(req.New)
	switch {
	case !now.Rewritten() && wanted:
		return contract.Pending, nil
	case !now.Rewritten():
		return "", nil
	case !wanted:
		return contract.Restoring, nil
	case now == contract.Restoring && hasTarget(req.Old):
		// Restoring for another reason than a missing target: the namespace left, or TPA is being removed.
		return contract.Restoring, nil
	}
	return contract.Active, nil
}

// step is a change of phase that the controller asks for.
func step(now, asked contract.Phase, wanted bool) (contract.Phase, *field.Error) {
	switch {
	case asked == contract.Active && wanted, // proxies listen, or the namespace came back
		asked == contract.Pending && wanted,                   // stepping aside
		asked == contract.Restoring && now == contract.Active: // the namespace left, or TPA is being removed
		return asked, nil
	}
	return "", field.Invalid(annotation(contract.PhaseKey), string(asked), "it does not follow "+string(now))
}

func hasTarget(svc *corev1.Service) bool {
	_, ok := svc.Annotations[contract.TargetKey]
	return ok
}

func annotation(key string) *field.Path { return field.NewPath("metadata", "annotations").Key(key) }
