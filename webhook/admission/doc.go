// Package admission answers the API server about Services. What becomes of one is decided by package rewrite; this
// package adds what a pure function cannot know: whether the requesting user may scale the targets, by one
// SubjectAccessReview each, whether another controller would fight over them, and whether they exist.
//
//	server.Register(admission.Path, &webhook.Admission{Handler: &admission.Handler{
//		Self:    "system:serviceaccount:tpa-system:tpa-webhook",
//		Reviews: clientset.AuthorizationV1().SubjectAccessReviews(),
//	}})
//
// For that its ServiceAccount needs, cluster-wide: create subjectaccessreviews, get */scale, and list
// rollouts.argoproj.io, canaries.flagger.app and scaledobjects.keda.sh, installed or not.
//
// It writes nothing, so it is safe for dry runs and for being asked more than once. It keeps no cache and needs no
// leader: every replica serves it.
package admission
