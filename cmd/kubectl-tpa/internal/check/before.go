package check

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"tpa.dev/tpa/proxy/contract"
)

// oldest is the first Kubernetes whose webhooks have matchConditions for good.
const oldest = "1.30.0"

func server(_ context.Context, o Options) []Line {
	info, err := o.Client.Discovery().ServerVersion()
	if err != nil {
		return []Line{bad("kubectl cluster-info", "the API server at %s does not answer: %v", o.Client.Host, err)}
	}
	v, err := version.ParseGeneric(info.GitVersion)
	if err != nil {
		return []Line{note("TPA needs "+oldest+" or newer", "the API server's version %q cannot be read", info.GitVersion)}
	}
	if v.LessThan(version.MustParseGeneric(oldest)) {
		return []Line{bad("upgrade the cluster to "+oldest+" or newer", "Kubernetes %s is too old", info.GitVersion)}
	}
	return []Line{good("Kubernetes %s", info.GitVersion)}
}

const (
	certManagerAPI  = "cert-manager.io/v1"
	certManagerMend = "install cert-manager: https://cert-manager.io/docs/installation/"
)

func certManager(ctx context.Context, o Options) []Line {
	list, err := o.Client.Discovery().ServerResourcesForGroupVersion(certManagerAPI)
	if apierrors.IsNotFound(err) {
		return []Line{bad(certManagerMend, "cert-manager is not installed: the API server does not know %s", certManagerAPI)}
	}
	if err != nil {
		return []Line{bad("kubectl get --raw /apis/"+certManagerAPI, "look for cert-manager: %v", err)}
	}
	known := map[string]bool{}
	for _, r := range list.APIResources {
		known[r.Name] = true
	}
	for _, kind := range []string{"certificates", "issuers"} {
		if !known[kind] {
			return []Line{bad(certManagerMend, "cert-manager has no %s in %s", kind, certManagerAPI)}
		}
	}
	lines := []Line{good("cert-manager's kinds are there (%s)", certManagerAPI)}
	return append(lines, certManagerRuns(ctx, o)...)
}

func certManagerRuns(ctx context.Context, o Options) []Line {
	deployments, err := o.Client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{
		LabelSelector: "app.kubernetes.io/name in (cert-manager,cainjector,webhook),app.kubernetes.io/instance=cert-manager",
	})
	if err != nil || len(deployments.Items) == 0 {
		why := "no Deployment carries its labels"
		if err != nil {
			why = err.Error()
		}
		return []Line{note("kubectl get pods -n cert-manager", "whether cert-manager runs could not be seen: %s", why)}
	}
	var lines []Line
	var names []string
	for _, d := range deployments.Items {
		names = append(names, d.Name)
		if d.Status.AvailableReplicas == 0 {
			lines = append(lines, bad(fmt.Sprintf("kubectl describe deployment %s -n %s", d.Name, d.Namespace),
				"Deployment %s in namespace %s has no available pod", d.Name, d.Namespace))
		}
	}
	if len(lines) == 0 {
		lines = []Line{good("cert-manager runs (%s)", strings.Join(names, ", "))}
	}
	return lines
}

// installed reports whether TPA is there, so that it can be looked at.
func installed(ctx context.Context, o Options) (bool, []Line) {
	own, err := o.Client.CoreV1().Namespaces().Get(ctx, o.Namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		lines := []Line{note("install TPA, or name its namespace with --tpa-namespace", "TPA is not installed: there is no namespace %s", o.Namespace)}
		return false, append(lines, mayInstall(ctx, o)...)
	case err != nil:
		return true, []Line{note("ask for the right to read namespaces", "namespace %s: %v", o.Namespace, err)}
	case own.DeletionTimestamp != nil:
		return true, []Line{bad("wait until it is gone, and install TPA again", "namespace %s is being deleted", o.Namespace)}
	case leaving(ctx, o, own.Labels[contract.UninstallLabel]):
		return true, []Line{note(fmt.Sprintf("to keep TPA: kubectl label namespace %s %s-", o.Namespace, contract.UninstallLabel),
			"TPA is being uninstalled: it takes no Service over")}
	}
	return true, []Line{good("TPA is installed in namespace %s", o.Namespace)}
}

// leaving reports whether a label on TPA's Namespace says that this installation is about to be removed.
func leaving(ctx context.Context, o Options, asked string) bool {
	if asked == "" || asked == contract.UninstallTrue {
		return asked != ""
	}
	self, err := o.Client.CoreV1().ServiceAccounts(o.Namespace).Get(ctx, webhookName, metav1.GetOptions{})
	return err == nil && string(self.UID) == asked // else it is of another installation, or of one that is gone
}

// mayInstall looks for the rights that an installation needs above all.
func mayInstall(ctx context.Context, o Options) []Line {
	for _, what := range []authorizationv1.ResourceAttributes{
		{Verb: "create", Resource: "namespaces"},
		{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"},
		{Verb: "create", Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations"},
	} {
		may, err := o.Client.May(ctx, what)
		if err != nil {
			return []Line{note("kubectl auth can-i --list", "%v", err)}
		}
		if !may {
			return []Line{note("let a cluster administrator install TPA", "you may not %s %s, which an installation needs", what.Verb, what.Resource)}
		}
	}
	return []Line{good("you may install TPA")}
}
