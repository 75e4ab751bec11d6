//go:build integration

package integration

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/test/apiserver"
)

const allowed, refused = true, false

// right is a line of a table: what somebody asks for, and whether it is given. Each verb is really tried, see asker.
type right struct {
	verbs string
	// what is RESOURCE.GROUP[/SUBRESOURCE] and the object's name.
	what string
	want bool
}

// proxyRights is what a proxy may do in its own namespace. In another one all of it is refused.
var proxyRights = []right{
	{"get list watch", "services web", allowed},
	{"get list watch", "pods web-0", allowed},
	{"get update", "deployments.apps/scale web", allowed},
	{"get update", "statefulsets.apps/scale db", allowed},
	{"get update", "dozers.test.tpa.dev/scale dozer", allowed},
	{"get list watch create update patch", "leases.coordination.k8s.io tpa-deployments-web", allowed},
	{"create patch", "events.events.k8s.io happened", allowed},
	{"create patch", "events happened", allowed},

	// What would run code, also by way of the proxy itself.
	{"patch update create delete apply deletecollection", "deployments.apps web", refused},
	{"patch update delete", "deployments.apps tpa-proxy", refused},
	{"patch update", "statefulsets.apps db", refused},
	{"patch update", "dozers.test.tpa.dev dozer", refused},
	{"patch", "deployments.apps/scale web", refused},
	{"patch", "deployments.apps/status web", refused},
	{"create delete patch update deletecollection", "pods web-0", refused},
	{"create", "pods/exec web-0", refused},
	{"create", "pods/attach web-0", refused},
	{"create", "pods/portforward web-0", refused},
	{"create", "pods/eviction web-0", refused},
	{"update", "pods/ephemeralcontainers web-0", refused},
	{"get", "pods/log web-0", refused},
	// What would lead connections elsewhere.
	{"patch update create delete", "services web", refused},
	{"patch", "services/status web", refused},
	// What is secret, and what gives rights.
	{"get list watch create patch", "secrets app", refused},
	{"get list watch create patch", "configmaps app", refused},
	{"create", "serviceaccounts/token app", refused},
	{"get", "serviceaccounts app", refused},
	{"create patch delete apply", "rolebindings.rbac.authorization.k8s.io app", refused},
	{"bind", "clusterroles.rbac.authorization.k8s.io tpa-proxy", refused},
	{"bind", "clusterroles.rbac.authorization.k8s.io cluster-admin", refused},
	{"impersonate", "serviceaccounts app", refused},
	{"patch delete", "poddisruptionbudgets.policy app", refused},
	// Only the controller takes a target's Lease away.
	{"delete deletecollection", "leases.coordination.k8s.io tpa-deployments-web", refused},
	{"get list watch", "deployments.apps web", refused},
	{"get", "namespaces home", refused},
	{"get list", "nodes node", refused},
	{"create", "subjectaccessreviews.authorization.k8s.io review", refused},
}

// controllerRights is what the webhook and the controller may do, in every namespace.
var controllerRights = []right{
	{"get list watch", "namespaces home", allowed},
	{"get list watch patch", "services web", allowed},
	{"get list watch", "pods web-0", allowed},
	{"get list watch", "deployments.apps web", allowed},
	{"get list watch", "serviceaccounts app", allowed},
	{"get list watch", "rolebindings.rbac.authorization.k8s.io app", allowed},
	{"get list watch", "poddisruptionbudgets.policy app", allowed},
	{"apply patch delete", "deployments.apps tpa-proxy", allowed},
	{"apply patch delete", "serviceaccounts tpa-proxy", allowed},
	{"apply patch delete", "rolebindings.rbac.authorization.k8s.io tpa-proxy", allowed},
	{"apply patch delete", "poddisruptionbudgets.policy tpa-proxy", allowed},
	{"bind", "clusterroles.rbac.authorization.k8s.io tpa-proxy", allowed},
	// RBAC lets everybody give on what they hold; its own role is no more than that.
	{"bind", "clusterroles.rbac.authorization.k8s.io tpa-controller", allowed},
	{"get list watch create update patch delete apply", "leases.coordination.k8s.io tpa-deployments-web", allowed},
	{"get update", "deployments.apps/scale web", allowed},
	{"get update", "statefulsets.apps/scale db", allowed},
	{"get update", "dozers.test.tpa.dev/scale dozer", allowed},
	{"create patch", "events.events.k8s.io happened", allowed},
	{"create patch", "events happened", allowed},
	{"create", "subjectaccessreviews.authorization.k8s.io review", allowed},
	{"create", "tokenreviews.authentication.k8s.io review", allowed},

	// Of these it writes none but its own.
	{"apply patch update delete", "deployments.apps web", refused},
	{"apply patch update delete", "serviceaccounts app", refused},
	{"apply patch update delete", "rolebindings.rbac.authorization.k8s.io app", refused},
	{"apply patch update delete", "poddisruptionbudgets.policy app", refused},
	// Whoever does not name what is created or deleted is not asking for its own.
	{"create update deletecollection", "deployments.apps tpa-proxy", refused},
	{"create update deletecollection", "serviceaccounts tpa-proxy", refused},
	{"create update deletecollection", "rolebindings.rbac.authorization.k8s.io tpa-proxy", refused},
	{"create update deletecollection", "poddisruptionbudgets.policy tpa-proxy", refused},
	// What gives rights.
	{"bind", "clusterroles.rbac.authorization.k8s.io cluster-admin", refused},
	{"bind", "clusterroles.rbac.authorization.k8s.io system:node", refused},
	{"bind", "clusterroles.rbac.authorization.k8s.io system:kube-scheduler", refused},
	{"escalate", "clusterroles.rbac.authorization.k8s.io tpa-proxy", refused},
	{"escalate", "clusterroles.rbac.authorization.k8s.io tpa-controller", refused},
	{"create apply", "roles.rbac.authorization.k8s.io tpa-proxy", refused},
	{"create apply", "clusterrolebindings.rbac.authorization.k8s.io tpa-proxy", refused},
	{"create", "serviceaccounts/token tpa-proxy", refused},
	{"impersonate", "serviceaccounts app", refused},
	{"get list watch create patch", "secrets app", refused},
	{"get list watch", "configmaps app", refused},
	// What would run code.
	{"create patch update delete", "pods web-0", refused},
	{"create", "pods/exec web-0", refused},
	{"update", "pods/ephemeralcontainers web-0", refused},
	{"patch update", "statefulsets.apps db", refused},
	{"patch update", "dozers.test.tpa.dev dozer", refused},
	{"patch", "deployments.apps/scale web", refused},
	{"create", "jobs.batch app", refused},
	// What it only changes by way of admission, or not at all.
	{"create update delete deletecollection", "services web", refused},
	{"patch", "services/status web", refused},
	{"create patch update delete", "namespaces home", refused},
	{"get list patch update delete", "mutatingwebhookconfigurations.admissionregistration.k8s.io tpa", refused},
	{"get list patch", "customresourcedefinitions.apiextensions.k8s.io dozers.test.tpa.dev", refused},
	{"get list", "nodes node", refused},
	{"deletecollection", "leases.coordination.k8s.io tpa-deployments-web", refused},
	{"delete", "events happened", refused},
}

// personRights is what somebody has who may change Services and nothing else, where TPA is.
var personRights = []right{
	{"get list patch update", "services web", allowed},
	{"annotate", "services web", refused},
	{"get update", "deployments.apps/scale web", refused},
	{"patch update", "deployments.apps web", refused},
	{"patch", "deployments.apps tpa-proxy", refused},
	{"create", "pods/exec tpa-proxy-0", refused},
	{"get create update patch delete", "leases.coordination.k8s.io tpa-deployments-web", refused},
	{"create", "serviceaccounts/token tpa-proxy", refused},
	{"impersonate", "serviceaccounts tpa-proxy", refused},
	{"bind", "clusterroles.rbac.authorization.k8s.io tpa-proxy", refused},
	{"get", "secrets app", refused},
}

// scalerRights is what annotating a Service takes.
var scalerRights = []right{
	{"get update", "deployments.apps/scale web", allowed},
	{"annotate", "services web", allowed},
	{"patch update", "deployments.apps web", refused},
}

// TestRights tries each right as the one who has it, or must not.
func TestRights(t *testing.T) {
	home, away := newHome(t, "rights"), newHome(t, "rights-away")
	proxy := home.user(t, "system:serviceaccount:rights:tpa-proxy", "system:serviceaccounts", "system:serviceaccounts:rights")
	controller := home.user(t, apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+apiserver.Namespace)
	home.bringProxy(t, controller)
	away.bringProxy(t, controller)

	person, scaler := home.user(t, "person"), home.user(t, "scaler")
	const services = "services: get list watch update patch"
	home.grant(t, "person", services)
	home.grant(t, "scaler", services, "deployments.apps/scale: get update")

	for _, part := range []struct {
		name   string
		who    asker
		rights []right
	}{
		{"proxy", proxy, proxyRights},
		{"proxy in another namespace", proxy.in(away), nowhere(proxyRights)},
		{"controller", controller, controllerRights},
		{"controller in any namespace", controller.in(away), controllerRights},
		{"person", person, personRights},
		{"person who may scale", scaler, scalerRights},
	} {
		t.Run(part.name, func(t *testing.T) {
			part.who.settle(t, part.rights[0])
			tried := 0
			for _, r := range part.rights {
				for verb := range strings.FieldsSeq(r.verbs) {
					tried++
					if err := part.who.try(t.Context(), verb, r.what); r.want == allowed && err != nil {
						t.Errorf("%s %s: %v", verb, r.what, err)
					} else if r.want == refused && !denied(err) {
						t.Errorf("%s %s: want a refusal for lack of rights, got %v", verb, r.what, err)
					}
				}
			}
			t.Logf("%d rights tried", tried)
		})
	}
}

// nowhere is what the same one may do elsewhere: nothing.
func nowhere(rights []right) []right {
	var none []right
	for _, r := range rights {
		none = append(none, right{r.verbs, r.what, refused})
	}
	return none
}

// TestEveryRightIsTried: a rule that is added to a role needs a line above, which says what it is for.
func TestEveryRightIsTried(t *testing.T) {
	for role, table := range map[string][]right{contract.ProxyClusterRole: proxyRights, "tpa-controller": controllerRights} {
		for _, p := range permissionsOf(t, role) {
			if !slices.ContainsFunc(table, func(r right) bool { return r.want == allowed && r.needs(p) }) {
				t.Errorf("%s may %s, and no test needs that", role, p)
			}
		}
	}
}

// needs reports whether a right rests on a permission.
func (r right) needs(p permission) bool {
	what, name, _ := strings.Cut(r.what, " ")
	what, sub, found := strings.Cut(what, "/")
	gr := schema.ParseGroupResource(what)
	if found {
		gr.Resource += "/" + sub
	}
	anyScale := p.group == "*" && p.resource == "*/scale" && sub == "scale"
	if !anyScale && (gr != schema.GroupResource{Group: p.group, Resource: p.resource}) || p.name != "" && p.name != name {
		return false
	}
	verbs := strings.Fields(r.verbs)
	return slices.Contains(verbs, p.verb) ||
		slices.Contains(verbs, "apply") && (p.verb == "create" || p.verb == "patch")
}
