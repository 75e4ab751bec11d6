package kit

import (
	"context"
	"fmt"
	"strings"
	"sync"
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
	// Life, with KeepAlive, is how long a client keeps a connection before it opens another. Default: for ever.
	Life time.Duration
	// Conn, if set, is asked by the only client, which opens no other connection and stops when this one fails. From and
	// Address are not needed then.
	Conn *Conn
	// Retry tries a request that failed once more, on a new connection. Default false: none.
	Retry bool
	// Timeout of connect and answer together. Default 30s.
	Timeout time.Duration
	// Each, if set, is told of each request, or of its second try: when it began, how long it took, and how it failed. It is
	// called by all clients at once.
	Each func(start time.Time, took time.Duration, err error)
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
	if load.Conn != nil {
		load.Clients, load.KeepAlive, load.Life, load.Retry = 1, true, 0, false
	}
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
	return &Running{load: load, open: open, tally: Tally{}.clone()}
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
	return r.tally.clone()
}

// Stop lets every client finish its request, and returns the counts.
func (r *Running) Stop() Tally {
	r.cancel()
	r.done.Wait()
	return r.Tally()
}

func (r *Running) client(ctx context.Context) {
	conn := r.load.Conn // kept, with KeepAlive
	var opened time.Time
	if conn != nil {
		r.connected()
	}
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for ctx.Err() == nil {
		start := time.Now()
		if conn != nil && r.load.Life > 0 && start.Sub(opened) > r.load.Life {
			conn.Close()
			conn = nil
		}
		if conn == nil {
			opened = start
		}
		var reply Reply
		var err, first error
		reply, conn, err = r.request(conn)
		if err != nil && r.load.Retry {
			first = err
			start = time.Now()
			reply, conn, err = r.request(nil)
		}
		took := time.Since(start)
		r.count(reply, took, first, err)
		if r.load.Each != nil {
			r.load.Each(start, took, err)
		}
		if err != nil && r.load.Conn != nil {
			return
		}
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
		r.connected()
	}
	reply, err := conn.Ask(time.Until(deadline))
	if err == nil && !strings.HasPrefix(reply.Pod, r.load.App) {
		err = Wrongf("pod %s answered for %s", reply.Pod, r.load.App)
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

func (r *Running) connected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.Connections++
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
