package tcp

import (
	"context"
	"net/netip"
	"time"
)

// Dial connects to addr, for at most timeout and until ctx ends. Errors are those of Connect.
func Dial(ctx context.Context, l *Loop, addr netip.AddrPort, timeout time.Duration) (*Conn, error) {
	type outcome struct {
		conn *Conn
		err  error
	}
	done := make(chan outcome, 1)
	Connect(ctx, l, addr, timeout, func(c *Conn, err error) { done <- outcome{c, err} })
	o := <-done
	return o.conn, o.err
}
