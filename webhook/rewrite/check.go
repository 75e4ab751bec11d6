package rewrite

import (
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tpa.dev/tpa/proxy/contract"
)

const (
	rolloutsAnnotation  = "argo-rollouts.argoproj.io/managed-by-rollouts"
	rolloutsSelectorKey = "rollouts-pod-template-hash"
	flaggerGroup        = "flagger.app"
)

// checkOriginal refuses what the API server would refuse if it saw it. It validates the live spec, and a bad original
// would come to light only when it cannot be put back any more.
func checkOriginal(svc *corev1.Service, selector map[string]string, targetPorts []intstr.IntOrString) field.ErrorList {
	errs := metavalidation.ValidateLabels(selector, selectorPath)
	for i, target := range targetPorts {
		var why []string
		if target.Type == intstr.Int {
			why = validation.IsValidPortNum(int(target.IntVal))
		} else {
			why = validation.IsValidPortName(target.StrVal)
		}
		if len(why) > 0 && isTCP(svc.Spec.Ports[i]) {
			path := field.NewPath("spec", "ports").Index(i).Child("targetPort")
			errs = append(errs, field.Invalid(path, target.String(), strings.Join(why, "; ")))
		}
	}
	return errs
}

// newProblems returns what is wrong with the Service and was not wrong before: who touches a Service for another reason,
// such as a cloud provider or a label, is not held up by somebody else's mistake.
func (m memory) newProblems(req Request, selector map[string]string) field.ErrorList {
	found := problems(req.New, selector)
	if m.phase == "" || len(found) == 0 {
		return found
	}
	before := problems(req.Old, m.original.Selector)
	return slices.DeleteFunc(found, func(err *field.Error) bool {
		return slices.ContainsFunc(before, func(old *field.Error) bool {
			return old.Field == err.Field && old.BadValue == err.BadValue
		})
	})
}

// problems returns why TPA cannot manage a Service whose user means this selector.
func problems(svc *corev1.Service, selector map[string]string) field.ErrorList {
	settings, errs := readSettings(svc)
	spec := field.NewPath("spec")
	leave := ", or remove " + contract.TargetKey
	if !hasTarget(svc) {
		leave = ", or wait until " + contract.PhaseKey + " is gone"
	}
	refuse := func(path *field.Path, value any, why string) {
		errs = append(errs, field.Invalid(path, value, why+leave))
	}

	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		refuse(spec.Child("type"), string(svc.Spec.Type), "such a Service has no pods to wake: use another type")
	}
	if svc.Spec.ClusterIP == corev1.ClusterIPNone {
		refuse(spec.Child("clusterIP"), svc.Spec.ClusterIP,
			"clients of a headless Service connect to its pods past any proxy: create it without this")
	}
	for i, port := range svc.Spec.Ports {
		if !isTCP(port) {
			refuse(spec.Child("ports").Index(i).Child("protocol"), string(port.Protocol),
				"TPA proxies TCP only: move this port to a Service of its own")
		}
	}
	if p := svc.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		refuse(spec.Child("internalTrafficPolicy"), string(*p), "there is no proxy on every node: write Cluster")
	}
	if svc.Spec.PublishNotReadyAddresses {
		refuse(spec.Child("publishNotReadyAddresses"), true, "TPA holds connections until a pod is ready: write false")
	}
	if p := svc.Spec.ExternalTrafficPolicy; p == corev1.ServiceExternalTrafficPolicyLocal && !settings.AllowSourceIPLoss {
		refuse(spec.Child("externalTrafficPolicy"), string(p), "the pods would see the proxy's address instead of the "+
			"client's: write Cluster, accept it with "+contract.AllowSourceIPLossKey+`: "true"`)
	}
	if rollout, ok := svc.Annotations[rolloutsAnnotation]; ok {
		refuse(annotation(rolloutsAnnotation), rollout, "Argo Rollouts changes this Service's selector itself: "+
			"annotate one that it does not switch")
	} else if hash, ok := selector[rolloutsSelectorKey]; ok {
		refuse(selectorPath.Key(rolloutsSelectorKey), hash, "Argo Rollouts changes this Service's selector itself: "+
			"annotate one that it does not switch")
	}
	for i, owner := range svc.OwnerReferences {
		if group, _, _ := strings.Cut(owner.APIVersion, "/"); group == flaggerGroup {
			refuse(field.NewPath("metadata", "ownerReferences").Index(i).Child("apiVersion"), owner.APIVersion,
				"Flagger changes this Service's selector itself: annotate one that it does not switch")
		}
	}
	return errs
}

// readSettings parses the annotations; a Service on its way out needs no target any more.
func readSettings(svc *corev1.Service) (contract.Settings, field.ErrorList) {
	settings, err := contract.Parse(svc.Annotations, contract.Defaults{})
	var all interface{ Unwrap() []error }
	if !errors.As(err, &all) {
		return settings, nil
	}
	var errs field.ErrorList
	for _, err := range all.Unwrap() {
		var value *contract.ValueError
		var unknown *contract.UnknownKeyError
		switch {
		case errors.As(err, &value):
			if value.Key != contract.TargetKey || hasTarget(svc) {
				errs = append(errs, invalid(value.Key, value.Value, err))
			}
		case errors.As(err, &unknown):
			errs = append(errs, invalid(unknown.Key, svc.Annotations[unknown.Key], err))
		}
	}
	return settings, errs
}

// invalid puts an error of the contract as one of a field, which names the key and the value already.
func invalid(key, value string, err error) *field.Error {
	detail := err.Error()
	var accepted *contract.ValueError
	var unknown *contract.UnknownKeyError
	switch {
	case errors.As(err, &accepted):
		detail = "write " + accepted.Accepted
	case errors.As(err, &unknown):
		detail = "it" + strings.TrimPrefix(detail, unknown.Key)
	}
	return field.Invalid(annotation(key), value, detail)
}
