package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Load is clients that ask the test app all the time.
type Load struct {
	// From is the node that they call from. Required.
	From Node
	// Address is where they call. Required.
	Address string
	// App begins the name of every pod that may answer. Default: any.
	App string
	// Clients is how many ask at once. Default 1.
	Clients int
	// Pause is how long each waits between an answer and its next request. Default 10ms.
	Pause time.Duration
	// KeepAlive sends all requests of a client over one connection; else each has its own.
	KeepAlive bool
	// Retry tries a request that failed once more, on a new connection. Default false: none.
	Retry bool
	// Timeout of connect and answer together. Default 30s.
	Timeout time.Duration
}

// Kind is how a request ended.
type Kind string

const (
	OK      Kind = "ok"
	Wrong   Kind = "wrong"   // a whole answer, not the right one
	Refused Kind = "refused" // no connection
	Reset   Kind = "reset"   // the connection ended before the answer
	Timeout Kind = "timeout"
	Other   Kind = "other"
)

// KindOf tells how a request ended from its error.
func KindOf(err error) Kind {
	var wrong *wrongError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &wrong):
		return Wrong
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		return Reset
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, syscall.ETIMEDOUT):
		return Timeout
	}
	return Other
}

// Tally is what became of every request.
type Tally struct {
	Count map[Kind]int
	// Retried counts the requests whose first try failed, by how; Count tells how the second ended.
	Retried map[Kind]int
	// Pods and Peers count the good answers by the pod that gave them and by the address that it was called from.
	Pods, Peers map[string]int
	// Slowest is the longest that a good answer took, from the connect on.
	Slowest time.Duration
	// Failures are the first few failures, with the time of each.
	Failures []string
}

// Failed is the number of requests that were not answered well.
func (t Tally) Failed() int {
	n := 0
	for kind, count := range t.Count {
		if kind != OK {
			n += count
		}
	}
	return n
}

func (t Tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ok, %d failed", t.Count[OK], t.Failed())
	counts := func(of string, m map[Kind]int) {
		for _, kind := range slices.Sorted(maps.Keys(m)) {
			if kind != OK {
				fmt.Fprintf(&b, ", %d %s%s", m[kind], of, kind)
			}
		}
	}
	counts("", t.Count)
	counts("retried after ", t.Retried)
	fmt.Fprintf(&b, ", slowest %s, by pod %v, by peer %v", t.Slowest.Round(time.Millisecond), t.Pods, t.Peers)
	for _, failure := range t.Failures {
		b.WriteString("\n  " + failure)
	}
	return b.String()
}

// Running is a Load at work.
type Running struct {
	load   Load
	open   func(context.Context) (*Conn, error)
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	tally Tally
}

// StartLoad starts the clients. They stop asking at Stop or when ctx ends.
func StartLoad(ctx context.Context, load Load) *Running {
	load.Clients = max(1, load.Clients)
	if load.Pause == 0 {
		load.Pause = 10 * time.Millisecond
	}
	if load.Timeout == 0 {
		load.Timeout = 30 * time.Second
	}
	r := newRunning(load, func(ctx context.Context) (*Conn, error) { return load.From.Open(ctx, load.Address) })
	r.start(ctx)
	return r
}

func newRunning(load Load, open func(context.Context) (*Conn, error)) *Running {
	return &Running{load: load, open: open, tally: Tally{
		Count: map[Kind]int{}, Retried: map[Kind]int{}, Pods: map[string]int{}, Peers: map[string]int{},
	}}
}

func (r *Running) start(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(ctx)
	for range r.load.Clients {
		r.done.Go(func() { r.client(ctx) })
	}
}

// Tally returns the counts so far.
func (r *Running) Tally() Tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tally
	t.Count, t.Retried = maps.Clone(t.Count), maps.Clone(t.Retried)
	t.Pods, t.Peers = maps.Clone(t.Pods), maps.Clone(t.Peers)
	t.Failures = slices.Clone(t.Failures)
	return t
}

// Stop lets every client finish its request, and returns the counts.
func (r *Running) Stop() Tally {
	r.cancel()
	r.done.Wait()
	return r.Tally()
}

func (r *Running) client(ctx context.Context) {
	var conn *Conn // kept, with KeepAlive
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for ctx.Err() == nil {
		start := time.Now()
		var reply Reply
		var err, first error
		reply, conn, err = r.request(conn)
		if err != nil && r.load.Retry {
			first = err
			start = time.Now()
			reply, conn, err = r.request(nil)
		}
		r.count(reply, time.Since(start), first, err)
		select {
		case <-time.After(r.load.Pause):
		case <-ctx.Done():
		}
	}
}

// request asks once, on the connection if there is one, and returns the connection if it may be used again. It is not
// broken off by Stop: each request that was begun counts.
func (r *Running) request(conn *Conn) (Reply, *Conn, error) {
	deadline := time.Now().Add(r.load.Timeout)
	if conn == nil {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		var err error
		if conn, err = r.open(ctx); err != nil {
			return Reply{}, nil, err
		}
	}
	reply, err := conn.Ask(time.Until(deadline))
	if err == nil && !strings.HasPrefix(reply.Pod, r.load.App) {
		err = &wrongError{fmt.Sprintf("pod %s answered for %s", reply.Pod, r.load.App)}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", conn.LocalAddr(), err)
	}
	if err != nil || !r.load.KeepAlive {
		conn.Close()
		conn = nil
	}
	return reply, conn, err
}

func (r *Running) count(reply Reply, took time.Duration, first, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.Count[KindOf(err)]++
	if first != nil {
		r.tally.Retried[KindOf(first)]++
	}
	if err == nil {
		r.tally.Pods[reply.Pod]++
		r.tally.Peers[reply.Peer()]++
		r.tally.Slowest = max(r.tally.Slowest, took)
	}
	for _, e := range []error{first, err} {
		if e != nil && len(r.tally.Failures) < 20 {
			r.tally.Failures = append(r.tally.Failures, time.Now().Format("15:04:05.000 ")+e.Error())
		}
	}
}
