package check

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/proxy/contract"
)

// What TPA's own objects are called.
const (
	configurationName = "tpa"
	webhookName       = "tpa-webhook"
	managedEntry      = "managed.tpa.dev"
	optInEntry        = "optin.tpa.dev"
)

func configuration(ctx context.Context, o Options) []Line {
	hooks, err := o.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, configurationName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return []Line{bad("install TPA again", "there is no MutatingWebhookConfiguration %s: no Service is taken over", configurationName)}
	case err != nil:
		return []Line{note("ask for the right to read it", "MutatingWebhookConfiguration %s: %v", configurationName, err)}
	}
	var lines []Line
	entries := map[string]bool{}
	for _, hook := range hooks.Webhooks {
		entries[hook.Name] = true
		if len(hook.ClientConfig.CABundle) == 0 {
			lines = append(lines, bad(fmt.Sprintf("see whether cert-manager's cainjector runs, and kubectl describe certificate %s -n %s", webhookName, o.Namespace),
				"webhook %s has no CA bundle: the API server trusts no answer of it", hook.Name))
		}
	}
	for _, name := range []string{managedEntry, optInEntry} {
		if !entries[name] {
			lines = append(lines, bad("install TPA again", "MutatingWebhookConfiguration %s has no entry %s", configurationName, name))
		}
	}
	if len(lines) == 0 {
		lines = []Line{good("MutatingWebhookConfiguration %s has both entries and their CA bundles", configurationName)}
	}
	return lines
}

func webhook(ctx context.Context, o Options) []Line {
	d, err := o.Client.AppsV1().Deployments(o.Namespace).Get(ctx, webhookName, metav1.GetOptions{})
	look := fmt.Sprintf("kubectl describe pods -n %s -l app.kubernetes.io/component=webhook", o.Namespace)
	switch {
	case apierrors.IsNotFound(err):
		return []Line{bad("install TPA again", "there is no Deployment %s in namespace %s", webhookName, o.Namespace)}
	case err != nil:
		return []Line{note("ask for the right to read it", "Deployment %s in namespace %s: %v", webhookName, o.Namespace, err)}
	}
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	text := fmt.Sprintf("%d of %d pods of Deployment %s are available", d.Status.AvailableReplicas, wanted, webhookName)
	switch {
	case d.Status.AvailableReplicas == 0:
		return []Line{bad(look, "%s: managed Services cannot be changed, and none is taken over", text)}
	case d.Status.AvailableReplicas < wanted:
		return []Line{note(look, "%s", text)}
	}
	return []Line{good("%s", text)}
}

// trial is a Service that is sent as a dry run only.
func trial(namespace string, annotations map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "tpa-check-", Annotations: annotations},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "tpa-check"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

// try creates a Service as a dry run.
func try(ctx context.Context, o Options, svc *corev1.Service) (*corev1.Service, error) {
	return o.Client.CoreV1().Services(svc.Namespace).Create(ctx, svc, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// admitsManaged sends a Service with a phase that TPA has not given it, in whatever namespace: TPA takes it off.
func admitsManaged(ctx context.Context, o Options) []Line {
	if o.Home == metav1.NamespaceSystem || o.Home == o.Namespace {
		return []Line{note("use --namespace to name another one", "TPA leaves namespace %s alone, so entry %s is not tried", o.Home, managedEntry)}
	}
	got, err := try(ctx, o, trial(o.Home, map[string]string{contract.PhaseKey: string(contract.Active)}))
	switch {
	case err != nil:
		return []Line{refused(managedEntry, o, o.Home, err)}
	case got.Annotations[contract.PhaseKey] != "":
		return []Line{bad("kubectl get mutatingwebhookconfiguration "+configurationName+" -o yaml", "the API server does not ask entry %s: a dry run passed as it was", managedEntry)}
	}
	return []Line{good("entry %s answers (dry run in namespace %s)", managedEntry, o.Home)}
}

// badTimeout is what no idle-timeout can be.
const badTimeout = "tpa-check"

// admitsOptIn sends a Service that asks for TPA with a bad annotation, in a namespace that is opted in: TPA refuses it.
func admitsOptIn(ctx context.Context, o Options) []Line {
	namespace, line := optedIn(ctx, o)
	if namespace == "" {
		return []Line{line}
	}
	_, err := try(ctx, o, trial(namespace, map[string]string{contract.TargetKey: "tpa-check", contract.IdleTimeoutKey: badTimeout}))
	switch {
	case err == nil:
		return []Line{bad("kubectl get mutatingwebhookconfiguration "+configurationName+" -o yaml", "the API server does not ask entry %s: a bad annotation passed a dry run in namespace %s", optInEntry, namespace)}
	case strings.Contains(err.Error(), contract.IdleTimeoutKey) && strings.Contains(err.Error(), badTimeout):
		return []Line{good("entry %s refuses a bad annotation (dry run in namespace %s)", optInEntry, namespace)}
	}
	return []Line{refused(optInEntry, o, namespace, err)}
}

// optedIn finds a namespace that is opted in and in which the user may create Services.
func optedIn(ctx context.Context, o Options) (string, Line) {
	list, err := o.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{
		LabelSelector: contract.InjectLabel + "=" + contract.InjectEnabled,
	})
	names := []string{o.Home}
	if err == nil {
		names = nil
		for _, ns := range list.Items {
			names = append(names, ns.Name)
		}
		if len(names) == 0 {
			return "", note(fmt.Sprintf("kubectl label namespace NAME %s=%s", contract.InjectLabel, contract.InjectEnabled),
				"no namespace is opted in, so entry %s is not tried", optInEntry)
		}
	}
	for _, name := range names {
		if may, err := o.Client.May(ctx, authorizationv1.ResourceAttributes{Namespace: name, Verb: "create", Resource: "services"}); err == nil && may {
			return name, Line{}
		}
	}
	return "", note("use --namespace to name one in which you may", "you may not create Services in a namespace that is opted in, so entry %s is not tried", optInEntry)
}

// refused judges a dry run that failed: what an entry of TPA's has to do with it is named by the API server.
func refused(entry string, o Options, namespace string, err error) Line {
	if !strings.Contains(err.Error(), strconv.Quote(entry)) {
		return note("use --namespace to name another one", "entry %s is not tried, for want of a dry run in namespace %s: %v", entry, namespace, err)
	}
	mend := fmt.Sprintf("kubectl logs -n %s deployment/%s", o.Namespace, webhookName)
	if strings.Contains(err.Error(), "x509") {
		mend = fmt.Sprintf("kubectl describe certificate %s -n %s", webhookName, o.Namespace)
	}
	return bad(mend, "the API server gets no good answer of entry %s: %v", entry, err)
}
