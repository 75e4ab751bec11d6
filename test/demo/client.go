package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"tpa.dev/tpa/test/kit"
)

// requestTimeout is far above any wake: TPA holds a connection for two minutes.
const requestTimeout = time.Minute

// ledger counts every connection that the demo makes to an app. A lost one is one whose client did not get its answer.
type ledger struct {
	mu       sync.Mutex
	sent     int
	failures int
	first    string // what became of the first that was lost
}

func (l *ledger) add(sent, failures int, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent += sent
	l.failures += failures
	if failures > 0 && l.first == "" {
		l.first = why
	}
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

func (l *ledger) lost() (int, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures, l.first
}

// ask sends one request over a connection of its own and measures from the connect to the whole answer. Nothing is
// tried again: what fails here is what a user would see.
func (d *demo) ask(ctx context.Context, s *corev1.Service) (kit.Reply, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	start := time.Now()
	d.lastUse = start
	conn, err := d.client.Open(ctx, address(s))
	var reply kit.Reply
	if err == nil {
		defer conn.Close()
		// The deadline of a read knows nothing of Ctrl-C.
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		reply, err = conn.Ask(requestTimeout)
	}
	took := time.Since(start)
	d.recorder.request(start, took, err)
	if err != nil {
		d.sent.add(1, 1, err.Error())
		return reply, took, fmt.Errorf("a request to Service %s failed after %s: %w", s.Name, span(took), err)
	}
	d.sent.add(1, 0, "")
	return reply, took, nil
}

// query runs psql against the Service, shows it, and returns how long it took and what it printed.
func (d *demo) query(ctx context.Context, s *corev1.Service, sql string) (string, time.Duration, error) {
	args := []string{"-h", s.Spec.ClusterIP, "-p", fmt.Sprint(s.Spec.Ports[0].Port), "-U", "postgres", "-c", sql}
	d.command(append([]string{"psql"}, args...)...)
	start := time.Now()
	d.lastUse = start
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := quiet(ctx, cluster, append([]string{"exec", d.client.Name, "--", "psql"}, args...)...)
		done <- answer{text, err}
	}()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case a := <-done:
			took := time.Since(start)
			if a.err != nil {
				d.sent.add(1, 1, a.err.Error())
				return "", took, a.err
			}
			d.sent.add(1, 0, "")
			d.output(a.text)
			return a.text, took, nil
		case <-ticker.C:
			if time.Since(start) > requestTimeout {
				return "", 0, fmt.Errorf("psql has no answer from Service %s after %s", s.Name, span(requestTimeout))
			}
			if d.tty {
				d.live("psql waits for its answer: %.1f s", time.Since(start).Seconds())
			}
		}
	}
}

// clients is people who use an app all the time.
type clients struct {
	d       *demo
	running *kit.Running
}

func (d *demo) startClients(ctx context.Context, s *corev1.Service) *clients {
	return &clients{d, kit.StartLoad(ctx, kit.Load{
		From: d.client, Address: address(s), App: s.Name, Clients: 2, Pause: 50 * time.Millisecond, Timeout: requestTimeout,
		Each: d.recorder.request,
	})}
}

// soFar is for a line that is updated in place.
func (c *clients) soFar() string {
	tally := c.running.Tally()
	return fmt.Sprintf("%d requests, %d lost", tally.Count[kit.OK]+tally.Failed(), tally.Failed())
}

// stop lets the requests that were begun finish, and counts all; after Ctrl-C nobody waits for them.
func (c *clients) stop(ctx context.Context) kit.Tally {
	if ctx.Err() != nil {
		return c.running.Tally()
	}
	c.d.lastUse = time.Now()
	tally := c.running.Stop()
	c.d.sent.add(tally.Count[kit.OK]+tally.Failed(), tally.Failed(), strings.Join(tally.Failures[:min(1, len(tally.Failures))], ""))
	return tally
}
