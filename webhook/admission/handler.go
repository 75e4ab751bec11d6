package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/rewrite"
)

// Path is where both entries of the webhook configuration send Services.
const Path = "/admit-service"

// Handler answers for Services. It is safe for concurrent use.
type Handler struct {
	// Self is the user name of TPA's own ServiceAccount. Required.
	Self string
	// Reviews asks what a user may do. Required.
	Reviews Reviewer
	// Rivals says which other controllers change the Service's selector or scale its targets. Nil: nobody looks for any.
	Rivals func(ctx context.Context, svc *corev1.Service, targets []contract.Target) (field.ErrorList, error)
	// Exists reports whether a target is there. Nil: nobody is warned about a missing one.
	Exists func(ctx context.Context, namespace string, target contract.Target) (bool, error)
}

var _ admission.Handler = (*Handler)(nil)

// Handle implements admission.Handler.
func (h *Handler) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update || req.SubResource != "" {
		return admission.Allowed("")
	}
	in := rewrite.Request{New: &corev1.Service{}, FromTPA: req.UserInfo.Username == h.Self}
	if err := json.Unmarshal(req.Object.Raw, in.New); err != nil {
		return admission.Errored(http.StatusBadRequest, fmt.Errorf("decode the Service: %w", err))
	}
	if req.Operation == admissionv1.Update {
		in.Old = &corev1.Service{}
		if err := json.Unmarshal(req.OldObject.Raw, in.Old); err != nil {
			return admission.Errored(http.StatusBadRequest, fmt.Errorf("decode the Service's predecessor: %w", err))
		}
	}
	if in.New.DeletionTimestamp != nil {
		return admission.Allowed("") // whoever waits for it to go must not wait for us
	}

	result, errs := rewrite.Admit(in)
	if len(errs) > 0 {
		return admission.Denied(explain(errs))
	}
	warnings := result.Warnings
	if result.NeedsScale || adopts(in, result) {
		more, denial := h.look(ctx, req, in, result)
		if denial != nil {
			return *denial
		}
		warnings = append(warnings, more...)
	}
	return admission.Patched("", result.Patch...).WithWarnings(warnings...)
}

// look asks the API server what only it knows about the targets that were chosen. A person is told no more than they may
// know: rights come first.
func (h *Handler) look(ctx context.Context, req admission.Request, in rewrite.Request, result rewrite.Result) (
	warnings []string, denial *admission.Response,
) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	targets := result.Settings.Targets
	if result.NeedsScale {
		for _, target := range targets {
			if denial := h.mayScale(ctx, req, target); denial != nil {
				return nil, denial
			}
		}
	}
	if denial := h.rivals(ctx, in.New, targets); denial != nil {
		return nil, denial
	}
	if in.FromTPA {
		return nil, nil // nobody reads its warnings
	}
	return h.missing(ctx, req.Namespace, targets), nil
}

// adopts reports whether TPA itself opts a Service in, on behalf of who labelled the namespace.
func adopts(in rewrite.Request, result rewrite.Result) bool {
	return in.FromTPA && result.Phase != "" && in.Old != nil && in.Old.Annotations[contract.PhaseKey] == ""
}

// rivals returns a denial if another controller would fight with TPA over the Service or its targets.
func (h *Handler) rivals(ctx context.Context, svc *corev1.Service, targets []contract.Target) *admission.Response {
	if h.Rivals == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, rivalsTimeout)
	defer cancel()
	errs, err := h.Rivals(ctx, svc, targets)
	var response admission.Response
	switch {
	case err != nil:
		response = admission.Errored(http.StatusInternalServerError, fmt.Errorf(
			"TPA could not find out whether another controller changes Service %q or scales its target, so nothing was changed; "+
				"try again: %w", svc.Name, err))
	case len(errs) > 0:
		response = admission.Denied(explain(errs))
	default:
		return nil
	}
	return &response
}

// missing warns about targets that do not exist. A Service may come before its target, as GitOps applies them, so this
// rejects nothing, and a look that fails says nothing.
func (h *Handler) missing(ctx context.Context, namespace string, targets []contract.Target) []string {
	if h.Exists == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var warnings []string
	for _, target := range targets {
		if found, err := h.Exists(ctx, namespace, target); err == nil && !found {
			warnings = append(warnings, fmt.Sprintf("metadata.annotations[%s]: %s does not exist (yet) in namespace %q",
				contract.TargetKey, target, namespace))
		}
	}
	return warnings
}

// explain puts errors as one line that reads well behind "denied the request: ".
func explain(errs field.ErrorList) string {
	lines := make([]string, len(errs))
	for i, err := range errs {
		switch err.Type {
		case field.ErrorTypeRequired:
			lines[i] = fmt.Sprintf("%s is required: %s", err.Field, err.Detail)
		default:
			lines[i] = fmt.Sprintf("%s: %q is not accepted: %s", err.Field, fmt.Sprint(err.BadValue), err.Detail)
		}
	}
	return strings.Join(lines, "; ")
}
