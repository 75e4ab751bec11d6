package cluster

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view/reader"
)

// proxyMayScale reports whether a namespace's proxies may scale a target, and whether the user may ask that.
func (c *Client) proxyMayScale(ctx context.Context, namespace string, t contract.Target) (may, known bool, err error) {
	review := &authorizationv1.LocalSubjectAccessReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace},
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:   "system:serviceaccount:" + namespace + ":" + contract.ProxyName,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: "update", Group: t.Group, Resource: t.Resource, Subresource: "scale", Name: t.Name,
			},
		},
	}
	got, err := c.AuthorizationV1().LocalSubjectAccessReviews(namespace).Create(ctx, review, metav1.CreateOptions{})
	known, err = reader.Allowed(err)
	if err != nil {
		return false, false, fmt.Errorf("ask what the proxies of namespace %s may do: %w", namespace, err)
	}
	return known && got.Status.Allowed, known, nil
}

// May reports whether the user may do something.
func (c *Client) May(ctx context.Context, what authorizationv1.ResourceAttributes) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what}}
	got, err := c.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether you may %s %s: %w", what.Verb, what.Resource, err)
	}
	return got.Status.Allowed, nil
}
