package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tpa.dev/tpa/test/kit"
)

// holder is a proxy of TPA whose target sleeps. It is started for one measurement: what held connections take cannot be
// seen in a process that has had as many before.
type holder struct {
	*arm
	cluster *cluster
	admin   string
}

func (s *setting) startHolder(ctx context.Context, b build) (*holder, error) {
	name := fmt.Sprintf("%s-held-%d", b.arm, s.places)
	p, err := s.newPlace(name)
	if err != nil {
		return nil, err
	}
	h := &holder{admin: address("127.0.0.1", p.Admin)}
	if h.cluster, err = newCluster(ctx, s.api, name+"-"+s.name, p, 0, s.server); err != nil {
		return nil, err
	}
	cmd, err := h.cluster.command(b, p)
	if err != nil {
		return nil, err
	}
	if h.arm, err = s.launch(name, p, cmd); err != nil {
		return nil, err
	}
	if err = h.says(ctx, "/readyz", "ok"); err == nil {
		h.proxy, err = h.PIDs()
	}
	if err != nil {
		h.Stop()
	}
	return h, err
}

// holds waits until that many connections are held.
func (h *holder) holds(ctx context.Context, n int) error {
	return h.says(ctx, "/metrics", fmt.Sprintf("tpa_connections_held{namespace=%q,service=%q} %d\n", h.cluster.namespace, app, n))
}

// says waits until a page of the proxy holds a text.
func (h *holder) says(ctx context.Context, page, text string) error {
	err := kit.Wait(ctx, 15*time.Second, text+" at "+page, func(ctx context.Context) (bool, string) {
		body, err := kit.Get(ctx, "http://"+h.admin+page)
		return strings.Contains(string(body), text), fmt.Sprint(err)
	})
	if err != nil {
		err = fmt.Errorf("%s: %w: log: %s", h.name, err, h.Tail())
	}
	return err
}
