//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"tpa.dev/tpa/proxy/contract"
)

// widgets is a kind of workload of somebody's own.
var widgets = crd("example.com", "v1", "widgets", "Widget", true)

// mayEditServices is what every user here may do.
var mayEditServices = rbacv1.PolicyRule{
	APIGroups: []string{""}, Resources: []string{"services"},
	Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"},
}

func mayScale(verb, group, resource string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource + "/scale"}, ResourceNames: names, Verbs: []string{verb}}
}

// userOf makes a user, who may edit Services and what the rules say, and whose name nobody else has.
func (s *shop) userOf(name string, rules ...rbacv1.PolicyRule) (*shop, string) {
	s.Helper()
	name += "-" + s.ns
	s.grant(name, "Role", append(rules, mayEditServices)...)
	return s.as(name), name
}

// refusal is what kubectl prints for who may not scale the target.
func (s *shop) refusal(user, resource, name string) string {
	return fmt.Sprintf(`denied the request: metadata.annotations[tpa.dev/target]: user %q may not update %s/scale %q in namespace %q: `+
		`TPA scales the target of this Service, so who annotates it needs the same right`, user, resource, name, s.ns)
}

// TestDeputyOptsIn: who annotates a Service needs the right to scale each of its targets.
func TestDeputyOptsIn(t *testing.T) {
	openShop(t).install(widgets)
	web, db := mayScale("update", "apps", "deployments", "web"), mayScale("update", "apps", "statefulsets", "db")
	for _, tt := range []struct {
		name   string
		rules  []rbacv1.PolicyRule
		target string
		denied string // the resource and the name; empty: the user passes
	}{
		{"nothing", nil, "web", "deployments.apps web"},
		{"the one", []rbacv1.PolicyRule{web}, "web", ""},
		{"all that scales", []rbacv1.PolicyRule{mayScale("update", "*", "*")}, "web,statefulset/db,widgets.example.com/w", ""},
		{"another name", []rbacv1.PolicyRule{web}, "api", "deployments.apps api"},
		{"another kind", []rbacv1.PolicyRule{mayScale("update", "apps", "deployments")}, "statefulset/web", "statefulsets.apps web"},
		{"to patch it", []rbacv1.PolicyRule{mayScale("patch", "apps", "deployments")}, "web", "deployments.apps web"},
		{"to read it", []rbacv1.PolicyRule{mayScale("get", "apps", "deployments")}, "web", "deployments.apps web"},
		{"the workload, not its scale", []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"*"}}}, "web", "deployments.apps web"},
		{"one of two", []rbacv1.PolicyRule{web}, "web,statefulset/db", "statefulsets.apps db"},
		{"the other of two", []rbacv1.PolicyRule{db}, "web,statefulset/db", "deployments.apps web"},
		{"both", []rbacv1.PolicyRule{web, db}, "web,statefulset/db", ""},
		{"a StatefulSet", []rbacv1.PolicyRule{db}, "sts/db", ""},
		{"a kind of somebody's own", []rbacv1.PolicyRule{mayScale("update", "example.com", "widgets", "w")}, "widgets.example.com/w", ""},
		{"a kind of somebody's own, not", []rbacv1.PolicyRule{web}, "widgets.example.com/w", "widgets.example.com w"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openShop(t)
			ann, name := s.userOf("ann", tt.rules...)
			s.passes(s.yaml(s.manifest()), "create", "-f", "-")
			target := contract.TargetKey + "=" + tt.target
			if tt.denied == "" {
				ann.passes("", "annotate", "service", "web", target)
				ann.passes("", "delete", "service", "web")
				ann.passes(s.yaml(s.manifest(target)), "create", "-f", "-")
				return
			}
			resource, denied, _ := strings.Cut(tt.denied, " ")
			want := s.refusal(name, resource, denied)
			ann.fails(want, "", "annotate", "service", "web", target)
			ann.fails(want, "", "annotate", "--dry-run=server", "service", "web", target)
			ann.fails(want, s.yaml(s.manifest(target)), "apply", "--server-side", "--force-conflicts", "-f", "-")
			ann.fails(want, s.yaml(s.manifest(target)), "replace", "-f", "-")
			ann.passes("", "delete", "service", "web")
			ann.fails(want, s.yaml(s.manifest(target)), "create", "-f", "-")
		})
	}
}

// settings are all annotations that a user may write beside the target, with another value than active has.
var settings = map[string]string{
	contract.IdleTimeoutKey: "5m", contract.IdleWhenKey: "no-connections", contract.WakeOnKey: "data", contract.WakeTimeoutKey: "1m", contract.WakeReplicasKey: "3",
	contract.MaxHeldKey: "5", contract.ProxyProtocolKey: "v1", contract.IgnoreSourcesKey: "198.51.100.0/24",
	contract.PassivePortsKey: "main", contract.AllowSourceIPLossKey: "true", contract.BypassKey: "true",
	contract.ModeKey: "paused", contract.SleepRequestedKey: "2026-01-31T17:00:00Z",
}

// TestDeputyChangesSettings: how a target sleeps is for those to say who may scale it.
func TestDeputyChangesSettings(t *testing.T) {
	s := openShop(t)
	ann, _ := s.userOf("ann", mayScale("update", "apps", "deployments"))
	bob, name := s.userOf("bob")
	want := s.refusal(name, "deployments.apps", "web")
	s.active()
	for _, key := range contract.UserKeys() {
		if key == contract.TargetKey {
			continue
		}
		value, ok := settings[key]
		if !ok {
			t.Fatalf("no value for %s", key)
		}
		bob.fails(want, "", "annotate", "service", "web", key+"="+value)
		if warned := ann.passes("", "annotate", "service", "web", key+"="+value); strings.Contains(warned, key) {
			t.Errorf("%s: %s", key, warned)
		}
		bob.fails(want, "", "annotate", "service", "web", key+"-")
	}
	bob.fails(s.refusal(name, "deployments.apps", "api"), "", "annotate", "--overwrite", "service", "web", contract.TargetKey+"=api")
	if got := s.get("web").Annotations; got[contract.TargetKey] != "web" || got[contract.IdleTimeoutKey] != "5m" {
		t.Errorf("annotations %v", got)
	}
}

// TestDeputyEditsTheRest: somebody else's Service is as before for who may edit Services, in each phase, without a word.
// Who may opt out need not be able to opt in.
func TestDeputyEditsTheRest(t *testing.T) {
	for _, phase := range []contract.Phase{contract.Pending, contract.Active, contract.Restoring} {
		t.Run(string(phase), func(t *testing.T) {
			s := openShop(t)
			bob, name := s.userOf("bob")
			s.active()
			s.phase("web", phase, contract.Ports{80: 20001})
			for _, args := range [][]string{
				{"label", "service", "web", "team=a"},
				{"annotate", "service", "web", "example.com/note=x"},
				{"patch", "service", "web", "--type=json", "-p", `[{"op":"add","path":"/spec/ports/-","value":{"name":"admin","port":81,"targetPort":9000}}]`},
				{"patch", "service", "web", "-p", `{"spec":{"type":"NodePort"}}`},
				{"patch", "service", "web", "-p", `{"spec":{"sessionAffinity":"ClientIP"}}`},
				{"patch", "service", "web", "-p", `{"spec":{"ports":[{"port":80,"targetPort":"web"}]}}`},
				{"patch", "service", "web", "-p", `{"spec":{"selector":{"app":"web","tier":"b"}}}`},
				{"patch", "service", "web", "--type=json", "-p", `[{"op":"remove","path":"/spec/ports/1"}]`},
				{"annotate", "service", "web", contract.TargetKey + "-"},
			} {
				if warned := bob.passes("", args...); warned != "" {
					t.Errorf("kubectl %q: warning %s", args, warned)
				}
			}
			if phase.Rewritten() {
				bob.fails(s.refusal(name, "deployments.apps", "web"), "", "annotate", "service", "web", contract.TargetKey+"=web")
				s.phase("web", "", nil)
			}
			got := s.get("web")
			want := corev1.ServicePort{Name: "main", Protocol: "TCP", Port: 80, NodePort: got.Spec.Ports[0].NodePort}
			want.TargetPort.Type, want.TargetPort.StrVal = 1, "web"
			if len(got.Spec.Ports) != 1 || got.Spec.Ports[0] != want || got.Labels["team"] != "a" || got.Spec.Selector["tier"] != "b" {
				t.Errorf("what bob wrote is %+v, %v", got.Spec, got.Labels)
			}
		})
	}
}

// TestControllers: who writes status, finalizers and labels, as a cloud provider does, meets nothing of TPA's.
func TestControllers(t *testing.T) {
	s := openShop(t)
	name := "system:serviceaccount:cloud:" + s.ns
	s.grant(name, "Role",
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"get", "list", "watch", "patch", "update"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"services/status"}, Verbs: []string{"get", "patch", "update"}})
	cloud := s.as(name)
	s.active(func(svc *corev1.Service) { svc.Spec.Type = corev1.ServiceTypeLoadBalancer })
	for i, phase := range []contract.Phase{contract.Active, contract.Pending, contract.Active, contract.Restoring} {
		before := s.phase("web", phase, contract.Ports{80: 20001})
		ip := fmt.Sprintf("203.0.113.%d", i)
		for _, args := range [][]string{
			{"patch", "service", "web", "--subresource=status", "--type=merge", "-p", `{"status":{"loadBalancer":{"ingress":[{"ip":"` + ip + `"}]}}}`},
			{"patch", "service", "web", "--type=merge", "-p", `{"metadata":{"finalizers":["service.kubernetes.io/load-balancer-cleanup"]}}`},
			{"label", "--overwrite", "service", "web", "cloud.example/round=" + fmt.Sprint(i)},
			{"patch", "service", "web", "--type=merge", "-p", fmt.Sprintf(`{"metadata":{"annotations":{"cloud.example/id":"%d"}}}`, i)},
		} {
			if warned := cloud.passes("", args...); warned != "" {
				t.Errorf("%s: kubectl %q: warning %s", phase, args, warned)
			}
		}
		after := s.get("web")
		if len(after.Status.LoadBalancer.Ingress) != 1 || after.Status.LoadBalancer.Ingress[0].IP != ip || len(after.Finalizers) != 1 {
			t.Errorf("%s: status %+v, finalizers %v", phase, after.Status, after.Finalizers)
		}
		same(t, before.Spec, after.Spec)
	}
	cloud.passes("", "patch", "service", "web", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
}
