package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"tpa.dev/tpa/test/kit"
)

// ask connects and asks who answers; the connection stays open. The answer must be the app's.
func ask(ctx context.Context, address, app string, connect, answer time.Duration) (*kit.Conn, kit.Reply, error) {
	raw, err := (&net.Dialer{Timeout: connect}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, kit.Reply{}, err
	}
	conn := kit.NewConn(raw)
	reply, err := conn.Ask(answer)
	if err == nil && !strings.HasPrefix(reply.Pod, app+"-") {
		err = kit.Wrongf("pod %s answered for %s", reply.Pod, app)
	}
	if err != nil {
		_ = conn.Close() // what it has failed with is known
		return nil, kit.Reply{}, fmt.Errorf("ask %s: %w", address, err)
	}
	return conn, reply, nil
}

// poll asks again and again, as often as that, until it is answered. It gives an attempt 200 ms to connect, as who asks
// that often would: the next is more likely to get through than the repetition of a SYN after a second.
func poll(ctx context.Context, address, app string, every time.Duration) (*kit.Conn, kit.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		conn, reply, err := ask(ctx, address, app, 200*time.Millisecond, time.Second)
		if err == nil || kit.KindOf(err) == kit.Wrong {
			return conn, reply, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, kit.Reply{}, fmt.Errorf("%w: the last attempt: %w", context.Cause(ctx), err)
		}
	}
}
