package command

import (
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/cmd/kubectl-tpa/internal/check"
)

func (a *app) check() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Look whether TPA can be installed, or works",
		Long: `Look whether TPA can be installed, and whether it works once it is. Nothing is changed: what is sent to the API server as a
trial is sent as a dry run.

  ✓  good
  ✗  TPA does not work; the exit code is 1
  !  it works, or you may not find out

Below each ✗ and ! stands how to mend it.`,
		Example: `  # Before the installation, and after it
  kubectl tpa check

  # Try the webhook in a namespace in which you may create Services
  kubectl tpa check -n shop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.warnings = rest.NoWarnings{} // of what is sent as a trial
			c, home, err := a.connect()
			if err != nil {
				return err
			}
			fine, err := check.Run(cmd.Context(), check.Options{Client: c, Namespace: a.own, Home: home, Version: a.version}, a.Out)
			if err == nil && !fine {
				return errSilent
			}
			return err
		},
	}
}
