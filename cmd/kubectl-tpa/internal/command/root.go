// Package command is the command line of kubectl tpa.
//
//	code := command.Run(ctx, []string{"status", "-A"}, streams, "v0.1.0")
package command

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"tpa.dev/tpa/cmd/kubectl-tpa/internal/cluster"
)

// app is what all commands share.
type app struct {
	genericiooptions.IOStreams
	flags *genericclioptions.ConfigFlags
	// own is TPA's own namespace.
	own     string
	version string
	// warnings are what the API server warns of.
	warnings rest.WarningHandler
}

// errSilent is a failure of which everything has been said.
var errSilent = errors.New("failed")

// Run runs a command line and returns the exit code.
func Run(ctx context.Context, args []string, streams genericiooptions.IOStreams, version string) int {
	a := &app{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true), version: version,
		warnings: rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true})}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintln(streams.ErrOut, text(err))
	}
	return 1
}

// text is an error as kubectl prints it.
func text(err error) string {
	if status, ok := err.(apierrors.APIStatus); ok {
		return fmt.Sprintf("Error from server (%s): %s", status.Status().Reason, err)
	}
	var request *url.Error
	if utilnet.IsConnectionRefused(err) && errors.As(err, &request) {
		host := request.URL
		if u, err := url.Parse(request.URL); err == nil {
			host = u.Host
		}
		return fmt.Sprintf("The connection to the server %s was refused - did you specify the right host or port?", host)
	}
	return "error: " + err.Error()
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-tpa",
		Short: "See and steer Services that sleep when nobody uses them",
		Long: "See and steer Services that sleep when nobody uses them.\n\n" +
			"It asks the API server only, with your own rights. What you may not read is shown as unknown.",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl tpa"},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.In)
	root.SetOut(a.Out) // before complete: cobra's completion command notes where it goes
	root.SetErr(a.ErrOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nSee '%s --help' for usage", err, cmd.CommandPath())
	})
	a.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&a.own, "tpa-namespace", "tpa-system", "The namespace that TPA itself is installed in.")
	root.AddCommand(a.status(), a.explain(), a.wake(), a.sleep(), a.pause(), a.resume(), a.check(), a.uninstall(), a.versions())
	a.complete(root)
	return root
}

// connect returns a client and the namespace that the user means.
func (a *app) connect() (*cluster.Client, string, error) {
	namespace, _, err := a.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", err
	}
	config, err := a.flags.ToRESTConfig()
	if err != nil {
		return nil, "", err
	}
	c, err := cluster.New(config, a.warnings)
	return c, namespace, err
}
