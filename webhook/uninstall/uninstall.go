// Package uninstall has a TPA that runs give everything back, so that it can be removed: every managed Service is its
// user's again, with its target awake, and no proxy is left.
//
//	err := uninstall.Run(ctx, client, uninstall.Options{Namespace: "tpa-system", ServiceAccount: "tpa-webhook", Wait: time.Minute}, os.Stdout)
//
// It asks TPA's controller, which does the work, and waits. It removes nothing of TPA but the webhook configuration, which
// must go before what it calls. The chart's hook and kubectl tpa uninstall are this, each with the rights of who runs it.
package uninstall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// Options say which TPA is to go. Namespace is required.
type Options struct {
	// Namespace is TPA's own.
	Namespace string
	// ServiceAccount is TPA's own: only the installation that has it now is to go, and not a later one into the same Namespace.
	// Empty: every one, until the label is taken off, and no ServiceAccount is read.
	ServiceAccount string
	// WebhookConfiguration is deleted once nothing is managed; empty: none is.
	WebhookConfiguration string
	// Wait is for how long; 0: one look.
	Wait time.Duration
}

// poll is how long to wait between two looks, and report between two words about an unchanged number.
const (
	poll   = time.Second
	report = 10 * time.Second
)

// shown bounds how many objects an error names.
const shown = 20

// ErrHeld says that TPA still holds Services or has proxies.
var ErrHeld = errors.New("TPA still holds")

// Run labels TPA's Namespace and waits until TPA manages no Service and has no proxy; it tells out how it goes. ErrHeld
// after Options.Wait names what is left; then TPA goes on, and whoever calls again waits on. Who may not see what is left
// is told so at once, if that is so from the beginning then before anything is changed; an API server that is away, or in
// trouble, is waited for. The label stays: to take it off would have the controller manage all Services again at once, in
// the moment before it is removed.
func Run(ctx context.Context, c client.Client, o Options, out io.Writer) error {
	if _, err := remaining(ctx, c); apierrors.IsForbidden(err) {
		return err
	}
	if err := ask(ctx, c, o); err != nil {
		return err
	}
	start := time.Now()
	deadline := start.Add(o.Wait)
	last, lastAt := -1, start
	for {
		left, err := remaining(ctx, c)
		now := time.Now()
		elapsed := now.Sub(start).Round(time.Second)
		switch {
		case err == nil && len(left) == 0:
			return deleteWebhook(ctx, c, o.WebhookConfiguration)
		case ctx.Err() != nil:
			return ctx.Err()
		case apierrors.IsForbidden(err):
			return fmt.Errorf("after %s it may not be seen any more what TPA still holds: %w", elapsed, err)
		case !now.Before(deadline) && err != nil:
			return fmt.Errorf("after %s it is not known what TPA still holds: %w", elapsed, err)
		case !now.Before(deadline):
			return held(left, elapsed, o.Namespace)
		case err != nil: // an API server that is away comes back
			fmt.Fprintf(out, "cannot see what is left: %v (%s)\n", err, elapsed)
		case len(left) != last || now.Sub(lastAt) >= report:
			fmt.Fprintf(out, "restoring: %d Services and proxies left (%s)\n", len(left), elapsed)
			last, lastAt = len(left), now
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(poll, time.Until(deadline))):
		}
	}
}

// ask has this installation restore every Service. One whose ServiceAccount is gone cannot, and needs no word.
func ask(ctx context.Context, c client.Client, o Options) error {
	which := contract.UninstallTrue
	if o.ServiceAccount != "" {
		self := object("v1", "ServiceAccount", o.Namespace, o.ServiceAccount)
		err := c.Get(ctx, client.ObjectKeyFromObject(self), self)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read service account %s/%s: %w", o.Namespace, o.ServiceAccount, err)
		}
		which = string(self.UID)
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, contract.UninstallLabel, which))
	if err := c.Patch(ctx, object("v1", "Namespace", "", o.Namespace), patch); err != nil {
		return fmt.Errorf("label namespace %s: %w", o.Namespace, err)
	}
	return nil
}

// remaining names what TPA still holds in users' namespaces.
func remaining(ctx context.Context, c client.Client) (left []string, err error) {
	services := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceList"}}
	if err := c.List(ctx, services, client.MatchingLabels{contract.ManagedLabel: contract.ManagedTrue}); err != nil {
		return nil, fmt.Errorf("list the managed services: %w", err)
	}
	for _, svc := range services.Items {
		left = append(left, fmt.Sprintf("service %s/%s (%s)", svc.Namespace, svc.Name, svc.Annotations[contract.PhaseKey]))
	}
	proxies := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DeploymentList"}}
	if err := c.List(ctx, proxies, client.MatchingLabels(proxyobjects.Labels())); err != nil {
		return nil, fmt.Errorf("list the proxies: %w", err)
	}
	for _, d := range proxies.Items {
		left = append(left, fmt.Sprintf("deployment %s/%s", d.Namespace, d.Name))
	}
	return left, nil
}

// held tells what is left, and what to do.
func held(left []string, elapsed time.Duration, namespace string) error {
	if more := len(left) - shown; more > 0 {
		left = append(left[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf(`after %s %w:
  %s
Nothing was removed. What hinders it: kubectl -n %s logs deployment/tpa-webhook
TPA goes on restoring: try again, or keep TPA: kubectl label namespace %[4]s %[5]s-`,
		elapsed, ErrHeld, strings.Join(left, "\n  "), namespace, contract.UninstallLabel)
}

// deleteWebhook has the API server call nobody who is about to go.
func deleteWebhook(ctx context.Context, c client.Client, name string) error {
	if name == "" {
		return nil
	}
	hooks := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := client.IgnoreNotFound(c.Delete(ctx, hooks)); err != nil {
		return fmt.Errorf("delete webhook configuration %s: %w", name, err)
	}
	return nil
}

func object(apiVersion, kind, namespace, name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
}
