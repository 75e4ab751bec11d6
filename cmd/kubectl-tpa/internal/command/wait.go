package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"

	"tpa.dev/tpa/cmd/kubectl-tpa/internal/cluster"
	"tpa.dev/tpa/webhook/view"
)

// waiting are the flags of commands that wait.
type waiting struct {
	wait    bool
	timeout time.Duration
}

func (w *waiting) addFlags(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "Wait until "+what+".")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 5*time.Minute, "How long to wait at most.")
}

// until waits until every named Service is as it should be.
func (w *waiting) until(ctx context.Context, c *cluster.Client, namespace string, names []string, done func(view.Service) bool, what string) error {
	if !w.wait {
		return nil
	}
	var left []string
	err := wait.PollUntilContextCancel(ctx, cluster.Recheck, true, func(ctx context.Context) (bool, error) {
		services, err := one(ctx, c, namespace)
		if err != nil {
			return false, err
		}
		left = nil
		for _, name := range names {
			s, found := view.Find(services.List(), name)
			if !found {
				return false, notFound(name)
			}
			if !done(s) {
				left = append(left, fmt.Sprintf("service/%s is %s", name, s.State)+because(s.Reason))
			}
		}
		return len(left) == 0, nil
	})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("timed out waiting until it is %s: %s", what, strings.Join(left, "; "))
	}
	return err
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// one reads one namespace.
func one(ctx context.Context, c *cluster.Client, namespace string) (*view.Namespace, error) {
	namespaces, err := c.Read(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return namespaces[0], nil
}
