package main

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"tpa.dev/tpa/test/kit"
)

// tracker knows where the nodes have led connections, as conntrack tells when each begins. Its table would not do: of a
// connection that is refused the kernel keeps no entry.
type tracker struct {
	mu sync.Mutex
	// led is what was told of connections that began in the last trackFor or two, the later ones in led[1].
	led    [2]map[origin]string
	turned time.Time
}

// origin is where a connection comes from. Its node chose the port, which is another one for each within trackFor.
type origin struct{ node, port string }

const (
	// trackFor is longer than a client waits for its answer.
	trackFor = 3 * time.Minute
	// tellWithin is how long after a connection has begun it is told of.
	tellWithin = time.Second
)

// startTracking follows the nodes' connections until ctx ends.
func startTracking(ctx context.Context, nodes []kit.Node) (*tracker, error) {
	t := &tracker{led: [2]map[origin]string{{}, {}}, turned: time.Now()}
	for _, node := range nodes {
		if err := node.Follow(ctx, func(line string) { t.take(node.Name, line) }, "conntrack", "-E", "-e", "NEW", "-p", "tcp"); err != nil {
			return nil, fmt.Errorf("follow the connections of %s: %w", node.Name, err)
		}
	}
	return t, nil
}

func (t *tracker) take(node, line string) {
	from := firstPort.FindStringSubmatch(line)
	if from == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.turned) > trackFor {
		t.led[0], t.led[1], t.turned = t.led[1], map[origin]string{}, time.Now()
	}
	t.led[1][origin{node, from[1]}] = strings.TrimSpace(line)
}

// of returns what was told of a connection, "" if nothing was.
func (t *tracker) of(c connection) string {
	key, to := origin{c.from.Name, fmt.Sprint(c.port)}, " dst="+host(c.to)+" "
	for until := time.Now().Add(tellWithin); ; time.Sleep(10 * time.Millisecond) {
		t.mu.Lock()
		for _, led := range []map[origin]string{t.led[1], t.led[0]} {
			if line := led[key]; strings.Contains(line, to) {
				t.mu.Unlock()
				return line
			}
		}
		t.mu.Unlock()
		if time.Now().After(until) {
			return ""
		}
	}
}

var (
	firstPort = regexp.MustCompile(`sport=(\d+)`)
	source    = regexp.MustCompile(`src=(\S+)`)
)

// translated is the address that a connection was led to: where the answers come from.
func translated(line string) string {
	sources := source.FindAllStringSubmatch(line, -1)
	if len(sources) < 2 {
		return ""
	}
	return sources[1][1]
}

// host is the address without its port.
func host(address string) string {
	h, _, _ := net.SplitHostPort(address)
	return h
}
