//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tpa.dev/tpa/test/kit"
	"tpa.dev/tpa/test/soak/call"
)

// A talk's three requests over one connection are this far apart.
const breath = 500 * time.Millisecond

// talks are conversations with a server, one after the other, each over a connection of its own from another node. Each
// answer is checked, nothing is tried again.
type talks struct {
	name, address string
	from          kit.Node
	protocol      call.Protocol
	cancel        context.CancelFunc
	done          sync.WaitGroup

	mu    sync.Mutex
	tally kit.Tally
}

// talk begins to talk, with a pause after each conversation.
func (f *fixture) talk(name, address string, protocol call.Protocol, pause time.Duration) *talks {
	ctx, cancel := context.WithCancel(f.ctx)
	t := &talks{name: name, address: address, from: f.far, protocol: protocol, cancel: cancel}
	t.done.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			t.converse(ctx, n)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	})
	f.Cleanup(func() { t.Stop() })
	return t
}

// converse holds a conversation. Each request that was begun counts.
func (t *talks) converse(ctx context.Context, n int) {
	tally := kit.Tally{Count: map[kit.Kind]int{}}
	start := time.Now()
	script := call.Script{
		Within: answerWithin, Pauses: []time.Duration{breath, breath},
		First: func() { tally.Slowest = time.Since(start) },
	}
	for i := range 3 {
		script.Nonces = append(script.Nonces, fmt.Sprintf("%d%s%d", n, t.name, i))
	}
	err := t.over(ctx, script)
	tally.Count[call.KindOf(err)]++
	if err != nil {
		tally.Failures = []string{fmt.Sprintf("%s %s, after %s: %v", time.Now().Format("15:04:05.000"), t.name, time.Since(start), err)}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tally.Connections = 1
	t.tally = t.tally.Plus(tally)
}

// over opens the connection that the conversation leads over, and closes it.
func (t *talks) over(ctx context.Context, script call.Script) error {
	opening, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	conn, err := t.from.Dial(opening, t.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = t.protocol(ctx, conn, script)
	return err
}

// Tally is what became of the conversations so far.
func (t *talks) Tally() kit.Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tally.Plus(kit.Tally{})
}

// Stop lets the last one end after its current request, and returns the Tally.
func (t *talks) Stop() kit.Tally {
	t.cancel()
	t.done.Wait()
	return t.Tally()
}
