package main

import (
	"context"
	"os"
	"syscall"
	"time"
)

// optIn labels namespaces whose Services have long been annotated and used: what a platform team does that opts its
// tenants in. It is the most work at once that TPA can get, and how fast the Services are created has no part in it.
func (b *bench) optIn(ctx context.Context, r *report) error {
	c, err := b.begin()
	if err != nil {
		return err
	}
	if err := label(ctx, b.server.Admin, b.options, `"enabled"`); err != nil {
		return err
	}
	err = b.phases.wait(ctx, "half of them to be Active", func(_, active int) bool { return active >= b.services/2 })
	if err != nil {
		return err
	}
	r.OptIn.Half = time.Since(c.began).Seconds()
	err = b.phases.wait(ctx, "all of them to be Active", func(_, active int) bool { return active == b.services })
	if err != nil {
		return err
	}
	if r.OptIn.span, err = c.end(); err != nil {
		return err
	}
	_, rests, err := c.atRest(ctx)
	if err != nil {
		return err
	}
	if r.OptIn.ToRest, err = c.end(); err != nil {
		return err
	}
	r.OptIn.ToRest.Seconds = rests.Sub(c.began).Seconds()
	_, r.OptIn.PeakMiB, err = b.tpa.memory()
	return err
}

// rest counts what is asked while nothing happens.
func (b *bench) rest(ctx context.Context, r *report) error {
	c, err := b.begin()
	if err != nil {
		return err
	}
	select {
	case <-time.After(b.peace):
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.Peace.span, err = c.end(); err != nil {
		return err
	}
	r.Peace.MiB, _, err = b.tpa.memory()
	return err
}

func (b *bench) restart(ctx context.Context, r *report) (err error) {
	r.Restart, err = b.startAgain(ctx, syscall.SIGTERM)
	return err
}

// kill ends the webhook without telling it: whoever comes next must wait until the leader's Lease has run out.
func (b *bench) kill(ctx context.Context, r *report) (err error) {
	r.Crash, err = b.startAgain(ctx, os.Kill)
	return err
}

// startAgain ends the webhook and starts it again.
func (b *bench) startAgain(ctx context.Context, signal os.Signal) (*restart, error) {
	if err := b.tpa.end(signal); err != nil {
		return nil, err
	}
	c, err := b.begin()
	if err != nil {
		return nil, err
	}
	if err := b.startWebhook(ctx); err != nil {
		return nil, err
	}
	leads, rests, err := c.atRest(ctx)
	if err != nil {
		return nil, err
	}
	r := &restart{Leads: leads.Sub(c.began).Seconds()}
	if r.span, err = c.end(); err != nil {
		return nil, err
	}
	r.Seconds = rests.Sub(c.began).Seconds()
	r.MiB, r.PeakMiB, err = b.tpa.memory()
	return r, err
}

// optOut takes the label off all namespaces again and waits until nothing of TPA is left there.
func (b *bench) optOut(ctx context.Context, r *report) error {
	c, err := b.begin()
	if err != nil {
		return err
	}
	if err := label(ctx, b.server.Admin, b.options, "null"); err != nil {
		return err
	}
	err = b.phases.wait(ctx, "none of them to be managed", func(managed, _ int) bool { return managed == 0 })
	if err != nil {
		return err
	}
	r.OptOut.Restored = time.Since(c.began).Seconds()
	_, rests, err := c.atRest(ctx)
	if err != nil {
		return err
	}
	if r.OptOut.span, err = c.end(); err != nil {
		return err
	}
	r.OptOut.Seconds = rests.Sub(c.began).Seconds()
	r.OptOut.Left, err = leftovers(ctx, b.server.Admin)
	return err
}
