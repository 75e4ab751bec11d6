package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"tpa.dev/tpa/test/kit"
)

// every is how often the result so far is printed.
const every = 30 * time.Second

// soak has clients call for a while, and judges what became of their connections.
func (f *fleet) soak(ctx context.Context, o options) (result, error) {
	if err := f.proxied(ctx); err != nil {
		return result{}, err
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	w, err := startWatch(background, f.Cluster, f.namespace, f.plan)
	if err != nil {
		return result{}, err
	}
	fmt.Printf("soak: %d Services, %d targets, %d proxies, %s, seed %d\n", len(f.plan.services), len(f.plan.targets), proxies, o.length, o.seed)
	r := newRecord()
	var telling sync.WaitGroup
	defer telling.Wait()
	r.also = func(c connection) {
		if c.kind() != kit.OK {
			telling.Go(func() { f.tell(background, os.Stdout, w, c) })
		}
	}
	calling, stop := context.WithTimeout(ctx, o.length)
	defer stop()
	clients := f.call(calling, o, w, r.add)
	start := time.Now()
	progress := time.NewTicker(every)
	defer progress.Stop()
	for calling.Err() == nil {
		select {
		case <-progress.C:
			now := r.now(w)
			fmt.Printf("%s after %s; %s\n", now.last(), time.Since(start).Round(time.Second), now.detail())
		case <-calling.Done():
		}
	}
	clients.Wait()
	telling.Wait()
	took, res := time.Since(start).Round(time.Second), r.now(w)
	fmt.Printf("soak: %s; %s\n", took, res.detail())
	if err := w.broken(); err != nil {
		return res, fmt.Errorf("rounds were not counted to the end: %w", err)
	}
	return res, errors.Join(res.write(o.json), res.judge(o.rounds, took))
}

// call starts all clients. They end with ctx, once every connection has.
func (f *fleet) call(ctx context.Context, o options, w *watch, ended func(connection)) *sync.WaitGroup {
	var clients sync.WaitGroup
	for i, group := range f.plan.groups() {
		t := traffic{
			group: group, addresses: f.addresses, nodes: f.Nodes, schedule: newSchedule(o.seed, uint64(i)), plan: f.plan,
			watch: w, within: o.within, ended: ended,
		}
		clients.Go(func() { t.run(ctx) })
	}
	return &clients
}
