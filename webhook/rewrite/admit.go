package rewrite

import (
	"maps"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tpa.dev/tpa/proxy/contract"
)

// Request is a Service on its way into the API server. Admit changes neither object.
type Request struct {
	// Old is the committed predecessor; nil when the Service is created.
	Old *corev1.Service
	// New is what the client wants, defaults applied.
	New *corev1.Service
	// FromTPA says that TPA's own ServiceAccount asks.
	FromTPA bool
}

// Result is what an admitted Service becomes.
type Result struct {
	// Patch turns New into what is stored; empty when New is right already.
	Patch []jsonpatch.Operation
	// Warnings tell the user where TPA read the request otherwise than it was written.
	Warnings []string
	// Phase is the one that the Service will be in; empty when it is unmanaged.
	Phase contract.Phase
	// Settings are the annotations of New; the zero value when it has no target.
	Settings contract.Settings
	// NeedsScale says that the request chose Settings.Targets or how they sleep, so that its user must be allowed to
	// scale them.
	NeedsScale bool
}

// Admit decides what a Service becomes. Any error rejects the request.
func Admit(req Request) (Result, field.ErrorList) {
	d, errs := decide(req)
	if len(errs) > 0 {
		return Result{}, errs
	}
	return Result{
		Patch:      d.want.patch(req.New),
		Warnings:   d.warnings,
		Phase:      d.phase,
		Settings:   d.settings,
		NeedsScale: d.needsScale,
	}, nil
}

// Restore gives a managed Service back: the user's selector and targetPorts live, no key of TPA's own left. It fails,
// and leaves the Service alone, where TPA's note of the original is gone.
func Restore(svc *corev1.Service) error {
	released := svc.DeepCopy()
	delete(released.Annotations, contract.PhaseKey)
	d, errs := decide(Request{Old: svc, New: released, FromTPA: true})
	if len(errs) > 0 {
		return errs.ToAggregate()
	}
	d.want.apply(svc)
	return nil
}

// decision is a Result before it is put as a patch.
type decision struct {
	want       state
	phase      contract.Phase
	warnings   []string
	settings   contract.Settings
	needsScale bool
}

func decide(req Request) (decision, field.ErrorList) {
	mem := remember(req)
	phase, err := nextPhase(mem.phase, req)
	if err != nil {
		return decision{}, field.ErrorList{err}
	}
	d := decision{phase: phase}

	selector, warning, err := mem.userSelector(req, phase)
	var errs field.ErrorList
	if err != nil {
		errs = append(errs, err)
	} else if warning != "" {
		d.warnings = append(d.warnings, warning)
	}
	targetPorts, portErrs := mem.userTargetPorts(req, phase)
	errs = append(errs, portErrs...)
	slots, err := mem.slots(req)
	if err != nil {
		errs = append(errs, err)
	}
	if phase != "" && len(errs) == 0 {
		errs = append(errs, checkOriginal(req.New, selector, targetPorts)...)
		errs = append(errs, mem.newProblems(req, selector)...)
	}
	if len(errs) > 0 {
		return decision{}, errs
	}

	d.want = state{selector: selector, targetPorts: targetPorts}
	if phase != "" {
		original := originalOf(req.New.Spec.Ports, selector, targetPorts)
		d.want.managed = true
		d.want.annotations = map[string]string{
			contract.PhaseKey:    string(phase),
			contract.OriginalKey: mem.text(req, original),
		}
		if len(slots) > 0 {
			d.want.annotations[contract.PortsKey] = slots.String()
		}
	}
	if phase.Rewritten() {
		d.want.selector = contract.ProxySelector()
		d.want.targetPorts = rewrittenPorts(req.New.Spec.Ports, slots)
	}
	d.want.owners = owners(req, d.want, phase)
	d.warnings = append(d.warnings, mem.putBack(req, d.want)...)
	if _, ok := req.New.Annotations[contract.TargetKey]; ok && phase != "" {
		// What is still wrong here was wrong before: newProblems has seen it.
		d.settings, _ = contract.Parse(req.New.Annotations, contract.Defaults{})
		d.needsScale = !req.FromTPA && (mem.phase == "" || settingsDiffer(req.Old, req.New))
	}
	return d, nil
}

// originalOf is what the user means, as it is noted.
func originalOf(ports []corev1.ServicePort, selector map[string]string, targetPorts []intstr.IntOrString) contract.Original {
	original := contract.Original{
		Selector:    maps.Clone(selector),
		TargetPorts: make(map[int32]intstr.IntOrString, len(targetPorts)),
	}
	for i, port := range ports {
		if isTCP(port) {
			original.TargetPorts[port.Port] = targetPorts[i]
		}
	}
	return original
}

// settingsDiffer reports whether any annotation that a user may write differs.
func settingsDiffer(a, b *corev1.Service) bool {
	for _, key := range contract.UserKeys() {
		old, had := a.Annotations[key]
		now, has := b.Annotations[key]
		if old != now || had != has {
			return true
		}
	}
	return false
}
