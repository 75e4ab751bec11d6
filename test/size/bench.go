package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"tpa.dev/tpa/test/apiserver"
	"tpa.dev/tpa/webhook/controller/proxyobjects"
)

// bench is what runs while it is measured.
type bench struct {
	options
	say    func(string)
	dir    string
	ca     []byte
	audit  *apiserver.Audit
	server *apiserver.Server
	phases *phases
	tpa    *process
	yes    *process

	stopPlayer func() error
}

// measure runs all of it. The report is complete, or there is an error.
func measure(ctx context.Context, o options, say func(string)) (_ *report, err error) {
	ctx, cancel := context.WithCancel(ctx)
	ctrl.SetLogger(logr.Discard()) // the player's; the webhook logs to a file
	b := &bench{options: o, say: say}
	defer func() {
		if err != nil && b.tpa != nil {
			err = fmt.Errorf("%w\nthe webhook's log ends with:\n%s", err, tail(b.tpa.log, 20))
		}
		cancel()
		err = errors.Join(err, b.tearDown())
	}()
	if err := b.setUp(ctx); err != nil {
		return nil, err
	}
	r := &report{Services: o.services, Namespaces: o.namespaces, CPUs: runtime.NumCPU(), Began: time.Now().UTC()}
	for _, step := range b.steps() {
		say(step.what)
		if err := step.do(ctx, r); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return r, nil
}

// step is a part of the run that fills in a part of the report.
type step struct {
	what string
	do   func(context.Context, *report) error
}

func (b *bench) steps() []step {
	steps := []step{
		{"opt all namespaces in", b.optIn},
		{fmt.Sprintf("leave it in peace for %s", b.peace), b.rest},
		{"restart the webhook", b.restart},
	}
	if b.crash {
		steps = append(steps, step{"kill the webhook", b.kill})
	}
	return append(steps,
		step{"call admission", b.callAdmission},
		step{"apply Services", b.applyServices},
		step{"opt all namespaces out", b.optOut})
}

func (b *bench) setUp(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "tpa-size-"); err != nil {
		return err
	}
	if b.audit, err = apiserver.NewAudit(b.dir, apiserver.Self); err != nil {
		return err
	}
	if b.ca, err = certificate(b.dir); err != nil {
		return err
	}
	b.say("start an API server and the webhook")
	b.server, err = apiserver.Start(ctx, apiserver.Options{NoAdmission: true, ServerArgs: b.audit.ServerArgs()})
	if err != nil {
		return err
	}
	if b.yes, err = newProcess(b.dir, b.options.yes); err != nil {
		return err
	}
	if b.tpa, err = newProcess(b.dir, b.options.webhook); err != nil {
		return err
	}
	if err := errors.Join(b.yes.start(ctx), b.startWebhook(ctx)); err != nil {
		return err
	}
	if err := errors.Join(b.yes.ready(ctx), b.tpa.ready(ctx)); err != nil {
		return err
	}
	if err := b.server.CallAdmission(ctx, b.tpa.url(), b.ca); err != nil {
		return err
	}
	b.phases = newPhases()
	b.stopPlayer, err = b.server.Play(ctx, apiserver.PlayOptions{Labels: proxyobjects.Labels(), Services: b.phases})
	if err != nil {
		return err
	}
	b.say(fmt.Sprintf("create %d apps in %d namespaces", b.services, b.namespaces))
	return populate(ctx, b.server.Admin, b.options)
}

// startWebhook starts TPA's webhook as it is deployed, but that nothing lingers.
func (b *bench) startWebhook(ctx context.Context) error {
	kubeconfig, err := b.server.Kubeconfig(apiserver.Self, "system:serviceaccounts", "system:serviceaccounts:"+apiserver.Namespace)
	if err != nil {
		return err
	}
	return b.tpa.start(ctx, "--kubeconfig="+kubeconfig, "--namespace="+apiserver.Namespace, "--leader-elect",
		"--metrics-secure=false", "--shutdown-delay=0s", "--proxy-image=tpa-proxy:v1", "--linger=3s")
}

func (b *bench) tearDown() error {
	var errs []error
	if b.stopPlayer != nil {
		errs = append(errs, b.stopPlayer())
	}
	for _, p := range []*process{b.tpa, b.yes} {
		if p != nil {
			errs = append(errs, p.end(os.Kill))
		}
	}
	if b.server != nil {
		errs = append(errs, b.server.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// tail is the end of a file.
func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
