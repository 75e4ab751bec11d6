//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/proxy/sleep"
	"tpa.dev/tpa/webhook/controller"
)

// looked are the kinds that stage.look looks at.
var looked = []client.Object{
	&corev1.Service{}, &coordinationv1.Lease{}, &appsv1.Deployment{},
	&corev1.ServiceAccount{}, &rbacv1.RoleBinding{}, &policyv1.PodDisruptionBudget{},
}

var (
	allocated = regexp.MustCompile(`\b2\d{4}\b`)
	since     = regexp.MustCompile(`,"since":"\d+"`)
)

// look describes the namespace, without what differs from one run to the next: times, UIDs, and which ports were
// allocated.
func (s *stage) look() string {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, list := range []client.ObjectList{
		&corev1.ServiceList{}, &coordinationv1.LeaseList{}, &appsv1.DeploymentList{},
		&corev1.ServiceAccountList{}, &rbacv1.RoleBindingList{}, &policyv1.PodDisruptionBudgetList{},
	} {
		must(s.t, s.seen.List(s.t.Context(), list, client.InNamespace(s.name)))
		objects, err := meta.ExtractList(list)
		must(s.t, err)
		slices.SortFunc(objects, func(a, b runtime.Object) int {
			return strings.Compare(a.(client.Object).GetName(), b.(client.Object).GetName())
		})
		for _, o := range objects {
			switch o := o.(type) {
			case *corev1.Service:
				line("Service %s selects %s%s", o.Name, pairs(o.Spec.Selector), portsOf(o))
				line("  has %s %s", pairs(o.Labels), since.ReplaceAllString(pairs(o.Annotations), ""))
			case *coordinationv1.Lease:
				if o.Labels[contract.LeaseLabel] != contract.LeaseProxy {
					line("Lease %s: %s", o.Name, stateOf(o))
				}
			case *appsv1.Deployment:
				if o.Name != contract.ProxyName {
					line("Deployment %s: %d", o.Name, *o.Spec.Replicas)
					continue
				}
				line("Deployment %s: %d x %s%s", o.Name, *o.Spec.Replicas, o.Spec.Template.Spec.Containers[0].Image,
					recordOf(o.Annotations[controller.RecordKey]))
			case client.Object:
				line("%s %s", strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1."), o.GetName())
			}
		}
	}
	letters := map[string]string{}
	return allocated.ReplaceAllStringFunc(strings.Join(lines, "\n"), func(port string) string {
		if letters[port] == "" {
			letters[port] = string(rune('A' + len(letters)))
		}
		return letters[port]
	})
}

func pairs(m map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, key+"="+m[key])
	}
	return "{" + strings.Join(all, " ") + "}"
}

func portsOf(svc *corev1.Service) string {
	var b strings.Builder
	for _, p := range svc.Spec.Ports {
		fmt.Fprintf(&b, " %d:%s", p.Port, p.TargetPort.String())
	}
	return b.String()
}

// stateOf is what a target's Lease says.
func stateOf(lease *coordinationv1.Lease) string {
	state, err := sleep.Parse(lease.Annotations[contract.StateKey])
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s, owed %t, claims %v", state.Phase, state.Owed, slices.Sorted(maps.Keys(state.Claims)))
}

// recordOf is what the controller remembers of a namespace, but for the times.
func recordOf(record string) string {
	if record == "" {
		return ""
	}
	var r map[string]any
	if err := json.Unmarshal([]byte(record), &r); err != nil {
		return err.Error()
	}
	for key, value := range r {
		if _, text := value.(string); text {
			r[key] = "some time"
		}
	}
	return fmt.Sprintf(" %v", r)
}
