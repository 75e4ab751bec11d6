package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"tpa.dev/tpa/cmd/kubectl-tpa/internal/cluster"
	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view"
)

func (a *app) wake() *cobra.Command {
	var w waiting
	cmd := &cobra.Command{
		Use:   "wake SERVICE...",
		Short: "Wake the targets of Services",
		Long: `Wake the targets of Services as if somebody had scaled them up by hand, to what they had before they slept or to
tpa.dev/wake-replicas. You need the right to update their scale.

They stay awake for idle-timeout, like any target that nobody uses. After three such wakes in a row without a connection in
between TPA takes it that something wants them awake, and they do not sleep before their next use.`,
		Example: `  # Wake it
  kubectl tpa wake web

  # Wake two and wait until a pod of each is ready
  kubectl tpa wake web api --wait --timeout=2m`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.services(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), w.timeout)
			defer cancel()
			c, namespace, err := a.connect()
			if err != nil {
				return err
			}
			if err := a.wakeAll(ctx, c, namespace, args); err != nil {
				return err
			}
			return w.until(ctx, c, namespace, args, ready, "awake")
		},
	}
	w.addFlags(cmd, "a pod of each Service is ready")
	return cmd
}

// ready reports whether a connection to a Service goes through at once.
func ready(s view.Service) bool {
	return s.State == view.Awake && s.Ready != 0 || s.Phase == contract.Pending && s.Ready > 0
}

func (a *app) wakeAll(ctx context.Context, c *cluster.Client, namespace string, names []string) error {
	n, services, err := managed(ctx, c, namespace, names)
	if err != nil {
		return err
	}
	for _, s := range services {
		woken := false
		for _, t := range s.Targets {
			replicas, err := c.Wake(ctx, namespace, t.Target, n.WakeReplicas(t.Target))
			if err != nil {
				return err
			}
			woken = woken || replicas > 0
		}
		what := "awake already"
		if woken {
			what = "woken"
		}
		fmt.Fprintf(a.Out, "service/%s %s\n", s.Name, what)
	}
	return nil
}
