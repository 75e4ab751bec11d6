package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"tpa.dev/tpa/cmd/kubectl-tpa/internal/cluster"
	"tpa.dev/tpa/proxy/contract"
	"tpa.dev/tpa/webhook/view"
)

func (a *app) pause() *cobra.Command {
	var w waiting
	cmd := &cobra.Command{
		Use:   "pause SERVICE...",
		Short: "Keep Services awake until they are resumed",
		Long: `Keep Services awake: their targets are woken if they are asleep, and do not sleep until the Services are resumed.

It sets the annotation tpa.dev/mode=paused; where a Service has a mode of its own, such as observe, it sets paused,observe, and
resume brings that back. What is kept in Git keeps it there instead, or its tool takes it off again.`,
		Example: `  # Nothing sleeps here during the demo
  kubectl tpa pause web api --wait

  # And after it
  kubectl tpa resume web api`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.services(0),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.each(cmd.Context(), names, func(ctx context.Context, c *cluster.Client, n *view.Namespace, s view.Service) error {
				was := ""
				switch s.Own {
				case contract.ModePaused:
					fmt.Fprintf(a.Out, "service/%s is paused already\n", s.Name)
					return nil
				case contract.ModeObserve:
					was = ", and no longer only observed"
				}
				paused := contract.Paused(ownMode(n, s))
				if err := c.Annotate(ctx, s.Namespace, s.Name, contract.ModeKey, &paused); err != nil {
					return err
				}
				fmt.Fprintf(a.Out, "service/%s paused%s\n", s.Name, was)
				return nil
			}, w, ready, "awake")
		},
	}
	w.addFlags(cmd, "a pod of each Service is ready")
	return cmd
}

func (a *app) resume() *cobra.Command {
	var w waiting
	cmd := &cobra.Command{
		Use:   "resume SERVICE...",
		Short: "Let paused Services sleep again",
		Long: `Let paused Services sleep again, once they have been unused for idle-timeout.

It removes the annotation tpa.dev/mode=paused, or sets it to what it was before pause; where the Namespace says paused, and there
was nothing before, it sets tpa.dev/mode=sleep instead. A Service that TPA only observed is observed again, and does not sleep.`,
		Example: `  # Let it sleep again
  kubectl tpa resume web`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.services(0),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.each(cmd.Context(), names, func(ctx context.Context, c *cluster.Client, n *view.Namespace, s view.Service) error {
				if s.Own != contract.ModePaused {
					fmt.Fprintf(a.Out, "service/%s is not paused\n", s.Name)
					return nil
				}
				mode, is := contract.Before(ownMode(n, s)), n.Mode()
				if mode == "" && is == contract.ModePaused {
					mode = contract.ModeSleep.String()
				}
				set := &mode
				if mode == "" {
					set = nil
				}
				if err := c.Annotate(ctx, s.Namespace, s.Name, contract.ModeKey, set); err != nil {
					return err
				}
				if mode == contract.ModeObserve.String() || mode == "" && is == contract.ModeObserve {
					fmt.Fprintf(a.Out, "service/%s resumed, and only observed\n", s.Name)
					return nil
				}
				fmt.Fprintf(a.Out, "service/%s resumed\n", s.Name)
				return nil
			}, w, func(s view.Service) bool { return s.Own != contract.ModePaused }, "resumed")
		},
	}
	w.addFlags(cmd, "no Service is paused by itself any more")
	return cmd
}

func (a *app) sleep() *cobra.Command {
	var w waiting
	cmd := &cobra.Command{
		Use:   "sleep SERVICE...",
		Short: "Put Services to sleep without waiting for idle-timeout",
		Long: `Put Services to sleep that nobody is connected to, without waiting for idle-timeout. Whoever connects wakes them again.

It sets the annotation tpa.dev/sleep-requested to the present time: a use after that makes the request void.`,
		Example: `  # Put it to sleep, and wait until it is
  kubectl tpa sleep web --wait`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.services(0),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.each(cmd.Context(), names, func(ctx context.Context, c *cluster.Client, _ *view.Namespace, s view.Service) error {
				if s.State == view.Asleep {
					fmt.Fprintf(a.Out, "service/%s is asleep already\n", s.Name)
					return nil
				}
				if why := staysAwake(s); why != "" {
					return fmt.Errorf("service %q %s: kubectl tpa explain %s -n %s", s.Name, why, s.Name, s.Namespace)
				}
				now := time.Now().UTC().Format(metav1.RFC3339Micro)
				if err := c.Annotate(ctx, s.Namespace, s.Name, contract.SleepRequestedKey, &now); err != nil {
					return err
				}
				fmt.Fprintf(a.Out, "service/%s asked to sleep%s\n", s.Name, settling(s, time.Now()))
				return nil
			}, w, func(s view.Service) bool { return s.State == view.Asleep }, "asleep")
		},
	}
	w.addFlags(cmd, "each Service is asleep")
	return cmd
}

// ownMode is what a Service's annotation says; empty if it has none.
func ownMode(n *view.Namespace, s view.Service) string {
	for _, svc := range n.Services {
		if svc.Name == s.Name {
			return svc.Annotations[contract.ModeKey]
		}
	}
	return ""
}

// staysAwake says why a request to sleep would come to nothing; empty if nothing is known to be in its way.
func staysAwake(s view.Service) string {
	open := 0
	if s.Usage != nil {
		open = s.Usage.Open - s.Usage.Parked + s.Usage.Held
	}
	switch {
	case s.Phase != contract.Active:
		return fmt.Sprintf("is %s, and sleeps only once it is Active", s.State)
	case open > 0:
		return fmt.Sprintf("is in use, with connections open or held: %d", open)
	case s.Keeps != "":
		return "does not sleep, being " + s.Keeps
	}
	return ""
}

// settling says until when a target does not sleep whatever is asked for; empty if it may sleep now.
func settling(s view.Service, now time.Time) string {
	var until time.Time
	for _, t := range s.Targets {
		if t.Sleep.NotBefore.After(until) {
			until = t.Sleep.NotBefore
		}
	}
	if !until.After(now) {
		return ""
	}
	return fmt.Sprintf(", which it does not before %s (in %s): connections from before TPA get time to end",
		until.UTC().Format(time.RFC3339), duration.HumanDuration(until.Sub(now)))
}

// each does something with each named Service that TPA manages, and waits for what is to come of it.
func (a *app) each(ctx context.Context, names []string, do func(context.Context, *cluster.Client, *view.Namespace, view.Service) error,
	w waiting, done func(view.Service) bool, what string,
) error {
	if w.wait {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	c, namespace, err := a.connect()
	if err != nil {
		return err
	}
	n, services, err := managed(ctx, c, namespace, names)
	if err != nil {
		return err
	}
	for _, s := range services {
		if err := do(ctx, c, n, s); err != nil {
			return err
		}
	}
	return w.until(ctx, c, namespace, names, done, what)
}

// managed returns the named Services, all of which TPA must manage.
func managed(ctx context.Context, c *cluster.Client, namespace string, names []string) (*view.Namespace, []view.Service, error) {
	n, err := one(ctx, c, namespace)
	if err != nil {
		return nil, nil, err
	}
	services, err := pick(n.List(), names)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range services {
		if s.State == view.Unmanaged {
			return nil, nil, fmt.Errorf("service %q is not managed by TPA: kubectl tpa explain %s -n %s", s.Name, s.Name, s.Namespace)
		}
	}
	return n, services, nil
}
