package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"tpa.dev/tpa/cmd/kubectl-tpa/internal/cluster"
	"tpa.dev/tpa/webhook/view"
)

// statusOptions are the flags of status.
type statusOptions struct {
	all, watch, noHeaders bool
	selector              string
	print                 *genericclioptions.PrintFlags
}

func (a *app) status() *cobra.Command {
	o := statusOptions{print: genericclioptions.NewPrintFlags("")}
	cmd := &cobra.Command{
		Use:     "status [NAME...]",
		Aliases: []string{"get"},
		Short:   "Show how Services stand",
		Long: `Show how Services stand: those that TPA manages, and those with its annotation that it does not manage.

STATE is one of
  Awake         a pod is ready
  Asleep        at 0 replicas; the next connection wakes it
  PartlyAsleep  some of its targets are
  Sleeping      being scaled to 0
  Waking        it has replicas and no pod is ready
  Pending       connections do not pass the proxies yet
  Restoring     opted out; the proxies serve until the target is awake
  Missing       a target does not exist
  Unmanaged     annotated, and TPA has not taken it over
  Unknown       you may not read the target's Lease, or there is none yet

CONNECTIONS are what the proxies said last, at most 10 s ago: how many are open, and how many are held until a pod is ready.
SLEEPS IN is "blocked", "contested", "paused" or "observed" for what does not sleep however idle it is: kubectl tpa explain says
why.`,
		Example: `  # All Services of the current namespace
  kubectl tpa status

  # Those of all namespaces, with more columns
  kubectl tpa status -A -o wide

  # A line for each change of one of them
  kubectl tpa status web -w

  # What is asleep
  kubectl tpa status -A -o jsonpath='{range .items[?(@.status.state=="Asleep")]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}'`,
		ValidArgsFunction: a.services(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runStatus(cmd.Context(), o, args)
		},
	}
	o.print.AddFlags(cmd)
	cmd.Flags().Lookup("output").Usage = "Output format. One of: (wide, json, yaml, kyaml, name, jsonpath, jsonpath-as-json, jsonpath-file, go-template, go-template-file)."
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "Show those of all namespaces.")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "Then show each that changes, until interrupted.")
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Leave the headers out.")
	cmd.Flags().StringVarP(&o.selector, "selector", "l", "", "Show only Services with such labels, such as app=web,tier!=db.")
	return cmd
}

func (a *app) runStatus(ctx context.Context, o statusOptions, names []string) error {
	selector, err := labels.Parse(o.selector)
	if err != nil {
		return err
	}
	show, err := a.printer(o, len(names) == 1 && !o.all)
	if err != nil {
		return err
	}
	if o.all && len(names) > 0 {
		return errors.New("a Service cannot be named together with --all-namespaces")
	}
	if o.selector != "" && len(names) > 0 {
		return errors.New("a Service cannot be named together with a selector")
	}
	c, namespace, err := a.connect()
	if err != nil {
		return err
	}
	if o.all {
		namespace = ""
	}
	services, err := read(ctx, c, namespace, selector)
	if err != nil {
		return err
	}
	if services, err = pick(services, names); err != nil {
		return err
	}
	switch {
	case len(services) > 0 || a.structured(o):
		err = show(services)
	case o.all:
		_, err = fmt.Fprintln(a.ErrOut, "No Services with TPA found")
	default:
		_, err = fmt.Fprintf(a.ErrOut, "No Services with TPA found in %s namespace.\n", namespace)
	}
	if err != nil || !o.watch {
		return err
	}
	return a.watch(ctx, c, namespace, func(all []view.Service) []view.Service {
		if len(names) == 0 {
			return all
		}
		var named []view.Service
		for _, name := range names {
			if s, found := view.Find(all, name); found {
				named = append(named, s)
			}
		}
		return named
	}, selector, services, show)
}

// structured reports whether the output is for a program.
func (a *app) structured(o statusOptions) bool {
	return *o.print.OutputFormat != "" && *o.print.OutputFormat != "wide"
}

// read returns how the Services with some labels stand, in one namespace or, for the empty name, in all.
func read(ctx context.Context, c *cluster.Client, namespace string, selector labels.Selector) ([]view.Service, error) {
	namespaces, err := c.Read(ctx, namespace)
	if err != nil {
		return nil, err
	}
	var services []view.Service
	for _, n := range namespaces {
		labelled := map[string]labels.Set{}
		for _, svc := range n.Services {
			labelled[svc.Name] = svc.Labels
		}
		for _, s := range n.List() {
			if selector.Matches(labelled[s.Name]) {
				services = append(services, s)
			}
		}
	}
	return services, nil
}

// pick returns the Services of some names, or all if there are none.
func pick(services []view.Service, names []string) ([]view.Service, error) {
	if len(names) == 0 {
		return services, nil
	}
	var picked []view.Service
	for _, name := range names {
		s, found := view.Find(services, name)
		if !found {
			return nil, notFound(name)
		}
		picked = append(picked, s)
	}
	return picked, nil
}

// notFound is the error for a Service that TPA has nothing to do with.
func notFound(name string) error {
	return apierrors.NewNotFound(corev1.Resource("services"), name)
}

// printer returns what shows Services.
func (a *app) printer(o statusOptions, alone bool) (func([]view.Service) error, error) {
	if format := *o.print.OutputFormat; format == "" || format == "wide" {
		if template := o.print.TemplatePrinterFlags.TemplateArgument; template == nil || *template == "" {
			return tablePrinter(a.Out, printers.PrintOptions{Wide: format == "wide", WithNamespace: o.all, NoHeaders: o.noHeaders}), nil
		}
	}
	printer, err := o.print.ToPrinter()
	if err != nil {
		return nil, err
	}
	return func(services []view.Service) error {
		if *o.print.OutputFormat == "name" {
			for _, object := range view.Names(services) {
				if err := printer.PrintObj(object, a.Out); err != nil {
					return err
				}
			}
			return nil
		}
		object, err := view.Objects(services, alone)
		if err != nil {
			return err
		}
		return printer.PrintObj(object, a.Out)
	}, nil
}

// tablePrinter prints tables below each other, with one line of headers and the same columns.
func tablePrinter(out io.Writer, o printers.PrintOptions) func([]view.Service) error {
	printer, w := printers.NewTablePrinter(o), printers.GetNewTabWriter(out)
	return func(services []view.Service) error {
		if err := printer.PrintObj(view.Table(services), w); err != nil {
			return err
		}
		return w.Flush()
	}
}

// gather is how long changes are gathered that come together: a wake changes a Lease and several pods within moments.
const gather = 250 * time.Millisecond

// watch shows each Service that differs from how it was shown last.
func (a *app) watch(ctx context.Context, c *cluster.Client, namespace string, pick func([]view.Service) []view.Service,
	selector labels.Selector, shown []view.Service, show func([]view.Service) error,
) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed, ended := make(chan string), make(chan error, 1)
	go func() { ended <- c.Watch(ctx, namespace, changed) }()
	last := map[string]view.Service{}
	for _, s := range shown {
		last[s.Namespace+"/"+s.Name] = s
	}
	dirty := map[string]bool{}
	var due <-chan time.Time
	for {
		select {
		case err := <-ended:
			return err
		case name := <-changed:
			dirty[name] = true
			if due == nil {
				due = time.After(gather)
			}
		case <-due:
			due = nil
			var news []view.Service
			for name := range dirty {
				services, err := read(ctx, c, name, selector)
				if ctx.Err() != nil {
					return nil
				}
				if err != nil {
					return err
				}
				for _, s := range pick(services) {
					if was, known := last[s.Namespace+"/"+s.Name]; !known || !s.Same(was) {
						last[s.Namespace+"/"+s.Name] = s
						news = append(news, s)
					}
				}
			}
			clear(dirty)
			if len(news) > 0 {
				if err := show(news); err != nil {
					return err
				}
			}
		}
	}
}
