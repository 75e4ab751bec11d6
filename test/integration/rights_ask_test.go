//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/proxy/contract"
)

// asker is a user who asks for things in a namespace. Nothing that is written is stored: rights are decided before.
type asker struct {
	dynamic.Interface
	config *rest.Config
	home   home
}

// in is the same user in another namespace.
func (a asker) in(h home) asker {
	a.home = h
	return a
}

// settle waits until the API server has heard of the first of a part's rights.
func (a asker) settle(t *testing.T, first right) {
	t.Helper()
	if first.want == mayNot {
		return
	}
	verb, _, _ := strings.Cut(first.verbs, " ")
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		err := a.try(ctx, verb, first.what)
		if denied(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		t.Fatalf("%s %s: %v", verb, first.what, err)
	}
}

// resource is the client of what is named as in a right.
func (a asker) resource(what string) (r dynamic.ResourceInterface, subresources []string) {
	what, sub, found := strings.Cut(what, "/")
	if found {
		subresources = []string{sub}
	}
	of, _ := a.home.kind(what)
	all := a.Resource(of.GroupVersionResource)
	if !of.namespaced {
		return all, subresources
	}
	return all.Namespace(a.home.name), subresources
}

// try asks for one thing as a right spells it: verbs are those of RBAC, except that "apply" is a server-side apply of an
// object that does not exist, "bind" a RoleBinding tpa-proxy to that role, "escalate" one more rule for that role,
// "annotate" a Service's target, and "impersonate" any request in that name. A kind that is not installed is not found by
// those who may, and refused to others.
func (a asker) try(ctx context.Context, verb, what string) error {
	what, name, _ := strings.Cut(what, " ")
	if name == "home" {
		name = a.home.name
	}
	client, sub := a.resource(what)
	dry := []string{metav1.DryRunAll}
	merge := func(patch string) error {
		_, err := client.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dry}, sub...)
		return err
	}
	var err error
	switch verb {
	case "get":
		_, err = client.Get(ctx, name, metav1.GetOptions{}, sub...)
	case "list":
		_, err = client.List(ctx, metav1.ListOptions{Limit: 1})
	case "watch":
		w, failed := client.Watch(ctx, metav1.ListOptions{})
		if failed == nil {
			w.Stop()
		}
		err = failed
	case "create":
		o := a.home.fresh(what, name)
		if len(sub) == 0 && o.GetName() != "" {
			o.SetName(name + "-new")
		}
		_, err = client.Create(ctx, o, metav1.CreateOptions{DryRun: dry}, sub...)
	case "apply":
		a.home = a.home.bare()
		o := a.home.fresh(what, name)
		client, _ = a.resource(what)
		_, err = client.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{DryRun: dry, FieldManager: contract.FieldManager, Force: true})
	case "update":
		_, err = client.Update(ctx, a.home.present(ctx, what, name), metav1.UpdateOptions{DryRun: dry}, sub...)
	case "patch":
		err = merge(`{"metadata":{"annotations":{"example.com/probe":"x"}}}`)
	case "annotate":
		err = merge(`{"metadata":{"annotations":{"tpa.dev/target":"web"}}}`)
	case "escalate":
		err = merge(`{"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}`)
	case "delete":
		err = client.Delete(ctx, name, metav1.DeleteOptions{DryRun: dry}, sub...)
	case "deletecollection":
		err = client.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: dry}, metav1.ListOptions{})
	case "bind":
		a.home = a.home.bare()
		binding := a.home.fresh("rolebindings.rbac.authorization.k8s.io", contract.ProxyName)
		if err := unstructured.SetNestedField(binding.Object, name, "roleRef", "name"); err != nil {
			return err
		}
		bindings, _ := a.resource("rolebindings.rbac.authorization.k8s.io")
		_, err = bindings.Apply(ctx, contract.ProxyName, binding,
			metav1.ApplyOptions{DryRun: dry, FieldManager: contract.FieldManager, Force: true})
	case "impersonate":
		err = a.impersonate(ctx, fmt.Sprintf("system:serviceaccount:%s:%s", a.home.name, name))
	default:
		err = fmt.Errorf("no test knows the verb %q", verb)
	}
	if _, installed := a.home.kind(what); !installed && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// impersonate asks who one is, in another's name.
func (a asker) impersonate(ctx context.Context, user string) error {
	config := rest.CopyConfig(a.config)
	config.Impersonate.UserName = user
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
	}}
	_, err = client.Resource(schema.GroupVersionResource{
		Group: "authentication.k8s.io", Version: "v1", Resource: "selfsubjectreviews",
	}).Create(ctx, review, metav1.CreateOptions{})
	return err
}

// denied reports whether a request was refused because its user lacks a right: by RBAC, or by TPA, which asks RBAC.
func denied(err error) bool {
	return apierrors.IsForbidden(err) && (strings.Contains(err.Error(), "cannot ") ||
		strings.Contains(err.Error(), "attempting to grant RBAC permissions not currently held") ||
		strings.Contains(err.Error(), `may not update deployments.apps/scale "web"`))
}
