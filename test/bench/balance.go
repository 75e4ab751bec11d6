package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"time"

	"tpa.dev/tpa/test/bench/balance"
	"tpa.dev/tpa/test/bench/report"
)

//go:embed leastconn.cfg.tmpl
var leastconnConfig string

// spreadPort is where the backends listen, beside the server.
const spreadPort = 7031

// Of eight backends one takes ten times as long. The load is then about 1,100 connections a second: what the proxy itself
// takes for one stays small beside the delays, and is not seen as load of the slow backend.
const (
	spreadOver  = 8
	spreadDelay = 50 * time.Millisecond
	spreadSlow  = 10 * spreadDelay
	spreadFor   = 5 * time.Second
)

// spread starts a proxy of its own with several backends, and measures how evenly it spreads connections over them. That
// does not depend on the link, nor on the CPUs: the backends are in this process.
func spread(ctx context.Context, s *setting, a *arm, _ time.Duration) (values, error) {
	b, isTPA := s.buildOf(a)
	if s.link != loopback || len(s.cpus) != s.options.cpus[0] || !isTPA && a.name != report.HAProxy {
		return nil, nil
	}
	name := fmt.Sprintf("%s-spread-%d", a.name, s.places)
	p, err := s.newPlace(name)
	if err != nil {
		return nil, err
	}
	var (
		hosts     []string
		addresses []netip.AddrPort
		delays    []time.Duration
	)
	for i := range spreadOver {
		host := netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i)})
		hosts, addresses = append(hosts, host.String()), append(addresses, netip.AddrPortFrom(host, spreadPort))
		delays = append(delays, spreadDelay)
	}
	delays[0] = spreadSlow
	p.echoTarget = spreadPort
	backends, err := balance.Listen(addresses, delays)
	if err != nil {
		return nil, err
	}
	defer backends.Close()
	var cmd *exec.Cmd
	if isTPA {
		cmd, err = s.spreadTPA(ctx, b, p, name, hosts)
	} else {
		cmd, err = spreadHAProxy(p, addresses)
	}
	if err != nil {
		return nil, err
	}
	proxy, err := s.launch(name, p, cmd)
	if err != nil {
		return nil, err
	}
	defer proxy.Stop()
	if err := proxy.answers(); err != nil {
		return nil, err
	}
	imbalance, err := balance.Measure(ctx, proxy.echo, backends, spreadFor)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: its log ends with: %s", name, err, proxy.Tail())
	}
	return values{report.Balance: imbalance}, nil
}

func (s *setting) spreadTPA(ctx context.Context, b build, p place, name string, hosts []string) (*exec.Cmd, error) {
	c, err := newCluster(ctx, s.api, name+"-"+s.name, p, int32(len(hosts)), hosts...)
	if err != nil {
		return nil, err
	}
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	return c.command(b, p)
}

func spreadHAProxy(p place, backends []netip.AddrPort) (*exec.Cmd, error) {
	config := filepath.Join(p.Folder, "haproxy.cfg")
	err := writeConfig(config, leastconnConfig, struct {
		place
		Backends []netip.AddrPort
	}{p, backends})
	return exec.Command("haproxy", "-db", "-f", config), err
}
