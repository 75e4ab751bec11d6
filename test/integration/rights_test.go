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

const may, mayNot = true, false

// right is a line of a table: what somebody asks for, and whether it is given. Each verb is really tried, see asker.
type right struct {
	verbs string
	// what is RESOURCE.GROUP[/SUBRESOURCE] and the object's name.
	what string
	want bool
}

// proxyRights is what a proxy may do in its own namespace. In another one all of it is refused.
var proxyRights = []right{
	{"get list watch", "services web", may},
	{"get list watch", "pods web-0", may},
	{"get update", "deployments.apps/scale web", may},
	{"get update", "statefulsets.apps/scale db", may},
	{"get update", "dozers.test.tpa.dev/scale dozer", may},
	{"get list watch create update patch", "leases.coordination.k8s.io tpa-deployments-web", may},
	{"create", "events.events.k8s.io happened", may},
	{"patch", "events.events.k8s.io happened", mayNot},
	{"create patch", "events happened", mayNot},

	// What would run code, also by way of the proxy itself.
	{"patch update create delete apply deletecollection", "deployments.apps web", mayNot},
	{"patch update delete", "deployments.apps tpa-proxy", mayNot},
	{"patch update", "statefulsets.apps db", mayNot},
	{"patch update", "dozers.test.tpa.dev dozer", mayNot},
	{"patch", "deployments.apps/scale web", mayNot},
	{"patch", "deployments.apps/status web", mayNot},
	{"create delete patch update deletecollection", "pods web-0", mayNot},
	{"create", "pods/exec web-0", mayNot},
	{"create", "pods/attach web-0", mayNot},
	{"create", "pods/portforward web-0", mayNot},
	{"create", "pods/eviction web-0", mayNot},
	{"update", "pods/ephemeralcontainers web-0", mayNot},
	{"get", "pods/log web-0", mayNot},
	// What would lead connections elsewhere.
	{"patch update create delete", "services web", mayNot},
	{"patch", "services/status web", mayNot},
	// What is secret, and what gives rights.
	{"get list watch create patch", "secrets app", mayNot},
	{"get list watch create patch", "configmaps app", mayNot},
	{"create", "serviceaccounts/token app", mayNot},
	{"get", "serviceaccounts app", mayNot},
	{"create patch delete apply", "rolebindings.rbac.authorization.k8s.io app", mayNot},
	{"bind", "clusterroles.rbac.authorization.k8s.io tpa-proxy", mayNot},
	{"bind", "clusterroles.rbac.authorization.k8s.io cluster-admin", mayNot},
	{"impersonate", "serviceaccounts app", mayNot},
	{"patch delete", "poddisruptionbudgets.policy app", mayNot},
	// Only the controller takes a target's Lease away.
	{"delete deletecollection", "leases.coordination.k8s.io tpa-deployments-web", mayNot},
	{"get list watch", "deployments.apps web", mayNot},
	{"get list patch", "rollouts.argoproj.io web", mayNot},
	{"get list patch", "scaledobjects.keda.sh web", mayNot},
	{"get", "namespaces home", mayNot},
	{"get list", "nodes node", mayNot},
	{"create", "subjectaccessreviews.authorization.k8s.io review", mayNot},
}

// controllerRights is what the webhook and the controller may do, in every namespace.
var controllerRights = []right{
	{"get list watch", "namespaces home", may},
	{"get list watch patch", "services web", may},
	{"get list watch", "pods web-0", may},
	{"get list watch", "deployments.apps web", may},
	{"get list watch", "serviceaccounts app", may},
	{"get list watch", "rolebindings.rbac.authorization.k8s.io app", may},
	{"get list watch", "poddisruptionbudgets.policy app", may},
	{"apply patch delete", "deployments.apps tpa-proxy", may},
	{"apply patch delete", "serviceaccounts tpa-proxy", may},
	{"apply patch delete", "rolebindings.rbac.authorization.k8s.io tpa-proxy", may},
	{"apply patch delete", "poddisruptionbudgets.policy tpa-proxy", may},
	{"bind", "clusterroles.rbac.authorization.k8s.io tpa-proxy", may},
	// RBAC lets everybody give on what they hold; its own role is no more than that.
	{"bind", "clusterroles.rbac.authorization.k8s.io tpa-controller", may},
	{"get list watch create update patch delete apply", "leases.coordination.k8s.io tpa-deployments-web", may},
	{"get update", "deployments.apps/scale web", may},
	{"get update", "statefulsets.apps/scale db", may},
	{"get update", "dozers.test.tpa.dev/scale dozer", may},
	{"create patch", "events.events.k8s.io happened", may},
	{"create patch", "events happened", may},
	{"list", "rollouts.argoproj.io web", may},
	{"list", "canaries.flagger.app web", may},
	{"list", "scaledobjects.keda.sh web", may},
	{"create", "subjectaccessreviews.authorization.k8s.io review", may},
	{"create", "tokenreviews.authentication.k8s.io review", may},

	// Of these it writes none but its own.
	{"apply patch update delete", "deployments.apps web", mayNot},
	{"apply patch update delete", "serviceaccounts app", mayNot},
	{"apply patch update delete", "rolebindings.rbac.authorization.k8s.io app", mayNot},
	{"apply patch update delete", "poddisruptionbudgets.policy app", mayNot},
	// Whoever does not name what is created or deleted is not asking for its own.
	{"create update deletecollection", "deployments.apps tpa-proxy", mayNot},
	{"create update deletecollection", "serviceaccounts tpa-proxy", mayNot},
	{"create update deletecollection", "rolebindings.rbac.authorization.k8s.io tpa-proxy", mayNot},
	{"create update deletecollection", "poddisruptionbudgets.policy tpa-proxy", mayNot},
	// What gives rights.
	{"bind", "clusterroles.rbac.authorization.k8s.io cluster-admin", mayNot},
	{"bind", "clusterroles.rbac.authorization.k8s.io system:node", mayNot},
	{"bind", "clusterroles.rbac.authorization.k8s.io system:kube-scheduler", mayNot},
	{"escalate", "clusterroles.rbac.authorization.k8s.io tpa-proxy", mayNot},
	{"escalate", "clusterroles.rbac.authorization.k8s.io tpa-controller", mayNot},
	{"create apply", "roles.rbac.authorization.k8s.io tpa-proxy", mayNot},
	{"create apply", "clusterrolebindings.rbac.authorization.k8s.io tpa-proxy", mayNot},
	{"create", "serviceaccounts/token tpa-proxy", mayNot},
	{"impersonate", "serviceaccounts app", mayNot},
	{"get list watch create patch", "secrets app", mayNot},
	{"get list watch", "configmaps app", mayNot},
	// What would run code.
	{"create patch update delete", "pods web-0", mayNot},
	{"create", "pods/exec web-0", mayNot},
	{"update", "pods/ephemeralcontainers web-0", mayNot},
	{"patch update", "statefulsets.apps db", mayNot},
	{"patch update", "dozers.test.tpa.dev dozer", mayNot},
	{"patch", "deployments.apps/scale web", mayNot},
	{"create", "jobs.batch app", mayNot},
	// What others own who act on Services and replicas.
	{"create patch update delete", "rollouts.argoproj.io web", mayNot},
	{"create patch update delete", "canaries.flagger.app web", mayNot},
	{"create patch update delete", "scaledobjects.keda.sh web", mayNot},
	{"create patch update delete", "horizontalpodautoscalers.autoscaling web", mayNot},
	// What it only changes by way of admission, or not at all.
	{"create update delete deletecollection", "services web", mayNot},
	{"patch", "services/status web", mayNot},
	{"create patch update delete", "namespaces home", mayNot},
	{"get list patch update delete", "mutatingwebhookconfigurations.admissionregistration.k8s.io tpa", mayNot},
	{"get list patch", "customresourcedefinitions.apiextensions.k8s.io dozers.test.tpa.dev", mayNot},
	{"get list", "nodes node", mayNot},
	{"deletecollection", "leases.coordination.k8s.io tpa-deployments-web", mayNot},
	{"delete", "events happened", mayNot},
}

// personRights is what somebody has who may change Services and nothing else, where TPA is.
var personRights = []right{
	{"get list patch update", "services web", may},
	{"annotate", "services web", mayNot},
	{"get update", "deployments.apps/scale web", mayNot},
	{"patch update", "deployments.apps web", mayNot},
	{"patch", "deployments.apps tpa-proxy", mayNot},
	{"create", "pods/exec tpa-proxy-0", mayNot},
	{"get create update patch delete", "leases.coordination.k8s.io tpa-deployments-web", mayNot},
	{"create", "serviceaccounts/token tpa-proxy", mayNot},
	{"impersonate", "serviceaccounts tpa-proxy", mayNot},
	{"bind", "clusterroles.rbac.authorization.k8s.io tpa-proxy", mayNot},
	{"get", "secrets app", mayNot},
}

// scalerRights is what annotating a Service takes.
var scalerRights = []right{
	{"get update", "deployments.apps/scale web", may},
	{"annotate", "services web", may},
	{"patch update", "deployments.apps web", mayNot},
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
					if err := part.who.try(t.Context(), verb, r.what); r.want == may && err != nil {
						t.Errorf("%s %s: %v", verb, r.what, err)
					} else if r.want == mayNot && !denied(err) {
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
		none = append(none, right{r.verbs, r.what, mayNot})
	}
	return none
}

// TestEveryRightIsTried: a rule that is added to a role needs a line above, which says what it is for.
func TestEveryRightIsTried(t *testing.T) {
	for role, table := range map[string][]right{contract.ProxyClusterRole: proxyRights, "tpa-controller": controllerRights} {
		for _, p := range permissionsOf(t, role) {
			if !slices.ContainsFunc(table, func(r right) bool { return r.want == may && r.needs(p) }) {
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
