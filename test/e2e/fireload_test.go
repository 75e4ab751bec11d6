//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/test/kit"
)

// fire is a constant load on one Service from every node: clients with a connection for each request, clients that keep
// theirs for some seconds, and connections that were opened at a stage of the test and live on.
type fire struct {
	f     *fixture
	to    string
	fresh []*kit.Running // for each node
	kept  []*kit.Running
	lived []lived
	round int
	done  kit.Tally // of what has stopped
}

// lived is a connection that was opened at some stage.
type lived struct {
	*kit.Running
	name  string
	round int
}

// fire starts the load.
func (f *fixture) fire(to string) *fire {
	fire := &fire{f: f, to: to}
	for _, node := range cluster.Nodes {
		load := kit.Load{From: node, Address: to, App: "web-", Clients: 2, Pause: askEvery}
		fire.fresh = append(fire.fresh, kit.StartLoad(f.ctx, load))
		load.KeepAlive, load.Life = true, keptFor
		fire.kept = append(fire.kept, kit.StartLoad(f.ctx, load))
	}
	return fire
}

// hold opens a connection from every node that lives to the end of the next round. That must be sooner than a proxy that
// was told to stop in between ends it: after 15s and what --proxy-drain leaves for it.
func (l *fire) hold(stage string) {
	l.f.Helper()
	for _, node := range cluster.Nodes {
		conn := l.f.openFrom(node, l.to)
		l.lived = append(l.lived, lived{
			kit.StartLoad(l.f.ctx, kit.Load{Conn: conn, App: "web-", Pause: askEvery}),
			fmt.Sprintf("connection of round %d, %s, from %s", l.round, stage, node.Name), l.round,
		})
	}
}

// next ends a round, and what was opened in the one before.
func (l *fire) next() {
	l.f.Helper()
	l.end(func(c lived) bool { return c.round < l.round })
	l.round++
}

// end ends connections that were opened, and adds up how they fared.
func (l *fire) end(which func(lived) bool) {
	l.f.Helper()
	for _, c := range l.lived {
		if !which(c) {
			continue
		}
		tally := c.Stop()
		if tally.Failed() > 0 {
			l.f.Errorf("%s: %s", c.name, tally)
		}
		l.done = l.done.Plus(tally)
	}
	l.lived = slices.DeleteFunc(l.lived, which)
}

// proxied waits until new connections from every node lead through a proxy.
func (l *fire) proxied() {
	l.f.Helper()
	l.answered("through a proxy", func(peer string) bool {
		return slices.ContainsFunc(l.f.proxies(), func(p corev1.Pod) bool { return p.Status.PodIP == peer })
	})
}

// direct waits until new connections from every node lead to the app's pods directly.
func (l *fire) direct() {
	l.f.Helper()
	pods, err := l.f.pods(l.f.ctx, kit.ProxyLabels) // also those on their way out
	l.f.must(err)
	l.answered("directly", func(peer string) bool {
		return !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Status.PodIP == peer })
	})
}

// answered waits until each node's clients got so many more answers from pods that were called from such addresses.
func (l *fire) answered(how string, from func(peer string) bool) {
	l.f.Helper()
	count := func(load *kit.Running) (n int) {
		for peer, answers := range load.Tally().Peers {
			if from(peer) {
				n += answers
			}
		}
		return n
	}
	for i, load := range l.fresh {
		have := count(load)
		l.f.wait("answers "+how+" on "+cluster.Nodes[i].Name, func(context.Context) (bool, string) {
			return count(load) >= have+10, load.Tally().String()
		})
	}
}

// stop ends everything and says how it fared.
func (l *fire) stop() kit.Tally {
	l.f.Helper()
	l.end(func(lived) bool { return true })
	for _, load := range append(slices.Clone(l.fresh), l.kept...) {
		tally := load.Stop()
		if tally.Failed() > 0 {
			l.f.Errorf("clients: %s", tally)
		}
		l.done = l.done.Plus(tally)
	}
	l.fresh, l.kept = nil, nil
	return l.done
}
