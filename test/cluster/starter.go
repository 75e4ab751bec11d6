package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// starter starts the components of one cluster and keeps its state on disk in step.
type starter struct {
	c *cluster

	mu         sync.Mutex
	s          *state
	components []*component
}

// component is a process that up has started and now watches.
type component struct {
	process
	exited <-chan struct{}
}

// start starts a component with the namespaces of the calling thread.
func (r *starter) start(name string, env, argv []string) (*component, error) {
	p, exited, err := startDetached(name, r.c.logFile(name), env, argv)
	if err != nil {
		return nil, err
	}
	started := &component{p, exited}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.components = append(r.components, started)
	r.s.Processes = append(r.s.Processes, p)
	return started, r.c.saveState(r.s)
}

// failed says whether the component has ended, as none should.
func (p *component) failed() error {
	select {
	case <-p.exited:
		return &componentError{p.Name, p.Log, errEnded}
	default:
		return nil
	}
}

// until waits for a condition of this component.
func (p *component) until(ctx context.Context, what string, limit time.Duration, check func() error) error {
	err := poll(ctx, limit, func() (error, error) { return check(), p.failed() })
	var other *componentError
	if err == nil || errors.As(err, &other) {
		return err
	}
	return &componentError{p.Name, p.Log, fmt.Errorf("not %s: %w", what, err)}
}

// wait waits for a condition that takes several components. If one of them ends, that
// is the error.
func (r *starter) wait(ctx context.Context, what string, limit time.Duration, check func() error) error {
	err := poll(ctx, limit, func() (error, error) { return check(), r.anyFailed() })
	var other *componentError
	if err == nil || errors.As(err, &other) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (r *starter) anyFailed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.components {
		if err := p.failed(); err != nil {
			return err
		}
	}
	return nil
}

// poll calls check ten times a second until it returns no error. fatal ends it early.
func poll(ctx context.Context, limit time.Duration, check func() (err, fatal error)) error {
	deadline := time.Now().Add(limit)
	for {
		err, fatal := check()
		var ended *componentError
		switch {
		case fatal != nil:
			return fatal
		case err == nil:
			return nil
		case errors.As(err, &ended):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(deadline):
			return fmt.Errorf("after %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// together runs functions at once and returns their errors; the first cancels the
// others.
func together(ctx context.Context, do ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for _, f := range do {
		wait.Go(func() {
			if err := f(ctx); err != nil {
				cancel(err) // only the first counts
			}
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
