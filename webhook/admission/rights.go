package admission

import (
	"context"
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"tpa.dev/tpa/proxy/contract"
)

// The API server gives us 5 s (timeoutSeconds). Who asks must hear why it took too long, from us.
const (
	answerTimeout = 4500 * time.Millisecond // for all questions together
	reviewTimeout = 3 * time.Second
	rivalsTimeout = 2 * time.Second
	lookTimeout   = time.Second
)

// Reviewer asks the API server what a user may do; a SubjectAccessReviewInterface of client-go is one.
type Reviewer interface {
	Create(context.Context, *authorizationv1.SubjectAccessReview, metav1.CreateOptions) (
		*authorizationv1.SubjectAccessReview, error)
}

// mayScale returns a denial unless the requesting user may scale the target. TPA scales with its own rights; without
// this question, whoever may annotate a Service could stop any workload of the namespace.
func (h *Handler) mayScale(ctx context.Context, req admission.Request, target contract.Target) *admission.Response {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	what := fmt.Sprintf("update %s/scale %q in namespace %q", target.GroupResource(), target.Name, req.Namespace)
	field := fmt.Sprintf("metadata.annotations[%s]", contract.TargetKey)

	review, err := h.Reviews.Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:   req.UserInfo.Username,
			UID:    req.UserInfo.UID,
			Groups: req.UserInfo.Groups,
			Extra:  reviewExtra(req.UserInfo.Extra),
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb:        "update",
				Group:       target.Group,
				Resource:    target.Resource,
				Subresource: "scale",
				Name:        target.Name,
				Namespace:   req.Namespace,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		response := admission.Errored(http.StatusInternalServerError, fmt.Errorf(
			"%s: TPA could not find out whether user %q may %s, so nothing was changed; try again: %w",
			field, req.UserInfo.Username, what, err))
		return &response
	}
	if review.Status.Allowed && !review.Status.Denied {
		return nil
	}
	reason := ""
	if review.Status.Reason != "" {
		reason = " (" + review.Status.Reason + ")"
	}
	response := admission.Denied(fmt.Sprintf(
		"%s: user %q may not %s%s: TPA scales the target of this Service, so who annotates it needs the same right",
		field, req.UserInfo.Username, what, reason))
	return &response
}

func reviewExtra(extra map[string]authenticationv1.ExtraValue) map[string]authorizationv1.ExtraValue {
	if len(extra) == 0 {
		return nil
	}
	out := make(map[string]authorizationv1.ExtraValue, len(extra))
	for key, values := range extra {
		out[key] = authorizationv1.ExtraValue(values)
	}
	return out
}
