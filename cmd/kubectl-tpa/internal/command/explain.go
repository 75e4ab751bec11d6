package command

import (
	"github.com/spf13/cobra"
)

func (a *app) explain() *cobra.Command {
	return &cobra.Command{
		Use:     "explain SERVICE",
		Aliases: []string{"describe"},
		Short:   "Say why a Service is awake, asleep, or does not wake",
		Long: `Say of a Service which settings are in effect and where each comes from, why it is awake (who is connected, since when and
through which proxy), asleep or pending, what keeps it from sleeping or waking, and what to do about that.`,
		Example: `  # Why is it awake?
  kubectl tpa explain web

  # One of another namespace
  kubectl tpa explain web -n shop`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.services(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, namespace, err := a.connect()
			if err != nil {
				return err
			}
			namespaces, err := c.Read(cmd.Context(), namespace)
			if err != nil {
				return err
			}
			n := namespaces[0] // the one that was asked for is always there
			if err := c.ReadMore(cmd.Context(), n, args[0]); err != nil {
				return err
			}
			explanation, found := n.Explain(args[0])
			if !found {
				return notFound(args[0])
			}
			return explanation.Write(a.Out)
		},
	}
}
