package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/call"
)

// traffic is clients that call the Services of a group.
type traffic struct {
	group     []service
	addresses map[string]string // of the Services
	nodes     []kit.Node
	schedule  schedule
	plan      plan
	watch     *watch
	// within is how long connect and first answer may take together, and each further answer.
	within time.Duration
	// track says where a node led a connection that was not answered well.
	track func(connection) string
	// ended is told each connection once.
	ended func(connection)
}

// stall is how long a burst is waited for before the next may begin: more than a wake takes.
const stall = 10 * time.Second

// run calls until ctx ends, and waits for every connection then.
func (t traffic) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		first := t.group[0]
		var burst sync.WaitGroup
		for _, v := range t.schedule.burst(len(t.group), len(t.nodes), t.plan.idle(first)) {
			burst.Add(1)
			all.Go(func() {
				defer burst.Done()
				time.Sleep(v.after)
				t.ended(t.visit(ctx, v))
			})
		}
		over(ctx, &burst, stall)
		wait(ctx, t.schedule.gap(t.plan.idle(first)))
	}
}

// over waits until a burst has ended, ctx has, or a time is over.
func over(ctx context.Context, burst *sync.WaitGroup, most time.Duration) {
	done := make(chan struct{})
	go func() { burst.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(most):
	}
}

// visit makes one connection.
func (t traffic) visit(ctx context.Context, v visit) connection {
	c := connection{begun: time.Now(), service: t.group[v.service], from: t.nodes[v.node]}
	c.to = t.addresses[c.service.name]
	c.err = t.talk(ctx, &c, v.pauses)
	c.ended = time.Now()
	c.via = c.who.Peer
	if c.err != nil {
		c.tracked = t.track(c)
		if c.via == "" {
			c.via = translated(c.tracked)
		}
	}
	return c
}

func (t traffic) talk(ctx context.Context, c *connection, pauses []time.Duration) error {
	deadline := c.begun.Add(t.within)
	dial, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	from := c.from
	from.Control = func(_, _ string, socket syscall.RawConn) (err error) {
		c.port, err = bind(socket)
		return err
	}
	conn, err := from.Dial(dial, c.to)
	if err != nil {
		return err
	}
	defer conn.Close()
	script := call.Script{
		Within: time.Until(deadline), Pauses: pauses, First: func() { c.first = time.Since(c.begun) },
	}
	for i := range len(pauses) + 1 {
		script.Nonces = append(script.Nonces, fmt.Sprintf("%s-%d-%d-%d", c.service.name, c.port, c.begun.UnixNano(), i))
	}
	if c.who, err = protocols[c.service.protocol](ctx, conn, script); err != nil {
		return err
	}
	return t.right(ctx, c)
}

// bind gives a socket its port before it connects, so that it is also known of a connection that never was.
func bind(socket syscall.RawConn) (port int, err error) {
	cerr := socket.Control(func(fd uintptr) {
		if err = unix.Bind(int(fd), &unix.SockaddrInet4{}); err != nil {
			return
		}
		var name unix.Sockaddr
		if name, err = unix.Getsockname(int(fd)); err == nil {
			port = name.(*unix.SockaddrInet4).Port
		}
	})
	if err == nil {
		err = cerr
	}
	return port, err
}

// right checks that a pod of the Service's own targets answered, through a proxy.
func (t traffic) right(ctx context.Context, c *connection) error {
	if c.who.Pod == "" {
		// The watch may learn the address after the proxy has.
		err := kit.Wait(context.WithoutCancel(ctx), 5*time.Second, "the pod that answered", func(context.Context) (bool, string) {
			p := t.watch.placeOf(c.who.Server)
			if slices.Contains(c.service.targets, p.app) {
				c.who.Pod = p.pod
			}
			return c.who.Pod != "", fmt.Sprintf("%+v", p)
		})
		if err != nil {
			return kit.Wrongf("%s answered for %s: %v", c.who.Server, c.service.name, err)
		}
	}
	for _, target := range c.service.targets {
		// A Deployment's pods are named DEPLOYMENT-HASH-RANDOM.
		if rest, ok := strings.CutPrefix(c.who.Pod, target+"-"); ok && strings.Count(rest, "-") == 1 {
			return nil
		}
	}
	return kit.Wrongf("pod %s answered for %s", c.who.Pod, c.service.name)
}
