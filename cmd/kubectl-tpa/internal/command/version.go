package command

import (
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (a *app) versions() *cobra.Command {
	var client bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of kubectl tpa, of TPA and of Kubernetes",
		Example: `  # All of them
  kubectl tpa version

  # This command's alone, without asking the cluster
  kubectl tpa version --client`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(a.Out, "kubectl tpa: %s\n", a.version)
			if client {
				return nil
			}
			c, _, err := a.connect()
			if err != nil {
				return err
			}
			d, err := c.AppsV1().Deployments(a.own).Get(cmd.Context(), "tpa-webhook", metav1.GetOptions{})
			switch {
			case err == nil && len(d.Spec.Template.Spec.Containers) > 0:
				fmt.Fprintf(a.Out, "TPA: %s\n", d.Spec.Template.Spec.Containers[0].Image)
			case apierrors.IsNotFound(err):
				fmt.Fprintf(a.Out, "TPA: not installed in namespace %s\n", a.own)
			case apierrors.IsForbidden(err):
				fmt.Fprintf(a.Out, "TPA: you may not read Deployments of namespace %s\n", a.own)
			case err != nil:
				return err
			}
			info, err := c.Discovery().ServerVersion()
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Out, "Kubernetes: %s\n", info.GitVersion)
			return nil
		},
	}
	cmd.Flags().BoolVar(&client, "client", false, "Do not ask the cluster.")
	return cmd
}
