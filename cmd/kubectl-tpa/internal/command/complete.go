package command

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tpa.dev/tpa/webhook/view"
)

// completeTimeout is how long somebody waits who has pressed the tabulator.
const completeTimeout = 2 * time.Second

// complete has a shell complete namespaces, and explains how.
func (a *app) complete(root *cobra.Command) {
	names := func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.namespaces(cmd.Context())
	}
	for _, flag := range []string{"namespace", "tpa-namespace"} {
		cobra.CheckErr(root.RegisterFlagCompletionFunc(flag, names)) // fails only for a flag that is not there
	}
	root.InitDefaultCompletionCmd("completion")
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Short = "Print a script that lets a shell complete kubectl-tpa"
			cmd.Long = `Print a script that lets a shell complete kubectl-tpa.

For "kubectl tpa", kubectl's own completion asks an executable kubectl_complete-tpa in your PATH. Two lines are enough:

  #!/bin/sh
  exec kubectl-tpa __complete "$@"
`
		}
	}
}

func (a *app) namespaces(ctx context.Context) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	c, _, err := a.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := c.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, ns := range list.Items {
		names = append(names, ns.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// services completes the names of Services that are not named yet, at most so many (0: any number).
func (a *app) services(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
		defer cancel()
		c, namespace, err := a.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, err := c.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, svc := range list.Items {
			if view.Wanted(&svc) && !slices.Contains(args, svc.Name) {
				names = append(names, svc.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
