package main

import (
	"context"
	"fmt"

	"tpa.dev/tpa/test/kit"
)

func (p *process) scrape(ctx context.Context) (kit.Metrics, error) {
	m, err := kit.Scrape(ctx, "http://"+p.metrics+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.program, err)
	}
	return m, nil
}

func isLeader(m kit.Metrics) bool { return m.Sum("leader_election_master_status") == 1 }

// isIdle reports whether each namespace has been looked at and none waits for it.
func isIdle(m kit.Metrics, namespaces int) bool {
	return isLeader(m) && m.Sum("workqueue_depth") == 0 && m.Sum("controller_runtime_active_workers") == 0 &&
		m.Sum("controller_runtime_reconcile_total") >= float64(namespaces)
}
