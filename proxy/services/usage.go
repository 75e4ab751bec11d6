package services

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"tpa.dev/tpa/proxy/contract"
)

// maxUsage is how long a Usage may be, in bytes: half of what the annotations of an object may be together.
const maxUsage = 128 << 10

// reporter keeps on this pod's Lease what this proxy says of its connections, for people. Nothing waits for it, and where nothing
// changes it writes nothing.
type reporter struct {
	leases  leaseWriter
	log     *zap.Logger
	options Options
	usage   func() contract.Usage
	written string // the last Usage that was written, without its time
}

func newReporter(leases leaseWriter, log *zap.Logger, options Options, usage func() contract.Usage) *reporter {
	// The acknowledger writes this first one.
	return &reporter{leases: leases, log: log, options: options, usage: usage, written: contract.Usage{}.String()}
}

// run writes until ctx ends.
func (r *reporter) run(ctx context.Context) {
	ticker := time.NewTicker(contract.UsageEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := r.report(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug("report the connections", zap.Error(err))
		}
	}
}

// report writes the Usage if it has changed.
func (r *reporter) report(ctx context.Context) error {
	usage := bounded(r.usage())
	text := usage.String()
	if text == r.written {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	usage.At = time.Now().UTC().Truncate(time.Second)
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{contract.UsageKey: usage.String()},
	}})
	if err == nil {
		_, err = r.leases.MergePatch(ctx, r.options.Namespace, contract.PodLease(r.options.Pod), patch)
	}
	if apierrors.IsNotFound(err) {
		return nil // nothing is acknowledged yet
	}
	if err != nil {
		return fmt.Errorf("write lease %s/%s: %w", r.options.Namespace, contract.PodLease(r.options.Pod), err)
	}
	r.written = text
	return nil
}

// bounded makes a Usage small enough for an annotation: without the connections, and then without some of the Services.
func bounded(u contract.Usage) contract.Usage {
	if len(u.String()) <= maxUsage {
		return u
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(u.Services)) {
		s := u.Services[name]
		s.Oldest = nil
		u.Services[name] = s
		if size += len(name) + len(`"":{"open":1000000,"held":1000000,"parked":1000000},`); size > maxUsage {
			delete(u.Services, name)
		}
	}
	return u
}

// usage is what this proxy has to say now, without a time.
func (m *Manager) usage() contract.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := contract.Usage{}
	for uid, f := range m.fronts {
		name, stats := m.names[uid], f.Stats()
		s := u.Services[name] // of one that is made anew there are two fronts for a while
		s.Open, s.Held, s.Parked = s.Open+int(stats.Active()), s.Held+int(stats.Held()), s.Parked+int(stats.Parked())
		if s.Open == 0 && s.Held == 0 {
			continue
		}
		for _, c := range f.Oldest(contract.MaxUsageConnections) {
			s.Oldest = append(s.Oldest, contract.ConnectionUsage{
				From: c.Addr.String(), Port: c.Port, Since: c.Since.UTC().Truncate(time.Millisecond),
			})
		}
		if u.Services == nil {
			u.Services = map[string]contract.ServiceUsage{}
		}
		slices.SortStableFunc(s.Oldest, func(a, b contract.ConnectionUsage) int { return a.Since.Compare(b.Since) })
		s.Oldest = s.Oldest[:min(len(s.Oldest), contract.MaxUsageConnections)]
		u.Services[name] = s
	}
	return u
}
