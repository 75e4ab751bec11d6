package main

import (
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"tpa.dev/tpa/test/apiserver"
)

func leaderElection(e *auditv1.Event) bool {
	object := apiserver.About(e)
	return object.Resource == "leases" && object.Namespace == apiserver.Namespace && object.Name == "tpa-controller"
}

// kind is what kind of request it was, such as "patch services".
func kind(e *auditv1.Event) string {
	if leaderElection(e) {
		return e.Verb + " the leader's lease"
	}
	return apiserver.Kind(e)
}
