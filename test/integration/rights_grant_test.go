//go:build integration

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
)

// permission is the smallest part of a role: one verb on one resource, perhaps of one name.
type permission struct{ group, resource, verb, name string }

func permissions(rules []rbacv1.PolicyRule) []permission {
	var all []permission
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					for _, name := range names {
						all = append(all, permission{group, resource, verb, name})
					}
				}
			}
		}
	}
	return all
}

func (p permission) rule() rbacv1.PolicyRule {
	rule := rbacv1.PolicyRule{APIGroups: []string{p.group}, Resources: []string{p.resource}, Verbs: []string{p.verb}}
	if p.name != "" {
		rule.ResourceNames = []string{p.name}
	}
	return rule
}

func (p permission) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s in group %q %s", p.verb, p.resource, p.group, p.name))
}

// permissionsOf returns what a ClusterRole of TPA's gives.
func permissionsOf(t *testing.T, role string) []permission {
	t.Helper()
	var r rbacv1.ClusterRole
	must(t, server.Admin.Get(t.Context(), client.ObjectKey{Name: role}, &r))
	return permissions(r.Rules)
}

// TestGrantsWhatItHolds: the controller may give proxies their role although nothing lets it bind that, because it holds
// each of the role's rules; and the verb bind is all that lets it when one is missing.
func TestGrantsWhatItHolds(t *testing.T) {
	home := newHome(t, "grants")
	bind := permission{rbacv1.GroupName, "clusterroles", "bind", contract.ProxyClusterRole}
	const binding = "clusterroles.rbac.authorization.k8s.io " + contract.ProxyClusterRole
	has := permissionsOf(t, "tpa-controller")
	if !slices.Contains(has, bind) {
		t.Fatalf("the controller may not %s", bind)
	}
	if err := home.copyOf(t, "no-bind", has, bind).try(t.Context(), "bind", binding); err != nil {
		t.Errorf("without the verb bind: %v", err)
	}
	passedOn := permissionsOf(t, contract.ProxyClusterRole)
	for i, p := range passedOn {
		err := home.copyOf(t, fmt.Sprint("lacks-", i), has, bind, p).try(t.Context(), "bind", binding)
		if !denied(err) || !strings.Contains(err.Error(), p.verb) {
			t.Errorf("without the right to %s: %v", p, err)
		}
	}
	if err := home.copyOf(t, "bind-alone", has, passedOn[0]).try(t.Context(), "bind", binding); err != nil {
		t.Errorf("with the verb bind: %v", err)
	}
	t.Logf("%d rights are passed on", len(passedOn))
}

// copyOf is a user with permissions but for some.
func (h home) copyOf(t *testing.T, name string, all []permission, without ...permission) asker {
	t.Helper()
	var rules []rbacv1.PolicyRule
	for _, p := range all {
		if !slices.Contains(without, p) {
			rules = append(rules, p.rule())
		}
	}
	if len(rules) != len(all)-len(without) {
		t.Fatalf("%v are not all among the permissions", without)
	}
	meta := metav1.ObjectMeta{Name: "test-" + name}
	must(t, server.Admin.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}))
	must(t, server.Admin.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: meta.Name}},
	}))
	user := h.user(t, meta.Name)
	user.settle(t, right{"get", "namespaces home", may})
	return user
}
