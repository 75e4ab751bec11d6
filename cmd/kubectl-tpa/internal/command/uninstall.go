package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"tpa.dev/tpa/cmd/kubectl-tpa/internal/cluster"
	"tpa.dev/tpa/webhook/uninstall"
)

func (a *app) uninstall() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Have every Service awake and as it was, so that TPA can be removed",
		Long: `Have TPA give every managed Service back: its target is woken, and once a pod is ready the Service has its own selector and
targetPorts again. No new one is taken over. No connection is lost on the way.

It removes nothing of TPA's own and says in the end what to run for that: whoever installed it (kubectl, Helm, a GitOps tool)
must know that it is gone, or brings it back.`,
		Example: `  # Give every Service back, and wait up to ten minutes for that
  kubectl tpa uninstall

  # Think better of it
  kubectl label namespace tpa-system tpa.dev/uninstall-`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := a.connect()
			if err != nil {
				return err
			}
			err = c.Uninstall(cmd.Context(), uninstall.Options{Namespace: a.own, Wait: timeout}, a.Out)
			if apierrors.IsNotFound(err) {
				return fmt.Errorf("there is no namespace %s: TPA is not installed, or --tpa-namespace is another", a.own)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(a.Out, "every Service is awake and as it was")
			return a.sayWhatIsLeft(cmd.Context(), c)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "How long to wait at most.")
	return cmd
}

// sayWhatIsLeft says how to remove TPA's own objects.
func (a *app) sayWhatIsLeft(ctx context.Context, c *cluster.Client) error {
	release, namespace, err := c.Release(ctx, a.own)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return err
	}
	fmt.Fprintln(a.Out, "To remove TPA itself, as it was installed:")
	if release != "" {
		fmt.Fprintf(a.Out, "  helm uninstall %s -n %s\n", release, namespace)
		return nil
	}
	fmt.Fprintln(a.Out, "  kubectl delete mutatingwebhookconfiguration tpa   # first, so that nothing calls a webhook that is about to go")
	fmt.Fprintln(a.Out, "  kubectl delete -k manifests/base                  # or whatever it was applied from")
	return nil
}
